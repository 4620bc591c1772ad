//! The policy's rules: the built-in policies are sound, and every mistake is told with its line and what to write.

use super::*;
use crate::external::Provisioning;
use crate::time::Time;

fn errors(text: &str) -> Vec<PolicyError> {
    Policy::parse(text).err().unwrap_or_default()
}

/// A sound policy with `more` beneath it, at line 4.
fn with(more: &str) -> String {
    format!("[kind.default]\nformat = \"kw_{{secret:26}}\"\n\n{more}")
}

/// A kind whose keys anybody can have at this rate; the rate is at line 6.
fn issued(rate: &str, more: &str) -> String {
    with(&format!("[kind.x]\nformat = \"x_{{secret:26}}\"\nissue = {{ per_ip = \"{rate}\" }}\n{more}"))
}

#[test]
fn the_built_in_policies_are_sound() {
    for text in [Policy::DEV, Policy::STARTER] {
        let policy = Policy::parse(text).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert!(policy.kind(DEFAULT_KIND).is_some());
        assert!(!policy.kind(OPERATOR_KIND).unwrap().1.format.literal_prefix().is_empty());
    }
}

#[test]
fn people_are_told_that_keys_end_unless_the_policy_says_otherwise() {
    let tells = |more: &str| Policy::parse(&with(more)).unwrap().tells_of_ends;
    assert!(tells("") && tells("[letters]") && tells("[letters]\nending_keys = true"));
    assert!(!tells("[letters]\nending_keys = false"));
}

#[test]
fn a_mistake_is_told_with_its_line_and_what_to_write() {
    for (text, line, says) in [
        (with("[kind.x]\nformat = \"x_{secret:26}\"\ncolour = 1"), 6, "colour"),
        (with("[letters]\nending_keys = \"yes\""), 5, "bool"),
        (with("[letters]\nending = true"), 5, "ending_keys"),
        (with("[kind.x]\nformat = \"x_{secret:2}\""), 5, "128"),
        (with("[kind.x]\nformat = \"kw_{secret:26}\""), 2, "also be a"),
        (with("[kind.X]\nformat = \"x_{secret:26}\""), 4, "lowercase"),
        (with("[kind.operator]\nformat = \"x_{secret:26}\""), 4, "built in"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nroles = [\"boss\"]"), 6, "[role.boss]"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\npermissions = [\"a:b\"]"), 6, "[permission.\"a:b\"]"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nopen_permissions = 1"), 6, "bool"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nrotation = { grace = \"soon\" }"), 6, "30d"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nlockout = { key = \"often\" }"), 6, "10 in 5m for 15m"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nlimit = { made_per_person = \"often\" }"), 6, "5 in 1m"),
        (with("[member.developer]\npermissions = [\"a:b\"]"), 5, "[permission.\"a:b\"]"),
        (with("[member.boss]\npermissions = []"), 4, "owner"),
        (with("[login]\nname = \"a:b\""), 5, "colon"),
        (with("[login]\nidle = \"5m\""), 5, "1h"),
        (with("[login]\nsession = \"500d\""), 5, "400d"),
        (with("[login]\nlockout = { person = \"never\" }"), 5, "10 in 5m for 15m"),
        (with("[login]\npassword = \"8\""), 5, "password"),
        (with("[login]\nverify_link = \"https://example.com/\""), 5, "{token}"),
        (with("[login]\njoin_link = \"https://example.com/\""), 5, "{token}"),
        (with("[login]\nreset_link = \"http://example.com/{token}\""), 5, "https"),
        (with("[tokens]\nalgorithm = \"none\""), 5, "EdDSA, ES256 or HS256"),
        (with("[tokens]\nexchanged = \"16m\""), 5, "15m"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nshown = 20"), 6, "at most 8"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nenvironments = [\"live\", \"test\"]"), 5, "{environment}"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nlimit = { requires = [\"rich\"] }"), 6, "subscription-or-credits"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nlimit = { counted_as = \"y\" }"), 6, "live_keys_per_account"),
        (
            with("[kind.x]\nformat = \"x_{secret:26}\"\nlimit = { live_keys_per_account = 1, counted_as = \"y\" }"),
            6,
            "no other kind",
        ),
        (
            with(
                "[kind.x]\nformat = \"x_{secret:26}\"\nlimit = { live_keys_per_account = 1, counted_as = \"z\" }\n\
                 [kind.y]\nformat = \"y_{secret:26}\"\nlimit = { live_keys_per_account = 2, counted_as = \"z\" }",
            ),
            9,
            "same live_keys_per_account",
        ),
        (issued("often", "expiry = { default = \"1h\", longest = \"1h\" }"), 6, "5 in 1m"),
        (issued("0 in 1m", "expiry = { default = \"1h\", longest = \"1h\" }"), 6, "1 or more"),
        (issued("5 in 2y", "expiry = { default = \"1h\", longest = \"1h\" }"), 6, "366d"),
        (issued("5 in 1m", ""), 6, "add expiry"),
        (issued("5 in 1m", "expiry = { default = \"1h\" }"), 6, "add expiry"),
        (issued("5 in 1m", "limit = { requires = [\"active\"] }"), 6, "no customer"),
        (with("[kind.x]\nformat = \"x_{secret:26}\"\nissue = { per_hour = \"5 in 1m\" }"), 6, "per_ip"),
        (with("[permission.\"a:b\"]\nimplies = [\"a:c\"]"), 5, "[permission.\"a:c\"]"),
        (with("[permission.ab]"), 4, "resource:action"),
        (with("[service.s]\npermissions = [\"s:*\"]"), 5, "not declared"),
        (with("[service.s]\naliases = [\"t\"]\n[service.t]"), 5, "already names"),
        ("[kind.x]\nformat = \"x_{secret:26}\"".into(), 1, "[kind.default]"),
        ("[kind.default\n".into(), 1, ""),
    ] {
        let errors = errors(&text);
        let found = errors.iter().any(|error| error.line == line && error.message.contains(says));
        assert!(found, "{text}\nshould say `{says}` at line {line}, said {errors:?}");
    }
}

/// An issuer with these lines, the first of them at line 6, and an audience where none of them is one.
fn issuer(lines: &str) -> String {
    let audience = if lines.contains("audience") { "" } else { "\naudience = [\"kw\"]" };
    with(&format!("[issuer.main]\nurl = \"https://id.example\"\n{lines}{audience}"))
}

#[test]
fn a_mistake_in_an_issuer_is_told_with_its_line_and_what_to_write() {
    let url = |url: &str| with(&format!("[issuer.main]\nurl = \"{url}\"\naudience = [\"kw\"]"));
    for (text, line, says) in [
        (url("http://id.example"), 5, "write https"),
        (url("http://127.0.0.1.example"), 5, "write https"),
        (url("http://10.0.0.1:8080/realms/main"), 5, "write https"),
        (url("ftp://id.example"), 5, "https://host/path"),
        (url("id.example"), 5, "https://host/path"),
        (url("https://"), 5, "https://host/path"),
        (url("https://id.example:port"), 5, "https://host/path"),
        (url("https://id.example?realm=main"), 5, "leave out queries"),
        (url("https://id.example/#main"), 5, "leave out queries"),
        (url("https://id.example/ main"), 5, "leave out queries"),
        (url("https://ann:secret@id.example"), 5, "leave it out"),
        (with("[issuer.Main]\nurl = \"https://id.example\"\naudience = [\"kw\"]"), 4, "lowercase"),
        (with("[issuer.main]\naudience = [\"kw\"]"), 4, "url"),
        (with("[issuer.main]\nurl = \"https://id.example\""), 4, "audience is required"),
        (issuer("audience = []"), 6, "audience is empty"),
        (issuer("audience = [\"\"]"), 4, "empty name"),
        (issuer("audience = \"kw\""), 6, "sequence"),
        (issuer("algorithms = []"), 6, "algorithms is empty"),
        (issuer("algorithms = [\"none\"]"), 6, "no signature"),
        (issuer("algorithms = [\"RS256\", \"HS256\"]"), 6, "shared secret"),
        (issuer("algorithms = [\"HS512\"]"), 6, "shared secret"),
        (issuer("algorithms = [\"rs256\"]"), 6, "use ES256"),
        (issuer("algorithms = [\"ES512\"]"), 6, "use ES256"),
        (issuer("types = []"), 6, "1 to 16"),
        (issuer("types = [\"ID\"]"), 6, "no type of access tokens"),
        (issuer("types = [\"\"]"), 6, "at+jwt"),
        (issuer("account_claim = \"realm..org\""), 6, "realm.org"),
        (issuer("provisioning = \"anybody\""), 6, "automatic"),
        (issuer("role = \"boss\""), 6, "developer"),
        (issuer("jwks_uri = \"https://id.example/keys\""), 6, "jwks_uri"),
        (format!("{}\n[issuer.other]\nurl = \"https://id.example\"\naudience = [\"b\"]", issuer("")), 9, "leave one"),
    ] {
        let errors = errors(&text);
        let found = errors.iter().any(|error| error.line == line && error.message.contains(says));
        assert!(found, "{text}\nshould say `{says}` at line {line}, said {errors:?}");
    }
}

#[test]
fn an_issuer_is_strict_where_the_policy_is_silent() {
    let policy = Policy::parse(&issuer("")).unwrap();
    let main = policy.issuer("https://id.example").unwrap();
    assert_eq!((main.name.as_str(), main.types.as_slice()), ("main", ["at+jwt".to_owned()].as_slice()));
    assert_eq!((main.provisioning, main.role), (Provisioning::Invited, MemberRole::Developer));
    assert!(main.algorithms.len() == 4 && main.account_claim.is_empty());
    for other in ["https://id.example/", "https://ID.example", "http://id.example"] {
        assert!(policy.issuer(other).is_none(), "{other}");
    }
    for loopback in ["http://127.0.0.1:9000/realms/main", "http://[::1]:9000", "http://localhost:9000"] {
        let text = issuer("").replace("https://id.example", loopback);
        assert!(Policy::parse(&text).is_ok(), "{loopback}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = with("[kind.x]\nformat = \"x_{secret:2}\"\nroles = [\"boss\"]\nservices = [\"s\"]");
    assert_eq!(errors(&text).len(), 3);
}

#[test]
fn each_kind_of_key_is_told_from_the_others() {
    let policy = Policy::parse(Policy::DEV).unwrap();
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
    for kind in policy.kinds().iter().filter(|kind| !kind.format.is_open()) {
        let environment = kind.environments.first().map(String::as_str);
        for service in kind.services.iter().map(|name| Some(name.as_str())).chain([Some(SEVERAL_SERVICES)]) {
            let issued = kind.format.issue(environment, service, Time::from_millis(0), &mut rng);
            let (number, _) = policy.read(issued.key.reveal().as_bytes(), true).unwrap();
            assert_eq!(policy.kind_at(number).unwrap().name, kind.name);
        }
    }
}

#[test]
fn a_malformed_key_seems_to_be_of_the_kind_it_begins_like_most() {
    let policy = Policy::parse(Policy::DEV).unwrap();
    let seems = |key: &str| policy.kinds()[usize::from(policy.seems(key.as_bytes()))].name.as_str();
    assert_eq!((seems("wvs_live_0"), seems("wvs_trial_0"), seems("wvs_")), ("wavis", "wavis-trial", "wavis"));
    assert_eq!((seems("nothing of the kind"), seems("")), (DEFAULT_KIND, DEFAULT_KIND));
}

#[test]
fn the_open_kind_takes_part_only_once_there_are_imported_keys() {
    let policy = Policy::parse(Policy::DEV).unwrap();
    let foreign = b"sk_live_0123456789abcdef";
    assert!(policy.read(foreign, false).is_none());
    let (number, _) = policy.read(foreign, true).unwrap();
    assert_eq!(policy.kind_at(number).unwrap().name, "imported");
    assert!(policy.read(b"kw_live_0123456789abcdef", true).is_none(), "it begins like a native key");
    assert!(policy.read(b"", true).is_none());
}

#[test]
fn kinds_that_are_counted_as_one_know_each_other() {
    let policy = Policy::parse(Policy::DEV).unwrap();
    let counted = |kind: &str| policy.kind(kind).unwrap().1.counted_kinds.clone();
    let together = ["wayscloud-account", "wayscloud-pat", "wayscloud-service"];
    assert_eq!([counted("wayscloud-pat"), counted("wayscloud-service")], [together, together]);
    assert_eq!(counted("wavis"), ["wavis"]);
}

#[test]
fn services_have_aliases_and_kinds_may_say_what_a_service_gives() {
    let policy = Policy::parse(Policy::DEV).unwrap();
    assert_eq!(policy.service("llm-api"), Some("llm"));
    assert_eq!(policy.service("nope"), None);
}

/// A route with these lines besides those it needs; the first of them is at line 9.
fn route(more: &str) -> String {
    let needs = "[permission.\"a:read\"]\n[route.x]\npath = \"/x\"\nupstream = \"http://127.0.0.1:1\"\n";
    with(&format!("{needs}methods = {{ GET = \"a:read\" }}\n{more}"))
}

#[test]
fn a_mistake_in_a_route_is_told_with_its_line_and_what_to_write() {
    let path = |path: &str| route("").replace("\"/x\"", &format!("\"{path}\""));
    let upstream = |upstream: &str| route("").replace("\"http://127.0.0.1:1\"", upstream);
    let methods = |methods: &str| route("").replace("{ GET = \"a:read\" }", methods);
    let second = |more: &str| {
        route(&format!("\n[route.y]\npath = \"/x\"\nupstream = \"y\"\nmethods = {{ GET = \"a:read\" }}\n{more}"))
    };
    for (text, line, says) in [
        (route("colour = 1"), 9, "colour"),
        (path("x"), 6, "plain letters"),
        (path("/x/"), 6, "without a slash"),
        (path("/x/{id}"), 6, "no patterns"),
        (path("/x/../y"), 6, "plain letters"),
        (path("/%78"), 6, "plain letters"),
        (upstream("\"ftp://a\""), 7, "https://host:443"),
        (upstream("\"http://u:p@a\""), 7, "http://10.0.0.5:9000"),
        (upstream("[]"), 7, "1 to 16"),
        (upstream("[\"a\", \"a\"]"), 7, "twice"),
        (upstream("\"A\""), 7, "lowercase"),
        (upstream("3"), 7, "a text or a list"),
        (methods("{}"), 8, "methods is empty"),
        (methods("{ get = \"a:read\" }"), 8, "use GET"),
        (methods("{ TRACE = \"a:read\" }"), 8, "use GET"),
        (methods("{ GET = \"a:write\" }"), 8, "add [permission.\"a:write\"]"),
        (methods("{ GET = [\"a:*\"] }"), 8, "a:*"),
        (methods("{ GET = { permissions = [], cost = 9999999 } }"), 8, "1000000"),
        (methods("{ GET = { cost = 1 } }"), 8, "a permission"),
        (route("kinds = [\"nope\"]"), 9, "use operator, default"),
        (route("kinds = []"), 9, "nobody could"),
        (route("host = \"API.example.com\""), 9, "lowercase"),
        (route("host = \"api.example.com:443\""), 9, "without a port"),
        (route("errors = \"html\""), 9, "wayscloud"),
        (route("timeout = { header = \"1ms\" }"), 9, "100ms"),
        (route("timeout = { read = \"1s\" }"), 9, "read"),
        (route("body_limit = \"10\""), 9, "10MB"),
        (route("body_limit = \"99999999999GB\""), 9, "10MB"),
        (route("assertion = \"\""), 9, "1 to 200"),
        (route("assertion = \"a b\""), 9, "visible letters"),
        (route("assertion = 1"), 9, "whom it is for"),
        (second(""), 11, "route.x already"),
        (second("kinds = [\"default\"]"), 11, "route.x already"),
    ] {
        let errors = errors(&text);
        let found = errors.iter().any(|error| error.line == line && error.message.contains(says));
        assert!(found, "{text}\nshould say `{says}` at line {line}, said {errors:?}");
    }
}

#[test]
fn a_route_that_proxies_ask_about_leads_nowhere_and_who_asks_is_listed() {
    let nowhere = |more: &str| route(more).replace("upstream = \"http://127.0.0.1:1\"\n", "\n");
    let asked =
        |dialects: &str, peers: &str| nowhere(&format!("[forward_auth]\ndialects = {dialects}\npeers = {peers}\n"));
    let sound = asked("[\"nginx\", \"envoy\"]", "[\"10.0.0.7\", \"fd00::/64\"]");
    let policy = Policy::parse(&sound).unwrap();
    assert_eq!((policy.routes()[0].upstreams.len(), policy.routes()[0].line), (0, 6));
    assert!(policy.forward_auth().lists("10.0.0.7".parse().unwrap()));
    assert!(!policy.forward_auth().lists("10.0.0.8".parse().unwrap()));
    for (text, line, says) in [
        (nowhere(""), 6, "upstream is missing"),
        (asked("[]", "[\"10.0.0.7\"]"), 10, "dialects is empty"),
        (asked("[\"nginx\", \"nginx\"]", "[\"10.0.0.7\"]"), 10, "twice"),
        (asked("[\"apache\"]", "[\"10.0.0.7\"]"), 10, "apache"),
        (asked("[\"nginx\"]", "[]"), 11, "1 to 64"),
        (asked("[\"nginx\"]", "[\"proxy\"]"), 11, "10.0.0.7/32"),
        (asked("[\"nginx\"]", "[\"0.0.0.0/0\"]"), 11, "everybody"),
        (asked("[\"nginx\"]", "[\"::/0\"]"), 11, "everybody"),
        (asked("[\"nginx\"]", "[\"10.0.0.7\"]\nport = 1"), 12, "port"),
    ] {
        let errors = errors(&text);
        let found = errors.iter().any(|error| error.line == line && error.message.contains(says));
        assert!(found, "{text}\nshould say `{says}` at line {line}, said {errors:?}");
    }
}

#[test]
fn a_route_is_strict_where_the_policy_is_silent() {
    let policy = Policy::parse(&route("")).unwrap();
    let [route] = policy.routes() else { panic!("one route") };
    assert_eq!((route.kinds.as_slice(), route.body_limit, route.line), (["default".to_owned()].as_slice(), 1 << 30, 7));
    assert!(!(route.people || route.strip || route.preflight || route.websocket || route.forward_credential));
    assert_eq!((route.toll("GET").unwrap().cost, route.toll("HEAD"), route.toll("POST")), (1, route.toll("GET"), None));
}

#[test]
fn an_assertion_is_for_the_route_unless_it_says_for_whom() {
    for (more, audience) in [
        ("", None),
        ("assertion = false", None),
        ("assertion = true", Some("x")),
        ("assertion = \"https://reports.internal\"", Some("https://reports.internal")),
    ] {
        let policy = Policy::parse(&route(more)).unwrap();
        assert_eq!(policy.routes()[0].assertion.as_deref(), audience, "{more}");
    }
}

#[test]
fn the_longest_path_wins_and_a_host_of_its_own_before_that() {
    let more = "[permission.\"a:read\"]\n".to_owned()
        + &[("all", "/", ""), ("a", "/a", ""), ("ab", "/a/b", ""), ("hosted", "/a", "host = \"h.example\"\n")]
            .map(|(name, path, more)| {
                format!("[route.{name}]\npath = \"{path}\"\n{more}upstream = \"u\"\nmethods = {{ GET = \"a:read\" }}\n")
            })
            .concat();
    let policy = Policy::parse(&with(&more)).unwrap();
    for (host, plain, name) in [
        ("", "/", "all"),
        ("", "/ab", "all"),
        ("", "/a", "a"),
        ("", "/a/", "a"),
        ("", "/a/bc", "a"),
        ("", "/a/b", "ab"),
        ("h.example", "/a/b", "hosted"),
        ("h.example", "/b", "all"),
        ("i.example", "/a/b/c", "ab"),
    ] {
        let found: Vec<&str> = policy.routes_for(host, plain).iter().map(|route| route.name.as_str()).collect();
        assert_eq!(found, [name], "{host} {plain}");
    }
    let route = &policy.routes_for("", "/a/b")[0];
    assert_eq!(
        (route.beyond("/a/b/c"), route.beyond("/%61/b/c"), route.beyond("/a/b;v/c")),
        (Some("/a/b/c"), None, None)
    );
}

#[test]
fn two_providers_share_a_path() {
    let policy = Policy::parse(Policy::DEV).unwrap();
    let names: Vec<&str> = policy.routes_for("", "/v1/databases/x").iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["wayscloud-databases", "cloudheed-databases"]);
    assert_eq!(
        policy.routes_for("", "/v1/storage/b").first().and_then(|route| route.beyond("/v1/storage/b")),
        Some("/b")
    );
    assert_eq!(policy.routes_for("", "/v1/storage").first().and_then(|route| route.beyond("/v1/storage")), Some("/"));
}
