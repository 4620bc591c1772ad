//! Every page, light and dark, wide and narrow: axe finds nothing serious on it, nothing hangs over its edge, no script
//! complains. `cargo xtask screenshots` keeps a picture of each.

use std::path::PathBuf;

use keywright_server::{Needs, Options, ROUTES};
use serde_json::{Value, json};

use super::keys::owner;
use super::{Chromium, Tab};
use crate::contract::ch_people::code;
use crate::harness::{SSH_KEY, TestServer, text};
use crate::node;

const LOOKS: [(i64, &str); 4] = [(1_280, "light"), (1_280, "dark"), (390, "light"), (390, "dark")];
/// What axe calls serious enough that a page must not have it.
const SERIOUS: [&str; 2] = ["serious", "critical"];

/// What is looked at.
struct Subjects {
    email: String,
    /// A row of the account's log.
    row: String,
    account: String,
    user: String,
    key: String,
    /// One that is switched off, and one that was guessed at.
    others: [String; 2],
}

impl Subjects {
    /// The id that stands in a path.
    fn of(&self, path: &str) -> &str {
        if path.contains("/operator/accounts/") {
            &self.account
        } else if path.contains("/operator/users/") {
            &self.user
        } else if path.contains("/audit/") {
            &self.row
        } else {
            &self.key
        }
    }

    /// Pages somebody comes to who has an account and is an operator, each by a name.
    fn pages(&self) -> Vec<(String, String)> {
        let is_page = |needs| matches!(needs, Needs::Browser | Needs::Desk(_));
        let own = ROUTES.iter().filter(|route| route.method == "GET" && is_page(route.needs));
        let own = own.map(|route| route.path.replace("{id}", self.of(route.path))).filter(|path| !path.contains('.'));
        let own = own.map(|path| match path.as_str() {
            "/dashboard/keys/revoke" => format!("{path}?id={}&id={}", self.key, self.others[0]),
            _ => path,
        });
        let open = ["/dashboard/login", "/dashboard/register", "/dashboard/forgot"].map(str::to_owned);
        let shapes = [
            "/dashboard/keys?find=nothing".to_owned(),
            "/dashboard/keys/new?kind=wayscloud-service".to_owned(),
            "/dashboard/keys/new?kind=wayscloud-pat".to_owned(),
            format!("/dashboard/keys/new?from={}", self.key),
            "/dashboard/keys?view=expiring".to_owned(),
            format!("/dashboard/keys/{}", self.others[0]),
            format!("/dashboard/keys/{}", self.others[1]),
            "/dashboard/operator/accounts?find=nothing".to_owned(),
            "/dashboard/operator/audit?account=nobody".to_owned(),
            "/dashboard/operator/proxies?proxy=haproxy&upstream=http://10.0.0.5:9000".to_owned(),
            "/dashboard/audit?action=nothing".to_owned(),
            "/dashboard/nothing".to_owned(),
        ];
        // Whoever is in is not shown the login: what needs none comes first.
        open.into_iter().chain(own).chain(shapes).map(|path| (self.name(&path), path)).collect()
    }

    fn name(&self, path: &str) -> String {
        let plain =
            path.replace(self.of(path), "one").replace(&self.others[0], "off").replace(&self.others[1], "locked");
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
    let off = server.key_of(&account, json!({ "name": "Old importer", "environment": "test" })).await.id;
    server.post(&format!("/v1/keys/{off}/disable"), &json!({})).send().await.is(200);
    server.key_of(&account, json!({ "name": "Shop frontend", "environment": "test", "expires_in": "7d" })).await;
    let guessed = server.key_of(&account, json!({ "name": "Guessed at", "kind": "wavis" })).await;
    for number in 0..10u32 {
        server.code(&format!("{}{number:026x}", &guessed.key[..guessed.key.len() - 26])).await;
    }
    for number in 0..40 {
        let ip = if number % 8 == 0 { "192.0.2.1" } else { "203.0.113.7" };
        server.verify(json!({ "key": key.key, "ip": ip, "user_agent": "restic/0.16" })).await;
    }
    server.app.flush_usage().await.unwrap();
    server.post(&format!("/v1/keys/{}/rotate", key.id), &json!({ "grace": "24h" })).send().await.is(200);
    let pat = server.pat(&account, &["ssh_keys:write"]).await.key;
    let ssh = json!({ "name": "Laptop", "public_key": SSH_KEY });
    server.post("/v1/account/ssh-keys", &ssh).by_token(&pat).send().await.is(201);
    let service = json!({ "service_type": "database", "name": "Orders", "region": "no-1" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await.is(201);
    let invitation = json!({ "email": "guest@example.com", "role": "developer" });
    server.post(&format!("/v1/accounts/{account}/invitations"), &invitation).send().await.is(201);
    let edit = json!({ "name": "Nightly backup", "ip_allowlist": ["203.0.113.7", "198.51.100.0/24", "2001:db8::/32"] });
    server.patch(&format!("/v1/keys/{}", key.id), &edit).send().await.is(200);
    let log = server.get(&format!("/v1/audit?target={}", key.id)).send().await.is(200);
    let row = log["data"][0]["seq"].to_string();
    Subjects { email, row, account, user, key: key.id, others: [off, guessed.id] }
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

/// What is looked at with what, and what was found wrong.
struct Judge {
    axe: String,
    pictures: Option<PathBuf>,
    wrong: Vec<String>,
}

impl Judge {
    fn new() -> Option<Self> {
        let packages = node::folder()?;
        let axe = std::fs::read_to_string(packages.join("node_modules/axe-core/axe.min.js")).unwrap();
        let pictures = std::env::var_os("KEYWRIGHT_SCREENSHOTS").map(PathBuf::from);
        Some(Self { axe, pictures, wrong: Vec::new() })
    }

    /// Looks at the page there is in every look.
    async fn look(&mut self, tab: &Tab, name: &str) {
        for (width, scheme) in LOOKS {
            tab.look_like(width, scheme).await;
            let wide = tab.look("document.documentElement.scrollWidth").await.and_then(|wide| wide.as_i64());
            if wide != Some(width) {
                self.wrong.push(format!("{name} is {wide:?} wide on {width}"));
            }
            let found = found(tab, &self.axe).await;
            self.wrong.extend(found.into_iter().map(|what| format!("{name}, {width}, {scheme}: {what}")));
            if let Some(folder) = &self.pictures {
                tab.picture(&folder.join(format!("{name}-{width}-{scheme}.png"))).await;
            }
        }
        tab.look_like(1_280, "light").await;
    }

    #[track_caller]
    fn is_content(&self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_in_every_look() {
    let Some(chromium) = Chromium::start().await else { return };
    let Some(mut judge) = Judge::new() else { return };
    let server = TestServer::listening(Options::default()).await;
    let subjects = furnish(&server).await;
    let tab = chromium.tab(&server, true).await;
    for (name, path) in subjects.pages() {
        tab.open(&path).await;
        if tab.text().await.starts_with("/dashboard/login?next") {
            tab.log_in(&subjects.email).await;
            tab.is_at(path.split('?').next().unwrap()).await;
        }
        judge.look(&tab, &name).await;
    }
    judge.is_content();
    tab.is_quiet();
    chromium.close().await;
}

/// Pages nobody comes to by an address: what forms lead to, and what is there before anything is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_forms_lead_to_is_sound_in_every_look() {
    let Some(chromium) = Chromium::start().await else { return };
    let Some(mut judge) = Judge::new() else { return };
    let server = TestServer::listening(Options::default()).await;
    let (_, email) = owner(&server).await;
    let tab = chromium.tab(&server, true).await;
    outside(&server, &tab, &mut judge).await;
    tab.open("/dashboard/login").await;
    tab.fill("#email", &email).await;
    tab.fill("#password", "wrong wrong wrong").await;
    tab.click("Log in").await;
    tab.read("#wrong").await;
    judge.look(&tab, "login-wrong").await;
    tab.log_in(&email).await;
    tab.is_at("/dashboard/keys").await;
    for page in ["keys", "tokens", "ssh-keys", "services"] {
        tab.open(&format!("/dashboard/{page}")).await;
        judge.look(&tab, &format!("{page}-empty")).await;
    }
    inside(&server, &tab, &mut judge).await;
    second_factor(&server, &tab, &mut judge, &email).await;
    judge.is_content();
    chromium.close().await;
}

/// What strangers see.
async fn outside(server: &TestServer, tab: &Tab, judge: &mut Judge) {
    for page in ["/setup?token=none", "/join?token=none", "/reset-password?token=none", "/verify-email?token=none"] {
        tab.open(page).await;
        judge.look(tab, page.trim_start_matches('/').split('?').next().unwrap()).await;
    }
    let token = text(&server.post("/v1/users/setup-link", &json!({})).send().await.is(201), "token");
    tab.open(&format!("/setup?token={token}")).await;
    judge.look(tab, "setup-open").await;
    tab.open("/dashboard/forgot").await;
    tab.fill("#email", "somebody@example.com").await;
    tab.click("Mail me a link").await;
    tab.sees("Look in your mail").await;
    judge.look(tab, "forgot-sent").await;
    tab.open("/dashboard/register").await;
    tab.fill("#email", "somebody@example.com").await;
    tab.fill("#password", "short").await;
    tab.click("Create account").await;
    tab.read("#password-wrong").await;
    judge.look(tab, "register-wrong").await;
}

/// What forms of keys lead to.
async fn inside(server: &TestServer, tab: &Tab, judge: &mut Judge) {
    tab.open("/dashboard/keys/new?kind=wayscloud-service").await;
    tab.fill("#name", "Nightly backup").await;
    tab.fill("#ip_allowlist", "nonsense").await;
    tab.click("Create key").await;
    tab.read("#ip-wrong").await;
    judge.look(tab, "keys-new-wrong").await;
    tab.fill("#ip_allowlist", "").await;
    tab.click("storage").await;
    tab.click("Create key").await;
    tab.sees("shown this once").await;
    judge.look(tab, "keys-new-secret").await;
    let key = tab.read("#secret").await;
    tab.click("I have saved my API key").await;
    tab.sees("Waiting for the first request").await;
    judge.look(tab, "keys-one-waiting").await;
    server.verify(json!({ "key": key, "ip": "203.0.113.7", "user_agent": "restic/0.16" })).await;
    server.app.flush_usage().await.unwrap();
    tab.click("Edit…").await;
    tab.fill("#ip_allowlist", "198.51.100.7").await;
    tab.click("Save").await;
    tab.sees("203.0.113.7").await;
    judge.look(tab, "keys-one-edit-shut-out").await;
    tab.click("Cancel").await;
    tab.click("Would a request pass?").await;
    tab.fill("#path", "/v1/databases").await;
    tab.click("Try it").await;
    tab.sees("decides").await;
    judge.look(tab, "keys-one-simulate-refused").await;
    tab.click("Back to the key").await;
    tab.click("Revoke…").await;
    tab.fill("#confirm", "no").await;
    tab.click("Revoke for good").await;
    tab.read("#wrong").await;
    judge.look(tab, "keys-one-revoke-wrong").await;
    tab.fill("#confirm", "Nightly backup").await;
    tab.click("Revoke for good").await;
    tab.sees("The key is revoked").await;
    judge.look(tab, "keys-one-revoked").await;
}

/// The steps of a second factor, and of logging in with it.
async fn second_factor(server: &TestServer, tab: &Tab, judge: &mut Judge, email: &str) {
    tab.click("Security").await;
    tab.click("Set it up").await;
    tab.sees("Open your authenticator").await;
    judge.look(tab, "security-pending").await;
    let secret = tab.read(".steps .hint code").await.replace(' ', "");
    tab.fill("#code", &code(&secret, 0)).await;
    tab.click("Turn it on").await;
    tab.sees("Backup codes").await;
    judge.look(tab, "security-codes").await;
    tab.click("I have saved my codes").await;
    tab.sees("backup codes are left").await;
    judge.look(tab, "security-on").await;
    server.wait("1m");
    tab.log_out().await;
    tab.log_in(email).await;
    tab.sees("Second factor").await;
    judge.look(tab, "login-code").await;
}
