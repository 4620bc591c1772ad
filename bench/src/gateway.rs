//! The gate in front of a service, against nginx in front of the same: without any asking, and asking Keywright.
//!
//! The service and the client have a core, what stands between them has the other. It must be the other one that is never
//! idle: how much of the time the first one is busy is told beside each comparison.

use anyhow::{Context, Result, ensure};
use keywright_bench::cpu::{process_ns, stay_on};
use keywright_bench::measure::{Goal, Side, compare_all};
use keywright_bench::table::Table;
use serde_json::{Value, json};

use crate::client::{Client, post};
use crate::report::{Figures, Scale, nanoseconds, ratio};
use crate::server::{Server, free, keywright};

/// The client's core, and the service's.
const CORE: usize = 1;
const KEYS: usize = 1_000;
const CONNECTIONS: usize = 64;
/// What the service answers: as long as many an API's.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 512\r\n\
                    date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
const BODY_BYTES: usize = 512;
/// Beyond this it is the client and the service that are measured.
const BUSY: f64 = 0.9;

/// One way to the service: where it is asked, and every process that works for it.
struct Way<'s> {
    name: &'static str,
    client: Client,
    servers: Vec<&'s Server>,
    service: &'s Server,
}

impl<'s> Way<'s> {
    fn new(name: &'static str, servers: &[&'s Server], service: &'s Server, connections: usize) -> Result<Self> {
        let first = servers.first().context("a way of no server")?;
        Ok(Self { name, client: Client::connect(first.address, connections)?, servers: servers.to_vec(), service })
    }

    /// CPU a request, requests a second, the time that half of them took at most, and for how much of the time the
    /// core of client and service was busy.
    fn slice(&mut self, requests: &[Vec<u8>], count: usize) -> Result<[f64; 4]> {
        let spent =
            |servers: &[&Server]| servers.iter().map(|server| process_ns(server.pid())).sum::<std::io::Result<u64>>();
        let beside = || Ok::<_, std::io::Error>(process_ns(std::process::id())? + process_ns(self.service.pid())?);
        let (before, beside_before) = (spent(&self.servers)?, beside()?);
        let run = self.client.run(requests, count, |_, answer| {
            ensure!(answer.head.starts_with("HTTP/1.1 200") && answer.body.len() == BODY_BYTES, "{}", answer.head);
            Ok(())
        });
        let run = run.with_context(|| format!("through {}", self.name))?;
        let spent = float(spent(&self.servers)? - before);
        let busy = float(beside()? - beside_before) / float(run.wall_ns);
        let count = float(count as u64);
        Ok([spent / count, count * 1e9 / float(run.wall_ns), float(run.percentile(50)), busy])
    }
}

/// The rows of the gate.
pub(crate) fn run(scale: &Scale, table: &mut Table, figures: &mut Figures) -> Result<()> {
    stay_on(CORE)?;
    let folder = tempfile::tempdir()?;
    let service = Server::service_on(CORE, &[HEAD.as_bytes(), &[b'x'; BODY_BYTES]].concat())?;
    let policy = format!(
        "[permission.\"documents:read\"]\n[forward_auth]\ndialects = [\"nginx\"]\npeers = [\"127.0.0.1\"]\n\
         [route.t]\npath = \"/v1/t\"\nupstream = \"http://{}\"\nmethods = {{ GET = \"documents:read\" }}\n",
        service.address
    );
    let gate = Server::configured(folder.path(), "log = \"error\"\n", &policy, true)?;
    let requests = requests(&gate)?;
    let (plain_at, asking_at) = (free()?, free()?);
    let plain = Server::nginx(folder.path(), plain_at, &proxying(plain_at, &service))?;
    let asking = Server::nginx(folder.path(), asking_at, &asking(folder.path(), asking_at, &gate)?)?;
    for connections in [CONNECTIONS, 1] {
        let count = if connections == 1 { scale.requests / 8 } else { scale.requests / 2 };
        // Connections are opened when they are needed: one that says nothing for a minute is closed.
        let through_gate = || Way::new("the gate, verifying", &[&gate], &service, connections);
        let through_plain = || Way::new("nginx, asking nobody", &[&plain], &service, connections);
        let through_asking = || Way::new("nginx, asking Keywright", &[&asking, &gate], &service, connections);
        let goals = |least| if connections == 1 { Goal::Open } else { Goal::AtLeast(least) };
        let mut rows = Rows { scale, table, figures, requests: &requests, count, connections };
        rows.against(through_plain()?, through_gate()?, goals(0.95))?;
        rows.against(through_asking()?, through_gate()?, goals(1.5))?;
        if connections == 1 {
            for way in [through_gate()?, through_plain()?, through_asking()?] {
                added(scale, figures, Way::new("no proxy", &[&service], &service, 1)?, way, &requests, count)?;
            }
        }
    }
    Ok(())
}

/// Requests with a key each that may make them.
fn requests(gate: &Server) -> Result<Vec<Vec<u8>>> {
    let account = post("/v1/accounts", &gate.ready, &json!({ "name": "Bench" }));
    let mut id = String::new();
    Client::connect(gate.address, 1)?.run(&[account], 1, |_, answer| {
        let made: Value = serde_json::from_slice(answer.body)?;
        made.get("id").and_then(Value::as_str).context("no account")?.clone_into(&mut id);
        Ok(())
    })?;
    let made: Vec<Vec<u8>> = (0..KEYS)
        .map(|number| {
            let fields = json!({ "account_id": id, "name": format!("key {number}"), "permissions": ["documents:*"] });
            post("/v1/keys", &gate.ready, &fields)
        })
        .collect();
    let mut requests = Vec::with_capacity(KEYS);
    Client::connect(gate.address, 8)?.run(&made, KEYS, |_, answer| {
        ensure!(answer.head.starts_with("HTTP/1.1 201"), "a key was not made: {}", answer.head);
        let made: Value = serde_json::from_slice(answer.body)?;
        let key = made.get("key").and_then(Value::as_str).context("a new key has no plaintext")?;
        let head = "GET /v1/t/files/7 HTTP/1.1\r\nhost: api.example\r\naccept: */*\r\nuser-agent: bench\r\n";
        requests.push(format!("{head}authorization: Bearer {key}\r\n\r\n").into_bytes());
        Ok(())
    })?;
    Ok(requests)
}

/// nginx that passes everything on, over connections it keeps.
fn proxying(at: std::net::SocketAddr, service: &Server) -> String {
    format!(
        "keepalive_requests 1000000000;\n\
         upstream service {{ server {}; keepalive 128; keepalive_requests 1000000000; }}\n\
         server {{ listen {at}; location / {{ proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_pass http://service; }} }}",
        service.address
    )
}

/// nginx as `keywright gateway snippet` has it.
fn asking(folder: &std::path::Path, at: std::net::SocketAddr, gate: &Server) -> Result<String> {
    let mut command = std::process::Command::new(keywright()?);
    command.args(["gateway", "snippet", "nginx", "--server", &format!("http://{}", gate.address), "--config"]);
    let printed = command.arg(folder.join("keywright.toml")).output()?;
    ensure!(printed.status.success(), "no snippet: {}", String::from_utf8_lossy(&printed.stderr));
    let printed = String::from_utf8(printed.stdout)?;
    ensure!(printed.contains("listen 80"), "the snippet listens elsewhere than thought");
    let printed = printed.replace("listen 80", &format!("listen {at}"));
    let printed = printed.replace("keepalive 32;", "keepalive 128; keepalive_requests 1000000000;");
    Ok(format!("keepalive_requests 1000000000;\n{printed}"))
}

/// Where comparisons of so many requests at a time are written down.
struct Rows<'r> {
    scale: &'r Scale,
    table: &'r mut Table,
    figures: &'r mut Figures,
    requests: &'r [Vec<u8>],
    count: usize,
    connections: usize,
}

impl Rows<'_> {
    fn against<'w>(&mut self, mut a: Way<'w>, mut b: Way<'w>, goal: Goal) -> Result<()> {
        let what = format!("{} / {}, {} at a time", b.name, a.name, self.connections);
        let mut failed = None;
        let found = compare_all(self.scale.rounds, |side| {
            let way = match side {
                Side::A => &mut a,
                Side::B => &mut b,
            };
            way.slice(self.requests, self.count).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                [f64::NAN; 4]
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let a_second: fn(f64) -> String = |rate| format!("{rate:.0} /s");
        let names = ["CPU a request", "requests a second", "p50"];
        let goals = [Goal::Open, goal, Goal::Open];
        let shows: [fn(f64) -> String; 3] = [nanoseconds, a_second, nanoseconds];
        let found = found.context("a slice measured nothing")?;
        for (((found, name), goal), show) in found.iter().zip(names).zip(goals).zip(shows) {
            ratio(self.table, &format!("{what}: {name}"), Some(*found), goal, show)?;
        }
        let busy = found.last().context("no figure of the core beside")?;
        for (way, busy) in [(&a, busy.a), (&b, busy.b)] {
            let what = format!("client and service busy, {} at a time through {}", self.connections, way.name);
            // With one request at a time nobody is, for long.
            let goal = if goal == Goal::Open { Goal::Open } else { Goal::AtMost(BUSY) };
            self.figures.row(&what, format!("{:.0} %", busy * 100.0), goal, busy);
        }
        Ok(())
    }
}

/// What a way adds to the time half of the requests take at most.
fn added(
    scale: &Scale,
    figures: &mut Figures,
    mut direct: Way<'_>,
    mut way: Way<'_>,
    requests: &[Vec<u8>],
    count: usize,
) -> Result<()> {
    let mut more = Vec::with_capacity(scale.rounds);
    for _ in 0..scale.rounds {
        let [_, _, without, _] = direct.slice(requests, count)?;
        let [_, _, with, _] = way.slice(requests, count)?;
        more.push(with - without);
    }
    more.sort_by(f64::total_cmp);
    let median = more.get(more.len() / 2).copied().context("no rounds")?;
    figures.row(&format!("p50 added by {}, one at a time", way.name), nanoseconds(median), Goal::Open, 0.0);
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn float(count: u64) -> f64 {
    count as f64
}
