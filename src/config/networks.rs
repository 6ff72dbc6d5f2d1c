//! A list of networks, such as those of trusted proxies. Depends on nothing of the crate.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Networks. An address without a prefix length is a network with one address.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Networks(pub Vec<IpNet>);

impl Networks {
    /// Returns whether one of the networks contains the address. `::ffff:a.b.c.d` is the IPv4 address
    /// `a.b.c.d`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let network = |text: &String| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
                let example = "give networks such as 10.0.0.0/8 or addresses such as 192.168.1.7";
                D::Error::custom(format!("{text:?} is neither a network nor an address: {example}"))
            })
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_contained_in_its_network() {
        let texts = ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8"];
        let networks = Networks(texts.map(|text| text.parse().unwrap()).to_vec());
        let contains = |address: &str| networks.contains(address.parse().unwrap());
        for address in ["10.1.2.3", "192.168.1.7", "fd12::1", "::ffff:10.1.2.3"] {
            assert!(contains(address), "{address}");
        }
        for address in ["11.0.0.1", "192.168.1.8", "fe80::1", "::ffff:11.0.0.1"] {
            assert!(!contains(address), "{address}");
        }
    }
}
