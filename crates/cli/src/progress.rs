//! Progress, on anything longer than a second, where a person sees standard error.

use std::future::Future;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::say;

/// How long nothing is shown.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

/// Waits for a future, and shows that it does once it takes longer than a second.
pub(crate) async fn wait<T>(what: &str, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    if !say::is_notes_terminal() {
        return future.await;
    }
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut future).await {
        return done;
    }
    let spinner = ProgressBar::new_spinner().with_message(format!("{what}…"));
    spinner.enable_steady_tick(TICK);
    let done = future.await;
    spinner.finish_and_clear();
    done
}

/// A bar over so many bytes; invisible where nobody sees it.
pub(crate) fn bytes(total: u64, what: &str) -> ProgressBar {
    let target = if say::is_notes_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = "{prefix} {bar:30} {percent:>3}% · {bytes}/{total_bytes} · {eta} left {msg}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what.to_owned());
    bar
}
