//! What another site can do with somebody's browser who is logged in here: nothing. Another port of the same machine is the
//! hardest case, for cookies know no ports.

use std::net::SocketAddr;

use keywright_server::Options;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::Chromium;
use super::keys::owner;
use crate::harness::TestServer;

/// A site of somebody else's that has one page.
async fn site(page: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
            let _ = stream.write_all(format!("{head} {}\r\n\r\n{page}", page.len()).as_bytes()).await;
        }
    });
    address
}

/// security.md 45 and 46
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_changes_nothing_and_shows_none_of_our_pages() {
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    let (account, email) = owner(&server).await;
    let key = server.key_of(&account, json!({ "name": "Nightly backup" })).await;
    let tab = chromium.tab(&server, true).await;
    tab.open("/dashboard/keys").await;
    tab.log_in(&email).await;
    tab.sees("Nightly backup").await;
    let ours = format!("http://{}/dashboard/keys/{}", server.address(), key.id);
    let form = format!("<form id=f method=post action='{ours}/disable'></form><script>f.submit()</script>");
    tab.page.goto(format!("http://{}/", site(form).await)).await.unwrap();
    tab.sees("was not sent by a page of ours").await;
    let fetched = format!(
        "<p id=said>waiting</p><script>fetch('{ours}/disable', {{ method: 'POST', credentials: 'include', mode: 'no-cors',
           body: new URLSearchParams({{ a: 1 }}) }}).then(() => said.textContent = 'sent', () => said.textContent = 'sent')
         </script>"
    );
    tab.page.goto(format!("http://{}/", site(fetched).await)).await.unwrap();
    tab.sees("sent").await;
    assert_eq!(server.code(&key.key).await, "VALID");
    let framed = format!("<iframe id=f src='{ours}' onload='document.title = `loaded`'></iframe>");
    tab.complaints.lock().unwrap().clear();
    tab.page.goto(format!("http://{}/", site(framed).await)).await.unwrap();
    tab.wait_or_show("document.title === 'loaded'", "a frame").await;
    let refused = "frame-ancestors 'none'";
    for _ in 0..super::LOOKS {
        if tab.complaints.lock().unwrap().iter().any(|said| said.contains(refused)) {
            break;
        }
        tokio::time::sleep(super::PATIENCE / super::LOOKS).await;
    }
    assert!(tab.complaints.lock().unwrap().iter().any(|said| said.contains(refused)), "it was framed");
    // Who is logged in still is, on our own pages.
    tab.open(&format!("/dashboard/keys/{}", key.id)).await;
    tab.click("Switch off").await;
    tab.sees("switched off").await;
    assert_eq!(server.code(&key.key).await, "DISABLED");
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_runs_in_no_real_browser_either() {
    const STRANGE: &str = "'\"><img src=x onerror=document.title='run'><script>document.title='run'</script>";
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    let (account, email) = owner(&server).await;
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "name": STRANGE })).send().await.is(200);
    let key = server.key_of(&account, json!({ "name": STRANGE, "description": STRANGE })).await;
    server.verify(json!({ "key": key.key, "ip": "203.0.113.7", "user_agent": STRANGE })).await;
    server.app.flush_usage().await.unwrap();
    let tab = chromium.tab(&server, true).await;
    tab.open("/dashboard/keys").await;
    tab.log_in(&email).await;
    tab.sees("<img src=x").await;
    for page in ["", "/edit", "/rotate", "/revoke", "/simulate", "/refusals"] {
        tab.open(&format!("/dashboard/keys/{}{page}", key.id)).await;
        tab.sees("document.title='run'").await;
        let title = tab.look("document.title").await.unwrap();
        assert_ne!(title, json!("run"), "{page}");
    }
    tab.is_quiet();
    chromium.close().await;
}
