//! Why a page could not be fetched: reason, target, what happened, what to do.
//!
//! The hints name the command line flags of the exporters, which most readers of these lines use.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use hyper::StatusCode;
use rustls::CertificateError;
use tokenpath_core::{CollectError, Reason};

use crate::auth::AuthError;
use crate::body::BodyError;

/// A page that could not be fetched.
///
/// `Display` says the target, what happened and, where something can be done about it, what; it has
/// no secret in it, and no text that the target sent. [`source`](StdError::source) leads on.
#[derive(Debug)]
pub struct FetchError {
    reason: Reason,
    target: Arc<str>,
    what: Cow<'static, str>,
    hint: &'static str,
    certificate_not_after: Option<i64>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl FetchError {
    /// Why, as one of the closed set.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// `host:port`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The end of an expired certificate, in seconds since the epoch. With it the expiry can be
    /// exported even when it is the very reason why nothing else can.
    #[must_use]
    pub const fn certificate_not_after(&self) -> Option<i64> {
        self.certificate_not_after
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.target, self.what)?;
        if self.hint.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.hint)
        }
    }
}

impl StdError for FetchError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// What a source gives to its runner: the reason, and the whole message as its cause.
impl From<FetchError> for CollectError {
    fn from(error: FetchError) -> Self {
        Self::new(error.reason, error)
    }
}

/// A failure before it is known whose it is. The client adds the target.
#[derive(Debug)]
pub(super) struct Failure {
    reason: Reason,
    what: Cow<'static, str>,
    hint: &'static str,
    certificate_not_after: Option<i64>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(super) fn new(reason: Reason, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            what: what.into(),
            hint: "",
            certificate_not_after: None,
            cause: None,
        }
    }

    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    fn cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn at(self, target: Arc<str>) -> FetchError {
        let Self {
            reason,
            what,
            hint,
            certificate_not_after,
            cause,
        } = self;
        FetchError {
            reason,
            target,
            what,
            hint,
            certificate_not_after,
            cause,
        }
    }

    pub(super) fn auth(error: AuthError) -> Self {
        Self::new(Reason::Unauthorized, error.to_string()).cause(error)
    }

    pub(super) fn resolve(message: &str) -> Self {
        Self::new(
            Reason::Connect,
            format!("cannot resolve the host name: {message}"),
        )
        .hint("check its spelling and the name server")
    }

    pub(super) fn connect(error: io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => "is it running, and does it listen on this port?",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "check the address and the route to it"
            }
            _ => "",
        };
        Self::new(Reason::Connect, format!("cannot connect: {error}"))
            .hint(hint)
            .cause(error)
    }

    pub(super) fn handshake_timeout(seconds: u64) -> Self {
        Self::new(
            Reason::Tls,
            format!("the TLS handshake did not end within {seconds} s"),
        )
        .hint("does the port speak TLS? If not, use http://")
    }

    /// A failed TLS handshake, told apart as far as rustls tells.
    pub(super) fn tls(error: io::Error) -> Self {
        let Some(tls) = tls_error(&error) else {
            return Self::new(
                Reason::Tls,
                format!("the TLS handshake was broken off: {error}"),
            )
            .hint("does the port speak TLS? If not, use http://")
            .cause(error);
        };
        let mut not_after = None;
        let (what, hint): (Cow<'static, str>, _) = match tls {
            rustls::Error::InvalidCertificate(problem) => match problem {
                CertificateError::Expired => (
                    "the certificate has expired".into(),
                    "renew it on the target",
                ),
                CertificateError::ExpiredContext { not_after: end, .. } => {
                    not_after = i64::try_from(end.as_secs()).ok();
                    (
                        "the certificate has expired".into(),
                        "renew it on the target",
                    )
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                    "the certificate is not valid yet".into(),
                    "check the clocks of both machines",
                ),
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => (
                    "the certificate is for another host name".into(),
                    "use a name that is in it, or set --scrape.server-name",
                ),
                CertificateError::UnknownIssuer => (
                    "the certificate is signed by an unknown authority".into(),
                    "set --scrape.ca-file to the authority's certificate",
                ),
                other if is_of_an_authority(other) => (
                    "the certificate is one for an authority (CA:TRUE), and not for a server"
                        .into(),
                    "plain `openssl req -x509` makes such ones: make it again with -addext basicConstraints=critical,CA:FALSE \
                     and set --scrape.ca-file to it, or let an authority sign one and set --scrape.ca-file to the authority's",
                ),
                other => (
                    format!("the certificate is not accepted: {other}").into(),
                    "",
                ),
            },
            rustls::Error::InvalidMessage(_) => (
                "the answer is not TLS".into(),
                "the port may speak plain HTTP: use http://",
            ),
            rustls::Error::PeerIncompatible(_) => (
                "no TLS version or cipher in common".into(),
                "the target must speak TLS 1.2 or 1.3",
            ),
            rustls::Error::AlertReceived(alert) => (
                format!("the target refused the TLS connection: {alert:?}").into(),
                "it may want a client certificate: set --scrape.cert-file and --scrape.key-file",
            ),
            other => (format!("the TLS connection failed: {other}").into(), ""),
        };
        let mut failure = Self::new(Reason::Tls, what).hint(hint).cause(error);
        failure.certificate_not_after = not_after;
        failure
    }

    /// The connection failed before the head of the answer was whole.
    pub(super) fn head(error: hyper::Error) -> Self {
        if let Some(failure) = Self::lower_layer(&error) {
            return failure;
        }
        let (reason, what, hint) = if error.is_parse_too_large() {
            (
                Reason::Http,
                "the answer has too many or too large headers",
                "",
            )
        } else if error.is_parse() {
            let hint = "is it the right port? If it speaks TLS, use https://";
            (Reason::Http, "the answer is not valid HTTP/1.1", hint)
        } else {
            (
                Reason::Connect,
                "the connection was closed before the answer",
                "",
            )
        };
        Self::new(reason, what).hint(hint).cause(error)
    }

    /// The body could not be read.
    pub(super) fn body(error: BodyError<hyper::Error>) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::new(
                Reason::BodyLimit,
                format!("the page is larger than the limit of {limit} bytes"),
            )
            .hint("is it a metrics page? If so, raise the body limit"),
            BodyError::Transport(error) => Self::lower_layer(&error).unwrap_or_else(|| {
                let what = if error.is_incomplete_message() || is_early_end(&error) {
                    "the page broke off before its end"
                } else {
                    "the framing of the page is not valid HTTP/1.1"
                };
                Self::new(Reason::Http, what).cause(error)
            }),
            error => Self::new(Reason::Http, error.to_string()).cause(error),
        }
    }

    /// More came than the answer said it has.
    pub(super) fn trailing(error: hyper::Error) -> Self {
        Self::new(Reason::Http, "more bytes came than Content-Length says").cause(error)
    }

    /// TLS alerts and resets, which hyper passes on from below.
    fn lower_layer(error: &hyper::Error) -> Option<Self> {
        let io = io_error(error)?;
        if let Some(tls) = tls_error(io) {
            return Some(Self::tls(io::Error::new(io.kind(), tls.clone())));
        }
        // What is wrong with the message, hyper wraps in io errors too.
        let about_the_message = matches!(
            io.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
        );
        (!about_the_message).then(|| {
            Self::new(Reason::Connect, format!("the connection was lost: {io}"))
                .cause(io::Error::new(io.kind(), io.to_string()))
        })
    }

    pub(super) fn status(status: StatusCode) -> Self {
        let what = format!("answered {status}");
        match status.as_u16() {
            401 => Self::new(Reason::Unauthorized, what)
                .hint("it needs credentials, or others: set --scrape.bearer-token-file, or --scrape.username and --scrape.password-file"),
            403 => Self::new(Reason::Forbidden, what)
                .hint("the credentials, or their absence, do not allow this page"),
            404 => Self::new(Reason::Http, what).hint("is the path of the endpoint right?"),
            508 => Self::new(Reason::WrongBackend, "this is this exporter itself".to_owned())
                .hint("name the engine's own address"),
            500..=599 => Self::new(Reason::ServerError, what),
            _ => Self::new(Reason::Http, what),
        }
    }

    /// A status that only makes sense to whoever has the page already, or chooses among several.
    pub(super) fn no_redirect(status: StatusCode) -> Self {
        let hint = if status == StatusCode::NOT_MODIFIED {
            "nothing was cached here and all of the page was asked for: a proxy in between may be at fault"
        } else {
            ""
        };
        Self::new(Reason::Http, format!("answered {status}")).hint(hint)
    }

    /// `to` is the origin that the answer leads to; its path may hold anything and is left out.
    pub(super) fn redirect(status: StatusCode, to: Option<&str>, followed: bool) -> Self {
        let to = to.unwrap_or("nowhere");
        let hint = if followed {
            "only redirects within the same scheme, host and port are followed, at most 5"
        } else {
            "redirects are not followed: set the endpoint to where the page is"
        };
        Self::new(
            Reason::Http,
            format!("answered {status}, a redirect to {to}"),
        )
        .hint(hint)
    }
}

/// Webpki's error is of a crate that is not ours to name: its text is.
fn is_of_an_authority(problem: &CertificateError) -> bool {
    matches!(problem, CertificateError::Other(_))
        && format!("{problem:?}").contains("CaUsedAsEndEntity")
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

pub(super) fn is_io(error: &hyper::Error) -> bool {
    io_error(error).is_some()
}

fn is_early_end(error: &hyper::Error) -> bool {
    io_error(error).is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
