//! People logging in: what an answer's time tells of whether there is such a person, and what many logins at once do to
//! verification and to memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keywright_bench::alike::Apart;
use keywright_bench::cpu::{peak_bytes_of, resident_bytes_of};
use keywright_bench::measure::{Goal, Quartiles, Side};
use keywright_bench::table::Table;
use keywright_bench::tail::compare_percentiles;
use serde_json::{Value, json};

use crate::client::{Client, one, post, post_with};
use crate::report::{Figures, Scale, nanoseconds, ratio};
use crate::server::Server;

/// Whoever asks names an address of its own, as many strangers do; nobody is locked out, or it would be that which is
/// measured.
const CONFIG: &str = "trusted_proxies = [\"127.0.0.1\"]\npublic_url = \"http://127.0.0.1\"\nlog = \"error\"\n\
    [mail]\nfrom = \"Keywright <no-reply@example.com>\"\nfolder = \"mail\"\n";
const POLICY: &str =
    "[login]\nopen = true\nlockout = { person = \"1000000 in 1m for 1m\", ip = \"1000000 in 1m for 1m\" }\n";
const PASSWORD: &str = "plum tractor ode";
/// Samples of each kind a round takes; and logins under way at a time.
const SAMPLES_A_ROUND: usize = 8;
const LOGINS: usize = 200;
/// How long a slice of verification beside logins is, and the pause where logins begin or end: by then they are under way, or
/// what was given up is through. Both are short, and rounds many: see `tail.rs`.
const SLICE: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(100);
/// So many rounds of that for each two of others.
const ROUNDS_FOR_TWO: usize = 7;
/// For how long logins come all the time, to count them and what they take.
const SUSTAINED: Duration = Duration::from_secs(10);
/// What many logins may take: a hash a thread, and what it takes to hold the rest.
const MOST_MIB: f64 = 64.0;

/// The rows of logins.
pub(crate) fn run(scale: &Scale, table: &mut Table, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::configured(folder.path(), CONFIG, POLICY, false)?;
    let people = People::make(&server, scale.rounds * SAMPLES_A_ROUND)?;
    under_load(scale, table, figures, &server, &people)?;
    for (what, ask) in
        [("login, wrong password", Ask::LogIn), ("password/forgot", Ask::Forgot), ("register", Ask::Register)]
    {
        told_apart(scale, figures, &server, &people, what, ask)?;
    }
    Ok(())
}

/// People there are, each known by a number.
struct People {
    operator: String,
    account: String,
    count: usize,
}

impl People {
    fn make(server: &Server, count: usize) -> Result<Self> {
        let operator = server.ready.clone();
        let made = one(server.address, post("/v1/accounts", &operator, &json!({ "name": "Bench" })), 201)?;
        let account = made.get("id").and_then(Value::as_str).context("no account")?.to_owned();
        let make = |number| {
            let person =
                json!({ "email": known(number), "account_id": account, "role": "owner", "password": PASSWORD });
            post("/v1/users", &operator, &person)
        };
        let requests: Vec<Vec<u8>> = (0..count).map(make).collect();
        Client::connect(server.address, 8)?.run(&requests, count, |_, answer| {
            ensure!(answer.head.starts_with("HTTP/1.1 201"), "a person was not made: {}", answer.head);
            Ok(())
        })?;
        Ok(Self { operator, account, count })
    }
}

fn known(number: usize) -> String {
    format!("known{number:06}@example.com")
}

/// What somebody asks who wants to know whether there is such a person.
#[derive(Clone, Copy)]
enum Ask {
    LogIn,
    Forgot,
    Register,
}

impl Ask {
    /// The request about an address, and how it is answered. Each comes from a network of its own: addresses of one /64 are
    /// one to the limits.
    fn request(self, email: &str, number: usize) -> (Vec<u8>, &'static str) {
        let (path, password, status) = match self {
            Self::LogIn => ("login", Some("not the password"), "HTTP/1.1 401"),
            Self::Forgot => ("password/forgot", None, "HTTP/1.1 202"),
            Self::Register => ("register", Some("seven odd green kettles"), "HTTP/1.1 202"),
        };
        let body = match password {
            Some(password) => json!({ "email": email, "password": password }),
            None => json!({ "email": email }),
        };
        let from = format!("x-forwarded-for: 2001:db8:{:x}:{:x}::1", number / 65_536, number % 65_536);
        (post_with(&format!("/v1/auth/{path}"), &from, &body), status)
    }
}

/// Times of answers about people there are, about nobody, and about other people there are: each asked about once, in
/// turns, and each turn in another order.
fn told_apart(
    scale: &Scale,
    figures: &mut Figures,
    server: &Server,
    people: &People,
    what: &str,
    ask: Ask,
) -> Result<()> {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0], [2, 1, 0]];
    let mut client = Client::connect(server.address, 1)?;
    let mut times: [Vec<f64>; 3] = Default::default();
    let rounds = (scale.rounds * SAMPLES_A_ROUND / 2).min(people.count / 2);
    for (round, order) in (0..rounds).zip(ORDERS.into_iter().cycle()) {
        for kind in order {
            let email = match kind {
                0 => known(2 * round),
                1 => format!("nobody{round:06}@example.com"),
                _ => known(2 * round + 1),
            };
            let (request, status) = ask.request(&email, 3 * round + kind);
            let run = client.run(&[request], 1, |_, answer| {
                ensure!(answer.head.starts_with(status), "{what}: {}", answer.head);
                Ok(())
            })?;
            if let Some(times) = times.get_mut(kind) {
                times.push(float(run.wall_ns));
            }
            if matches!(ask, Ask::Forgot) {
                // What is done in a moment is done.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    let [first, nobody, second] = &times;
    for (who, times) in [("known", first), ("nobody", nobody), ("known, the control", second)] {
        let Quartiles { q1, median, q3 } = Quartiles::of(times).context("no samples")?;
        let shown = format!("{} ({} to {})", nanoseconds(median), nanoseconds(q1), nanoseconds(q3));
        figures.row(&format!("{what}: {who}, {} samples, median (quartiles)", times.len()), shown, Goal::Open, 0.0);
    }
    for (who, other, goal) in [("nobody", nobody, Goal::AtMost(3.0)), ("known, the control,", second, Goal::Open)] {
        let apart = Apart::of(first, other).context("no samples")?;
        figures.row(
            &format!("{what}: how often {who} takes longer than known, |z|"),
            apart.to_string(),
            goal,
            apart.z.abs(),
        );
    }
    Ok(())
}

/// Logins under way, so many at all times, until it is dropped.
struct Load {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, people: &People, answered: &Arc<Mutex<Answered>>) -> Result<Self> {
        let requests: Vec<Vec<u8>> = (0..people.count)
            .map(|number| {
                post_with("/v1/auth/login", "accept: */*", &json!({ "email": known(number), "password": PASSWORD }))
            })
            .collect();
        let mut client = Client::connect(server.address, LOGINS)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, answered) = (Arc::clone(&is_over), Arc::clone(answered));
        let thread = std::thread::spawn(move || {
            let begun = std::time::Instant::now();
            let counts = [(); 2].map(|()| AtomicUsize::new(0));
            // It ends by an error: that it is over. Logins that are under way then are given up.
            drop(client.run(&requests, 1_000_000, |_, answer| {
                let is_in = answer.head.starts_with("HTTP/1.1 200");
                if let Some(count) = counts.get(usize::from(!is_in)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                ensure!(!over.load(Ordering::Relaxed), "over");
                Ok(())
            }));
            if let Ok(mut answered) = answered.lock() {
                let [logins, others] = counts.map(AtomicUsize::into_inner);
                answered.logins += logins;
                answered.others += others;
                answered.seconds += begun.elapsed().as_secs_f64();
            }
        });
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

#[derive(Clone, Copy, Default)]
struct Answered {
    logins: usize,
    others: usize,
    seconds: f64,
}

/// Verification while nobody logs in, and while 200 do.
fn under_load(scale: &Scale, table: &mut Table, figures: &mut Figures, server: &Server, people: &People) -> Result<()> {
    let key = json!({ "account_id": people.account, "name": "key" });
    let key = one(server.address, post("/v1/keys", &people.operator, &key), 201)?;
    let requests = [post("/v1/keys/verify", &people.operator, &json!({ "key": key.get("key") }))];
    let answered = [(); 2].map(|()| Arc::new(Mutex::new(Answered::default())));
    let [in_slices, sustained] = &answered;
    let idle = resident_bytes_of(server.pid())?;
    for connections in [1, 8] {
        let mut client = Client::connect(server.address, connections)?;
        let (mut failed, mut load) = (None, None);
        let mut slice = |side, place| {
            match side {
                Side::A => load = None,
                Side::B if load.is_none() => load = Some(Load::start(server, people, in_slices)?),
                Side::B => {}
            }
            // In the control, too, where nothing begins or ends.
            if place % 2 == 1 {
                std::thread::sleep(PAUSE);
            }
            verifications(&mut client, &requests, SLICE)
        };
        let found = compare_percentiles(scale.rounds * ROUNDS_FOR_TWO / 2, &[50, 99], |side, place| {
            slice(side, place).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Vec::new()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let found = found.context("a slice measured nothing")?;
        for ((found, name), goal) in found.into_iter().zip(["p50", "p99"]).zip([Goal::Open, Goal::AtMost(2.0)]) {
            let what = format!("verify, {connections} at a time: {name} while {LOGINS} log in / while nobody does");
            ratio(table, &what, Some(found), goal, nanoseconds)?;
        }
    }
    let load = Load::start(server, people, sustained)?;
    verifications(&mut Client::connect(server.address, 8)?, &requests, SUSTAINED)?;
    drop(load);
    let peak = peak_bytes_of(server.pid())?;
    let gained = float(peak.saturating_sub(idle)) / 1_048_576.0;
    let shown = format!("{gained:.1} MiB, over {:.1}", float(idle) / 1_048_576.0);
    figures.row(&format!("most memory gained while {LOGINS} log in"), shown, Goal::AtMost(MOST_MIB), gained);
    let lock = |one: &Arc<Mutex<Answered>>| one.lock().map(|one| *one).map_err(|_| anyhow::anyhow!("the load died"));
    let (in_slices, sustained) = (lock(in_slices)?, lock(sustained)?);
    ensure!(in_slices.logins > 0 && sustained.logins > 0, "nobody logged in");
    let rate = float(sustained.logins as u64) / sustained.seconds;
    figures.row(
        &format!("logins a second, {LOGINS} at a time, beside verification"),
        format!("{rate:.1}"),
        Goal::Open,
        0.0,
    );
    figures.row(
        "logins that were told to come back",
        (in_slices.others + sustained.others).to_string(),
        Goal::Open,
        0.0,
    );
    Ok(())
}

/// How long verifications take, one after another on each connection, for so long.
fn verifications(client: &mut Client, requests: &[Vec<u8>], span: Duration) -> Result<Vec<u64>> {
    let run = client.run_for(requests, span, |_, answer| {
        ensure!(answer.body.starts_with(b"{\"valid\":true"), "not valid");
        Ok(())
    })?;
    Ok(run.each_ns)
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn float(count: u64) -> f64 {
    count as f64
}
