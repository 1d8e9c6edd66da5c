//! What the admin API says: limits, the windows that are running, and the limiter's own state.

#[cfg(feature = "http")]
pub(crate) mod json;
mod writer;

use std::fmt;

pub(crate) use writer::AdminWriter;

/// A limit as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Limit {
    /// Limitador's namespace; in Kuadrant `<Kubernetes namespace>/<route>`.
    pub namespace: String,
    /// Its name, else its id; empty where it has neither.
    pub name: String,
    /// The length of its windows.
    pub window_seconds: u64,
    /// What one window allows.
    pub max: u64,
}

/// A window that is running.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The limit it is of.
    pub limit: Limit,
    /// Whose it is, as the limiter names it; empty where no variable names a tenant.
    pub tenant: String,
    /// Further labels, by our names.
    pub labels: Vec<(String, String)>,
    /// What is left; below 0 by what was used too much. `None` where the limiter does not say.
    pub remaining: Option<i64>,
    /// Time to its end; `None` where the limiter does not say.
    pub reset_seconds: Option<u64>,
}

/// The limiter's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// When it was started, in seconds since the epoch.
    pub started: Option<f64>,
    /// When the limits in force were read.
    pub config_applied: Option<f64>,
    /// How often limits were read anew.
    pub config_reloads: Option<u64>,
    /// How often they could not be read since they last could.
    pub config_failed: Option<u64>,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// The windows of a namespace.
    Counters,
    /// The limits of a namespace.
    Limits,
    /// The limiter's own state.
    Status,
}

impl Resource {
    /// The value of the label `resource`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Limits => "limits",
            Self::Status => "status",
        }
    }
}

/// Something that was asked for, and whether there was an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub resource: Resource,
    /// Of which namespace; empty for what is of none.
    pub namespace: String,
    /// Whether the answer was of use.
    pub answered: bool,
}

/// All that the admin API said in one reading.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Admin {
    /// The limits of all namespaces that answered, now or before.
    pub limits: Vec<Limit>,
    /// The windows of all namespaces that answered now.
    pub windows: Vec<Window>,
    /// The limiter's own state.
    pub status: Option<Status>,
    /// What was asked for.
    pub asked: Vec<Asked>,
}

/// Without the tenant: its name may be a key.
impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("limit", &self.limit)
            .field("remaining", &self.remaining)
            .field("reset_seconds", &self.reset_seconds)
            .finish_non_exhaustive()
    }
}

impl Window {
    /// What was used.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
    pub fn used(&self) -> Option<f64> {
        Some(self.limit.max as f64 - self.remaining? as f64)
    }

    /// Used over limit; `None` for a limit of 0 too.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
    pub fn utilization(&self) -> Option<f64> {
        let used = self.used()?;
        (self.limit.max > 0).then(|| used / self.limit.max as f64)
    }

    /// Whether this window says more about how near a limit is than the other.
    fn is_tighter(&self, other: &Self) -> bool {
        let key = |window: &Self| {
            (
                window.utilization().unwrap_or(f64::NEG_INFINITY),
                window.used().unwrap_or(f64::NEG_INFINITY),
            )
        };
        key(self) > key(other)
    }
}
