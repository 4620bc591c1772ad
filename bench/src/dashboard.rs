//! The dashboard's pages of an account that has ten thousand keys: what each weighs, and how long it takes.

use anyhow::{Context, Result, ensure};
use keywright_bench::measure::Goal;
use keywright_bench::table::Table;
use serde_json::{Value, json};

use crate::client::{Client, one, post};
use crate::report::{Figures, Scale, nanoseconds};
use crate::server::Server;

const CONFIG: &str = "public_url = \"http://127.0.0.1\"\nlog = \"error\"\n";
const POLICY: &str = "[permission.\"documents:read\"]\n[kind.token]\npersonal = true\n\
    format = \"kwp_{id:12}_{secret:26}{checksum}\"\npermissions = [\"documents:read\"]\n";
const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "plum tractor ode";
const KEYS: usize = 10_000;
/// Keys that are used before the pages are asked for, each from an address of its own.
const USED: usize = 2_000;
/// What a page may weigh, and how long it may take.
const MOST_BYTES: f64 = 50_000.0;
const MOST_NS: f64 = 20_000_000.0;

/// The rows of the dashboard.
pub(crate) fn run(scale: &Scale, _: &mut Table, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::configured(folder.path(), CONFIG, POLICY, false)?;
    let Furnished { key, account, user } = furnish(&server)?;
    let cookie = log_in(&server)?;
    let row = last_audited(&server)?;
    let key_page = format!("/dashboard/keys/{key}");
    let pages = [
        "/dashboard/keys",
        "/dashboard/keys?find=backup+99",
        "/dashboard/keys?view=unused",
        "/dashboard/keys?view=expiring",
        "/dashboard/keys/new",
        &key_page,
        &format!("{key_page}/rotate"),
        &format!("{key_page}/edit"),
        &format!("{key_page}/revoke"),
        &format!("{key_page}/refusals"),
        &format!("{key_page}/simulate"),
        "/dashboard/tokens",
        "/dashboard/members",
        "/dashboard/ssh-keys",
        "/dashboard/services",
        "/dashboard/audit",
        &format!("/dashboard/audit/{row}"),
        "/dashboard/sessions",
        "/dashboard/security",
        "/dashboard/operator/health",
        "/dashboard/operator/accounts",
        &format!("/dashboard/operator/accounts/{account}"),
        "/dashboard/operator/users",
        &format!("/dashboard/operator/users/{user}"),
        "/dashboard/operator/lockouts",
        "/dashboard/operator/explain",
        "/dashboard/operator/policy",
        "/dashboard/operator/proxies",
        "/dashboard/operator/audit",
        "/dashboard/style.css",
        "/dashboard/script.js",
    ];
    for path in pages {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookie}\r\n\r\n").into_bytes();
        let mut weight = 0;
        let mut client = Client::connect(server.address, 1)?;
        let run = client.run(&[request], scale.rounds * 10, |_, answer| {
            ensure!(answer.head.starts_with("HTTP/1.1 200"), "{path}: {}", answer.head);
            weight = answer.head.len() + answer.body.len();
            Ok(())
        })?;
        let [median, slow] = [50, 99].map(|hundredths| float(run.percentile(hundredths)));
        let name = [&key, &account, &user, &row].iter().fold(path.to_owned(), |path, id| path.replace(*id, "{id}"));
        let kilobytes = format!("{:.1} KB", float(weight as u64) / 1_000.0);
        figures.row(&format!("{name}: weight"), kilobytes, Goal::AtMost(MOST_BYTES), float(weight as u64));
        let times = format!("{} ({})", nanoseconds(median), nanoseconds(slow));
        figures.row(&format!("{name}: time, median (p99)"), times, Goal::AtMost(MOST_NS), slow);
    }
    Ok(())
}

/// What the pages are about.
struct Furnished {
    /// One that was used.
    key: String,
    account: String,
    user: String,
}

/// An account of a person who is an operator, too, with its keys.
fn furnish(server: &Server) -> Result<Furnished> {
    let operator = &server.ready;
    let account = one(server.address, post("/v1/accounts", operator, &json!({ "name": "Bench" })), 201)?;
    let account = id(&account)?;
    let person = json!({
        "email": EMAIL, "password": PASSWORD, "account_id": account, "role": "owner", "operator_permissions": ["*"],
    });
    let user = id(&one(server.address, post("/v1/users", operator, &person), 201)?)?;
    let make = |number: usize| {
        let name = format!("Backup {number}");
        let about = "Copies the database to storage every night";
        post("/v1/keys", operator, &json!({ "account_id": account, "name": name, "description": about }))
    };
    let requests: Vec<Vec<u8>> = (0..KEYS).map(make).collect();
    let mut made = vec![Value::Null; KEYS];
    Client::connect(server.address, 64)?.run(&requests, KEYS, |number, answer| {
        ensure!(answer.head.starts_with("HTTP/1.1 201"), "a key was not made: {}", answer.head);
        if let Some(made) = made.get_mut(number) {
            *made = serde_json::from_slice(answer.body)?;
        }
        Ok(())
    })?;
    let verify = |(number, key): (usize, &Value)| {
        let ip = format!("203.0.{}.{}", number / 256, number % 256);
        post("/v1/keys/verify", operator, &json!({ "key": key.get("key"), "ip": ip, "user_agent": "restic/0.16" }))
    };
    let uses: Vec<Vec<u8>> = made.iter().enumerate().rev().take(USED).map(verify).collect();
    Client::connect(server.address, 8)?.run(&uses, USED, |_, answer| {
        ensure!(answer.body.starts_with(b"{\"valid\":true"), "not valid");
        Ok(())
    })?;
    Ok(Furnished { key: id(made.last().context("no key")?)?, account, user })
}

/// The number of a row of the audit log.
fn last_audited(server: &Server) -> Result<String> {
    let credential = &server.ready;
    let request =
        format!("GET /v1/audit?limit=1 HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {credential}\r\n\r\n");
    let listed = one(server.address, request.into_bytes(), 200)?;
    listed.pointer("/data/0/seq").map(Value::to_string).context("nothing was audited")
}

fn id(made: &Value) -> Result<String> {
    made.get("id").and_then(Value::as_str).map(str::to_owned).context("no id")
}

/// The cookie of a login.
fn log_in(server: &Server) -> Result<String> {
    let body = format!("email={EMAIL}&password={}", PASSWORD.replace(' ', "+"));
    let request = format!(
        "POST /dashboard/login HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: http://127.0.0.1\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut cookie = None;
    Client::connect(server.address, 1)?.run(&[request.into_bytes()], 1, |_, answer| {
        let set = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        cookie = set.and_then(|set| set.split(';').next()).map(str::to_owned);
        Ok(())
    })?;
    cookie.context("nobody was let in")
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn float(count: u64) -> f64 {
    count as f64
}
