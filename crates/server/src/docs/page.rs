//! The page for people: the same table, laid out to be read. Complete without a script.

use askama::Template;
use keywright_core::verify::Outcome;

use super::document::{errors, needed, needs};
use super::operations::{Body, Content, GROUPS, OPERATIONS, Operation, Param};
use crate::api::verify::detail;
use crate::problem::CODES;

#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    version: &'static str,
    groups: Vec<Group>,
    outcomes: Vec<(&'static str, &'static str)>,
    codes: Vec<Code>,
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
    answers: Vec<(u16, Rich, &'static str)>,
    errors: Vec<(u16, &'static str, String)>,
}

struct Field {
    name: String,
    kind: String,
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
        operations: OPERATIONS.iter().filter(|operation| operation.group == name).map(shown).collect(),
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
    };
    page.render()
}

fn shown(operation: &Operation) -> Shown {
    let status_of =
        |code: &str| CODES.into_iter().find(|(known, ..)| *known == code).map_or(0, |(_, status, _)| status.as_u16());
    let schema_of = |content: &Content| match content {
        Content::Schema(schema) => *schema,
        Content::None | Content::Media(_) => "",
    };
    Shown {
        id: operation.id,
        method: operation.method,
        path: operation.path,
        summary: operation.summary,
        about: rich(operation.about),
        needs: rich(needed(needs(operation)).trim()),
        query: operation.query.iter().map(|param: &Param| (param.name, rich(param.about))).collect(),
        fields: fields(&operation.body),
        curl: curl(operation),
        answers: operation
            .answers
            .iter()
            .map(|answer| (answer.status, rich(answer.about), schema_of(&answer.content)))
            .collect(),
        errors: errors(operation).into_iter().map(|code| (status_of(code), code, anchor(code))).collect(),
    }
}

/// A call that works once the names in capitals are set.
fn curl(operation: &Operation) -> String {
    let path = operation.path.replace("{id}", "$ID");
    let mut call = match operation.method {
        "GET" => format!("curl -s \"$KEYWRIGHT_BASE_URL{path}\""),
        method => format!("curl -s -X {method} \"$KEYWRIGHT_BASE_URL{path}\""),
    };
    if needs(operation) != crate::router::Needs::Nothing {
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

/// A body's fields, read from its schema.
fn fields(body: &Body) -> Vec<Field> {
    let (Body::Json { schema, .. } | Body::Form { schema, .. }) = body else { return Vec::new() };
    let document = super::document::document();
    let pointer = |name: &str| document.pointer(&format!("/components/schemas/{name}")).cloned().unwrap_or_default();
    let schema = pointer(schema);
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let field = |(name, property): (&String, &serde_json::Value)| {
        let named = referred(property);
        let about = property["description"].as_str().map(str::to_owned);
        let of_named = || pointer(&named)["description"].as_str().unwrap_or_default().to_owned();
        Field {
            name: name.clone(),
            kind: if named.is_empty() { kind(property) } else { named.clone() },
            is_required: required.contains(&name.as_str()),
            about: rich(&about.unwrap_or_else(of_named)),
        }
    };
    let mut fields: Vec<Field> = properties.map(field).collect();
    fields.sort_by_key(|field| !field.is_required);
    fields
}

/// The schema a property refers to, alone or beside `null`.
fn referred(property: &serde_json::Value) -> String {
    let direct = property["$ref"].as_str();
    let among = property["oneOf"].as_array().into_iter().flatten().find_map(|one| one["$ref"].as_str());
    direct.or(among).and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn kind(property: &serde_json::Value) -> String {
    let names = |value: &serde_json::Value| match value {
        serde_json::Value::String(name) => name.clone(),
        serde_json::Value::Array(names) => {
            let names: Vec<&str> =
                names.iter().filter_map(|name| name.as_str()).filter(|name| *name != "null").collect();
            names.join(" or ")
        }
        _ => String::new(),
    };
    match (property.get("type"), property.get("enum")) {
        (Some(kind), _) if kind == "array" => {
            let items = &property["items"];
            let of = if referred(items).is_empty() { names(&items["type"]) } else { referred(items) };
            format!("list of {of}")
        }
        (Some(kind), _) => names(kind),
        (None, Some(values)) => {
            values.as_array().into_iter().flatten().filter_map(|value| value.as_str()).collect::<Vec<_>>().join(" or ")
        }
        (None, None) => "several forms".into(),
    }
}
