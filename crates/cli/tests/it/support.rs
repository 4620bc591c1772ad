//! Running the binary: commands with their output, and servers that end with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_keywright");
const DEADLINE: Duration = Duration::from_secs(60);

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Its data, where it did what was asked.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its exit code, where it says something about it.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(says) || self.stdout.contains(says), "does not say `{says}`: {self:?}");
    }
}

/// A working folder, and the environment commands run in.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
    env: Vec<(String, String)>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// A folder that `dev` has made and no server runs on, and what it said.
    pub(crate) fn with_dev_folder() -> (Self, Value) {
        let desk = Self::new();
        let (server, ready) = desk.dev();
        server.terminate();
        (desk, ready)
    }

    /// A folder that `init` has made, and the first operator key.
    pub(crate) fn with_config() -> (Self, String) {
        let desk = Self::new();
        let made = desk.run(&["init"]);
        assert_eq!(made.code, 0, "{made:?}");
        (desk, made.stdout.trim().to_owned())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "xterm");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Answer {
        let mut command = self.command(BINARY);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read is no failure of the test.
        drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
        let output = child.wait_with_output().unwrap();
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A command, and its data.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    /// `dev` on a free port, and its one line.
    pub(crate) fn dev(&self) -> (Server, Value) {
        let mut child = self.spawn(&["dev", "--listen", "127.0.0.1:0", "--json"], "dev.log");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} {}", self.log("dev.log")));
        let url = ready["url"].as_str().unwrap().to_owned();
        (Server { child, url, rest: Some(lines) }, ready)
    }

    /// `serve` on a free port, once it answers.
    pub(crate) fn serve(&self) -> Server {
        self.serve_at("127.0.0.1:0")
    }

    /// `serve` at this address, once it answers.
    pub(crate) fn serve_at(&self, address: &str) -> Server {
        self.answering(self.spawn(&["serve", "--listen", address], "serve.log"))
    }

    /// `serve` on a free port in a shell in which this was said before, once it answers.
    pub(crate) fn serve_after(&self, line: &str) -> Server {
        let mut command = self.command("sh");
        command.args(["-c", &format!("{line}; exec {BINARY} serve --listen 127.0.0.1:0")]);
        self.answering(self.logged(command, "serve.log"))
    }

    fn answering(&self, mut child: Child) -> Server {
        let mut url = None;
        until("the server answers", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("ended with {status}: {}", self.log("serve.log"));
            }
            let note: Option<Value> =
                std::fs::read(self.path("data/server.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let note = note.filter(|note| note["pid"] == child.id());
            url = note.map(|note| note["url"].as_str().unwrap().to_owned());
            // Whom its certificate is for is another test's matter.
            let agent = ureq::Agent::config_builder()
                .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
                .build()
                .new_agent();
            url.as_ref().is_some_and(|url| agent.get(format!("{url}/health")).call().is_ok())
        });
        Server { child, url: url.unwrap(), rest: None }
    }

    fn spawn(&self, args: &[&str], log: &str) -> Child {
        let mut command = self.command(BINARY);
        command.args(args);
        self.logged(command, log)
    }

    fn logged(&self, mut command: Command, log: &str) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path(log)).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A command on a terminal of its own, with what is typed there.
    pub(crate) fn on_terminal(&self, line: &str, typed: &str) -> Answer {
        let mut command = self.command("script");
        command.args(["--quiet", "--return", "--command", &format!("{BINARY} {line}"), "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A server process, which does not outlive its test.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    rest: Option<BufReader<std::process::ChildStdout>>,
}

impl Server {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as an init system would, and says how it ended and what else it wrote on standard output.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> (Option<i32>, String) {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut rest = String::new();
        if let Some(mut lines) = self.rest.take() {
            lines.read_to_string(&mut rest).unwrap();
        }
        (status.and_then(|status| status.code()), rest)
    }

    /// The most memory it has had at once, in kilobytes.
    pub(crate) fn most_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    /// The memory it has, in kilobytes.
    pub(crate) fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What the machine lets it have.
    pub(crate) fn limits(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap()
    }

    /// How many files and connections it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for something to become true, and not for ever.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited a minute, and still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777
}

/// A text in an object.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// What is listed, by one field.
#[track_caller]
pub(crate) fn column(page: &Value, name: &str) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|row| text(row, name).to_owned()).collect()
}
