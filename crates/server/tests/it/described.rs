//! Holds every answer a test meets against the OpenAPI document: its status, its headers, its media type, its body.
//!
//! Stricter than the document: it may not leave out a field an answer has. Clients must bear new fields; the description
//! must not forget any.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&keywright_server::openapi_json()).unwrap());
/// What is told in headers, beside what every answer has.
const HEADERS: [&str; 6] =
    ["location", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed", "x-request-id"];

/// Fails unless the answer is one the document describes. What goes to no route is not in it.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let place = format!("{method} {path} answered {}: {}", answer.status, answer.text);
    let described = resolve(&operation["responses"][answer.status.to_string()]);
    assert!(described.is_object(), "a status that is not described: {place}");
    for name in HEADERS.iter().filter(|name| answer.headers.contains_key(**name)) {
        let known = described["headers"].as_object().into_iter().flatten();
        let is_known = known.into_iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        assert!(is_known, "the header {name} is not described: {place}");
    }
    check_body(described, answer, &place);
}

#[track_caller]
fn check_body(described: &Value, answer: &Answer, place: &str) {
    let media = answer.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default();
    let Some(contents) = described["content"].as_object() else {
        assert_eq!(answer.text, "", "a body that is not described: {place}");
        return;
    };
    let content = contents.get(media).unwrap_or_else(|| panic!("the media type {media} is not described: {place}"));
    let Some(schema) = content["schema"]["$ref"].as_str() else {
        assert!(!media.ends_with("json") || content.get("schema").is_none(), "a schema without a name: {place}");
        return;
    };
    let body = answer.json();
    let validator = validator(schema);
    let wrong: Vec<String> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?} in {place}");
}

/// The operation a request goes to: of several paths that fit, the one with the most in plain letters.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (parts, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        parts.len() == wanted.len()
            && parts
                .iter()
                .zip(&wanted)
                .all(|(part, wanted)| (wanted.starts_with('{') && !part.is_empty()) || part == wanted)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let best =
        paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.matches('{').count());
    best.and_then(|(_, operations)| operations.get(method.to_lowercase()))
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// A schema's validator, made once.
fn validator(schema: &str) -> Arc<Validator> {
    static MADE: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let make = || {
        let mut whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": schema,
            "components": { "schemas": DOCUMENT["components"]["schemas"] },
        });
        for part in whole["components"]["schemas"].as_object_mut().unwrap().values_mut() {
            close(part, true);
        }
        whole["unevaluatedProperties"] = false.into();
        Arc::new(jsonschema::options().should_validate_formats(true).build(&whole).unwrap())
    };
    Arc::clone(MADE.lock().unwrap().entry(schema.to_owned()).or_insert_with(make))
}

/// Forbids what a schema does not mention, wherever it is used as a whole and not as a part of another.
fn close(schema: &mut Value, is_part: bool) {
    let Value::Object(fields) = schema else {
        schema.as_array_mut().into_iter().flatten().for_each(|inner| close(inner, is_part));
        return;
    };
    for (name, inner) in fields.iter_mut() {
        match name.as_str() {
            "properties" => inner.as_object_mut().unwrap().values_mut().for_each(|inner| close(inner, false)),
            _ => close(inner, name == "allOf"),
        }
    }
    let is_object = ["$ref", "properties", "allOf"].iter().any(|keyword| fields.contains_key(*keyword));
    if is_object && !is_part && !fields.contains_key("additionalProperties") {
        fields.insert("unevaluatedProperties".into(), false.into());
    }
}

#[test]
fn the_check_sees_what_is_not_described() {
    let good = json!({ "status": "ok", "version": "1" });
    let answer = |status: u16, body: &Value| {
        let head = "content-type: application/json\r\nx-request-id: a";
        Answer::parse(&format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\n{body}"))
    };
    check("GET", "/health", &answer(200, &good));
    let seen = |answer: Answer| std::panic::catch_unwind(|| check("GET", "/health", &answer)).is_err();
    assert!(seen(answer(418, &good)));
    assert!(seen(answer(200, &json!({ "status": "ok", "colour": "red" }))));
    assert!(seen(answer(200, &json!({ "version": "1" }))));
}
