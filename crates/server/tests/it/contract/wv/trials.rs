//! Keys anybody can have.

use futures_util::future::join_all;
use keywright_app::core::policy::Policy;
use keywright_server::Options;
use keywright_store::testing::databases;
use serde_json::json;

use super::{INVALID, TEMP_KEY, TRIALS, behind_a_proxy, key_of, status, trial};
use crate::harness::{Answer, TestServer, text};

#[tokio::test]
async fn wv1_anybody_gets_a_trial_key_of_half_an_hour_and_ten_operations() {
    let server = TestServer::start().await;
    for body in [None, Some("{}"), Some(" {} ")] {
        let call = server.call("POST", TEMP_KEY).by_nobody();
        let call = match body {
            Some(body) => call.header("content-type", "application/json").body(body),
            None => call,
        };
        let answer = call.send().await.with(201);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let key = text(&answer.body, "api_key");
        let expected = json!({
            "api_key": key, "expires_at": "2026-11-21T09:30:00Z", "ops_limit": 10,
            "message": "Store this key now: it is shown this once. It is good for 10 operations within 30m.",
        });
        assert_eq!(answer.body, expected);
        let order: Vec<usize> = ["api_key", "expires_at", "ops_limit", "message"]
            .map(|field| answer.text.find(&format!("\"{field}\":")).unwrap())
            .into();
        assert!(order.is_sorted(), "{}", answer.text);
        let health = server.get("/api/v1/health").by(&key).send().await.with(200);
        assert_eq!(health.text, r#"{"status":"ok"}"#);
    }
}

#[tokio::test]
async fn wv1_what_is_no_request_for_a_trial_key_is_refused() {
    let server = TestServer::start().await;
    for body in [json!({ "role": "account_admin" }), json!({ "environment": "live" }), json!({ "expires_in": "1y" })] {
        let answer = server.post(TEMP_KEY, &body).by_nobody().send().await;
        assert!(answer.wavis_error(422, "INVALID")["errors"].is_array());
    }
    server.post(TEMP_KEY, &json!([])).by_nobody().body("[]").send().await.wavis_error(422, "INVALID");
    server.call("POST", TEMP_KEY).by_nobody().form("a=1").send().await.wavis_error(415, "NOT_JSON");
    server.call("GET", TEMP_KEY).by_nobody().send().await.wavis_error(405, "METHOD_NOT_ALLOWED");
    trial(&server).await;
}

#[tokio::test]
async fn wv1_trial_keys_are_written_down_without_the_key_and_are_no_customers() {
    let server = TestServer::start().await;
    let before = server.get("/v1/accounts").send().await.is(200);
    server.get(&format!("/v1/accounts/{TRIALS}")).send().await.problem(404, "NOT_FOUND");
    let (first, second) = (trial(&server).await, trial(&server).await);
    let rows = server.get(&format!("/v1/audit?account_id={TRIALS}")).send().await.with(200);
    for key in [&first, &second] {
        assert!(!rows.text.contains(&key[16..]), "a key is in the log");
    }
    let actions = rows.body["data"].as_array().unwrap().iter().map(|row| text(row, "action")).collect::<Vec<_>>();
    assert_eq!(actions, ["trial.issue", "trial.issue", "account.create"], "newest first, and one account for both");
    assert_eq!(rows.body["data"][0]["actor"], "system");
    assert_eq!(server.get("/v1/accounts").send().await.is(200), before, "it shows up as no customer");
    let beyond = server.get("/v1/accounts?cursor=acc_00000000000000000000000000").send().await.is(200);
    assert_eq!(beyond["data"], before["data"]);
    // Nobody's own keys are put there, and suspending the account ends what is given away.
    let body = json!({ "account_id": TRIALS, "kind": "wavis" });
    server.post("/v1/keys", &body).send().await.problem(422, "INVALID");
    server.patch(&format!("/v1/accounts/{TRIALS}"), &json!({ "status": "suspended" })).send().await.is(200);
    server.get("/api/v1/health").by(&first).send().await.wavis_error(401, "");
    server.call("POST", TEMP_KEY).by_nobody().send().await.wavis_error(409, "CONFLICT");
}

#[tokio::test]
async fn wv1_trial_keys_that_are_over_are_forgotten_a_day_later() {
    let server = TestServer::start().await;
    let key = trial(&server).await;
    assert_eq!(server.code(&key).await, "VALID");
    server.app.flush_usage().await.unwrap();
    server.wait("30m");
    server.app.forget_trials().await.unwrap();
    server.wait("1d");
    server.app.forget_trials().await.unwrap();
    assert_eq!(server.code(&key).await, "EXPIRED", "in the very moment it still is known");
    server.wait("1ms");
    let young = trial(&server).await;
    server.app.forget_trials().await.unwrap();
    assert_eq!([server.code(&key).await, server.code(&young).await], ["NOT_FOUND", "VALID"]);
    server.app.forget_trials().await.unwrap();
    let rows = server.get("/v1/audit?action=trial.forget").send().await.is(200);
    assert_eq!(rows["data"].as_array().unwrap().len(), 1, "what changes nothing is not written down");
    assert_eq!(rows["data"][0]["detail"]["keys"], 1);
    assert_eq!(server.call("POST", "/v1/audit/verify").send().await.is(200)["intact"], true);
}

async fn from(server: &TestServer, address: &str) -> Answer {
    server.call("POST", TEMP_KEY).by_nobody().header("x-forwarded-for", address).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wv2_one_address_gets_five_trial_keys_a_minute_whatever_the_concurrency() {
    let server = behind_a_proxy().await;
    let answers = join_all((0..50).map(|_| from(&server, "203.0.113.7"))).await;
    let given = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(given, 5);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.wavis_error(429, "RATE_LIMITED");
        assert_eq!(refused.header("retry-after"), Some("60"));
    }
    assert_eq!(from(&server, "203.0.113.8").await.status, 201);
    assert_eq!(from(&server, "2001:db8::1").await.status, 201);
    // What the proxy did not see itself is not believed.
    assert_eq!(from(&server, "192.0.2.1, 203.0.113.7").await.status, 429);
    server.wait("59s");
    assert_eq!(from(&server, "203.0.113.7").await.header("retry-after"), Some("1"));
    server.wait("1s");
    assert_eq!(from(&server, "203.0.113.7").await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wv2_wv3_wv14_limits_and_counts_are_the_same_on_every_engine() {
    for fresh in databases().await {
        let server = TestServer::on(fresh).await;
        let answers = join_all((0..50).map(|_| server.call("POST", TEMP_KEY).by_nobody().send())).await;
        let given: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(given.len(), 5);
        let key = text(&given[0].body, "api_key");
        let codes = join_all((0..50).map(|_| server.code(&key))).await;
        assert_eq!(codes.iter().filter(|code| *code == "VALID").count(), 10);
        let account = server.account().await;
        let (_, live) = key_of(&server, &account, "account_admin", "live").await;
        assert_eq!(server.code(&live).await, "VALID");
        server.app.flush_usage().await.unwrap();
        let billing = server.get("/api/v1/billing").by(&live).send().await.is(200);
        assert_eq!(billing["billed_operations"], 1);
        server.wait("25h");
        server.app.forget_trials().await.unwrap();
        assert_eq!(server.code(&key).await, "NOT_FOUND");
        server.app.forget_trials().await.unwrap();
        assert_eq!(server.call("POST", "/v1/audit/verify").send().await.is(200)["intact"], true);
    }
}

#[tokio::test]
async fn wv2_the_policy_says_how_many_there_are_in_all_and_whether_there_are_any() {
    let server = TestServer::start().await;
    let reload = |from: &str, to: &str| {
        assert!(Policy::DEV.contains(from), "{from}");
        server.app.reload_policy(&Policy::DEV.replace(from, to)).unwrap();
    };
    reload("live_keys_per_account = 10_000", "live_keys_per_account = 2");
    let (first, _) = (trial(&server).await, trial(&server).await);
    let full = server.call("POST", TEMP_KEY).by_nobody().send().await;
    full.wavis_error(429, "RATE_LIMITED");
    assert_eq!(full.header("retry-after"), Some("60"));
    server.wait("30m");
    assert_eq!(server.code(&trial(&server).await).await, "VALID", "those that are over make room");
    reload("issue = { per_ip = \"5 in 1m\" }", "");
    server.call("POST", TEMP_KEY).by_nobody().send().await.wavis_error(404, "NOT_FOUND");
    assert_eq!(server.code(&first).await, "EXPIRED", "what was given away is known as before");
}

#[tokio::test]
async fn wv2_without_a_listed_proxy_the_connection_is_the_address() {
    let server = TestServer::listening(Options::default()).await;
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(from(&server, &format!("203.0.113.{number}")).await.status);
    }
    assert_eq!(statuses, [201, 201, 201, 201, 201, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wv3_a_trial_key_is_good_for_ten_operations_exactly() {
    let server = TestServer::start().await;
    let key = trial(&server).await;
    let remaining = async || {
        for path in ["/api/v1/health", "/api/v1/status"] {
            assert_eq!(status(&server, "GET", path, &key).await, 200);
        }
        server.get("/api/v1/status").by(&key).send().await.is(200)
    };
    let expected = |left: i64| {
        json!({
            "key_prefix": &key[..key.len() - 26], "environment": "trial", "role": "trial", "status": "active",
            "expires_at": "2026-11-21T09:30:00Z", "ops_remaining": left,
        })
    };
    assert_eq!(remaining().await, expected(10));
    let codes = join_all((0..200).map(|_| server.code(&key))).await;
    let of = |wanted: &str| codes.iter().filter(|code| *code == wanted).count();
    assert_eq!((of("VALID"), of("CREDITS_EXHAUSTED")), (10, 190));
    assert_eq!(remaining().await, expected(0), "looking costs nothing, and is possible with nothing left");
    server.wait("29m");
    assert_eq!(status(&server, "GET", "/api/v1/health", &key).await, 200);
    server.wait("1m");
    for path in ["/api/v1/health", "/api/v1/status"] {
        let answer = server.get(path).by(&key).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (401, INVALID));
    }
    assert_eq!(server.code(&key).await, "EXPIRED");
}
