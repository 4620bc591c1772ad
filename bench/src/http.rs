//! `POST /v1/keys/verify` over loopback, against a bare hyper server that reads the same body and answers the same
//! bytes; for malformed keys it reads the key's form, too, as the product's policy does, and nothing else of the request.

use anyhow::{Context, Result, ensure};
use keywright_bench::cpu::{process_ns, stay_on};
use keywright_bench::measure::{Comparison, Goal, Side, compare_all};
use keywright_bench::table::Table;
use serde_json::{Value, json};

use crate::client::{Client, post};
use crate::house::mistyped;
use crate::report::{Figures, Scale, nanoseconds, ratio};
use crate::server::{Server, Yardstick};

/// The client's core.
const CORE: usize = 1;
const KEYS: usize = 1_000;
const CONNECTIONS: usize = 64;

/// The rows of verification over HTTP.
pub(crate) fn run(scale: &Scale, table: &mut Table, _: &mut Figures) -> Result<()> {
    stay_on(CORE)?;
    let folder = tempfile::tempdir()?;
    let keywright = Server::keywright(folder.path())?;
    let said: Value = serde_json::from_str(&keywright.ready)?;
    let said =
        |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {name}"));
    let (operator, account) = (said("operator_key")?, said("account_id")?);
    let keys = create(&keywright, &operator, &account)?;

    let alone: Vec<Value> = keys.iter().map(|key| json!({ "key": key })).collect();
    let full = keys
        .iter()
        .map(|key| json!({ "key": key, "permissions": ["documents:read"], "ip": "203.0.113.7", "environment": "live" }))
        .collect();
    let malformed = keys.iter().map(|key| json!({ "key": mistyped(key) })).collect();
    let goals = [Goal::AtMost(1.10), Goal::AtLeast(0.93), Goal::Open, Goal::Open];
    for case in [
        Case { goals, ..Case::valid("verify", alone.clone()) },
        Case::valid("verify with permissions, ip, environment", full),
        Case { connections: 1, ..Case::valid("verify, one connection", alone) },
        Case {
            answer: b"{\"valid\":false,\"code\":\"MALFORMED\"",
            yardstick: Yardstick::BareParse,
            goals: [Goal::AtMost(1.0), Goal::Open, Goal::Open, Goal::Open],
            ..Case::valid("malformed key", malformed)
        },
    ] {
        against_bare(scale, table, &keywright, &operator, &case)?;
    }
    Ok(())
}

/// What is asked for in a group of rows, and of whom else.
struct Case {
    what: &'static str,
    bodies: Vec<Value>,
    connections: usize,
    /// What the body of every answer begins with.
    answer: &'static [u8],
    yardstick: Yardstick,
    goals: [Goal; 4],
}

impl Case {
    /// Keys that are valid, without a goal.
    fn valid(what: &'static str, bodies: Vec<Value>) -> Self {
        let (yardstick, goals) = (Yardstick::Bare, [Goal::Open; 4]);
        Self { what, bodies, connections: CONNECTIONS, answer: b"{\"valid\":true", yardstick, goals }
    }
}

fn create(server: &Server, operator: &str, account: &str) -> Result<Vec<String>> {
    let requests: Vec<Vec<u8>> = (0..KEYS)
        .map(|number| {
            let name = format!("key {number:04}");
            post("/v1/keys", operator, &json!({ "account_id": account, "name": name, "permissions": ["documents:*"] }))
        })
        .collect();
    let mut keys = Vec::with_capacity(KEYS);
    Client::connect(server.address, CONNECTIONS)?.run(&requests, KEYS, |_, answer| {
        ensure!(answer.head.starts_with("HTTP/1.1 201"), "a key was not made: {}", answer.head);
        let created: Value = serde_json::from_slice(answer.body)?;
        keys.push(created.get("key").and_then(Value::as_str).context("a new key has no plaintext")?.to_owned());
        Ok(())
    })?;
    Ok(keys)
}

fn against_bare(scale: &Scale, table: &mut Table, keywright: &Server, operator: &str, case: &Case) -> Result<()> {
    let Case { what, bodies, connections, answer: expected, yardstick, goals } = case;
    let requests: Vec<Vec<u8>> = bodies.iter().map(|body| post("/v1/keys/verify", operator, body)).collect();
    let mut sample = None;
    let mut to_keywright = Client::connect(keywright.address, *connections)?;
    to_keywright.run(&requests, 1, |_, answer| {
        sample = Some((answer.head.to_owned(), answer.body.to_vec()));
        Ok(())
    })?;
    let (head, body) = sample.context("no answer")?;
    let bare = Server::yardstick(*yardstick, &head, &body)?;
    let mut to_bare = Client::connect(bare.address, *connections)?;
    let count = if *connections == 1 { scale.requests / 8 } else { scale.requests };
    let mut failed = None;
    let found = compare_all(scale.rounds, |side| {
        let (client, server) = match side {
            Side::A => (&mut to_bare, &bare),
            Side::B => (&mut to_keywright, keywright),
        };
        match slice(client, server, &requests, count, expected) {
            Ok(figures) => figures,
            Err(error) => {
                failed.get_or_insert(error);
                [f64::NAN; 4]
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let found = found.context("a slice measured nothing")?;
    let a_second: fn(f64) -> String = |rate| format!("{rate:.0} /s");
    let shows: [fn(f64) -> String; 4] = [nanoseconds, a_second, nanoseconds, nanoseconds];
    let names = ["CPU a request", "requests a second", "p50", "p99"];
    for (((found, goal), show), name) in found.into_iter().zip(*goals).zip(shows).zip(names) {
        let found: Option<Comparison> = Some(found);
        ratio(table, &format!("{what}: {name} / {}", yardstick.name()), found, goal, show)?;
    }
    Ok(())
}

/// CPU a request, requests a second, and the time that half of them and nearly all of them took at most.
fn slice(
    client: &mut Client,
    server: &Server,
    requests: &[Vec<u8>],
    count: usize,
    expected: &[u8],
) -> Result<[f64; 4]> {
    let before = process_ns(server.pid())?;
    let run = client.run(requests, count, |_, answer| {
        let is_expected = answer.head.starts_with("HTTP/1.1 200") && answer.body.starts_with(expected);
        ensure!(is_expected, "answered {}", String::from_utf8_lossy(answer.body));
        Ok(())
    })?;
    let spent = float(process_ns(server.pid())? - before);
    let count = float(count as u64);
    Ok([spent / count, count * 1e9 / float(run.wall_ns), float(run.percentile(50)), float(run.percentile(99))])
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn float(count: u64) -> f64 {
    count as f64
}
