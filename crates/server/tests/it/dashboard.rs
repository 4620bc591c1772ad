//! The dashboard, as a browser without scripts sees it.

use keywright_server::{Needs, ROUTES};
use serde_json::json;

use crate::browser::{Browser, between};
use crate::contract::ch_people::{code, enrol};
use crate::harness::{PASSWORD, TestServer, text};

const STRANGE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

fn pages() -> impl Iterator<Item = (&'static str, String)> {
    let pages = ROUTES.iter().filter(|route| route.needs == Needs::Browser);
    pages.map(|route| (route.method, route.path.replace("{id}", "key_01arz3ndektsv4rrffq69g5fav")))
}

#[tokio::test]
async fn whoever_has_no_session_is_sent_to_the_login_and_back() {
    let server = TestServer::start().await;
    let stranger = Browser::new(&server);
    for cookie in ["", "__Host-keywright=", "__Host-keywright=kwb_x_y", "other=1"] {
        let stranger = Browser { cookie: cookie.into(), ..Browser::new(&server) };
        for (method, path) in pages() {
            let answer = match method {
                "GET" => stranger.get(&path).await,
                _ => stranger.post(&path, &[("name", "a")]).await,
            };
            let is_kept =
                ["/dashboard/keys", "/dashboard/ssh-keys", "/dashboard/members/invite"].contains(&path.as_str());
            if method == "POST" && (is_kept || path.ends_with("/edit")) {
                answer.says(401, "What you typed is kept");
                continue;
            }
            let next = if method == "GET" { path.as_str() } else { "/dashboard/keys" };
            answer.leads_to(&format!("/dashboard/login?next={}", next.replace('/', "%2F")));
        }
    }
    let login = stranger.get("/dashboard/login?next=%2Fdashboard%2Fmembers").await;
    login.says(200, "name=\"next\" value=\"/dashboard/members\"");
    for elsewhere in ["https://evil.example/", "//evil.example", "/dashboard\\evil", "/v1/keys"] {
        let login = stranger.get(&format!("/dashboard/login?next={elsewhere}")).await;
        login.says(200, "name=\"next\" value=\"/dashboard/keys\"");
        let (email, _) = server.registered(&server.account().await, "owner").await;
        let fields = [("email", email.as_str()), ("password", PASSWORD), ("next", elsewhere)];
        stranger.post("/dashboard/login", &fields).await.leads_to("/dashboard/keys");
    }
}

/// security.md 45
#[tokio::test]
async fn a_session_travels_in_a_cookie_of_this_host_and_ends_with_it() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let mut browser = Browser::new(&server);
    let answer = browser.log_in(&email, PASSWORD).await;
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-keywright=kwb_"), "{set}");
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age="] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    browser.get("/dashboard/keys").await.says(200, "API Keys");
    // It is worth nothing as a token, and a token nothing as a cookie.
    let value = browser.cookie.split_once('=').unwrap().1.to_owned();
    server.get("/v1/auth/me").by(&value).send().await.problem(401, "UNAUTHENTICATED");
    let tokens =
        server.post("/v1/auth/login", &json!({ "email": email, "password": PASSWORD })).by_nobody().send().await;
    let refresh = text(&tokens.is(200), "refresh_token");
    let other = Browser { cookie: format!("__Host-keywright={refresh}"), ..Browser::new(&server) };
    assert_eq!(other.get("/dashboard/keys").await.status, 303);
    let out = browser.post("/dashboard/logout", &[]).await;
    out.leads_to("/dashboard/login");
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(browser.get("/dashboard/keys").await.status, 303, "the cookie that was kept is over");
}

/// A form is not lost with the session that was to send it; nor is one sent by whoever did not write it.
#[tokio::test]
async fn a_form_outlives_its_session() {
    let server = TestServer::start().await;
    let (mut browser, account) = Browser::of(&server, "owner").await;
    browser.post("/dashboard/logout", &[]).await.with(303);
    let fields =
        [("kind", "default"), ("name", STRANGE), ("permissions", "a:b"), ("permissions", "c:d"), ("once", "1")];
    let login = browser.post("/dashboard/keys", &fields).await;
    login.says(401, "What you typed is kept");
    assert!(!login.text.contains("<script>alert"), "{}", login.text);
    let foreign = browser.post_from("https://evil.example", "/dashboard/keys", &fields).await;
    assert!(foreign.status == 303 && !foreign.text.contains("alert"), "{}", foreign.text);
    let (email, _) = server.registered(&account, "owner").await;
    let kept = fields.map(|(name, value)| (format!("kept.{name}"), value));
    let mut sent = vec![("email", email.as_str()), ("next", "/dashboard/keys"), ("password", "not this one")];
    sent.extend(kept.iter().map(|(name, value)| (name.as_str(), *value)));
    browser.post("/dashboard/login", &sent).await.says(401, "name=\"kept.permissions\" value=\"c:d\"");
    sent[2].1 = PASSWORD;
    let back = browser.post("/dashboard/login", &sent).await;
    back.says(200, "You are back in")
        .says(200, "action=\"/dashboard/keys\"")
        .says(200, "name=\"permissions\" value=\"a:b\"");
    assert!(!back.text.contains("<script>alert") && !back.text.contains(PASSWORD), "{}", back.text);
    browser.keep(&back);
    assert_eq!(server.get(&format!("/v1/keys?account_id={account}")).send().await.is(200)["data"], json!([]));
    browser.post("/dashboard/keys", &fields).await.says(201, "shown this once");
    // Nor does it lead elsewhere than to a page of ours.
    sent[1].1 = "https://evil.example/";
    browser.post("/dashboard/login", &sent).await.says(200, "action=\"/dashboard/keys\"");
}

#[tokio::test]
async fn a_pasted_key_stays_in_no_address_and_on_no_page() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[("kind", "default"), ("name", "Backup")]).await;
    browser.make(&[("kind", "default"), ("name", "Other")]).await;
    let found = browser.post("/dashboard/keys/find", &[("find", &format!(" {key} ")), ("status", "active")]).await;
    let address = found.with(303).header("location").unwrap().to_owned();
    assert!(!address.contains(&key) && address.ends_with("&status=active"), "{address}");
    let page = browser.get(&address).await;
    page.says(200, &format!("/dashboard/keys/{id}"));
    assert!(!page.text.contains(&key) && !page.text.contains("Other"), "{}", page.text);
    browser.get(&format!("/dashboard/keys?find={key}&status=active")).await.leads_to(&address);
    browser.post("/dashboard/keys/find", &[("find", "bac kup&")]).await.leads_to("/dashboard/keys?find=bac+kup%26");
    browser.post("/dashboard/keys/find", &[]).await.leads_to("/dashboard/keys");
}

/// security.md 45
#[tokio::test]
async fn what_changes_something_comes_from_a_page_of_ours() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let members = server.get(&format!("/v1/accounts/{account}/members")).send().await.is(200);
    let promote = format!("/v1/users/{}/promote", text(&members["data"][0], "user_id"));
    server.post(&promote, &json!({})).send().await.is(200);
    let (id, key) = browser.make(&[("kind", "default"), ("name", "Backup")]).await;
    let every = ROUTES.iter().filter(|route| route.method == "POST" && route.path.starts_with("/dashboard"));
    for path in every.map(|route| route.path.replace("{id}", &id).replace("{session_id}", &id)) {
        for origin in ["https://evil.example", "null", "https://keys.example.com.evil.example"] {
            browser.post_from(origin, &path, &[("confirm", "Backup")]).await.with(403);
        }
        let silent = server.call("POST", &path).by_nobody().header("cookie", &browser.cookie);
        silent.header("host", "keys.example.com").form("confirm=Backup").send().await.with(403);
        let site = server.call("POST", &path).by_nobody().header("cookie", &browser.cookie);
        let site = site.header("host", "keys.example.com").header("origin", "https://keys.example.com");
        site.header("sec-fetch-site", "cross-site").form("").send().await.with(403);
        let json = server.post(&path, &json!({})).by_nobody().header("cookie", &browser.cookie);
        json.header("host", "keys.example.com").header("origin", "https://keys.example.com").send().await.with(415);
    }
    assert_eq!(server.code(&key).await, "VALID");
    browser.get("/dashboard/keys").await.says(200, "Backup");
}

/// security.md 46
#[tokio::test]
async fn pages_run_nothing_foreign_stand_in_no_frame_and_are_kept_nowhere() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, _) = browser.make(&[("kind", "default"), ("name", "Backup")]).await;
    for (method, path) in pages() {
        let path = path.replace("key_01arz3ndektsv4rrffq69g5fav", &id);
        if method != "GET" || path.ends_with(".svg") || path.ends_with(".csv") {
            continue;
        }
        let path = match path.as_str() {
            "/dashboard/keys/revoke" => format!("{path}?id={id}"),
            _ => {
                path.replace(&format!("/audit/{id}"), &format!("/audit/{}", browser.audited("key.create").await["seq"]))
            }
        };
        let page = browser.get(&path).await.with(200);
        let policy = page.header("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        // Nothing inline, which the policy would stop, and nothing of another host.
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick="), "{path}");
        assert!(!page.text.contains("<script>"), "{path}");
        assert!(!page.text.contains("src=\"http") && !page.text.contains("href=\"http"), "{path}");
        assert!(page.text.len() < 50_000, "{path}: {} bytes", page.text.len());
    }
}

#[tokio::test]
async fn anothers_key_is_missing_as_one_that_is_not_there() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let other = server.key(json!({})).await.id;
    for (method, path) in pages().filter(|(_, path)| path.contains("/keys/key_")) {
        let missing = "key_01arz3ndektsv4rrffq69g5fav";
        let send = async |id: &str| {
            let path = path.replace(missing, id);
            if method == "GET" { browser.get(&path).await } else { browser.post(&path, &[("grace", "0s")]).await }
        };
        let without_id = |text: &str| text.split("<code>req_").next().unwrap().to_owned();
        let (foreign, none) = (send(&other).await, send(missing).await);
        assert_eq!((foreign.status, none.status), (404, 404), "{path}");
        assert_eq!(without_id(&foreign.text), without_id(&none.text), "{path}");
    }
    for path in ["/dashboard/nothing", "/dashboard/keys/nonsense"] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn what_people_type_is_shown_as_it_was_typed_and_never_run() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "name": STRANGE })).send().await.is(200);
    let (id, _) = browser.make(&[("kind", "default"), ("name", STRANGE), ("description", STRANGE)]).await;
    let again = [("kind", "default"), ("name", STRANGE), ("description", STRANGE), ("ip_allowlist", STRANGE)];
    let wrong = browser.post("/dashboard/keys", &again).await.with(422);
    let mut seen = vec![wrong];
    for path in ["keys", "keys/new", "members", "sessions", "security", &format!("keys?find={STRANGE}")] {
        seen.push(
            browser
                .get(&format!(
                    "/dashboard/{}",
                    path.replace(' ', "%20").replace('"', "%22").replace('<', "%3C").replace('>', "%3E")
                ))
                .await
                .with(200),
        );
    }
    for path in ["", "/rotate", "/revoke"] {
        seen.push(browser.get(&format!("/dashboard/keys/{id}{path}")).await.with(200));
    }
    seen.push(browser.post("/dashboard/members/invite", &[("email", STRANGE), ("role", "viewer")]).await.with(422));
    seen.push(browser.post("/dashboard/login", &[("email", STRANGE), ("password", STRANGE)]).await.with(422));
    for page in seen {
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"), "{}", page.text);
    }
}

#[tokio::test]
async fn a_viewer_sees_keys_and_is_offered_nothing_that_would_be_refused() {
    let server = TestServer::start().await;
    let (owner, account) = Browser::of(&server, "owner").await;
    let (id, _) = owner.make(&[("kind", "default"), ("name", "Backup")]).await;
    let (email, _) = server.registered(&account, "viewer").await;
    let mut viewer = Browser::new(&server);
    viewer.log_in(&email, PASSWORD).await.leads_to("/dashboard/keys");
    let list = viewer.get("/dashboard/keys").await;
    list.says(200, "Backup");
    assert!(!list.text.contains("Create New API Key"));
    let page = viewer.get(&format!("/dashboard/keys/{id}")).await;
    assert!(!page.says(200, "Backup").text.contains("Revoke"));
    viewer.post(&format!("/dashboard/keys/{id}/disable"), &[]).await.with(403);
    viewer.get("/dashboard/keys/new").await.with(403);
    assert!(!viewer.get("/dashboard/members").await.says(200, "owner").text.contains("Invite"));
}

#[tokio::test]
async fn a_key_is_switched_off_and_on_and_ended_for_good_by_its_name() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[("kind", "default"), ("name", "Nightly backup")]).await;
    let page = format!("/dashboard/keys/{id}");
    browser.post(&format!("{page}/disable"), &[]).await.leads_to(&format!("{page}?done=disabled"));
    assert_eq!(server.code(&key).await, "DISABLED");
    browser.post(&format!("{page}/enable"), &[]).await.leads_to(&format!("{page}?done=enabled"));
    assert_eq!(server.code(&key).await, "VALID");
    server.app.flush_usage().await.unwrap();
    browser.get(&format!("{page}/revoke")).await.says(200, "<strong>2</strong> requests used it");
    let wrong = browser.post(&format!("{page}/revoke"), &[("confirm", "nightly")]).await;
    wrong.says(422, "Nothing was revoked");
    assert_eq!(server.code(&key).await, "VALID");
    browser
        .post(&format!("{page}/revoke"), &[("confirm", " Nightly backup ")])
        .await
        .leads_to(&format!("{page}?done=revoked"));
    assert_eq!(server.code(&key).await, "REVOKED");
    browser.get(&format!("{page}?done=revoked")).await.says(200, "The key is revoked.");
    assert!(text(&browser.audited("key.revoke").await, "actor").starts_with("user:"));
}

#[tokio::test]
async fn a_form_sent_twice_makes_one_key_and_shows_its_secret_once() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let form = browser.get("/dashboard/keys/new").await.with(200).text;
    let once = between(&form, "name=\"once\" value=\"", "\"");
    let fields = [("kind", "default"), ("name", "Backup"), ("once", once.as_str())];
    let (id, key) = browser.make(&fields).await;
    let again = browser.post("/dashboard/keys", &fields).await;
    again.leads_to(&format!("/dashboard/keys/{id}"));
    for path in ["/dashboard/keys".to_owned(), format!("/dashboard/keys/{id}")] {
        let page = browser.get(&path).await;
        assert_eq!(page.says(200, "Backup").text.matches(key.as_str()).count(), 0, "{path}");
        assert_eq!(page.text.matches(">Backup<").count(), if path.ends_with("keys") { 1 } else { 0 }, "{path}");
    }
}

#[tokio::test]
async fn keys_are_found_by_what_is_pasted_and_by_how_they_stand() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let mut keys = Vec::new();
    for name in ["First", "Second"] {
        keys.push(browser.make(&[("kind", "default"), ("name", name)]).await);
        server.wait("1s");
    }
    let found = browser.post("/dashboard/keys/find", &[("find", &keys[0].1)]).await.with(303);
    let first = browser.get(found.header("location").unwrap()).await;
    assert!(first.says(200, ">First<").text.matches(">Second<").count() == 0, "{}", first.text);
    for (find, fits) in
        [("fir", [true, false]), ("SECOND", [false, true]), ("i", [true, false]), ("%25", [false, false])]
    {
        let page = browser.get(&format!("/dashboard/keys?find={find}")).await.with(200).text;
        assert_eq!([page.contains(">First<"), page.contains(">Second<")], fits, "{find}");
    }
    let both = browser.get("/dashboard/keys").await.with(200).text;
    assert!(both.find(">Second<") < both.find(">First<"), "the newest first");
    browser.post(&format!("/dashboard/keys/{}/disable", keys[1].0), &[]).await.with(303);
    let off = browser.get("/dashboard/keys?status=disabled").await;
    assert!(off.says(200, ">Second<").text.matches(">First<").count() == 0);
    browser.get("/dashboard/keys?status=revoked").await.says(200, "No key fits");
    for _ in 0..50 {
        server.key_of(&account, json!({})).await;
    }
    let page = browser.get("/dashboard/keys").await.with(200).text;
    let next = between(&page, "<a class=\"button\" href=\"", "\"").replace("&#38;", "&");
    let rest = browser.get(&next).await.with(200).text;
    assert_eq!((page.matches("<tr").count(), rest.matches("<tr").count()), (31, 23), "with a head each");
}

#[tokio::test]
async fn members_are_invited_changed_and_removed() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "admin").await;
    let (viewer, _, token) = server.person(&account, "viewer").await;
    let (owner, ..) = server.person(&account, "owner").await;
    let page = browser.get("/dashboard/members").await.with(200).text;
    assert!(page.contains(&format!("/dashboard/members/{viewer}/role")) && !page.contains(&format!("/{owner}/role")));
    assert!(!page.contains("<option>owner</option>"), "an admin makes no owners");
    let invite = async |email| browser.post("/dashboard/members/invite", &[("email", email), ("role", "viewer")]).await;
    invite("ann@example.org").await.leads_to("/dashboard/members?done=invited");
    assert_eq!(server.letters("ann@example.org").await.len(), 1);
    let invited = browser.get("/dashboard/members").await;
    let id = between(&invited.says(200, "ann@example.org").text, "/dashboard/invitations/", "/");
    browser.post(&format!("/dashboard/invitations/{id}/withdraw"), &[]).await.with(303);
    assert!(!browser.get("/dashboard/members").await.text.contains("ann@example.org"));
    invite("nobody").await.says(422, "value=\"nobody\"").says(422, "no address");
    let role = format!("/dashboard/members/{viewer}/role");
    browser.post(&role, &[("role", "owner")]).await.says(403, "Nobody gives or takes a role above their own.");
    browser.post(&role, &[("role", "developer")]).await.leads_to("/dashboard/members?done=changed");
    browser.post(&format!("/dashboard/members/{viewer}/remove"), &[]).await.leads_to("/dashboard/members?done=removed");
    server.get("/v1/keys").by(&token).send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_person_sees_and_ends_their_sessions() {
    let server = TestServer::start().await;
    let (email, user) = server.registered(&server.account().await, "owner").await;
    let (mut here, mut there) = (Browser::new(&server), Browser::new(&server));
    here.log_in(&email, PASSWORD).await.with(303);
    there.log_in(&email, PASSWORD).await.with(303);
    let page = here.get("/dashboard/sessions").await;
    let other = between(&page.says(200, "this one").text, "/dashboard/sessions/ses_", "/");
    here.post(&format!("/dashboard/sessions/ses_{other}/end"), &[]).await.leads_to("/dashboard/sessions?done=ended");
    assert_eq!(there.get("/dashboard/keys").await.status, 303);
    there.log_in(&email, PASSWORD).await.with(303);
    here.post("/dashboard/sessions/end-others", &[]).await.leads_to("/dashboard/sessions?done=others");
    assert_eq!(there.get("/dashboard/keys").await.status, 303);
    here.get("/dashboard/sessions").await.says(200, "this one");
    server.post(&format!("/v1/users/{user}/disable"), &json!({})).send().await.is(200);
    assert_eq!(here.get("/dashboard/sessions").await.status, 303);
}

#[tokio::test]
async fn a_session_that_is_used_goes_on_and_one_that_is_not_ends() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    for _ in 0..4 {
        server.wait("6d");
        browser.get("/dashboard/keys").await.with(200);
    }
    server.wait("7d");
    assert_eq!(browser.get("/dashboard/keys").await.status, 303);
}

#[tokio::test]
async fn a_second_factor_is_set_up_used_and_turned_off() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    browser.post("/dashboard/security/2fa/setup", &[]).await.leads_to("/dashboard/security#second-factor");
    let page = browser.get("/dashboard/security").await.with(200).text;
    let secret = between(&page, "type the secret: <code>", "</code>").replace(' ', "");
    assert_eq!(browser.get("/dashboard/security/2fa/qr.svg").await.header("content-type"), Some("image/svg+xml"));
    browser
        .post("/dashboard/security/2fa/start", &[("code", "000000")])
        .await
        .says(422, "This is wrong, or was used before");
    let right = code(&secret, 0);
    let codes = browser.post("/dashboard/security/2fa/start", &[("code", &right)]).await.with(200).text;
    let paper = between(&codes, "id=\"codes\"><code>", "\n");
    browser.get("/dashboard/security").await.says(200, "<strong>10</strong> backup codes");

    let mut other = Browser::new(&server);
    let step = other.log_in(&email, PASSWORD).await;
    let challenge = between(&step.says(200, "Second factor").text, "name=\"challenge\" value=\"", "\"");
    assert!(step.header("set-cookie").is_none());
    let go_on = |code: &str| [("challenge".to_owned(), challenge.clone()), ("code".into(), code.to_owned())];
    let send = async |code: &str| {
        let fields = go_on(code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        other.post("/dashboard/login", &fields).await
    };
    send("").await.says(422, "Type the six digits");
    send("123456").await.says(401, "The code is wrong, or was used before");
    let answer = send(&paper).await;
    answer.leads_to("/dashboard/keys");
    send(&paper).await.says(401, "The code is wrong, or was used before");
    other.keep(&answer);
    other.get("/dashboard/security").await.says(200, "<strong>9</strong> backup codes");
    server.wait("1m");
    let off = [("password", PASSWORD), ("code", &code(&secret, 60))];
    browser.post("/dashboard/security/2fa/disable", &off).await.leads_to("/dashboard/security?done=off");
}

#[tokio::test]
async fn another_password_is_chosen_and_other_sessions_end() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let (mut here, mut there) = (Browser::new(&server), Browser::new(&server));
    here.log_in(&email, PASSWORD).await.with(303);
    there.log_in(&email, PASSWORD).await.with(303);
    let change = async |present, next| {
        here.post("/dashboard/security/password", &[("password", present), ("new_password", next)]).await
    };
    change("wrong", "seven odd green kettles").await.says(422, "This is not your present password.");
    change(PASSWORD, "short").await.with(422);
    change(PASSWORD, "seven odd green kettles").await.leads_to("/dashboard/security?done=password");
    here.get("/dashboard/security?done=password").await.says(200, "You have another password.");
    assert_eq!(there.get("/dashboard/keys").await.status, 303);
    there.log_in(&email, PASSWORD).await.says(401, "The email or the password is wrong.");
}

#[tokio::test]
async fn guessing_at_a_login_locks_it_here_as_everywhere() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let mut browser = Browser::new(&server);
    for _ in 0..10 {
        browser.log_in(&email, "wrong wrong wrong").await;
    }
    let locked = browser.log_in(&email, PASSWORD).await;
    assert!(locked.says(429, "Too many attempts").text.contains(&email), "what was typed is kept");
    let api = json!({ "email": email, "password": PASSWORD });
    server.post("/v1/auth/login", &api).by_nobody().send().await.problem(429, "RATE_LIMITED");
}

#[tokio::test]
async fn somebody_new_registers_and_somebody_forgetful_is_mailed() {
    let server = TestServer::start().await;
    let mut browser = Browser::new(&server);
    browser.get("/dashboard/login").await.says(200, "/dashboard/register");
    let weak = [("email", "ann@example.org"), ("password", "short")];
    browser.post("/dashboard/register", &weak).await.says(422, "value=\"ann@example.org\"");
    let fields = [("email", "ann@example.org"), ("password", PASSWORD), ("account_name", "Ann AS")];
    browser.post("/dashboard/register", &fields).await.says(202, "Look in your mail");
    browser.log_in("ann@example.org", PASSWORD).await.leads_to("/dashboard/keys");
    browser.get("/dashboard/keys").await.says(200, "Ann AS").says(200, "No keys yet");
    let known = browser.post("/dashboard/forgot", &[("email", "ann@example.org")]).await.with(202).text;
    let nobody = browser.post("/dashboard/forgot", &[("email", "bob@example.org")]).await.with(202).text;
    assert_eq!(known.replace("ann@", "bob@"), nobody);
    let policy = keywright_app::core::policy::Policy::DEV.replace("open = true\n", "");
    server.app.reload_policy(&policy).unwrap();
    browser.post("/dashboard/register", &fields).await.says(403, "Nobody registers here");
}

#[tokio::test]
async fn an_authenticator_of_the_api_is_asked_for_here_too() {
    let server = TestServer::start().await;
    let (email, user) = server.registered(&server.account().await, "owner").await;
    enrol(&server, &server.session_of(&user).await.1).await;
    Browser::new(&server).log_in(&email, PASSWORD).await.says(200, "Second factor");
}

#[tokio::test]
async fn a_second_factor_waits_for_a_confirmed_address_and_the_page_says_so() {
    let server = TestServer::start().await;
    let ann = json!({ "email": "ann@example.net", "password": PASSWORD });
    server.post("/v1/auth/register", &ann).by_nobody().send().await.is(202);
    let mut browser = Browser::new(&server);
    browser.log_in("ann@example.net", PASSWORD).await.leads_to("/dashboard/keys");
    let refused = browser.post("/dashboard/security/2fa/setup", &[]).await;
    refused.says(409, "onfirm your own address first").says(409, "Set it up");
}
