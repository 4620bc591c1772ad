//! Forward-auth: proxies that have the requests themselves, and ask of each whether it may pass.
//!
//! What must stay true: a proxy's word on what a client asked for is read in that proxy's own way, never in one that is
//! guessed at, and is taken from listed addresses alone.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// Who may ask, and how. By default nobody may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardAuth {
    /// The ways of asking that are answered.
    pub dialects: Vec<Proxy>,
    /// Where those who ask connect from.
    pub peers: Vec<IpNet>,
}

/// A proxy, by its way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// nginx: `auth_request`.
    Nginx,
    /// Caddy: `forward_auth`.
    Caddy,
    /// Traefik: `ForwardAuth`.
    Traefik,
    /// `HAProxy`, by a script in Lua.
    Haproxy,
    /// Envoy: `ext_authz` over gRPC.
    Envoy,
    /// Envoy: `ext_authz` over HTTP.
    EnvoyHttp,
}

impl Proxy {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Nginx, Self::Caddy, Self::Traefik, Self::Haproxy, Self::Envoy, Self::EnvoyHttp];

    /// Its name in the policy and in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::EnvoyHttp => "envoy-http",
        }
    }
}

impl ForwardAuth {
    /// Whether this way of asking is answered.
    #[must_use]
    pub fn answers(&self, proxy: Proxy) -> bool {
        self.dialects.contains(&proxy)
    }

    /// Whether a connection from here may ask.
    #[must_use]
    pub fn lists(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.peers.iter().any(|net| net.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_its_one_spelling() {
        let who = ForwardAuth { dialects: Vec::new(), peers: vec!["10.0.0.0/8".parse().unwrap()] };
        for (peer, listed) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.1.2.3", false), ("::1", false)] {
            assert_eq!(who.lists(peer.parse().unwrap()), listed, "{peer}");
        }
        assert!(!ForwardAuth::default().lists("127.0.0.1".parse().unwrap()));
    }
}
