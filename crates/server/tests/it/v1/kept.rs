//! What is kept of people and how, and what people may write and who may lead them where.

use serde_json::{Value, json};

use crate::contract::ch_people::enrol;
use crate::harness::{Answer, PASSWORD, TestServer, text};

/// [`PASSWORD`] with 4 MiB and one pass, by the reference implementation.
const WEAK: &str = "$argon2id$v=19$m=4096,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$tyn7//fJWqd4dsUJ7Ip13p1SwVfVhAr0VcH9wPvenH0";
const STRONG: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

async fn log_in(server: &TestServer, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    server.post("/v1/auth/login", &body).by_nobody().send().await
}

/// Whether a text is anywhere in the server's database.
fn holds(server: &TestServer, text: &[u8]) -> bool {
    server.stored().windows(text.len()).any(|window| window == text)
}

/// The bytes a text of base 32 stands for (RFC 4648, 6).
fn base32(text: &str) -> Vec<u8> {
    let digit = |letter: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
    let bits: Vec<bool> =
        text.bytes().flat_map(|letter| (0..5).rev().map(move |bit| digit(letter) >> bit & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

/// security.md 14
#[tokio::test]
async fn a_hash_that_is_weak_is_made_anew_when_its_password_is_shown() {
    let server = TestServer::start().await;
    let (email, user) = server.registered(&server.account().await, "owner").await;
    assert!(holds(&server, STRONG.as_bytes()), "19 MiB, two passes");
    let weaken = format!("update users set password_hash = '{WEAK}' where id = '{user}'");
    server.app.db().run_raw(&weaken).await.unwrap();
    let held = async || {
        let id = user.parse().unwrap();
        keywright_store::users::find_credentials(server.app.db(), id).await.unwrap().unwrap().password_hash
    };
    log_in(&server, &email, "not the password").await.problem(401, "LOGIN_FAILED");
    assert_eq!(held().await, WEAK);
    log_in(&server, &email, PASSWORD).await.is(200);
    assert!(held().await.starts_with(STRONG), "{}", held().await);
    log_in(&server, &email, PASSWORD).await.is(200);
}

/// security.md 15, 16
#[tokio::test]
async fn a_password_may_be_long_and_in_any_script_and_is_one_in_every_spelling_of_it() {
    let server = TestServer::start().await;
    let account = server.account().await;
    for (number, (chosen, same, other)) in [
        ("café über naïve soirée", "cafe\u{301} u\u{308}ber nai\u{308}ve soire\u{301}e", "cafe uber naive soiree"),
        ("ｐｌｕｍ tractor ode", "plum tractor ode", "PLUM tractor ode"),
        ("блюдце и паровоз ночью", "блюдце и паровоз ночью", "блюдце и паровоз ночью "),
        (&"vf8#kq2Z".repeat(8), &"vf8#kq2Z".repeat(8), &"vf8#kq2Z".repeat(8)[..63]),
        (&"vf8#kq2Z".repeat(128), &"vf8#kq2Z".repeat(128), &format!("{}z", &"vf8#kq2Z".repeat(128)[..1_023])),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("person{number}@example.net");
        let person = json!({ "email": email, "account_id": account, "role": "owner", "password": chosen });
        server.post("/v1/users", &person).send().await.is(201);
        log_in(&server, &email, chosen).await.is(200);
        log_in(&server, &email, same).await.is(200);
        log_in(&server, &email, other).await.problem(401, "LOGIN_FAILED");
    }
}

/// security.md 24, 26
#[tokio::test]
async fn nothing_that_lets_anybody_in_is_kept_as_it_is() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let tokens = log_in(&server, &email, PASSWORD).await.is(200);
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let (secret, codes) = enrol(&server, &access).await;
    let mut kept_nowhere =
        vec![secret.clone().into_bytes(), base32(&secret), PASSWORD.into(), access.into(), refresh.into()];
    for code in &codes {
        kept_nowhere.extend([code.clone().into_bytes(), code.replace('-', "").into_bytes()]);
    }
    assert!(holds(&server, email.as_bytes()), "it is looked for where it would be");
    for secret in kept_nowhere {
        assert!(!holds(&server, &secret), "{} is in the database", String::from_utf8_lossy(&secret));
    }
}

/// security.md 30
#[tokio::test]
async fn guesses_at_a_person_count_together_however_their_address_is_spelled() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let spellings = [email.clone(), email.to_uppercase(), format!(" {email} "), email.replace('a', "A")];
    for number in 0..10 {
        log_in(&server, &spellings[number % 4], "a guess").await.problem(401, "LOGIN_FAILED");
    }
    for spelling in &spellings {
        log_in(&server, spelling, PASSWORD).await.problem(429, "RATE_LIMITED");
    }
}

/// security.md 27: the code was right and its transaction took nothing, as another had taken it; it counts all the same.
#[tokio::test]
async fn a_code_shown_again_counts_as_a_guess() {
    let server = TestServer::start().await;
    let (email, _) = server.registered(&server.account().await, "owner").await;
    let token = text(&log_in(&server, &email, PASSWORD).await.is(200), "access_token");
    let (_, codes) = enrol(&server, &token).await;
    let with = async |code: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "code": code });
        server.post("/v1/auth/login", &body).by_nobody().send().await.status
    };
    assert_eq!(with(&codes[0]).await, 200);
    for _ in 0..10 {
        assert_eq!(with(&codes[0]).await, 401);
    }
    assert_eq!(with(&codes[1]).await, 429, "a right one, after too many that were none");
}

/// security.md 47
#[tokio::test]
async fn a_link_in_a_letter_leads_where_the_operator_said_whatever_a_request_says() {
    let server = TestServer::start().await;
    let links = "[login]\nverify_link = \"https://app.example.com/v?token={token}\"\nreset_link = \"https://app.example.com/r?token={token}\"\n";
    let policy = keywright_app::core::policy::Policy::DEV.replace("[login]\n", links);
    server.app.reload_policy(&policy).unwrap();
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    let from_elsewhere = |path: &str, body: &Value| {
        let mut call = server.post(path, body).by_nobody();
        for name in ["host", "x-forwarded-host", "x-original-host", "x-host", "forwarded", "origin", "referer"] {
            call = call.header(name, if name == "forwarded" { "host=evil.example" } else { "evil.example" });
        }
        call
    };
    from_elsewhere("/v1/auth/register", &body).send().await.is(202);
    from_elsewhere("/v1/auth/password/forgot", &json!({ "email": "ann@example.com" })).send().await.is(202);
    let letters = loop {
        let letters = server.letters("ann@example.com").await;
        if letters.len() == 2 {
            break letters;
        }
        tokio::task::yield_now().await;
    };
    for letter in &letters {
        assert!(letter.contains("https://app.example.com/") && !letter.contains("evil"), "{letter}");
    }
}

/// security.md 46, 50
#[tokio::test]
async fn no_answer_leads_elsewhere_and_every_one_says_what_it_is() {
    let server = TestServer::start().await;
    for route in keywright_server::ROUTES {
        let path = route.path.replace(['{', '}'], "");
        for end in ["", "?next=https://evil.example", "?redirect_uri=//evil.example&return_to=%2F%2Fevil.example"] {
            let answer = server.call(route.method, &format!("{path}{end}")).by_nobody().send().await;
            // Pages send whoever has no session to the login, and nothing else redirects.
            let leads = answer.header("location").unwrap_or_default();
            assert_eq!((300..400).contains(&answer.status), path.starts_with("/dashboard") && !leads.is_empty());
            assert!(leads.is_empty() || leads.starts_with("/dashboard/"), "{} {path}: {leads}", route.method);
            assert!(!leads.contains("next=https") && !leads.contains("next=%2F%2F"), "{path}: {leads}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let is_page = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
            let policy = answer.header("content-security-policy").unwrap_or_default();
            assert!(!is_page || policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
            let is_public = [
                "/docs",
                "/openapi.json",
                "/.well-known/",
                "/dashboard/style.css",
                "/dashboard/script.js",
                "/dashboard/logo",
            ]
            .iter()
            .any(|open| path.starts_with(open));
            assert!(is_public || answer.header("cache-control") == Some("no-store"), "{} {path}", route.method);
        }
    }
}
