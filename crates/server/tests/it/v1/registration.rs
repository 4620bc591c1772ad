//! `/v1/auth/register`, `email`, `password/forgot`: what goes by mail.

use serde_json::{Value, json};

use crate::contract::ch_people::{code, enrol};
use crate::harness::{Answer, PASSWORD, TestServer, text};

const LINKS: &str = "[login]\nopen = true\nname = \"Example\"\nverify_link = \"https://app.example.com/verify?token={token}\"\n\
    reset_link = \"https://app.example.com/reset?token={token}\"\n";
const NEXT: &str = "seven odd green kettles";

/// A server anybody may register at.
async fn open() -> TestServer {
    let server = TestServer::start().await;
    let policy = keywright_app::core::policy::Policy::DEV.replace("[login]\nopen = true\n", LINKS);
    server.app.reload_policy(&policy).unwrap();
    server
}

async fn ask(server: &TestServer, path: &str, body: Value) -> Answer {
    server.post(&format!("/v1/auth/{path}"), &body).by_nobody().send().await
}

async fn register(server: &TestServer, email: &str) -> Answer {
    ask(server, "register", json!({ "email": email, "password": PASSWORD })).await
}

async fn log_in(server: &TestServer, email: &str, password: &str) -> Answer {
    ask(server, "login", json!({ "email": email, "password": password })).await
}

async fn token(server: &TestServer, email: &str) -> String {
    text(&log_in(server, email, PASSWORD).await.is(200), "access_token")
}

/// Registers somebody who follows the link they are mailed.
async fn confirmed(server: &TestServer, email: &str) {
    register(server, email).await.is(202);
    let mailed = server.mailed(email).await;
    ask(server, "email/verify", json!({ "token": mailed })).await.is(204);
}

/// What is asked for without a session is mailed in a moment.
async fn until_mailed(server: &TestServer, email: &str, count: usize) {
    while server.letters(email).await.len() < count {
        tokio::task::yield_now().await;
    }
}

/// security.md 47, 49
#[tokio::test]
async fn somebody_registers_and_shows_that_mail_arrives() {
    let server = open().await;
    let body = json!({ "email": " Ann@Example.com", "password": PASSWORD, "account_name": "Ann AS" });
    ask(&server, "register", body).await.is(202);
    let token = token(&server, "ann@example.com").await;
    let me = server.get("/v1/auth/me").by(&token).send().await.is(200);
    assert_eq!(
        (&me["user"]["email_verified"], &me["user"]["memberships"][0]["role"]),
        (&json!(false), &json!("owner"))
    );
    let account = format!("/v1/accounts/{}", text(&me, "account_id"));
    let before = server.get(&account).by(&token).send().await.is(200);
    assert_eq!((&before["name"], &before["email_verified"]), (&json!("Ann AS"), &json!(false)));
    let letters = server.letters("ann@example.com").await;
    assert!(letters[0].contains("Subject: Example: Confirm your address"), "{letters:?}");
    assert!(letters[0].contains("https://app.example.com/verify?token=kwv_"), "{letters:?}");
    let mailed = server.mailed("ann@example.com").await;
    ask(&server, "email/verify", json!({ "token": mailed })).await.is(204);
    let me = server.get("/v1/auth/me").by(&token).send().await.is(200);
    assert_eq!(me["user"]["email_verified"], true);
    assert_eq!(server.get(&account).by(&token).send().await.is(200)["email_verified"], true);
    server.post("/v1/auth/email/resend", &Value::Null).by(&token).send().await.problem(409, "CONFLICT");
}

/// security.md 48
#[tokio::test]
async fn an_address_that_is_somebodys_is_told_so_by_mail_alone() {
    let server = open().await;
    let account = server.account().await;
    let (email, user) = server.registered(&account, "owner").await;
    let (known, new) = (register(&server, &email).await, register(&server, "new@example.com").await);
    assert_eq!((known.status, &known.text), (202, &String::new()));
    assert_eq!((new.status, &new.text), (202, &String::new()));
    let letters = server.letters(&email).await;
    assert!(letters.len() == 1 && letters[0].contains("You have an account already"), "{letters:?}");
    assert!(!letters[0].contains("token="));
    let held = server.get(&format!("/v1/users/{user}")).send().await.is(200);
    assert_eq!(held["memberships"], json!([{ "account_id": account, "role": "owner" }]), "nothing changed");
    for (path, body) in
        [("password/forgot", json!({ "email": email })), ("password/forgot", json!({ "email": "no@example.com" }))]
    {
        assert_eq!(ask(&server, path, body).await.is(202), Value::Null);
    }
}

#[tokio::test]
async fn where_registration_is_closed_nobody_registers() {
    let server = TestServer::start().await;
    let policy = keywright_app::core::policy::Policy::DEV.replace("open = true\n", "");
    server.app.reload_policy(&policy).unwrap();
    register(&server, "ann@example.com").await.problem(403, "FORBIDDEN");
    assert_eq!(server.get("/v1/users").send().await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn what_will_not_do_is_named_and_no_letter_goes_out() {
    let server = open().await;
    for (field, value) in
        [("email", "ann"), ("password", "short"), ("password", "passwordpassword"), ("account_name", "a\u{7}")]
    {
        let mut body = json!({ "email": "ann@example.com", "password": PASSWORD });
        body[field] = value.into();
        ask(&server, "register", body).await.wrong(field);
    }
    assert!(server.letters("ann@example.com").await.is_empty());
}

#[tokio::test]
async fn letters_at_a_strangers_wish_are_few() {
    let server = open().await;
    for _ in 0..9 {
        register(&server, "ann@example.com").await.is(202);
    }
    assert_eq!(server.letters("ann@example.com").await.len(), 5);
    for number in 0..11 {
        register(&server, &format!("person{number}@example.com")).await.is(202);
    }
    register(&server, "another@example.com").await.problem(429, "RATE_LIMITED");
    server.wait("1h");
    register(&server, "another@example.com").await.is(202);
}

/// How easily a password is guessed takes long to find out of one that was made for it: nobody has it done as often as they like.
#[tokio::test]
async fn passwords_that_will_not_do_are_weighed_for_a_stranger_so_often() {
    let server = open().await;
    let weak =
        async || ask(&server, "register", json!({ "email": "ann@example.com", "password": "passwordpassword" })).await;
    for _ in 0..20 {
        weak().await.wrong("password");
    }
    weak().await.problem(429, "RATE_LIMITED");
}

/// security.md 31: a stranger who has somebody written to does not use up the letters they get in again by.
#[tokio::test]
async fn letters_somebody_did_not_ask_for_keep_none_from_them_that_they_did() {
    let server = open().await;
    for _ in 0..9 {
        register(&server, "ann@example.com").await.is(202);
    }
    server.wait("1s");
    ask(&server, "password/forgot", json!({ "email": "ann@example.com" })).await.is(202);
    until_mailed(&server, "ann@example.com", 6).await;
    assert!(server.mailed("ann@example.com").await.starts_with("kwp_"));
    for _ in 0..9 {
        ask(&server, "password/forgot", json!({ "email": "ann@example.com" })).await.is(202);
    }
    until_mailed(&server, "ann@example.com", 10).await;
}

/// security.md 31: nobody registers with somebody else's address and holds it by a second factor of their own, which not even
/// a reset would take off.
#[tokio::test]
async fn a_second_factor_is_set_up_once_the_address_is_confirmed() {
    let server = open().await;
    register(&server, "ann@example.com").await.is(202);
    let held = token(&server, "ann@example.com").await;
    let set_up = async || server.post("/v1/auth/2fa/setup", &Value::Null).by(&held).send().await;
    let refused = set_up().await.problem(409, "CONFLICT");
    assert!(text(&refused, "detail").contains("confirm your own address"), "{refused}");
    server.post("/v1/auth/2fa/verify", &json!({ "code": "123456" })).by(&held).send().await.problem(409, "CONFLICT");
    let mailed = server.mailed("ann@example.com").await;
    ask(&server, "email/verify", json!({ "token": mailed })).await.is(204);
    set_up().await.is(200);
}

/// security.md 19, 49
#[tokio::test]
async fn a_forgotten_password_is_replaced_by_mail_and_every_session_ends() {
    let server = open().await;
    register(&server, "ann@example.com").await.is(202);
    let held = token(&server, "ann@example.com").await;
    server.wait("1s");
    ask(&server, "password/forgot", json!({ "email": "ANN@example.com" })).await.is(202);
    until_mailed(&server, "ann@example.com", 2).await;
    let mailed = server.mailed("ann@example.com").await;
    let reset = async |token: &str, password: &str| {
        ask(&server, "password/reset", json!({ "token": token, "new_password": password })).await
    };
    reset(&mailed, "short").await.wrong("new_password");
    let verify = mailed.replace("kwp_", "kwv_");
    ask(&server, "email/verify", json!({ "token": verify })).await.wrong("token");
    reset(&mailed, NEXT).await.is(204);
    reset(&mailed, "another odd green kettle").await.wrong("token");
    server.get("/v1/auth/me").by(&held).send().await.problem(401, "UNAUTHENTICATED");
    log_in(&server, "ann@example.com", PASSWORD).await.problem(401, "LOGIN_FAILED");
    let token = text(&log_in(&server, "ann@example.com", NEXT).await.is(200), "access_token");
    let me = server.get("/v1/auth/me").by(&token).send().await.is(200);
    assert_eq!(me["user"]["email_verified"], true, "the link came by mail");
}

/// security.md 20
#[tokio::test]
async fn a_reset_takes_the_second_factor_too() {
    let server = open().await;
    confirmed(&server, "ann@example.com").await;
    let (secret, codes) = enrol(&server, &token(&server, "ann@example.com").await).await;
    server.wait("1m");
    ask(&server, "password/forgot", json!({ "email": "ann@example.com" })).await.is(202);
    until_mailed(&server, "ann@example.com", 2).await;
    let mailed = server.mailed("ann@example.com").await;
    let reset = async |code: Value| {
        ask(&server, "password/reset", json!({ "token": mailed, "new_password": NEXT, "code": code })).await
    };
    reset(Value::Null).await.wrong("code");
    reset("000000".into()).await.problem(401, "SECOND_FACTOR_WRONG");
    reset(code(&secret, 60).into()).await.is(204);
    let body = json!({ "email": "ann@example.com", "password": NEXT });
    ask(&server, "login", body).await.problem(401, "SECOND_FACTOR_REQUIRED");
    let body = json!({ "email": "ann@example.com", "password": NEXT, "code": codes[0] });
    ask(&server, "login", body).await.is(200);
}

/// security.md 19 and 49
#[tokio::test]
async fn another_address_is_ones_own_once_its_link_is_followed() {
    let server = open().await;
    for email in ["ann@example.com", "bob@example.com"] {
        register(&server, email).await.is(202);
    }
    let held = token(&server, "ann@example.com").await;
    let change = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        server.post("/v1/auth/email", &body).by(&held).send().await
    };
    change("ann@example.org", "wrong").await.problem(401, "LOGIN_FAILED");
    // Somebody else's is told nothing, and the answer is the same.
    let of_bob = server.letters("bob@example.com").await.len();
    change("bob@example.com", PASSWORD).await.is(202);
    assert_eq!(server.letters("bob@example.com").await.len(), of_bob);
    change("ann@example.org", PASSWORD).await.is(202);
    let told = server.letters("ann@example.com").await;
    assert!(told.iter().any(|letter| letter.contains("become ann@example.org")), "{told:?}");
    token(&server, "ann@example.com").await;
    let mailed = server.mailed("ann@example.org").await;
    ask(&server, "email/verify", json!({ "token": mailed })).await.is(204);
    server.get("/v1/auth/me").by(&held).send().await.problem(401, "UNAUTHENTICATED");
    log_in(&server, "ann@example.com", PASSWORD).await.problem(401, "LOGIN_FAILED");
    token(&server, "ann@example.org").await;
    let log = server.get("/v1/audit?action=user.verify_email").send().await.is(200);
    assert_eq!(log["data"][0]["detail"]["before"], "ann@example.com");
}

/// security.md 19: whoever is told that their address is about to change changes their password, and with it the address
/// stays. Whoever asked for it knew the password before.
#[tokio::test]
async fn another_password_stops_an_address_that_was_about_to_change() {
    let server = open().await;
    confirmed(&server, "ann@example.com").await;
    let held = token(&server, "ann@example.com").await;
    let change = json!({ "email": "mallory@example.org", "password": PASSWORD });
    server.post("/v1/auth/email", &change).by(&held).send().await.is(202);
    let mailed = server.mailed("mallory@example.org").await;
    let body = json!({ "password": PASSWORD, "new_password": NEXT });
    server.post("/v1/auth/password", &body).by(&held).send().await.is(204);
    ask(&server, "email/verify", json!({ "token": mailed })).await.wrong("token");
    log_in(&server, "ann@example.com", NEXT).await.is(200);
}

#[tokio::test]
async fn tickets_are_over_in_their_time_and_made_up_ones_count_as_guesses() {
    let server = open().await;
    register(&server, "ann@example.com").await.is(202);
    let mailed = server.mailed("ann@example.com").await;
    let verify = async |token: &str| ask(&server, "email/verify", json!({ "token": token })).await;
    for wrong in ["", "kwv_", &mailed.replace("kwv_01", "kwv_02"), &format!("{mailed}A"), &mailed[..mailed.len() - 1]] {
        verify(wrong).await.wrong("token");
    }
    server.wait("72h");
    verify(&mailed).await.wrong("token");
}

/// What links in mails lead to.
/// security.md 46
#[tokio::test]
async fn pages_take_what_was_mailed_and_following_a_link_changes_nothing() {
    let server = open().await;
    register(&server, "ann@example.com").await.is(202);
    let mailed = server.mailed("ann@example.com").await;
    let page = server.get(&format!("/verify-email?token={mailed}")).by_nobody().send().await.with(200);
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert!(page.text.contains(&format!("value=\"{mailed}\"")) && !page.text.contains("<script"));
    let held = token(&server, "ann@example.com").await;
    let me = async || server.get("/v1/auth/me").by(&held).send().await.is(200)["user"]["email_verified"].clone();
    assert_eq!(me().await, false);
    let send = async |path: &str, form: &str| server.call("POST", path).by_nobody().form(form).send().await;
    let refused = send("/verify-email", "token=nonsense").await.with(422);
    assert!(
        refused.text.contains("role=\"alert\"") && refused.text.contains("ask for another one"),
        "{}",
        refused.text
    );
    let done = send("/verify-email", &format!("token={mailed}")).await.with(200);
    assert!(done.text.contains("Your address is confirmed"));
    assert_eq!(me().await, true);
    let hostile = server.get("/reset-password?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").by_nobody().send().await;
    assert!(hostile.status == 200 && !hostile.text.contains("<script"), "{}", hostile.text);
    let weak = send("/reset-password", "token=kwp_x&new_password=short").await.with(422);
    assert!(!weak.text.contains("value=\"short\""), "a password is never repeated");
}
