//! The dashboard's pages of keys: what they show of a key's use, and what is done to one key or several.

use keywright_app::core::policy::Policy;
use serde_json::json;

use crate::browser::{Browser, between};
use crate::harness::{PASSWORD, TestServer, text};

const KIND: (&str, &str) = ("kind", "default");

/// Uses a key from an address, by a program, and has it written down.
async fn used(server: &TestServer, key: &str, ip: &str, agent: &str) {
    server.verify(json!({ "key": key, "ip": ip, "user_agent": agent })).await;
    server.app.flush_usage().await.unwrap();
}

#[tokio::test]
async fn both_secrets_last_uses_stand_side_by_side_during_a_grace() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, old) = browser.make(&[KIND, ("name", "Backup")]).await;
    let page = format!("/dashboard/keys/{id}");
    browser.get(&page).await.says(200, "not used yet");
    used(&server, &old, "10.0.0.4", "restic/0.16").await;
    browser.get(&page).await.says(200, "from <code>10.0.0.4</code> by restic/0.16");
    let rotated = browser.post(&format!("{page}/rotate"), &[("grace", "24h")]).await.with(200).text;
    let new = between(&rotated, "tabindex=\"0\">", "<");
    let shown = browser.get(&page).await;
    shown.says(200, "not used yet").says(200, "The old secret is still used by <code>10.0.0.4</code>, just now.");
    server.wait("3m");
    // Both in the same second, as it is while a new secret is put in place.
    server.verify(json!({ "key": old, "ip": "10.0.0.4" })).await;
    used(&server, &new, "10.0.0.5", "restic/0.17").await;
    let shown = browser.get(&page).await.with(200).text;
    let secrets = between(&shown, "<h2>Secrets</h2>", "</ul>");
    let (first, second) = secrets.split_once("</li>").unwrap();
    assert!(first.contains("current") && first.contains("10.0.0.5") && !first.contains("10.0.0.4"), "{secrets}");
    assert!(second.contains("ends in") && second.contains("10.0.0.4") && !second.contains("10.0.0.5"), "{secrets}");
    server.wait("3m");
    browser.get(&page).await.says(200, "The old secret is still used by <code>10.0.0.4</code>, 3 minutes ago.");
    server.wait("23h");
    assert!(browser.get(&page).await.with(200).text.contains("ends in"), "an hour is left");
    let idle = browser.post(&format!("{page}/grace"), &[("grace", "24h")]).await;
    idle.leads_to(&format!("{page}?done=grace-extended"));
    server.wait("2h");
    browser.get(&page).await.says(200, "Nothing used the old secret in the last 24 hours.");
    browser.post(&format!("{page}/grace"), &[("grace", "0s")]).await.with(303);
    assert!(!browser.get(&page).await.with(200).text.contains("old secret is"), "it has ended");
}

#[tokio::test]
async fn a_key_shows_where_it_was_lately_used_from() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup")]).await;
    let page = format!("/dashboard/keys/{id}");
    assert!(!browser.get(&page).await.with(200).text.contains("Lately used from"));
    used(&server, &key, "203.0.113.9", "first/1").await;
    server.wait("1m");
    used(&server, &key, "::ffff:203.0.113.7", "second/1").await;
    server.wait("1m");
    used(&server, &key, "203.0.113.9", "first/2").await;
    // A use without an address is none from anywhere.
    server.wait("1m");
    assert_eq!(server.code(&key).await, "VALID");
    server.app.flush_usage().await.unwrap();
    let shown = browser.get(&page).await.with(200).text;
    let lately = between(&shown, "<h2>Lately used from</h2>", "</ul>");
    let place = |words: &str| lately.find(words).unwrap_or_else(|| panic!("no {words} in {lately}"));
    assert!(place("203.0.113.9") < place("203.0.113.7"), "the latest first: {lately}");
    assert!(
        lately.contains("first/2") && !lately.contains("first/1") && lately.matches("<li>").count() == 2,
        "{lately}"
    );
    let narrow = json!({ "ip_allowlist": ["203.0.113.9"] });
    server.patch(&format!("/v1/keys/{id}"), &narrow).send().await.is(200);
    assert_eq!(browser.get(&page).await.text.matches("not allowed now").count(), 1);
    // A colleague sees it, another account does not.
    let (email, _) = server.registered(&account, "viewer").await;
    let mut viewer = Browser::new(&server);
    viewer.log_in(&email, PASSWORD).await.with(303);
    viewer.get(&page).await.says(200, "203.0.113.7");
    let (stranger, _) = Browser::of(&server, "owner").await;
    assert!(!stranger.get(&page).await.with(404).text.contains("203.0.113"));
}

#[tokio::test]
async fn a_key_is_edited_and_whoever_would_be_shut_out_is_named_first() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup"), ("description", "Old")]).await;
    let page = format!("/dashboard/keys/{id}");
    used(&server, &key, "203.0.113.9", "restic/0.16").await;
    browser.get(&page).await.says(200, &format!("href=\"{page}/edit\""));
    browser.get(&format!("{page}/edit")).await.says(200, "value=\"Backup\"").says(200, "value=\"Old\"");
    let edit = async |list: &str, more: &[(&str, &str)]| {
        let fields = [("name", "Nightly backup"), ("description", "New"), ("ip_allowlist", list)];
        browser.post(&format!("{page}/edit"), &[fields.as_slice(), more].concat()).await
    };
    edit("300.1.1.1", &[]).await.says(422, "id=\"ip-wrong\">`300.1.1.1`").says(422, ">300.1.1.1</textarea>");
    edit("203.0.113.1/24", &[]).await.says(422, "203.0.113.0/24");
    let asked = edit("198.51.100.7;  ::ffff:198.51.100.8, 198.51.100.7\r\n10.0.0.0/8", &[]).await;
    asked.says(409, "<code>203.0.113.9</code> by restic/0.16").says(409, "Nothing was changed yet");
    asked.says(409, ">198.51.100.7\n198.51.100.8\n10.0.0.0/8</textarea>");
    assert_eq!(server.code(&key).await, "VALID", "nothing was changed");
    edit("198.51.100.7", &[("shut_out", "yes")]).await.leads_to(&format!("{page}?done=changed"));
    browser.get(&format!("{page}?done=changed")).await.says(200, "Nightly backup").says(200, "The key is changed.");
    assert_eq!(server.code(&key).await, "IP_NOT_ALLOWED");
    // A list that shuts out nobody is taken at once; so is none.
    edit("203.0.113.0/24", &[]).await.with(303);
    edit("", &[]).await.with(303);
    let row = browser.audited("key.update").await;
    assert_eq!(row["detail"]["after"]["ip_allowlist"], json!([]));
    let none = browser.post(&format!("{page}/edit"), &[("name", " ")]).await;
    none.says(422, "This is required: say what the key is for");
    // Long ago is not lately.
    server.wait("8d");
    let (email, _) = server.registered(&account, "owner").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    let fields = [("name", "Nightly backup"), ("ip_allowlist", "198.51.100.7")];
    browser.post(&format!("{page}/edit"), &fields).await.with(303);
    let (email, _) = server.registered(&account, "viewer").await;
    let mut viewer = Browser::new(&server);
    viewer.log_in(&email, PASSWORD).await.with(303);
    viewer.get(&format!("{page}/edit")).await.with(403);
    viewer.post(&format!("{page}/edit"), &[("name", "Mine")]).await.with(403);
    browser.post(&format!("{page}/revoke"), &[("confirm", "Nightly backup")]).await.with(303);
    browser.post(&format!("{page}/edit"), &fields).await.with(409);
}

#[tokio::test]
async fn an_edit_outlives_its_session() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, _) = browser.make(&[KIND, ("name", "Backup")]).await;
    browser.post("/dashboard/logout", &[]).await.with(303);
    let path = format!("/dashboard/keys/{id}/edit");
    let kept = browser.post(&path, &[("name", "Typed with care")]).await;
    kept.says(401, "What you typed is kept").says(401, &format!("name=\"next\" value=\"{path}\""));
}

#[tokio::test]
async fn saved_views_list_what_expires_what_is_unused_and_what_is_old() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    for (name, expires) in [("Soon", "7"), ("Later", "90"), ("Ever", "never")] {
        browser.make(&[KIND, ("name", name), ("expires", expires)]).await;
    }
    let (_, busy) = browser.make(&[KIND, ("name", "Busy"), ("expires", "never")]).await;
    let (email, _) = server.registered(&account, "owner").await;
    // Whoever comes back after weeks logs in anew.
    let shown = async |view: &str| {
        let mut browser = Browser::new(&server);
        browser.log_in(&email, PASSWORD).await.with(303);
        let page = browser.get(&format!("/dashboard/keys?view={view}")).await.with(200).text;
        let names = ["Soon", "Later", "Ever", "Busy"];
        names.into_iter().filter(|name| page.contains(&format!(">{name}<"))).collect::<Vec<_>>()
    };
    assert_eq!((shown("expiring").await, shown("unused").await), (vec!["Soon"], vec![]));
    browser.get("/dashboard/keys?view=expiring").await.says(200, "view=expiring\" aria-current=\"true\"");
    // A view is kept while one looks for something in it.
    browser.get("/dashboard/keys?view=unused").await.says(200, "name=\"view\" value=\"unused\"");
    let fields = [("find", "ever"), ("view", "unused")];
    browser.post("/dashboard/keys/find", &fields).await.leads_to("/dashboard/keys?find=ever&view=unused");
    server.wait("31d");
    assert_eq!(server.code(&busy).await, "VALID");
    server.app.flush_usage().await.unwrap();
    // What has expired is not what expires, and waits for no use.
    assert_eq!((shown("expiring").await, shown("unused").await), (vec![], vec!["Later", "Ever"]));
    assert_eq!(shown("old").await, Vec::<&str>::new());
    server.wait("58d");
    assert_eq!(shown("expiring").await, ["Later"]);
    server.wait("2d");
    assert_eq!(shown("old").await, ["Ever", "Busy"]);
    assert_eq!(shown("nonsense").await, ["Soon", "Later", "Ever", "Busy"]);
}

#[tokio::test]
async fn several_keys_are_revoked_at_once_after_a_preview() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let mut keys = Vec::new();
    for name in ["First", "Second", "Third"] {
        keys.push(browser.make(&[KIND, ("name", name)]).await);
    }
    for _ in 0..3 {
        assert_eq!(server.code(&keys[0].1).await, "VALID");
    }
    server.app.flush_usage().await.unwrap();
    let list = browser.get("/dashboard/keys").await;
    list.says(200, &format!("name=\"id\" value=\"{}\" form=\"chosen\"", keys[0].0));
    let ask = format!("/dashboard/keys/revoke?id={}&id={}&id={}", keys[0].0, keys[1].0, keys[0].0);
    let preview = browser.get(&ask).await;
    preview.says(200, "Revoke 2 keys").says(200, "<strong>3</strong> requests used them");
    preview.says(200, "Type <strong>revoke 2 keys</strong> to confirm");
    assert!(preview.text.contains(">First<") && preview.text.contains(">Second<") && !preview.text.contains(">Third<"));
    let send = async |confirm: &str, ids: &[&str]| {
        let ids = ids.iter().map(|id| ("id", *id));
        browser.post("/dashboard/keys/revoke", &[("confirm", confirm)].into_iter().chain(ids).collect::<Vec<_>>()).await
    };
    let two = [keys[0].0.as_str(), keys[1].0.as_str()];
    for wrong in ["", "revoke", "revoke 3 keys"] {
        send(wrong, &two).await.says(422, "Nothing was revoked");
    }
    // One of another account among them, and none of them is.
    let foreign = server.key(json!({})).await.id;
    send("revoke 3 keys", &[two[0], two[1], &foreign]).await.with(404);
    assert_eq!(server.code(&keys[0].1).await, "VALID");
    send("revoke 2 keys", &two).await.leads_to("/dashboard/keys?done=all-revoked");
    for ((_, key), code) in keys.iter().zip(["REVOKED", "REVOKED", "VALID"]) {
        assert_eq!(server.code(key).await, code);
    }
    browser.get(&ask).await.leads_to("/dashboard/keys");
    browser.get("/dashboard/keys/revoke").await.leads_to("/dashboard/keys");
    let many = format!("/dashboard/keys/revoke?{}", "id=key_01arz3ndektsv4rrffq69g5fav&".repeat(51));
    browser.get(&many).await.with(409);
    let (email, _) = server.registered(&account, "viewer").await;
    let mut viewer = Browser::new(&server);
    viewer.log_in(&email, PASSWORD).await.with(303);
    assert!(!viewer.get("/dashboard/keys").await.text.contains("type=\"checkbox\""));
    viewer.get(&format!("/dashboard/keys/revoke?id={}", keys[2].0)).await.with(403);
    viewer.post("/dashboard/keys/revoke", &[("confirm", "revoke 1 key"), ("id", &keys[2].0)]).await.with(403);
    assert_eq!(server.code(&keys[2].1).await, "VALID");
}

#[tokio::test]
async fn a_keys_last_day_is_drawn_without_a_script_and_tags_count_once() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup")]).await;
    assert!(!browser.get("/dashboard/keys").await.text.contains("class=\"spark\""), "an empty picture");
    for _ in 0..2 {
        server.verify(json!({ "key": key, "tags": ["nightly", "weekly"] })).await;
    }
    server.verify(json!({ "key": key, "permissions": ["x:y"] })).await;
    server.app.flush_usage().await.unwrap();
    let list = browser.get("/dashboard/keys").await;
    list.says(200, "<path d=\"M70 16v-16\"/></svg> 3 <span class=\"hint\">(1 refused)</span>");
    browser
        .get(&format!("/dashboard/keys/{id}"))
        .await
        .says(200, "<strong>3</strong> checked <strong class=\"bad\">1</strong> refused");
    server.wait("25h");
    assert!(!browser.get("/dashboard/keys").await.text.contains("class=\"spark\""), "the day is over");
}

#[tokio::test]
async fn a_key_that_is_guessed_at_says_so_and_is_unlocked_by_its_owner() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let made = server.key_of(&account, json!({ "kind": "wavis", "name": "Backup" })).await;
    let page = format!("/dashboard/keys/{}", made.id);
    for number in 0..10u32 {
        let guess = format!("{}{number:026x}", &made.key[..made.key.len() - 26]);
        assert_eq!(server.code(&guess).await, "NOT_FOUND");
    }
    assert_eq!(server.code(&made.key).await, "RATE_LIMITED");
    let shown = browser.get(&page).await;
    shown.says(200, "Locked after 10 wrong guesses in 5m.").says(200, "in 15 minutes").says(200, "Unlock now");
    let (email, _) = server.registered(&account, "viewer").await;
    let mut viewer = Browser::new(&server);
    viewer.log_in(&email, PASSWORD).await.with(303);
    assert!(!viewer.get(&page).await.says(200, "Locked after").text.contains("Unlock now"));
    viewer.post(&format!("{page}/unlock"), &[]).await.with(403);
    let (stranger, _) = Browser::of(&server, "owner").await;
    stranger.post(&format!("{page}/unlock"), &[]).await.with(404);
    assert_eq!(server.code(&made.key).await, "RATE_LIMITED");
    browser.post(&format!("{page}/unlock"), &[]).await.leads_to(&format!("{page}?done=unlocked"));
    assert_eq!(server.code(&made.key).await, "VALID");
    let row = browser.audited("lockout.lift").await;
    assert_eq!((text(&row, "account_id"), row["detail"]["kind"].clone()), (account, json!("wavis")));
    assert!(!browser.get(&page).await.with(200).text.contains("Locked after"));
}

#[tokio::test]
async fn a_persons_own_tokens_have_a_page() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "developer").await;
    browser.get("/dashboard/keys").await.says(200, "<a href=\"/dashboard/tokens\">Personal Tokens</a>");
    browser.get("/dashboard/tokens").await.says(200, "No personal tokens yet").says(200, "kind=wayscloud-pat");
    let form = browser.get("/dashboard/keys/new?kind=wayscloud-pat").await;
    form.says(200, "Create Personal Token").says(200, "<a href=\"/dashboard/tokens\" aria-current=\"page\">");
    for scope in ["profile:read", "api_keys:read", "api_keys:write", "ssh_keys:read", "ssh_keys:write", "services:read"]
    {
        form.says(200, &format!("name=\"permissions\" value=\"{scope}\""));
    }
    assert!(!form.text.contains("kind=default"), "kinds of programs' keys are elsewhere");
    assert!(!browser.get("/dashboard/keys/new").await.with(200).text.contains("kind=wayscloud-pat"));
    let fields = [("kind", "wayscloud-pat"), ("name", "Laptop"), ("permissions", "profile:read"), ("expires", "30")];
    let (_, token) = browser.make(&fields).await;
    server.get("/v1/account/profile").by_token(&token).send().await.is(200);
    browser.make(&[KIND, ("name", "Of the account")]).await;
    let list = browser.get("/dashboard/tokens").await;
    list.says(200, ">Laptop<").says(200, "<code>profile:read</code>").says(200, "in 30 days");
    assert!(!list.text.contains("Of the account") && !list.text.contains(&token));
    // A colleague's is none of one's own.
    let (email, _) = server.registered(&account, "owner").await;
    let mut owner = Browser::new(&server);
    owner.log_in(&email, PASSWORD).await.with(303);
    owner.get("/dashboard/tokens").await.says(200, "No personal tokens yet");
    server.app.reload_policy(Policy::STARTER).unwrap();
    assert!(!owner.get("/dashboard/keys").await.text.contains("Personal Tokens"), "the policy knows none");
}

#[tokio::test]
async fn a_new_key_takes_its_settings_from_another() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let fields = [
        ("kind", "wayscloud-service"),
        ("name", "Nightly backup"),
        ("description", "Copies the database"),
        ("services", "storage"),
        ("services", "llm"),
        ("ip_allowlist", "203.0.113.0/24, 198.51.100.7"),
    ];
    let (id, key) = browser.make(&fields).await;
    let form = browser.get("/dashboard/keys/new?kind=wayscloud-service").await;
    form.says(200, &format!("<option value=\"{id}\">Nightly backup (")).says(200, "Copy settings from a key");
    assert!(!form.text.contains(&key));
    let copied = browser.get(&format!("/dashboard/keys/new?from={id}")).await;
    copied.says(200, "name=\"kind\" value=\"wayscloud-service\"").says(200, "value=\"Copies the database\"");
    copied.says(200, "value=\"storage\" checked").says(200, "value=\"llm\" checked");
    copied.says(200, ">203.0.113.0/24\n198.51.100.7</textarea>").says(200, "id=\"name\" name=\"name\" value=\"\"");
    assert!(!copied.text.contains("value=\"dns\" checked"));
    let foreign = server.key(json!({})).await.id;
    browser.get(&format!("/dashboard/keys/new?from={foreign}")).await.with(404);
    browser.get("/dashboard/keys/new?from=nonsense").await.with(404);
}

#[tokio::test]
async fn a_key_that_was_not_copied_well_stays_in_no_address_either() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (_, key) = browser.make(&[KIND, ("name", "Backup")]).await;
    let mut wrong = key.clone();
    wrong.pop();
    for pasted in [wrong, format!("{key}x")] {
        let found = browser.post("/dashboard/keys/find", &[("find", &pasted)]).await.with(303);
        let address = found.header("location").unwrap();
        assert!(!address.contains(&pasted[..pasted.len() - 13]), "{address}");
    }
}

#[tokio::test]
async fn why_a_key_was_refused_is_told_by_request() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[KIND, ("name", "Backup"), ("ip_allowlist", "203.0.113.0/24")]).await;
    let page = format!("/dashboard/keys/{id}");
    let all = format!("{page}/refusals");
    browser.get(&all).await.says(200, "Never refused");
    for (name, ip) in [("req_first", "192.0.2.1"), ("req_second", "203.0.113.7")] {
        let asked = json!({ "key": key, "ip": ip, "permissions": ["x:y"], "user_agent": "restic/0.16" });
        server.post("/v1/keys/verify", &asked).header("x-request-id", name).send().await.is(200);
        server.wait("1s");
    }
    server.app.flush_usage().await.unwrap();
    let shown = browser.get(&page).await.with(200).text;
    let refused = between(&shown, "<h2>Lately refused</h2>", "</ul>");
    let place = |words: &str| refused.find(words).unwrap_or_else(|| panic!("no {words} in {refused}"));
    assert!(place("INSUFFICIENT_PERMISSIONS") < place("IP_NOT_ALLOWED"), "the latest first: {refused}");
    assert!(place("req_second") < place("req_first") && refused.contains("from <code>192.0.2.1</code> by restic/0.16"));
    let one = browser.get(&format!("{all}?request=+req_first")).await;
    assert!(!one.says(200, "IP_NOT_ALLOWED").text.contains("INSUFFICIENT_PERMISSIONS"));
    browser.get(&format!("{all}?request=req_third")).await.says(200, "No such request");
    let (stranger, _) = Browser::of(&server, "owner").await;
    assert!(!stranger.get(&all).await.with(404).text.contains("req_first"));
    // Through the gate, too.
    let (id, key) = browser.make(&[KIND, ("name", "Reader")]).await;
    let call = server.get("/v1/storage/").by(&key).header("x-request-id", "req_gate");
    call.send().await.with(403);
    server.app.flush_usage().await.unwrap();
    browser.get(&format!("/dashboard/keys/{id}")).await.says(200, "req_gate");
    // However often: it is bounded.
    for _ in 0..7 {
        server.wait("1s");
        for _ in 0..30 {
            server.verify(json!({ "key": key, "permissions": ["x:y"] })).await;
        }
        server.app.flush_usage().await.unwrap();
    }
    let many = browser.get(&format!("/dashboard/keys/{id}/refusals")).await.with(200).text;
    assert!((100..=120).contains(&many.matches("<li>").count()), "{}", many.matches("<li>").count());
    browser.get(&format!("/dashboard/keys/{id}")).await.says(200, "All of them");
}

/// What is typed to confirm is what can be seen.
#[tokio::test]
async fn a_name_is_confirmed_as_it_is_seen() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    for (name, typed) in
        [("Nightly  backup", "Nightly backup"), ("\u{202e}drawkcab \u{5d0}", "\u{202e}drawkcab \u{5d0}")]
    {
        let (id, key) = browser.make(&[KIND, ("name", name)]).await;
        let path = format!("/dashboard/keys/{id}/revoke");
        browser.post(&path, &[("confirm", "Nightlybackup")]).await.with(422);
        browser.post(&path, &[("confirm", typed)]).await.with(303);
        assert_eq!(server.code(&key).await, "REVOKED");
    }
}

/// However much is written about each key, a page of them is light.
#[tokio::test]
async fn a_full_page_of_keys_weighs_less_than_50_kilobytes() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let addresses: Vec<String> = (0..200).map(|number| format!("2001:db8:1234:{number:x}::/64")).collect();
    for number in 0..31 {
        let name = format!("{number:02} {}", "a long name ".repeat(8));
        let fields = json!({ "name": name.trim(), "description": "word ".repeat(199), "ip_allowlist": addresses });
        let key = server.key_of(&account, fields).await;
        server.verify(json!({ "key": key.key, "ip": "2001:db8:1234::1" })).await;
    }
    server.app.flush_usage().await.unwrap();
    let list = browser.get("/dashboard/keys").await;
    list.says(200, "2001:db8:1234:2::/64 and 197 more").says(200, "More keys").says(200, "word…");
    assert!(list.text.len() < 48_000, "{} bytes", list.text.len());
    let log = browser.get("/dashboard/audit").await.with(200);
    assert!(log.text.matches("<strong>key.create").count() > 20, "a full page");
    assert!(log.text.len() < 50_000, "{} bytes", log.text.len());
}

#[tokio::test]
async fn a_command_on_a_page_leads_to_where_the_server_is_reached() {
    // Where it is said where people find it, there; else where it listens.
    let (known, placeless) = (TestServer::start().await, TestServer::placeless().await);
    let (browser, _) = Browser::of(&known, "owner").await;
    let (id, _) = browser.make(&[KIND, ("name", "Backup")]).await;
    let leads_to = |place: &str| format!("<pre tabindex=\"0\"><code>curl {place}/v1/keys/self ");
    browser.get(&format!("/dashboard/keys/{id}")).await.says(200, &leads_to("https://keys.example.com"));
    // The harness calls every server that listens by this name.
    let listening = format!("http://{}", placeless.address());
    let account = placeless.account().await;
    let (email, _) = placeless.registered(&account, "owner").await;
    let form = format!("email={}&password={}", email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let login = placeless.call("POST", "/dashboard/login").by_nobody().header("origin", "http://keywright").form(&form);
    let mut browser = Browser::new(&placeless);
    browser.keep(&login.send().await.with(303));
    let id = placeless.key_of(&account, json!({})).await.id;
    let page = placeless.get(&format!("/dashboard/keys/{id}")).by_nobody().header("cookie", &browser.cookie);
    page.send().await.says(200, &leads_to(&listening));
}
