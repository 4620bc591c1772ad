//! A server under way, `dev`'s and `serve`'s alike: signals, the policy's reload, and an end that loses
//! nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use keywright_app::App;
use keywright_server::{Options, Tls, reachable};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{Exit, fail};
use crate::folder::ServerNote;
use crate::place::{House, Place, PolicySource};

/// Listens, for this sort of address: http or https.
pub(crate) async fn listen(address: SocketAddr, scheme: &str) -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let helps = [
            (
                ErrorKind::AddrInUse,
                "another program listens there: end it, or choose another with --listen; port 0 takes a free one",
            ),
            (
                ErrorKind::PermissionDenied,
                "ports under 1024 need a right of their own: choose a higher one with --listen",
            ),
            (
                ErrorKind::AddrNotAvailable,
                "this machine has no such address: write 127.0.0.1:8700, or 0.0.0.0:8700 for all it has",
            ),
        ];
        let help = helps
            .iter()
            .find(|(kind, _)| *kind == error.kind())
            .map_or("choose another with --listen", |(_, help)| help);
        fail(Exit::Failed, format!("cannot listen on {address} ({error}): {help}"))
    })?;
    let url = format!("{scheme}://{}", reachable(listener.local_addr().context("the listener has no address")?));
    Ok((listener, url))
}

/// Has the machine let us open as many files as it lets us ask for. Each connection is one, and each one to an upstream.
fn take_all_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "no more files can be opened than before");
    }
}

/// Serves until it is told to stop. `ready` is called once connections are taken.
pub(crate) async fn run(
    place: &Place,
    house: House,
    (listener, url): (TcpListener, String),
    options: Options,
    ready: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let House { app, tasks, lock, .. } = house;
    take_all_files();
    // Caught before anybody is told that we run.
    let signals = Signals::catch().context("signals cannot be caught")?;
    place.folder.note_server(&ServerNote { pid: std::process::id(), url: url.clone() })?;
    ready(&url)?;
    let (stop, stopping) = watch::channel(false);
    let obeying = tokio::spawn(signals.obey(place.clone(), Arc::clone(&app), options.tls.clone(), stop));
    let mut is_ours = true;
    let stop = stopped(stopping, &app, &mut is_ours);
    let served = keywright_server::serve(listener, Arc::clone(&app), options, stop).await;
    place.folder.forget_server();
    let stopped = tasks.stop().await;
    obeying.abort();
    if !is_ours {
        return Err(fail(Exit::Unreachable, "the claim on the database was lost: start again to claim it anew"));
    }
    stopped.context("what was counted last could not be written down")?;
    tracing::info!("stopped; nothing that was acknowledged is lost");
    drop(lock);
    served.context("the listener broke")
}

/// Waits until the server is to stop: told to, or no longer the one that may use the database.
async fn stopped(mut stopping: watch::Receiver<bool>, app: &App, is_ours: &mut bool) {
    tokio::select! {
        // The other end is gone only when the process is about to be.
        _ = stopping.wait_for(|stop| *stop) => {}
        () = app.claim_lost() => {
            *is_ours = false;
            tracing::error!("stopping: another process may use the database by now");
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// SIGTERM and SIGINT end the server once calls under way are answered, a second one at once; SIGHUP reloads.
    async fn obey(mut self, place: Place, app: Arc<App>, tls: Option<Tls>, stop: watch::Sender<bool>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hang_up.recv() => match &place.policy {
                    PolicySource::File(_) => {
                        reload(&place, &app);
                        if let Some(tls) = &tls {
                            tls.reload(app.now());
                        }
                        continue;
                    }
                    // There is nothing to reload; the terminal was closed.
                    PolicySource::BuiltIn => {}
                }
            }
            if *stop.borrow() {
                // What was acknowledged is on disk already; only counts of the last second are given up.
                tracing::warn!("told to stop twice: calls under way are cut off");
                std::process::exit(i32::from(Exit::Failed as u8));
            }
            tracing::info!("stopping: calls under way are answered first");
            stop.send_replace(true);
        }
    }
}

/// Puts the policy file in force, or keeps the policy there is where the file is wrong.
fn reload(place: &Place, app: &App) {
    let text = match place.read_policy() {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the policy stays as it was");
            return;
        }
    };
    match place.check_policy(&text) {
        Ok(policy) => {
            app.put_in_force(policy);
            tracing::info!("the policy was reloaded");
        }
        Err(wrongs) => {
            for wrong in wrongs {
                tracing::error!("{wrong}");
            }
            tracing::error!("the policy stays as it was: mend the file and send SIGHUP again");
        }
    }
}
