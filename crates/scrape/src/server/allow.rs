//! Which machines a request from outside may make us ask.

use std::net::{IpAddr, SocketAddr};

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// `10.0.0.0/8`; an address alone is the network of that one. `None` for what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                self.bits == 0 || differ.checked_shr(32 - self.bits) == Some(0)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                self.bits == 0 || differ.checked_shr(128 - self.bits) == Some(0)
            }
            _ => false,
        }
    }
}

/// Networks whose addresses may be asked, on which ports, under which names.
///
/// Names alone decide nothing: whoever owns one says what it resolves to. So an address is judged,
/// the one that is then connected to.
///
/// ```
/// use tokenpath_scrape::server::{AllowList, Network};
///
/// let pods = Network::parse("10.0.0.0/8").unwrap();
/// let allow = AllowList::new([pods]).ports([8000]).hosts(["*.models.svc"]);
/// assert!(allow.allows("10.1.2.3:8000".parse()?));
/// assert!(!allow.allows("10.1.2.3:22".parse()?));
/// assert!(!allow.allows("169.254.169.254:8000".parse()?));
/// assert!(allow.allows_host("qwen.models.svc"));
/// assert!(!allow.allows_host("example.org"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    networks: Vec<Network>,
    ports: Vec<u16>,
    hosts: Vec<Box<str>>,
}

impl AllowList {
    /// Allows addresses in these networks, on any port, under any name. Without a network nothing is
    /// allowed.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self {
            networks: networks.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Only on these ports; on any where there is none.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// Only under these names, as they stand in the request; under any where there is none.
    /// `*.example.org` is every name below `example.org`. Addresses that stand in the place of a name
    /// are compared as text.
    #[must_use]
    pub fn hosts<H: AsRef<str>>(mut self, patterns: impl IntoIterator<Item = H>) -> Self {
        let lower = |pattern: H| pattern.as_ref().to_ascii_lowercase().into();
        self.hosts = patterns.into_iter().map(lower).collect();
        self
    }

    /// Whether this address may be connected to. An IPv4 address that is written as IPv6 is judged as
    /// what it is. The address that means "this machine" is in no network: it is another name for the
    /// loopback.
    #[must_use]
    pub fn allows(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.allows_port(address.port())
            && !ip.is_unspecified()
            && self.networks.iter().any(|network| network.contains(ip))
    }

    /// Whether this port may be connected to.
    #[must_use]
    pub fn allows_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Whether a target may be called this.
    #[must_use]
    pub fn allows_host(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_called = |pattern: &str| match pattern.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == pattern,
        };
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| is_called(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_alone() {
        for (network, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "fe80::1", true),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                is_in,
                "{network:?} {address}"
            );
        }
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "host/8",
            "10.0.0.0/-1",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_judged_as_what_they_are() {
        let networks = ["127.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).unwrap());
        let allow = AllowList::new(networks).ports([80, 8000]);
        for (address, allowed) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:8000", true),
            ("127.0.0.1:22", false),
            ("10.0.0.1:80", false),
            ("[::ffff:127.0.0.1]:80", true),
            ("[::ffff:10.0.0.1]:80", false),
            ("[::ffff:7f00:1]:80", true),
            ("[fd12::1]:80", true),
            ("[::1]:80", false),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
        ] {
            assert_eq!(allow.allows(address.parse().unwrap()), allowed, "{address}");
        }
        let all = AllowList::new(["0.0.0.0/0", "::/0"].map(|text| Network::parse(text).unwrap()));
        for this in ["0.0.0.0:80", "[::]:80", "[::ffff:0.0.0.0]:80"] {
            assert!(!all.allows(this.parse().unwrap()), "{this}");
        }
        // IPv6 networks do not hold IPv4 addresses in another spelling.
        let six = AllowList::new(Network::parse("::/0"));
        assert!(!six.allows("[::ffff:10.0.0.1]:80".parse().unwrap()));
        assert!(!AllowList::default().allows("127.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn names_are_whole_or_below_another() {
        let allow = AllowList::default().hosts(["gpu-1", "*.Example.org"]);
        for (host, allowed) in [
            ("gpu-1", true),
            ("GPU-1", true),
            ("gpu-1.", true),
            ("gpu-11", false),
            ("a.example.org", true),
            ("a.b.example.ORG.", true),
            ("example.org", false),
            (".example.org", false),
            ("badexample.org", false),
            ("a.example.org.evil.net", false),
            ("", false),
        ] {
            assert_eq!(allow.allows_host(host), allowed, "{host}");
        }
    }
}
