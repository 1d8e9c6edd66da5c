//! Why a reading failed: a closed set of reasons with a cause behind each.

use std::error::Error as StdError;
use std::fmt;

/// The reasons a reading may fail for: the values of the label `reason` of
/// `tokenpath_source_scrape_errors_total`. A closed set, so that the series are bounded and an
/// alert can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// No connection: refused, reset, unreachable, name not resolved.
    Connect,
    /// The deadline passed.
    Timeout,
    /// The TLS handshake failed, or the certificate was not accepted.
    Tls,
    /// HTTP 401: credentials are missing or wrong.
    Unauthorized,
    /// HTTP 403: the credentials are known and not allowed.
    Forbidden,
    /// HTTP 5xx.
    ServerError,
    /// Any other answer that is not a page: another status, a redirect, broken HTTP.
    Http,
    /// The page is larger than the limit, on the wire or unpacked.
    BodyLimit,
    /// The page is not valid exposition text.
    Parse,
    /// The page has no sample although this backend always has some.
    Empty,
    /// The page is another backend's, or our own.
    WrongBackend,
    /// A device driver failed.
    Driver,
    /// An earlier reading of the same source still runs.
    Busy,
    /// A fault of ours: a source panicked.
    Internal,
}

impl Reason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::Connect,
        Self::Timeout,
        Self::Tls,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ServerError,
        Self::Http,
        Self::BodyLimit,
        Self::Parse,
        Self::Empty,
        Self::WrongBackend,
        Self::Driver,
        Self::Busy,
        Self::Internal,
    ];

    /// The label value, for instance `body_limit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ServerError => "server_error",
            Self::Http => "http",
            Self::BodyLimit => "body_limit",
            Self::Parse => "parse",
            Self::Empty => "empty",
            Self::WrongBackend => "wrong_backend",
            Self::Driver => "driver",
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reading that failed as a whole: the reason, and the cause behind it.
///
/// `Display` prints the reason and this level's message; [`source`](StdError::source) leads on.
///
/// ```
/// use tokenpath_core::{CollectError, Reason};
///
/// let error = CollectError::new(Reason::Empty, "the page has no sample; is the engine still starting?");
/// assert_eq!(error.reason(), Reason::Empty);
/// assert_eq!(error.to_string(), "empty: the page has no sample; is the engine still starting?");
/// ```
#[derive(Debug)]
pub struct CollectError {
    reason: Reason,
    cause: Box<dyn StdError + Send + Sync>,
}

impl CollectError {
    /// A failure with its cause: an error or a message that says what to do.
    pub fn new(reason: Reason, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            reason,
            cause: cause.into(),
        }
    }

    /// Why, as one of the closed set.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.cause)
    }
}

impl StdError for CollectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

/// An error with all its causes on one line. A cause that the text before has quoted already is not
/// said again.
///
/// ```
/// use std::io;
/// use tokenpath_core::{CollectError, Reason, in_full};
///
/// let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
/// assert_eq!(in_full(&CollectError::new(Reason::Connect, refused)), "connect: refused");
/// ```
#[must_use]
pub fn in_full(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}
