//! `/v1/auth`: logging in, going on, and what guards both, beyond what a provider's page says.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use keywright_server::Options;
use serde_json::{Value, json};

use crate::contract::ch_people::{code, enrol};
use crate::harness::{Answer, PASSWORD, TestServer, text};

async fn scene() -> (TestServer, String, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (email, user) = server.registered(&account, "owner").await;
    (server, email, user)
}

async fn try_login(server: &TestServer, email: &str, password: &str, code: Option<&str>) -> Answer {
    let mut body = json!({ "email": email, "password": password });
    if let Some(code) = code {
        body["code"] = code.into();
    }
    server.post("/v1/auth/login", &body).by_nobody().send().await
}

async fn log_in(server: &TestServer, email: &str) -> (String, String) {
    let tokens = try_login(server, email, PASSWORD, None).await.is(200);
    (text(&tokens, "access_token"), text(&tokens, "refresh_token"))
}

async fn refresh(server: &TestServer, token: &str) -> Answer {
    server.post("/v1/auth/refresh", &json!({ "refresh_token": token })).by_nobody().send().await
}

async fn is_let_in(server: &TestServer, token: &str) -> bool {
    server.get("/v1/auth/me").by(token).send().await.status == 200
}

/// Everything of an answer but its request's id.
fn told(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    (answer.status, body)
}

/// security.md 48
#[tokio::test]
async fn whether_there_is_such_a_person_shows_in_no_answer() {
    let (server, email, _) = scene().await;
    let wrong = try_login(&server, &email, "not the password", None).await;
    wrong.problem(401, "LOGIN_FAILED");
    let account = server.account().await;
    let bare = json!({ "email": "bare@example.com", "account_id": account, "role": "owner" });
    server.post("/v1/users", &bare).send().await.is(201);
    for email in ["nobody@example.com", "bare@example.com"] {
        for password in [PASSWORD, "", &"x".repeat(2_000)] {
            assert_eq!(told(&try_login(&server, email, password, None).await), told(&wrong));
        }
    }
}

/// security.md 15, 49
#[tokio::test]
async fn an_address_is_one_persons_in_any_spelling_and_a_password_in_one() {
    let (server, email, _) = scene().await;
    try_login(&server, &format!(" {} ", email.to_uppercase()), PASSWORD, None).await.is(200);
    for wrong in [PASSWORD.to_uppercase(), format!("{PASSWORD} "), PASSWORD[..15].to_owned()] {
        try_login(&server, &email, &wrong, None).await.problem(401, "LOGIN_FAILED");
    }
    try_login(&server, "no address", PASSWORD, None).await.wrong("email");
}

#[tokio::test]
async fn what_a_login_lacks_is_named() {
    let (server, email, _) = scene().await;
    for (body, field) in [
        (json!({}), "email"),
        (json!({ "password": PASSWORD }), "email"),
        (json!({ "email": email }), "password"),
        (json!({ "email": email, "password": PASSWORD, "challenge": "kwc_" }), "challenge"),
        (json!({ "email": email, "password": PASSWORD, "otp": "1" }), "otp"),
        (json!({ "email": [email], "password": PASSWORD }), "email"),
    ] {
        server.post("/v1/auth/login", &body).by_nobody().send().await.wrong(field);
    }
}

/// security.md 15, 17, 19
#[tokio::test]
async fn a_password_is_as_strong_as_it_must_be_when_it_is_chosen() {
    let (server, email, user) = scene().await;
    let account = server.account().await;
    for weak in ["plum tractor o", "passwordpassword", "123456789012345", "eve.adams@example.com", &"x".repeat(2_000)] {
        let eve = json!({ "email": "eve.adams@example.com", "account_id": account, "role": "owner", "password": weak });
        server.post("/v1/users", &eve).send().await.wrong("password");
    }
    let (token, _) = log_in(&server, &email).await;
    let change = async |body: Value| server.post("/v1/auth/password", &body).by(&token).send().await;
    change(json!({ "password": PASSWORD, "new_password": "vf8#kq2Z" })).await.wrong("new_password");
    change(json!({ "password": "wrong", "new_password": "seven odd green kettles" }))
        .await
        .problem(401, "LOGIN_FAILED");
    let (secret, _) = enrol(&server, &token).await;
    server.wait("30s");
    let short = json!({ "password": PASSWORD, "new_password": "vf8#kq2Z" });
    change(short.clone()).await.wrong("code");
    let mut with_code = short;
    with_code["code"] = code(&secret, 30).into();
    change(with_code.clone()).await.is(204);
    server.wait("30s");
    // A short password does not stand alone.
    let stop = json!({ "password": "vf8#kq2Z", "code": code(&secret, 60) });
    server.post("/v1/auth/2fa/disable", &stop).by(&token).send().await.problem(409, "CONFLICT");
    let log = server.get("/v1/audit?action=user.password").send().await.is(200);
    assert_eq!((&log["data"][0]["target"], &log["data"][0]["actor"]), (&json!(user), &json!(format!("user:{user}"))));
}

/// security.md 19
#[tokio::test]
async fn another_password_ends_every_other_session() {
    let (server, email, _) = scene().await;
    let ((first, _), (second, refresh_second)) = (log_in(&server, &email).await, log_in(&server, &email).await);
    let body = json!({ "password": PASSWORD, "new_password": "seven odd green kettles" });
    server.post("/v1/auth/password", &body).by(&first).send().await.is(204);
    assert!(is_let_in(&server, &first).await && !is_let_in(&server, &second).await);
    refresh(&server, &refresh_second).await.problem(401, "SESSION_OVER");
    try_login(&server, &email, PASSWORD, None).await.problem(401, "LOGIN_FAILED");
    try_login(&server, &email, "seven odd green kettles", None).await.is(200);
}

/// security.md 10 and 11: a family never forks.
#[tokio::test]
async fn fifty_refreshes_at_once_are_one_and_the_same() {
    let (server, email, _) = scene().await;
    let (_, token) = log_in(&server, &email).await;
    let answers = join_all((0..50).map(|_| refresh(&server, &token))).await;
    let next: BTreeSet<String> = answers.iter().map(|answer| text(&answer.is(200), "refresh_token")).collect();
    assert_eq!(next.len(), 1, "the family forked");
    let log = server.get("/v1/audit?action=session.refresh").send().await.is(200);
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1));
    refresh(&server, next.first().unwrap()).await.is(200);
}

/// security.md 9 and 11
#[tokio::test]
async fn a_lost_answer_is_given_again_for_half_a_minute_and_a_copied_token_ends_the_session() {
    let (server, email, _) = scene().await;
    let (_, first) = log_in(&server, &email).await;
    let second = text(&refresh(&server, &first).await.is(200), "refresh_token");
    server.wait("30s");
    assert_eq!(text(&refresh(&server, &first).await.is(200), "refresh_token"), second, "the answer was lost");
    let third = refresh(&server, &second).await.is(200);
    // The second was used, so its answer had arrived: whoever shows the first has a copy.
    refresh(&server, &first).await.problem(401, "SESSION_OVER");
    refresh(&server, &text(&third, "refresh_token")).await.problem(401, "SESSION_OVER");
    assert!(!is_let_in(&server, &text(&third, "access_token")).await);
    let log = server.get("/v1/audit?action=session.reuse").send().await.is(200);
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1));
}

/// security.md 12
#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_however_much_it_is() {
    let (server, email, _) = scene().await;
    let (_, mut token) = log_in(&server, &email).await;
    for _ in 0..4 {
        server.wait("6d");
        token = text(&refresh(&server, &token).await.is(200), "refresh_token");
    }
    server.wait("5d");
    let last = refresh(&server, &token).await.is(200);
    server.wait("1d");
    refresh(&server, &text(&last, "refresh_token")).await.problem(401, "SESSION_OVER");
    let (_, idle) = log_in(&server, &email).await;
    server.wait("7d");
    refresh(&server, &idle).await.problem(401, "SESSION_OVER");
}

/// security.md 9
#[tokio::test]
async fn made_up_refresh_tokens_are_refused_and_end_nothing() {
    let (server, email, _) = scene().await;
    let (access, token) = log_in(&server, &email).await;
    let elsewhere = TestServer::start().await;
    let account = elsewhere.account().await;
    let (other, _) = elsewhere.registered(&account, "owner").await;
    let (_, foreign) = log_in(&elsewhere, &other).await;
    let cut = &token[..token.len() - 1];
    for wrong in [
        "",
        "kwr_",
        access.as_str(),
        foreign.as_str(),
        cut,
        &format!("{cut}~"),
        &token.replace("_0_", "_1_"),
        &token.replace("_0_", "_-1_"),
        &format!("{token}{}", "x".repeat(9_000)),
    ] {
        refresh(&server, wrong).await.problem(401, "SESSION_OVER");
    }
    refresh(&server, &token).await.is(200);
    // A refresh token is no credential, and an access token is none to go on with.
    server.get("/v1/auth/me").by(&token).send().await.problem(401, "UNAUTHENTICATED");
}

/// security.md 13
#[tokio::test]
async fn whoever_is_shut_out_is_refused_on_the_next_request() {
    let (server, email, user) = scene().await;
    let (access, token) = log_in(&server, &email).await;
    let shut = server.post(&format!("/v1/users/{user}/disable"), &Value::Null).send().await.is(200);
    assert_eq!(shut["status"], "disabled");
    assert!(!is_let_in(&server, &access).await);
    refresh(&server, &token).await.problem(401, "SESSION_OVER");
    try_login(&server, &email, PASSWORD, None).await.problem(401, "LOGIN_FAILED");
    server.post(&format!("/v1/users/{user}/enable"), &Value::Null).send().await.is(200);
    assert!(is_let_in(&server, &access).await);
    server.post("/v1/auth/logout", &Value::Null).by(&access).send().await.is(204);
    assert!(!is_let_in(&server, &access).await);
    refresh(&server, &token).await.problem(401, "SESSION_OVER");
}

#[tokio::test]
async fn all_other_sessions_end_and_the_one_shown_goes_on() {
    let (server, email, _) = scene().await;
    let ((first, _), (second, _), (third, _)) =
        (log_in(&server, &email).await, log_in(&server, &email).await, log_in(&server, &email).await);
    server.delete("/v1/sessions").by(&second).send().await.is(204);
    assert!(!is_let_in(&server, &first).await && is_let_in(&server, &second).await);
    assert!(!is_let_in(&server, &third).await);
}

#[tokio::test]
async fn a_person_of_several_accounts_enters_the_one_they_name() {
    let (server, email, user) = scene().await;
    let log = async |account: Option<&str>| {
        let body = json!({ "email": email, "password": PASSWORD, "account_id": account });
        server.post("/v1/auth/login", &body).by_nobody().send().await
    };
    let first = text(&server.get(&format!("/v1/users/{user}")).send().await.is(200)["memberships"][0], "account_id");
    log(Some(&first)).await.is(200);
    let other = server.account().await;
    log(Some(&other)).await.problem(404, "NOT_FOUND");
    server.patch(&format!("/v1/accounts/{first}"), &json!({ "status": "suspended" })).send().await.is(200);
    log(Some(&first)).await.problem(403, "FORBIDDEN");
    log(None).await.problem(403, "FORBIDDEN");
}

/// security.md 21
#[tokio::test]
async fn twenty_uses_of_one_code_at_once_let_one_in() {
    let (server, email, _) = scene().await;
    let (token, _) = log_in(&server, &email).await;
    let (secret, codes) = enrol(&server, &token).await;
    server.wait("30s");
    for code in [&code(&secret, 30), &codes[0]] {
        let answers = join_all((0..20).map(|_| try_login(&server, &email, PASSWORD, Some(code)))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{code}");
        // Those that came too late count as failures, and lock: a lock of a quarter of an hour.
        server.wait("15m");
        server.wait("15s");
    }
}

/// security.md 21 to 23
#[tokio::test]
async fn a_code_is_taken_within_a_step_of_its_time_and_never_after_a_later_one() {
    let (server, email, _) = scene().await;
    let (token, _) = log_in(&server, &email).await;
    let (secret, _) = enrol(&server, &token).await;
    let with = async |code: &str| try_login(&server, &email, PASSWORD, Some(code)).await.status;
    assert_eq!(with(&code(&secret, 0)).await, 401, "the one it was turned on with");
    assert_eq!(with(&code(&secret, 30)).await, 200, "a clock that is ahead");
    server.wait("1m");
    assert_eq!(with(&code(&secret, 30)).await, 401, "taken before");
    assert_eq!(with(&code(&secret, 120)).await, 401, "two steps ahead");
    assert_eq!(with(&code(&secret, 90)).await, 200);
    assert_eq!(with(&code(&secret, 60)).await, 401, "earlier than the last one taken");
    server.wait("1m");
    for wrong in [format!(" {}", code(&secret, 120)), format!("{} ", code(&secret, 120)), "".into(), "1".repeat(100)] {
        assert_eq!(with(&wrong).await, 401, "{wrong:?}");
    }
    assert_eq!(with(&code(&secret, 120)).await, 200);
}

/// security.md 25
#[tokio::test]
async fn a_factor_counts_once_shown_to_work_and_takes_password_and_code_to_turn_off() {
    let (server, email, user) = scene().await;
    let (token, _) = log_in(&server, &email).await;
    let set_up = async || server.post("/v1/auth/2fa/setup", &Value::Null).by(&token).send().await;
    let verify =
        async |code: &str| server.post("/v1/auth/2fa/verify", &json!({ "code": code })).by(&token).send().await;
    verify("123456").await.problem(409, "CONFLICT");
    let first = text(&set_up().await.is(200), "secret");
    let second = text(&set_up().await.is(200), "secret");
    verify(&code(&first, 0)).await.problem(401, "SECOND_FACTOR_WRONG");
    log_in(&server, &email).await;
    verify(&code(&second, 0)).await.is(200);
    try_login(&server, &email, PASSWORD, None).await.problem(401, "SECOND_FACTOR_REQUIRED");
    set_up().await.problem(409, "CONFLICT");
    verify(&code(&second, 0)).await.problem(409, "CONFLICT");
    server.get("/v1/auth/2fa/qr.svg").by(&token).send().await.problem(409, "CONFLICT");
    server.wait("30s");
    let stop = async |password: &str, code: Value| {
        let body = json!({ "password": password, "code": code });
        server.post("/v1/auth/2fa/disable", &body).by(&token).send().await
    };
    stop(PASSWORD, Value::Null).await.wrong("code");
    stop("wrong", code(&second, 30).into()).await.problem(401, "LOGIN_FAILED");
    stop(PASSWORD, "000000".into()).await.problem(401, "SECOND_FACTOR_WRONG");
    stop(PASSWORD, code(&second, 30).into()).await.is(204);
    stop(PASSWORD, Value::Null).await.problem(409, "CONFLICT");
    log_in(&server, &email).await;
    let path = format!("/v1/users/{user}/2fa");
    server.delete(&path).send().await.problem(409, "CONFLICT");
}

/// security.md 26
#[tokio::test]
async fn renewed_codes_replace_the_old_ones_and_an_operator_helps_whoever_lost_all() {
    let (server, email, user) = scene().await;
    let (token, _) = log_in(&server, &email).await;
    let (_, codes) = enrol(&server, &token).await;
    let body = json!({ "password": PASSWORD, "code": codes[0] });
    let renewed = server.post("/v1/auth/2fa/backup-codes", &body).by(&token).send().await.is(200);
    let renewed: Vec<&str> =
        renewed["backup_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    try_login(&server, &email, PASSWORD, Some(&codes[1])).await.problem(401, "SECOND_FACTOR_WRONG");
    // As somebody types it from paper.
    let typed = renewed[0].to_uppercase().replace('-', " ");
    try_login(&server, &email, PASSWORD, Some(&typed)).await.is(200);
    server.delete(&format!("/v1/users/{user}/2fa")).send().await.is(204);
    assert!(!is_let_in(&server, &token).await, "every session ends");
    log_in(&server, &email).await;
}

#[tokio::test]
async fn a_challenge_is_void_after_five_minutes_and_with_another_password() {
    let (server, email, _) = scene().await;
    let (token, _) = log_in(&server, &email).await;
    let (_, codes) = enrol(&server, &token).await;
    let challenge = async || {
        let answer = try_login(&server, &email, PASSWORD, None).await.problem(401, "SECOND_FACTOR_REQUIRED");
        text(&answer, "challenge")
    };
    let go_on = async |challenge: &str, code: &str| {
        let body = json!({ "challenge": challenge, "code": code });
        server.post("/v1/auth/login", &body).by_nobody().send().await
    };
    let late = challenge().await;
    server.wait("5m");
    go_on(&late, &codes[0]).await.problem(401, "LOGIN_FAILED");
    let (held, forged) = (challenge().await, challenge().await.replace("kwc_01", "kwc_02"));
    go_on(&forged, &codes[0]).await.problem(401, "LOGIN_FAILED");
    let body = json!({ "password": PASSWORD, "code": codes[1], "new_password": "seven odd green kettles" });
    server.post("/v1/auth/password", &body).by(&token).send().await.is(204);
    go_on(&held, &codes[0]).await.problem(401, "LOGIN_FAILED");
}

/// security.md 28 to 31: one limiter for passwords and codes, which nobody can use to shut somebody out for good.
#[tokio::test]
async fn guessing_locks_logins_and_leaves_the_person_their_own_place() {
    let options = Options { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() };
    let server = TestServer::listening(options).await;
    let account = server.account().await;
    let (email, _) = server.registered(&account, "owner").await;
    let from = async |ip: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        let call = server.post("/v1/auth/login", &body).by_nobody().header("x-forwarded-for", ip);
        call.send().await.status
    };
    assert_eq!(from("192.0.2.1", PASSWORD).await, 200);
    for number in 0..10 {
        assert_eq!(from(&format!("198.51.100.{number}"), "a guess").await, 401);
    }
    assert_eq!(from("198.51.100.99", PASSWORD).await, 429, "locked wherever they never were");
    assert_eq!(from("192.0.2.1", PASSWORD).await, 200, "and not where they were");
    for _ in 0..10 {
        assert_eq!(from("192.0.2.1", "a guess").await, 401);
    }
    assert_eq!(from("192.0.2.1", PASSWORD).await, 429);
    let locks = server.get("/v1/lockouts").send().await.is(200);
    let locks = locks["data"].as_array().unwrap();
    assert!(locks.iter().all(|lock| lock["kind"] == "login" && lock["email"] == email), "{locks:?}");
    for lock in locks {
        server.delete(&format!("/v1/lockouts/{}", text(lock, "id"))).send().await.is(204);
    }
    assert_eq!(from("192.0.2.1", PASSWORD).await, 200);
}

/// security.md 28
#[tokio::test]
async fn one_address_that_tries_many_people_is_locked() {
    let options = Options { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() };
    let server = TestServer::listening(options).await;
    let from = async |ip: &str, email: &str| {
        let body = json!({ "email": email, "password": "a guess" });
        let call = server.post("/v1/auth/login", &body).by_nobody().header("x-forwarded-for", ip);
        call.send().await
    };
    for number in 0..50 {
        from("192.0.2.1", &format!("person{number}@example.org")).await.problem(401, "LOGIN_FAILED");
    }
    let locked = from("192.0.2.1", "another@example.org").await;
    locked.problem(429, "RATE_LIMITED");
    assert_eq!(locked.header("retry-after"), Some("900"));
    from("192.0.2.2", "another@example.org").await.problem(401, "LOGIN_FAILED");
}

/// security.md 27 to 29: a burst gets no more tries than so many one after another.
#[tokio::test]
async fn a_burst_of_guesses_has_no_more_tries_than_a_row_of_them() {
    let (server, email, _) = scene().await;
    let mut guesses: Vec<String> = (0..60).map(|number| format!("guess number {number}")).collect();
    guesses.push(PASSWORD.into());
    let answers = join_all(guesses.iter().map(|guess| try_login(&server, &email, guess, None))).await;
    assert_eq!(answers.last().map(|answer| answer.status), Some(429), "the right one came after too many wrong ones");
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(tried, 10);
}
