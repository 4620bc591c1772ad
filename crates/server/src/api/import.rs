//! `POST /v1/keys/import`: bring in keys another system issued, by their hashes.

use axum::extract::{Request, State};
use keywright_app::import::Imported;
use keywright_core::id::{AccountId, KeyId};
use keywright_core::import::ImportRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    let rows = keys.into_iter().map(ImportRow::read).collect();
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
