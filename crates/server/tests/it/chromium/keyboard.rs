//! Making a key without a mouse: from the login to the key's own page.

use keywright_server::Options;
use serde_json::json;

use super::keys::owner;
use super::{Chromium, Tab};
use crate::harness::{PASSWORD, TestServer};

/// Goes on by Tab until something is reached, as somebody does who sees where the keyboard is.
async fn tab_to(tab: &Tab, what: &str) {
    let is_there = format!("document.readyState === 'complete' && document.querySelector({}) !== null", json!(what));
    tab.wait_or_show(&is_there, &format!("{what} is there")).await;
    for _ in 0..60 {
        let there = tab.look(&format!("document.activeElement?.matches({}) ?? false", json!(what))).await;
        if there == Some(json!(true)) {
            let ring = "(() => { const style = getComputedStyle(document.activeElement);
                         return style.outlineStyle !== 'none' || style.boxShadow !== 'none'; })()";
            assert_eq!(tab.look(ring).await, Some(json!(true)), "{what} does not show that the keyboard is there");
            return;
        }
        tab.press("Tab").await;
    }
    panic!("{what} is not reached by Tab on {}", tab.text().await);
}

/// Waits until the keyboard is here: a page gives it to its first field a moment after it can be read.
async fn has_keyboard(tab: &Tab, what: &str) {
    let here = format!("document.activeElement?.matches({})", json!(what));
    tab.wait_or_show(&here, &format!("{what} has the keyboard")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_made_rotated_and_revoked_by_keyboard() {
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    let (_, email) = owner(&server).await;
    let tab = chromium.tab(&server, true).await;
    tab.open("/dashboard/login").await;
    tab.sees("Log in").await;
    // The first field has the keyboard already.
    has_keyboard(&tab, "#email").await;
    tab.type_text(&email).await;
    tab_to(&tab, "#password").await;
    tab.type_text(PASSWORD).await;
    tab.press("Enter").await;
    tab.is_at("/dashboard/keys").await;
    // The way past the navigation is the first thing one comes to.
    tab.press("Tab").await;
    has_keyboard(&tab, ".skip").await;
    tab.press("Enter").await;
    tab_to(&tab, "a[href='/dashboard/keys/new']").await;
    tab.press("Enter").await;
    tab.sees("Expires").await;
    has_keyboard(&tab, "#name").await;
    // A mistake is said, and the keyboard is beside it.
    tab_to(&tab, "#ip_allowlist").await;
    tab.type_text("nonsense").await;
    tab_to(&tab, "main button.primary").await;
    tab.look("document.querySelector('#name').required = false").await;
    tab.press("Enter").await;
    tab.sees("No key was made").await;
    tab.wait_or_show("document.activeElement.id === 'name' && document.activeElement.ariaInvalid", "at the mistake")
        .await;
    tab.type_text("Made by hand").await;
    tab_to(&tab, "#ip_allowlist").await;
    for _ in 0.."nonsense".len() {
        tab.press("Delete").await;
    }
    tab_to(&tab, "main button.primary").await;
    tab.press("Enter").await;
    tab.sees("shown this once").await;
    let key = tab.read("#secret").await;
    tab_to(&tab, "[data-leave]").await;
    tab.press(" ").await;
    tab.sees("Made by hand").await;
    assert_eq!(server.code(&key).await, "VALID");
    tab_to(&tab, "a[href$='/rotate']").await;
    tab.press("Enter").await;
    tab.sees("Rotate this key").await;
    tab_to(&tab, "main .actions a").await;
    tab.press("Enter").await;
    tab.sees("Made by hand").await;
    // Whoever comes back is where they were.
    tab.wait_or_show("document.activeElement.matches(`a[href$='/rotate']`)", "the keyboard is back").await;
    tab.press("Enter").await;
    tab.sees("Rotate this key").await;
    tab_to(&tab, "main button.primary").await;
    tab.press("Enter").await;
    tab.sees("shown this once").await;
    tab_to(&tab, "[data-leave]").await;
    tab.press("Enter").await;
    tab_to(&tab, "a[href$='/revoke']").await;
    tab.press("Enter").await;
    tab.sees("Revoke this key").await;
    has_keyboard(&tab, "#confirm").await;
    tab.type_text("Made by hand").await;
    tab.press("Enter").await;
    tab.sees("The key is revoked").await;
    assert_eq!(server.code(&key).await, "REVOKED");
    tab.is_quiet();
    chromium.close().await;
}
