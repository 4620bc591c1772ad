//! People at the dashboard: registering, a forgotten password, the second factor, sessions, members, and what an account has
//! beside its keys. With scripts, and without any.

use keywright_server::Options;
use serde_json::json;

use super::keys::owner;
use super::{Chromium, Tab};
use crate::contract::ch_people::code;
use crate::harness::{PASSWORD, SSH_KEY, TestServer, text};

const OTHER: &str = "seven odd green kettles";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_come_in_with_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    come_in(&chromium, true).await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_come_in_without_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    come_in(&chromium, false).await;
    chromium.close().await;
}

/// Registers by a letter, forgets the password, sets up a second factor and comes in by it.
async fn come_in(chromium: &Chromium, runs_scripts: bool) {
    const EMAIL: &str = "new@example.com";
    let server = TestServer::listening(Options::default()).await;
    let tab = chromium.tab(&server, runs_scripts).await;
    tab.open("/dashboard/login").await;
    tab.click("Create an account").await;
    tab.fill("#email", EMAIL).await;
    tab.fill("#password", PASSWORD).await;
    tab.click("Create account").await;
    let token = mailed(&server, EMAIL, 1).await;
    tab.open(&format!("/verify-email?token={token}")).await;
    tab.click("Confirm your address").await;
    tab.sees("is confirmed").await;
    tab.click("Log in").await;
    server.wait("1s");
    tab.click("Forgotten your password?").await;
    tab.fill("#email", EMAIL).await;
    tab.click("Mail me a link").await;
    let token = mailed(&server, EMAIL, 2).await;
    tab.open(&format!("/reset-password?token={token}")).await;
    tab.fill("#new_password", OTHER).await;
    tab.click("Choose another password").await;
    tab.sees("You have another password").await;
    tab.click("Log in").await;
    tab.fill("#email", EMAIL).await;
    tab.fill("#password", OTHER).await;
    tab.click("Log in").await;
    tab.is_at("/dashboard/keys").await;
    second_factor(&server, &tab, EMAIL).await;
}

/// The token in the newest of so many letters to an address.
async fn mailed(server: &TestServer, to: &str, letters: usize) -> String {
    while server.letters(to).await.len() < letters {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.mailed(to).await
}

async fn second_factor(server: &TestServer, tab: &Tab, email: &str) {
    tab.click("Security").await;
    tab.click("Set it up").await;
    tab.sees("Open your authenticator").await;
    let secret = tab.read(".steps .hint code").await.replace(' ', "");
    assert_eq!(tab.look("document.querySelector('.qr').naturalWidth > 0").await, Some(json!(true)));
    tab.fill("#code", &code(&secret, 1)).await;
    tab.click("Turn it on").await;
    tab.sees("Backup codes").await;
    tab.click("I have saved my codes").await;
    tab.log_out().await;
    server.wait("1m");
    tab.fill("#email", email).await;
    tab.fill("#password", OTHER).await;
    tab.click("Log in").await;
    tab.sees("Second factor").await;
    tab.fill("#code", "000000").await;
    tab.click("Continue").await;
    tab.read("#wrong").await;
    tab.fill("#code", &code(&secret, 61)).await;
    tab.click("Continue").await;
    tab.is_at("/dashboard/keys").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_lived_in_with_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    live_in(&chromium, true).await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_lived_in_without_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    live_in(&chromium, false).await;
    chromium.close().await;
}

/// Invites somebody who joins, sees and ends sessions, adds and deletes an SSH key, sees services and the log.
async fn live_in(chromium: &Chromium, runs_scripts: bool) {
    let server = TestServer::listening(Options::default()).await;
    let (account, email) = owner(&server).await;
    let tab = chromium.tab(&server, runs_scripts).await;
    tab.open("/").await;
    tab.log_in(&email).await;
    tab.click("Members").await;
    tab.fill("#email", "guest@example.com").await;
    tab.click("Invite").await;
    tab.sees("guest@example.com").await;
    tab.click("Withdraw").await;
    tab.sees("withdrawn").await;
    server.wait("1s");
    tab.fill("#email", "guest@example.com").await;
    tab.click("Invite").await;
    let token = mailed(&server, "guest@example.com", 2).await;
    let guest = chromium.tab(&server, runs_scripts).await;
    guest.open(&format!("/join?token={token}")).await;
    guest.fill("#new_password", PASSWORD).await;
    guest.click("Join").await;
    guest.sees("You belong to the account").await;
    tab.open("/dashboard/members").await;
    tab.click("Remove").await;
    tab.click("Remove guest@example.com").await;
    tab.sees("They are out").await;
    tab.click("SSH Keys").await;
    tab.fill("#name", "Laptop").await;
    tab.fill("#public_key", SSH_KEY).await;
    tab.click("Add SSH key").await;
    tab.sees("SHA256:").await;
    tab.click("Delete").await;
    tab.click("Delete Laptop").await;
    tab.sees("No SSH keys yet").await;
    let service = json!({ "service_type": "database", "name": "Orders", "region": "no-1" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await.is(201);
    tab.click("Services").await;
    tab.sees("Orders").await;
    tab.click("Audit").await;
    tab.sees("member").await;
    let other = server.post("/v1/auth/login", &json!({ "email": email, "password": PASSWORD })).by_nobody();
    let other = text(&other.send().await.is(200), "access_token");
    tab.click("Sessions").await;
    tab.click("End all others").await;
    tab.wait_or_show("!document.body.innerText.includes('End all others')", "they are ended").await;
    server.get("/v1/auth/me").by(&other).send().await.problem(401, "UNAUTHENTICATED");
}
