//! `keywright serve`: a server by its configuration.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Args;
use keywright_app::setup::Issued;
use keywright_server::Options;
use serde_json::json;
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::log::{self, LogFormat};
use crate::options::Global;
use crate::place::{config_file, load_config};
use crate::tls::TlsFiles;
use crate::{config, running, say};

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
SIGTERM and SIGINT end it once the calls under way are answered. SIGHUP reloads the policy and the certificate; a wrong one is \
logged, by file and line where it has lines, and the one before stays in force. A certificate whose files change is also taken up \
without it, within seconds, by the next connection.

Examples:
  keywright serve --config /etc/keywright/keywright.toml --log-format json
  kill -HUP $(pidof keywright)";

/// `serve`
#[derive(Args)]
pub(crate) struct Serve {
    /// Where to listen, whatever the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How to write the log, whatever the configuration says
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Serves until it is told to stop.
pub(crate) async fn run(global: &Global, serve: Serve) -> Result<Exit> {
    let file = config_file(global).unwrap_or_else(|| config::FILE.into());
    let config = load_config(global, &file)?;
    log::start(&config.log, serve.log_format.unwrap_or(config.log_format))?;
    let place = config.place;
    place.folder.create()?;
    let lock = place.folder.take_alone("stop it first, or begin another with a configuration of its own").await?;
    let tls = place.tls.as_ref().map(TlsFiles::open).transpose()?;
    let trusted = place.upstreams.trusted().map_err(|wrongs| config::refuse(&wrongs))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listening = running::listen(serve.listen.unwrap_or(config.listen), scheme).await?;
    let house = place.open(lock).await?;
    let link = house.app.first_setup_link().await?;
    let format = serve.log_format.unwrap_or(config.log_format);
    let ready = |url: &str| {
        tracing::info!(url, database = place.shown_database(), config = %file.display(), "listening");
        link.iter().for_each(|link| show(link, url, format));
        Ok(())
    };
    running::run(&place, house, listening, Options { tls, trusted, ..config.options }, ready).await?;
    Ok(Exit::Done)
}

/// Shows the set-up link, this once: past the log and its levels, in a form that does not break it.
fn show(link: &Issued, listening: &str, format: LogFormat) {
    let url = match &link.url {
        Some(url) => Zeroizing::new(url.reveal().to_owned()),
        None => Zeroizing::new(format!("{listening}/setup?token={}", link.token.reveal())),
    };
    let url = url.as_str();
    match format {
        LogFormat::Text => say::note(&format!(
            "\nThere is no operator who can log in yet. Become the first on this page; the link is good for a day and for one \
             use:\n\n  {url}\n\n`keywright users setup-link` prints another.\n"
        )),
        LogFormat::Json => {
            let line =
                json!({ "level": "INFO", "message": "there is no operator who can log in yet", "setup_link": url });
            say::note(&line.to_string());
        }
    }
}
