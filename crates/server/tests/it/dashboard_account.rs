//! The dashboard's pages of what an account has beside its keys, and of what was changed in it.

use keywright_app::core::policy::Policy;
use keywright_server::ROUTES;
use serde_json::json;

use crate::browser::{Browser, between};
use crate::contract::ch_people::code;
use crate::harness::{PASSWORD, SSH_KEY, TestServer, text};

#[tokio::test]
async fn ssh_keys_are_added_and_deleted() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    browser.get("/dashboard/ssh-keys").await.says(200, "No SSH keys yet");
    let add = async |key: &str| browser.post("/dashboard/ssh-keys", &[("name", "Laptop"), ("public_key", key)]).await;
    add("ssh-rsa nonsense")
        .await
        .says(422, "id=\"key-wrong\"")
        .says(422, "value=\"Laptop\"")
        .says(422, ">ssh-rsa nonsense<");
    add(SSH_KEY).await.leads_to("/dashboard/ssh-keys?done=added");
    let page = browser.get("/dashboard/ssh-keys").await;
    let id = between(&page.says(200, "SHA256:").text, "/dashboard/ssh-keys/", "/");
    add(SSH_KEY).await.with(409);
    browser.post(&format!("/dashboard/ssh-keys/{id}/delete"), &[]).await.leads_to("/dashboard/ssh-keys?done=deleted");
    browser.post(&format!("/dashboard/ssh-keys/{id}/delete"), &[]).await.with(404);
    browser.get("/dashboard/ssh-keys").await.says(200, "No SSH keys yet");
}

#[tokio::test]
async fn services_an_operator_wrote_down_are_shown() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "viewer").await;
    browser.get("/dashboard/services").await.says(200, "No services yet");
    let service = json!({ "service_type": "database", "name": "Orders", "region": "no-1" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await.is(201);
    browser.get("/dashboard/services").await.says(200, "Orders").says(200, "database, no-1");
}

#[tokio::test]
async fn the_log_shows_the_accounts_own_changes_and_goes_out_as_a_file() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[("kind", "default"), ("name", "=1+1")]).await;
    server.key(json!({ "name": "another account's" })).await;
    let log = browser.get("/dashboard/audit").await;
    log.says(200, "key.create").says(200, "by you");
    assert!(!log.text.contains("another account") && !log.text.contains(&key));
    browser.post(&format!("/dashboard/keys/{id}/disable"), &[]).await.with(303);
    let about = browser.get(&format!("/dashboard/audit?target={id}")).await.with(200).text;
    assert_eq!((about.matches("<strong>key.").count(), about.contains("session.create")), (2, false));
    browser.get("/dashboard/audit?action=key.rotate").await.says(200, "Nothing here");
    let file = browser.get(&format!("/dashboard/audit.csv?target={id}")).await.with(200);
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"audit.csv\""));
    let rows: Vec<&str> = file.text.lines().filter(|line| line.contains(&id)).collect();
    assert!(rows.len() == 2 && rows[0].contains("key.disable") && rows[1].contains("key.create"), "{}", file.text);
    assert!(!file.text.contains(&key));
}

/// Nobody is shown a way to what is refused, whatever roles a policy knows.
#[tokio::test]
async fn the_side_leads_to_what_a_role_may_see() {
    let server = TestServer::start().await;
    server.app.reload_policy(Policy::STARTER).unwrap();
    let account = server.account().await;
    let (email, _) = server.registered(&account, "viewer").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    let page = browser.get("/dashboard/keys").await.with(200).text;
    assert!(page.contains("/dashboard/members") && page.contains("/dashboard/audit") && !page.contains("ssh-keys"));
    browser.get("/dashboard/ssh-keys").await.with(403);
    let made = text(&server.post("/v1/keys", &json!({ "account_id": account })).send().await.is(201), "id");
    browser.get(&format!("/dashboard/keys/{made}")).await.says(200, "active");
}

#[tokio::test]
async fn somebody_of_several_accounts_goes_over_from_one_to_the_other() {
    let server = TestServer::start().await;
    let (mut browser, first) = Browser::of(&server, "owner").await;
    assert!(!browser.get("/dashboard/keys").await.text.contains("Other accounts"));
    let me = browser.audited("session.create").await["actor"].as_str().unwrap().replace("user:", "");
    let second = server.account().await;
    let add = json!({ "user_id": me, "role": "viewer" });
    server.post(&format!("/v1/accounts/{second}/members"), &add).send().await.is(201);
    let foreign = server.account().await;
    browser.get("/dashboard/keys").await.says(200, &format!("name=\"account_id\" value=\"{second}\""));
    for wrong in [foreign.as_str(), "nonsense", ""] {
        browser.post("/dashboard/account", &[("account_id", wrong)]).await.with(404);
    }
    let before = browser.cookie.clone();
    let over = browser.post("/dashboard/account", &[("account_id", &second)]).await;
    over.leads_to("/dashboard/keys");
    browser.keep(&over);
    assert_eq!(Browser { cookie: before, ..Browser::new(&server) }.get("/dashboard/keys").await.status, 303);
    let there = browser.get("/dashboard/keys").await;
    assert!(there.says(200, &format!("value=\"{first}\"")).text.matches("Create New API Key").count() == 0, "a viewer");
    browser.get("/dashboard/sessions").await.says(200, "this one");
    server.patch(&format!("/v1/accounts/{first}"), &json!({ "status": "suspended" })).send().await.is(200);
    browser.post("/dashboard/account", &[("account_id", &first)]).await.with(403);
    server.delete(&format!("/v1/accounts/{second}/members/{me}")).send().await.is(204);
    assert_eq!(browser.get("/dashboard/keys").await.status, 303);
}

/// Going over never makes a session last longer.
#[tokio::test]
async fn a_session_in_another_account_ends_when_the_first_would_have() {
    let server = TestServer::start().await;
    let (mut browser, first) = Browser::of(&server, "owner").await;
    let me = browser.audited("session.create").await["actor"].as_str().unwrap().replace("user:", "");
    let second = server.account().await;
    let add = json!({ "user_id": me, "role": "owner" });
    server.post(&format!("/v1/accounts/{second}/members"), &add).send().await.is(201);
    for account in [&second, &first, &second, &first] {
        server.wait("6d");
        let over = browser.post("/dashboard/account", &[("account_id", account)]).await;
        over.leads_to("/dashboard/keys");
        browser.keep(&over);
    }
    server.wait("6d");
    assert_eq!(browser.get("/dashboard/keys").await.status, 303, "thirty days are over");
}

#[tokio::test]
async fn a_row_of_the_log_has_an_address_of_its_own_and_says_what_was_before() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, _) = browser.make(&[("kind", "default"), ("name", "Backup"), ("description", "<b>Old</b>")]).await;
    let fields = [("name", "Nightly backup"), ("description", "<b>Old</b>"), ("ip_allowlist", "203.0.113.7")];
    browser.post(&format!("/dashboard/keys/{id}/edit"), &fields).await.with(303);
    let seq = browser.audited("key.update").await["seq"].to_string();
    browser.get("/dashboard/audit").await.says(200, &format!("<a href=\"/dashboard/audit/{seq}\">Row {seq}</a>"));
    let row = browser.get(&format!("/dashboard/audit/{seq}")).await;
    row.says(200, "<h1>key.update</h1>").says(200, &id).says(200, "<dd>you</dd>");
    row.says(
        200,
        "<code>name</code></td><td data-label=\"Before\">Backup</td><td data-label=\"After\">Nightly backup</td>",
    );
    row.says(
        200,
        "<code>ip_allowlist</code></td><td data-label=\"Before\">[]</td><td data-label=\"After\">203.0.113.7</td>",
    );
    assert!(!row.text.contains("<code>description</code>"), "what stays is not what changed");
    server.key(json!({ "name": "another account's" })).await;
    let foreign = browser.audited("key.create").await["seq"].to_string();
    for missing in [foreign.as_str(), "0", "-1", "99999", "9223372036854775807", "nonsense"] {
        browser.get(&format!("/dashboard/audit/{missing}")).await.with(404);
    }
}

/// security.md 19
#[tokio::test]
async fn another_address_takes_the_password_and_counts_once_its_link_is_followed() {
    let server = TestServer::start().await;
    let (email, user) = server.registered(&server.account().await, "owner").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    let change = async |to: &str, password: &str| {
        browser.post("/dashboard/security/email", &[("email", to), ("password", password)]).await
    };
    let wrong = change("new@example.org", "wrong").await;
    wrong.says(422, "This is not your present password.").says(422, "value=\"new@example.org\"");
    change("nobody", PASSWORD).await.says(422, "id=\"email-wrong\"").says(422, "value=\"nobody\"");
    change("new@example.org", PASSWORD).await.leads_to("/dashboard/security?done=email");
    browser
        .get("/dashboard/security")
        .await
        .says(200, "We wrote to <strong>new@example.org</strong>")
        .says(200, &email);
    assert_eq!(server.letters(&email).await.len(), 1, "the present address is told");
    let token = server.mailed("new@example.org").await;
    let fields = json!({ "token": token });
    server.post("/v1/auth/email/verify", &fields).by_nobody().send().await;
    let person = server.get(&format!("/v1/users/{user}")).send().await.is(200);
    assert_eq!(text(&person, "email"), "new@example.org");
    Browser::new(&server).log_in("new@example.org", PASSWORD).await.leads_to("/dashboard/keys");
}

/// Name, logo and colour come from the policy, and a picture runs nothing.
#[tokio::test]
async fn pages_bear_the_providers_name_logo_and_colour() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    browser.get("/dashboard/logo").await.says(200, "<svg");
    assert!(!browser.get("/dashboard/keys").await.text.contains("src=\"/dashboard/logo\""));
    let brand = "[brand]\naccent = \"#ffd400\"\nlogo = \"data:image/svg+xml;base64,PHN2Zy8+\"\n\n[login]\nname = \"Fjord Cloud\"\n";
    server.app.reload_policy(&Policy::DEV.replace("[login]\n", brand)).unwrap();
    for path in ["/dashboard/keys", "/dashboard/login"] {
        let page =
            if path.ends_with("login") { Browser::new(&server).get(path).await } else { browser.get(path).await };
        page.says(200, "<img class=\"logo\" src=\"/dashboard/logo\" alt=\"\">Fjord Cloud");
    }
    let logo = browser.get("/dashboard/logo").await.with(200);
    assert_eq!((logo.text.as_str(), logo.header("content-type")), ("<svg/>", Some("image/svg+xml")));
    assert!(logo.header("content-security-policy").unwrap().contains("sandbox"));
    let style = browser.get("/dashboard/style.css").await.with(200).text;
    let own = style.rsplit_once(":root {").unwrap().1;
    // Yellow cannot be read on white: a darker one is shown there.
    assert!(own.contains("--accent: light-dark(#") && !own.contains("light-dark(#ffd400"), "{own}");
}

/// Whatever can be written in freely, by whomever, is shown as it was written wherever it is shown, and run nowhere.
#[tokio::test]
async fn nothing_that_is_stored_runs_on_any_page() {
    const STRANGE: &str =
        "\"'></title></textarea></option><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}";
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let me = browser.audited("session.create").await["actor"].as_str().unwrap().replace("user:", "");
    server.post(&format!("/v1/users/{me}/promote"), &json!({ "operator_permissions": ["*"] })).send().await.is(200);
    let profile = json!({ "name": STRANGE, "first_name": STRANGE, "last_name": STRANGE, "company": STRANGE });
    server.patch(&format!("/v1/accounts/{account}"), &profile).send().await.is(200);
    let fields = [("kind", "default"), ("name", STRANGE), ("description", STRANGE), ("permissions", "a:b")];
    let (id, key) = browser.make(&fields).await;
    browser.make(&[("kind", "wayscloud-pat"), ("name", STRANGE), ("permissions", "profile:read")]).await;
    server.verify(json!({ "key": key, "ip": "203.0.113.7", "user_agent": STRANGE })).await;
    server.app.flush_usage().await.unwrap();
    browser.post("/dashboard/ssh-keys", &[("name", STRANGE), ("public_key", SSH_KEY)]).await.with(303);
    let service = json!({ "service_type": STRANGE, "name": STRANGE, "region": STRANGE, "status": "running" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await;
    let service = json!({ "service_type": "database", "name": STRANGE, "region": "no-1" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await.is(201);
    let edit = [("name", STRANGE), ("description", "other"), ("ip_allowlist", "203.0.113.7")];
    browser.post(&format!("/dashboard/keys/{id}/edit"), &edit).await.with(303);
    let fields = [("email", "post@example.com"), ("password", PASSWORD)];
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let strange = server.call("POST", "/dashboard/login").by_nobody().header("host", "keys.example.com");
    strange.header("origin", "https://keys.example.com").header("user-agent", STRANGE).form(&form).send().await;
    let seq = browser.audited("key.update").await["seq"].to_string();
    let asked: String = form_urlencoded::byte_serialize(STRANGE.as_bytes()).collect();
    let (mut seen, mut shown) = (0, 0);
    for route in ROUTES.iter().filter(|route| route.method == "GET" && route.path.starts_with("/dashboard/")) {
        if route.path.ends_with(".css") || route.path.ends_with(".js") || route.path.ends_with(".csv") {
            continue;
        }
        let own = match route.path {
            path if path.contains("/audit/") => &seq,
            path if path.contains("/accounts/") => &account,
            path if path.contains("/users/") => &me,
            _ => &id,
        };
        // Everything a page may be asked for, in its address, too.
        let names = ["find", "status", "kind", "view", "cursor", "target", "action", "actor", "account", "only"];
        let names = names.into_iter().chain(["next", "done", "token", "from", "proxy", "server", "upstream"]);
        let query: Vec<String> = names.map(|name| format!("{name}={asked}")).collect();
        let path = route.path.replace("{id}", own);
        for path in [path.clone(), format!("{path}?id={id}"), format!("{path}?{}", query.join("&"))] {
            let page = browser.get(&path).await;
            for wild in ["<script>alert", "<img src=x", "</textarea></option>", "49"] {
                let is_wild = page.text.contains(wild) && (wild != "49" || page.text.contains("onerror=alert(2)>49"));
                assert!(!is_wild, "{path}: {wild}");
            }
            seen += 1;
            shown += usize::from(page.text.contains("&lt;script&gt;") || page.text.contains("&#60;script&#62;"));
        }
    }
    assert!(seen > 80 && shown > 40, "{shown} of {seen} pages show it");
}

/// security.md 25
#[tokio::test]
async fn setting_a_second_factor_up_takes_a_fresh_login_or_the_password() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    let set_up = async |password: &str| browser.post("/dashboard/security/2fa/setup", &[("password", password)]).await;
    set_up("").await.leads_to("/dashboard/security#second-factor");
    let page = browser.get("/dashboard/security").await.with(200).text;
    let secret = between(&page, "type the secret: <code>", "</code>").replace(' ', "");
    server.wait("15m");
    // Whoever finds the browser open later sees nothing of it, and cannot go on with it.
    let later = browser.get("/dashboard/security").await;
    assert!(!later.says(200, "id=\"factor-password\"").text.contains("type the secret"));
    browser.get("/dashboard/security/2fa/qr.svg").await.with(409);
    let now = code(&secret, 900);
    browser.post("/dashboard/security/2fa/start", &[("code", now.as_str())]).await.says(409, "begun too long ago");
    set_up("").await.says(422, "This is not your present password.");
    set_up("wrong wrong wrong").await.says(422, "This is not your present password.");
    set_up(PASSWORD).await.leads_to("/dashboard/security#second-factor");
    let page = browser.get("/dashboard/security").await.with(200).text;
    let secret = between(&page, "type the secret: <code>", "</code>").replace(' ', "");
    let right = code(&secret, 900);
    browser.post("/dashboard/security/2fa/start", &[("code", right.as_str())]).await.says(200, "Backup codes");
}
