//! The audit log as a file, as operators take it.

use csv::StringRecord;
use serde_json::json;

use crate::browser::Browser;
use crate::harness::{Answer, PASSWORD, TestServer, text};

const FILE: &str = "/dashboard/operator/audit.csv";
/// Spreadsheets take what begins so for a formula; as a request's id it is in order.
const FORMULA: &str = "-1234567";
const ACCOUNT: usize = 2;
const ACTION: usize = 4;
const TARGET: usize = 5;

fn rows(file: &Answer) -> Vec<StringRecord> {
    let mut file = csv::Reader::from_reader(file.text.as_bytes());
    let columns = ["seq", "at", "account", "actor", "action", "target", "detail", "request_id"];
    assert_eq!(file.headers().unwrap(), &StringRecord::from(columns.to_vec()));
    file.records().map(Result::unwrap).collect()
}

async fn taken(browser: &Browser<'_>, query: &str) -> Vec<StringRecord> {
    rows(&browser.get(&format!("{FILE}?{query}")).await.with(200))
}

#[tokio::test]
async fn an_operators_file_holds_what_was_asked_for_and_nothing_secret() {
    let server = TestServer::start().await;
    let (account, other) = (server.account().await, server.account().await);
    let name = "=HYPERLINK(\"http://evil.example\",\"a\")";
    let call = server.post("/v1/keys", &json!({ "account_id": account, "name": name }));
    let made = call.header("x-request-id", FORMULA).send().await.is(201);
    let (id, secret) = (text(&made, "id"), text(&made, "key"));
    let foreign = server.key_of(&other, json!({ "name": "Other" })).await;
    let rotated = server.post(&format!("/v1/keys/{id}/rotate"), &json!({})).send().await.is(200);
    let (email, _) = server.registered(&account, "owner").await;
    let mut owner = Browser::new(&server);
    owner.log_in(&email, PASSWORD).await.with(303);
    let browser = Browser::operator(&server, &["audit:read"]).await;
    let whole = browser.get(FILE).await.with(200);
    assert_eq!(whole.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(whole.header("content-disposition"), Some("attachment; filename=\"audit.csv\""));
    assert_eq!(whole.header("cache-control"), Some("no-store"));
    for secret in [&secret, &foreign.key, &text(&rotated, "key"), &owner.cookie, &browser.cookie, &server.operator] {
        assert!(!secret.is_empty() && !whole.text.contains(secret.as_str()), "{secret} in {}", whole.text);
    }
    assert!(!whole.text.contains(PASSWORD));
    let all = rows(&whole);
    // The newest first, and every one: each row's number is the one after it and one more.
    let numbers: Vec<i64> = all.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|two| two[0] == two[1] + 1) && numbers.last() == Some(&1), "{numbers:?}");
    let wild = |field: &str| field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    assert!(all.iter().all(|row| !row.iter().any(wild)), "{}", whole.text);
    let of_key: Vec<_> = all.iter().filter(|row| row[TARGET] == id).collect();
    assert_eq!((of_key.len(), &of_key[1][7]), (2, format!("'{FORMULA}").as_str()));
    assert!(of_key[1][6].contains("HYPERLINK"), "{:?}", of_key[1]);
    // Each filter, and several at once.
    let of_account = taken(&browser, &format!("account={account}")).await;
    assert!(of_account.len() > 2 && of_account.iter().all(|row| row[ACCOUNT] == account), "{of_account:?}");
    assert_eq!(of_account.len(), all.iter().filter(|row| row[ACCOUNT] == account).count());
    let made = taken(&browser, "action=key.create").await;
    assert!(made.len() >= 2 && made.iter().all(|row| row[ACTION] == *"key.create"), "{made:?}");
    let of_other = taken(&browser, &format!("account={other}&action=key.create")).await;
    assert_eq!(of_other.iter().map(|row| &row[TARGET]).collect::<Vec<_>>(), [foreign.id.as_str()]);
    assert_eq!(taken(&browser, &format!("target={id}")).await.len(), 2);
    assert_eq!(taken(&browser, &format!("target={id}&account={other}")).await.len(), 0);
    let by_nobody = taken(&browser, "actor=user%3Auser_00000000000000000000000000").await;
    assert_eq!(by_nobody.len(), 0);
    // What is no account's id asks for none, not for all of them.
    let wrong = browser.get(&format!("{FILE}?account=nonsense")).await.with(404);
    assert!(!wrong.text.contains(&id));
}

#[tokio::test]
async fn nobody_but_an_operator_who_may_read_the_log_takes_it() {
    let server = TestServer::start().await;
    let (owner, account) = Browser::of(&server, "owner").await;
    let missing = owner.get("/dashboard/operator/nothing").await.with(404);
    let refused = owner.get(FILE).await.with(404);
    assert_eq!(refused.header("content-disposition"), missing.header("content-disposition"));
    assert!(!refused.text.contains("key.create") && !refused.text.contains(&account));
    let others = Browser::operator(&server, &["accounts:read", "users:read", "policy:read", "keys:read"]).await;
    assert!(!others.get(FILE).await.with(403).text.contains(&account));
    let stranger = Browser::new(&server);
    assert!(stranger.get(FILE).await.header("location").unwrap().starts_with("/dashboard/login?next="));
    // A key is no browser, whatever it may do.
    let by_key = server.get(FILE).send().await.with(303);
    assert!(by_key.header("location").unwrap().starts_with("/dashboard/login"));
    // A customer's own file holds their account alone, whatever they ask for.
    let other = server.account().await;
    server.key_of(&other, json!({ "name": "Other" })).await;
    let own = owner.get(&format!("/dashboard/audit.csv?account={other}")).await.with(200);
    assert!(rows(&own).iter().all(|row| row[ACCOUNT] == account), "{}", own.text);
}
