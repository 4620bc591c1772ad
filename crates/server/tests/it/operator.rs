//! An operator's pages, as a browser without scripts sees them.

use keywright_server::{Needs, ROUTES};
use serde_json::{Value, json};

use crate::browser::{Browser, between};
use crate::contract::ch_people::{code, enrol};
use crate::harness::{NO_ACCOUNT, NO_USER, PASSWORD, TestServer, text};

const STRANGE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
const PERMISSIONS: [&str; 12] = [
    "metrics:read",
    "accounts:read",
    "accounts:write",
    "users:read",
    "users:write",
    "lockouts:read",
    "lockouts:write",
    "keys:explain",
    "keys:read",
    "members:read",
    "policy:read",
    "audit:read",
];

/// Every page of operators, its method, its path about nothing that is there, and its permission.
fn pages() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    ROUTES.iter().filter_map(|route| {
        let Needs::Desk(permission) = route.needs else { return None };
        let id = match route.path {
            path if path.contains("/accounts/") => NO_ACCOUNT,
            path if path.contains("/users/") => NO_USER,
            _ => "lock_00000000000000000000000000",
        };
        let path = route.path.replace("{id}", id).replace("{session_id}", "ses_00000000000000000000000000");
        Some((route.method, path, permission))
    })
}

async fn send(browser: &Browser<'_>, method: &str, path: &str) -> crate::harness::Answer {
    if method == "GET" { browser.get(path).await } else { browser.post(path, &[]).await }
}

fn without_id(text: &str) -> &str {
    text.split("<code>req_").next().unwrap()
}

#[tokio::test]
async fn strangers_are_sent_to_the_login_and_to_customers_the_pages_are_not_there() {
    let server = TestServer::start().await;
    let stranger = Browser::new(&server);
    let (customer, _) = Browser::of(&server, "owner").await;
    let missing = customer.get("/dashboard/operator/nothing").await.with(404);
    assert!(missing.header("content-type").unwrap().starts_with("text/html"));
    for (method, path, _) in pages() {
        assert!(send(&stranger, method, &path).await.header("location").unwrap().starts_with("/dashboard/login?next="));
        let answer = send(&customer, method, &path).await.with(404);
        assert_eq!(without_id(&answer.text), without_id(&missing.text), "{method} {path}");
    }
    assert!(!customer.get("/dashboard/keys").await.says(200, "API Keys").text.contains("/dashboard/operator"));
}

#[tokio::test]
async fn each_page_takes_its_permission_and_no_other() {
    let server = TestServer::start().await;
    for (method, path, needed) in pages().filter(|(.., needed)| !needed.is_empty()) {
        let others: Vec<&str> = PERMISSIONS.into_iter().filter(|permission| *permission != needed).collect();
        let lacking = Browser::operator(&server, &others).await;
        assert_eq!(send(&lacking, method, &path).await.status, 403, "{method} {path}");
        // What changes something is reached from a page that is read.
        let holding = Browser::operator(&server, &[needed, &needed.replace(":write", ":read")]).await;
        let answer = send(&holding, method, &path).await;
        let is_about_one = path.contains("_0");
        let expected: &[u16] = match method {
            "GET" if is_about_one => &[404],
            "GET" => &[200],
            _ => &[303, 404, 422],
        };
        assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
    }
}

#[tokio::test]
async fn an_operator_who_is_demoted_shut_out_or_logged_out_is_out_at_once() {
    let server = TestServer::start().await;
    let page = "/dashboard/operator/audit";
    for verb in ["demote", "disable"] {
        server.wait("1s");
        let browser = Browser::operator(&server, &["audit:read"]).await;
        browser.get(page).await.with(200);
        let listed = server.get("/v1/users?limit=200").send().await.is(200);
        let user = text(listed["data"].as_array().unwrap().last().unwrap(), "id");
        server.post(&format!("/v1/users/{user}/{verb}"), &Value::Null).send().await.is(200);
        browser.get(page).await.with(303);
    }
    let browser = Browser::operator(&server, &["audit:read"]).await;
    browser.post("/dashboard/logout", &[]).await.with(303);
    browser.get(page).await.with(303);
}

#[tokio::test]
async fn accounts_are_found_suspended_resumed_and_billed() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["*"]).await;
    browser.get("/dashboard/operator/accounts").await.says(200, "No accounts yet");
    let account = server.account().await;
    let other = server.account().await;
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "name": "Simula & Sons" })).send().await.is(200);
    let found = browser.get("/dashboard/operator/accounts?find=simula").await;
    assert!(found.says(200, "Simula &#38; Sons").text.matches(&other).count() == 0, "{}", found.text);
    browser.get("/dashboard/operator/accounts?find=nothing").await.says(200, "No account fits");
    let (_, key) = server.key_of(&account, json!({})).await.pair();
    server.registered(&account, "owner").await;

    let page = format!("/dashboard/operator/accounts/{account}");
    browser.get(&page).await.says(200, "1 neither revoked nor expired").says(200, "@example.com");
    browser.post(&format!("{page}/suspend"), &[]).await.leads_to(&format!("{page}?done=suspended"));
    assert_eq!(server.code(&key).await, "ACCOUNT_SUSPENDED");
    browser.get("/dashboard/operator/accounts?status=suspended").await.says(200, &account);
    let active = browser.get("/dashboard/operator/accounts?status=active").await.with(200).text;
    assert!(!active.contains(&account) && active.contains(&other));
    browser.post(&format!("{page}/resume"), &[]).await.leads_to(&format!("{page}?done=resumed"));
    assert_eq!(server.code(&key).await, "VALID");

    let billing = |credits: &'static str, subscription: &'static str| {
        let fields = [("credits", credits), ("subscription", subscription)];
        let path = format!("{page}/billing");
        let browser = &browser;
        async move { browser.post(&path, &fields).await }
    };
    billing("many", "active").await.says(422, "credits-wrong").says(422, "value=\"many\"");
    billing("1", "golden").await.with(422);
    billing(" 250 ", "past_due").await.leads_to(&format!("{page}?done=billing"));
    let changed = server.get(&format!("/v1/accounts/{account}")).send().await.is(200);
    assert_eq!((&changed["credits"], &changed["subscription"]), (&json!(250), &json!("past_due")));
    assert!(text(&browser.audited("account.update").await, "actor").starts_with("user:"));
    browser.post("/dashboard/operator/accounts/acc_00000000000000000000000000/suspend", &[]).await.with(409);
}

#[tokio::test]
async fn lists_go_on_where_the_page_before_ended() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["*"]).await;
    let account = server.account().await;
    for number in 0..60 {
        server.wait("1s");
        let fields = json!({ "name": format!("Numbered {number:02}") });
        server.post("/v1/accounts", &fields).send().await.is(201);
        let person =
            json!({ "email": format!("numbered{number:02}@example.com"), "account_id": account, "role": "viewer" });
        server.post("/v1/users", &person).send().await.is(201);
    }
    for (list, button) in [("accounts?find=numbered", "More accounts"), ("users?find=numbered", "More people")] {
        let first = browser.get(&format!("/dashboard/operator/{list}")).await;
        let name = |number: u32| {
            if list.starts_with("a") { format!(">Numbered {number:02}<") } else { format!(">numbered{number:02}@") }
        };
        assert!(first.says(200, &name(29)).text.matches(&name(30)).count() == 0);
        let next = between(&first.text, "<p class=\"more\"><a class=\"button\" href=\"", "\"").replace("&#38;", "&");
        assert!(first.text.contains(button) && next.contains("find=numbered"), "{next}");
        let second = browser.get(&next).await;
        assert!(second.says(200, &name(30)).says(200, &name(59)).text.matches(&name(29)).count() == 0);
        assert!(!second.text.contains(button));
    }
    let first = browser.get("/dashboard/operator/audit?action=user.create").await;
    let next = between(&first.says(200, "Earlier").text, "<p class=\"more\"><a class=\"button\" href=\"", "\"");
    let second = browser.get(&next.replace("&#38;", "&")).await;
    assert_eq!(second.says(200, "user.create").text.matches("<li id=\"row-").count(), 30);
}

#[tokio::test]
async fn what_changes_people_takes_the_password_again() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let browser = Browser::operator(&server, &["*"]).await;
    let (email, user) = server.registered(&account, "owner").await;
    let mut theirs = Browser::new(&server);
    theirs.log_in(&email, PASSWORD).await.with(303);
    let page = format!("/dashboard/operator/users/{user}");
    // Who has just logged in has just proved it.
    browser.get(&page).await.says(200, "Shut out…");
    browser.post(&format!("{page}/disable"), &[]).await.leads_to(&format!("{page}?done=disabled"));
    theirs.get("/dashboard/keys").await.with(303);
    browser.get(&page).await.says(200, "Let in again");
    browser.post(&format!("{page}/enable"), &[]).await.leads_to(&format!("{page}?done=enabled"));

    server.wait("15m");
    let stale = browser.get(&page).await;
    assert!(stale.says(200, "Confirm it is you").text.matches("Shut out…").count() == 0);
    let confirm = format!("/dashboard/operator/confirm?next=%2Fdashboard%2Foperator%2Fusers%2F{user}");
    let session = server.get(&format!("/v1/users/{user}/sessions")).send().await.is(200);
    let end = format!("/sessions/{}/end", text(&session["data"][0], "id"));
    for verb in ["/disable", "/enable", "/reset-2fa", "/promote", "/demote", &end] {
        browser.post(&format!("{page}{verb}"), &[("permissions", "*")]).await.leads_to(&confirm);
    }
    let held = server.get(&format!("/v1/users/{user}")).send().await.is(200);
    assert_eq!((&held["status"], &held["operator_permissions"]), (&json!("active"), &Value::Null));
    // What only reads, and accounts, take no second proof.
    browser.post(&format!("/dashboard/operator/accounts/{account}/suspend"), &[]).await.with(303);

    browser.get(&confirm).await.says(200, &format!("value=\"{page}\""));
    let prove = async |password: &str, next: &str| {
        browser.post("/dashboard/operator/confirm", &[("password", password), ("next", next)]).await
    };
    prove("wrong wrong wrong", &page).await.says(422, "is not your password");
    browser.post(&format!("{page}/disable"), &[]).await.leads_to(&confirm);
    prove(PASSWORD, "https://evil.example/").await.leads_to("/dashboard/operator");
    browser.post(&format!("{page}{end}"), &[]).await.leads_to(&format!("{page}?done=ended"));
    browser.post(&format!("{page}/promote"), &[("permissions", "sail")]).await.says(422, "permissions-wrong");
    browser
        .post(&format!("{page}/promote"), &[("permissions", "audit:read, users:read")])
        .await
        .leads_to(&format!("{page}?done=promoted"));
    browser.get("/dashboard/operator/users?only=operators").await.says(200, &email);
    browser.post(&format!("{page}/demote"), &[]).await.leads_to(&format!("{page}?done=demoted"));
    assert!(text(&browser.audited("session.prove").await, "actor").starts_with("user:"));
}

#[tokio::test]
async fn the_proof_takes_a_code_where_a_second_factor_is_on_and_guessing_is_limited() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (email, user) = server.registered(&account, "owner").await;
    server.post(&format!("/v1/users/{user}/promote"), &json!({})).send().await.is(200);
    let (_, token) = server.session_of(&user).await;
    let (secret, _) = enrol(&server, &token).await;
    server.wait("30s");
    let mut browser = Browser::new(&server);
    let step = browser.log_in(&email, PASSWORD).await;
    let challenge = between(&step.says(200, "Second factor").text, "name=\"challenge\" value=\"", "\"");
    let login = [("challenge", challenge.as_str()), ("code", &code(&secret, 30))];
    let entered = browser.post("/dashboard/login", &login).await;
    browser.keep(&entered);
    server.wait("15m");
    browser.get("/dashboard/operator/confirm").await.says(200, "Code from your authenticator");
    let prove = async |password: &str, code: &str| {
        let fields = [("password", password), ("code", code), ("next", "/dashboard/operator/users")];
        browser.post("/dashboard/operator/confirm", &fields).await
    };
    prove(PASSWORD, "").await.says(422, "code-wrong");
    prove(PASSWORD, "000000").await.says(422, "code-wrong");
    let now = code(&secret, 930);
    prove(PASSWORD, &now).await.leads_to("/dashboard/operator/users");
    prove(PASSWORD, &now).await.says(422, "code-wrong");
    for _ in 0..10 {
        prove("wrong wrong wrong", &code(&secret, 960)).await;
    }
    prove(PASSWORD, &code(&secret, 960)).await.with(429);
}

#[tokio::test]
async fn nobody_shuts_themselves_out_and_the_lesser_change_nobody_greater() {
    let server = TestServer::start().await;
    let greater = Browser::operator(&server, &["*"]).await;
    server.wait("1s");
    let lesser = Browser::operator(&server, &["users:read", "users:write"]).await;
    let listed = server.get("/v1/users").send().await.is(200);
    let own = text(&listed["data"][0], "id");
    let page = format!("/dashboard/operator/users/{own}");
    assert!(!greater.get(&page).await.says(200, "operator").text.contains("Shut out…"));
    for verb in ["disable", "demote"] {
        greater.post(&format!("{page}/{verb}"), &[]).await.says(409, "This is you");
        lesser.post(&format!("{page}/{verb}"), &[]).await.says(403, "may do more than you");
    }
    let other = text(&listed["data"][1], "id");
    let promote = format!("/dashboard/operator/users/{other}/promote");
    lesser.post(&promote, &[("permissions", "*")]).await.says(403, "may do more than you");
    assert_eq!(server.get(&format!("/v1/users/{own}")).send().await.is(200)["operator_permissions"], json!(["*"]));
}

#[tokio::test]
async fn a_lock_is_seen_with_its_cause_and_lifted() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["*"]).await;
    browser.get("/dashboard/operator/lockouts").await.says(200, "Nobody is locked out");
    for number in 0..20 {
        server.verify(json!({ "key": format!("wvs_live_{number:06x}{:026x}", 0), "ip": "192.0.2.1" })).await;
    }
    let page = browser.get("/dashboard/operator/lockouts").await;
    page.says(200, "192.0.2.1").says(200, "20 wrong keys of the kind wavis in 5m").says(200, "in 15 minutes");
    let path = between(&page.text, "action=\"/dashboard/operator/lockouts/", "\"");
    let (_, key) = server.key(json!({ "kind": "wavis" })).await.pair();
    let code = async || text(&server.verify(json!({ "key": key, "ip": "192.0.2.1" })).await, "code");
    assert_eq!(code().await, "RATE_LIMITED");
    let path = format!("/dashboard/operator/lockouts/{path}");
    browser.post(&path, &[]).await.leads_to("/dashboard/operator/lockouts?done=lifted");
    assert_eq!(code().await, "VALID");
    browser.post(&path, &[]).await.with(404);
    assert!(text(&browser.audited("lockout.lift").await, "actor").starts_with("user:"));
}

#[tokio::test]
async fn the_policy_is_shown_as_it_is_in_force() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["policy:read"]).await;
    let page = browser.get("/dashboard/operator/policy").await;
    for words in ["wayscloud-service", "wvs_", "20 in 5m for 15m", "/v1/storage", "storage:write", "account_admin"] {
        page.says(200, words);
    }
    server.app.reload_policy("[kind.default]\nformat = \"kw_{secret:26}\"\nabout = \"The only one\"\n").unwrap();
    let page = browser.get("/dashboard/operator/policy").await;
    assert!(page.says(200, "The only one").says(200, "the gate leads nowhere").text.matches("wvs_").count() == 0);
}

#[tokio::test]
async fn the_health_page_knows_what_the_metrics_know() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["metrics:read"]).await;
    let page = browser.get("/dashboard/operator/health").await;
    page.says(200, "SQLite").says(200, "nothing waits").says(200, "Your second factor is off");
    let (_, key) = server.key(json!({})).await.pair();
    for code in ["VALID", "VALID"] {
        assert_eq!(server.code(&key).await, code);
    }
    server.code("kw_live_nonsense").await;
    server.app.flush_usage().await.unwrap();
    let page = browser.get("/dashboard/operator/health").await;
    page.says(200, "<code>MALFORMED</code></div><span class=\"number\">1<");
    let valid = between(&page.text, "<code>VALID</code></div><span class=\"number\">", "<").parse::<u64>().unwrap();
    assert!(valid >= 2, "{valid}");
}

#[tokio::test]
async fn the_log_of_all_accounts_is_filtered_by_what_stands_in_the_address() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["audit:read"]).await;
    let (one, other) = (server.account().await, server.account().await);
    let key = server.key_of(&one, json!({})).await.id;
    server.key_of(&other, json!({})).await;
    let rows = async |query: &str| {
        let page = browser.get(&format!("/dashboard/operator/audit?{query}")).await.with(200);
        page.text.matches("<li id=\"row-").count()
    };
    assert_eq!(rows(&format!("account={one}")).await, 2);
    assert_eq!(rows(&format!("account={one}&action=key.create")).await, 1);
    assert_eq!(rows(&format!("target={key}")).await, 1);
    assert_eq!(rows("action=account.create").await, 2);
    assert_eq!(rows("actor=local").await, 2);
    let nobody = browser.get("/dashboard/operator/audit?account=acme").await;
    assert!(nobody.says(200, "This is no account").text.matches("<li id=\"row-").count() == 0);
}

#[tokio::test]
async fn what_others_typed_is_shown_as_it_was_typed_and_never_run() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["*"]).await;
    let account = server.account().await;
    let fields = json!({ "name": STRANGE, "company": STRANGE, "first_name": STRANGE, "last_name": STRANGE });
    server.patch(&format!("/v1/accounts/{account}"), &fields).send().await.is(200);
    let key = server.key_of(&account, json!({ "name": STRANGE, "description": STRANGE })).await.id;
    // An address in quotes is none; what browsers say of themselves is anything.
    let (email, user) = server.registered(&account, "owner").await;
    let login = [("email", email.as_str()), ("password", PASSWORD)];
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(login).finish();
    let call = server.call("POST", "/dashboard/login").by_nobody().header("host", "keys.example.com");
    let call = call.header("origin", "https://keys.example.com").header("user-agent", STRANGE);
    call.form(&form).send().await.with(303);
    let odd = "a&b'+{x}|y@example.com";
    let person = json!({ "email": odd, "account_id": account, "role": "viewer", "password": PASSWORD });
    server.post("/v1/users", &person).send().await.is(201);
    for _ in 0..10 {
        Browser::new(&server).log_in(odd, "wrong wrong wrong").await;
    }
    let strange = form_urlencoded::byte_serialize(STRANGE.as_bytes()).collect::<String>();
    let mut seen = Vec::new();
    for path in [
        "accounts".to_owned(),
        format!("accounts?find={strange}"),
        format!("accounts/{account}"),
        "users".into(),
        format!("users?find={strange}&only={strange}"),
        format!("users/{user}"),
        "lockouts".into(),
        "audit".into(),
        format!("audit?account={strange}&target={strange}&action={strange}&actor={strange}"),
        format!("audit?target={key}"),
        format!("confirm?next={strange}"),
        "health".into(),
        "policy".into(),
        "explain".into(),
    ] {
        seen.push(browser.get(&format!("/dashboard/operator/{path}")).await.with(200));
    }
    assert!(seen[5].text.contains("&#60;script&#62;"), "the browser's name is on the page");
    assert!(seen[6].text.contains("a&#38;b&#39;+{x}|y@example.com"), "{}", seen[6].text);
    let typed = [("key", STRANGE), ("path", STRANGE), ("permissions", STRANGE), ("ip", STRANGE), ("method", STRANGE)];
    seen.push(browser.post("/dashboard/operator/explain", &typed).await.with(422));
    let typed = [("credits", STRANGE), ("subscription", STRANGE)];
    seen.push(browser.post(&format!("/dashboard/operator/accounts/{account}/billing"), &typed).await.with(422));
    let typed = [("permissions", STRANGE)];
    seen.push(browser.post(&format!("/dashboard/operator/users/{user}/promote"), &typed).await.with(422));
    for page in seen {
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"), "{}", page.text);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick="));
        assert!(page.text.len() < 120_000, "{} bytes", page.text.len());
    }
}

#[tokio::test]
async fn an_operator_who_is_a_customer_too_has_both_halves() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let members = server.get(&format!("/v1/accounts/{account}/members")).send().await.is(200);
    let user = text(&members["data"][0], "user_id");
    server.post(&format!("/v1/users/{user}/promote"), &json!({})).send().await.is(200);
    browser.get("/dashboard/keys").await.says(200, "/dashboard/operator/health");
    browser.get("/dashboard/operator/health").await.says(200, "/dashboard/keys");
    // As a customer they reach their account alone.
    let foreign = server.key(json!({})).await.id;
    browser.get(&format!("/dashboard/keys/{foreign}")).await.with(404);
    // Suspended, their account is closed to them, and the operators' pages are not.
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "status": "suspended" })).send().await.is(200);
    browser.get("/dashboard/operator/health").await.with(303);
    let email = text(&server.get(&format!("/v1/users/{user}")).send().await.is(200), "email");
    let mut again = Browser::new(&server);
    again.log_in(&email, PASSWORD).await.with(303);
    again.get("/dashboard/operator/health").await.with(200);
    again.get("/dashboard/keys").await.leads_to("/dashboard/operator");
    again.get("/dashboard/sessions").await.says(200, "this one");
    again.get("/dashboard/security").await.says(200, "Second factor");
}
