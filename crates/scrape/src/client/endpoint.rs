//! The address of a target's page, as a person writes it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use crate::{Auth, Credential, Secret};

/// The URL of one metrics page.
///
/// Takes what people write: a full URL, or `host:port` (plain HTTP is meant then). `/metrics` is
/// added where the path is empty, and only there. A user and a password in the URL are taken out of
/// it and become basic auth; neither is ever printed.
///
/// ```
/// use tokenpath_scrape::Endpoint;
///
/// let endpoint: Endpoint = "vllm-0:8000".parse()?;
/// assert_eq!(endpoint.to_string(), "http://vllm-0:8000/metrics");
/// assert_eq!(endpoint.target(), "vllm-0:8000");
///
/// let endpoint: Endpoint = "https://me:canary@example.org/metrics/".parse()?;
/// assert_eq!(endpoint.to_string(), "https://example.org/metrics/");
/// assert_eq!(endpoint.target(), "example.org:443");
/// # Ok::<(), tokenpath_scrape::EndpointError>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    /// Without user, password and fragment; always with a host.
    url: Url,
    target: Arc<str>,
    port: u16,
    auth: Auth,
    addresses: Option<Arc<[SocketAddr]>>,
}

impl Endpoint {
    /// `host:port`, the port filled in where the URL has none: the text of the label `target`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the page is read over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The path of the page, percent-encoded, with its slash in front.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The path of something else that the target serves beside its page: `/info` beside
    /// `/metrics`, `/prefix/info` beside `/prefix/metrics`. `name` has no slash in front and is
    /// percent-encoded where it must be.
    ///
    /// ```
    /// let endpoint: tokenpath_scrape::Endpoint = "http://proxy/tgi/metrics".parse()?;
    /// assert_eq!(endpoint.beside("info"), "/tgi/info");
    /// # Ok::<(), tokenpath_scrape::EndpointError>(())
    /// ```
    #[must_use]
    pub fn beside(&self, name: &str) -> String {
        let path = self.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{name}")
    }

    /// The same page at these addresses, whatever its name resolves to later: a name that was checked
    /// cannot become another machine. The name still stands in the request, and the certificate must
    /// be for it.
    ///
    /// ```
    /// let endpoint: tokenpath_scrape::Endpoint = "vllm-0:8000".parse()?;
    /// let endpoint = endpoint.at(["10.0.0.7:8000".parse()?]);
    /// assert_eq!(endpoint.target(), "vllm-0:8000");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn at(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.addresses = Some(addresses.into_iter().collect());
        self
    }

    pub(crate) const fn addresses(&self) -> Option<&Arc<[SocketAddr]>> {
        self.addresses.as_ref()
    }

    /// The host as it stands in the URL: a name in lower case, an address, an IPv6 address in
    /// brackets.
    pub(crate) fn host_text(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn shared_target(&self) -> Arc<str> {
        Arc::clone(&self.target)
    }

    pub(crate) fn host(&self) -> Host<&str> {
        self.url.host().unwrap_or(Host::Domain(""))
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The credentials that stood in the URL.
    pub(crate) const fn auth(&self) -> &Auth {
        &self.auth
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let error = |what| EndpointError {
            input: redact(text),
            what,
        };
        if text.is_empty() {
            return Err(error(Flaw::Empty));
        }
        let parsed = if has_scheme(text) {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let mut url = parsed.map_err(|cause| error(Flaw::Url(cause)))?;
        let default_port = match url.scheme() {
            "http" => 80,
            "https" => 443,
            _ => return Err(error(Flaw::Scheme)),
        };
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(error(Flaw::NoHost));
        };
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(error(Flaw::PortZero));
        }
        let target = format!("{host}:{port}").into();

        let auth = credentials(&url);
        // Both fail only for URLs without a host, which are gone by now.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        if url.path().is_empty() || url.path() == "/" {
            url.set_path("/metrics");
        }
        Ok(Self {
            url,
            target,
            port,
            auth,
            addresses: None,
        })
    }
}

/// Without credentials, and with the values of the query left out: tokens stand there too.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.url.scheme())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.url.path())?;
        f.write_str(if self.url.query().is_some() {
            "?***"
        } else {
            ""
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// `localhost:8000` would be the scheme `localhost` to a URL parser; people mean a host.
fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

fn credentials(url: &Url) -> Auth {
    if url.username().is_empty() && url.password().is_none() {
        return Auth::None;
    }
    Auth::Basic {
        username: percent_decoded(url.username()),
        password: Credential::Inline(percent_decoded(url.password().unwrap_or_default())),
    }
}

fn percent_decoded(text: &str) -> Secret {
    let hex = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    Secret::new(String::from_utf8_lossy(&bytes).into_owned())
}

/// The input for an error message: all that could be a password or a token is left out, whatever
/// the mistake in it.
fn redact(text: &str) -> String {
    let without_query = text.split(['?', '#']).next().unwrap_or_default();
    let shown = match text.rsplit_once('@') {
        None => without_query.to_owned(),
        // Which `@` ends the password is anyone's guess: then nothing is shown.
        Some((before, _)) if before.contains(['?', '#']) => "***".to_owned(),
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            let host = after.split(['?', '#']).next().unwrap_or_default();
            // A password may hold anything, `://` too: only a plain word is shown as the scheme.
            match scheme {
                "http" | "https" => format!("{scheme}://***@{host}"),
                _ => format!("***@{host}"),
            }
        }
    };
    shown
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

/// An endpoint that cannot be read, with an example of one that can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not an endpoint: {what}; for instance http://localhost:8000")]
pub struct EndpointError {
    input: String,
    what: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Flaw {
    #[error("it is empty")]
    Empty,
    #[error("{0}")]
    Url(url::ParseError),
    #[error("the scheme must be http or https")]
    Scheme,
    #[error("the host is missing")]
    NoHost,
    #[error("port 0 cannot be connected to")]
    PortZero,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_people_write() {
        for (text, url, target) in [
            (
                "localhost:8000",
                "http://localhost:8000/metrics",
                "localhost:8000",
            ),
            ("localhost", "http://localhost/metrics", "localhost:80"),
            ("http://h:8000", "http://h:8000/metrics", "h:8000"),
            ("http://h:8000/", "http://h:8000/metrics", "h:8000"),
            ("http://h:8000/metrics/", "http://h:8000/metrics/", "h:8000"),
            ("h:8000/prom", "http://h:8000/prom", "h:8000"),
            (
                "HTTPS://H.Example",
                "https://h.example/metrics",
                "h.example:443",
            ),
            ("http://h:80/x", "http://h/x", "h:80"),
            ("[::1]:8000", "http://[::1]:8000/metrics", "[::1]:8000"),
            (
                "http://[2001:DB8::1]",
                "http://[2001:db8::1]/metrics",
                "[2001:db8::1]:80",
            ),
            (
                "10.0.0.7:8000",
                "http://10.0.0.7:8000/metrics",
                "10.0.0.7:8000",
            ),
            ("http://h/m?token=canary", "http://h/m?***", "h:80"),
            ("http://h:1/#x", "http://h:1/metrics", "h:1"),
            (" http://h:1 \n", "http://h:1/metrics", "h:1"),
            ("h:1/?u=http://x", "http://h:1/metrics?***", "h:1"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(
                (endpoint.to_string().as_str(), endpoint.target()),
                (url, target),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_the_rest_with_an_example() {
        for (text, what) in [
            ("", "empty"),
            ("http://", "empty host"),
            ("ftp://h/x", "http or https"),
            ("unix:///run/x", "http or https"),
            ("http://h:99999", "port"),
            ("http://h:0", "port 0"),
            ("http://a b", "invalid"),
            (":8000", "empty host"),
        ] {
            let message = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(message.contains(what), "{text}: {message}");
            assert!(
                message.ends_with("for instance http://localhost:8000"),
                "{message}"
            );
        }
    }

    #[test]
    fn turns_credentials_into_basic_auth() {
        let endpoint: Endpoint = "http://us%20er:p%40ss@h:1".parse().unwrap();
        let Auth::Basic {
            username,
            password: Credential::Inline(password),
        } = endpoint.auth()
        else {
            panic!("no basic auth");
        };
        assert_eq!((username.expose(), password.expose()), ("us er", "p@ss"));
    }

    #[test]
    fn never_prints_credentials() {
        for text in [
            "http://canary:canary@h:1/x",
            "https://canary@h",
            "canary:canary@h:1",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            let shown = format!(
                "{endpoint} {endpoint:?} {:?} {}",
                endpoint.auth(),
                endpoint.url()
            );
            assert!(!shown.contains("canary"), "{shown}");
        }
        for text in [
            "http://u:canary@",
            "http://u:can/ary@h:99999",
            "http://u:canary@h:99999?x=canary",
            "canary://canary@h",
            "canary://u:canary@b@ x:1:2",
            "ftp://h/?token=canary",
            "ftp://h/#canary",
            "ftp://h/?token=x@canary",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("canary") && !shown.contains("ary"),
                "{shown}"
            );
        }
    }
}
