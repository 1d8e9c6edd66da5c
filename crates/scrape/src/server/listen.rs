//! Listen addresses as Prometheus exporters take them, and errors that help when one is taken.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::{TcpListener, lookup_host};

/// Where to listen: `:9401` (all interfaces, IPv4 and IPv6), `127.0.0.1:9401`, `[::1]:9401`,
/// `localhost:9401` (all addresses of the name).
///
/// ```
/// use tokenpath_scrape::server::ListenAddress;
///
/// let address: ListenAddress = ":9401".parse()?;
/// assert_eq!(address.to_string(), ":9401");
/// assert!("9401".parse::<ListenAddress>().is_err());
/// # Ok::<(), tokenpath_scrape::server::ListenAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Without brackets; empty for all interfaces.
    host: String,
    port: u16,
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let error = || ListenAddressError(text.escape_debug().to_string());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| error())?.to_string(),
            None if host.contains([':', '/', '@', '[', ']'])
                || host.contains(char::is_whitespace) =>
            {
                return Err(error());
            }
            None => host.to_owned(),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A listen address that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a listen address: it is host:port, or :port for all interfaces; for instance :9401 or 127.0.0.1:9401"
)]
pub struct ListenAddressError(String);

/// Opens all addresses, or none.
///
/// # Errors
///
/// For the first one that cannot be opened.
pub async fn bind(addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let opened = if address.host.is_empty() {
            bind_all_interfaces(address.port)
                .await
                .map(|listener| vec![listener])
        } else {
            bind_name(&address.host, address.port).await
        };
        let opened = opened.map_err(|cause| BindError {
            address: address.clone(),
            ours: listeners
                .iter()
                .any(|listener| has_port(listener, address.port)),
            cause,
        })?;
        listeners.extend(opened);
    }
    Ok(listeners)
}

fn has_port(listener: &TcpListener, port: u16) -> bool {
    listener
        .local_addr()
        .is_ok_and(|address| address.port() == port)
}

/// IPv6 takes IPv4 too on all systems we know; machines without IPv6 get IPv4 alone.
async fn bind_all_interfaces(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Err(error) if !is_decisive(&error) => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        result => result,
    }
}

/// Every address of the name that this machine has: `localhost` is `::1` too where there is IPv6.
async fn bind_name(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let mut listeners = Vec::new();
    let mut last = None;
    for address in addresses {
        match TcpListener::bind(address).await {
            // A port that the system chooses is another one for each address: one is enough.
            Ok(listener) if port == 0 => return Ok(vec![listener]),
            Ok(listener) => listeners.push(listener),
            Err(error) if is_decisive(&error) => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if listeners.is_empty() => Err(error),
        None if listeners.is_empty() => Err(io::ErrorKind::AddrNotAvailable.into()),
        _ => Ok(listeners),
    }
}

/// Whether another address could not help.
fn is_decisive(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

/// An address that could not be listened on.
#[derive(Debug)]
pub struct BindError {
    address: ListenAddress,
    /// Whether another of our addresses has this port.
    ours: bool,
    cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            ours,
            cause,
        } = self;
        write!(f, "cannot listen on {address}: {cause}")?;
        match cause.kind() {
            io::ErrorKind::AddrInUse if *ours => f.write_str(
                "; it is given twice, or another address that is given includes it: leave one of them out",
            ),
            io::ErrorKind::AddrInUse => {
                match usual_owner(address.port) {
                    Some(owner) => write!(f, "; port {} is usually {owner}", address.port)?,
                    None => f.write_str("; another process has this port")?,
                }
                let other = ListenAddress { port: free_looking(address.port), ..address.clone() };
                write!(f, "; stop it, or choose another port with --web.listen-address={other}")
            }
            io::ErrorKind::PermissionDenied if address.port < 1024 => f.write_str(
                "; ports below 1024 need privileges: choose another with --web.listen-address=:9401",
            ),
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("; this machine does not have this address")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// The program that listens on a port by default, among those that live on the same machines.
const fn usual_owner(port: u16) -> Option<&'static str> {
    Some(match port {
        3000 => "Grafana or text-generation-inference",
        8000 => "vLLM",
        8080 => "Limitador or text-generation-inference",
        9090 => "Prometheus",
        9091 => "Pushgateway",
        9093 => "Alertmanager",
        9100 => "node_exporter",
        9102 => "statsd_exporter",
        9115 => "blackbox_exporter",
        9400 => "dcgm-exporter or gpu-exporter",
        9401 => "vllm-exporter",
        9402 => "tgi-exporter",
        9403 => "limitador-exporter",
        9404 => "gateway-exporter",
        9410 => "tokenpath serve or tokenpath demo",
        _ => return None,
    })
}

const fn free_looking(port: u16) -> u16 {
    if port < 55_535 {
        port + 10_000
    } else {
        port - 10_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_usual_forms() {
        for text in [
            ":9401",
            "127.0.0.1:0",
            "[::1]:80",
            "localhost:9401",
            "[::]:1",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "9401",
            "localhost",
            "::1:80",
            ":70000",
            ":-1",
            "[x]:1",
            "http://h:1",
            "a b:1",
            "[::1]",
        ] {
            let message = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(message.contains("for instance :9401"), "{message}");
        }
    }

    #[tokio::test]
    async fn says_who_may_have_the_port_and_how_to_take_another() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = bind(&[address.parse().unwrap()]).await.unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&address) && message.contains("another process"),
            "{message}"
        );
        assert!(
            message.contains("--web.listen-address=127.0.0.1:"),
            "{message}"
        );

        let cause = || io::ErrorKind::AddrInUse.into();
        let error = BindError {
            address: ":9400".parse().unwrap(),
            ours: false,
            cause: cause(),
        };
        assert!(error.to_string().contains("dcgm-exporter"), "{error}");
        assert!(
            error.to_string().ends_with("--web.listen-address=:19400"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn says_that_an_address_is_given_twice() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        for second in ["127.0.0.1", ""] {
            let texts = [format!("127.0.0.1:{port}"), format!("{second}:{port}")];
            let addresses = texts.map(|text| text.parse().unwrap());
            let message = bind(&addresses).await.unwrap_err().to_string();
            assert!(message.contains("it is given twice"), "{message}");
            assert!(!message.contains("another process"), "{message}");
        }
    }

    #[tokio::test]
    async fn opens_all_addresses_or_none() {
        let all = ["127.0.0.1:0", "localhost:0", ":0"].map(|text| text.parse().unwrap());
        assert_eq!(bind(&all).await.unwrap().len(), 3);
        let first = bind(&all[..1]).await.unwrap();
        let taken: ListenAddress = first[0].local_addr().unwrap().to_string().parse().unwrap();
        assert!(bind(&[all[0].clone(), taken]).await.is_err());
    }
}
