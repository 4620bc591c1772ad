//! The programs a provider prints, each in its own language with the library it names, and the client people call models
//! with: through the gate, to services behind it.
//!
//! Nothing in a printed program is changed but the server's address. Each gains the lines that show what it was answered;
//! Python has the indentation the page's text lost, and Node's lines stand in an async function, as `await` beside
//! `require` must.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keywright_server::{Options, demo_services};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;

use crate::gateway::upstream::{Upstream, read_head};
use crate::gateway::{gate, route};
use crate::harness::TestServer;
use crate::{node, python};

const PYTHON: &str = r#"
import os
import requests

# Load from environment
API_KEY = os.getenv('WAYSCLOUD_API_KEY')
if not API_KEY:
    raise ValueError("WAYSCLOUD_API_KEY not set")

# Make request
headers = {
    'Authorization': f'Bearer {API_KEY}',
    'Content-Type': 'application/json'
}

response = requests.get(
    'https://api.wayscloud.services/v1/storage/',
    headers=headers
)
"#;

const NODE: &str = r#"
const axios = require('axios');

// Load from environment
const API_KEY = process.env.WAYSCLOUD_API_KEY;
if (!API_KEY) {
throw new Error('WAYSCLOUD_API_KEY not set');
}

// Make request
const response = await axios.get(
'https://api.wayscloud.services/v1/storage/',
{
headers: {
'Authorization': `Bearer ${API_KEY}`,
'Content-Type': 'application/json'
}
}
);
"#;

const PHP: &str = r#"<?php
$apiKey = getenv('WAYSCLOUD_API_KEY');
if (!$apiKey) {
throw new Exception('WAYSCLOUD_API_KEY not set');
}

$ch = curl_init('https://api.wayscloud.services/v1/storage/');
curl_setopt($ch, CURLOPT_HTTPHEADER, [
'Authorization: Bearer ' . $apiKey,
'Content-Type: application/json'
]);
curl_setopt($ch, CURLOPT_RETURNTRANSFER, true);

$response = curl_exec($ch);
curl_close($ch);
?>
"#;

const GO: &str = r#"
package main

import (
"fmt"
"net/http"
"os"
)

func main() {
apiKey := os.Getenv("WAYSCLOUD_API_KEY")
if apiKey == "" {
panic("WAYSCLOUD_API_KEY not set")
}

client := &http.Client{}
req, _ := http.NewRequest("GET",
"https://api.wayscloud.services/v1/storage/", nil)
req.Header.Set("Authorization", "Bearer "+apiKey)
req.Header.Set("Content-Type", "application/json")

resp, err := client.Do(req)
if err != nil {
panic(err)
}
defer resp.Body.Close()
"#;

/// A server with storage behind its gate, and a key for it.
struct Scene {
    server: TestServer,
    key: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstreams = demo_services(folder.path()).await.unwrap();
        let server = TestServer::listening(Options { upstreams, ..Options::default() }).await;
        let key = server.key(json!({ "kind": "wayscloud-service", "services": ["storage"] })).await.key;
        Self { server, key, _folder: folder }
    }

    /// Runs a printed program, and holds what it shows of a good key and of a wrong one.
    async fn holds(&self, program: &str, command: impl Fn(&std::path::Path, &str) -> Command) {
        let address = format!("http://{}", self.server.address());
        let program = program.replace("https://api.wayscloud.services", &address);
        let folder = tempfile::tempdir().unwrap();
        let run = async |key: &str| {
            let mut command = command(folder.path(), &program);
            command.env("WAYSCLOUD_API_KEY", key).stdin(Stdio::null());
            let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
            let [said, complained] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
            (said, complained)
        };
        let (said, complained) = run(&self.key).await;
        let (status, body) = said.trim_start().split_once('\n').unwrap_or_else(|| panic!("{said}{complained}"));
        assert_eq!(status, "200", "{complained}");
        assert!(body.contains("<Bucket><Name>my-bucket</Name>"), "{body}");
        let (said, complained) = run("wayscloud_storage_abc123_XyZ789SecretKey").await;
        assert!(said.trim_start().starts_with("401"), "{said}{complained}");
        let (said, complained) = run("").await;
        assert!(format!("{said}{complained}").contains("WAYSCLOUD_API_KEY not set"), "{said}{complained}");
    }
}

/// A file beside the program.
fn written(folder: &std::path::Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test]
async fn wa18_the_python_program_works_as_printed() {
    let Some(python) = python::program() else { return };
    let program = format!("{PYTHON}\nprint(response.status_code)\nprint(response.text)\n");
    let scene = Scene::set().await;
    let command = |_: &std::path::Path, program: &str| {
        let mut command = Command::new(&python);
        command.args(["-c", program]);
        command
    };
    scene.holds(&program, command).await;
}

#[tokio::test]
async fn wa18_the_node_program_works_as_printed() {
    let Some(packages) = node::folder() else { return };
    // A refusal is an error to axios, and holds the answer.
    let program = format!(
        "const show = (answer) => {{ console.log(answer.status); console.log(answer.data); }};\n\
         (async () => {{{NODE}\nshow(response);\n}})().catch((error) => error.response ? show(error.response) : console.error(error));\n"
    );
    let command = |_: &std::path::Path, program: &str| {
        let mut command = Command::new("node");
        // A program that is given as text finds packages from where it is run.
        command.args(["--input-type=commonjs", "--eval", program]).current_dir(&packages);
        command
    };
    Scene::set().await.holds(&program, command).await;
}

#[tokio::test]
async fn wa18_the_php_program_works_as_printed() {
    if !is_there("php") {
        return;
    }
    let program = format!("{PHP}<?php echo curl_getinfo($ch, CURLINFO_RESPONSE_CODE), \"\\n\", $response;");
    let command = |folder: &std::path::Path, program: &str| {
        let mut command = Command::new("php");
        command.arg(written(folder, "program.php", program));
        command
    };
    Scene::set().await.holds(&program, command).await;
}

#[tokio::test]
async fn wa18_the_go_program_works_as_printed() {
    if !is_there("go") {
        return;
    }
    let shows = "fmt.Println(resp.StatusCode)\nvar page [4096]byte\nread, _ := resp.Body.Read(page[:])\n\
                 fmt.Println(string(page[:read]))\n}\n";
    let program = format!("{GO}{shows}");
    let command = |folder: &std::path::Path, program: &str| {
        let mut command = Command::new("go");
        command.arg("run").arg(written(folder, "program.go", program)).current_dir(folder);
        // What it builds is kept where the next run finds it, and nowhere else.
        command.env("GOCACHE", folder.join("cache")).env("GOFLAGS", "").env("GO111MODULE", "off");
        command
    };
    Scene::set().await.holds(&program, command).await;
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg(if program == "go" { "version" } else { "--version" }).output().is_ok();
    let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
    assert!(found || !ci, "{program} must be installed in CI");
    found
}

/// One piece of a model's answer.
fn event(text: &str) -> String {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }],
    });
    let data = format!("data: {chunk}\n\n");
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A model that says a word, the next when it is told to go on, and misses whoever goes away.
async fn model(goes_on: Arc<Notify>, is_alone: Arc<Notify>) -> Upstream {
    Upstream::raw(move |mut stream| {
        let (goes_on, is_alone) = (Arc::clone(&goes_on), Arc::clone(&is_alone));
        async move {
            read_head(&mut stream).await;
            let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all((begin.to_owned() + &event("first")).as_bytes()).await.unwrap();
            goes_on.notified().await;
            stream.write_all(event("second").as_bytes()).await.unwrap();
            while stream.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
            is_alone.notify_one();
        }
    })
    .await
}

#[tokio::test]
async fn openais_client_streams_through_the_gate_and_reads_its_refusals() {
    let Some(python) = python::program() else { return };
    let (goes_on, is_alone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upstream = model(Arc::clone(&goes_on), Arc::clone(&is_alone)).await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let limits = json!([{ "name": "minute", "limit": 1, "window": "1m" }]);
    let limited = server.key(json!({ "permissions": ["storage:manage"], "ratelimits": limits })).await.key;
    assert_eq!(server.code(&limited).await, "VALID");
    let given = json!({
        "base_url": format!("http://{}/t", server.address()),
        "key": key.key, "wrong": "kw_live_guess", "limited": limited,
    });
    let mut child = Command::new(python)
        .args(["-c", include_str!("../../support/python/openai_client.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{given}").unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let (says, mut lines) = unbounded_channel();
    std::thread::spawn(move || said.lines().try_for_each(|line| says.send(line.unwrap())));
    let mut line = async || serde_json::from_str::<Value>(&lines.recv().await.unwrap()).unwrap();
    // The first word is read before the second is said.
    assert_eq!(line().await, json!("first"));
    goes_on.notify_one();
    assert_eq!(line().await, json!("second"));
    tokio::time::timeout(Duration::from_secs(20), is_alone.notified()).await.expect("the model was not told");
    assert_eq!(line().await, json!(["AuthenticationError", 401, "UNAUTHENTICATED"]));
    assert_eq!(line().await, json!(["RateLimitError", 429, "RATE_LIMITED"]));
    assert!(child.wait().unwrap().success());
}
