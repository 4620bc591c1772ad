//! `keywright doctor`: finds what is wrong with a Keywright on this machine, and says how to mend it. It changes nothing.

mod files;
mod machine;
mod post;
mod through;
mod tls;

use std::net::SocketAddr;

use anyhow::Result;
use clap::Args;
use keywright_app::Keyring;
use keywright_app::clock::Clock;
use keywright_core::time::Span;
use keywright_store::audit::{AuditFilter, audit_head, list_audit};
use keywright_store::{Db, keyring};
use serde::Serialize;
use serde_json::json;

use crate::exit::Exit;
use crate::folder::{self, Holder, Lock};
use crate::options::{Format, Global};
use crate::output;
use crate::place::{Place, config_file, load_config};
use crate::say;

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
It changes nothing, and does not open the database while a server runs. Exit code 1 where something is wrong; a warning is no \
failure. --mail-to sends a letter, and writes that into the audit log unless a server runs.

--through tries whether a proxy refuses whoever shows no key, and whether a client can say by headers of its own who it is. With a \
key that may GET the path, in KEYWRIGHT_PROBE_KEY, it tries what reaches the service: --behind shows that, or a service that repeats \
what it is asked. It sends some forty requests, and spends what they cost.

Examples:
  keywright doctor --config /etc/keywright/keywright.toml
  keywright doctor --mail-to you@example.com
  keywright doctor --through https://api.example.com/v1/files --behind 127.0.0.1:9000
  keywright doctor -o json | jq '.findings[] | select(.status != \"ok\")'";

/// `doctor`
#[derive(Args)]
pub(crate) struct Doctor {
    /// Send a test letter to this address
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
    /// Try a proxy instead, as a stranger would, at the address a client asks it for
    #[arg(long, value_name = "URL", conflicts_with = "mail_to")]
    through: Option<String>,
    /// Stand in for the service behind that proxy, to see what reaches it: point the proxy here
    #[arg(long, value_name = "ADDRESS:PORT", requires = "through")]
    behind: Option<SocketAddr>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    Warning,
    Wrong,
}

/// What a check found.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    status: Status,
    check: &'static str,
    detail: String,
    /// How to mend it.
    mend: Option<String>,
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, detail: impl Into<String>) {
        self.0.push(Finding { status: Status::Ok, check, detail: detail.into(), mend: None });
    }

    fn wrongs(&self) -> usize {
        self.0.iter().filter(|finding| finding.status == Status::Wrong).count()
    }

    fn is_ok(&self, check: &str) -> bool {
        self.0.iter().any(|finding| finding.check == check && finding.status == Status::Ok)
    }

    fn warn(&mut self, check: &'static str, detail: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { status: Status::Warning, check, detail: detail.into(), mend: Some(mend.into()) });
    }

    fn wrong(&mut self, check: &'static str, detail: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { status: Status::Wrong, check, detail: detail.into(), mend: Some(mend.into()) });
    }
}

/// Looks at everything.
pub(crate) async fn run(global: &Global, doctor: Doctor) -> Result<Exit> {
    let mut found = Findings::default();
    if let Some(url) = &doctor.through {
        through::check(url, doctor.behind, &mut found).await?;
        return show(global, &found);
    }
    if let Some(place) = find_place(global, &mut found) {
        match place.load_policy() {
            Ok(policy) => found.ok("policy", format!("{} kinds of key", policy.kinds().len())),
            Err(error) => found.wrong(
                "policy",
                format!("{error:#}"),
                "write what the line says; `keywright config check` checks again",
            ),
        }
        files::check(&place, &mut found);
        machine::check(&place, &mut found);
        tls::check(&place, &mut found);
        let held = if place.folder.0.is_dir() { holder(&place, &mut found).await } else { None };
        post::check(&place, doctor.mail_to.as_deref(), held, &mut found).await;
    }
    show(global, &found)
}

fn find_place(global: &Global, found: &mut Findings) -> Option<Place> {
    let loaded = match config_file(global) {
        Some(file) => load_config(global, &file).map(|config| {
            found.ok("configuration", file.display().to_string());
            let is_open = config.place.tls.is_none() && !config.listen.ip().is_loopback();
            if is_open && config.options.trusted_proxies.is_empty() {
                let detail = format!("listens on {} without a proxy that is trusted", config.listen);
                found.warn("network", detail, "keys travel unencrypted: write [tls] with a certificate and its key; or put a proxy with TLS in front, listen on 127.0.0.1, and list it under trusted_proxies");
            }
            config.place
        }),
        None => Place::find(global).inspect(|place| found.ok("configuration", format!("none: {} is what `keywright dev` made", place.folder.0.display()))),
    };
    match loaded {
        Ok(place) => Some(place),
        Err(error) => {
            found.wrong(
                "configuration",
                format!("{error:#}"),
                "write what the line says, or name another with --config",
            );
            None
        }
    }
}

/// Who has the folder; where nobody does, the database is looked into. The lock, where the database is sound and ours.
async fn holder(place: &Place, found: &mut Findings) -> Option<Lock> {
    match place.folder.take().await {
        Ok(Holder::Us(lock)) => {
            found.ok("server", "none runs on the folder");
            database(place, found).await;
            return found.is_ok("audit log").then_some(lock);
        }
        Ok(Holder::Server(note)) => match tokio::net::TcpStream::connect(note.authority()).await {
            Ok(_) => found.ok(
                "server",
                format!("process {} answers at {}; stop it to have the database looked into", note.pid, note.url),
            ),
            Err(error) => {
                let detail =
                    format!("process {} holds the folder and does not answer at {}: {error}", note.pid, note.url);
                found.wrong(
                    "server",
                    detail,
                    "read its log; if it hangs, end it: nothing that was acknowledged is lost",
                );
            }
        },
        Err(error) => {
            found.wrong("lock", format!("{error:#}"), "see which process has the file `lock` open, as with fuser")
        }
    }
    None
}

async fn database(place: &Place, found: &mut Findings) {
    if place.database_file().is_some_and(|file| !file.exists()) {
        found.warn(
            "database",
            format!("{} does not exist", place.shown_database()),
            "the first start makes it; if there was one, restore its backup",
        );
        return;
    }
    match Db::find_schema(&place.database).await {
        Ok((Some(found_at), newest)) if found_at == newest => {
            found.ok("schema", format!("{newest}, the one this version knows"))
        }
        Ok((Some(found_at), newest)) if found_at < newest => {
            found.warn(
                "schema",
                format!("{found_at}; the next start brings it to {newest}"),
                "make a backup before: an older version cannot read the new one",
            );
            return;
        }
        Ok((Some(found_at), newest)) => {
            found.wrong(
                "schema",
                format!("{found_at}, and this version knows {newest}"),
                "run the newer version, or restore the backup made before it",
            );
            return;
        }
        Ok((None, _)) => {
            found.warn("schema", "none yet", "the first start makes it");
            return;
        }
        Err(error) => {
            found.wrong(
                "database",
                format!("{}: {error}", place.shown_database()),
                "start it, and check the address, user and password",
            );
            return;
        }
    }
    match place.open_database().await {
        Ok(db) => {
            found.ok("database", format!("{} answers", place.shown_database()));
            sealed(place, &db, found).await;
        }
        Err(error) => found.wrong("database", format!("{error:#}"), "restore it from its backup"),
    }
}

/// Whether the master key is the database's, and what the audit log says.
async fn sealed(place: &Place, db: &Db, found: &mut Findings) {
    const MEND: &str = "put the right one back from its backup: without it nothing in the database is of use";
    if place.next_master_key().exists() {
        found.warn(
            "master key",
            format!("a rekey was cut off: {} exists", place.next_master_key().display()),
            "start the server: it finishes it or takes it back",
        );
        return;
    }
    let Ok(master) = folder::read_master_key(&place.master_key) else { return };
    let now = Clock::System.now();
    match keyring::list_keyring(db).await {
        Ok(rows) if rows.is_empty() => found.ok("master key", "not used yet"),
        Ok(_) => match Keyring::open(db, &master, now).await {
            Ok(_) => {
                found.ok("master key", "opens the database");
                audit(db, found).await;
                post::queue(db, found).await;
            }
            Err(error) => found.wrong("master key", error.to_string(), MEND),
        },
        Err(error) => found.wrong("database", error.to_string(), "restore it from its backup"),
    }
}

/// Whether the log ends where it was last written. `keywright audit verify` follows all of it.
async fn audit(db: &Db, found: &mut Findings) {
    let newest = AuditFilter { account: None, target: None, action: None, actor: None, before: None, limit: 1 };
    let (head, rows) = match (audit_head(db).await, list_audit(db, &newest).await) {
        (Ok(head), Ok(rows)) => (head, rows),
        (Err(error), _) | (_, Err(error)) => {
            found.wrong(
                "audit log",
                error.to_string(),
                "keep a copy of the database as it is, and restore the last good backup",
            );
            return;
        }
    };
    let Some(last) = rows.first() else { return };
    if (last.seq, last.link) == head {
        found.ok("audit log", format!("{} rows, and ends where it was last written", head.0));
    } else {
        let detail = format!("ends with row {}, but row {} was written last", last.seq, head.0);
        found.wrong(
            "audit log",
            detail,
            "see `keywright audit verify`; find out who can write to the database, and keep a copy as it is",
        );
    }
    let now = Clock::System.now();
    if last.at > now.after(Span::minutes(1)) {
        let detail = format!("says {now}, but the last change was written down at {}", last.at);
        found.wrong("clock", detail, "set it: expiries, limits and graces go by it");
    } else {
        found.ok("clock", now.to_string());
    }
}

fn show(global: &Global, found: &Findings) -> Result<Exit> {
    let is_wrong = found.0.iter().any(|finding| finding.status == Status::Wrong);
    match global.format() {
        Format::Json => output::json(&json!({ "healthy": !is_wrong, "findings": found.0 }))?,
        Format::Table => {
            let colours = say::colours_output();
            for Finding { status, check, detail, mend } in &found.0 {
                let (word, style) = match status {
                    Status::Ok => ("ok     ", "32"),
                    Status::Warning => ("warning", "33"),
                    Status::Wrong => ("wrong  ", "31"),
                };
                say::data(&format!("{} {check:14} {detail}", say::paint(word, style, colours)))?;
                if let Some(mend) = mend {
                    say::data(&format!("        {:14} → {mend}", ""))?;
                }
            }
        }
    }
    Ok(if is_wrong { Exit::Failed } else { Exit::Done })
}
