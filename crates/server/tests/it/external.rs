//! Access tokens of identity providers: who may come with one, what they may do, and what becomes of them while the
//! provider changes its keys or is down.

use futures_util::future::join_all;
use keywright_core::policy::Policy;
use keywright_server::Options;
use keywright_store::testing::databases;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer, text};
use crate::issuer::{Issuer, Mood, SECOND, sign};

const AUTOMATIC: &str = "provisioning = \"automatic\"";

/// A server that takes the tokens of a provider, an account, and Ann who owns it.
async fn scene() -> (TestServer, Issuer, String, String) {
    let (server, issuer) = (TestServer::start().await, Issuer::start(1).await);
    issuer.trusted_by(&server, "");
    let account = server.account().await;
    let user = issuer.person(&server, &account, "owner", "ann").await;
    (server, issuer, account, user)
}

async fn keys_by(server: &TestServer, token: &str) -> Answer {
    server.get("/v1/keys").by(token).send().await
}

async fn raw(server: &TestServer, sql: &str) {
    server.app.db().run_raw(sql).await.unwrap();
}

/// security.md 13
#[tokio::test]
async fn an_identity_acts_as_its_person_with_the_role_they_have_at_that_moment() {
    let (server, issuer, account, user) = scene().await;
    let other = server.account().await;
    let foreign = server.key_of(&other, json!({})).await.id;
    let token = issuer.token("ann");
    let made = server.post("/v1/keys", &json!({ "name": "by ann" })).by(&token).send().await.is(201);
    assert_eq!((&made["account_id"], &made["created_by"]), (&json!(account), &json!(format!("user:{user}"))));
    server.get(&format!("/v1/keys/{foreign}")).by(&token).send().await.problem(404, "NOT_FOUND");
    server.post("/v1/accounts", &json!({ "name": "x" })).by(&token).send().await.problem(403, "FORBIDDEN");
    assert_eq!(server.get("/v1/sessions").by(&token).send().await.is(200)["data"].as_array().map(Vec::len), Some(1));
    raw(&server, &format!("update members set role = 'viewer' where user_id = '{user}'")).await;
    server.post("/v1/keys", &json!({})).by(&token).send().await.problem(403, "FORBIDDEN");
    keys_by(&server, &token).await.is(200);
    raw(&server, &format!("delete from members where user_id = '{user}'")).await;
    let refused = keys_by(&server, &token).await.problem(403, "FORBIDDEN");
    assert!(text(&refused, "detail").contains("belongs to no account"), "{refused}");
}

/// security.md 13
#[tokio::test]
async fn a_suspended_account_is_refused_on_the_very_next_request() {
    let (server, issuer, account, _) = scene().await;
    let token = issuer.token("ann");
    keys_by(&server, &token).await.is(200);
    let path = format!("/v1/accounts/{account}");
    server.patch(&path, &json!({ "status": "suspended" })).send().await.is(200);
    keys_by(&server, &token).await.problem(401, "UNAUTHENTICATED");
    server.patch(&path, &json!({ "status": "active" })).send().await.is(200);
    keys_by(&server, &token).await.is(200);
}

#[tokio::test]
async fn only_a_linked_identity_is_somebody_and_only_while_it_is_linked() {
    let (server, issuer, account, user) = scene().await;
    let bob = issuer.token("bob");
    let refused = keys_by(&server, &bob).await.problem(403, "FORBIDDEN");
    assert!(text(&refused, "detail").contains("link-identity"), "{refused}");
    let path = format!("/v1/users/{user}/identities");
    let linked = server.post(&path, &json!({ "issuer": "main", "subject": "bob" })).send().await.is(201);
    let expected = json!({
        "id": linked["id"], "user_id": user, "issuer": issuer.url, "subject": "bob", "email": null,
        "created_at": "2026-11-21T09:00:00.000Z",
    });
    assert_eq!(linked, expected);
    assert_eq!(keys_by(&server, &bob).await.is(200)["data"], json!([]));
    let listed = server.get(&path).send().await.is(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    let one = format!("{path}/{}", text(&linked, "id"));
    let (stranger, _, _) = server.person(&account, "owner").await;
    server.delete(&one.replace(&user, &stranger)).send().await.problem(404, "NOT_FOUND");
    server.delete(&one).send().await.is(204);
    server.delete(&one).send().await.problem(404, "NOT_FOUND");
    keys_by(&server, &bob).await.problem(403, "FORBIDDEN");
    let log = server.get("/v1/audit?action=identity.unlink").send().await.is(200);
    let detail = json!({ "user": user, "issuer": issuer.url, "subject": "bob" });
    assert_eq!((&log["data"][0]["target"], &log["data"][0]["detail"]), (&linked["id"], &detail));
}

/// security.md 6
#[tokio::test]
async fn an_identity_is_one_persons() {
    let (server, _, account, _) = scene().await;
    let (other, _, _) = server.person(&account, "viewer").await;
    let path = format!("/v1/users/{other}/identities");
    server.post(&path, &json!({ "issuer": "main", "subject": "ann" })).send().await.problem(409, "CONFLICT");
    for (field, value) in [
        ("issuer", "https://id.example"),
        ("issuer", ""),
        ("subject", ""),
        ("subject", "a\n"),
        ("subject", &"a".repeat(256)),
    ] {
        let mut identity = json!({ "issuer": "main", "subject": "eve" });
        identity[field] = value.into();
        server.post(&path, &identity).send().await.wrong(field);
    }
}

/// security.md 2, 6: there may be any number of providers, none of which speaks for another.
#[tokio::test]
async fn one_subject_at_two_providers_is_two_people_and_neither_signs_for_the_other() {
    let (server, one, two) = (TestServer::start().await, Issuer::start(1).await, Issuer::start(2).await);
    let issuer = |name: &str, url: &str| format!("[issuer.{name}]\nurl = \"{url}\"\naudience = [\"keywright\"]\n");
    let policy = format!("{}\n{}{}", Policy::DEV, issuer("one", &one.url), issuer("two", &two.url));
    server.app.reload_policy(&policy).unwrap();
    let account = server.account().await;
    let first = one.person(&server, &account, "developer", "ann").await;
    let token = |seed: u8, of: &Issuer| sign(seed, &of.claims("ann"));
    keys_by(&server, &token(1, &one)).await.is(200);
    keys_by(&server, &token(2, &two)).await.problem(403, "FORBIDDEN");
    let second = two.person(&server, &account, "viewer", "ann").await;
    let make = async |token: &str| server.post("/v1/keys", &json!({})).by(token).send().await;
    assert_eq!(make(&token(1, &one)).await.is(201)["created_by"], format!("user:{first}"));
    make(&token(2, &two)).await.problem(403, "FORBIDDEN");
    assert_ne!(first, second);
    for (seed, of) in [(2, &one), (1, &two)] {
        keys_by(&server, &token(seed, of)).await.problem(401, "UNAUTHENTICATED");
    }
    // Whoever is taken out of the policy speaks for nobody from the next request on.
    server.app.reload_policy(&format!("{}\n{}", Policy::DEV, issuer("two", &two.url))).unwrap();
    keys_by(&server, &token(1, &one)).await.problem(401, "UNAUTHENTICATED");
    keys_by(&server, &token(2, &two)).await.is(200);
}

#[tokio::test]
async fn who_belongs_to_several_accounts_acts_in_the_one_their_token_names() {
    let (server, issuer, first, user) = scene().await;
    let second = server.account().await;
    raw(&server, &format!("insert into members values ('{second}', '{user}', 'viewer', 0)")).await;
    let refused = keys_by(&server, &issuer.token("ann")).await.problem(403, "FORBIDDEN");
    assert!(text(&refused, "detail").contains("account_claim"), "{refused}");
    issuer.trusted_by(&server, "account_claim = \"realm.org\"");
    let naming = |account: Value| {
        let mut claims = issuer.claims("ann");
        claims["realm"] = json!({ "org": account });
        sign(1, &claims)
    };
    for (account, status) in [(&first, 201), (&second, 403)] {
        let made = server.post("/v1/keys", &json!({})).by(&naming(json!(account))).send().await.with(status);
        if status == 201 {
            assert_eq!(made.body["account_id"], **account);
        }
    }
    let stranger = server.account().await;
    for (account, says) in [(json!(stranger), "does not belong"), (json!("acme"), "no account's id")] {
        let refused = keys_by(&server, &naming(account)).await.problem(403, "FORBIDDEN");
        assert!(text(&refused, "detail").contains(says), "{refused}");
    }
    keys_by(&server, &naming(json!([first, second]))).await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn twenty_first_requests_at_once_make_one_person() {
    for fresh in databases().await {
        makes_one_person(TestServer::on(fresh).await).await;
    }
}

async fn makes_one_person(server: TestServer) {
    let issuer = Issuer::start(1).await;
    issuer.trusted_by(&server, AUTOMATIC);
    let token = issuer.token("f3a1c6d0");
    let answers = join_all((0..20).map(|_| keys_by(&server, &token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let people = server.get("/v1/users").send().await.is(200);
    let [person] = people["data"].as_array().unwrap().as_slice() else { panic!("{people}") };
    assert_eq!((&person["email"], &person["memberships"][0]["role"]), (&Value::Null, &json!("developer")));
    let account = text(&person["memberships"][0], "account_id");
    let account = server.get(&format!("/v1/accounts/{account}")).send().await.is(200);
    assert_eq!((&account["name"], &account["email"]), (&json!("f3a1c6d0"), &json!("")));
    let log = server.get("/v1/audit").send().await.is(200);
    let actions: Vec<&str> = log["data"].as_array().unwrap().iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(actions[..3], ["identity.link", "user.create", "account.create"]);
    assert!(log["data"].as_array().unwrap()[..3].iter().all(|row| row["actor"] == "system"), "{log}");
    assert_eq!(issuer.fetches(), 1);
    server.post("/v1/keys", &json!({})).by(&token).send().await.with(201);
}

/// security.md 6
#[tokio::test]
async fn an_address_never_says_who_somebody_is() {
    let (server, issuer) = (TestServer::start().await, Issuer::start(1).await);
    let account = server.account().await;
    let ann = json!({ "email": "ann@example.com", "account_id": account, "role": "owner" });
    let ann = text(&server.post("/v1/users", &ann).send().await.is(201), "id");
    issuer.trusted_by(&server, &format!("{AUTOMATIC}\nrole = \"owner\""));
    for (subject, email, verified, kept) in [
        ("eve", "ann@example.com", true, Value::Null),
        ("bob", "Bob@Example.com", true, json!("bob@example.com")),
        ("bob2", "bob@example.com", true, Value::Null),
        ("cat", "cat@example.com", false, Value::Null),
    ] {
        let mut claims = issuer.claims(subject);
        (claims["email"], claims["email_verified"]) = (email.into(), verified.into());
        let made = server.post("/v1/keys", &json!({})).by(&sign(1, &claims)).send().await.is(201);
        assert_ne!(made["account_id"], account);
        let user = text(&made, "created_by").replace("user:", "");
        assert_ne!(user, ann);
        assert_eq!(server.get(&format!("/v1/users/{user}")).send().await.is(200)["email"], kept, "{subject}");
    }
}

#[tokio::test]
async fn a_newcomer_joins_the_account_their_token_names_once_and_no_account_of_the_servers() {
    let (server, issuer) = (TestServer::start().await, Issuer::start(1).await);
    issuer.trusted_by(&server, &format!("{AUTOMATIC}\naccount_claim = \"org\"\nrole = \"viewer\""));
    let account = server.account().await;
    let naming = |subject: &str, account: &str| {
        let mut claims = issuer.claims(subject);
        claims["org"] = account.into();
        sign(1, &claims)
    };
    let token = naming("bob", &account);
    keys_by(&server, &token).await.is(200);
    server.post("/v1/keys", &json!({})).by(&token).send().await.problem(403, "FORBIDDEN");
    raw(&server, "delete from members where role = 'viewer'").await;
    keys_by(&server, &token).await.problem(403, "FORBIDDEN");
    for account in ["acc_00000000000000000000000000", "acc_00000000000000000000000001", crate::harness::NO_ACCOUNT] {
        keys_by(&server, &naming("eve", account)).await.problem(403, "FORBIDDEN");
    }
    let suspended = server.account().await;
    server.patch(&format!("/v1/accounts/{suspended}"), &json!({ "status": "suspended" })).send().await.is(200);
    keys_by(&server, &naming("eve", &suspended)).await.problem(401, "UNAUTHENTICATED");
    assert_eq!(server.get("/v1/users").send().await.is(200)["data"].as_array().map(Vec::len), Some(1));
}

/// security.md 8
#[tokio::test]
async fn a_new_key_is_fetched_once_however_many_ask_and_made_up_ones_are_not_fetched_for() {
    let (server, issuer, ..) = scene().await;
    keys_by(&server, &issuer.token("ann")).await.is(200);
    assert_eq!(issuer.fetches(), 1);
    issuer.publishes(&[2]);
    let rotated = sign(2, &issuer.claims("ann"));
    keys_by(&server, &rotated).await.problem(401, "UNAUTHENTICATED");
    assert_eq!(issuer.fetches(), 1, "the last fetch was just now");
    server.wait("30s");
    let answers = join_all((0..20).map(|_| keys_by(&server, &rotated))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(issuer.fetches(), 2);
    keys_by(&server, &issuer.token("ann")).await.problem(401, "UNAUTHENTICATED");
    let made_up = join_all((3..40).map(|seed| {
        let token = sign(seed, &issuer.claims("ann"));
        let server = &server;
        async move { keys_by(server, &token).await.status }
    }));
    assert!(made_up.await.iter().all(|status| *status == 401));
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn known_keys_go_on_working_for_a_day_while_the_provider_is_down() {
    let (server, issuer, ..) = scene().await;
    keys_by(&server, &issuer.token("ann")).await.is(200);
    issuer.feels(Mood::Down);
    for hours in [1, 11, 11] {
        server.wait(&format!("{hours}h"));
        let mut claims = issuer.claims("ann");
        claims["exp"] = json!(SECOND + 200_000);
        keys_by(&server, &sign(1, &claims)).await.is(200);
        keys_by(&server, &sign(2, &claims)).await.problem(401, "UNAUTHENTICATED");
    }
    server.wait("1h");
    let refused = keys_by(&server, &issuer.token("ann")).await;
    refused.problem(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    issuer.feels(Mood::Well);
    server.wait("30s");
    keys_by(&server, &issuer.token("ann")).await.is(200);
}

#[tokio::test]
async fn without_any_keys_the_answer_is_to_come_back_later_and_our_own_tokens_work() {
    let (server, issuer, account, _) = scene().await;
    issuer.feels(Mood::Down);
    let answers = join_all((0..20).map(|_| async { keys_by(&server, &issuer.token("ann")).await.status })).await;
    assert_eq!((answers, issuer.fetches()), (vec![503; 20], 1));
    let (_, _, own) = server.person(&account, "owner").await;
    keys_by(&server, &own).await.is(200);
}

#[tokio::test]
async fn stale_keys_are_refreshed_beside_a_request_which_does_not_wait() {
    let (server, issuer, ..) = scene().await;
    issuer.caches("max-age=120");
    let token = issuer.token("ann");
    keys_by(&server, &token).await.is(200);
    server.wait("119s");
    keys_by(&server, &token).await.is(200);
    assert_eq!(issuer.fetches(), 1);
    issuer.publishes(&[2]);
    server.wait("1s");
    keys_by(&server, &token).await.is(200);
    // Whoever shows the new key waits for the fetch that has begun.
    keys_by(&server, &sign(2, &issuer.claims("ann"))).await.is(200);
    assert_eq!(issuer.fetches(), 2);
    keys_by(&server, &token).await.problem(401, "UNAUTHENTICATED");
}

/// security.md 2
#[tokio::test]
async fn documents_that_are_not_the_issuers_own_bring_no_keys() {
    for mood in [
        Mood::Named("https://evil.example"),
        Mood::KeysAt("http://192.0.2.1/jwks"),
        Mood::KeysAt("file:///etc/passwd"),
        Mood::Redirecting,
        Mood::Padded(256 * 1_024),
    ] {
        let (server, issuer, ..) = scene().await;
        issuer.feels(mood.clone());
        assert_eq!(keys_by(&server, &issuer.token("ann")).await.status, 503, "{mood:?}");
    }
    let (server, issuer, ..) = scene().await;
    issuer.feels(Mood::Padded(200 * 1_024));
    keys_by(&server, &issuer.token("ann")).await.is(200);
}

/// security.md 3, 4, 7
#[tokio::test]
async fn a_token_is_held_to_the_rules_of_the_one_who_issued_it() {
    let (server, issuer, ..) = scene().await;
    let says = |field: &str, value: Value| {
        let mut claims = issuer.claims("ann");
        claims[field] = value;
        sign(1, &claims)
    };
    for (field, value) in [
        ("iss", json!("keywright")),
        ("iss", json!("https://id.example")),
        ("iss", json!(format!("{}/", issuer.url))),
        ("iss", json!(7)),
        ("aud", json!("another")),
        ("exp", json!(SECOND - 5)),
        ("nbf", json!(SECOND + 6)),
        ("nonce", json!("n")),
        ("sub", json!("")),
    ] {
        let refused = keys_by(&server, &says(field, value.clone())).await;
        assert_eq!(refused.status, 401, "{field}: {value}");
        refused.problem(401, "UNAUTHENTICATED");
    }
    for (name, value) in [
        ("authorization", issuer.token("ann")),
        ("authorization", format!("bearer {}", issuer.token("ann"))),
        ("x-api-key", issuer.token("ann")),
    ] {
        server.get("/v1/keys").by_nobody().header(name, &value).send().await.problem(401, "UNAUTHENTICATED");
    }
    server.app.reload_policy(keywright_core::policy::Policy::DEV).unwrap();
    keys_by(&server, &issuer.token("ann")).await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn wrong_tokens_count_against_the_address_they_come_from_and_late_ones_do_not() {
    let (server, issuer) = (TestServer::listening(Options::default()).await, Issuer::start(1).await);
    issuer.trusted_by(&server, "");
    let mut late = issuer.claims("ann");
    late["exp"] = json!(SECOND - 60);
    for _ in 0..110 {
        keys_by(&server, &sign(1, &late)).await.problem(401, "UNAUTHENTICATED");
        // Nobody's, and no guess: the provider says who they are.
        keys_by(&server, &issuer.token("ann")).await.problem(403, "FORBIDDEN");
    }
    let mut wrong = issuer.claims("ann");
    wrong["aud"] = "another".into();
    for _ in 0..50 {
        keys_by(&server, &sign(1, &wrong)).await.problem(401, "UNAUTHENTICATED");
        keys_by(&server, &sign(2, &issuer.claims("ann"))).await.problem(401, "UNAUTHENTICATED");
    }
    let refused = keys_by(&server, &issuer.token("ann")).await;
    refused.problem(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("60"));
}
