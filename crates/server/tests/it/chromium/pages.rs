//! Every page, light and dark, wide and narrow: axe finds nothing serious on it, nothing hangs over its edge, no script
//! complains. `cargo xtask screenshots` keeps a picture of each.

use std::path::PathBuf;

use keywright_server::{Needs, Options, ROUTES};
use serde_json::{Value, json};

use super::keys::owner;
use super::{Chromium, Tab};
use crate::harness::{SSH_KEY, TestServer, text};
use crate::node;

const LOOKS: [(i64, &str); 4] = [(1_280, "light"), (1_280, "dark"), (390, "light"), (390, "dark")];
/// What axe calls serious enough that a page must not have it.
const SERIOUS: [&str; 2] = ["serious", "critical"];

/// What is looked at.
struct Subjects {
    email: String,
    account: String,
    user: String,
    key: String,
}

impl Subjects {
    /// The id that stands in a path.
    fn of(&self, path: &str) -> &str {
        if path.contains("/operator/accounts/") {
            &self.account
        } else if path.contains("/operator/users/") {
            &self.user
        } else {
            &self.key
        }
    }

    /// Pages somebody comes to who has an account and is an operator, each by a name.
    fn pages(&self) -> Vec<(String, String)> {
        let is_page = |needs| matches!(needs, Needs::Browser | Needs::Desk(_));
        let own = ROUTES.iter().filter(|route| route.method == "GET" && is_page(route.needs));
        let own = own.map(|route| route.path.replace("{id}", self.of(route.path))).filter(|path| !path.contains('.'));
        let open = ["/dashboard/login", "/dashboard/register", "/dashboard/forgot"].map(str::to_owned);
        let shapes = [
            "/dashboard/keys?find=nothing".to_owned(),
            "/dashboard/keys/new?kind=wayscloud-service".to_owned(),
            "/dashboard/nothing".to_owned(),
        ];
        // Whoever is in is not shown the login: what needs none comes first.
        open.into_iter().chain(own).chain(shapes).map(|path| (self.name(&path), path)).collect()
    }

    fn name(&self, path: &str) -> String {
        let plain = path.replace(self.of(path), "one");
        let plain: String = plain.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        plain.trim_matches('-').trim_start_matches("dashboard-").to_owned()
    }
}

/// Somebody with a key of every state, and all else that pages list.
async fn furnish(server: &TestServer) -> Subjects {
    let (account, email) = owner(server).await;
    let found = server.get(&format!("/v1/users?email={email}")).send().await.is(200);
    let user = text(&found["data"][0], "id");
    let all = json!({ "operator_permissions": ["*"] });
    server.post(&format!("/v1/users/{user}/promote"), &all).send().await.is(200);
    let fields = json!({
        "name": "Nightly backup", "description": "Copies the database to storage",
        "ip_allowlist": ["203.0.113.7", "198.51.100.0/24"],
    });
    let key = server.key_of(&account, fields).await;
    for (name, action) in [("Old importer", "disable"), ("Shop frontend", "")] {
        let made = server.key_of(&account, json!({ "name": name, "environment": "test" })).await;
        if !action.is_empty() {
            server.post(&format!("/v1/keys/{}/{action}", made.id), &json!({})).send().await.is(200);
        }
    }
    for number in 0..40 {
        let ip = if number % 8 == 0 { "192.0.2.1" } else { "203.0.113.7" };
        server.verify(json!({ "key": key.key, "ip": ip })).await;
    }
    server.post(&format!("/v1/keys/{}/rotate", key.id), &json!({ "grace": "24h" })).send().await.is(200);
    let pat = server.pat(&account, &["ssh_keys:write"]).await.key;
    let ssh = json!({ "name": "Laptop", "public_key": SSH_KEY });
    server.post("/v1/account/ssh-keys", &ssh).by_token(&pat).send().await.is(201);
    let service = json!({ "service_type": "database", "name": "Orders", "region": "no-1" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await.is(201);
    let invitation = json!({ "email": "guest@example.com", "role": "developer" });
    server.post(&format!("/v1/accounts/{account}/invitations"), &invitation).send().await.is(201);
    Subjects { email, account, user, key: key.id }
}

/// What axe finds on the page that is serious.
async fn found(tab: &Tab, axe: &str) -> Vec<String> {
    tab.look(&format!("{axe}; true")).await.unwrap();
    let run = "axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((one) =>
                 ({ id: one.id, impact: one.impact, at: one.nodes.map((node) => node.html).slice(0, 3) })))";
    let all = tab.look(run).await.unwrap();
    let serious = |one: &&Value| SERIOUS.contains(&text(one, "impact").as_str());
    all.as_array().unwrap().iter().filter(serious).map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_in_every_look() {
    let Some(chromium) = Chromium::start().await else { return };
    let Some(packages) = node::folder() else { return };
    let axe = std::fs::read_to_string(packages.join("node_modules/axe-core/axe.min.js")).unwrap();
    let pictures = std::env::var_os("KEYWRIGHT_SCREENSHOTS").map(PathBuf::from);
    let server = TestServer::listening(Options::default()).await;
    let subjects = furnish(&server).await;
    let mut wrong = Vec::new();
    let tab = chromium.tab(&server, true).await;
    for (name, path) in subjects.pages() {
        tab.open(&path).await;
        if tab.text().await.starts_with("/dashboard/login?next") {
            tab.log_in(&subjects.email).await;
            tab.is_at(path.split('?').next().unwrap()).await;
        }
        for (width, scheme) in LOOKS {
            tab.look_like(width, scheme).await;
            let wide = tab.look("document.documentElement.scrollWidth").await.and_then(|wide| wide.as_i64());
            if wide != Some(width) {
                wrong.push(format!("{name} is {wide:?} wide on {width}"));
            }
            wrong.extend(found(&tab, &axe).await.into_iter().map(|what| format!("{name}, {width}, {scheme}: {what}")));
            if let Some(folder) = &pictures {
                tab.picture(&folder.join(format!("{name}-{width}-{scheme}.png"))).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    tab.is_quiet();
    chromium.close().await;
}
