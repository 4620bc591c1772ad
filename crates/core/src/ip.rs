//! Addresses and allow-lists, in one canonical form: `::ffff:10.1.2.3` is `10.1.2.3`, on both sides.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Entries an allow-list may have.
pub const MAX_ENTRIES: usize = 256;

/// Reads an address and makes it canonical.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn parse_address(text: &str) -> Result<IpAddr, String> {
    let text = text.trim();
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical()),
        Err(_) => Err(format!("`{text}` is not an IP address: write it as 203.0.113.42 or 2001:db8::1")),
    }
}

/// Writes an address as `to_string` does, which takes several times as long for one of four numbers.
pub fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    let IpAddr::V4(address) = address else { return out.extend_from_slice(address.to_string().as_bytes()) };
    for (place, number) in address.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        let digits = [(100, 100), (10, 10), (0, 1)].into_iter().filter(|(least, _)| number >= *least);
        out.extend(digits.map(|(_, power)| b'0' + number / power % 10));
    }
}

/// The networks a key may be used from. Empty means everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpAllowlist(Box<[IpNet]>);

impl IpAllowlist {
    /// No restriction.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::default()
    }

    /// Whether there is no restriction.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// From single entries, each an address or a network in CIDR form.
    ///
    /// # Errors
    /// Names the first bad entry.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut networks = Vec::new();
        for entry in entries {
            let network = parse_network(entry.trim())?;
            if !networks.contains(&network) {
                networks.push(network);
            }
            if networks.len() > MAX_ENTRIES {
                return Err(format!(
                    "has more than {MAX_ENTRIES} entries: combine neighbours into networks, as in 203.0.113.0/24"
                ));
            }
        }
        Ok(Self(networks.into()))
    }

    /// Whether `address`, in canonical form, may use the key. An unknown address may not, where there is a restriction.
    #[must_use]
    pub fn allows(&self, address: Option<IpAddr>) -> bool {
        self.is_everywhere()
            || address.is_some_and(|address| self.0.iter().any(|network| network.contains(&address.to_canonical())))
    }

    /// Whether every address `other` allows is allowed here, too.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let covered = |network: &IpNet| self.0.iter().any(|mine| mine.contains(network));
        self.is_everywhere() || (!other.is_everywhere() && other.0.iter().all(covered))
    }

    /// The entries as they are shown: a single address without its `/32`.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|network| {
            if network.prefix_len() == network.max_prefix_len() {
                network.addr().to_string()
            } else {
                network.to_string()
            }
        })
    }
}

fn parse_network(entry: &str) -> Result<IpNet, String> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let wrong = || format!("`{entry}` is neither an IP address nor a network: write 203.0.113.42 or 203.0.113.0/24");
    let network: IpNet = entry.parse().map_err(|_| wrong())?;
    let network = match network {
        // A mapped network is the IPv4 one it stands for.
        IpNet::V6(six) if six.prefix_len() >= 96 => match six.addr().to_ipv4_mapped() {
            Some(four) => IpNet::new(four.into(), six.prefix_len() - 96).map_err(|_| wrong())?,
            None => network,
        },
        IpNet::V4(_) | IpNet::V6(_) => network,
    };
    let whole = network.trunc();
    if whole.addr() == network.addr() {
        Ok(whole)
    } else {
        Err(format!(
            "`{entry}` names a host inside a network: write the network {whole} or the address {}",
            network.addr()
        ))
    }
}

impl FromStr for IpAllowlist {
    type Err = String;

    /// Reads one address, one network, or several separated by commas; an empty text allows everywhere.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::everywhere());
        }
        Self::from_entries(text.split(','))
    }
}

impl fmt::Display for IpAllowlist {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, entry) in self.entries().enumerate() {
            write!(out, "{}{entry}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Serialize for IpAllowlist {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.entries())
    }
}

/// In JSON an allow-list is a list of entries, or one text with commas between them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of addresses and networks, or one text with commas between them")]
enum Written {
    Text(String),
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for IpAllowlist {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Written::deserialize(from)? {
            Written::Text(text) => text.parse(),
            Written::List(list) => Self::from_entries(list.iter().map(String::as_str)),
        }
        .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> IpAllowlist {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn written(address: IpAddr) -> String {
        let mut out = Vec::new();
        write_address(address, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for number in 0..=u8::MAX {
            let address = IpAddr::from([number, 0, 255 - number, 10]);
            assert_eq!(written(address), address.to_string());
        }
        assert_eq!(written(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])), "2001:db8::1");
    }

    #[test]
    fn takes_the_three_documented_forms() {
        assert_eq!(list("203.0.113.42").to_string(), "203.0.113.42");
        assert_eq!(list("203.0.113.0/24").to_string(), "203.0.113.0/24");
        assert_eq!(list("203.0.113.42, 198.51.100.10").to_string(), "203.0.113.42,198.51.100.10");
        assert!(list("  ").is_everywhere());
    }

    #[test]
    fn a_mapped_address_is_the_one_it_stands_for() {
        assert!(list("10.1.2.3").allows(at("::ffff:10.1.2.3")));
        assert!(list("::ffff:10.1.2.3").allows(at("10.1.2.3")));
        assert!(list("::ffff:10.1.2.0/120").allows(at("10.1.2.9")));
        assert_eq!(list("::ffff:10.1.2.0/120").to_string(), "10.1.2.0/24");
    }

    #[test]
    fn a_restricted_key_needs_a_known_address() {
        assert!(!list("10.0.0.0/8").allows(None));
        assert!(!list("10.0.0.0/8").allows(at("11.0.0.1")));
        assert!(list("2001:db8::/32").allows(at("2001:db8::7")));
        assert!(IpAllowlist::everywhere().allows(None));
    }

    #[test]
    fn a_list_contains_what_is_no_wider() {
        let wide = list("10.0.0.0/8,2001:db8::/32");
        assert!(wide.contains(&list("10.1.0.0/16, 2001:db8::7")) && wide.contains(&wide));
        assert!(!wide.contains(&list("10.0.0.0/7")) && !wide.contains(&list("10.0.0.1,11.0.0.1")));
        assert!(!wide.contains(&IpAllowlist::everywhere()), "an empty list is the widest");
        assert!(
            IpAllowlist::everywhere().contains(&wide) && IpAllowlist::everywhere().contains(&IpAllowlist::everywhere())
        );
    }

    #[test]
    fn a_bad_entry_is_named() {
        for (text, named) in [
            ("10.0.0.1,banana", "`banana`"),
            ("10.0.0.1/24", "10.0.0.0/24"),
            ("10.0.0.1,,", "``"),
            ("10.0.0.0/33", "`10.0.0.0/33`"),
        ] {
            let error = text.parse::<IpAllowlist>().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
