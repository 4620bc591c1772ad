//! `keywright keys`: a key's whole life.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::call::{Call, escape, one_line};
use crate::confirm::Yes;
use crate::exit::Exit;
use crate::fields::{Fields, must_change};
use crate::import::{self, Import};
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{self, Column, Look, distance};
use crate::say;
use crate::session::{self, Session, call};
use crate::verify::{self, Presented};

const COLUMNS: [Column; 7] = [
    Column("ID", "id", Look::Plain),
    Column("NAME", "name", Look::Plain),
    Column("KIND", "kind", Look::Plain),
    Column("KEY", "prefix", Look::Key),
    Column("STATUS", "status", Look::Status),
    Column("EXPIRES", "expires_at", Look::Ago),
    Column("LAST USED", "last_used_at", Look::Ago),
];
const USAGE: [Column; 4] = [
    Column("HOUR", "hour", Look::Plain),
    Column("OUTCOME", "outcome", Look::Plain),
    Column("TAG", "tag", Look::Plain),
    Column("COUNT", "count", Look::Plain),
];

/// What can be done with keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key; it is shown this once
    #[command(after_help = "Examples:\n  \
        keywright keys create --account acc_… --name CI --permission documents:read --expires-in 90d\n  \
        keywright keys create --account acc_… --ratelimit requests=100/1m --credits 1000 --refill 1000/30d\n  \
        keywright keys create --kind operator --permission keys:verify -o json | jq -r .key")]
    Create(Box<Create>),
    /// List keys, newest last
    #[command(after_help = "Examples:\n  \
        keywright keys list --account acc_… --status active\n  \
        keywright keys list --expiring-before 14d\n  \
        keywright keys list --unused-since 30d --all -o json | jq -r '.data[].id'")]
    List(Filter),
    /// Show a key and the secrets of it that work
    Get {
        #[command(flatten)]
        key: One,
    },
    /// Change what a key is; its secret stays
    #[command(after_help = "Examples:\n  \
        keywright keys update key_… --name 'CI' --permission documents:read,documents:write\n  \
        keywright keys update key_… --no-expiry --allow-ip ''")]
    Update(Box<Update>),
    /// Give a key a new secret, shown this once; the old one works until the grace is over
    #[command(after_help = "Examples:\n  keywright keys rotate key_… --grace 24h")]
    Rotate(Rotate),
    /// Move the end of the old secrets' grace to so long from now; 0s ends it
    Grace(Grace),
    /// End keys for ever
    #[command(after_help = "Examples:\n  keywright keys revoke key_…\n  \
        keywright keys list --unused-since 1y --all -o json | jq -r '.data[].id' | xargs keywright keys revoke --yes")]
    Revoke(Revoke),
    /// Switch a key on again
    Enable {
        #[command(flatten)]
        key: One,
    },
    /// Switch a key off; `enable` undoes it
    Disable {
        #[command(flatten)]
        key: One,
    },
    /// Verify a key, read from standard input or KEYWRIGHT_VERIFY_KEY; exit code 6 where it does not pass
    #[command(after_help = "Examples:\n  \
        keywright keys verify --permission documents:read < key.txt\n  \
        KEYWRIGHT_VERIFY_KEY=kw_… keywright keys verify --ip 203.0.113.7 --cost 0")]
    Verify(Presented),
    /// Show every check of a verification and its result; nothing is counted or spent
    Explain(Presented),
    /// Show how often a key was used, by hour and outcome
    Usage(Usage),
    /// Bring in keys of another system by their SHA-256 hashes
    #[command(after_long_help = import::HELP)]
    Import(Import),
}

/// A key.
#[derive(Args)]
pub(crate) struct One {
    /// The key's id, as in key_…
    id: String,
}

/// `keys create`
#[derive(Args)]
pub(crate) struct Create {
    /// The account it is for; operators' keys are for none
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Its kind, one the policy declares, or operator [default: default]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Its environment [default: the kind's first]
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Make it once, however often this is tried with the same text
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

/// `keys list`
#[derive(Args)]
pub(crate) struct Filter {
    /// Of this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Of this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// active, disabled, expired or revoked
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Not used since then, or for so long: 2026-11-21T09:30:00Z or 30d
    #[arg(long, value_name = "TIME")]
    unused_since: Option<String>,
    /// Expiring before then, or within so long
    #[arg(long, value_name = "TIME")]
    expiring_before: Option<String>,
    /// With a secret that is due for rotation
    #[arg(long)]
    rotation_due: bool,
    /// Whose shown part begins so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// With this in their name or description
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// `keys update`
#[derive(Args)]
pub(crate) struct Update {
    #[command(flatten)]
    key: One,
    #[command(flatten)]
    fields: Fields,
    /// Let it live for ever
    #[arg(long, conflicts_with = "expires_in")]
    no_expiry: bool,
    /// Take the bound on operations away
    #[arg(long, conflicts_with_all = ["credits", "refill"])]
    no_credits: bool,
    /// Let credits come back no more
    #[arg(long, conflicts_with = "refill")]
    no_refill: bool,
}

/// `keys rotate`
#[derive(Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    key: One,
    /// How long the old secret works [default: the kind's grace]
    #[arg(long, value_name = "SPAN")]
    grace: Option<String>,
}

/// `keys grace`
#[derive(Args)]
pub(crate) struct Grace {
    #[command(flatten)]
    key: One,
    /// How long from now, as in 24h; 0s ends it
    grace: String,
}

/// `keys revoke`
#[derive(Args)]
pub(crate) struct Revoke {
    /// The keys' ids
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    yes: Yes,
}

/// `keys usage`
#[derive(Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    key: One,
    /// From then, or from so long ago [default: 7d]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until then, or until so long ago [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl One {
    fn path(&self, more: &str) -> String {
        path(&self.id, more)
    }
}

fn path(id: &str, more: &str) -> String {
    format!("/v1/keys/{}{more}", escape(id))
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::Create(create) => show_secret(global, &call(global, create.into_call()).await?)?,
        Command::List(filter) => list(global, filter).await?,
        Command::Get { key } => output::object(global, &call(global, Call::get(key.path(""))).await?)?,
        Command::Update(update) => output::object(global, &call(global, update.into_call()?).await?)?,
        Command::Rotate(Rotate { key, grace }) => {
            let body = grace.map_or_else(|| json!({}), |grace| json!({ "grace": grace }));
            let rotated = call(global, Call::post(key.path("/rotate"), body)).await?;
            show_secret(global, &rotated)?;
            say::note(&format!("The old secret works until {}.", text(&rotated, "old_expires_at")));
        }
        Command::Grace(Grace { key, grace }) => {
            output::object(global, &call(global, Call::post(key.path("/grace"), json!({ "grace": grace }))).await?)?;
        }
        Command::Revoke(revoke) => session::with(global, async |session| self::revoke(session, revoke).await).await?,
        Command::Enable { key } => {
            output::object(global, &call(global, Call::post(key.path("/enable"), json!({}))).await?)?
        }
        Command::Disable { key } => {
            output::object(global, &call(global, Call::post(key.path("/disable"), json!({}))).await?)?
        }
        Command::Verify(presented) => return verify::verify(global, presented).await,
        Command::Explain(presented) => verify::explain(global, presented).await?,
        Command::Usage(Usage { key, from, to }) => {
            let usage = call(global, Call::get(key.path("/usage")).query("from", from).query("to", to)).await?;
            output::page(global, &usage, &USAGE)?;
        }
        Command::Import(import) => return import::run(global, import).await,
    }
    Ok(Exit::Done)
}

impl Create {
    fn into_call(self: Box<Self>) -> Call {
        let mut body = self.fields.into_json();
        for (name, value) in [("account_id", self.account), ("kind", self.kind), ("environment", self.environment)] {
            body.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        }
        Call { idempotency_key: self.idempotency_key, ..Call::post("/v1/keys", body.into()) }
    }
}

impl Update {
    fn into_call(self: Box<Self>) -> Result<Call> {
        let mut body: Map<String, Value> = self.fields.into_json();
        let cleared = [
            ("expires_in", self.no_expiry),
            ("credits", self.no_credits),
            ("refill", self.no_refill || self.no_credits),
        ];
        body.extend(cleared.into_iter().filter(|(_, clear)| *clear).map(|(name, _)| (name.to_owned(), Value::Null)));
        must_change(&body)?;
        Ok(Call::patch(self.key.path(""), body.into()))
    }
}

async fn list(global: &Global, filter: Filter) -> Result<()> {
    let list = Call::get("/v1/keys")
        .query("account_id", filter.account)
        .query("kind", filter.kind)
        .query("environment", filter.environment)
        .query("status", filter.status)
        .query("unused_since", filter.unused_since)
        .query("expiring_before", filter.expiring_before)
        .query("rotation_due", filter.rotation_due.then_some(true))
        .query("prefix", filter.prefix)
        .query("search", filter.search);
    list::run(global, list, &filter.paging, &COLUMNS).await
}

/// Shows what was made. The secret in it exists nowhere else.
fn show_secret(global: &Global, made: &Value) -> Result<()> {
    output::object(global, made)?;
    if made.get("key").is_some_and(Value::is_string) {
        say::note("Keep the key now: it cannot be shown again.");
    } else {
        say::note("The key was made by an earlier call with this --idempotency-key; its secret was shown then.");
    }
    Ok(())
}

async fn revoke(session: &Session, revoke: Revoke) -> Result<()> {
    let several = revoke.ids.len() > 1;
    if revoke.yes.will_ask() {
        for id in &revoke.ids {
            say::note(&describe(&session.call(Call::get(path(id, ""))).await?));
        }
    }
    let what = if several {
        format!("{} keys end", revoke.ids.len())
    } else {
        format!("The key {} ends", revoke.ids.join(""))
    };
    revoke.yes.confirm(&format!("{what} for ever; this cannot be undone."))?;
    for id in &revoke.ids {
        session.call(Call::delete(path(id, ""))).await?;
        say::note(&format!("{} is revoked.", one_line(id)));
    }
    Ok(())
}

/// A key in a line, with what somebody about to end it should know.
fn describe(key: &Value) -> String {
    let now = keywright_app::clock::Clock::System.now();
    let used = text(key, "last_used_at")
        .parse()
        .map_or_else(|_| "never used".into(), |at| format!("last used {}", distance(at, now)));
    let from = key.get("last_used_ip").and_then(Value::as_str).map(|ip| format!(" from {}", one_line(ip)));
    let shown = [text(key, "id"), one_line(text(key, "name")).as_str(), text(key, "status")].join(" · ");
    format!("{shown} · {used}{}", from.unwrap_or_default())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
