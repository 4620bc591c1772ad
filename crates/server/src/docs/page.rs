//! The page for people: the same table, laid out to be read. Complete without a script.

use askama::Template;
use keywright_core::verify::Outcome;
use serde_json::Value;

use super::document::{errors, needed, needs};
use super::operations::{ACCOUNT_API, Answer, Body, Content, GROUPS, Operation, Param, operations};
use crate::api::verify::detail;
use crate::problem::CODES;

#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    version: &'static str,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
    outcomes: Vec<(&'static str, &'static str)>,
    codes: Vec<Code>,
}

/// What an answer or a part of one has in it.
struct Shape {
    name: String,
    about: Rich,
    /// The shape it has everything of.
    extends: String,
    fields: Vec<Field>,
}

struct Group {
    name: &'static str,
    about: &'static str,
    anchor: String,
    operations: Vec<Shown>,
}

struct Shown {
    id: &'static str,
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    about: Rich,
    needs: Rich,
    query: Vec<(&'static str, Rich)>,
    fields: Vec<Field>,
    curl: String,
    /// Status, what it means, what the body is called, and the shape that is or is listed.
    answers: Vec<(u16, Rich, String, String)>,
    errors: Vec<(u16, &'static str, String)>,
}

struct Field {
    name: String,
    kind: String,
    /// The shape it has, where that is shown by itself.
    shape: String,
    is_required: bool,
    about: Rich,
}

struct Code {
    code: &'static str,
    anchor: String,
    status: u16,
    title: &'static str,
}

/// A text in pieces: plain, or code where it stands between backticks.
type Rich = Vec<(bool, String)>;

fn rich(text: &str) -> Rich {
    let pieces = text.split('`').enumerate().map(|(place, piece)| (place % 2 == 1, piece.to_owned()));
    pieces.filter(|(_, piece)| !piece.is_empty()).collect()
}

fn anchor(text: &str) -> String {
    text.to_lowercase().replace(['_', ' '], "-").replace('\'', "")
}

/// The whole page.
pub(super) fn render() -> Result<String, askama::Error> {
    let group = |(name, about)| Group {
        name,
        about,
        anchor: anchor(name),
        operations: operations().filter(|operation| operation.group == name).map(shown).collect(),
    };
    let code = |(code, status, title): (&'static str, http::StatusCode, &'static str)| Code {
        code,
        anchor: anchor(code),
        status: status.as_u16(),
        title,
    };
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        groups: GROUPS.map(group).into(),
        outcomes: Outcome::ALL.map(|outcome| (outcome.code(), detail(outcome))).into(),
        codes: CODES.into_iter().map(code).collect(),
        shapes: shapes(),
    };
    page.render()
}

fn shown(operation: &Operation) -> Shown {
    let status_of =
        |code: &str| CODES.into_iter().find(|(known, ..)| *known == code).map_or(0, |(_, status, _)| status.as_u16());
    let answer = |answer: &Answer| {
        let (body, shape) = match answer.content {
            Content::Schema(schema) => body_named(schema),
            Content::None | Content::Media(_) => Default::default(),
        };
        (answer.status, rich(answer.about), body, shape)
    };
    Shown {
        id: operation.id,
        method: operation.method,
        path: operation.path,
        summary: operation.summary,
        about: rich(operation.about),
        needs: rich(needed(needs(operation)).trim()),
        query: operation.query.iter().map(|param: &Param| (param.name, rich(param.about))).collect(),
        fields: body_of(&operation.body).map(|schema| fields(&named(schema))).unwrap_or_default(),
        curl: curl(operation),
        answers: operation.answers.iter().map(answer).collect(),
        errors: errors(operation).into_iter().map(|code| (status_of(code), code, anchor(code))).collect(),
    }
}

/// What a body of this schema is called, and its shape: a bare list is called by what it lists.
fn body_named(schema: &str) -> (String, String) {
    let items = named(schema).pointer("/items").map(referred).unwrap_or_default();
    if items.is_empty() { (schema.into(), schema.into()) } else { (format!("list of {items}"), items) }
}

/// A call that works once the names in capitals are set.
fn curl(operation: &Operation) -> String {
    let path = operation.path.replace("{id}", "$ID").replace("{service_id}", "$SERVICE_ID");
    let mut call = match operation.method {
        "GET" => format!("curl -s \"$KEYWRIGHT_BASE_URL{path}\""),
        method => format!("curl -s -X {method} \"$KEYWRIGHT_BASE_URL{path}\""),
    };
    if operation.group == ACCOUNT_API {
        call.push_str(" \\\n  -H \"X-API-Key: $KEYWRIGHT_ACCESS_TOKEN\"");
    } else if needs(operation) != crate::router::Needs::Nothing {
        call.push_str(" \\\n  -H \"Authorization: Bearer $KEYWRIGHT_API_KEY\"");
    }
    match operation.body {
        Body::None => {}
        Body::Json { example, .. } => {
            call.push_str(&format!(" \\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'"))
        }
        Body::Form { example, .. } => call.push_str(&format!(" \\\n  -d '{example}'")),
    }
    call
}

/// Every shape but those that are shown where they are asked for, and nowhere else.
fn shapes() -> Vec<Shape> {
    let bodies: Vec<&str> = operations().filter_map(|operation| body_of(&operation.body)).collect();
    let schemas = super::document::schemas();
    let all = schemas.as_object().into_iter().flatten();
    let referred_to = all_references(&schemas);
    let is_shown_there = |name: &String| bodies.contains(&name.as_str()) && !referred_to.contains(name);
    let shown = all.filter(|(name, schema)| is_shape(schema) && !is_shown_there(name));
    let shape = |(name, schema): (&String, &Value)| Shape {
        name: name.clone(),
        about: rich(text(schema, "/description").unwrap_or_default()),
        extends: list(schema, "/allOf").map(referred).find(|name| !name.is_empty()).unwrap_or_default(),
        fields: std::iter::once(schema).chain(list(schema, "/allOf")).flat_map(fields).collect(),
    };
    shown.map(shape).collect()
}

/// Every schema that is a part of another.
fn all_references(schemas: &Value) -> Vec<String> {
    let text = schemas.to_string();
    let references = text.split("#/components/schemas/").skip(1);
    references.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
}

fn is_shape(schema: &Value) -> bool {
    schema.get("properties").is_some() || schema.get("allOf").is_some()
}

fn body_of(body: &Body) -> Option<&'static str> {
    match body {
        Body::None => None,
        Body::Json { schema, .. } | Body::Form { schema, .. } => Some(schema),
    }
}

/// The fields of a schema, those that are required first.
fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<&str> = list(schema, "/required").filter_map(Value::as_str).collect();
    let field = |(name, property): (&String, &Value)| {
        let refers_to = referred(property);
        let about = text(property, "/description").map(str::to_owned);
        let of_referred = || text(&named(&refers_to), "/description").unwrap_or_default().to_owned();
        let items = property.pointer("/items").map(referred).unwrap_or_default();
        let shape = if refers_to.is_empty() { items } else { refers_to.clone() };
        Field {
            name: name.clone(),
            kind: if refers_to.is_empty() { kind(property) } else { refers_to.clone() },
            shape: if is_shape(&named(&shape)) { shape } else { String::new() },
            is_required: required.contains(&name.as_str()),
            about: rich(&about.unwrap_or_else(of_referred)),
        }
    };
    let properties = schema.pointer("/properties").and_then(Value::as_object);
    let mut fields: Vec<Field> = properties.into_iter().flatten().map(field).collect();
    fields.sort_by_key(|field| !field.is_required);
    fields
}

fn named(schema: &str) -> Value {
    super::document::schemas().get(schema).cloned().unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The schema a property refers to, alone or beside `null`.
fn referred(property: &Value) -> String {
    let among = || list(property, "/oneOf").find_map(|one| text(one, "/$ref"));
    let path = text(property, "/$ref").or_else(among).unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A property's type, in a word or two.
fn kind(property: &Value) -> String {
    let names = |value: &Value, pointer: &str| match text(value, pointer) {
        Some(name) => name.to_owned(),
        None => list(value, pointer).filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
    };
    let (kind, values) = (names(property, "/type"), names(property, "/enum"));
    match (kind.as_str(), values.as_str()) {
        ("", "") => "several forms".into(),
        ("", values) => values.into(),
        ("array", _) => {
            let items = property.pointer("/items").cloned().unwrap_or_default();
            let of = referred(&items);
            format!("list of {}", if of.is_empty() { names(&items, "/type") } else { of })
        }
        (kind, _) => kind.into(),
    }
}
