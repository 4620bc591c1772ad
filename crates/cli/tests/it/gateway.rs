//! `gateway snippet`.

use crate::support::Desk;

#[test]
fn a_configuration_is_printed_of_the_policy_and_asks_nobody() {
    let (desk, _) = Desk::with_config();
    desk.run(&["gateway", "snippet", "nginx"]).fails(2, "the policy has no routes");
    let policy = desk.path("policy.toml");
    let written = std::fs::read_to_string(&policy).unwrap();
    let asked = "[forward_auth]\ndialects = [\"nginx\"]\npeers = [\"127.0.0.1\"]\n";
    let routes = "[route.t]\npath = \"/v1/t\"\nupstream = \"files\"\nmethods = { GET = [] }\n";
    std::fs::write(&policy, format!("{written}\n{asked}{routes}")).unwrap();
    desk.run(&["gateway", "snippet", "nginx"]).fails(2, "the configuration has no upstream `files`");
    std::fs::write(&policy, format!("{written}\n{asked}{}", routes.replace("upstream = \"files\"\n", ""))).unwrap();
    desk.run(&["gateway", "snippet", "nginx"]).fails(2, "add --upstream");
    let listens = "listen = \"127.0.0.1:8765\"\n[upstreams]\nfiles = \"http://10.0.0.5:9000\"\n";
    std::fs::write(desk.path("keywright.toml"), listens).unwrap();
    std::fs::write(&policy, format!("{written}\n{asked}{routes}")).unwrap();
    // Nobody listens at either address.
    for (args, server, upstream) in [
        (&["gateway", "snippet", "nginx"][..], "127.0.0.1:8765", "10.0.0.5:9000"),
        (
            &["gateway", "snippet", "nginx", "--server", "http://10.0.0.2:1/", "--upstream", "http://10.0.0.6:2"],
            "10.0.0.2:1",
            "10.0.0.6:2",
        ),
    ] {
        let printed = desk.run(args);
        assert_eq!(printed.code, 0, "{printed:?}");
        for line in
            [format!("    server {server};"), format!("    server {upstream};"), "    location ~ ^/v1/t(/|$) {".into()]
        {
            assert!(printed.stdout.lines().any(|found| found == line), "{line} is missing in {}", printed.stdout);
        }
    }
    for (proxy, line) in [
        ("caddy", "forward_auth 127.0.0.1:8765 {"),
        ("traefik", "address: \"http://127.0.0.1:8765/forward-auth/traefik\""),
        ("haproxy", "http-request lua.keywright"),
        ("envoy", "#   dialects = [\"envoy\"]"),
        ("envoy", "- endpoint: { address: { socket_address: { address: \"127.0.0.1\", port_value: 8765 } } }"),
        ("envoy", "- endpoint: { address: { socket_address: { address: \"10.0.0.5\", port_value: 9000 } } }"),
        ("envoy-http", "#   dialects = [\"envoy-http\"]"),
        ("envoy-http", "uri: http://127.0.0.1:8765"),
        ("haproxy-script", "local URL = \"http://127.0.0.1:8765/forward-auth/haproxy\""),
    ] {
        let printed = desk.run(&["gateway", "snippet", proxy]);
        assert!(printed.stdout.lines().any(|found| found.trim() == line), "{line} is missing in {printed:?}");
    }
    desk.run(&["gateway", "snippet", "nginx", "--server", "https://keys.example.com"]).fails(2, "plain HTTP");
}
