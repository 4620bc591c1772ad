//! Services that fail while many ask for them: what clients are told, that other routes go on as if nothing was, and that
//! nothing is left behind.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Desk, Server, text, until};

/// Who ask for the service that fails: half of them read, half of them send a body.
const CLIENTS: usize = 16;
/// Who ask for another one.
const NEIGHBOURS: usize = 4;
/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a client sends that sends a body.
static BODY: [u8; 100_000] = [7; 100_000];

/// What a service does once it has read the head of a request.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Answers.
    Fine,
    /// Says nothing.
    Hung,
    /// Answers byte by byte.
    Slow,
    /// Begins to answer, and says no more.
    Stalled,
    /// Begins to answer, and closes its side.
    BrokenOff,
    /// Closes its side, and goes on listening.
    HalfClosed,
    /// Goes away with bytes unread.
    Reset,
}

use Manner::{BrokenOff, Fine, HalfClosed, Hung, Reset, Slow, Stalled};

/// Every manner by its number.
const MANNERS: [Manner; 7] = [Fine, Hung, Slow, Stalled, BrokenOff, HalfClosed, Reset];
const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n";

struct Service {
    address: SocketAddr,
    manner: Arc<AtomicU8>,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (manner, open) = (Arc::<AtomicU8>::default(), Arc::<AtomicUsize>::default());
        let service = Self { address: listener.local_addr().unwrap(), manner: manner.clone(), open: open.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, open) = (manner.clone(), open.clone());
                std::thread::spawn(move || {
                    open.fetch_add(1, Ordering::SeqCst);
                    // Whatever goes wrong, the other side has gone.
                    let _ = serve(stream, &manner);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        service
    }

    fn behaves(&self, manner: Manner) {
        self.manner.store(manner as u8, Ordering::SeqCst);
    }
}

fn serve(mut stream: TcpStream, manner: &AtomicU8) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
            if head.len() == 1 && matches!(MANNERS[usize::from(manner.load(Ordering::SeqCst))], Reset) {
                return Ok(());
            }
        }
        let mut body = vec![0; if head.starts_with(b"PUT") { BODY.len() } else { 0 }];
        match MANNERS[usize::from(manner.load(Ordering::SeqCst))] {
            Fine | Reset => {
                stream.read_exact(&mut body)?;
                stream.write_all(&[BEGUN, b"as asked"].concat())?;
            }
            Slow => {
                stream.read_exact(&mut body)?;
                stream.write_all(BEGUN)?;
                for byte in b"as asked" {
                    std::thread::sleep(Duration::from_millis(20));
                    stream.write_all(&[*byte])?;
                }
            }
            Hung => return ends(stream),
            Stalled => {
                stream.read_exact(&mut body)?;
                stream.write_all(&[BEGUN, b"as "].concat())?;
                return ends(stream);
            }
            BrokenOff => {
                stream.read_exact(&mut body)?;
                stream.write_all(&[BEGUN, b"as "].concat())?;
                stream.shutdown(Shutdown::Write)?;
                return ends(stream);
            }
            HalfClosed => {
                stream.shutdown(Shutdown::Write)?;
                return ends(stream);
            }
        }
    }
}

/// Waits until the other side has closed the connection.
fn ends(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// Many clients, for as long as it takes.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    /// How many requests each client has made.
    made: [AtomicUsize; CLIENTS],
    /// What those who ask for the failing service were told.
    told: Mutex<Vec<String>>,
    /// What their neighbours were told, and how long it took at most.
    beside: Mutex<(usize, Duration)>,
}

impl Load {
    /// What clients are told from now on: nothing is counted that was under way.
    fn next(&self, count: usize) -> Vec<String> {
        let made = || self.made.each_ref().map(|made| made.load(Ordering::SeqCst));
        let before = made();
        until("every client has asked anew", || made().iter().zip(before).all(|(now, before)| *now > before));
        self.told.lock().unwrap().clear();
        until("many clients have asked", || self.told.lock().unwrap().len() >= count);
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn client(&self, number: usize, url: &str, key: &str) {
        let agent = agent();
        while !self.is_over.load(Ordering::SeqCst) {
            let outcome = outcome(&agent, number.is_multiple_of(2), url, key);
            self.told.lock().unwrap().push(outcome);
            self.made[number].fetch_add(1, Ordering::SeqCst);
        }
    }

    fn neighbour(&self, url: &str, key: &str) {
        let agent = agent();
        while !self.is_over.load(Ordering::SeqCst) {
            let begun = Instant::now();
            assert_eq!(outcome(&agent, false, url, key), "200 as asked", "another route is not as it was");
            let mut beside = self.beside.lock().unwrap();
            *beside = (beside.0 + 1, beside.1.max(begun.elapsed()));
        }
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    config.build().new_agent()
}

/// An answer's status, and its body or its code; `cut` where it was not whole.
fn outcome(agent: &ureq::Agent, sends: bool, url: &str, key: &str) -> String {
    let key = format!("Bearer {key}");
    let answered = match sends {
        true => agent.put(url).header("authorization", key).send(&BODY[..]),
        false => agent.get(url).header("authorization", key).call(),
    };
    let mut answer = match answered {
        Ok(answer) => answer,
        Err(error) => return format!("no answer: {error}"),
    };
    let status = answer.status().as_u16();
    match answer.body_mut().read_to_string() {
        Ok(body) if status == 200 => format!("200 {body}"),
        Ok(body) => {
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            format!("{status} {}", text(&problem, "code"))
        }
        Err(_) => "cut".into(),
    }
}

/// A server with these routes besides, and a key that passes everywhere.
fn gate(routes: &str) -> (Desk, Server, String) {
    let (mut desk, operator) = Desk::with_config();
    let policy = std::fs::read_to_string(desk.path("policy.toml")).unwrap();
    std::fs::write(desk.path("policy.toml"), format!("{policy}\n{routes}")).unwrap();
    desk.set("KEYWRIGHT_API_KEY", &operator);
    let server = desk.serve();
    let account = desk.json(&["accounts", "create", "Load"]);
    let made = desk.json(&["keys", "create", "--account", text(&account, "id"), "--name", "load"]);
    let key = text(&made, "key").to_owned();
    (desk, server, key)
}

fn route(name: &str, upstream: &str, more: &str) -> String {
    format!(
        "[route.{name}]\npath = \"/{name}\"\nupstream = \"http://{upstream}\"\nmethods = {{ GET = [], PUT = [] }}\n{more}\n"
    )
}

/// Everything a server has open, and its memory in kilobytes.
fn held(server: &Server) -> (usize, usize) {
    (server.open_files(), server.memory())
}

#[test]
fn a_service_that_fails_under_load_is_told_of_and_nothing_else_is_touched() {
    let (failing, fine) = (Service::start(), Service::start());
    let times = "timeout = { connect = \"1s\", header = \"2s\", idle = \"1s\" }";
    let routes = route("failing", &failing.address.to_string(), times) + &route("fine", &fine.address.to_string(), "");
    let (_desk, server, key) = gate(&routes);
    let load = Load::default();
    let urls = ["failing", "fine"].map(|name| format!("{}/{name}/x", server.url));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (load, url, key) = (&load, &urls[0], &key);
            scope.spawn(move || load.client(number, url, key));
        }
        for _ in 0..NEIGHBOURS {
            scope.spawn(|| load.neighbour(&urls[1], &key));
        }
        let goes = || {
            let (fine, cut) = ("200 as asked", "cut");
            let (gone, late) = ("502 UPSTREAM_UNREACHABLE", "504 UPSTREAM_TIMED_OUT");
            let manners = [
                (Fine, fine, 500),
                (Hung, late, 2 * CLIENTS),
                (Slow, fine, 100),
                (Stalled, cut, 2 * CLIENTS),
                (BrokenOff, cut, 1_000),
                (HalfClosed, gone, 1_000),
                (Reset, gone, 1_000),
                (Fine, fine, 500),
            ];
            for (manner, expected, count) in manners {
                failing.behaves(manner);
                let told = load.next(count);
                let others: Vec<&String> = told.iter().filter(|told| *told != expected).collect();
                assert!(others.is_empty(), "{manner:?}: {} of {}: {others:?}", others.len(), told.len());
            }
            held(&server)
        };
        // However it ends, so do the clients.
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| [goes(), goes(), goes()]));
        load.is_over.store(true, Ordering::SeqCst);
        let [(files, memory), _, (files_then, memory_then)] = held.unwrap();
        assert!(files_then < files + CLIENTS, "{files} files were open, and then {files_then}");
        assert!(memory_then < memory + 16 * 1_024, "{memory} kB were in use, and then {memory_then}");
    });
    let (asked, longest) = *load.beside.lock().unwrap();
    assert!(asked > 1_000, "another route was asked for {asked} times");
    assert!(longest < Duration::from_secs(2), "another route took {longest:?}");
    until("no more is open than is kept for the next request", || failing.open.load(Ordering::SeqCst) <= CLIENTS);
}

/// Another server stands in for a service, and is ended as a power cut would.
#[test]
fn a_service_that_is_killed_under_load_is_told_of_until_it_is_back() {
    let fine = Service::start();
    let (behind, _) = Desk::with_config();
    let service = behind.serve();
    let address = service.url.trim_start_matches("http://").to_owned();
    let routes = route("killed", &address, "strip = true") + &route("fine", &fine.address.to_string(), "");
    let (_desk, server, key) = gate(&routes);
    let load = Load::default();
    let urls = ["killed/health", "fine/x"].map(|path| format!("{}/{path}", server.url));
    // Only reads: what it is asked for takes nothing else.
    let is_fine = |told: &String| told.starts_with("200 {\"status\":\"ok\"") || told == "405 METHOD_NOT_ALLOWED";
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (load, url, key) = (&load, &urls[0], &key);
            scope.spawn(move || load.client(number, url, key));
        }
        scope.spawn(|| load.neighbour(&urls[1], &key));
        let goes = || {
            let told = load.next(500);
            assert!(told.iter().all(is_fine), "{:?}", told.iter().find(|told| !is_fine(told)));
            let before = held(&server);
            service.kill();
            let told = load.next(1_000);
            assert!(told.iter().all(|told| told == "502 UPSTREAM_UNREACHABLE"), "{told:?}");
            let service = behind.serve_at(&address);
            let told = load.next(500);
            assert!(told.iter().all(is_fine), "{told:?}");
            drop(service);
            (before, held(&server))
        };
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(goes));
        load.is_over.store(true, Ordering::SeqCst);
        let ((files, memory), (files_then, memory_then)) = held.unwrap();
        assert!(files_then < files + CLIENTS, "{files} files were open, and then {files_then}");
        assert!(memory_then < memory + 16 * 1_024, "{memory} kB were in use, and then {memory_then}");
    });
}
