//! `keywright users`: people, the accounts they belong to, and their sessions.

use std::io::{BufRead as _, Read as _};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::accounts::fields;
use crate::call::{Call, escape};
use crate::exit::{Exit, fail};
use crate::list::{self, Paging};
use crate::options::{Format, Global};
use crate::output::{self, Column, Look};
use crate::say;
use crate::session::{Session, with};

/// The most that is read of standard input.
const MOST_BYTES: u64 = 4_096;

const COLUMNS: [Column; 5] = [
    Column("ID", "id", Look::Plain),
    Column("EMAIL", "email", Look::Plain),
    Column("STATUS", "status", Look::Plain),
    Column("2FA", "second_factor", Look::Plain),
    Column("CREATED", "created_at", Look::Ago),
];

const SESSIONS: [Column; 6] = [
    Column("ID", "id", Look::Plain),
    Column("ACCOUNT", "account_id", Look::Plain),
    Column("METHOD", "method", Look::Plain),
    Column("IP", "ip", Look::Plain),
    Column("LAST SEEN", "last_seen_at", Look::Ago),
    Column("EXPIRES", "expires_at", Look::Plain),
];

const IDENTITIES: [Column; 4] = [
    Column("ID", "id", Look::Plain),
    Column("ISSUER", "issuer", Look::Plain),
    Column("SUBJECT", "subject", Look::Plain),
    Column("LINKED", "created_at", Look::Ago),
];

/// What can be done with people.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a person who belongs to an account, or who is an operator
    #[command(after_help = "Examples:\n  keywright users create ann@example.com --account acc_… --role developer\n  \
        pass show ann | keywright users create ann@example.com --account acc_… --role owner --password-stdin\n  \
        pass show eve | keywright users create eve@example.com --operator --password-stdin")]
    Create {
        /// Their address
        email: String,
        /// The account they belong to
        #[arg(long, value_name = "ACCOUNT", requires = "role", required_unless_present_any = ["operator", "permission"])]
        account: Option<String>,
        /// What they are in it
        #[arg(long, value_name = "ROLE", requires = "account", value_parser = ["owner", "admin", "developer", "viewer"])]
        role: Option<String>,
        #[command(flatten)]
        operator: AsOperator,
        /// Read their password from the first line of standard input; without one they cannot log in
        #[arg(long)]
        password_stdin: bool,
    },
    /// List people
    List(Paging),
    /// Show a person and the accounts they belong to
    Get(One),
    /// Shut a person out: their sessions are refused from the next request on
    Disable(One),
    /// Let a person in again
    Enable(One),
    /// Make a person an operator, or give an operator other permissions; it counts on their next request
    #[command(after_help = "Examples:\n  keywright users promote ann@example.com\n  \
        keywright users promote ann@example.com --permission accounts:read --permission audit:read")]
    Promote {
        #[command(flatten)]
        user: One,
        /// What they may do, as in accounts:read; repeat for several [default: *]
        #[arg(long, value_name = "PERMISSION")]
        permission: Vec<String>,
    },
    /// Make an operator a person like others
    Demote(One),
    /// Print a link on which the first operator chooses a password; it is good for a day and for one use
    SetupLink,
    /// Turn a person's second factor off, for one who has lost it and their backup codes; their sessions end
    #[command(name = "reset-2fa")]
    ResetFactor(One),
    /// Begin a session for a person, and print its access token alone
    #[command(after_help = "Examples:\n  TOKEN=$(keywright users token ann@example.com)\n  \
        curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8700/v1/keys")]
    Token {
        #[command(flatten)]
        user: One,
        /// The account they act in, where they belong to several
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// How long it lasts, up to 1h [default: 1h]
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// List a person's sessions that still hold
    Sessions {
        #[command(flatten)]
        user: One,
        #[command(flatten)]
        paging: Paging,
    },
    /// End a person's session: its token is refused from the next request on
    EndSession {
        #[command(flatten)]
        user: One,
        /// The session's id, as in ses_…
        session: String,
    },
    /// Link an identity at a provider to a person: its access tokens are theirs from now on
    #[command(after_help = "Examples:\n  keywright users link-identity ann@example.com --issuer keycloak \
        --subject f3a1c6d0-8d2e-4c57")]
    LinkIdentity {
        #[command(flatten)]
        user: One,
        /// The issuer's name in the policy, or its url
        #[arg(long, value_name = "ISSUER")]
        issuer: String,
        /// What its tokens say in `sub`
        #[arg(long, value_name = "SUBJECT")]
        subject: String,
    },
    /// List a person's identities at providers
    Identities {
        #[command(flatten)]
        user: One,
        #[command(flatten)]
        paging: Paging,
    },
    /// Unlink an identity from a person: its tokens are refused from the next request on
    UnlinkIdentity {
        #[command(flatten)]
        user: One,
        /// The identity's id, as in idn_…
        identity: String,
    },
}

/// What somebody may do as an operator.
#[derive(Args)]
pub(crate) struct AsOperator {
    /// They are an operator and may do everything
    #[arg(long)]
    operator: bool,
    /// They are an operator and may do this, as in accounts:read; repeat for several
    #[arg(long, value_name = "PERMISSION", conflicts_with = "operator")]
    permission: Vec<String>,
}

impl AsOperator {
    fn permissions(self) -> Option<Vec<String>> {
        if self.operator { Some(vec!["*".into()]) } else { Some(self.permission).filter(|all| !all.is_empty()) }
    }
}

/// A person.
#[derive(Args)]
pub(crate) struct One {
    /// The person's address, or their id, as in usr_…
    #[arg(value_name = "USER")]
    user: String,
}

impl One {
    /// Where the person is found.
    async fn path(&self, session: &Session) -> Result<String> {
        if !self.user.contains('@') {
            return Ok(format!("/v1/users/{}", escape(&self.user)));
        }
        let found = session.call(Call::get("/v1/users").query("email", Some(self.user.as_str()))).await?;
        match found.pointer("/data/0/id").and_then(Value::as_str) {
            Some(id) => Ok(format!("/v1/users/{id}")),
            None => Err(fail(Exit::NotFound, format!("there is nobody with the address {}", self.user))),
        }
    }
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::Create { email, account, role, operator, password_stdin } => {
            let member = (account.map(Value::from), role.map(Value::from));
            create(global, email, member, operator.permissions(), password_stdin).await?;
        }
        Command::List(paging) => list::run(global, Call::get("/v1/users"), &paging, &COLUMNS).await?,
        Command::Get(user) => {
            let found = with(global, async |session| session.call(Call::get(user.path(session).await?)).await).await?;
            output::object(global, &found)?;
        }
        Command::Disable(user) => output::object(global, &post(global, &user, "disable").await?)?,
        Command::Enable(user) => output::object(global, &post(global, &user, "enable").await?)?,
        Command::Promote { user, permission } => promote(global, &user, permission).await?,
        Command::Demote(user) => output::object(global, &post(global, &user, "demote").await?)?,
        Command::SetupLink => {
            let call = async |session: &Session| session.call(Call::post("/v1/users/setup-link", json!({}))).await;
            print_link(global, &with(global, call).await?)?;
        }
        Command::ResetFactor(user) => {
            let reset = with(global, async |session| {
                let path = format!("{}/2fa", user.path(session).await?);
                session.call(Call::delete(path)).await
            });
            reset.await?;
            say::note("The second factor is off.");
        }
        Command::Token { user, account, expires_in } => {
            let body = fields([("account_id", account.map(Value::from)), ("expires_in", expires_in.map(Value::from))]);
            let begun = with(global, async |session| {
                let path = format!("{}/sessions", user.path(session).await?);
                session.call(Call::post(path, body.into())).await
            });
            print_token(global, &begun.await?)?;
        }
        Command::Sessions { user, paging } => {
            let path = with(global, async |session| user.path(session).await).await?;
            list::run(global, Call::get(format!("{path}/sessions")), &paging, &SESSIONS).await?;
        }
        Command::EndSession { user, session: id } => {
            let ended = with(global, async |session| {
                let path = format!("{}/sessions/{}", user.path(session).await?, escape(&id));
                session.call(Call::delete(path)).await
            });
            ended.await?;
            say::note("Ended.");
        }
        Command::LinkIdentity { user, issuer, subject } => {
            let body = json!({ "issuer": issuer, "subject": subject });
            let linked = with(global, async |session| {
                let path = format!("{}/identities", user.path(session).await?);
                session.call(Call::post(path, body)).await
            });
            output::object(global, &linked.await?)?;
        }
        Command::Identities { user, paging } => {
            let path = with(global, async |session| user.path(session).await).await?;
            list::run(global, Call::get(format!("{path}/identities")), &paging, &IDENTITIES).await?;
        }
        Command::UnlinkIdentity { user, identity } => {
            let unlinked = with(global, async |session| {
                let path = format!("{}/identities/{}", user.path(session).await?, escape(&identity));
                session.call(Call::delete(path)).await
            });
            unlinked.await?;
            say::note("Unlinked.");
        }
    }
    Ok(Exit::Done)
}

async fn create(
    global: &Global,
    email: String,
    (account, role): (Option<Value>, Option<Value>),
    permissions: Option<Vec<String>>,
    password_stdin: bool,
) -> Result<()> {
    let password = if password_stdin { Some(Value::from(first_line()?)) } else { None };
    let body = fields([
        ("email", Some(email.into())),
        ("account_id", account),
        ("role", role),
        ("operator_permissions", permissions.map(Value::from)),
        ("password", password),
    ]);
    let call = async |session: &Session| session.call(Call::post("/v1/users", body.into())).await;
    output::object(global, &with(global, call).await?)
}

async fn promote(global: &Global, user: &One, permissions: Vec<String>) -> Result<()> {
    let named = Some(permissions).filter(|all| !all.is_empty()).map(Value::from);
    let body = fields([("operator_permissions", named)]);
    let call = async |session: &Session| {
        let path = format!("{}/promote", user.path(session).await?);
        session.call(Call::post(path, body.into())).await
    };
    output::object(global, &with(global, call).await?)
}

/// The token alone, for a shell to take; all of the answer where `-o json` asks for it.
fn print_token(global: &Global, begun: &Value) -> Result<()> {
    if matches!(global.output, Some(Format::Json)) {
        return output::object(global, begun);
    }
    match begun.get("access_token").and_then(Value::as_str) {
        Some(token) => Ok(say::data(token)?),
        None => bail!("the answer has no access_token"),
    }
}

/// The link alone, for a person to open; all of the answer where `-o json` asks for it.
fn print_link(global: &Global, issued: &Value) -> Result<()> {
    if matches!(global.output, Some(Format::Json)) {
        return output::object(global, issued);
    }
    let text = |name: &str| issued.get(name).and_then(Value::as_str);
    match (text("url"), text("token")) {
        (Some(url), _) => say::data(url)?,
        (None, Some(token)) => {
            say::data(&format!("/setup?token={token}"))?;
            say::note("Open it at the address of the server: this configuration has no public_url.");
        }
        (None, None) => bail!("the answer has no token"),
    }
    say::note("It makes the first operator, once, within a day. One that was printed before is void.");
    Ok(())
}

async fn post(global: &Global, user: &One, verb: &str) -> Result<Value> {
    let call = async |session: &Session| {
        let path = format!("{}/{verb}", user.path(session).await?);
        session.call(Call::post(path, json!({}))).await
    };
    with(global, call).await
}

/// A secret is never on a command line.
fn first_line() -> Result<String> {
    if say::is_input_terminal() {
        return Ok(say::ask_secret("Password: ")?);
    }
    let mut line = String::new();
    std::io::stdin().lock().take(MOST_BYTES).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
