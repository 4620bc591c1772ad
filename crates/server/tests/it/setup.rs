//! The link on which the first operator is made.

use keywright_server::Options;
use serde_json::json;

use crate::browser::Browser;
use crate::harness::{PASSWORD, TestServer, text};

const NEW: [(&str, &str); 2] = [("email", "Ann@Example.com"), ("password", PASSWORD)];

async fn token(server: &TestServer) -> String {
    text(&server.post("/v1/users/setup-link", &json!({})).send().await.is(201), "token")
}

fn with<'t>(token: &'t str, fields: &[(&'t str, &'t str)]) -> Vec<(&'t str, &'t str)> {
    [("token", token)].into_iter().chain(fields.iter().copied()).collect()
}

#[tokio::test]
async fn the_first_operator_chooses_a_password_and_is_offered_a_second_factor() {
    let server = TestServer::start().await;
    let issued = server.post("/v1/users/setup-link", &json!({})).send().await.with(201);
    assert_eq!(issued.header("cache-control"), Some("no-store"));
    let (token, url) = (text(&issued.body, "token"), text(&issued.body, "url"));
    assert_eq!(url, format!("https://keys.example.com/setup?token={token}"));
    assert!(!server.stored().windows(token.len()).any(|window| window == token.as_bytes()), "a digest is stored");
    let mut browser = Browser::new(&server);
    let path = format!("/setup?token={token}");
    let page = browser.get(&path).await;
    page.says(200, "The first operator").says(200, &token);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(!page.text.contains("=\"http") && !page.text.contains("=\"//"), "it leads nowhere else");
    browser.post("/setup", &with(&token, &[("email", "ann"), ("password", PASSWORD)])).await.says(422, "email-wrong");
    let weak = browser.post("/setup", &with(&token, &[("email", "ann@example.com"), ("password", "short")])).await;
    weak.says(422, "at least 15 characters").says(422, "value=\"ann@example.com\"").says(422, &token);
    assert!(!weak.text.contains("short"), "what was typed as a password is not shown");

    let done = browser.post("/setup", &with(&token, &NEW)).await;
    done.leads_to("/dashboard/security?done=set-up");
    browser.keep(&done);
    browser.get("/dashboard/security?done=set-up").await.says(200, "You are the operator of this server.");
    browser.get("/dashboard/keys").await.leads_to("/dashboard/operator");
    browser.get("/dashboard/operator").await.leads_to("/dashboard/operator/health");
    browser.get("/dashboard/operator/accounts").await.says(200, "Accounts");
    assert_eq!(browser.audited("user.set_up").await["detail"]["operator_permissions"], json!(["*"]));
    let mut again = Browser::new(&server);
    again.log_in("ann@example.com", PASSWORD).await.leads_to("/dashboard/keys");
    again.get("/dashboard/operator/users").await.says(200, "ann@example.com");
}

#[tokio::test]
async fn a_link_that_was_used_is_over_or_was_replaced_says_so_and_what_to_do() {
    let server = TestServer::start().await;
    let stranger = Browser::new(&server);
    let first = token(&server).await;
    let second = token(&server).await;
    let open = |token: &str| format!("/setup?token={token}");
    let none = stranger.get(&open(&first)).await;
    none.says(404, "a newer one took its place").says(404, "keywright users setup-link");
    stranger.post("/setup", &with(&first, &NEW)).await.says(404, "a newer one took its place");
    server.wait("24h");
    for answer in [stranger.get(&open(&second)).await, stranger.post("/setup", &with(&second, &NEW)).await] {
        answer.says(410, "This link is over").says(410, "keywright users setup-link");
        assert!(!answer.text.contains(&second));
    }
    let third = token(&server).await;
    server.wait("23h");
    stranger.post("/setup", &with(&third, &NEW)).await.with(303);
    for answer in [stranger.get(&open(&third)).await, stranger.post("/setup", &with(&third, &NEW)).await] {
        answer.says(410, "This link has been used").says(410, "/dashboard/login");
        assert!(!answer.text.contains(&third));
    }
    for wrong in ["", "kws_x", "a&b", &third.to_uppercase(), &format!("{third}x")] {
        stranger.get(&open(wrong)).await.with(404);
    }
    let refused = server.post("/v1/users/setup-link", &json!({})).send().await.problem(409, "CONFLICT");
    assert!(text(&refused, "detail").contains("keywright users promote"), "{refused}");
}

#[tokio::test]
async fn a_link_makes_nobody_once_somebody_else_is_an_operator() {
    let server = TestServer::start().await;
    let token = token(&server).await;
    let operator = json!({ "email": "eve@example.com", "password": PASSWORD, "operator_permissions": ["audit:read"] });
    server.post("/v1/users", &operator).send().await.is(201);
    let stranger = Browser::new(&server);
    stranger.get(&format!("/setup?token={token}")).await.with(410);
    stranger.post("/setup", &with(&token, &NEW)).await.with(410);
    let listed = server.get("/v1/users").send().await.is(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn of_any_number_that_use_a_link_at_once_one_is_made() {
    let server = TestServer::start().await;
    let token = token(&server).await;
    let stranger = Browser::new(&server);
    let emails: Vec<String> = (0..8).map(|number| format!("racer{number}@example.com")).collect();
    let races = emails.iter().map(|email| {
        let (stranger, token) = (&stranger, &token);
        async move { stranger.post("/setup", &with(token, &[("email", email), ("password", PASSWORD)])).await.status }
    });
    let mut statuses = futures_util::future::join_all(races).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410, 410, 410, 410, 410]);
    let listed = server.get("/v1/users").send().await.is(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
}

/// security.md 45
#[tokio::test]
async fn the_form_comes_from_its_own_page() {
    let server = TestServer::start().await;
    let token = token(&server).await;
    let stranger = Browser::new(&server);
    for origin in ["https://evil.example", "null", "https://keys.example.com.evil.example"] {
        stranger.post_from(origin, "/setup", &with(&token, &NEW)).await.with(403);
    }
    let form = format!("token={token}&email=ann%40example.com&password=plum+tractor+ode");
    let post = || server.call("POST", "/setup").by_nobody().header("host", "keys.example.com").form(&form);
    post().send().await.with(403);
    post().header("origin", "null").header("sec-fetch-site", "cross-site").send().await.with(403);
    assert_eq!(server.get("/v1/users").send().await.is(200)["data"], json!([]));
    // A page that sends no referrer sends no origin, and the browser says for it that it is ours.
    post().header("origin", "null").header("sec-fetch-site", "same-origin").send().await.with(303);
}

/// security.md 28
#[tokio::test]
async fn whoever_guesses_at_links_is_locked_out_and_has_nothing_hashed() {
    let server = TestServer::listening(Options::default()).await;
    let token = token(&server).await;
    let guess = async |token: &str| server.get(&format!("/setup?token={token}")).by_nobody().send().await.status;
    let hashes = server.app.password_hashes();
    let wrong = format!("kws_{}", "a".repeat(43));
    let form = format!("token={wrong}&email=ann%40example.com&password=plum+tractor+ode");
    for _ in 0..25 {
        assert_eq!(guess(&wrong).await, 404);
        let post = server.call("POST", "/setup").by_nobody().header("sec-fetch-site", "same-origin").form(&form);
        assert_eq!(post.send().await.status, 404);
    }
    assert_eq!(guess(&token).await, 429, "the right one, too");
    assert_eq!(server.app.password_hashes(), hashes);
    let held = server.get("/v1/lockouts").send().await.is(200);
    server.delete(&format!("/v1/lockouts/{}", text(&held["data"][0], "id"))).send().await.is(204);
    assert_eq!(guess(&token).await, 200);
}

#[tokio::test]
async fn only_the_first_start_prints_a_link() {
    let server = TestServer::start().await;
    assert!(server.app.first_setup_link().await.unwrap().is_some());
    assert!(server.app.first_setup_link().await.unwrap().is_none(), "it was printed before");
    let other = TestServer::start().await;
    Browser::operator(&other, &["audit:read"]).await;
    assert!(other.app.first_setup_link().await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_takes_whoever_may_do_everything() {
    let server = TestServer::start().await;
    let (lesser, account) = (server.operator_with(&["users:write", "users:read"]).await, server.account().await);
    let (_, customer) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    for key in [&lesser, &customer] {
        server.post("/v1/users/setup-link", &json!({})).by(key).send().await.problem(403, "FORBIDDEN");
    }
}
