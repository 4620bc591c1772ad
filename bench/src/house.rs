//! A Keywright inside the benchmark's own process, and keys to verify with it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use keywright_app::caller::Caller;
use keywright_app::core::account::AccountChange;
use keywright_app::core::draft::Draft;
use keywright_app::core::format::Issued;
use keywright_app::core::id::{AccountId, KeyId};
use keywright_app::core::key::Key;
use keywright_app::core::policy::{DEFAULT_KIND, Policy};
use keywright_app::core::secret::MasterKey;
use keywright_app::core::time::Time;
use keywright_app::store::Db;
use keywright_app::{App, Settings, Tasks, clock};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Every key of the native kind has this many bytes.
pub(crate) const KEY_BYTES: usize = 53;
/// Milliseconds of which keys can say that they were issued then.
const YEARS_MS: i64 = 3_500_000_000_000;

/// A running app over a database of its own, without HTTP.
///
/// Its tasks run only while [`House::runtime`] is being waited on, so that between two waits the process does nothing
/// but what is measured.
pub(crate) struct House {
    /// What to wait with.
    pub(crate) runtime: Runtime,
    /// The app.
    pub(crate) app: Arc<App>,
    /// A customer's account.
    pub(crate) account: AccountId,
    tasks: Tasks,
    folder: TempDir,
}

impl House {
    /// Opens one with room for so many keys, with its tasks on this thread or on threads of their own.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn open(cached_keys: usize, has_threads: bool) -> Result<Self> {
        let mut builder = if has_threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        let runtime = builder.enable_all().build()?;
        let folder = tempfile::tempdir()?;
        let (app, tasks) = runtime.block_on(start(folder.path(), cached_keys))?;
        let caller = Caller::local(&app.world().policy.catalog);
        let fields = AccountChange { name: Some("Bench".into()), ..AccountChange::default() };
        let account = runtime.block_on(app.create_account(&caller, fields, None))?.account.id;
        Ok(Self { runtime, app, account, tasks, folder })
    }

    /// Whoever sits at the machine.
    #[must_use]
    pub(crate) fn caller(&self) -> Caller {
        Caller::local(&self.app.world().policy.catalog)
    }

    /// Makes a key of the native kind as any caller would.
    ///
    /// # Errors
    /// The database.
    pub(crate) async fn create(&self, name: String) -> Result<(Key, String)> {
        let draft = Draft { name, ..Draft::default() };
        let created = self.app.create_key(&self.caller(), Some(self.account), None, draft, None).await?;
        let plain = created.plain.context("a new key has no plaintext")?.reveal().to_owned();
        Ok((created.key, plain))
    }

    /// The folder the database is in.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it, and starts it anew on the same data.
    ///
    /// # Errors
    /// The database.
    pub(crate) fn restart(self, cached_keys: usize) -> Result<Self> {
        let Self { runtime, app, account, tasks, folder } = self;
        runtime.block_on(tasks.stop())?;
        drop(app);
        let (app, tasks) = runtime.block_on(start(folder.path(), cached_keys))?;
        Ok(Self { runtime, app, account, tasks, folder })
    }
}

async fn start(folder: &Path, cached_keys: usize) -> Result<(Arc<App>, Tasks)> {
    let db = Db::open(&format!("sqlite:{}", folder.join("keywright.db").display())).await?;
    let master = MasterKey::parse(&"5a".repeat(32)).context("the master key")?;
    let policy = Policy::parse(Policy::DEV).map_err(|errors| anyhow::anyhow!("the built-in policy: {errors:?}"))?;
    Ok(App::start(
        db,
        &master,
        Settings {
            policy,
            clock: clock::Clock::System,
            cached_keys,
            issuer: None,
            site: None,
            post: keywright_app::mail::Post::None,
        },
    )
    .await?)
}

/// Many keys' plaintexts, one after the other.
pub(crate) struct Plaintexts(Vec<u8>);

impl Plaintexts {
    /// So many keys, made as the native kind makes them but known to no database.
    ///
    /// # Errors
    /// The built-in policy has changed.
    pub(crate) fn issue(policy: &Policy, count: usize, seed: u64) -> Result<Self> {
        let (_, kind) = policy.kind(DEFAULT_KIND).context("no native kind")?;
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bytes = Vec::with_capacity(count * KEY_BYTES);
        for _ in 0..count {
            // Of any day: those one after the other are looked for in different places.
            let day = Time::from_millis(rng.random_range(0..YEARS_MS));
            let Issued { key, .. } = kind.format.issue(Some("live"), None, day, &mut rng);
            bytes.extend_from_slice(key.reveal().as_bytes());
        }
        anyhow::ensure!(bytes.len() == count * KEY_BYTES, "native keys are no longer of {KEY_BYTES} bytes");
        Ok(Self(bytes))
    }

    /// Those in `texts`.
    #[must_use]
    pub(crate) fn of(texts: &[String]) -> Self {
        Self(texts.concat().into_bytes())
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.0.len() / KEY_BYTES
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.as_chunks::<KEY_BYTES>().0.iter().map(<[u8; KEY_BYTES]>::as_slice)
    }

    /// So many of them, picked at random and copied side by side: what arrives from a network is near, too.
    #[must_use]
    pub(crate) fn sample(&self, count: usize, rng: &mut StdRng) -> Self {
        let (all, _) = self.0.as_chunks::<KEY_BYTES>();
        let picked = (0..count).filter_map(|_| all.get(rng.random_range(0..all.len())));
        Self(picked.flatten().copied().collect())
    }

    /// Puts every one of them into an app's cache as a key of its own, like `template`.
    pub(crate) fn preload(&self, app: &App, template: &Key) {
        let mut key = template.clone();
        for (number, plain) in (0_u128..).zip(self.iter()) {
            key.id = KeyId::from_bits(template.id.bits() + number);
            key.name = format!("key {number}");
            let _ = app.preload(plain, &key);
        }
    }
}

/// A key whose checksum is wrong in its last character, which is seen last of all.
pub(crate) fn mistyped(key: &str) -> String {
    let mut text = key.to_owned();
    let last = text.pop();
    text.push(if last == Some('x') { 'y' } else { 'x' });
    text
}
