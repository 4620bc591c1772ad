//! The OpenAPI 3.1 document: the operations, with every error each can answer.

use keywright_core::key::Status;
use serde_json::{Map, Value, json};

use super::operations::{Answer, Body, Content, GROUPS, Operation, operations};
use crate::problem::CODES;
use crate::router::{Dialect, Needs, ROUTES, Route};

const SCHEMAS: &str = include_str!("schemas.json");

/// What a route asks of its caller.
pub(super) fn needs(operation: &Operation) -> Needs {
    let route = ROUTES.iter().find(|route| (route.method, route.path) == (operation.method, operation.path));
    route.map_or(Needs::Nothing, |route| route.needs)
}

/// Codes of every error a route can answer.
pub(super) fn errors(operation: &Operation) -> Vec<&'static str> {
    let mut codes = Vec::new();
    let needs = needs(operation);
    let has_body = !matches!(operation.body, Body::None);
    if has_body {
        codes.extend(["TIMED_OUT", "TOO_LARGE", "NOT_JSON"]);
    }
    if matches!(operation.body, Body::Json { .. }) {
        codes.push("INVALID_JSON");
    }
    if has_body || !operation.query.is_empty() {
        codes.push("INVALID");
    }
    if needs != Needs::Nothing {
        codes.push("UNAUTHENTICATED");
    }
    // What asks for nothing and carries nothing is answered from memory.
    if needs != Needs::Nothing || has_body {
        codes.extend(["RATE_LIMITED", "INTERNAL", "UNAVAILABLE"]);
    }
    if matches!(needs, Needs::Session | Needs::Permission(_) | Needs::Operator(_)) {
        codes.push("FORBIDDEN");
    }
    if operation.path.contains('{') || operation.path.ends_with("self") || operation.conflicts {
        codes.push("NOT_FOUND");
    }
    if operation.conflicts {
        codes.push("CONFLICT");
    }
    codes.extend(operation.refuses);
    codes.sort_by_key(|code| CODES.iter().position(|(known, ..)| known == code));
    codes
}

/// The whole document.
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.to_lowercase(), described(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keywright",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The credential authority for an API",
            "description": "Issue, scope, limit, verify, rotate, revoke and audit API keys. Lists come in pages: `next_cursor` is null on \
                            the last. Errors are RFC 9457 problem documents with a stable `code`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This server" }],
        "tags": GROUPS.map(|(name, about)| json!({ "name": name, "description": about })),
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": responses(),
            "headers": headers(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`, as most kinds ask for it; a session's access token the same way." },
                "bare": { "type": "apiKey", "in": "header", "name": "Authorization", "description": "`Authorization: KEY`, for kinds whose header rule is bearer-or-bare." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "For kinds whose header rule is x-api-key." },
            },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": format!("{}{}", operation.about, needed(needs(operation))).trim(),
        "tags": [operation.group],
        "responses": answers(operation),
        "security": if needs(operation) == Needs::Nothing { json!([]) } else { json!([{ "bearer": [] }, { "bare": [] }, { "apiKey": [] }]) },
    });
    let parameters = parameters(operation);
    let Some(fields) = described.as_object_mut() else { return described };
    if !parameters.is_empty() {
        fields.insert("parameters".into(), parameters.into());
    }
    let (media, schema, example) = match operation.body {
        Body::None => return described,
        Body::Json { schema, example } => {
            ("application/json", schema, serde_json::from_str(example).unwrap_or_default())
        }
        Body::Form { schema, example } => {
            ("application/x-www-form-urlencoded", schema, json!({ "token": example.trim_start_matches("token=") }))
        }
    };
    let content = json!({ media: { "schema": reference(schema), "example": example } });
    let is_required = !matches!(schema, "Rotate" | "Empty");
    fields.insert("requestBody".into(), json!({ "required": is_required, "content": content }));
    described
}

/// What a route needs, for people.
pub(super) fn needed(needs: Needs) -> String {
    match needs {
        Needs::Nothing => String::new(),
        Needs::Key => "\n\nAny key that works.".into(),
        Needs::Browser => "\n\nFor people: a session, shown by a browser.".into(),
        Needs::Desk(_) => "\n\nFor operators: a session, shown by a browser.".into(),
        Needs::Session => "\n\nFor people: a session's access token.".into(),
        Needs::Permission(permission) => format!("\n\nNeeds the permission `{permission}`."),
        Needs::Operator(permission) => format!("\n\nFor operators. Needs the permission `{permission}`."),
    }
}

/// Whether an `Idempotency-Key` makes it safe to repeat.
fn is_repeatable(operation: &Operation) -> bool {
    let is_native = Route::dialect_at(operation.path) == Dialect::Native;
    // An address is taken once by itself, and so is a membership; a session is begun anew each time, and so is an invitation.
    let path = operation.path;
    let is_about_people = path.starts_with("/v1/users") || path.ends_with("/members") || path.ends_with("/invitations");
    is_native && !is_about_people && operation.answers.iter().any(|answer| answer.status == 201)
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let mut parameters: Vec<Value> = Vec::new();
    for name in operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        let about = match name {
            "service_id" => "The service's id.",
            "session_id" => "The session's id.",
            _ => "The id.",
        };
        parameters.push(json!({ "name": name, "in": "path", "required": true, "description": about, "schema": text }));
    }
    parameters.extend(operation.query.iter().map(|param| {
        let schema = match param.name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 }),
            "status" => json!({ "enum": Status::ALL.map(Status::name) }),
            "rotation_due" => json!({ "type": "boolean" }),
            _ => text.clone(),
        };
        json!({ "name": param.name, "in": "query", "required": false, "description": param.about, "schema": schema })
    }));
    if is_repeatable(operation) {
        let about = "Makes the request safe to repeat: 1 to 255 visible ASCII characters, new for each new request.";
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": false, "description": about, "schema": text }));
    }
    let about =
        "Your name for the request: 8 to 64 letters, digits, `-`, `_` or `.`. One is made up where it is left out.";
    parameters.push(
        json!({ "name": "X-Request-Id", "in": "header", "required": false, "description": about, "schema": text }),
    );
    parameters
}

fn answers(operation: &Operation) -> Value {
    let mut answers = Map::new();
    for answer in operation.answers {
        answers.insert(answer.status.to_string(), answered(operation, answer));
    }
    for code in errors(operation) {
        let Some((_, status, _)) = CODES.into_iter().find(|(known, ..)| *known == code) else { continue };
        let name = response_name(code, Route::dialect_at(operation.path));
        answers.entry(status.as_str()).or_insert_with(|| json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    answers.into()
}

fn answered(operation: &Operation, answer: &Answer) -> Value {
    let mut names = vec!["X-Request-Id", "Cache-Control"];
    match (operation.id, answer.status) {
        ("verifyKey", _) => names.extend(["Retry-After", "RateLimit", "RateLimit-Policy"]),
        (_, 201) if is_repeatable(operation) => names.push("Location"),
        _ if is_repeatable(operation) => names.extend(["Location", "Idempotent-Replayed"]),
        _ => {}
    }
    let mut answered = json!({ "description": answer.about, "headers": header_references(names) });
    let content = match answer.content {
        Content::None => return answered,
        Content::Schema(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        Content::Media(media) => json!({ media: {} }),
    };
    if let Some(fields) = answered.as_object_mut() {
        fields.insert("content".into(), content);
    }
    answered
}

fn header_references<'a>(names: impl IntoIterator<Item = &'a str>) -> Map<String, Value> {
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    names.into_iter().map(|name| (name.to_owned(), reference(name))).collect()
}

/// Every schema, by its name.
pub(super) fn schemas() -> Value {
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// An error's name among the responses: each dialect has its own body for it.
fn response_name(code: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Native | Dialect::Cloudheed | Dialect::Dashboard => code.to_owned(),
        Dialect::Wavis => format!("WAVIS_{code}"),
        Dialect::Wayscloud => format!("WAYSCLOUD_{code}"),
    }
}

fn responses() -> Value {
    let dialects = [
        (Dialect::Native, "application/problem+json", "Problem"),
        (Dialect::Wayscloud, "application/json", "WayscloudError"),
        (Dialect::Wavis, "application/json", "WavisError"),
    ];
    let response = |(code, status, title): (&'static str, http::StatusCode, &'static str)| {
        let further = match status.as_u16() {
            401 => Some("WWW-Authenticate"),
            405 => Some("Allow"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        let headers = header_references(["X-Request-Id", "Cache-Control"].into_iter().chain(further));
        dialects.map(|(dialect, media, schema)| {
            let content = json!({ media: { "schema": reference(schema) } });
            let described =
                json!({ "description": format!("{title} (`{code}`)."), "headers": headers, "content": content });
            (response_name(code, dialect), described)
        })
    };
    CODES.into_iter().flat_map(response).collect::<Map<_, _>>().into()
}

fn headers() -> Value {
    let header = |about: &str, kind: &str| json!({ "description": about, "schema": { "type": kind } });
    json!({
        "X-Request-Id": header("The request's name, in logs and in the audit log.", "string"),
        "Cache-Control": header("Answers are not to be kept.", "string"),
        "WWW-Authenticate": header("How to show a key (RFC 6750).", "string"),
        "Allow": header("What the path takes.", "string"),
        "Retry-After": header("Seconds to wait.", "integer"),
        "RateLimit": header("What the verified key has left: `\"name\";r=remaining;t=seconds`, for each limit.", "string"),
        "RateLimit-Policy": header("The verified key's limits: `\"name\";q=limit;w=seconds`.", "string"),
        "Location": header("Where it is.", "string"),
        "Idempotent-Replayed": header("`true`: an earlier request has made it; a key's secret is not repeated.", "string"),
    })
}
