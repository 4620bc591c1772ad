//! Where a Keywright lives: its data folder, database, master key and policy. What is opened here is opened under the
//! folder's lock, by a server and by a command alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use keywright_app::clock::Clock;
use keywright_app::error::Error;
use keywright_app::mail::Post;
use keywright_app::{App, Keyring, Settings, Tasks};
use keywright_core::policy::{Policy, PolicyError};
use keywright_core::secret::MasterKey;
use keywright_server::{Options, check_routes};
use keywright_store::{Db, Upgrade};

use crate::config::{self, Config, Wrong};
use crate::exit::{Exit, fail};
use crate::folder::{self, Folder, Lock};
use crate::mail::Mail;
use crate::options::Global;
use crate::tls::TlsFiles;
use crate::upstreams::Upstreams;

/// Stands above the configured database.
pub(crate) const DATABASE_VARIABLE: &str = "KEYWRIGHT_DATABASE_URL";
/// The data folder of `dev`, and of commands beside it.
pub(crate) const DEV_FOLDER: &str = ".keywright";

/// Keys `dev` keeps in memory.
const DEV_CACHED_KEYS: usize = 100_000;
/// Keys a command keeps in memory: it lives for a moment.
const COMMAND_CACHED_KEYS: usize = 1_000;

/// Where everything is kept.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) folder: Folder,
    /// The database's URL. It may hold a password.
    pub(crate) database: String,
    pub(crate) master_key: PathBuf,
    pub(crate) policy: PolicySource,
    pub(crate) cached_keys: usize,
    /// The public address, which tokens are issued by.
    pub(crate) public_url: Option<String>,
    /// Where people find this server that has no public address.
    pub(crate) site: Option<String>,
    /// The certificate the server shows, where it speaks HTTPS.
    pub(crate) tls: Option<TlsFiles>,
    /// How letters go out.
    pub(crate) mail: Mail,
    /// Where the upstreams are that the policy's routes name.
    pub(crate) upstreams: Upstreams,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { folder, master_key, policy, cached_keys, mail, .. } = self;
        write!(out, "{folder:?} {} {master_key:?} {policy:?} {cached_keys} {mail:?}", self.shown_database())
    }
}

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub(crate) enum PolicySource {
    /// `dev`'s own.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// An open Keywright.
pub(crate) struct House {
    /// Its database, without what is secret in the URL.
    pub(crate) name: String,
    pub(crate) app: Arc<App>,
    pub(crate) tasks: Tasks,
    pub(crate) lock: Lock,
}

impl Place {
    /// The place of `dev` in a folder.
    pub(crate) fn dev(folder: PathBuf) -> Self {
        let folder = Folder(folder);
        Self {
            database: config::sqlite(&folder.database()),
            master_key: folder.0.join("master.key"),
            policy: PolicySource::BuiltIn,
            cached_keys: DEV_CACHED_KEYS,
            tls: None,
            mail: Mail::dev(&folder.0),
            folder,
            public_url: None,
            site: None,
            upstreams: Upstreams::default(),
        }
    }

    /// The place a command is about, found by what it was told or by what is in the working folder.
    pub(crate) fn find(global: &Global) -> Result<Self> {
        if let Some(file) = config_file(global) {
            return Ok(load_config(global, &file)?.place);
        }
        let named = global.data_dir.is_some();
        let folder = global.data_dir.clone().unwrap_or_else(|| DEV_FOLDER.into());
        let place = Self::dev(folder);
        if place.folder.dev_credentials().exists() {
            return Ok(place);
        }
        let shown = place.folder.0.display();
        Err(if named {
            let text = format!(
                "{shown} has neither a keywright.toml nor what `keywright dev` makes: name the configuration with --config"
            );
            fail(Exit::Usage, text)
        } else if global.server.is_some() {
            let text = "this is done with the data itself, not through a server: run it where that is, and name its \
                        configuration with --config";
            fail(Exit::Usage, text)
        } else {
            let text = "there is neither a ./keywright.toml nor a ./.keywright: name a server with --server or KEYWRIGHT_BASE_URL, \
                        or a configuration with --config; or begin one with `keywright dev` or `keywright init`";
            fail(Exit::Usage, text)
        })
    }

    /// The database, without what is secret in its URL.
    pub(crate) fn shown_database(&self) -> String {
        match self.database.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                format!("{scheme}://{}", host.split('?').next().unwrap_or_default())
            }
            None => self.database.clone(),
        }
    }

    /// The file of an SQLite database.
    pub(crate) fn database_file(&self) -> Option<&Path> {
        self.database.strip_prefix("sqlite:").map(Path::new)
    }

    /// The text of the policy, and the file it is in.
    pub(crate) fn read_policy(&self) -> Result<String> {
        match &self.policy {
            PolicySource::BuiltIn => Ok(Policy::DEV.to_owned()),
            PolicySource::File(file) => config::read(file),
        }
    }

    /// Reads and checks the policy.
    pub(crate) fn load_policy(&self) -> Result<Policy> {
        self.check_policy(&self.read_policy()?).map_err(|wrongs| config::refuse(&wrongs))
    }

    /// Checks the text of a policy, and that its routes lead somewhere.
    pub(crate) fn check_policy(&self, text: &str) -> Result<Policy, Vec<Wrong>> {
        let policy = Policy::parse(text).map_err(|errors| self.policy_wrongs(errors))?;
        let errors = match &self.policy {
            // Its services are there only while `dev` runs.
            PolicySource::BuiltIn => Vec::new(),
            PolicySource::File(_) => {
                check_routes(&policy, &Options { upstreams: self.upstreams.addresses.clone(), ..Options::default() })
            }
        };
        if errors.is_empty() { Ok(policy) } else { Err(self.policy_wrongs(errors)) }
    }

    /// What is wrong with the policy, by file and line.
    fn policy_wrongs(&self, errors: Vec<PolicyError>) -> Vec<Wrong> {
        let file = match &self.policy {
            PolicySource::BuiltIn => PathBuf::from("the built-in policy"),
            PolicySource::File(file) => file.clone(),
        };
        errors.into_iter().map(|PolicyError { line, message }| Wrong { file: file.clone(), line, message }).collect()
    }

    /// Opens everything for a command, which uses few keys. One that sends no mail does without the mail server's password.
    pub(crate) async fn open_briefly(&self, lock: Lock) -> Result<House> {
        let place = Self { cached_keys: COMMAND_CACHED_KEYS, ..self.clone() };
        place.open_with(lock, self.mail.post().unwrap_or(Post::None)).await
    }

    /// Opens everything.
    pub(crate) async fn open(&self, lock: Lock) -> Result<House> {
        self.open_with(lock, self.mail.post()?).await
    }

    async fn open_with(&self, lock: Lock, post: Post) -> Result<House> {
        let policy = self.load_policy()?;
        let db = self.open_database().await?;
        let master = self.find_master_key(&db).await?;
        let settings = Settings {
            policy,
            clock: Clock::System,
            cached_keys: self.cached_keys,
            issuer: self.public_url.clone(),
            site: self.public_url.clone().or_else(|| self.site.clone()),
            post,
        };
        let (app, tasks) = App::start(db, &master, settings).await.map_err(|error| self.explain(&error))?;
        Ok(House { name: self.shown_database(), app, tasks, lock })
    }

    /// Opens the database, and brings its schema up to date.
    pub(crate) async fn open_database(&self) -> Result<Db> {
        Db::open_telling(&self.database, announce).await.map_err(|error| self.out_of_reach(&error.to_string()))
    }

    /// Why the database cannot be used.
    pub(crate) fn out_of_reach(&self, reason: &str) -> anyhow::Error {
        fail(Exit::Unreachable, format!("the database {} cannot be used: {reason}", self.shown_database()))
    }

    /// Where `rekey` keeps the next master key until it is the one.
    pub(crate) fn next_master_key(&self) -> PathBuf {
        let mut path = self.master_key.as_os_str().to_owned();
        path.push(".new");
        path.into()
    }

    /// The master key of the database. Where `rekey` was cut off, what it had begun is finished or taken back.
    pub(crate) async fn find_master_key(&self, db: &Db) -> Result<MasterKey> {
        let next = self.next_master_key();
        if !next.exists() {
            return folder::read_master_key(&self.master_key);
        }
        if let Ok(present) = folder::read_master_key(&self.master_key)
            && self.opens(db, &present).await?
        {
            // The database was not reached, so nothing is sealed under the new one.
            std::fs::remove_file(&next).with_context(|| format!("{} cannot be removed", next.display()))?;
            tracing::warn!("a rekey had been cut off before it changed anything: the master key stays");
            return Ok(present);
        }
        let new = folder::read_master_key(&next)?;
        if !self.opens(db, &new).await? {
            return Err(self.wrong_master_key());
        }
        folder::put_in_place(&next, &self.master_key)?;
        tracing::warn!("a rekey had been cut off at its last step: the new master key is in place now");
        Ok(new)
    }

    async fn opens(&self, db: &Db, key: &MasterKey) -> Result<bool> {
        match Keyring::open(db, key, Clock::System.now()).await {
            Ok(_) => Ok(true),
            Err(Error::Internal(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn wrong_master_key(&self) -> anyhow::Error {
        let (key, database) = (self.master_key.display(), self.shown_database());
        anyhow!("{key} is not the master key {database} was made with: put the right one back from its backup")
    }

    fn explain(&self, error: &Error) -> anyhow::Error {
        match error {
            Error::Internal(text) if text.contains("master key") => self.wrong_master_key(),
            Error::Unavailable(reason) => self.out_of_reach(reason),
            Error::Unauthenticated
            | Error::LoginFailed
            | Error::CodeWrong
            | Error::SessionOver
            | Error::Unanswered
            | Error::NotFound(_)
            | Error::LacksPermission(_)
            | Error::Forbidden(_)
            | Error::Invalid(_)
            | Error::Conflict(_)
            | Error::Limited(_)
            | Error::Internal(_) => anyhow!("{error}"),
        }
    }
}

/// Says what the first start of a newer Keywright is busy with, and that there is no way back.
fn announce(Upgrade { from, to }: Upgrade) {
    tracing::warn!(
        "bringing the database's schema from {from} to {to}: nothing is answered until that is done, and an older Keywright cannot \
         open it afterwards"
    );
}

/// The configuration that was named, or that is where it is looked for.
pub(crate) fn config_file(global: &Global) -> Option<PathBuf> {
    if let Some(file) = &global.config {
        return Some(file.clone());
    }
    let nearby = match &global.data_dir {
        Some(folder) => folder.join(config::FILE),
        None => config::FILE.into(),
    };
    nearby.exists().then_some(nearby)
}

/// Reads a configuration, and lays what stands above it over it.
pub(crate) fn load_config(global: &Global, file: &Path) -> Result<Config> {
    let mut config = config::load(file, global.data_dir.as_deref().filter(|_| global.config.is_some()))?;
    if let Some(url) = std::env::var(DATABASE_VARIABLE).ok().filter(|url| !url.is_empty()) {
        config.place.database = url;
    }
    Ok(config)
}

impl House {
    /// Closes everything, after what was acknowledged is written down.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { app, tasks, lock, .. } = self;
        tasks.stop().await?;
        drop((app, lock));
        Ok(())
    }
}
