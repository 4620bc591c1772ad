//! Lists: one page, or all of them.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::call::Call;
use crate::options::Global;
use crate::output::{self, Column};
use crate::session;

/// The most rows the API gives at once.
const MOST: u32 = 200;

/// How much of a list is wanted.
#[derive(Args)]
pub(crate) struct Paging {
    /// Rows a page, at most 200 [default: 50]
    #[arg(long, value_name = "COUNT", conflicts_with = "all")]
    limit: Option<u32>,
    /// Begin where the page before ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// All pages
    #[arg(long)]
    all: bool,
}

/// Fetches a list and shows it.
pub(crate) async fn run(global: &Global, call: Call, paging: &Paging, columns: &[Column]) -> Result<()> {
    let limit = if paging.all { Some(MOST) } else { paging.limit };
    let call = call.query("limit", limit);
    let page = session::with(global, async |session| {
        let mut page = session.call(call.clone().query("cursor", paging.cursor.as_deref())).await?;
        let mut rows = take_rows(&mut page);
        while let Some(cursor) = page.get("next_cursor").and_then(Value::as_str).filter(|_| paging.all) {
            page = session.call(call.clone().query("cursor", Some(cursor))).await?;
            rows.extend(take_rows(&mut page));
        }
        Ok(json!({ "data": rows, "next_cursor": page.get("next_cursor") }))
    });
    output::page(global, &page.await?, columns)
}

fn take_rows(page: &mut Value) -> Vec<Value> {
    match page.get_mut("data").map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    }
}
