//! The sources of an exporter, kept equal to a list of targets.

use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenpath_core::catalogue::Compiled;
use tokenpath_core::exposition::{Entry, Format, Mode, Options, Parser};
use tokenpath_core::{BoxSource, CollectError, Desc, Reason, Snapshot, Source, SourceId, in_full};
use tokenpath_scrape::runner::{Exporter, SourceKey};
use tokenpath_scrape::{Client, Page};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::config::Engine;
use crate::discovery::{Identity, Target, TargetKey, UNKNOWN};

/// Makes the source of a target that is of this kind.
pub type Make =
    dyn Fn(&Target, &str) -> Result<BoxSource, Box<dyn Error + Send + Sync>> + Send + Sync;

/// What a list of targets changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Targets that are new.
    pub added: usize,
    /// Targets that are as before: their sources were not touched.
    pub kept: usize,
    /// Targets that are gone.
    pub removed: usize,
    /// Targets that the configuration names itself and of which no source could be made, and why. They
    /// count as added too: they are on the page as down.
    pub refused: Vec<(SourceId, String)>,
    /// The same of targets that were found. What finds them may be wrong about one of thousands.
    pub found_refused: Vec<(SourceId, String)>,
}

/// Keeps the sources of an [`Exporter`] equal to a list of targets.
///
/// A target is the same as before where its kind, URL, labels and way of reading are: its source,
/// with connection and counts, is kept. Sources that were added to the exporter by others are not
/// touched.
///
/// A target whose kind is not said is looked at until its page tells; so long it is on the page as
/// `tokenpath_source_up{backend="unknown"} 0`.
pub struct Fleet {
    exporter: Arc<Exporter>,
    make: Arc<Make>,
    kinds: Vec<Engine>,
    present: HashMap<TargetKey, Member>,
    /// Of which no source could be made, in the order in which they are tried again.
    unmade: VecDeque<TargetKey>,
    /// When that is.
    again: Instant,
    tell: mpsc::UnboundedSender<(TargetKey, Arc<str>)>,
    told: mpsc::UnboundedReceiver<(TargetKey, Arc<str>)>,
}

struct Member {
    source: Option<SourceKey>,
    /// What it is read as; none while that is not known.
    kind: Option<Arc<str>>,
    /// Made by a catalogue that is another one now, or the double of another target: the next list makes
    /// it anew.
    stale: bool,
    /// Of one whose kind is not known yet.
    unknown: Option<(Target, Looking)>,
    /// Of one of which no source could be made.
    unmade: Option<Unmade>,
    /// Whether its page has told its kind.
    told: bool,
    /// What it is on the page.
    identity: Identity,
}

/// What is needed to try again.
struct Unmade {
    target: Target,
    /// What the landing page says of it.
    last: Last,
}

type Last = Arc<Mutex<Option<(Reason, String)>>>;

/// Ends the task when dropped.
struct Looking(AbortHandle);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("targets", &self.present.len())
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// Without targets. `kinds` are the catalogues by which a page tells its kind.
    #[must_use]
    pub fn new(exporter: Arc<Exporter>, kinds: Vec<Engine>, make: Arc<Make>) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            exporter,
            make,
            kinds,
            present: HashMap::new(),
            unmade: VecDeque::new(),
            again: Instant::now(),
            tell,
            told,
        }
    }

    /// Makes sources in another way from now on, as after a reload. Those there are stay, but for
    /// those of a kind whose catalogue is another one than before: the next list makes them anew.
    pub fn make_by(&mut self, kinds: Vec<Engine>, make: Arc<Make>) {
        let same = |kind: &str| {
            let find = |all: &'_ [Engine]| all.iter().position(|one| one.kind() == kind);
            match (find(&self.kinds), find(&kinds)) {
                (Some(before), Some(after)) => self.kinds[before].says_as(&kinds[after]),
                (None, None) => true,
                _ => false,
            }
        };
        // Once for each kind: there may be thousands of targets.
        let all = self.kinds.iter().chain(&kinds);
        let same: HashMap<&str, bool> = all.map(|one| (one.kind(), same(one.kind()))).collect();
        for member in self.present.values_mut() {
            let kind = member.kind.as_deref();
            // One whose kind is not known is looked at by the new ones.
            let stays = kind.is_some_and(|kind| same.get(kind).copied().unwrap_or(true));
            // What could not be made is to be made in another way now, and may be.
            member.stale |= !stays || member.unmade.is_some();
        }
        self.kinds = kinds;
        self.make = make;
    }

    /// How many targets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Makes the exporter read these targets and no others. All changes are seen by pages at once.
    /// Needs a tokio runtime.
    pub fn apply(&mut self, targets: &[Target]) -> Change {
        let mut change = Change::default();
        let mut wanted = HashSet::with_capacity(targets.len());
        let mut members = Vec::new();
        let mut unmade = Vec::new();
        self.give_way(targets);
        let mut sources = Vec::new();
        for target in targets {
            let key = target.key();
            if self.present.get(&key).is_some_and(|member| !member.stale) {
                change.kept += usize::from(wanted.insert(key));
                continue;
            }
            if !wanted.insert(key.clone()) {
                continue;
            }
            let kind = target.kind.as_deref().unwrap_or(UNKNOWN);
            let options = target.reading.source(kind, &target.labels);
            let mut member = Member {
                // Known when it is in the exporter.
                source: None,
                kind: target.kind.clone(),
                stale: false,
                unknown: None,
                unmade: None,
                told: false,
                identity: target.identity(target.kind.as_deref()),
            };
            match self.source(target, &key) {
                Ok((source, looking)) => {
                    sources.push((source, options));
                    member.unknown = looking.map(|looking| (target.clone(), looking));
                }
                Err(what) => {
                    let id = SourceId::new(kind, target.endpoint.target());
                    tracing::error!(source = %id, error = what, "a target cannot be read");
                    // On the page all the same: as one that is down.
                    let fault = (why_unmade(target), what.clone());
                    let stand_in = StandIn::new(id.clone(), Some(fault));
                    member.unmade = Some(Unmade {
                        target: target.clone(),
                        last: Arc::clone(&stand_in.last),
                    });
                    unmade.push(key.clone());
                    sources.push((BoxSource::new(stand_in), options));
                    if target.named {
                        change.refused.push((id, what));
                    } else {
                        change.found_refused.push((id, what));
                    }
                }
            }
            members.push((key, member));
        }
        let mut gone = Vec::new();
        self.present.retain(|key, member| {
            let stays = wanted.contains(key) && !member.stale;
            if !stays {
                gone.extend(member.source);
            }
            stays
        });
        change.removed = gone.len();
        change.added = sources.len();
        if !gone.is_empty() || !sources.is_empty() {
            let added = self.exporter.change(&gone, sources);
            for ((key, mut member), source) in members.into_iter().zip(added) {
                member.source = Some(source);
                self.present.insert(key, member);
            }
            self.wait(unmade);
        }
        change
    }

    /// Has targets wait for the next attempt, behind those that wait already and are still there.
    fn wait(&mut self, more: Vec<TargetKey>) {
        if self.unmade.is_empty() {
            self.again = Instant::now() + AGAIN_AFTER;
        }
        let new: HashSet<_> = more.iter().collect();
        let present = &self.present;
        let waits = |key: &TargetKey| present.get(key).is_some_and(|one| one.unmade.is_some());
        self.unmade.retain(|key| waits(key) && !new.contains(key));
        self.unmade.extend(more);
    }

    /// A target whose page has told its kind is looked at anew where another one is said to be what it is.
    fn give_way(&mut self, targets: &[Target]) {
        if !self.present.values().any(|member| member.told) {
            return;
        }
        let said = targets.iter().filter(|target| target.kind.is_some());
        let said: HashSet<_> = said
            .map(|target| target.identity(target.kind.as_deref()))
            .collect();
        for member in self.present.values_mut() {
            member.stale |= member.told && said.contains(&member.identity);
        }
    }

    fn source(
        &self,
        target: &Target,
        key: &TargetKey,
    ) -> Result<(BoxSource, Option<Looking>), String> {
        if let Some(kind) = &target.kind {
            let made = (self.make)(target, kind);
            return made
                .map(|source| (source, None))
                .map_err(|error| in_full(&*error));
        }
        let client = Client::new(target.endpoint.clone(), target.reading.page_source().client);
        let client = client.map_err(|error| in_full(&error))?;
        let id = SourceId::new(UNKNOWN, target.endpoint.target());
        let source = StandIn::new(id, None);
        let look = look(
            client,
            self.kinds
                .iter()
                .map(|one| Arc::clone(&one.catalogue))
                .collect(),
            Arc::clone(&source.last),
            target.reading.timeout,
            self.tell.clone(),
            key.clone(),
        );
        let looking = Looking(tokio::spawn(look).abort_handle());
        Ok((BoxSource::new(source), Some(looking)))
    }

    /// Waits until the page of a target has told its kind, and reads it as such from then on; or until a
    /// source can be made of a target of which none could. Pends for ever while there is nothing to
    /// wait for. Cancel safe.
    pub async fn told(&mut self) {
        loop {
            let told = tokio::select! {
                told = self.told.recv() => told,
                () = sleep_until(self.again), if !self.unmade.is_empty() => {
                    if self.mend() {
                        return;
                    }
                    continue;
                }
            };
            // The fleet holds a sender itself: there is always another one to come.
            let Some((key, kind)) = told else {
                return std::future::pending().await;
            };
            if self.read_as(&key, kind) {
                return;
            }
        }
    }

    /// Reads a target as its page says; whether it was still there.
    fn read_as(&mut self, key: &TargetKey, kind: Arc<str>) -> bool {
        // It may be gone by now.
        let member = self.present.get_mut(key);
        let Some((target, _)) = member.and_then(|member| member.unknown.take()) else {
            return false;
        };
        let identity = target.identity(Some(&kind));
        let is_double = self
            .present
            .values()
            .any(|other| other.identity == identity);
        let made = if is_double {
            Err((UNKNOWN, Reason::WrongBackend, double(&target, &kind)))
        } else {
            let made = (self.make)(&target, &kind);
            made.map_err(|error| (&*kind, why_unmade(&target), in_full(&*error)))
        };
        let Some(member) = self.present.get_mut(key) else {
            return false;
        };
        let (source, read_as) = match made {
            Ok(source) => {
                tracing::info!(
                    target = target.endpoint.target(),
                    kind = &*kind,
                    "the page has told its kind"
                );
                (source, &*kind)
            }
            Err((read_as, reason, what)) => {
                let id = SourceId::new(read_as, target.endpoint.target());
                tracing::error!(source = %id, error = what, "a target cannot be read");
                let stand_in = StandIn::new(id, Some((reason, what)));
                if is_double {
                    member.stale = true;
                } else {
                    let last = Arc::clone(&stand_in.last);
                    let target = target.clone();
                    member.unmade = Some(Unmade { target, last });
                }
                (BoxSource::new(stand_in), read_as)
            }
        };
        let options = target.reading.source(read_as, &target.labels);
        let before = member.source.take();
        let added = self.exporter.change(before.as_slice(), [(source, options)]);
        member.source = added.first().copied();
        if is_double {
            return true;
        }
        member.identity = identity;
        member.kind = Some(kind);
        member.told = true;
        if member.unmade.is_some() {
            self.wait(vec![key.clone()]);
        }
        true
    }

    /// Tries again what could not be made: its files may be there now. Whether some could be made.
    fn mend(&mut self) -> bool {
        self.again = Instant::now() + AGAIN_AFTER;
        let (mut gone, mut sources, mut made) = (Vec::new(), Vec::new(), Vec::new());
        let mut failures = 0;
        for _ in 0..self.unmade.len() {
            if failures == FAILURES_MAX {
                break;
            }
            let Some(key) = self.unmade.pop_front() else {
                break;
            };
            let Some(member) = self.present.get(&key) else {
                continue;
            };
            let Some(Unmade { target, last }) = &member.unmade else {
                continue;
            };
            let mut target = target.clone();
            target.kind = target.kind.or_else(|| member.kind.clone());
            match self.source(&target, &key) {
                Ok((source, looking)) => {
                    let kind = target.kind.as_deref().unwrap_or(UNKNOWN);
                    let id = SourceId::new(kind, target.endpoint.target());
                    tracing::info!(source = %id, "a target can be read now");
                    sources.push((source, target.reading.source(kind, &target.labels)));
                    gone.extend(member.source);
                    made.push((key, looking.map(|looking| (target, looking))));
                }
                Err(what) => {
                    failures += 1;
                    let fault = Some((why_unmade(&target), what));
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = fault;
                    self.unmade.push_back(key);
                }
            }
        }
        if made.is_empty() {
            return false;
        }
        let added = self.exporter.change(&gone, sources);
        for ((key, unknown), source) in made.into_iter().zip(added) {
            if let Some(member) = self.present.get_mut(&key) {
                member.source = Some(source);
                member.unknown = unknown;
                member.unmade = None;
                member.stale = false;
            }
        }
        true
    }
}

/// Between two attempts to make what could not be made, and how many may fail at once: each may read
/// files.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const FAILURES_MAX: usize = 100;

fn double(target: &Target, kind: &str) -> String {
    format!(
        "{} is a `{kind}`, and would have the same series as another target: the same kind, host, port and labels",
        target.endpoint
    )
}

/// Why no source could be made of a target: most often its TLS files.
fn why_unmade(target: &Target) -> Reason {
    if target.endpoint.is_https() {
        Reason::Tls
    } else {
        Reason::Internal
    }
}

/// Stands for a target that is not read: its kind is not known yet, or no source can be made of it.
struct StandIn {
    id: SourceId,
    last: Last,
}

impl StandIn {
    fn new(id: SourceId, last: Option<(Reason, String)>) -> Self {
        Self {
            id,
            last: Arc::new(Mutex::new(last)),
        }
    }
}

impl Source for StandIn {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &[]
    }

    async fn collect(&self, _: &mut Snapshot) -> Result<(), CollectError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (reason, what) = last.clone().unwrap_or_else(|| {
            let what = "its page was not read yet, so its kind is not known";
            (Reason::WrongBackend, what.to_owned())
        });
        Err(CollectError::new(reason, what))
    }
}

/// Between two looks: doubled from the first to the second.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

async fn look(
    client: Client,
    kinds: Vec<Arc<Compiled>>,
    last: Arc<Mutex<Option<(Reason, String)>>>,
    timeout: Duration,
    tell: mpsc::UnboundedSender<(TargetKey, Arc<str>)>,
    key: TargetKey,
) {
    let mut page = Page::new();
    let [mut pause, longest] = PAUSES;
    loop {
        let fault = match client.get(&mut page, Instant::now() + timeout).await {
            Ok(meta) => {
                let format = Format::sniff(page.bytes(), meta.content_type());
                match tell_kind(page.bytes(), format, &kinds) {
                    Some(kind) => {
                        // The fleet may be gone, and then nobody wants to know.
                        _ = tell.send((key, kind));
                        return;
                    }
                    None => (
                        Reason::WrongBackend,
                        format!("no catalogue knows the page of {}", client.endpoint()),
                    ),
                }
            }
            Err(error) => (error.reason(), in_full(&error)),
        };
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

/// The kind of the catalogue that knows most families of a page; `None` where none knows any. Lines
/// that are not valid are passed over.
///
/// ```
/// use tokenpath_config::tell_kind;
/// use tokenpath_core::exposition::Format;
///
/// let vllm = tokenpath_vllm::compiled();
/// let page = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 4\n";
/// assert_eq!(tell_kind(page, Format::Text004, &[vllm]).as_deref(), Some("vllm"));
/// ```
#[must_use]
pub fn tell_kind(page: &[u8], format: Format, kinds: &[Arc<Compiled>]) -> Option<Arc<str>> {
    let options = Options {
        format,
        mode: Mode::Lenient,
        ..Options::default()
    };
    let mut names: HashSet<String> = HashSet::new();
    for entry in Parser::new(page, options).flatten() {
        if let Entry::Type { name, .. } = entry {
            names.insert(name.to_string());
        }
    }
    let known = |compiled: &Compiled| {
        let catalogue = compiled.catalogue();
        let upstream: HashSet<&str> = catalogue.rows.iter().map(|row| &*row.upstream).collect();
        let knows = |name: &&String| {
            let bare = if catalogue.prefixes.is_empty() {
                Some(name.as_str())
            } else {
                catalogue.strip(name)
            };
            bare.is_some_and(|bare| upstream.contains(bare))
        };
        names.iter().filter(knows).count()
    };
    let counted = kinds.iter().map(|compiled| (known(compiled), compiled));
    let best = counted
        .filter(|(known, _)| *known > 0)
        .max_by_key(|(known, _)| *known);
    best.map(|(_, compiled)| (*compiled.catalogue().backend).into())
}
