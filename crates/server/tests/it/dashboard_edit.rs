//! Editing a key in the dashboard: what it may do and when it ends, within what its editor may do; and what of it goes unused.

use serde_json::json;

use crate::browser::{Browser, between};
use crate::harness::{Answer, PASSWORD, TestServer};

const KIND: (&str, &str) = ("kind", "default");
const BOTH: (&str, &str) = ("more_permissions", "documents:read documents:write");

/// Which version of the key the form on a page is about.
fn version(page: &Answer) -> String {
    between(&page.text, "name=\"version\" value=\"", "\"")
}

fn box_of(permission: &str, is_ticked: bool) -> String {
    format!("name=\"permissions\" value=\"{permission}\"{}>", if is_ticked { " checked" } else { "" })
}

/// Sends the form of a key's edit page as it is, but for these fields.
async fn edit(browser: &Browser<'_>, id: &str, fields: &[(&str, &str)]) -> Answer {
    let path = format!("/dashboard/keys/{id}/edit");
    let seen = version(&browser.get(&path).await.with(200));
    let own = [("version", seen.as_str()), ("name", "Backup"), ("description", ""), ("ip_allowlist", "")];
    browser.post(&path, &[own.as_slice(), fields].concat()).await
}

async fn may(server: &TestServer, key: &str, permission: &str) -> String {
    let verdict = server.verify(json!({ "key": key, "permissions": [permission] })).await;
    verdict["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_unticked_is_refused_at_the_very_next_verification() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup"), BOTH]).await;
    let page = format!("/dashboard/keys/{id}");
    let form = browser.get(&format!("{page}/edit")).await;
    form.says(200, &box_of("documents:read", true)).says(200, &box_of("documents:write", true));
    // It is in memory as it was.
    assert_eq!(may(&server, &key, "documents:write").await, "VALID");
    let narrowed = edit(&browser, &id, &[("permissions", "documents:read"), ("expires", "keep")]).await;
    narrowed.leads_to(&format!("{page}?done=changed"));
    assert_eq!(may(&server, &key, "documents:write").await, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(may(&server, &key, "documents:read").await, "VALID");
    let row = browser.audited("key.update").await;
    assert_eq!(row["detail"]["before"]["permissions"], json!(["documents:read", "documents:write"]));
    assert_eq!(row["detail"]["after"]["permissions"], json!(["documents:read"]));
    // All may be taken, and others given.
    edit(&browser, &id, &[]).await.with(303);
    assert_eq!(may(&server, &key, "documents:read").await, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(server.code(&key).await, "VALID");
    edit(&browser, &id, &[("more_permissions", "reports:read,\r\nreports:write")]).await.with(303);
    assert_eq!(may(&server, &key, "reports:write").await, "VALID");
    let wrong = edit(&browser, &id, &[("permissions", "reports:read"), ("more_permissions", "nonsense")]).await;
    wrong.says(422, "id=\"permissions-wrong\">`nonsense` is not a permission").says(422, "value=\"nonsense\"");
    wrong.says(422, &box_of("reports:read", true)).says(422, &box_of("reports:write", false));
    assert_eq!(may(&server, &key, "reports:write").await, "VALID", "nothing was changed");
}

#[tokio::test]
async fn a_key_narrowed_through_the_api_is_refused_at_the_next_verification() {
    let server = TestServer::start().await;
    let made = server.key(json!({ "permissions": ["documents:*"] })).await;
    assert_eq!(may(&server, &made.key, "documents:write").await, "VALID");
    let narrow = json!({ "permissions": ["documents:read"] });
    server.patch(&format!("/v1/keys/{}", made.id), &narrow).send().await.is(200);
    assert_eq!(may(&server, &made.key, "documents:write").await, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(may(&server, &made.key, "documents:read").await, "VALID");
}

#[tokio::test]
async fn a_keys_end_is_moved_and_left_alone_where_it_is_not_asked_for() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup"), ("expires", "30")]).await;
    let page = format!("/dashboard/keys/{id}");
    let end = async || server.get(&format!("/v1/keys/{id}")).send().await.is(200)["expires_at"].clone();
    let first = end().await;
    browser.get(&format!("{page}/edit")).await.says(200, "value=\"keep\" checked> as now: <time");
    server.wait("1d");
    edit(&browser, &id, &[("expires", "keep")]).await.with(303);
    edit(&browser, &id, &[]).await.with(303);
    assert_eq!(end().await, first);
    edit(&browser, &id, &[("expires", "90")]).await.with(303);
    assert_ne!(end().await, first);
    browser.get(&page).await.says(200, ">in 90 days</time>");
    let row = browser.audited("key.update").await;
    assert_eq!((&row["detail"]["before"]["expires_at"], &row["detail"]["after"]["expires_at"]), (&first, &end().await));
    for (days, kept) in [("0", "value=\"0\""), ("soon", "value=\"soon\""), ("3651", "value=\"3651\"")] {
        let wrong = edit(&browser, &id, &[("expires", "custom"), ("days", days)]).await;
        wrong.says(422, "id=\"expires-wrong\">This is a number of days, from 1 to 3650.").says(422, kept);
        wrong.says(422, "value=\"custom\" checked");
    }
    // What no box says is no wish for ever.
    edit(&browser, &id, &[("expires", "8")]).await.with(422);
    browser.get(&page).await.says(200, ">in 90 days</time>");
    edit(&browser, &id, &[("expires", "custom"), ("days", "2")]).await.with(303);
    server.wait("3d");
    assert_eq!(server.code(&key).await, "EXPIRED");
    // One that is over is given another end, and works again.
    browser.get(&page).await.says(200, &format!("href=\"{page}/edit\""));
    edit(&browser, &id, &[("expires", "never")]).await.with(303);
    assert_eq!((end().await, server.code(&key).await), (json!(null), "VALID".into()));
}

#[tokio::test]
async fn nobody_gives_a_key_more_than_they_have() {
    let server = TestServer::start().await;
    let (owner, account) = Browser::of(&server, "owner").await;
    let (id, key) = owner.make(&[KIND, ("name", "Backup"), ("more_permissions", "storage:read")]).await;
    let (email, _) = server.registered(&account, "developer").await;
    let mut developer = Browser::new(&server);
    developer.log_in(&email, PASSWORD).await.with(303);
    // What they may do themselves they may give.
    let given = [("permissions", "storage:read"), ("more_permissions", "storage:write")];
    edit(&developer, &id, &given).await.with(303);
    assert_eq!(may(&server, &key, "storage:write").await, "VALID");
    for more in ["documents:read", "members:write", "*", "storage:read storage:*"] {
        let refused = edit(&developer, &id, &[("permissions", "storage:read"), ("more_permissions", more)]).await;
        refused.says(403, "id=\"permissions-wrong\">The key would be permitted more than");
        refused.says(403, &format!("name=\"more_permissions\" value=\"{more}\""));
        refused.says(403, &box_of("storage:read", true)).says(403, &box_of("storage:write", false));
    }
    assert_eq!(may(&server, &key, "documents:read").await, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(may(&server, &key, "storage:write").await, "VALID", "nothing was changed");
}

#[tokio::test]
async fn anothers_key_is_as_good_as_missing() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let foreign = server.key(json!({ "permissions": ["documents:read"] })).await;
    let missing = "key_01arz3ndektsv4rrffq69g5fav";
    let fields = [("version", "1"), ("name", "Mine"), ("permissions", "documents:write"), ("expires", "never")];
    let mut pages = Vec::new();
    for id in [foreign.id.as_str(), missing] {
        let path = format!("/dashboard/keys/{id}/edit");
        for answer in [browser.get(&path).await.with(404), browser.post(&path, &fields).await.with(404)] {
            assert!(!answer.text.contains(id), "{}", answer.text);
            // All pages are alike but for the request they answer.
            pages.push(answer.text.replace(answer.header("x-request-id").unwrap(), ""));
        }
    }
    assert!(pages.windows(2).all(|two| two[0] == two[1]), "{pages:#?}");
    assert_eq!(may(&server, &foreign.key, "documents:write").await, "INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn what_somebody_else_narrowed_meanwhile_is_not_widened_unseen() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup"), BOTH]).await;
    let path = format!("/dashboard/keys/{id}/edit");
    let seen = version(&browser.get(&path).await);
    let narrow = json!({ "permissions": ["documents:read"] });
    server.patch(&format!("/v1/keys/{id}"), &narrow).send().await.is(200);
    let both = [("permissions", "documents:read"), ("permissions", "documents:write"), ("name", "Renamed")];
    let stale = browser.post(&path, &[[("version", seen.as_str())].as_slice(), &both].concat()).await;
    stale.says(409, "Somebody else has changed this key meanwhile").says(409, "value=\"Renamed\"");
    assert_eq!(may(&server, &key, "documents:write").await, "INSUFFICIENT_PERMISSIONS");
    // The page that says so is about the key as it is.
    let fresh = version(&stale);
    browser.post(&path, &[[("version", fresh.as_str())].as_slice(), &both].concat()).await.with(303);
    assert_eq!(may(&server, &key, "documents:write").await, "VALID");
}

/// What the page of a key says of one of its permissions.
fn said_of(page: &Answer, permission: &str) -> String {
    between(&page.text, &format!("<code>{permission}</code> <span class=\"hint\">"), "<")
}

#[tokio::test]
async fn what_a_key_does_not_use_for_thirty_days_is_suggested_away_and_nothing_changes_unasked() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let more = ("more_permissions", "documents:read documents:write reports:*");
    let (id, key) = browser.make(&[KIND, ("name", "Backup"), ("expires", "never"), more]).await;
    let page = format!("/dashboard/keys/{id}");
    let shown = async |browser: &Browser<'_>| {
        server.app.flush_usage().await.unwrap();
        browser.get(&page).await.with(200)
    };
    // A use that asks for nothing, and one that is refused, use no permission.
    assert_eq!(server.code(&key).await, "VALID");
    assert_eq!(may(&server, &key, "others:read").await, "INSUFFICIENT_PERMISSIONS");
    let both = json!({ "key": key, "permissions": ["documents:read", "others:read"] });
    assert_eq!(server.verify(both).await["code"], "INSUFFICIENT_PERMISSIONS");
    let seen = shown(&browser).await;
    for permission in ["documents:read", "documents:write", "reports:*"] {
        assert_eq!(said_of(&seen, permission), "not used yet", "{}", seen.text);
    }
    // Asked for by turns: each is noted, and what a wildcard lets is the wildcard's.
    for _ in 0..2 {
        assert_eq!(may(&server, &key, "documents:read").await, "VALID");
        assert_eq!(may(&server, &key, "reports:monthly").await, "VALID");
    }
    let seen = shown(&browser).await;
    assert_eq!(
        (said_of(&seen, "documents:read"), said_of(&seen, "reports:*")),
        ("used today".into(), "used today".into())
    );
    assert_eq!(said_of(&seen, "documents:write"), "not used yet");
    server.wait("1d");
    assert_eq!(said_of(&shown(&browser).await, "documents:read"), "used yesterday");
    server.wait("28d");
    let (email, _) = server.registered(&account, "owner").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    let seen = shown(&browser).await;
    assert!(!seen.text.contains("without="), "it is not thirty days old: {}", seen.text);
    server.wait("3d");
    assert_eq!(may(&server, &key, "documents:read").await, "VALID");
    let seen = shown(&browser).await;
    assert_eq!(said_of(&seen, "documents:read"), "used today");
    assert_eq!(said_of(&seen, "documents:write"), "not used in 30 days");
    assert_eq!(said_of(&seen, "reports:*"), "not used in 30 days");
    let narrower = format!("{page}/edit?without=documents%3Awrite&#38;without=reports%3A*");
    seen.says(200, &format!("href=\"{narrower}\""));
    let form = browser.get(&narrower.replace("&#38;", "&")).await;
    form.says(200, "Nothing is changed until you save").says(200, &box_of("documents:read", true));
    form.says(200, &box_of("documents:write", false)).says(200, &box_of("reports:*", false));
    assert_eq!(may(&server, &key, "documents:write").await, "VALID", "nothing was changed");
    let sent = [("version", version(&form)), ("name", "Backup".into()), ("permissions", "documents:read".into())];
    let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post(&format!("{page}/edit"), &sent).await.leads_to(&format!("{page}?done=changed"));
    assert_eq!(may(&server, &key, "documents:write").await, "INSUFFICIENT_PERMISSIONS");
    let (email, _) = server.registered(&account, "viewer").await;
    let mut viewer = Browser::new(&server);
    viewer.log_in(&email, PASSWORD).await.with(303);
    assert_eq!(said_of(&shown(&viewer).await, "documents:read"), "used today");
}

#[tokio::test]
async fn what_a_key_does_with_keywright_itself_is_a_use_too() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let made = server.key_of(&account, json!({ "permissions": ["keys:read", "keys:verify", "keys:write"] })).await;
    server.get("/v1/keys").by(&made.key).send().await.is(200);
    server.post("/v1/keys/verify", &json!({ "key": made.key })).by(&made.key).send().await.is(200);
    server.app.flush_usage().await.unwrap();
    let page = browser.get(&format!("/dashboard/keys/{}", made.id)).await.with(200);
    assert_eq!(
        (said_of(&page, "keys:read"), said_of(&page, "keys:verify")),
        ("used today".into(), "used today".into())
    );
    assert_eq!(said_of(&page, "keys:write"), "not used yet");
}
