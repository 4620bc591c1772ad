//! `/docs` and `/openapi.json`

use crate::harness::TestServer;

#[tokio::test]
async fn the_page_works_without_a_network_and_runs_nothing() {
    let server = TestServer::start().await;
    let page = server.get("/docs").by_nobody().send().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
    for forbidden in ["<script", "http://", "https://", " style=\"", "javascript:", "@import"] {
        assert!(!page.text.contains(forbidden), "the page has {forbidden}");
    }
    let style = server.get("/docs/style.css").by_nobody().send().await;
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(!style.text.contains("url(") && !style.text.contains("@import"));
}

#[tokio::test]
async fn every_link_on_the_page_leads_somewhere_on_it() {
    let server = TestServer::start().await;
    let page = server.get("/docs").by_nobody().send().await.text;
    let mut ids = std::collections::BTreeSet::new();
    for id in page.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.insert(id), "two places are named {id}");
    }
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(link), "#{link} leads nowhere");
    }
}

#[tokio::test]
async fn the_description_is_one_of_the_api_that_answers() {
    let server = TestServer::start().await;
    let document = server.get("/openapi.json").by_nobody().send().await.is(200);
    assert_eq!((&document["openapi"], &document["info"]["license"]["name"]), (&"3.1.0".into(), &"Apache-2.0".into()));
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(!responses.is_empty() && operation["operationId"].is_string(), "{method} {path}");
            let needs_key = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
            // Logging in and going on are refused for what they carry, not for a key they lack.
            let proves = ["/v1/auth/login", "/v1/auth/refresh", "/v1/auth/password/reset"].contains(&path.as_str());
            assert_eq!(responses.contains_key("401"), needs_key || proves, "{method} {path}");
        }
    }
}
