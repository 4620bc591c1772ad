//! Mail: how it is configured, and that `doctor` finds out whether it works.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Answer, Desk, mode, text, until};

/// What `doctor` found of a check: its status and its detail.
#[track_caller]
fn found(answer: &Answer, check: &str) -> (String, String) {
    let said: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let finding = said["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check} in {said:#}"));
    (finding["status"].as_str().unwrap().into(), finding["detail"].as_str().unwrap().into())
}

fn configure(desk: &Desk, mail: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(desk.path("keywright.toml")).unwrap();
    write!(file, "\n[mail]\n{mail}\n").unwrap();
}

fn letters(desk: &Desk, folder: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(desk.path(folder)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn without_mail_nothing_is_wrong_until_a_letter_is_asked_for() {
    let (desk, _) = Desk::with_config();
    let (status, detail) = found(&desk.run(&["doctor"]), "mail");
    assert!(status == "ok" && detail.contains("none is configured"), "{detail}");
    let asked = desk.run(&["doctor", "--mail-to", "ada@example.com"]);
    assert_eq!((asked.code, found(&asked, "mail").0.as_str()), (1, "wrong"));
}

#[test]
fn a_folder_takes_a_letter_with_or_without_a_server() {
    let (desk, _) = Desk::with_config();
    configure(&desk, "folder = \"letters\"");
    let asked = desk.run(&["doctor", "--mail-to", "ada@example.com"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let (status, detail) = found(&asked, "test letter");
    assert!(status == "ok" && detail.contains("through the queue"), "{detail}");
    let written = letters(&desk, "letters");
    let [letter] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!(mode(letter), 0o600);
    assert!(std::fs::read_to_string(letter).unwrap().contains("To: ada@example.com"));
    let log = desk.json(&["audit", "list"]);
    assert_eq!(log["data"][0]["action"], "mail.test", "{log}");
    assert_eq!(found(&desk.run(&["doctor"]), "mail queue"), ("ok".into(), "0 letters wait".into()));

    let server = desk.serve();
    let asked = desk.run(&["doctor", "--mail-to", "bob@example.com"]);
    assert!(found(&asked, "test letter").1.contains("without the queue"), "{asked:?}");
    assert_eq!(letters(&desk, "letters").len(), 2);
    drop(server);
    let asked = desk.run(&["doctor", "--mail-to", "nobody"]);
    assert_eq!((asked.code, found(&asked, "test letter").0.as_str()), (1, "wrong"));
}

#[test]
fn dev_keeps_letters_in_its_folder() {
    let (desk, _) = Desk::with_dev_folder();
    let asked = desk.run(&["doctor", "--mail-to", "ada@example.com"]);
    assert_eq!(found(&asked, "test letter").0, "ok", "{asked:?}");
    assert_eq!((letters(&desk, ".keywright/mail").len(), mode(&desk.path(".keywright/mail"))), (1, 0o700));
}

#[test]
fn a_mail_server_that_does_not_answer_is_found_and_stops_nothing_else() {
    let (mut desk, _) = Desk::with_config();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    configure(&desk, &format!("from = \"no-reply@example.com\"\nsmtp = \"smtps://me@127.0.0.1:{port}\""));
    let (status, detail) = found(&desk.run(&["doctor"]), "mail");
    assert!(status == "wrong" && detail.contains("KEYWRIGHT_SMTP_PASSWORD"), "{detail}");
    desk.run(&["serve", "--listen", "127.0.0.1:0"]).fails(2, "KEYWRIGHT_SMTP_PASSWORD");
    // A command that sends nothing needs no password.
    assert_eq!(desk.run(&["keys", "list"]).code, 0);
    desk.set("KEYWRIGHT_SMTP_PASSWORD", "hunter2-canary");
    let asked = desk.run(&["doctor"]);
    let (status, detail) = found(&asked, "mail");
    assert!(status == "wrong" && detail.contains(&port.to_string()), "{detail}");
    assert!(!format!("{asked:?}").contains("hunter2-canary"));
    let _server = desk.serve();
}

/// aiosmtpd, gone with its test.
struct Sink(Child);

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Sink {
    /// One that keeps what it takes in the desk's folder `taken`, once it greets.
    fn start(python: &str, desk: &Desk, listen: &str) -> Self {
        let mut sink = Command::new(python);
        sink.args(["-m", "aiosmtpd", "-n", "-l", listen, "-c", "aiosmtpd.handlers.Mailbox"]).arg(desk.path("taken"));
        let sink = Self(sink.stderr(Stdio::null()).spawn().unwrap());
        until("the mail server greets", || {
            let stream = std::net::TcpStream::connect(listen);
            stream.is_ok_and(|stream| BufReader::new(stream).lines().next().is_some_and(|line| line.is_ok()))
        });
        sink
    }
}

/// A Python with aiosmtpd; none where there is none, which is a failure in CI.
fn python() -> Option<String> {
    let python = std::env::var("KEYWRIGHT_TEST_PYTHON").ok();
    let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
    assert!(python.is_some() || !ci, "KEYWRIGHT_TEST_PYTHON must name a Python with aiosmtpd in CI");
    python
}

/// An address nobody listens at.
fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_mail_server_takes_a_letter() {
    let Some(python) = python() else { return };
    let (desk, _) = Desk::with_config();
    let listen = free();
    let _sink = Sink::start(&python, &desk, &listen);
    configure(&desk, &format!("from = \"Keywright <no-reply@example.com>\"\nsmtp = \"smtp://{listen}?tls=none\""));
    let asked = desk.run(&["doctor", "--mail-to", "ada@example.com"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(found(&asked, "mail").1.ends_with("answers"));
    let letters = letters(&desk, "taken/new");
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let letter = std::fs::read_to_string(letter).unwrap();
    assert!(letter.contains("X-RcptTo: ada@example.com") && letter.contains("mail from Keywright arrives"), "{letter}");
}

/// The answer to a request of nobody's in particular.
fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent.post(format!("{url}{path}")).send_json(body).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

/// Whether the person with this token has shown that mail reaches them.
fn is_verified(url: &str, tokens: &Value) -> bool {
    let call = ureq::get(format!("{url}/v1/auth/me"));
    let mut me = call.header("authorization", format!("Bearer {}", text(tokens, "access_token"))).call().unwrap();
    me.body_mut().read_json::<Value>().unwrap()["user"]["email_verified"] == true
}

/// On a machine of one's own there is no mail server: the link stands in the log, and there alone.
#[test]
fn whoever_registers_at_dev_follows_the_link_in_its_log() {
    let desk = Desk::new();
    let (server, _) = desk.dev();
    let ann = json!({ "email": "ann@example.com", "password": "plum tractor ode" });
    assert_eq!(post(&server.url, "/v1/auth/register", &ann), (202, Value::Null));
    until("the link is in the log", || desk.log("dev.log").contains("/verify-email?token="));
    let log = desk.log("dev.log");
    let (_, token) = log.split_once(&format!("{}/verify-email?token=", server.url)).unwrap();
    let token: String = token.chars().take_while(|char| char.is_ascii_alphanumeric() || "_-".contains(*char)).collect();
    let (status, tokens) = post(&server.url, "/v1/auth/login", &ann);
    assert!(status == 200 && !is_verified(&server.url, &tokens), "{tokens}");
    // As the button on the page does that the link leads to.
    let mut page = ureq::post(format!("{}/verify-email", server.url)).send_form([("token", token.as_str())]).unwrap();
    assert!(page.body_mut().read_to_string().unwrap().contains("Your address is confirmed"));
    assert!(is_verified(&server.url, &tokens));
}

/// The link in a letter is for whoever it is written to, not for whoever reads the log.
#[test]
fn a_link_stands_in_no_log_but_devs() {
    let (desk, _) = Desk::with_config();
    configure(&desk, "from = \"no-reply@example.com\"\nfolder = \"letters\"");
    open(&desk);
    let server = desk.serve();
    let ann = json!({ "email": "ann@example.com", "password": "plum tractor ode" });
    assert_eq!(post(&server.url, "/v1/auth/register", &ann).0, 202);
    until("the letter is written", || !letters(&desk, "letters").is_empty());
    until("the log says so", || desk.log("serve.log").contains("a letter was written"));
    let letter = std::fs::read_to_string(&letters(&desk, "letters")[0]).unwrap();
    assert!(letter.contains("https://keys.example.com/verify-email?token=kwv_"), "{letter}");
    assert!(!desk.log("serve.log").contains("kwv_"));
}

/// Anybody may register, and links lead to where the outside finds the server.
fn open(desk: &Desk) {
    let config = std::fs::read_to_string(desk.path("keywright.toml")).unwrap();
    let config = format!("public_url = \"https://keys.example.com\"\n{config}");
    std::fs::write(desk.path("keywright.toml"), config).unwrap();
    let mut policy = std::fs::OpenOptions::new().append(true).open(desk.path("policy.toml")).unwrap();
    writeln!(policy, "\n[login]\nopen = true").unwrap();
}

#[test]
fn a_letter_outlives_kill_9_and_reaches_a_mail_server_that_was_down() {
    let Some(python) = python() else { return };
    let (desk, _) = Desk::with_config();
    let listen = free();
    configure(&desk, &format!("from = \"Keywright <no-reply@example.com>\"\nsmtp = \"smtp://{listen}?tls=none\""));
    open(&desk);
    let server = desk.serve();
    let person = |name: &str| json!({ "email": format!("{name}@example.com"), "password": "plum tractor ode" });
    assert_eq!(post(&server.url, "/v1/auth/register", &person("ann")).0, 202);
    until("the letter is not taken", || desk.log("serve.log").contains("a letter was not taken"));
    // Written down after that it was not: the next attempt is soon.
    assert_eq!(post(&server.url, "/v1/auth/register", &person("bob")).0, 202);
    server.kill();
    let _sink = Sink::start(&python, &desk, &listen);
    let server = desk.serve();
    let find = || {
        let all = letters(&desk, "taken/new").into_iter().map(|path| std::fs::read_to_string(path).unwrap());
        all.into_iter().find(|letter| letter.contains("X-RcptTo: ann@example.com"))
    };
    until("the letter arrives", || find().is_some());
    let letter = find().unwrap();
    let (_, token) = letter.split_once("https://keys.example.com/verify-email?token=").unwrap();
    let token = token.split_whitespace().next().unwrap();
    assert_eq!(post(&server.url, "/v1/auth/email/verify", &json!({ "token": token })).0, 204);
    let (_, tokens) = post(&server.url, "/v1/auth/login", &person("ann"));
    assert!(is_verified(&server.url, &tokens));
}
