//! `keywright members`: who belongs to an account, and who is asked to.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::call::{Call, escape};
use crate::confirm::Yes;
use crate::exit::Exit;
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{self, Column, Look};
use crate::say;
use crate::session::call;

const COLUMNS: [Column; 6] = [
    Column("USER", "user_id", Look::Plain),
    Column("EMAIL", "email", Look::Plain),
    Column("ROLE", "role", Look::Plain),
    Column("STATUS", "status", Look::Status),
    Column("2FA", "second_factor", Look::Plain),
    Column("SINCE", "since", Look::Ago),
];

const INVITATIONS: [Column; 5] = [
    Column("ID", "id", Look::Plain),
    Column("EMAIL", "email", Look::Plain),
    Column("ROLE", "role", Look::Plain),
    Column("INVITED", "created_at", Look::Ago),
    Column("EXPIRES", "expires_at", Look::Plain),
];

/// What can be done with who belongs to an account.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List an account's members
    List {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        paging: Paging,
    },
    /// Make somebody there is a member
    #[command(after_help = "Examples:\n  keywright members add acc_… usr_… --role admin")]
    Add {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        role: Role,
    },
    /// Give a member another role, in force on their next request
    SetRole {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        role: Role,
    },
    /// Take a member out: their sessions and their own keys in the account end at once
    Remove {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        yes: Yes,
    },
    /// Invite somebody by mail
    #[command(after_help = "Examples:\n  keywright members invite acc_… ann@example.com --role developer")]
    Invite {
        #[command(flatten)]
        account: Account,
        /// Where the link is mailed to
        #[arg(value_name = "ADDRESS")]
        email: String,
        #[command(flatten)]
        role: Role,
    },
    /// List the invitations that still hold
    Invitations {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        paging: Paging,
    },
    /// Withdraw an invitation
    Withdraw {
        #[command(flatten)]
        account: Account,
        /// The invitation's id, as in inv_…
        #[arg(value_name = "INVITATION")]
        invitation: String,
    },
}

/// An account.
#[derive(Args)]
pub(crate) struct Account {
    /// The account's id, as in acc_…
    #[arg(value_name = "ACCOUNT")]
    account: String,
}

impl Account {
    fn path(&self, rest: &str) -> String {
        format!("/v1/accounts/{}/{rest}", escape(&self.account))
    }
}

/// A person.
#[derive(Args)]
pub(crate) struct User {
    /// The person's id, as in usr_…
    #[arg(value_name = "USER")]
    user: String,
}

impl User {
    fn path(&self, account: &Account) -> String {
        account.path(&format!("members/{}", escape(&self.user)))
    }
}

/// A role.
#[derive(Args)]
pub(crate) struct Role {
    /// What they are in the account
    #[arg(long, value_name = "ROLE", value_parser = ["owner", "admin", "developer", "viewer"])]
    role: String,
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::List { account, paging } => {
            list::run(global, Call::get(account.path("members")), &paging, &COLUMNS).await?;
        }
        Command::Add { account, user, role } => {
            let body = json!({ "user_id": user.user, "role": role.role });
            output::object(global, &call(global, Call::post(account.path("members"), body)).await?)?;
        }
        Command::SetRole { account, user, role } => {
            let body = json!({ "role": role.role });
            output::object(global, &call(global, Call::patch(user.path(&account), body)).await?)?;
        }
        Command::Remove { account, user, yes } => {
            yes.confirm(&format!("{} is out of the account at once, and keys of their own are revoked.", user.user))?;
            call(global, Call::delete(user.path(&account))).await?;
            say::note("They are out.");
        }
        Command::Invite { account, email, role } => {
            let body = json!({ "email": email, "role": role.role });
            output::object(global, &call(global, Call::post(account.path("invitations"), body)).await?)?;
        }
        Command::Invitations { account, paging } => {
            list::run(global, Call::get(account.path("invitations")), &paging, &INVITATIONS).await?;
        }
        Command::Withdraw { account, invitation } => {
            let path = account.path(&format!("invitations/{}", escape(&invitation)));
            call(global, Call::delete(path)).await?;
            say::note("Withdrawn.");
        }
    }
    Ok(Exit::Done)
}
