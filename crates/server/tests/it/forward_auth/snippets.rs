//! What is printed for a proxy, where it can be told from the text alone.

use keywright_app::core::policy::Policy;
use keywright_server::{Options, Snippet, check_routes, snippet};

use super::policy;

const ALL: [Snippet; 6] =
    [Snippet::Nginx, Snippet::Caddy, Snippet::Traefik, Snippet::Haproxy, Snippet::Envoy, Snippet::EnvoyHttp];

/// The built-in policy without its routes, with these.
fn with(routes: &str) -> Policy {
    let dev = Policy::DEV.split("\n[route.").next().unwrap();
    let text = format!("{dev}\n[forward_auth]\ndialects = [\"traefik\"]\npeers = [\"10.0.0.7\"]\n{routes}");
    Policy::parse(&text).unwrap()
}

fn route(name: &str, path: &str, more: &str) -> String {
    format!("[route.{name}]\npath = \"{path}\"\nmethods = {{ GET = [] }}\n{more}\n")
}

fn print(wanted: Snippet, policy: &Policy, upstream: Option<&str>) -> Result<String, String> {
    let upstream = upstream.map(|url| url.parse().unwrap());
    let server = "http://10.0.0.2:8700".parse().unwrap();
    snippet(wanted, policy, &Options::default(), &server, upstream.as_ref())
}

#[test]
fn traefik_cleans_asks_and_keeps_the_credential_in_this_order() {
    let up = "upstream = [\"http://10.0.0.5:9000\", \"http://10.0.0.6:9000\"]";
    let routes =
        route("all", "/", up) + &route("deep", "/a/b", &format!("{up}\nstrip = true\nforward_credential = true"));
    let routes = routes + &route("own", "/a", &format!("{up}\nhost = \"h.example\""));
    let text = print(Snippet::Traefik, &with(&routes), None).unwrap();
    for line in [
        "address: \"http://10.0.0.2:8700/forward-auth/traefik\"",
        "trustForwardHeader: false",
        // The host's own first, then the longest path.
        "rule: \"Host(`h.example`) && (Path(`/a`) || PathPrefix(`/a/`))\"\n      priority: 9999",
        "rule: \"(Path(`/a/b`) || PathPrefix(`/a/b/`))\"\n      priority: 9998",
        "rule: \"PathPrefix(`/`)\"\n      priority: 9997",
        "middlewares: [keywright-clean, keywright, keywright-keep]\n      service: own",
        "middlewares: [keywright-clean, keywright, deep-strip]\n      service: deep",
        "- url: \"http://10.0.0.6:9000\"",
        "prefixes: [\"/a/b\"]",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    for name in ["Account-Id", "Key-Id", "Key-Kind", "Key-Environment", "Key-Role", "Key-Services"] {
        assert!(text.contains(&format!("\n          - X-{name}\n")), "{name} is not set");
        for spelled in
            [format!("X-{name}"), format!("X_{}", name.replace('-', "_")), format!("X.{}", name.replace('-', "."))]
        {
            assert_eq!(text.matches(&format!("\n          {spelled}: \"\"\n")).count(), 1, "{spelled} stays");
        }
    }
    let aliases =
        text.lines().filter(|line| line.trim_start().to_lowercase().starts_with('x') && line.ends_with(": \"\""));
    let (aliases, plain): (Vec<_>, Vec<_>) = aliases.partition(|line| line.contains(['_', '.']));
    // Two places of three spellings each, but for the one with a hyphen in both; ten names, and what is misleading besides.
    assert_eq!((aliases.len(), plain.iter().filter(|line| line.contains("X-Key-")).count()), (10 * 8, 6));
}

#[test]
fn what_cannot_be_printed_is_told_with_what_to_do() {
    let nowhere = with(&route("t", "/t", ""));
    for wanted in ALL {
        let told = print(wanted, &nowhere, None).unwrap_err();
        assert!(told.contains("route.t says no upstream: add --upstream"), "{told}");
        let text = print(wanted, &nowhere, Some("http://10.0.0.9:1")).unwrap();
        // Where HAProxy asks is in its script.
        let asks = if wanted == Snippet::Haproxy { Snippet::HaproxyScript } else { wanted };
        let asks = print(asks, &nowhere, Some("http://10.0.0.9:1")).unwrap();
        // Envoy is told hosts and ports apart.
        let plain = |text: &str| text.replace("\", port_value: ", ":");
        assert!(plain(&text).contains("10.0.0.9:1") && plain(&asks).contains("10.0.0.2:8700"), "{text}");
        let holes = text.lines().filter(|line| line.starts_with('@') && line.trim_end().ends_with('@'));
        assert_eq!(holes.count(), 0, "{text}");
        for (routes, upstream, says) in [
            (String::new(), None, "no routes"),
            (route("t", "/t", "upstream = \"http://a/base\""), None, "has a path"),
            (route("t", "/t$x", ""), Some("http://a"), "reads alike"),
        ] {
            let told = print(wanted, &with(&routes), upstream).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
    }
    let based = snippet(Snippet::Nginx, &nowhere, &Options::default(), &"http://a/b".parse().unwrap(), None);
    assert!(based.unwrap_err().contains("at its host and port alone"));
}

#[test]
fn of_two_providers_on_one_path_the_credential_goes_on_only_where_both_say_so() {
    let two = |more: &str| {
        route("one", "/t", &format!("kinds = [\"default\"]\nforward_credential = true{more}"))
            + &route("two", "/t", "kinds = [\"cloudheed\"]")
    };
    let text = print(Snippet::Nginx, &with(&two("")), Some("http://a")).unwrap();
    assert_eq!(text.matches("location ~ ^/t(/|$)").count(), 1, "{text}");
    assert!(text.contains("set $kw_authorization \"\";"), "{text}");
}

#[test]
fn no_route_of_the_gate_stands_where_proxies_ask() {
    let more = "[route.x]\npath = \"/forward-auth/envoy-http/x\"\nmethods = { GET = [] }\nupstream = \"http://a\"";
    let policy = Policy::parse(&policy("[\"nginx\"]", "[\"127.0.0.1\"]", more)).unwrap();
    let told = check_routes(&policy, &Options::default());
    assert!(
        told.iter().any(|error| error.message.starts_with("route.x: the server answers /forward-auth/")),
        "{told:?}"
    );
}
