//! The certificate of a server that speaks HTTPS: whether it holds, for how long, and for what name.

use keywright_app::clock::Clock;
use keywright_server::{Standing, Unfit};

use super::Findings;
use crate::place::Place;
use crate::tls::{TlsFiles, out_of_time};

const CHECK: &str = "certificate";

/// Checks the files of `[tls]`, where there is one.
pub(super) fn check(place: &Place, found: &mut Findings) {
    let Some(tls) = &place.tls else { return };
    certificate(place, tls, found);
    if tls.key_is_exposed() {
        let key = tls.files.key.display();
        found.warn("certificate key", format!("{key} can be read by others"), format!("chmod 600 {key}"));
    }
}

fn certificate(place: &Place, tls: &TlsFiles, found: &mut Findings) {
    let now = Clock::System.now();
    let pair = match tls.files.read() {
        Ok(pair) => pair,
        Err(unfit) => {
            let mend = match unfit {
                Unfit::Certificate(_) => {
                    "put the server's certificate there, in PEM, and after it those that lead to its authority"
                }
                Unfit::Key(_) => "put the certificate's own private key there, in PEM and not encrypted",
            };
            return found.wrong(CHECK, unfit.to_string(), mend);
        }
    };
    let file = tls.files.certificate.display();
    let ends = format!("{file} holds until {}", pair.ends());
    match pair.standing(now) {
        Standing::Holds => found.ok(CHECK, ends),
        Standing::EndsSoon => {
            found.warn(CHECK, ends, "renew it: the server takes the new one up by itself within seconds");
        }
        Standing::Over | Standing::TooEarly => {
            let detail = format!("{file} {}", out_of_time(&pair, now));
            found.wrong(CHECK, detail, "renew it: the server takes the new one up by itself within seconds");
        }
    }
    let Some(url) = place.public_url.as_deref() else { return };
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = keywright_core::route::host_of(host);
    if !pair.is_for(host) {
        let detail = format!("{file} is not for {host}, which public_url names");
        found.warn(
            "certificate name",
            detail,
            "have the authority put that name into it, or name another in public_url",
        );
    } else if url.starts_with("http://") {
        found.warn("certificate name", format!("public_url is {url}"), format!("write https://{host}: links go there"));
    }
}
