//! `POST /v1/keys/import`: bring in keys another system issued, by their hashes.

use axum::extract::{Request, State};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use keywright_app::import::{ImportRow, Imported};
use keywright_core::draft::Draft;
use keywright_core::id::{AccountId, KeyId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::from_value;
use crate::Server;
use crate::extract::{Who, json, read};
use crate::problem::Problem;

/// The most an import may be: a thousand rows with room for what is kept with them.
const MOST_BYTES: usize = 4 * 1_024 * 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    account_id: Option<AccountId>,
    kind: Option<String>,
    keys: Vec<serde_json::Map<String, Value>>,
}

#[derive(Serialize)]
pub(crate) struct Report {
    created: usize,
    present: usize,
    refused: usize,
    results: Vec<RowReport>,
}

#[derive(Serialize)]
struct RowReport {
    index: usize,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `POST /v1/keys/import`
pub(crate) async fn import(
    State(server): State<Server>,
    who: Who,
    request: Request,
) -> Result<axum::Json<Report>, Problem> {
    let (parts, body) = request.into_parts();
    let Import { account_id, kind, keys } = json(&parts.headers, &read(body, MOST_BYTES).await?)?;
    let rows = keys.into_iter().map(row).collect();
    let outcomes = server.app.import_keys(&who.caller, account_id, kind.as_deref(), rows).await?;
    let count = |outcome: &str| outcomes.iter().filter(|made| describe(made).0 == outcome).count();
    let (created, present, refused) = (count("created"), count("present"), count("refused"));
    let results = outcomes.iter().enumerate().map(|(index, made)| {
        let (outcome, id, reason) = describe(made);
        RowReport { index, outcome, id, reason: reason.map(str::to_owned) }
    });
    Ok(axum::Json(Report { created, present, refused, results: results.collect() }))
}

fn describe(made: &Imported) -> (&'static str, Option<KeyId>, Option<&str>) {
    match made {
        Imported::Created(id) => ("created", Some(*id), None),
        Imported::Present => ("present", None, None),
        Imported::Refused(reason) => ("refused", None, Some(reason)),
    }
}

fn row(mut fields: serde_json::Map<String, Value>) -> Result<ImportRow, String> {
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: is a text")),
    };
    let hash = text("hash")?.ok_or("hash: is required: the SHA-256 of the whole key, in hexadecimal or base64")?;
    let prefix = text("prefix")?.unwrap_or_default();
    let sha256 = digest(&hash).ok_or("hash: is not a SHA-256: 64 hexadecimal digits, or 44 characters of base64")?;
    let draft: Draft = from_value(Value::Object(fields)).map_err(|problem| problem.detail().to_owned())?;
    Ok(ImportRow { sha256, prefix, draft })
}

/// Reads a SHA-256 in hexadecimal or base64.
fn digest(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() == 64 {
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        return Some(bytes);
    }
    let decoded = [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD];
    decoded.iter().find_map(|engine| engine.decode(text).ok())?.try_into().ok()
}
