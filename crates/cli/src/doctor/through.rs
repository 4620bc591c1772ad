//! A proxy in front of services, as a stranger meets it: whether it asks for a key, what of a stranger's own words reaches the
//! service, and whether the service is told who asks.
//!
//! The requests are written byte by byte: a library would mend what is to be tried. Whether one reached the service is told
//! by the service: this program stands in for it (`behind.rs`), or its answer repeats what it was asked, as an echo does.

mod behind;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use http::Uri;
use keywright_server::{IDENTITY, MISLEADING};
use zeroize::Zeroizing;

use super::Findings;
use crate::exit::{Exit, fail};
use behind::Behind;
use wire::{Answer, Proxy};

/// Where a key is read from that the proxy's route lets in.
pub(super) const PROBE_KEY: &str = "KEYWRIGHT_PROBE_KEY";
/// What every request carries, with a number of its own, to be recognised by.
const MARK: &str = "x-keywright-probe";
/// How long a request that was refused may still be on its way to the service.
const SETTLES: Duration = Duration::from_millis(100);
/// An address that is nobody's (RFC 5737).
const ELSEWHERE: &str = "192.0.2.77";

/// How a request went.
struct Outcome {
    answer: Option<Answer>,
    /// What the service was asked, as far as it tells.
    seen: Option<String>,
}

impl Outcome {
    fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status)
    }

    /// Whether it got where only keys get: the service says so, or the answer is a success.
    fn is_in(&self) -> bool {
        self.seen.is_some() || self.status().is_some_and(|status| (200..300).contains(&status))
    }

    fn told(&self) -> String {
        self.status().map_or_else(|| "no answer".to_owned(), |status| format!("{status}"))
    }
}

/// A proxy and what is known of it.
struct Probe {
    proxy: Proxy,
    path: String,
    behind: Option<Behind>,
    key: Option<Zeroizing<String>>,
    sent: std::cell::Cell<u32>,
}

/// Tries the proxy at `url`.
///
/// # Errors
/// The address is none, or nobody can listen where it is said.
pub(super) async fn check(url: &str, behind: Option<SocketAddr>, found: &mut Findings) -> Result<()> {
    let parsed =
        url.parse().ok().filter(|url: &Uri| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
    let Some(url) = parsed else {
        let says = format!("--through {url}: name what a client asks for, as in https://api.example.com/v1/files");
        return Err(fail(Exit::Usage, says));
    };
    let key = std::env::var(PROBE_KEY).ok().filter(|key| !key.is_empty()).map(Zeroizing::new);
    let behind = match behind {
        Some(address) => Some(Behind::listen(address).await?),
        None => None,
    };
    let path = url.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let probe = Probe { proxy: Proxy::new(&url)?, path, behind, key, sent: std::cell::Cell::new(0) };
    let asked = probe.ask(&[]).await;
    if let Err(error) = &asked {
        found.wrong("proxy", format!("{url}: {error}"), "check the address, and that the proxy runs");
        return Ok(());
    }
    found.ok("proxy", format!("{url} answers"));
    let before = found.wrongs();
    probe.strangers(found).await;
    if found.wrongs() == before {
        probe.readings(found).await;
    }
    probe.framing(found).await;
    probe.guests(found).await;
    Ok(())
}

impl Probe {
    /// The path with these headers besides.
    async fn ask(&self, headers: &[(&str, &str)]) -> Result<Outcome, String> {
        self.ask_for(&self.path, headers).await
    }

    async fn ask_for(&self, path: &str, headers: &[(&str, &str)]) -> Result<Outcome, String> {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(|mark| {
            let connection = if lines.starts_with("connection:") { "" } else { "connection: close\r\n" };
            let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{MARK}: {mark}\r\n", self.proxy.authority());
            format!("{head}{connection}{lines}\r\n")
        })
        .await
    }

    /// A request written with a mark.
    async fn send(&self, write: impl FnOnce(&str) -> String) -> Result<Outcome, String> {
        let number = self.sent.get() + 1;
        self.sent.set(number);
        let mark = format!("kw{}n{number}e", std::process::id());
        let answer = self.proxy.exchange(write(&mark).as_bytes()).await?;
        let seen = match &self.behind {
            Some(behind) => {
                tokio::time::sleep(SETTLES).await;
                behind.seen(&mark)
            }
            None => answer.as_ref().map(|answer| answer.text.to_ascii_lowercase()).filter(|text| text.contains(&mark)),
        };
        Ok(Outcome { answer, seen })
    }

    /// Whoever shows no key, or no real one.
    async fn strangers(&self, found: &mut Findings) {
        const MEND: &str = "the proxy lets it pass unasked: see `keywright gateway snippet`, and fail closed";
        let mut refused = None;
        let guess = [("authorization", "Bearer kw_live_a_guess")];
        for (who, headers) in [("without a key", &[][..]), ("with a key nobody has", &guess)] {
            match self.ask(headers).await {
                Ok(outcome) if outcome.is_in() => {
                    return found.wrong("no key", format!("a request {who} reaches the service"), MEND);
                }
                Ok(outcome) => refused = Some(outcome),
                Err(error) => return found.wrong("no key", error, "check the proxy's log"),
            }
        }
        let Some(outcome) = refused else { return };
        let is_challenged = outcome.answer.as_ref().is_some_and(|answer| answer.header("www-authenticate").is_some());
        match outcome.status() {
            Some(401) if is_challenged => found.ok("no key", "is refused: 401"),
            Some(401) => found.warn(
                "no key",
                "is refused by 401, without WWW-Authenticate",
                "pass that header of the answer on: clients read from it how to log in",
            ),
            Some(500..) => found.wrong(
                "no key",
                format!("is refused by {}", outcome.told()),
                "the proxy could not ask, or cannot pass a refusal on: see its log, and `keywright gateway snippet`",
            ),
            Some(404) => found.warn(
                "no key",
                "is told 404",
                "name a path that a route of the policy leads to: nothing else is tried on one that is not there",
            ),
            _ => found.warn(
                "no key",
                format!("is refused by {}, where Keywright says 401", outcome.told()),
                "pass Keywright's answer on as it is: it says what is wrong, and how long to wait",
            ),
        }
        self.forged(found).await;
    }

    /// Headers in which proxies tell Keywright what was asked for, from a client.
    async fn forged(&self, found: &mut Findings) {
        let mut taken = Vec::new();
        for dialect in ["original", "forwarded"] {
            for (method, uri) in [("OPTIONS", self.path.as_str()), ("GET", "/"), ("GET", "/health")] {
                let names = ["method", "uri", "url"].map(|part| format!("x-{dialect}-{part}"));
                let [by_method, by_uri, by_url] = &names;
                let headers = [(by_method.as_str(), method), (by_uri, uri), (by_url, uri), ("x-rewrite-url", uri)];
                if self.ask(&headers).await.is_ok_and(|outcome| outcome.is_in()) {
                    taken.push(format!("{by_method}: {method} with {by_uri}: {uri}"));
                }
            }
        }
        match taken.first() {
            None => found.ok("forged words", "a client cannot say what it is asking for but by asking"),
            Some(first) => found.wrong(
                "forged words",
                format!("a client that sends {first} is let in without a key"),
                "set these headers in the proxy, whatever the client sent, before it asks Keywright",
            ),
        }
    }

    /// The same path, written so that it reads otherwise to somebody.
    async fn readings(&self, found: &mut Findings) {
        let path = self.path.split('?').next().unwrap_or("/");
        let bare = path.trim_start_matches('/');
        let readings = [
            format!("//{bare}"),
            format!("/./{bare}"),
            format!("/%2e/{bare}"),
            format!("/x/../{bare}"),
            format!("/x/%2e%2e/{bare}"),
            format!("/x%2f..%2f{bare}"),
            format!("/%2f{bare}"),
            format!("/x\\..\\{bare}"),
            format!("{path};a=1"),
            format!("{path}%00"),
            format!("{path}/%2e%2e/x"),
            path.to_ascii_uppercase(),
        ];
        let mut through = Vec::new();
        for reading in &readings {
            if reading != path && self.ask_for(reading, &[]).await.is_ok_and(|outcome| self.gets_by(&outcome)) {
                through.push(reading.as_str());
            }
        }
        if through.is_empty() {
            found.ok(
                "other readings",
                format!("none of {} spellings of the path gets by without a key", readings.len()),
            );
        } else {
            found.wrong(
                "other readings",
                format!("{} reaches the service without a key", through.join(" and ")),
                "ask about every request of the host, and answer 404 where no route is, instead of asking by path",
            );
        }
    }

    /// Whether another spelling got where it should not: by the service's word where this program is the service, else by
    /// how it was answered.
    fn gets_by(&self, outcome: &Outcome) -> bool {
        if self.behind.is_some() { outcome.seen.is_some() } else { outcome.is_in() }
    }

    /// Requests whose end two readers see in two places.
    async fn framing(&self, found: &mut Findings) {
        let host = self.proxy.authority();
        // With a key, what reaches the service by itself is told by the service alone.
        let key = self.key.as_ref().filter(|_| self.behind.is_some());
        let credential = key.map_or_else(String::new, |key| format!("authorization: Bearer {}\r\n", **key));
        let mut through = Vec::new();
        let lines = [
            ("two lengths", "content-length: 0\r\ncontent-length: {length}\r\n"),
            ("a length beside chunks", "content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            ("chunks in another spelling", "content-length: {length}\r\ntransfer-encoding: xchunked\r\n"),
            ("a space before the colon", "content-length : {length}\r\ncontent-length: 0\r\n"),
        ];
        for (what, line) in lines {
            // What lies beyond the one end and within the other is a request of its own to whoever sees the first.
            let inner = format!("kw{}inner{}e", std::process::id(), self.sent.get());
            let body = format!("0\r\n\r\nGET {} HTTP/1.1\r\nhost: {host}\r\n{MARK}: {inner}\r\n\r\n", self.path);
            let line = line.replace("{length}", &body.len().to_string());
            let sent = self
                .send(|mark| {
                    format!(
                        "POST {} HTTP/1.1\r\nhost: {host}\r\n{MARK}: {mark}\r\n{credential}{line}\r\n{body}",
                        self.path
                    )
                })
                .await;
            let is_smuggled = self.behind.as_ref().is_some_and(|behind| behind.seen(&inner).is_some());
            let is_in = key.is_none() && sent.is_ok_and(|outcome| outcome.is_in());
            if is_smuggled || is_in {
                through.push(what);
            }
        }
        if through.is_empty() && self.behind.is_none() {
            found.ok(
                "framing",
                "none of these gets in without a key; whether one hides in another is seen with --behind",
            );
        } else if through.is_empty() {
            found.ok("framing", "no request hides in another");
        } else {
            found.wrong(
                "framing",
                format!("by {} a request reaches the service that nobody asked about", through.join(", ")),
                "update the proxy, and have it refuse what RFC 9112, 6.3 refuses",
            );
        }
    }

    /// Whoever shows a key that is good.
    async fn guests(&self, found: &mut Findings) {
        const CHECK: &str = "with a key";
        let Some(key) = &self.key else {
            let mend =
                format!("put one that may GET the path into {PROBE_KEY}: what reaches the service is tried then");
            return found.warn(CHECK, "none was given", mend);
        };
        let credential = format!("Bearer {}", **key);
        let plain = match self.ask(&[("authorization", &credential)]).await {
            Ok(outcome) => outcome,
            Err(error) => return found.wrong(CHECK, error, "check the proxy's log"),
        };
        let Some(seen) = &plain.seen else {
            if plain.is_in() {
                let mend = "point the proxy at this program instead, with --behind, or at a service that repeats what it is asked";
                return found.warn(CHECK, "the service does not tell what it was asked", mend);
            }
            let detail = format!("is refused by {}", plain.told());
            return found.wrong(
                CHECK,
                detail,
                "`keywright keys verify` says why; the key must be good for a GET of this path",
            );
        };
        found.ok(CHECK, format!("the service is reached: {}", plain.told()));
        if seen.contains(&key.to_ascii_lowercase()) {
            let mend =
                "take Authorization and X-API-Key off before the request goes on, unless the service is to have them";
            found.warn("the key itself", "reaches the service", mend);
        } else {
            found.ok("the key itself", "stays at the proxy");
        }
        self.identity(&credential, seen, found).await;
        self.spoofed(&credential, found).await;
    }

    /// Whether the service is told who asks, also where a client names those headers as its connection's own.
    async fn identity(&self, credential: &str, seen: &str, found: &mut Findings) {
        const CHECK: &str = "who asks";
        let is_told = |seen: &str| ["x-key-id", "x-user-id"].iter().any(|name| seen.contains(name));
        if !is_told(seen) {
            return found.warn(
                CHECK,
                "the service is not told",
                "set the headers of Keywright's answer on the request",
            );
        }
        let named = format!("close, {}", IDENTITY.join(", "));
        match self.ask(&[("connection", &named), ("authorization", credential)]).await {
            Ok(outcome) if outcome.seen.as_deref().is_some_and(|seen| !is_told(seen)) => found.wrong(
                CHECK,
                "a client that lists x-key-id under Connection takes it off",
                "have the proxy set these headers after it has taken off what Connection names",
            ),
            _ => found.ok(CHECK, "the service is told"),
        }
    }

    /// What a client says of itself by headers that are not its own to send.
    async fn spoofed(&self, credential: &str, found: &mut Findings) {
        let spellings = |name: &str| [name.to_owned(), name.replace('-', "_"), name.replace('-', ".")];
        let identity: Vec<String> = IDENTITY.iter().flat_map(|name| spellings(name)).collect();
        let wrong = self.leaks(credential, &identity).await;
        if wrong.is_empty() {
            found.ok("spoofed", "no word of a client's own stands where Keywright's is read");
        } else {
            found.wrong(
                "spoofed",
                format!("the service sees a client's own {}", wrong.join(", ")),
                "take these off every request before setting Keywright's; other spellings too: some servers read them alike",
            );
        }
        let misleading: Vec<String> = MISLEADING.iter().map(ToString::to_string).collect();
        let mut passed = self.leaks(credential, &misleading).await;
        let from = self.ask(&[("authorization", credential), ("x-forwarded-for", ELSEWHERE)]).await;
        if from.is_ok_and(|outcome| outcome.seen.is_some_and(|seen| seen.contains(ELSEWHERE))) {
            passed.push("x-forwarded-for");
        }
        if passed.is_empty() {
            found.ok("misleading", "no client says where it comes from, or what it asks for, but truly");
        } else {
            found.warn(
                "misleading",
                format!("the service sees a client's own {}", passed.join(", ")),
                "take them off, or be sure that nothing behind believes them",
            );
        }
    }

    /// Which of these headers reach the service from a client.
    async fn leaks<'n>(&self, credential: &str, names: &'n [String]) -> Vec<&'n str> {
        let values: Vec<String> = (0..names.len()).map(|number| format!("kwforged{number}e")).collect();
        let mut headers = vec![("authorization", credential)];
        headers.extend(names.iter().map(String::as_str).zip(values.iter().map(String::as_str)));
        let seen = self.ask(&headers).await.ok().and_then(|outcome| outcome.seen);
        // A proxy may refuse the lot for one of them: then each by itself.
        let Some(seen) = seen else {
            let mut leaking = Vec::new();
            for (name, value) in headers.iter().skip(1) {
                let asked = self.ask(&[("authorization", credential), (name, value)]).await;
                if asked.is_ok_and(|outcome| outcome.seen.is_some_and(|seen| seen.contains(value))) {
                    leaking.extend(names.iter().map(String::as_str).filter(|known| known == name));
                }
            }
            return leaking;
        };
        let pairs = names.iter().zip(&values);
        pairs.filter(|(_, value)| seen.contains(value.as_str())).map(|(name, _)| name.as_str()).collect()
    }
}
