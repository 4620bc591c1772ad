//! Paths: which route a request takes, and which paths take none.

use keywright_app::core::policy::Policy;
use keywright_server::{Options, check_routes};

use super::upstream::Upstream;
use super::{all, ask, gate, head, route};
use crate::harness::Answer;

#[tokio::test]
async fn a_path_with_two_readings_is_refused_before_anything_is_looked_at() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "errors = \"wayscloud\"")).await;
    for path in [
        "/t//x",
        "/t/../v1/keys",
        "/t/./x",
        "/t/%2e%2e/x",
        "/t/%2E%2E/x",
        "/t/.%2e/x",
        "/t/a%2fb",
        "/t/a%2Fb",
        "/t/a%5cb",
        "/t/a\\b",
        "/t/..;/x",
        "/t/%00",
        "/t/%0d%0aX:1",
        "/t/%",
        "/t/%252e%252e/x",
        "/t/%25%32%65%25%32%65/x",
        "/t/%c0%ae%c0%ae/x",
        "//t/x",
        "/x/../t",
    ] {
        let request = head("GET", path, &key.key, "connection: close\r\n");
        let answer = all(ask(server.address(), &request).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        if path.starts_with("/t") && answer.contains("request_id") {
            panic!("{path} was told in other words than the route's: {answer}");
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn what_is_passed_on_is_what_was_sent() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    for path in ["/t", "/t/", "/t/a%20b/c;v=1?x=%2F..&y=a//b", "/t/caf%C3%A9?", "/t?a=b?c"] {
        server.get(path).by(&key.key).send().await.with(200);
        assert_eq!(upstream.last().line, format!("GET {path}"));
    }
    for path in ["/tt", "/T", "/t2/t"] {
        server.get(path).by(&key.key).send().await.problem(404, "NOT_FOUND");
    }
    // Where no route leads from the front, people's pages are.
    server.get("/").by(&key.key).send().await.leads_to("/dashboard/keys");
}

#[tokio::test]
async fn a_route_may_begin_at_the_front() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "").replace("path = \"/t\"", "path = \"/\"")).await;
    server.get("/").by(&key.key).send().await.with(200);
    assert_eq!(upstream.last().line, "GET /");
}

#[tokio::test]
async fn the_beginning_is_left_out_and_a_base_put_in_where_the_policy_says_so() {
    let upstream = Upstream::fine().await;
    let base = format!("\"http://{}/base/\"", upstream.address);
    let (server, key) = gate(&route(&base, "strip = true")).await;
    for (sent, seen) in [("/t", "/base/"), ("/t/", "/base/"), ("/t/a/b?c=d", "/base/a/b?c=d")] {
        server.get(sent).by(&key.key).send().await.with(200);
        assert_eq!(upstream.last().line, format!("GET {seen}"));
    }
}

#[tokio::test]
async fn a_stricter_route_cannot_be_walked_around_by_spelling() {
    let upstream = Upstream::fine().await;
    let wide = route(&upstream.url(), "").replace("\"/t\"", "\"/\"");
    let narrow =
        format!("[route.admin]\npath = \"/admin\"\nupstream = {}\nmethods = {{ GET = \"gpu:use\" }}\n", upstream.url());
    let (server, key) = gate(&format!("{wide}{narrow}")).await;
    server.get("/other").by(&key.key).send().await.with(200);
    server.get("/admin/x").by(&key.key).send().await.problem(403, "FORBIDDEN");
    for path in ["/%61dmin/x", "/admin;v=1/x", "/%61dmin", "/admi%6e/x"] {
        server.get(path).by(&key.key).send().await.problem(400, "BAD_REQUEST");
    }
    assert_eq!(upstream.seen().len(), 1);
    // The server's own paths are its own, whatever the policy says.
    server.get("/health").by_nobody().send().await.is(200);
    server.get("/v1/keys/self").by(&key.key).send().await.is(200);
}

#[tokio::test]
async fn a_host_has_routes_of_its_own() {
    let (hosted, other) = (Upstream::fine().await, Upstream::fine().await);
    let routes =
        route(&other.url(), "") + &route(&hosted.url(), "host = \"api.example\"").replace("route.t", "route.h");
    let (server, key) = gate(&routes).await;
    let asked = async |host: &str| {
        let request = format!(
            "GET /t HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            key.key
        );
        Answer::parse(&all(ask(server.address(), &request).await).await).with(200);
    };
    for host in ["api.example", "API.example:8700", "api.example."] {
        asked(host).await;
    }
    for host in ["example", "xapi.example", "127.0.0.1"] {
        asked(host).await;
    }
    assert_eq!((hosted.seen().len(), other.seen().len()), (3, 3));
}

#[test]
fn a_route_that_leads_nowhere_is_told_with_its_line() {
    let wrongs = |text: &str| {
        let policy = Policy::parse(&format!("[kind.default]\nformat = \"kw_{{secret:26}}\"\n{text}")).unwrap();
        check_routes(&policy, &Options::default())
    };
    let route = |path: &str, upstream: &str| {
        format!("[route.x]\npath = \"{path}\"\nupstream = \"{upstream}\"\nmethods = {{ GET = [] }}\n")
    };
    let told = wrongs(&route("/x", "things"));
    assert!(told.len() == 1 && told[0].line == 5 && told[0].message.contains("[upstreams]"), "{told:?}");
    let told = wrongs(&route("/v1/keys/abc", "http://127.0.0.1:1"));
    assert!(told.len() == 1 && told[0].message.contains("/v1/keys/{id}"), "{told:?}");
    assert!(wrongs(&route("/v1", "http://127.0.0.1:1")).is_empty());
}
