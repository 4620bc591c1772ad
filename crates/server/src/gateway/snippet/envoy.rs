//! Envoy, which asks over gRPC or over HTTP.

use std::fmt::Write as _;
use std::net::IpAddr;

use keywright_core::forward_auth::Proxy;
use keywright_core::route::Address;
use keywright_core::time::Span;

use super::{IDENTITY, Place, fill, lines, misleading, plainly};

/// What is asked over gRPC.
pub(super) fn over_grpc(places: &[Place<'_>], server: &Address) -> String {
    let about = "# For Envoy, as tried with 1.40: every request is asked about at Keywright before it goes on (ext_authz over gRPC).";
    let spoken = "    # The port is the one of everything else; it is gRPC that asks for HTTP/2.
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
";
    let filters = include_str!("envoy-grpc-filters.yaml").to_owned();
    // Keywright says itself what to take off, route by route.
    whole(places, server, Proxy::Envoy, [about, spoken, &filters])
}

/// What is asked over HTTP.
pub(super) fn over_http(places: &[Place<'_>], server: &Address) -> String {
    let about = "# For Envoy, as tried with 1.40: every request is asked about at Keywright before it goes on (ext_authz over HTTP).
# `keywright gateway snippet envoy` asks over gRPC, which tells the real refusal where Keywright itself fails, too.";
    let off = |pattern: String| {
        format!("                - remove_on_match: {{ key_matcher: {{ safe_regex: {{ regex: '{pattern}' }} }} }}")
    };
    let aliases = ["x[^a-z0-9-]api[^a-z0-9]key", "x[^a-z0-9]api[^a-z0-9-]key", "x[^a-z0-9]forwarded[^a-z0-9].*"];
    let names = IDENTITY.into_iter().chain(misleading()).map(|name| name.replace('-', "[^a-z0-9]"));
    let holes = [
        ("OFF", lines(names.chain(aliases.map(str::to_owned)), off)),
        ("IDENTITY", lines(IDENTITY, |name| format!("                    - exact: {name}"))),
    ];
    let filters = fill(include_str!("envoy-http-filters.yaml"), &holes);
    whole(places, server, Proxy::EnvoyHttp, [about, "", &filters])
}

fn whole(places: &[Place<'_>], server: &Address, proxy: Proxy, [about, spoken, filters]: [&str; 3]) -> String {
    let mut named: Vec<Option<&str>> = Vec::new();
    for place in places {
        let host = place.route.host.as_deref();
        if host.is_some() && !named.contains(&host) {
            named.push(host);
        }
    }
    let hosts: String = named.into_iter().chain([None]).map(|host| virtual_host(places, host, proxy)).collect();
    let clusters: String = places.iter().map(cluster).collect();
    let holes = [
        ("ABOUT", format!("{about}\n")),
        ("DIALECT", format!("#   dialects = [\"{}\"]\n", proxy.name())),
        ("FILTERS", filters.to_owned()),
        ("HOSTS", hosts),
        ("SPOKEN", spoken.to_owned()),
        ("TYPE", format!("    type: {}\n", kind(std::slice::from_ref(server)))),
        ("ENDPOINT", endpoint(server)),
        ("CLUSTERS", clusters),
    ];
    fill(include_str!("envoy.yaml"), &holes)
}

/// What is asked for at a host, or at any other.
fn virtual_host(places: &[Place<'_>], host: Option<&str>, proxy: Proxy) -> String {
    let (name, domains) = match host {
        Some(host) => (host, format!("\"{host}\", \"{host}.\"")),
        None => ("any", "\"*\"".to_owned()),
    };
    let ways = places.iter().filter(|place| place.route.host.is_none() || place.route.host.as_deref() == host);
    let ways: String = ways.map(|place| way(place, proxy)).collect();
    format!(
        "            - name: \"{name}\"\n              domains: [{domains}]\n              routes:\n{ways}              \
         # Where none fits, Keywright is asked all the same, and says why not.\n              - match: {{ prefix: \"/\" }}\n\
         \x20               direct_response: {{ status: 404 }}\n"
    )
}

fn way(Place { route, forwards_credential, .. }: &Place<'_>, proxy: Proxy) -> String {
    let matched = if route.path.is_empty() {
        "prefix: \"/\"".to_owned()
    } else {
        format!("path_separated_prefix: \"{}\"", route.path)
    };
    let mut text = format!("              # route.{}\n              - match: {{ {matched} }}\n", route.name);
    if proxy == Proxy::EnvoyHttp && !forwards_credential {
        text.push_str("                request_headers_to_remove: [authorization, x-api-key]\n");
    }
    let idle = seconds(route.timeouts.idle);
    let _ = writeln!(text, "                route:\n                  cluster: keywright_{}", route.name);
    // A body may take as long as it likes, as long as it goes on.
    let _ = writeln!(text, "                  timeout: 0s\n                  idle_timeout: {idle}");
    if route.strip {
        let begins = plainly(&route.path);
        let _ = writeln!(text, "                  regex_rewrite:");
        let _ = writeln!(
            text,
            "                    pattern: {{ regex: '^{begins}/?' }}\n                    substitution: /"
        );
    }
    if route.websocket {
        text.push_str("                  upgrade_configs: [{ upgrade_type: websocket }]\n");
    }
    text
}

fn cluster(Place { route, addresses, .. }: &Place<'_>) -> String {
    let endpoints: String = addresses.iter().map(endpoint).collect();
    format!(
        "  - name: keywright_{name}\n    type: {kind}\n    connect_timeout: {connect}\n    load_assignment:\n      \
         cluster_name: keywright_{name}\n      endpoints:\n      - lb_endpoints:\n{endpoints}",
        name = route.name,
        kind = kind(addresses),
        connect = seconds(route.timeouts.connect),
    )
}

/// Whether names are looked up.
fn kind(addresses: &[Address]) -> &'static str {
    let is_ip = |address: &Address| host_and_port(address).0.parse::<IpAddr>().is_ok();
    if addresses.iter().all(is_ip) { "STATIC" } else { "STRICT_DNS" }
}

fn endpoint(address: &Address) -> String {
    let (host, port) = host_and_port(address);
    format!("        - endpoint: {{ address: {{ socket_address: {{ address: \"{host}\", port_value: {port} }} }} }}\n")
}

fn host_and_port(address: &Address) -> (&str, &str) {
    let named = address.authority.rsplit_once(':');
    let named = named.filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let (host, port) = named.unwrap_or((&address.authority, "80"));
    (host.trim_matches(['[', ']']), port)
}

fn seconds(span: Span) -> String {
    format!("{}.{:03}s", span.millis() / 1_000, span.millis() % 1_000)
}
