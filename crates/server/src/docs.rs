//! The API's description, for machines and for people.

use axum::Json;
use axum::response::Html;
use serde_json::{Value, json};

/// The API's description (OpenAPI 3.1) as JSON.
#[must_use]
pub fn openapi_json() -> String {
    json!({}).to_string()
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Json<Value> {
    Json(json!({}))
}

/// `GET /docs`
pub(crate) async fn page() -> Html<&'static str> {
    Html("")
}
