//! The API's description, for machines (`/openapi.json`) and for people (`/docs`). Both come from one table.

mod document;
mod operations;
mod page;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};

use crate::problem::Problem;

/// Nothing but the page's own stylesheet: no script, no frame, no other host.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("../templates/docs.css");

/// The API's description (OpenAPI 3.1) as JSON.
#[must_use]
pub fn openapi_json() -> String {
    serde_json::to_string_pretty(&document::document()).unwrap_or_default()
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], openapi_json()).into_response()
}

/// `GET /docs`
pub(crate) async fn page() -> Result<Response, Problem> {
    let html = page::render().map_err(|_| Problem::new("INTERNAL", "the page could not be written"))?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, html).into_response())
}

/// `GET /docs/style.css`
pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "no-cache")], STYLE).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::router::{Dialect, ROUTES};

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<_> =
            operations::operations().map(|operation| (operation.method, operation.path)).collect();
        let of_api = ROUTES.iter().filter(|route| route.dialect != Dialect::Dashboard);
        let routed: BTreeSet<_> = of_api.map(|route| (route.method, route.path)).collect();
        // Pages for people are no part of the API; stylesheets are part of their pages.
        const PAGES: [&str; 4] = ["/docs/style.css", "/verify-email", "/reset-password", "/join"];
        let routed: BTreeSet<_> = routed.into_iter().filter(|(_, path)| !PAGES.contains(path)).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let text = openapi_json();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"].get(name).is_some(), "there is no schema {name}");
        }
    }

    #[test]
    fn every_code_has_its_place_on_the_page() {
        let html = page::render().unwrap();
        for (code, ..) in crate::problem::CODES {
            assert!(html.contains(&format!("id=\"{}\"", code.to_lowercase().replace('_', "-"))), "{code}");
        }
        assert!(!html.contains("http://") && !html.contains("https://"), "the page names another host");
    }
}
