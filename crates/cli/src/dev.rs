//! `keywright dev`: a server to try things on, with a demo account, a user and a key of each kind.
//!
//! The first start makes them and keeps their credentials; every later one shows the same. A mark is there from before
//! anything is made until the credentials are kept, so a first start that dies half-way is begun anew by the next, and a
//! folder that `dev` did not make is never touched.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use keywright_app::caller::Caller;
use keywright_app::core::member::MemberRole;
use keywright_app::core::route::Address;
use keywright_app::users::NewPerson;
use keywright_server::Options;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::call::Call;
use crate::exit::{Exit, fail};
use crate::folder::{self, Folder};
use crate::log::{self, LogFormat};
use crate::options::Global;
use crate::place::{DEV_FOLDER, Place};
use crate::session::Local;
use crate::{dev_screen, running, say};

/// Where it listens.
const LISTEN: &str = "127.0.0.1:8700";
/// The demo user's address.
const EMAIL: &str = "demo@example.com";

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
It listens on this machine alone and runs a built-in policy with the kinds of three API providers. Everything it makes is in the \
data folder: delete the folder to begin anew.

Examples:
  keywright dev
  keywright dev --listen 127.0.0.1:0 --data-dir /tmp/try --json";

/// `dev`
#[derive(Args)]
pub(crate) struct Dev {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    /// Print one line of JSON on standard output once connections are taken, and all else on standard error
    #[arg(long)]
    json: bool,
    /// How to write the log
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// What `dev` made on its first start.
#[derive(Serialize, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) operator_key: String,
    pub(crate) account_id: String,
    pub(crate) user: User,
    pub(crate) keys: Keys,
}

/// The demo user.
#[derive(Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) email: String,
    pub(crate) password: String,
}

/// A key of each kind.
#[derive(Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) wayscloud_storage: String,
    pub(crate) wayscloud_llm: String,
    pub(crate) wayscloud_pat: String,
    pub(crate) wavis: String,
    pub(crate) cloudheed: String,
    pub(crate) default: String,
}

#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    url: &'a str,
    #[serde(flatten)]
    credentials: &'a Credentials,
}

/// Serves until it is told to stop.
pub(crate) async fn run(global: &Global, dev: Dev) -> Result<Exit> {
    log::start(log::DEV, dev.log_format)?;
    let place = Place::dev(global.data_dir.clone().unwrap_or_else(|| DEV_FOLDER.into()));
    place.folder.create()?;
    let lock = place.folder.take_alone("it is the one to use, or name another folder with --data-dir").await?;
    let listening = running::listen(dev.listen, "http").await?;
    let is_new = prepare(&place)?;
    let place = Place { site: Some(listening.1.clone()), ..place };
    let local = Local::new(place.open(lock).await?);
    let credentials = if is_new { make(&place, &local).await? } else { read(&place.folder)? };
    let ready = |url: &str| {
        if dev.json {
            say::data(&serde_json::to_string(&Ready { event: "ready", url, credentials: &credentials })?)?;
        } else {
            say::data(&dev_screen::screen(&place, url, &credentials, say::colours_output()))?;
        }
        Ok(())
    };
    let options = Options { upstreams: demo_services(&place).await?, ..Options::default() };
    running::run(&place, local.into_house(), listening, options, ready).await?;
    Ok(Exit::Done)
}

/// Services for the gate to lead to.
async fn demo_services(place: &Place) -> Result<BTreeMap<String, Vec<Address>>> {
    keywright_server::demo_services(&place.folder.0).await.context("the demo services cannot be started")
}

/// The operator key that `dev` keeps in a folder.
pub(crate) fn operator_key(folder: &Folder) -> Option<Zeroizing<String>> {
    read(folder).ok().map(|credentials| Zeroizing::new(credentials.operator_key))
}

fn read(folder: &Folder) -> Result<Credentials> {
    let path = folder.dev_credentials();
    let text =
        std::fs::read(&path).map(Zeroizing::new).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text)
        .map_err(|_| anyhow!("{} is not what `keywright dev` wrote: delete the folder to begin anew", path.display()))
}

/// Makes a folder ready to be opened, and says whether its credentials are still to be made.
fn prepare(place: &Place) -> Result<bool> {
    let folder = &place.folder;
    let (mark, database) = (folder.dev_unfinished(), folder.database());
    if folder.dev_credentials().exists() {
        if !database.exists() {
            let text = format!(
                "{} is gone, and with it the keys: delete {} to begin anew",
                database.display(),
                folder.0.display()
            );
            return Err(fail(Exit::Failed, text));
        }
        drop(std::fs::remove_file(mark));
        return Ok(false);
    }
    if mark.exists() {
        // Nobody was ever told of what the first start had made until it died.
        folder.remove_database().with_context(|| format!("{} cannot be removed", database.display()))?;
    } else if database.exists() || place.master_key.exists() {
        let text = format!(
            "{} holds data that `keywright dev` did not make: name another folder with --data-dir",
            folder.0.display()
        );
        return Err(fail(Exit::Failed, text));
    } else {
        folder::write_private(
            &mark,
            b"The first start of `keywright dev` is under way, or died half-way: the next one begins anew.\n",
        )?;
    }
    if !place.master_key.exists() {
        folder::create_master_key(&place.master_key)?;
    }
    Ok(true)
}

/// Makes the demo account and what is in it, and keeps the credentials.
async fn make(place: &Place, local: &Local) -> Result<Credentials> {
    let app = &local.house().app;
    // As every kind of key requires.
    let demo = json!({
        "name": "Demo", "email": EMAIL, "email_verified": true, "first_name": "Demo", "last_name": "Person",
        "company": "Example Ltd", "customer_type": "business", "subscription": "active",
    });
    let account = local.call(Call::post("/v1/accounts", demo)).await?;
    let account_id = text(&account, "id")?;
    let caller = Caller::local(&app.world().policy.catalog);
    let user = User { email: EMAIL.into(), password: password() };
    let id = account_id.parse().map_err(|_| anyhow!("the account has no id"))?;
    // Both halves of the dashboard with one login: nobody who tries this has to find a second one.
    let operator = ["*".to_owned()];
    let (password, member) = (Some(user.password.as_str()), Some((id, MemberRole::Owner)));
    let person = NewPerson { email: &user.email, password, member, operator: Some(&operator) };
    app.create_user(&caller, person).await?;
    let all = |kind: &str| app.world().policy.kind(kind).map(|(_, kind)| kind.permissions.clone()).unwrap_or_default();
    let issue = async |name: &str, mut body: Value| -> Result<String> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("account_id".into(), account_id.as_str().into());
            fields.insert("name".into(), name.into());
        }
        text(&local.call(Call::post("/v1/keys", body)).await?, "key")
    };
    let keys = Keys {
        wayscloud_storage: issue("Demo storage", json!({ "kind": "wayscloud-service", "services": ["storage"] }))
            .await?,
        wayscloud_llm: issue("Demo inference", json!({ "kind": "wayscloud-service", "services": ["llm"] })).await?,
        wayscloud_pat: issue(
            "Demo access token",
            json!({ "kind": "wayscloud-pat", "permissions": all("wayscloud-pat") }),
        )
        .await?,
        wavis: issue("Demo developer", json!({ "kind": "wavis", "environment": "live", "role": "developer" })).await?,
        cloudheed: issue("Demo databases", json!({ "kind": "cloudheed", "permissions": all("cloudheed") })).await?,
        default: issue("Demo", json!({ "permissions": ["documents:read", "documents:write"] })).await?,
    };
    let operator = json!({ "kind": "operator", "name": "First operator", "permissions": ["*"] });
    let operator_key = text(&local.call(Call::post("/v1/keys", operator)).await?, "key")?;
    let credentials = Credentials { operator_key, account_id, user, keys };
    folder::write_private(&place.folder.dev_credentials(), &serde_json::to_vec_pretty(&credentials)?)?;
    drop(std::fs::remove_file(place.folder.dev_unfinished()));
    Ok(credentials)
}

fn text(value: &Value, name: &str) -> Result<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| anyhow!("the answer has no {name}"))
}

/// Twenty letters and digits, without those that look alike: 114 random bits.
fn password() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut rng = keywright_app::clock::rng();
    let letter = |_| LETTERS.get(rng.random_range(0..LETTERS.len())).map(|byte| char::from(*byte));
    (0..20).filter_map(letter).collect()
}
