//! `[forward_auth]`: which proxies may ask, and from where.

use std::net::IpAddr;

use ipnet::IpNet;

use super::compile::Check;
use super::raw::RawPolicy;
use crate::forward_auth::{ForwardAuth, Proxy};

/// Networks that can be listed.
const MAX_PEERS: usize = 64;

pub(super) fn forward_auth(raw: &RawPolicy, check: &mut Check<'_>) -> ForwardAuth {
    let Some(said) = &raw.forward_auth else { return ForwardAuth::default() };
    let mut dialects: Vec<Proxy> = Vec::new();
    if said.dialects.get_ref().is_empty() {
        check.say(&said.dialects.span(), "dialects is empty: name the proxies that ask, as in dialects = [\"nginx\"]");
    }
    for dialect in said.dialects.get_ref() {
        if dialects.contains(dialect.get_ref()) {
            check.say(&dialect.span(), format!("`{}` is there twice", dialect.get_ref().name()));
        }
        dialects.push(*dialect.get_ref());
    }
    if !(1..=MAX_PEERS).contains(&said.peers.get_ref().len()) {
        let message = format!(
            "peers is where the proxies connect from, 1 to {MAX_PEERS} networks, as in peers = [\"10.0.0.7/32\"]"
        );
        check.say(&said.peers.span(), message);
    }
    let peers = said.peers.get_ref().iter().filter_map(|text| check.take(text, peer(text.get_ref()))).collect();
    ForwardAuth { dialects, peers }
}

fn peer(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = net
        .map_err(|_| format!("`{}` is neither an address nor a network: write 10.0.0.7/32", crate::clip(text)))?
        .trunc();
    // Whoever may ask says what was asked for, and by whom.
    if net.prefix_len() == 0 {
        return Err(format!("{net} is everybody: list the proxies alone, as in 10.0.0.7/32"));
    }
    Ok(net)
}
