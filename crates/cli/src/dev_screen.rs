//! What `keywright dev` shows once it runs: where things are, and three commands that work when pasted.

use std::fmt::Write as _;

use crate::dev::Credentials;
use crate::place::Place;
use crate::say::{bold, dim};

/// The start screen.
pub(crate) fn screen(place: &Place, url: &str, credentials: &Credentials, colours: bool) -> String {
    let Credentials { operator_key, account_id, user, keys } = credentials;
    let mut text = String::new();
    let folder = place.folder.0.display();
    let title = bold(&format!("Keywright is running at {url}"), colours);
    let _ = writeln!(text, "\n{title}\n");
    let mut rows = |rows: &[(&str, String)]| {
        for (name, value) in rows {
            let _ =
                writeln!(text, "  {}{}{value}", dim(name, colours), " ".repeat(20_usize.saturating_sub(name.len())));
        }
        text.push('\n');
    };
    rows(&[
        ("dashboard", format!("{url}/dashboard, as a customer and as the operator")),
        ("API, with docs", format!("{url}/docs")),
        ("gate", format!("{url}/v1/storage/, /v1/chat/completions and more, to demo services")),
        ("data", format!("{folder} (delete it to begin anew)")),
        ("credentials", place.folder.dev_credentials().display().to_string()),
        ("mail", format!("{folder}/mail, a file for each letter")),
        ("operator key", operator_key.clone()),
        ("account", format!("{account_id} (Demo)")),
        ("user", format!("{} · {}", user.email, user.password)),
    ]);
    rows(&[
        ("default", keys.default.clone()),
        ("wayscloud storage", keys.wayscloud_storage.clone()),
        ("wayscloud llm", keys.wayscloud_llm.clone()),
        ("wayscloud pat", keys.wayscloud_pat.clone()),
        ("wavis", keys.wavis.clone()),
        ("cloudheed", keys.cloudheed.clone()),
    ]);
    let verify = format!(r#"{{"key":"{}","permissions":["storage:read"]}}"#, keys.wayscloud_storage);
    let create = format!(
        r#"{{"account_id":"{account_id}","name":"My first key","permissions":["documents:read"],"expires_in":"90d"}}"#
    );
    let commands = [
        (
            "Verify a key: may it read from storage?",
            curl(operator_key, &format!("{url}/v1/keys/verify"), Some(&verify)),
        ),
        ("Create a key", curl(operator_key, &format!("{url}/v1/keys"), Some(&create))),
        ("List the account's keys", curl(operator_key, &format!("{url}/v1/keys?account_id={account_id}"), None)),
    ];
    for (what, command) in commands {
        let _ = writeln!(text, "{}\n{command}\n", dim(&format!("# {what}"), colours));
    }
    text.push_str("Ctrl-C ends it. `keywright keys list` in this folder speaks to it, too.\n");
    text
}

/// A command to paste. The operator key shows that it is for trying things: nowhere else is one on a command line.
fn curl(key: &str, url: &str, body: Option<&str>) -> String {
    let mut command = format!("curl -sS '{url}' \\\n  -H 'Authorization: Bearer {key}'");
    if let Some(body) = body {
        let _ = write!(command, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'");
    }
    command
}
