//! Servers in processes of their own, each on the server's core.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{CONTENT_LENGTH, DATE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keywright_app::core::policy::Policy;
use keywright_bench::cpu::pinned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The server's core; the client has the other.
const CORE: usize = 0;
/// How it is told to be a service.
pub(crate) const SERVICE: &str = "service";

/// What a server is held against: hyper with what it does by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yardstick {
    /// And no more.
    Bare,
    /// And the form of the key it is sent, read by the built-in policy.
    BareParse,
}

impl Yardstick {
    pub(crate) const ALL: [Self; 2] = [Self::Bare, Self::BareParse];

    /// How this program is told to be it.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Bare => "bare-server",
            Self::BareParse => "bare-parse-server",
        }
    }

    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper",
            Self::BareParse => "bare hyper and the key's parse",
        }
    }
}

/// A server under way, ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The line it said when it was ready.
    pub(crate) ready: String,
}

impl Server {
    /// `keywright dev` on a data folder.
    pub(crate) fn keywright(folder: &Path) -> Result<Self> {
        let mut command = pinned(CORE, keywright()?);
        command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let ready = line(&mut child)?;
        let said: serde_json::Value = serde_json::from_str(&ready)?;
        let url = said.get("url").and_then(serde_json::Value::as_str).context("keywright says no url")?;
        let address = url.trim_start_matches("http://").parse()?;
        Ok(Self { child, address, ready })
    }

    /// `keywright serve` on a new folder, by this configuration and with these lines beneath the policy that `init`
    /// writes, on every core or on the servers'. What it is ready with is the first operator key.
    pub(crate) fn configured(folder: &Path, config: &str, policy: &str, is_pinned: bool) -> Result<Self> {
        let init = Command::new(keywright()?).args(["init", "--dir"]).arg(folder).stderr(Stdio::null()).output()?;
        ensure!(init.status.success(), "`keywright init` failed");
        let (file, policies) = (folder.join("keywright.toml"), folder.join("policy.toml"));
        std::fs::write(&file, config)?;
        let before = std::fs::read_to_string(&policies)?;
        std::fs::write(policies, format!("{before}\n{policy}"))?;
        let address = free()?;
        let mut command = if is_pinned { pinned(CORE, keywright()?) } else { Command::new(keywright()?) };
        command.arg("serve").args(["--listen", &address.to_string(), "--config"]).arg(file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let ready = String::from_utf8(init.stdout)?.trim().to_owned();
        Self { child, address, ready }.answering()
    }

    /// nginx, with this inside `http { }`, as one process. It listens where `inside` says.
    pub(crate) fn nginx(folder: &Path, address: SocketAddr, inside: &str) -> Result<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|file| Path::new(file).exists());
        let program = program.context("nginx is missing: the Debian package is nginx-light")?;
        let at = folder.display();
        let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .collect();
        let file = folder.join(format!("nginx-{}.conf", address.port()));
        let head = format!("daemon off; master_process off; pid {at}/pid-{};", address.port());
        std::fs::write(&file, format!("{head}\nevents {{}}\nhttp {{\naccess_log off;\n{kept}{inside}\n}}\n"))?;
        let mut command = pinned(CORE, PathBuf::from(program));
        command.args(["-e", "stderr", "-c"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null());
        Self { child: command.spawn()?, address, ready: String::new() }.answering()
    }

    /// Once it does.
    fn answering(mut self) -> Result<Self> {
        while TcpStream::connect(self.address).is_err() {
            ensure!(self.child.try_wait()?.is_none(), "the server ended before it was ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(self)
    }

    /// A bare hyper server that gives one answer to everything: this head and this body.
    pub(crate) fn yardstick(which: Yardstick, head: &str, body: &[u8]) -> Result<Self> {
        Self::own(CORE, which.role(), &[head.as_bytes(), body].concat())
    }

    /// What gives this answer to every head on its core, at the least cost: a service to stand in front of.
    pub(crate) fn service_on(core: usize, answer: &[u8]) -> Result<Self> {
        Self::own(core, SERVICE, answer)
    }

    /// This program in another role, told so much.
    fn own(core: usize, role: &str, told: &[u8]) -> Result<Self> {
        let mut command = pinned(core, std::env::current_exe()?);
        let mut child = command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("no way to a server of our own")?.write_all(told)?;
        let ready = line(&mut child)?;
        Ok(Self { address: ready.parse()?, child, ready })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing it holds is needed any more, and a server that has gone already needs no ending.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The product's binary, built beside this one.
pub(crate) fn keywright() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("keywright");
    ensure!(path.exists(), "{} is missing: `cargo xtask bench` builds it first", path.display());
    Ok(path)
}

/// An address nobody listens at.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn line(child: &mut Child) -> Result<String> {
    let mut line = String::new();
    let stdout = child.stdout.as_mut().context("no way from the server")?;
    BufReader::new(stdout).read_line(&mut line)?;
    ensure!(!line.is_empty(), "the server ended before it was ready");
    Ok(line.trim_end().to_owned())
}

/// Serves the answer read from standard input: the yardstick.
pub(crate) fn serve_yardstick(which: Yardstick) -> Result<()> {
    let mut given = Vec::new();
    std::io::stdin().lock().read_to_end(&mut given)?;
    let end = given.windows(4).position(|window| window == b"\r\n\r\n").context("no head")?;
    let (head, body) = given.split_at(end + 4);
    let headers = headers(std::str::from_utf8(head)?)?;
    let body = Bytes::copy_from_slice(body);
    let policy = match which {
        Yardstick::Bare => None,
        Yardstick::BareParse => Some(Arc::new(Policy::parse(Policy::DEV).map_err(|_| anyhow!("a wrong policy"))?)),
    };
    // The same runtime, allocator and socket options as the product's.
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout().lock(), "{}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (policy, headers, body) = (policy.clone(), headers.clone(), body.clone());
            let service = service_fn(move |request| answer(request, policy.clone(), headers.clone(), body.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

/// Gives the answer read from standard input to every head, looking at no more of it than its end.
pub(crate) fn serve_service() -> Result<()> {
    let mut answer = Vec::new();
    std::io::stdin().lock().read_to_end(&mut answer)?;
    let answer = Bytes::from(answer);
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout().lock(), "{}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve_heads(stream, answer.clone()));
        }
    })
}

async fn serve_heads(mut stream: tokio::net::TcpStream, answer: Bytes) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(4_096);
    while stream.read_buf(&mut head).await? > 0 {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    policy: Option<Arc<Policy>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
) -> hyper::Result<Response<Full<Bytes>>> {
    let sent = black_box(request.into_body().collect().await?.to_bytes());
    if let Some(policy) = policy {
        // The text of the body's one field, which stands where it stands: nothing else of it is read.
        let key = sent.split(|byte| *byte == b'"').nth(3).unwrap_or_default();
        let _ = black_box(policy.read(key, false));
    }
    let mut response = Response::new(Full::new(body));
    let into: &mut HeaderMap = response.headers_mut();
    headers.into_iter().for_each(|(name, value)| drop(into.insert(name, value)));
    Ok(response)
}

/// The headers of an answer, but for those that hyper writes.
fn headers(head: &str) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let parsed = lines.map(|(name, value)| Ok((name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?)));
    let own = |header: &Result<(HeaderName, HeaderValue)>| {
        !header.as_ref().is_ok_and(|(name, _)| [DATE, CONTENT_LENGTH].contains(name))
    };
    parsed.filter(own).collect()
}
