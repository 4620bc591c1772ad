//! Caddy, Traefik and `HAProxy`.

use std::fmt::Write as _;

use super::{IDENTITY, Place, beneath, fill, lines, misleading, plainly};

/// `x-key-id` as people write it.
fn shown(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    });
    parts.collect::<Vec<_>>().join("-")
}

/// What every spelling of an identity header begins with, but for the plain ones.
fn beginnings() -> Vec<String> {
    let mut all: Vec<String> = vec!["X_".into(), "X.".into()];
    for name in IDENTITY {
        let begins: String = shown(name).split('-').take(2).collect::<Vec<_>>().join("-");
        for other in ["_", "."] {
            let begins = format!("{begins}{other}");
            if !all.contains(&begins) {
                all.push(begins);
            }
        }
    }
    all
}

pub(super) fn caddy(places: &[Place<'_>]) -> String {
    let mut routes = String::new();
    for Place { route, addresses, forwards_credential } in places {
        let name = &route.name;
        let _ = writeln!(routes, "\n\t\t# route.{name}\n\t\t@{name} {{");
        let _ = writeln!(routes, "\t\t\tpath_regexp {name} {}", beneath(&route.path));
        if let Some(host) = &route.host {
            let _ = writeln!(routes, "\t\t\theader_regexp {name}_host Host (?i)^{}\\.?(:[0-9]+)?$", plainly(host));
        }
        let _ = writeln!(routes, "\t\t}}\n\t\thandle @{name} {{");
        if route.websocket {
            let _ = writeln!(routes, "\t\t\trequest_header Connection Upgrade");
        } else {
            let _ = writeln!(routes, "\t\t\trequest_header -Connection\n\t\t\trequest_header -Upgrade");
        }
        if !forwards_credential {
            let _ = writeln!(routes, "\t\t\trequest_header -Authorization\n\t\t\trequest_header -X-API-Key");
        }
        if route.strip {
            let _ = writeln!(routes, "\t\t\turi strip_prefix {}", route.path);
        }
        let to: Vec<&str> = addresses.iter().map(|address| address.authority.as_str()).collect();
        let _ = writeln!(routes, "\t\t\treverse_proxy {}\n\t\t}}", to.join(" "));
    }
    let holes = [
        ("OFF", lines(IDENTITY, |name| format!("\t\trequest_header -{}", shown(name)))),
        ("ALIASES", lines(beginnings(), |begins| format!("\t\trequest_header -{begins}*"))),
        ("MISLEADING", lines(misleading(), |name| format!("\t\trequest_header -{}", shown(name)))),
        ("COPY", format!("\t\t\tcopy_headers {}\n", IDENTITY.map(shown).join(" "))),
        ("ROUTES", routes),
    ];
    fill(include_str!("Caddyfile"), &holes)
}

pub(super) fn haproxy(places: &[Place<'_>]) -> String {
    let (mut rules, mut backends) = (String::new(), String::new());
    for Place { route, addresses, forwards_credential } in places {
        let name = &route.name;
        let host = route
            .host
            .as_ref()
            .map_or(String::new(), |host| format!(" {{ req.hdr(host) -m reg -i ^{}\\.?(:[0-9]+)?$ }}", plainly(host)));
        let _ = writeln!(rules, "    use_backend keywright_{name} if {{ path -m reg {} }}{host}", beneath(&route.path));
        let _ = writeln!(backends, "\nbackend keywright_{name}");
        if !forwards_credential {
            let _ =
                writeln!(backends, "    http-request del-header authorization\n    http-request del-header x-api-key");
        }
        if !route.websocket {
            let _ = writeln!(backends, "    http-request del-header upgrade");
        }
        if route.strip {
            let _ = writeln!(backends, "    http-request replace-path ^{}/?(.*) /\\1", plainly(&route.path));
        }
        for (address, number) in addresses.iter().zip(1..) {
            let _ = writeln!(backends, "    server s{number} {}", address.authority);
        }
    }
    fill(include_str!("haproxy.cfg"), &[("RULES", rules), ("BACKENDS", backends)])
}

pub(super) fn script() -> String {
    let list = |name: &str| format!("    \"{name}\",");
    let holes = [("IDENTITY", lines(IDENTITY, list)), ("MISLEADING", lines(misleading(), list))];
    fill(include_str!("keywright.lua"), &holes)
}

pub(super) fn traefik(places: &[Place<'_>]) -> String {
    let (mut routers, mut services, mut strips) = (String::new(), String::new(), String::new());
    for (Place { route, addresses, forwards_credential }, before) in places.iter().zip(1..) {
        let name = &route.name;
        let path = if route.path.is_empty() {
            "PathPrefix(`/`)".to_owned()
        } else {
            format!("(Path(`{path}`) || PathPrefix(`{path}/`))", path = route.path)
        };
        let host = route.host.as_ref().map_or(String::new(), |host| format!("Host(`{host}`) && "));
        let mut then = vec!["keywright-clean".to_owned(), "keywright".into()];
        if !forwards_credential {
            then.push("keywright-keep".into());
        }
        if route.strip {
            then.push(format!("{name}-strip"));
            let _ = writeln!(strips, "    {name}-strip:\n      stripPrefix:\n        prefixes: [\"{}\"]", route.path);
        }
        let _ = writeln!(routers, "    {name}:\n      rule: \"{host}{path}\"\n      priority: {}", 10_000 - before);
        let _ = writeln!(routers, "      middlewares: [{}]\n      service: {name}", then.join(", "));
        let servers = lines(addresses, |address| format!("          - url: \"http://{}\"", address.authority));
        let _ = write!(services, "    {name}:\n      loadBalancer:\n        servers:\n{servers}");
    }
    let holes = [
        ("ROUTERS", routers),
        ("SERVICES", services),
        ("STRIPS", strips),
        ("OFF", lines(IDENTITY.into_iter().chain(misleading()), |name| format!("          {}: \"\"", shown(name)))),
        ("ALIASES", lines(aliases(), |name| format!("          {name}: \"\""))),
        ("COPY", lines(IDENTITY, |name| format!("          - {}", shown(name)))),
    ];
    fill(include_str!("traefik.yaml"), &holes)
}

/// Every spelling of an identity header but the plain one: Traefik takes no pattern here.
fn aliases() -> Vec<String> {
    let mut all = Vec::new();
    for name in IDENTITY {
        let mut spelled = vec![String::new()];
        for part in shown(name).split('-') {
            let joins: &[&str] = if spelled.iter().all(String::is_empty) { &[""] } else { &["-", "_", "."] };
            spelled =
                spelled.iter().flat_map(|begun| joins.iter().map(move |join| format!("{begun}{join}{part}"))).collect();
        }
        all.extend(spelled.into_iter().filter(|spelling| *spelling != shown(name)));
    }
    all
}
