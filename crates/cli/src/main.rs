//! `keywright`, the one binary. This page is its table of contents: every command, and where it is written.
//!
//! A command that manages things is one HTTP request (`call.rs`), sent to a running server or answered inside this process
//! (`session.rs`); what differs is only what is asked and how the answer is shown (`output.rs`).

mod accounts;
mod audit;
mod backup;
mod call;
mod check;
mod completion;
mod config;
mod confirm;
mod dev;
mod dev_screen;
mod docs;
mod doctor;
mod exit;
mod fields;
mod folder;
mod gateway;
mod import;
mod init;
mod keys;
mod list;
mod lockouts;
mod log;
mod mail;
mod members;
mod openapi;
mod options;
mod output;
mod place;
mod progress;
mod registry;
mod rekey;
mod remote;
mod running;
mod say;
mod serve;
mod session;
mod signing_keys;
mod tls;
mod upstreams;
mod users;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;
use options::Global;

/// Every verification allocates its answer on the way out, and this gives it back sooner than the system's does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The credential authority for an API: issue, scope, limit, verify, rotate, revoke and audit its keys.
#[derive(Parser)]
#[command(name = "keywright", version, about, arg_required_else_help = true, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server to try things on, with a demo account and a key of each kind
    #[command(after_help = dev::HELP)]
    Dev(dev::Dev),
    /// Begin a Keywright: configuration, policy, master key, first operator key
    #[command(after_help = init::HELP)]
    Init(init::Init),
    /// Run a server by its configuration
    #[command(after_help = serve::HELP)]
    Serve(serve::Serve),
    /// Check the configuration and the policy
    #[command(subcommand)]
    Config(check::Command),
    /// Set up a proxy of your own to ask here about its requests
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Make, list, change, rotate, revoke, verify and import keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make, list, change and suspend accounts
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Make people and operators, and begin, list and end their sessions
    #[command(subcommand)]
    Users(users::Command),
    /// See who belongs to an account, change it, and invite people
    #[command(subcommand)]
    Members(members::Command),
    /// See who is locked out after too many wrong keys, and let them try again
    #[command(subcommand)]
    Lockouts(lockouts::Command),
    /// See and rotate the keys access tokens are signed with
    #[command(subcommand)]
    SigningKeys(signing_keys::Command),
    /// Write down, list, change and strike off the services accounts have
    #[command(subcommand)]
    Services(registry::Command),
    /// Read the audit log, and check that it is whole
    #[command(subcommand)]
    Audit(audit::Command),
    /// Copy the database, also while a server runs
    #[command(after_help = backup::HELP)]
    Backup(backup::Backup),
    /// Replace the master key; no key has to be reissued
    #[command(after_help = rekey::HELP)]
    Rekey(rekey::Rekey),
    /// Find what is wrong and how to mend it
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::Doctor),
    /// Print the API's description (OpenAPI 3.1)
    Openapi,
    /// Print completions for a shell
    #[command(after_help = "Examples:\n  keywright completion bash > /etc/bash_completion.d/keywright")]
    Completion(completion::Completion),
    /// Print a page of the reference
    #[command(subcommand, hide = true)]
    Docs(docs::Command),
}

const AFTER_HELP: &str = "\
Begin with `keywright dev`, which needs nothing, or with `keywright init`.

Commands speak to the server at --server or KEYWRIGHT_BASE_URL with the operator key in KEYWRIGHT_API_KEY; else to the one that \
runs on the data folder; else, when none runs, straight to the data folder.

Data goes to standard output, all else to standard error. NO_COLOR takes the colour away, KEYWRIGHT_LOG=debug says more. \
Secrets are read from standard input or the environment, never from the command line.

Exit codes:
  0  done
  1  failed, or a check found something wrong
  2  the command, a field or the configuration is wrong
  3  there is no such thing
  4  not permitted, or not confirmed
  5  the server or the database is out of reach
  6  keys verify: the key does not pass
  7  keys import: some lines were refused";

fn main() -> ExitCode {
    // Whatever is made from here on is the owner's alone, SQLite's files included.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = Cli::parse();
    let ended = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(cli)));
    match ended {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::from(Exit::Failed as u8),
        Err(error) => {
            let colours = say::colours_notes();
            say::note(&format!("{} {error:#}", say::paint("error:", "1;31", colours)));
            ExitCode::from(exit::code(&error) as u8)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Cli { global, command } = cli;
    if !matches!(command, Command::Dev(_) | Command::Serve(_)) {
        log::start(log::QUIET, log::LogFormat::Text)?;
    }
    match command {
        Command::Dev(dev) => dev::run(&global, dev).await,
        Command::Init(init) => init::run(&global, init).await,
        Command::Serve(serve) => serve::run(&global, serve).await,
        Command::Config(command) => check::run(&global, &command),
        Command::Gateway(command) => gateway::run(&global, &command),
        Command::Keys(command) => keys::run(&global, command).await,
        Command::Accounts(command) => accounts::run(&global, command).await,
        Command::Users(command) => users::run(&global, command).await,
        Command::Members(command) => members::run(&global, command).await,
        Command::Lockouts(command) => lockouts::run(&global, command).await,
        Command::SigningKeys(command) => signing_keys::run(&global, command).await,
        Command::Services(command) => registry::run(&global, command).await,
        Command::Audit(command) => audit::run(&global, command).await,
        Command::Backup(backup) => backup::run(&global, backup).await,
        Command::Rekey(rekey) => rekey::run(&global, rekey).await,
        Command::Doctor(doctor) => doctor::run(&global, doctor).await,
        Command::Openapi => openapi::run(),
        Command::Completion(completion) => completion::run(&completion),
        Command::Docs(command) => docs::run(&command),
    }
}
