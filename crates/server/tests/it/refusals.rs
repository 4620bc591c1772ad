//! Every route proves its refusals: the walk goes over the table the router is made from, so none can be forgotten.

mod scene;

use keywright_core::policy::MANAGEMENT;
use keywright_server::{Dialect, Needs, ROUTES, Route};
use serde_json::{Value, json};

use self::scene::{Scene, body, takes_json};
use crate::harness::{Answer, TestServer};

/// Routes anybody may call. The list only shrinks.
const OPEN: [(&str, &str); 34] = [
    ("POST", "/v1/token"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/style.css"),
    ("GET", "/verify-email"),
    ("POST", "/verify-email"),
    ("GET", "/reset-password"),
    ("POST", "/reset-password"),
    ("GET", "/join"),
    ("POST", "/join"),
    ("POST", "/v1/auth/login"),
    ("POST", "/v1/auth/refresh"),
    ("POST", "/v1/auth/register"),
    ("POST", "/v1/auth/email/verify"),
    ("POST", "/v1/auth/password/forgot"),
    ("POST", "/v1/auth/password/reset"),
    ("POST", "/v1/auth/invitations/accept"),
    ("POST", "/api/v1/onboarding/temp-key"),
    ("GET", "/dashboard"),
    ("GET", "/dashboard/style.css"),
    ("GET", "/dashboard/script.js"),
    ("GET", "/dashboard/logo"),
    ("GET", "/dashboard/login"),
    ("POST", "/dashboard/login"),
    ("GET", "/dashboard/register"),
    ("POST", "/dashboard/register"),
    ("GET", "/dashboard/forgot"),
    ("POST", "/dashboard/forgot"),
    ("POST", "/dashboard/logout"),
    ("GET", "/setup"),
    ("POST", "/setup"),
];

/// Routes that need a credential.
fn guarded() -> impl Iterator<Item = (&'static str, &'static str, Needs)> {
    // Pages send whoever has no session to the login: `dashboard.rs` walks over them.
    let is_other = |route: &&Route| matches!(route.needs, Needs::Nothing | Needs::Browser | Needs::Desk(_));
    let guarded = ROUTES.iter().filter(move |route| !is_other(route));
    guarded.map(|Route { method, path, needs, .. }| (*method, *path, *needs))
}

/// The error, in the words of the route's dialect.
#[track_caller]
fn told_as(route: &str, answer: &Answer, status: u16, code: &str) {
    let found = ROUTES.iter().find(|row| row.path == route).unwrap();
    match found.dialect {
        Dialect::Native | Dialect::Cloudheed => answer.problem(status, code),
        Dialect::Wavis => answer.wavis_error(status, code),
        Dialect::Wayscloud => answer.wayscloud_error(status, code),
        Dialect::Dashboard => unreachable!("pages are walked over by themselves"),
    };
}

/// Calls with these headers and no others.
async fn calls(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let call = server.call(method, path).by_nobody().carrying(body);
    headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await
}

/// Calls every guarded route in this way, and fails unless each answers 401.
async fn all_refuse(scene: &Scene, query: &str, headers: &[(&str, &str)]) {
    for (method, route, _) in guarded() {
        let path = format!("{}{query}", scene.path(route));
        let answer = calls(&scene.server, method, &path, headers, &body(method, route)).await;
        assert_eq!(answer.status, 401, "{method} {route} {headers:?}: {answer:?}");
        told_as(route, &answer, 401, "UNAUTHENTICATED");
    }
}

#[test]
fn the_open_routes_are_these_alone() {
    let open: Vec<(&str, &str)> =
        ROUTES.iter().filter(|route| route.needs == Needs::Nothing).map(|route| (route.method, route.path)).collect();
    assert_eq!(open, OPEN);
}

#[tokio::test]
async fn the_open_routes_answer_without_a_credential() {
    let server = TestServer::start().await;
    for (method, path) in OPEN {
        let status = match (method, path) {
            ("POST", "/v1/token" | "/verify-email" | "/reset-password" | "/join") => 415,
            ("POST", path) if path.starts_with("/v1/auth/") => 422,
            ("GET", "/dashboard") => 303,
            // It says that there is no such link.
            ("GET", "/setup") => 404,
            // A form comes from a page of ours.
            ("POST", path) if path.starts_with("/dashboard/") || path == "/setup" => 403,
            ("POST", _) => 201,
            _ => 200,
        };
        calls(&server, method, path, &[], &Value::Null).await.with(status);
    }
}

#[tokio::test]
async fn no_credential_is_refused_everywhere() {
    all_refuse(&Scene::set().await, "", &[]).await;
}

#[tokio::test]
async fn a_key_of_nobody_is_refused_everywhere() {
    let elsewhere = TestServer::start().await;
    let wrong = format!("Bearer {}", elsewhere.operator);
    all_refuse(&Scene::set().await, "", &[("authorization", &wrong)]).await;
}

#[tokio::test]
async fn a_malformed_credential_is_refused_everywhere() {
    let scene = Scene::set().await;
    let cut = format!("Bearer {}", &scene.server.operator[..30]);
    for value in ["Bearer kw_live_nonsense", "Bearer", "Bearer ", "Basic b3BlcmF0b3I6", "", &cut] {
        all_refuse(&scene, "", &[("authorization", value)]).await;
    }
    all_refuse(&scene, "", &[("x-api-key", "nonsense")]).await;
}

#[tokio::test]
async fn a_credential_in_the_url_is_refused_everywhere() {
    let scene = Scene::set().await;
    for name in ["key", "api_key", "access_token", "token", "authorization"] {
        all_refuse(&scene, &format!("?{name}={}", scene.server.operator), &[]).await;
    }
}

#[tokio::test]
async fn two_credentials_are_refused_everywhere() {
    let scene = Scene::set().await;
    let bearer = format!("Bearer {}", scene.server.operator);
    all_refuse(&scene, "", &[("authorization", &bearer), ("authorization", &bearer)]).await;
    all_refuse(&scene, "", &[("authorization", &bearer), ("x-api-key", &scene.server.operator)]).await;
}

#[tokio::test]
async fn a_key_without_the_permission_is_refused_on_every_route_that_needs_one() {
    let scene = Scene::set().await;
    let (_, bare) = scene.server.key_of(&scene.account, json!({})).await.pair();
    for (method, route, needs) in guarded() {
        let needed = match needs {
            Needs::Permission(needed) | Needs::Operator(needed) => needed,
            // No key is a person, whatever it may do.
            Needs::Session => "",
            Needs::Key | Needs::Nothing | Needs::Browser | Needs::Desk(_) => continue,
        };
        let others: Vec<&str> = MANAGEMENT.iter().map(|(name, _)| *name).filter(|name| *name != needed).collect();
        for key in [&scene.server.operator_with(&others).await, &bare] {
            let answer =
                scene.server.call(method, &scene.path(route)).by(key).carrying(&body(method, route)).send().await;
            assert_eq!(answer.status, 403, "{method} {route}: {answer:?}");
            if needs == Needs::Session {
                assert!(answer.text.contains("this is for people"), "{method} {route}: {answer:?}");
            } else {
                told_as(route, &answer, 403, "FORBIDDEN");
            }
        }
    }
}

#[tokio::test]
async fn a_customers_key_is_refused_on_every_route_of_operators_whatever_it_is_permitted() {
    let scene = Scene::set().await;
    for permission in ["*", ""] {
        for (method, route, needs) in guarded() {
            let Needs::Operator(needed) = needs else { continue };
            let permission = if permission.is_empty() { needed } else { permission };
            let (_, key) = scene.server.key_of(&scene.account, json!({ "permissions": [permission] })).await.pair();
            let answer =
                scene.server.call(method, &scene.path(route)).by(&key).carrying(&body(method, route)).send().await;
            assert_eq!(answer.status, 403, "{method} {route}: {answer:?}");
            told_as(route, &answer, 403, "FORBIDDEN");
        }
    }
}

#[tokio::test]
async fn the_one_permission_a_route_names_is_enough_for_it() {
    let scene = Scene::set().await;
    for (method, route, needs) in guarded() {
        let mut path = scene.path(route);
        let key = match needs {
            Needs::Permission(needed) | Needs::Operator(needed) => scene.server.operator_with(&[needed]).await,
            Needs::Session => {
                let (session, token) = scene.server.session_of(&scene.person.0).await;
                if *route == *"/v1/sessions/{id}" {
                    path = route.replace("{id}", &session);
                }
                token
            }
            Needs::Key | Needs::Nothing | Needs::Browser | Needs::Desk(_) => scene.server.operator_with(&[]).await,
        };
        let answer = scene.server.call(method, &path).by(&key).carrying(&body(method, route)).send().await;
        let is_proof = answer.body["code"] == "LOGIN_FAILED" || answer.body["code"] == "SECOND_FACTOR_WRONG";
        assert!(is_proof || ![401, 403, 404, 405, 500].contains(&answer.status), "{method} {route}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_is_taken_only_in_the_header_its_kind_asks_for() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, native) = server.key_of(&account, json!({})).await.pair();
    let (_, pat) = server.key_of(&account, json!({ "kind": "wayscloud-pat" })).await.pair();
    let (_, wavis) = server.key_of(&account, json!({ "kind": "wavis" })).await.pair();
    for (name, value, status) in [
        ("authorization", format!("Bearer {native}"), 200),
        ("authorization", native.clone(), 401),
        ("authorization", format!("bearer {native}"), 401),
        ("authorization", format!("BEARER {native}"), 401),
        ("authorization", format!("Bearer  {native}"), 401),
        ("authorization", format!("Bearer\t{native}"), 401),
        ("authorization", format!(" Bearer {native}"), 401),
        ("authorization", format!("Token {native}"), 401),
        ("x-api-key", native.clone(), 401),
        ("x-api-key", format!("Bearer {native}"), 401),
        ("x-api-key", pat.clone(), 200),
        ("authorization", format!("Bearer {pat}"), 401),
        ("authorization", pat.clone(), 401),
        ("authorization", format!("Bearer {wavis}"), 200),
        ("authorization", wavis.clone(), 200),
        ("authorization", format!("bearer {wavis}"), 401),
        ("x-api-key", wavis.clone(), 401),
    ] {
        let answer = calls(&server, "GET", "/v1/keys/self", &[(name, &value)], &Value::Null).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

/// All of an answer that tells one from another.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, &str) {
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (answer.status, headers.collect(), &answer.text)
}

#[tokio::test]
async fn another_accounts_id_answers_byte_for_byte_as_a_missing_one() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let own = server.account().await;
    let (_, caller) = server.key_of(&own, json!({ "permissions": ["*"] })).await.pair();
    let bearer = format!("Bearer {caller}");
    let headers = [("authorization", bearer.as_str()), ("x-request-id", "req_of_a_test")];
    let is_page = |needs| matches!(needs, Needs::Browser | Needs::Desk(_));
    let about_things = |route: &&Route| route.path.contains("{id}") && !is_page(route.needs);
    for Route { method, path: route, needs, .. } in ROUTES.iter().filter(about_things) {
        let prefix = match *route {
            route if route.starts_with("/v1/sessions") => "ses",
            route if route.starts_with("/v1/users") => "usr",
            route if route.contains("lockouts") => "lock",
            route if route.starts_with("/v1/accounts") => "acc",
            route if route.contains("ssh-keys") => "ssh",
            _ => "key",
        };
        let foreign = calls(server, method, &scene.path(route), &headers, &body(method, route)).await;
        let expected = if matches!(needs, Needs::Operator(_) | Needs::Session) { 403 } else { 404 };
        assert_eq!(foreign.status, expected, "{method} {route}");
        for missing in [format!("{prefix}_01jd0000000000000000000000"), "nonsense".into(), "%00".into()] {
            let path = scene.path(&route.replace("{id}", &missing));
            let missing = calls(server, method, &path, &headers, &body(method, route)).await;
            if expected == 404 || missing.status == 403 {
                assert_eq!(told(&foreign), told(&missing), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn another_accounts_id_in_a_body_or_a_query_answers_as_a_missing_one() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let own = server.account().await;
    let (_, caller) = server.key_of(&own, json!({ "permissions": ["*"] })).await.pair();
    let bearer = format!("Bearer {caller}");
    let headers = [("authorization", bearer.as_str()), ("x-request-id", "req_of_a_test")];
    let missing = "acc_01jd0000000000000000000000";
    let operators = "acc_00000000000000000000000000";
    for route in ["/v1/keys", "/v1/audit"] {
        let of = async |id: &str| {
            calls(server, "GET", &format!("{route}?account_id={id}"), &headers, &Value::Null).await.with(200)
        };
        let expected = of(missing).await;
        assert_eq!(expected.body["data"], json!([]));
        assert_eq!(told(&of(&scene.account).await), told(&expected), "{route}");
        assert_eq!(told(&of(operators).await), told(&expected), "{route}");
    }
    let create =
        async |id: &str| calls(server, "POST", "/v1/keys", &headers, &json!({ "account_id": id })).await.with(404);
    let expected = create(missing).await;
    assert_eq!(told(&create(&scene.account).await), told(&expected));
    assert_eq!(told(&create(operators).await), told(&expected));
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_its_name_everywhere() {
    let scene = Scene::set().await;
    for (method, route, _) in guarded().filter(|(method, route, _)| takes_json(method, route)) {
        let mut body = body(method, route);
        body["colour"] = json!("red");
        let answer =
            scene.server.call(method, &scene.path(route)).by(&scene.server.operator).carrying(&body).send().await;
        told_as(route, &answer, 422, "INVALID");
        assert!(answer.body["errors"][0].to_string().contains("colour"), "{method} {route}: {answer:?}");
    }
    for route in ["/v1/keys", "/v1/accounts", "/v1/accounts/{id}/services", "/v1/audit", "/v1/keys/{id}/usage"] {
        let answer = scene.server.get(&format!("{}?colour=red", scene.path(route))).send().await;
        answer.problem(422, "INVALID");
        assert!(answer.body["errors"][0].to_string().contains("colour"), "{route}: {answer:?}");
    }
}

#[tokio::test]
async fn a_field_that_is_not_the_callers_to_set_is_refused() {
    let scene = Scene::set().await;
    for field in ["id", "status", "created_by", "created_at", "revoked_at", "version", "prefix", "owner", "account"] {
        let create = json!({ "account_id": scene.account, field: "x" });
        scene.server.post("/v1/keys", &create).send().await.problem(422, "INVALID");
        let change = json!({ field: "x" });
        scene.server.patch(&scene.path("/v1/keys/{id}"), &change).send().await.problem(422, "INVALID");
    }
    // A key stays with its account, its kind and its environment.
    for field in ["account_id", "kind", "environment"] {
        let change = json!({ field: "x" });
        scene.server.patch(&scene.path("/v1/keys/{id}"), &change).send().await.problem(422, "INVALID");
    }
}

/// Sends a body as it is to every route that takes JSON.
async fn send_everywhere(kind: Option<&str>, text: impl Fn(&str) -> String) -> Vec<(&'static str, Answer)> {
    let scene = Scene::set().await;
    let mut answers = Vec::new();
    for (method, route, _) in guarded().filter(|(method, route, _)| takes_json(method, route)) {
        let call = scene.server.call(method, &scene.path(route)).body(text(route));
        let answer = kind.into_iter().fold(call, |call, kind| call.header("content-type", kind)).send().await;
        answers.push((route, answer));
    }
    assert!(answers.len() >= 10);
    answers
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_everywhere() {
    let most = |route: &str| match route {
        "/v1/keys/import" => 4 * 1_024 * 1_024,
        "/v1/keys/verify-batch" => 512 * 1_024,
        _ => 64 * 1_024,
    };
    for (route, answer) in send_everywhere(Some("application/json"), |route| " ".repeat(most(route) + 1)).await {
        assert_eq!(answer.status, 413, "{route}: {answer:?}");
        told_as(route, &answer, 413, "TOO_LARGE");
    }
    for (route, answer) in send_everywhere(Some("application/json"), |route| " ".repeat(most(route))).await {
        assert_eq!(answer.status, 400, "{route}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_not_declared_as_json_is_refused_everywhere() {
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")] {
        for (route, answer) in send_everywhere(kind, |_| r#"{"name":"a"}"#.into()).await {
            assert_eq!(answer.status, 415, "{route} as {kind:?}: {answer:?}");
            told_as(route, &answer, 415, "NOT_JSON");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_everywhere() {
    for text in ["{", "{'name':'a'}", "\u{feff}{}", "nonsense", "\"a", "<xml/>"] {
        for (route, answer) in send_everywhere(Some("application/json; charset=utf-8"), |_| text.into()).await {
            assert_eq!(answer.status, 400, "{route}: {text}: {answer:?}");
            told_as(route, &answer, 400, "INVALID_JSON");
        }
    }
    for text in ["[]", " [\"a\"]", "7", "null", "\"a\""] {
        for (route, answer) in send_everywhere(Some("application/json"), |_| text.into()).await {
            assert_eq!(answer.status, 422, "{route}: {text}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_path_or_a_method_that_is_not_there_is_a_problem_too() {
    let server = TestServer::start().await;
    server.get("/v1/nothing").send().await.problem(404, "NOT_FOUND");
    calls(&server, "PUT", "/v1/keys", &[], &Value::Null).await.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn no_error_repeats_a_key_that_was_sent_where_it_does_not_belong() {
    let server = TestServer::start().await;
    let secret = server.operator.clone();
    for answer in [
        server.get(&format!("/v1/keys/{secret}")).send().await,
        server.get(&format!("/{secret}")).send().await,
        server.get(&format!("/v1/keys?prefix={secret}&limit={secret}")).send().await,
        server.get(&format!("/v1/keys?{secret}=1")).send().await,
        server.post("/v1/keys", &json!({ secret.as_str(): 1 })).send().await,
        server.post("/v1/keys", &json!({ "account_id": secret })).send().await,
        server.post("/v1/keys", &json!({ "kind": secret })).send().await,
        server.post("/v1/keys", &json!({ "expires_in": secret })).send().await,
        server.post("/v1/keys/verify", &json!({ "key": "x", "ip": secret })).send().await,
        server.post("/v1/keys/verify", &json!({ "key": "x", "permissions": [secret] })).send().await,
    ] {
        assert!(answer.status >= 400 && !answer.text.is_empty());
        assert!(!answer.text.contains(&secret[20..]), "{}", answer.text);
    }
}
