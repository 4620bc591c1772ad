//! Lists in pages: `data` and a `next_cursor`, which is `null` on the last page.

use keywright_app::error::Error;
use keywright_core::time::{Span, Time};
use serde::{Deserialize, Deserializer, Serialize};

use crate::extract::misfit;
use crate::problem::Problem;

/// Rows a page has where the request does not say.
const USUAL: u32 = 50;
/// Rows a page may have.
const MOST: u32 = 200;

/// A page of a list.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// From one row more than the page has, where there are more.
    pub(crate) fn of<R>(mut rows: Vec<R>, limit: u32, cursor: impl Fn(&R) -> String, view: impl Fn(R) -> T) -> Self {
        let is_last = rows.len() <= limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = rows.last().filter(|_| !is_last).map(cursor);
        Self { data: rows.into_iter().map(view).collect(), next_cursor }
    }
}

/// What every list can be asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<u32>,
}

/// The number of rows asked for.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Error::invalid("limit", format!("is from 1 to {MOST}")).into()),
    }
}

/// A cursor from an earlier page.
pub(crate) fn cursor<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Problem> {
    let wrong = || Error::invalid("cursor", "is not one: take it from next_cursor of the page before").into();
    text.map(|text| text.parse().map_err(|_| wrong())).transpose()
}

/// A query string of the right shape.
pub(crate) fn query<T: for<'de> Deserialize<'de>>(text: Option<&str>) -> Result<T, Problem> {
    let text = text.unwrap_or_default();
    if text.contains("%00") {
        return Err(Error::invalid("query", "has a NUL character, which nothing here can hold").into());
    }
    let pairs = form_urlencoded::parse(text.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
        .map_err(|error| misfit(error.path(), &error.inner().to_string(), "query"))
}

/// A point in time, written as one or as so long from now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    At(Time),
    In(Span),
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let at = text.parse().map(Self::At).or_else(|_| text.parse().map(Self::In));
        at.map_err(|_: String| {
            serde::de::Error::custom("is a time, as in 2026-11-21T09:30:00Z, or a length of time, as in 30d")
        })
    }
}
