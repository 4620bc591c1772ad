//! `keywright keys verify` and `explain`. The key is read from standard input or the environment, never from the command
//! line, where every process of the machine could read it.

use std::io::Read as _;

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::call::Call;
use crate::exit::{Exit, fail};
use crate::options::{Format, Global};
use crate::output::{self, Column, Look};
use crate::say;
use crate::session::call;

/// The longest text that is taken for a key.
const MOST_BYTES: u64 = 4_096;

const CHECKS: [Column; 3] = [
    Column("CHECK", "check", Look::Plain),
    Column("PASSED", "passed", Look::Plain),
    Column("DETAIL", "detail", Look::Plain),
];

/// What is asked about a key.
#[derive(Args)]
pub(crate) struct Presented {
    /// A permission it must have; repeat it or separate several by commas
    #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Vec<String>,
    /// A permission of which it must have one; repeat it or separate several by commas
    #[arg(long = "any-permission", value_name = "PERMISSION", value_delimiter = ',', conflicts_with = "permissions")]
    any: Vec<String>,
    /// Where it is used from
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// What it is used with
    #[arg(long, value_name = "TEXT")]
    user_agent: Option<String>,
    /// The environment it must be for
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// How many credits and units of rate limits it takes [default: 1]
    #[arg(long, value_name = "COUNT")]
    cost: Option<u32>,
    /// A label to count the use under; repeat it or separate several by commas
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<String>,
    /// The key, where it is not taken from
    #[arg(hide = true)]
    key: Option<String>,
}

impl Presented {
    fn into_body(self, key: &str) -> Value {
        let mut body = Map::new();
        body.insert("key".into(), key.into());
        let wanted = match (self.permissions.is_empty(), self.any.is_empty()) {
            (false, _) => Some(json!(self.permissions)),
            (true, false) => Some(json!({ "any": self.any })),
            (true, true) => None,
        };
        let fields = [
            ("permissions", wanted),
            ("ip", self.ip.map(Value::from)),
            ("user_agent", self.user_agent.map(Value::from)),
            ("environment", self.environment.map(Value::from)),
            ("cost", self.cost.map(Value::from)),
            ("tags", Some(Value::from(self.tags))),
        ];
        body.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        body.into()
    }
}

/// Verifies a key as a service would.
pub(crate) async fn verify(global: &Global, presented: Presented) -> Result<Exit> {
    let key = read_key(&presented)?;
    let answer = call(global, Call::post("/v1/keys/verify", presented.into_body(&key))).await?;
    output::object(global, &answer)?;
    let valid = answer.get("valid").and_then(Value::as_bool).unwrap_or(false);
    Ok(if valid { Exit::Done } else { Exit::Denied })
}

/// Shows every check of a verification.
pub(crate) async fn explain(global: &Global, presented: Presented) -> Result<()> {
    let key = read_key(&presented)?;
    let mut answer = call(global, Call::post("/v1/keys/explain", presented.into_body(&key))).await?;
    if global.format() == Format::Json {
        return output::json(&answer);
    }
    let checks = answer.get_mut("checks").map(Value::take).unwrap_or_default();
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("checks");
    }
    output::object(global, &answer)?;
    say::data("")?;
    output::page(global, &json!({ "data": checks }), &CHECKS)
}

fn read_key(presented: &Presented) -> Result<Zeroizing<String>> {
    if presented.key.is_some() {
        return Err(fail(
            Exit::Usage,
            "a key among the arguments can be read by everybody on this machine: give it on standard input or in \
             KEYWRIGHT_VERIFY_KEY",
        ));
    }
    let key = match std::env::var("KEYWRIGHT_VERIFY_KEY") {
        Ok(key) if !key.is_empty() => Zeroizing::new(key),
        _ if say::is_input_terminal() => Zeroizing::new(say::ask_secret("Key: ")?),
        _ => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin().take(MOST_BYTES).read_to_string(&mut text)?;
            text
        }
    };
    let key = Zeroizing::new(key.trim().to_owned());
    if key.is_empty() {
        return Err(fail(Exit::Usage, "no key: give it on standard input or in KEYWRIGHT_VERIFY_KEY"));
    }
    Ok(key)
}
