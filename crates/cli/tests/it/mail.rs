//! Mail: how it is configured, and that `doctor` finds out whether it works.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Answer, Desk, mode, until};

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

#[test]
fn a_mail_server_takes_a_letter() {
    let Ok(python) = std::env::var("KEYWRIGHT_TEST_PYTHON") else {
        let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
        assert!(!ci, "KEYWRIGHT_TEST_PYTHON must name a Python with aiosmtpd in CI");
        return;
    };
    let (desk, _) = Desk::with_config();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let taken = desk.path("taken");
    let mut sink = Command::new(python);
    sink.args(["-m", "aiosmtpd", "-n", "-l", &listen, "-c", "aiosmtpd.handlers.Mailbox"]).arg(&taken);
    let _sink = Sink(sink.stderr(Stdio::null()).spawn().unwrap());
    until("the mail server greets", || {
        let stream = std::net::TcpStream::connect(&listen);
        stream.is_ok_and(|stream| BufReader::new(stream).lines().next().is_some_and(|line| line.is_ok()))
    });
    configure(&desk, &format!("from = \"Keywright <no-reply@example.com>\"\nsmtp = \"smtp://{listen}?tls=none\""));
    let asked = desk.run(&["doctor", "--mail-to", "ada@example.com"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(found(&asked, "mail").1.ends_with("answers"));
    let letters = letters(&desk, "taken/new");
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let letter = std::fs::read_to_string(letter).unwrap();
    assert!(letter.contains("X-RcptTo: ada@example.com") && letter.contains("mail from Keywright arrives"), "{letter}");
}
