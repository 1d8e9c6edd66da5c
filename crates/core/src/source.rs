//! What can be read: the [`Source`] trait, and [`BoxSource`] for lists of different ones.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{CollectError, Desc, Snapshot};

/// Who a source is: the kind of backend and the target that is read.
///
/// They become the labels `backend` and `target` of all its series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    kind: Arc<str>,
    target: Arc<str>,
}

impl SourceId {
    /// `kind` as in the label `backend` (`"vllm"`), `target` as in the label `target`
    /// (`"10.0.0.7:8000"`). Neither may hold a secret.
    #[must_use]
    pub fn new(kind: &str, target: &str) -> Self {
        Self {
            kind: kind.into(),
            target: target.into(),
        }
    }

    /// The kind of backend.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What is read, usually `host:port`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.target)
    }
}

/// Something that can fill a [`Snapshot`].
///
/// `collect` reads, and nothing else: clock, timeout, caching and verdict belong to whoever runs
/// it. Implementors write `async fn collect`; the trait spells the future out because callers must
/// know that it is `Send`.
///
/// A reading that is impossible as a whole is an `Err`. A part that cannot be read (one device, one
/// tenant) is missing from the snapshot. What the backend does not measure is absent, never zero.
///
/// ```
/// use std::sync::{Arc, LazyLock};
/// use tokenpath_core::{CollectError, Desc, MetricType, Snapshot, Source, SourceId, Unit};
///
/// static QUEUE: LazyLock<Arc<Desc>> = LazyLock::new(|| {
///     Arc::new(Desc::new("shop_queue", MetricType::Gauge, Unit::None, "People waiting."))
/// });
///
/// struct Shop(SourceId);
///
/// impl Source for Shop {
///     fn id(&self) -> &SourceId {
///         &self.0
///     }
///     fn describe(&self) -> &[Arc<Desc>] {
///         std::slice::from_ref(&*QUEUE)
///     }
///     async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
///         out.family(&QUEUE).sample(&[("till", "1")], 3.0);
///         Ok(())
///     }
/// }
/// ```
pub trait Source: Send + Sync + 'static {
    /// Who this is. Constant over the life of the source.
    fn id(&self) -> &SourceId;

    /// All families it may emit. No I/O.
    fn describe(&self) -> &[Arc<Desc>];

    /// Reads once into `out`, which the caller has cleared.
    ///
    /// Dropping the future cancels the reading; `out` is then in an unspecified but valid state.
    ///
    /// # Errors
    ///
    /// Where nothing could be read; the caller then discards what is in `out`.
    fn collect(&self, out: &mut Snapshot) -> impl Future<Output = Result<(), CollectError>> + Send;
}

/// The future of a boxed reading.
type Reading<'a> = Pin<Box<dyn Future<Output = Result<(), CollectError>> + Send + 'a>>;

/// [`Source`] with the future boxed, so that it can be a trait object. The methods have other names
/// so that both traits can be in scope.
trait ErasedSource: Send + Sync + 'static {
    fn erased_id(&self) -> &SourceId;
    fn erased_describe(&self) -> &[Arc<Desc>];
    fn erased_collect<'a>(&'a self, out: &'a mut Snapshot) -> Reading<'a>;
}

impl<S: Source> ErasedSource for S {
    fn erased_id(&self) -> &SourceId {
        self.id()
    }

    fn erased_describe(&self) -> &[Arc<Desc>] {
        self.describe()
    }

    fn erased_collect<'a>(&'a self, out: &'a mut Snapshot) -> Reading<'a> {
        Box::pin(self.collect(out))
    }
}

/// Any [`Source`] behind one type, for lists of different ones. One allocation a reading.
pub struct BoxSource(Box<dyn ErasedSource>);

impl BoxSource {
    /// Boxes a source.
    pub fn new(source: impl Source) -> Self {
        Self(Box::new(source))
    }
}

impl Source for BoxSource {
    fn id(&self) -> &SourceId {
        self.0.erased_id()
    }

    fn describe(&self) -> &[Arc<Desc>] {
        self.0.erased_describe()
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        self.0.erased_collect(out).await
    }
}

/// A source that somebody else holds, too.
impl<S: Source> Source for Arc<S> {
    fn id(&self) -> &SourceId {
        (**self).id()
    }

    fn describe(&self) -> &[Arc<Desc>] {
        (**self).describe()
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        (**self).collect(out).await
    }
}

impl fmt::Debug for BoxSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoxSource").field(self.id()).finish()
    }
}
