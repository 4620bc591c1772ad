//! `/v1/accounts/{id}/members` and `invitations`: who belongs, as what, and who is asked to.

use serde_json::{Value, json};

use crate::contract::ch_people::enrol;
use crate::harness::{Answer, NO_ACCOUNT, NO_USER, PASSWORD, TestServer, text};

/// An account with an owner and one of each other role: the ids and tokens of each, the owner first.
struct Team {
    server: TestServer,
    account: String,
    people: [(&'static str, String, String); 4],
}

impl Team {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let standing = json!({ "email_verified": true, "email": "post@example.com", "subscription": "active" });
        let account = server.account().await;
        server.patch(&format!("/v1/accounts/{account}"), &standing).send().await.is(200);
        let one = async |role| {
            let (id, _, token) = server.person(&account, role).await;
            (role, id, token)
        };
        let people = [one("owner").await, one("admin").await, one("developer").await, one("viewer").await];
        Self { server, account, people }
    }

    fn id(&self, role: &str) -> &str {
        &self.people.iter().find(|(named, ..)| *named == role).unwrap().1
    }

    fn token(&self, role: &str) -> &str {
        &self.people.iter().find(|(named, ..)| *named == role).unwrap().2
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/accounts/{}/{rest}", self.account)
    }

    async fn set_role(&self, by: &str, user: &str, role: &str) -> Answer {
        self.server.patch(&self.path(&format!("members/{user}")), &json!({ "role": role })).by(by).send().await
    }

    async fn invite(&self, by: &str, email: &str, role: &str) -> Answer {
        let body = json!({ "email": email, "role": role });
        self.server.post(&self.path("invitations"), &body).by(by).send().await
    }

    async fn accept(&self, token: &str, password: Option<&str>) -> Answer {
        let mut body = json!({ "token": token });
        if let Some(password) = password {
            body["password"] = password.into();
        }
        self.server.post("/v1/auth/invitations/accept", &body).by_nobody().send().await
    }

    /// A personal token of somebody's.
    async fn pat(&self, token: &str, scopes: &[&str]) -> Value {
        let body = json!({ "name": "cli", "kind": "wayscloud-pat", "permissions": scopes });
        self.server.post("/v1/keys", &body).by(token).send().await.is(201)
    }
}

async fn log_in(server: &TestServer, email: &str, password: &str) -> Answer {
    server.post("/v1/auth/login", &json!({ "email": email, "password": password })).by_nobody().send().await
}

#[tokio::test]
async fn everybody_who_belongs_sees_who_does() {
    let team = Team::new().await;
    for (_, _, token) in &team.people {
        let listed = team.server.get(&team.path("members")).by(token).send().await.is(200);
        let mut roles: Vec<_> = listed["data"].as_array().unwrap().iter().map(|row| text(row, "role")).collect();
        roles.sort();
        assert_eq!(roles, ["admin", "developer", "owner", "viewer"]);
    }
    let mut ids: Vec<&str> = team.people.iter().map(|(_, id, _)| id.as_str()).collect();
    ids.sort_unstable();
    let page = team.server.get(&team.path("members?limit=3")).send().await.is(200);
    let rest = team.path(&format!("members?limit=3&cursor={}", text(&page, "next_cursor")));
    let rest = team.server.get(&rest).send().await.is(200);
    assert_eq!((rest["data"][0]["user_id"].as_str(), &rest["next_cursor"]), (ids.last().copied(), &Value::Null));
    let (_, _, stranger) = team.server.person(&team.server.account().await, "owner").await;
    team.server.get(&team.path("members")).by(&stranger).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn nobody_gives_or_takes_a_role_above_their_own() {
    let team = Team::new().await;
    let admin = team.token("admin");
    team.set_role(admin, team.id("viewer"), "owner").await.problem(403, "FORBIDDEN");
    team.set_role(admin, team.id("owner"), "viewer").await.problem(403, "FORBIDDEN");
    team.invite(admin, "eve@example.org", "owner").await.problem(403, "FORBIDDEN");
    let owner = team.path(&format!("members/{}", team.id("owner")));
    team.server.delete(&owner).by(admin).send().await.problem(403, "FORBIDDEN");
    assert_eq!(team.set_role(admin, team.id("viewer"), "admin").await.is(200)["role"], "admin");
    for role in ["developer", "viewer"] {
        let (_, _, token) = team.server.person(&team.account, role).await;
        team.set_role(&token, team.id("developer"), "viewer").await.problem(403, "FORBIDDEN");
        team.invite(&token, "eve@example.org", "viewer").await.problem(403, "FORBIDDEN");
    }
}

/// What a key may do says nothing of what role its account would give somebody.
#[tokio::test]
async fn an_accounts_key_changes_nobody() {
    let team = Team::new().await;
    let (_, key) = team.server.key_of(&team.account, json!({ "permissions": ["*"] })).await.pair();
    team.set_role(&key, team.id("viewer"), "admin").await.problem(403, "FORBIDDEN");
    team.invite(&key, "eve@example.org", "viewer").await.problem(403, "FORBIDDEN");
    let viewer = team.path(&format!("members/{}", team.id("viewer")));
    team.server.delete(&viewer).by(&key).send().await.problem(403, "FORBIDDEN");
    team.server.get(&team.path("members")).by(&key).send().await.is(200);
}

#[tokio::test]
async fn the_last_owner_stays_one() {
    let team = Team::new().await;
    let owner = (team.id("owner"), team.token("owner"));
    let leave = team.path("leave");
    team.server.post(&leave, &json!({})).by(owner.1).send().await.problem(409, "CONFLICT");
    let path = team.path(&format!("members/{}", owner.0));
    for by in [owner.1, team.server.operator.as_str()] {
        team.set_role(by, owner.0, "admin").await.problem(409, "CONFLICT");
        team.server.delete(&path).by(by).send().await.problem(409, "CONFLICT");
    }
    // One who is shut out is nobody who could see to the account.
    team.set_role(owner.1, team.id("admin"), "owner").await.is(200);
    team.server.post(&format!("/v1/users/{}/disable", team.id("admin")), &json!({})).send().await.is(200);
    team.server.post(&leave, &json!({})).by(owner.1).send().await.problem(409, "CONFLICT");
    team.server.post(&format!("/v1/users/{}/enable", team.id("admin")), &json!({})).send().await.is(200);
    team.server.post(&leave, &json!({})).by(owner.1).send().await.is(204);
    team.server.get("/v1/keys").by(owner.1).send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn of_two_owners_who_leave_at_once_one_stays() {
    let team = Team::new().await;
    team.set_role(team.token("owner"), team.id("admin"), "owner").await.is(200);
    let (path, body) = (team.path("leave"), json!({}));
    let leave = async |role| team.server.post(&path, &body).by(team.token(role)).send().await.status;
    let mut statuses = <[u16; 2]>::from(tokio::join!(leave("owner"), leave("admin")));
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
}

/// Removal ends sessions and personal tokens for the account at once; keys of the account stay.
#[tokio::test]
async fn whoever_is_taken_out_is_out_on_the_next_request() {
    let team = Team::new().await;
    let (id, token) = (team.id("developer").to_owned(), team.token("developer"));
    let second = team.server.account().await;
    let elsewhere = json!({ "user_id": id, "role": "owner" });
    team.server.post(&format!("/v1/accounts/{second}/members"), &elsewhere).send().await.is(201);
    let there = json!({ "account_id": second });
    let there = team.server.post(&format!("/v1/users/{id}/sessions"), &there).send().await.is(201);
    let kept = team.server.post("/v1/keys", &json!({ "name": "kept" })).by(token).send().await.is(201);
    let pat = team.pat(token, &["api_keys:write"]).await;
    let nested = json!({ "scopes": ["api_keys:read"], "description": "of the other" });
    let nested = team.server.post("/v1/account/api-keys/pat", &nested).by_token(&text(&pat, "key")).send().await;
    let nested = text(&nested.is(201), "key");
    for key in [&text(&pat, "key"), &nested, &text(&kept, "key")] {
        assert_eq!(team.server.code(key).await, "VALID");
    }
    team.server.delete(&team.path(&format!("members/{id}"))).by(team.token("owner")).send().await.is(204);
    team.server.get("/v1/keys").by(token).send().await.problem(401, "UNAUTHENTICATED");
    for key in [&text(&pat, "key"), &nested] {
        assert_eq!(team.server.code(key).await, "REVOKED");
    }
    assert_eq!(team.server.code(&text(&kept, "key")).await, "VALID", "it is the account's");
    team.server.get("/v1/keys").by(&text(&there, "access_token")).send().await.is(200);
    let again = json!({ "user_id": id, "role": "developer" });
    team.server.post(&team.path("members"), &again).send().await.is(201);
    team.server.get("/v1/keys").by(token).send().await.problem(401, "UNAUTHENTICATED");
    let events = team.server.get(&format!("/v1/audit?target={id}&limit=200")).send().await.is(200);
    let removed = events["data"].as_array().unwrap().iter().find(|row| row["action"] == "member.remove").unwrap();
    let detail = json!({ "role": "developer", "sessions_ended": 1, "keys_revoked": 2 });
    assert_eq!((&removed["detail"], &removed["account_id"]), (&detail, &json!(team.account)));
}

#[tokio::test]
async fn a_lesser_role_acts_on_the_next_request_and_ends_what_may_do_more() {
    let team = Team::new().await;
    let (id, token) = (team.id("developer"), team.token("developer"));
    let wide = text(&team.pat(token, &["api_keys:write"]).await, "key");
    let narrow = text(&team.pat(token, &["services:read"]).await, "key");
    team.set_role(team.token("owner"), id, "viewer").await.is(200);
    team.server.post("/v1/keys", &json!({})).by(token).send().await.problem(403, "FORBIDDEN");
    assert_eq!((team.server.code(&wide).await, team.server.code(&narrow).await), ("REVOKED".into(), "VALID".into()));
    team.set_role(team.token("owner"), id, "developer").await.is(200);
    team.server.post("/v1/keys", &json!({})).by(token).send().await.is(201);
    assert_eq!(team.server.code(&wide).await, "REVOKED", "what is revoked stays so");
}

/// A key of a person's own ends with their membership, so nobody else may have it: not by renewing it, and not by having it do
/// what its person may not. Whoever manages keys may end it.
#[tokio::test]
async fn nobody_else_renews_or_changes_a_key_that_is_a_persons_own() {
    let team = Team::new().await;
    let made = team.pat(team.token("developer"), &["services:read"]).await;
    let path = format!("/v1/keys/{}", text(&made, "id"));
    let by = async |method: &str, rest: &str, body: Value, by: &str| {
        team.server.call(method, &format!("{path}{rest}")).carrying(&body).by(by).send().await
    };
    let wider = json!({ "permissions": ["services:read", "api_keys:write"] });
    let (_, native) = team.server.key_of(&team.account, json!({ "permissions": ["*"] })).await.pair();
    for other in [team.token("owner"), team.token("admin"), &native] {
        by("POST", "/rotate", json!({}), other).await.problem(403, "FORBIDDEN");
        by("PATCH", "", wider.clone(), other).await.problem(403, "FORBIDDEN");
    }
    assert_eq!(team.server.code(&text(&made, "key")).await, "VALID");
    let own = team.token("developer");
    by("PATCH", "", json!({ "name": "laptop" }), own).await.is(200);
    let renewed = text(&by("POST", "/rotate", json!({}), own).await.is(200), "key");
    assert_eq!(team.server.code(&renewed).await, "VALID");
    by("POST", "/disable", json!({}), team.token("owner")).await.is(200);
    by("POST", "/enable", json!({}), team.token("owner")).await.is(200);
    by("DELETE", "", Value::Null, team.token("admin")).await.is(204);
    assert_eq!(team.server.code(&renewed).await, "REVOKED");
}

#[tokio::test]
async fn whoever_is_shut_out_has_no_key_of_their_own_left() {
    let team = Team::new().await;
    let pat = text(&team.pat(team.token("developer"), &["services:read"]).await, "key");
    let other = text(&team.pat(team.token("admin"), &["services:read"]).await, "key");
    team.server.post(&format!("/v1/users/{}/disable", team.id("developer")), &json!({})).send().await.is(200);
    assert_eq!((team.server.code(&pat).await, team.server.code(&other).await), ("REVOKED".into(), "VALID".into()));
}

#[tokio::test]
async fn somebody_new_joins_by_what_was_mailed() {
    let team = Team::new().await;
    let made = team.invite(team.token("admin"), " Ann@Example.org", "developer").await.is(201);
    assert_eq!((&made["email"], &made["role"]), (&json!("ann@example.org"), &json!("developer")));
    let letter = team.server.letters("ann@example.org").await.pop().unwrap();
    assert!(letter.contains("You are invited") && letter.contains("/join?token=kwi_"), "{letter}");
    let token = team.server.mailed("ann@example.org").await;
    assert!(team.accept(&token, None).await.wrong("password").contains("new here"));
    team.accept(&token, Some("short")).await.wrong("password");
    let joined = team.accept(&token, Some(PASSWORD)).await.is(200);
    assert_eq!((&joined["role"], &joined["email"]), (&json!("developer"), &json!("ann@example.org")));
    team.accept(&token, Some(PASSWORD)).await.wrong("token");
    let session = log_in(&team.server, "ann@example.org", PASSWORD).await.is(200);
    let me = team.server.get("/v1/auth/me").by(&text(&session, "access_token")).send().await.is(200);
    assert_eq!((&me["user"]["email_verified"], &me["account_id"]), (&json!(true), &json!(team.account)));
    assert_eq!(team.server.get(&team.path("invitations")).send().await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn somebody_known_joins_with_the_password_they_have() {
    let team = Team::new().await;
    let home = team.server.account().await;
    let (email, user) = team.server.registered(&home, "owner").await;
    enrol(&team.server, &text(&log_in(&team.server, &email, PASSWORD).await.is(200), "access_token")).await;
    team.invite(team.token("owner"), &email, "viewer").await.is(201);
    let token = team.server.mailed(&email).await;
    team.accept(&token, Some("another long password")).await.wrong("password");
    assert_eq!(team.accept(&token, None).await.is(200)["user_id"], user.as_str());
    let held = team.server.get(&format!("/v1/users/{user}")).send().await.is(200);
    assert_eq!((held["memberships"].as_array().map(Vec::len), &held["second_factor"]), (Some(2), &json!(true)));
    log_in(&team.server, &email, PASSWORD).await.problem(401, "SECOND_FACTOR_REQUIRED");
    team.invite(team.token("owner"), &email, "viewer").await.problem(409, "CONFLICT");
}

/// Whoever registered with somebody else's address waits for its owner to be invited: they must not come in with them.
#[tokio::test]
async fn an_address_nobody_confirmed_is_taken_over_whole() {
    let team = Team::new().await;
    let squatted = json!({ "email": "ann@example.org", "password": PASSWORD });
    team.server.post("/v1/auth/register", &squatted).by_nobody().send().await.is(202);
    let held = text(&log_in(&team.server, "ann@example.org", PASSWORD).await.is(200), "access_token");
    // A second factor takes a confirmed address; one from before it did is taken off.
    team.server.post("/v1/auth/2fa/setup", &Value::Null).by(&held).send().await.problem(409, "CONFLICT");
    let squatter = team.server.get("/v1/auth/me").by(&held).send().await.is(200);
    let on =
        format!("update users set totp_on_ms = 1, totp_sealed = x'00' where id = '{}'", text(&squatter["user"], "id"));
    team.server.app.db().run_raw(&on).await.unwrap();
    team.server.wait("1s");
    team.invite(team.token("owner"), "ann@example.org", "developer").await.is(201);
    let token = team.server.mailed("ann@example.org").await;
    team.accept(&token, None).await.wrong("password");
    let own = "seven odd green kettles";
    let joined = team.accept(&token, Some(own)).await.is(200);
    assert_eq!(joined["second_factor"], false);
    team.server.get("/v1/auth/me").by(&held).send().await.problem(401, "UNAUTHENTICATED");
    log_in(&team.server, "ann@example.org", PASSWORD).await.problem(401, "LOGIN_FAILED");
    let body = json!({ "email": "ann@example.org", "password": own, "account_id": team.account });
    team.server.post("/v1/auth/login", &body).by_nobody().send().await.is(200);
}

#[tokio::test]
async fn an_invitation_that_was_withdrawn_renewed_or_is_over_is_void() {
    let team = Team::new().await;
    let owner = team.token("owner").to_owned();
    let first = team.invite(&owner, "ann@example.org", "admin").await.is(201);
    let before = team.server.mailed("ann@example.org").await;
    team.server.wait("1s");
    let second = team.invite(&owner, "ann@example.org", "viewer").await.is(201);
    team.accept(&before, Some(PASSWORD)).await.wrong("token");
    let withdraw =
        async |by: &str, id: &str| team.server.delete(&team.path(&format!("invitations/{id}"))).by(by).send().await;
    withdraw(&owner, &text(&first, "id")).await.problem(404, "NOT_FOUND");
    let now = team.server.mailed("ann@example.org").await;
    withdraw(team.token("viewer"), &text(&second, "id")).await.problem(403, "FORBIDDEN");
    withdraw(&owner, &text(&second, "id")).await.is(204);
    team.accept(&now, Some(PASSWORD)).await.wrong("token");
    team.server.wait("1s");
    team.invite(&owner, "ann@example.org", "viewer").await.is(201);
    let late = team.server.mailed("ann@example.org").await;
    team.server.wait("7d");
    team.accept(&late, Some(PASSWORD)).await.wrong("token");
    assert_eq!(team.server.get(&team.path("invitations")).send().await.is(200)["data"], json!([]), "it is over");
    log_in(&team.server, "ann@example.org", PASSWORD).await.problem(401, "LOGIN_FAILED");
}

#[tokio::test]
async fn an_invitation_made_up_or_of_another_account_is_none() {
    let team = Team::new().await;
    let made = team.invite(team.token("owner"), "ann@example.org", "viewer").await.is(201);
    let token = team.server.mailed("ann@example.org").await;
    for wrong in [
        String::new(),
        "kwi_x".into(),
        token.replace("kwi_", "kwp_"),
        format!("{token}a"),
        format!("{}A", &token[..token.len() - 1]),
    ] {
        if wrong != token {
            team.accept(&wrong, Some(PASSWORD)).await.wrong("token");
        }
    }
    let (_, _, stranger) = team.server.person(&team.server.account().await, "owner").await;
    let path = format!("invitations/{}", text(&made, "id"));
    team.server.delete(&team.path(&path)).by(&stranger).send().await.problem(404, "NOT_FOUND");
    let me = team.server.get("/v1/auth/me").by(&stranger).send().await.is(200);
    let own = format!("/v1/accounts/{}/{path}", text(&me, "account_id"));
    team.server.delete(&own).by(&stranger).send().await.problem(404, "NOT_FOUND");
    team.accept(&token, Some(PASSWORD)).await.is(200);
}

#[tokio::test]
async fn twenty_at_once_join_once() {
    let team = Team::new().await;
    team.invite(team.token("owner"), "ann@example.org", "viewer").await.is(201);
    let token = team.server.mailed("ann@example.org").await;
    let all = futures_util::future::join_all((0..20).map(|_| team.accept(&token, Some(PASSWORD)))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1, "{all:?}");
    assert!(all.iter().all(|answer| [200, 409, 422, 429].contains(&answer.status)), "{all:?}");
    let members = team.server.get(&team.path("members")).send().await.is(200);
    assert_eq!(members["data"].as_array().map(Vec::len), Some(5));
}

/// A stranger may not have us write to others.
#[tokio::test]
async fn whoever_cannot_be_written_to_has_nobody_written_to() {
    let team = Team::new().await;
    let body = json!({ "email": "mallory@example.org", "password": PASSWORD });
    team.server.post("/v1/auth/register", &body).by_nobody().send().await.is(202);
    let session = log_in(&team.server, "mallory@example.org", PASSWORD).await.is(200);
    let token = text(&session, "access_token");
    let account = text(&team.server.get("/v1/auth/me").by(&token).send().await.is(200), "account_id");
    let body = json!({ "email": "ann@example.org", "role": "viewer" });
    let path = format!("/v1/accounts/{account}/invitations");
    let refused = team.server.post(&path, &body).by(&token).send().await.problem(409, "CONFLICT");
    assert!(text(&refused, "detail").contains("confirm your own address"));
    assert!(team.server.letters("ann@example.org").await.is_empty());
    for _ in 0..5 {
        team.invite(team.token("owner"), "ann@example.org", "viewer").await.is(201);
    }
    team.invite(team.token("owner"), "ann@example.org", "viewer").await.problem(429, "RATE_LIMITED");
    for number in 0..44 {
        team.invite(team.token("owner"), &format!("ann{number}@example.org"), "viewer").await.is(201);
    }
    team.invite(team.token("owner"), "last@example.org", "viewer").await.problem(429, "RATE_LIMITED");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let team = Team::new().await;
    team.set_role(team.token("owner"), NO_USER, "viewer").await.problem(404, "NOT_FOUND");
    let (stranger, _, token) = team.server.person(&team.server.account().await, "owner").await;
    team.set_role(team.token("owner"), &stranger, "viewer").await.problem(404, "NOT_FOUND");
    team.server.post(&team.path("leave"), &json!({})).by(&token).send().await.problem(404, "NOT_FOUND");
    for path in [format!("/v1/accounts/{NO_ACCOUNT}/members"), format!("/v1/accounts/{NO_ACCOUNT}/invitations")] {
        team.server.get(&path).send().await.problem(404, "NOT_FOUND");
    }
    let add = json!({ "user_id": NO_USER, "role": "viewer" });
    team.server.post(&team.path("members"), &add).send().await.wrong("user_id");
    let twice = json!({ "user_id": team.id("viewer"), "role": "viewer" });
    team.server.post(&team.path("members"), &twice).send().await.problem(409, "CONFLICT");
    let own = "/v1/accounts/acc_00000000000000000000000000";
    team.server.post(&format!("{own}/members"), &twice).send().await.problem(409, "CONFLICT");
    team.invite(&team.server.operator, "ann", "viewer").await.wrong("email");
}
