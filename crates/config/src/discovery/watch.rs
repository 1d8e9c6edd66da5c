//! All providers of a configuration, followed at the same time; one list of targets.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_scrape::Endpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::file_sd::Files;
use super::http_sd::Asking;
use super::said::Said;
use super::{Discovered, Discovery, FileSd, HttpSd, Identity, Provider, Shard, Target, TargetKey};
use crate::config::Config;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long the first answers are waited for: at start those of target files; where a configuration
/// follows another one, what was read before goes on for this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the providers of one configuration until it is dropped.
#[derive(Debug)]
pub struct Watch {
    targets: watch::Receiver<Arc<[Target]>>,
    /// The next configuration begins with what was found.
    providers: Vec<Followed>,
    /// Ends the tasks when dropped.
    _tasks: JoinSet<()>,
}

/// A provider that is followed.
#[derive(Debug)]
struct Followed {
    /// Of what it asks.
    fingerprint: u64,
    /// Of the same without names.
    kin: u64,
    found: Found,
}

/// What one provider found last; none before its first answer.
type Found = watch::Receiver<Option<Arc<[Discovered]>>>;
type Publish = watch::Sender<Option<Arc<[Discovered]>>>;

impl Watch {
    /// Starts to follow. The first list has what target files say; it does not wait for others. Needs
    /// a tokio runtime.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        Self::begin(config, None)
    }

    /// Starts to follow another configuration, of the same exporter, and has its first list at once.
    /// A provider that was followed before begins with what it found last. As long as there is one
    /// that has found nothing yet, for ten seconds at most, what was read before stays on the list: a
    /// target that is in both configurations is not lost in between.
    #[must_use]
    pub fn succeed(&self, config: &Config) -> Self {
        Self::begin(config, Some(self))
    }

    fn begin(config: &Config, before: Option<&Self>) -> Self {
        let mut tasks = JoinSet::new();
        let mut followed = Vec::with_capacity(config.discovery.len());
        let earlier = before.map_or(&[][..], |before| &before.providers);
        for discovery in &config.discovery {
            let known = earlier
                .iter()
                .find(|earlier| earlier.fingerprint == discovery.fingerprint);
            let seed = known.and_then(|known| known.found.borrow().clone());
            let publish = watch::Sender::new(seed);
            followed.push(Followed {
                fingerprint: discovery.fingerprint,
                kin: discovery.kin,
                found: publish.subscribe(),
            });
            let kin = earlier
                .iter()
                .filter(|earlier| earlier.kin == discovery.kin);
            let said = kin.filter_map(|earlier| earlier.found.borrow().clone());
            let said: Vec<_> = said.flat_map(|found| found.to_vec()).collect();
            follow(discovery, said, publish, &mut tasks);
        }
        let providers = config.discovery.iter().cloned().zip(&followed);
        let carried = before.map(|before| Arc::clone(&before.targets.borrow()));
        let join = Join {
            known: known_targets(config),
            providers: providers
                .map(|(discovery, followed)| Mapped::new(discovery, followed.found.clone()))
                .collect(),
            carried: carried.as_deref().unwrap_or_default().to_vec(),
            shard: config.shard,
            limit: config.limits.targets,
            refused: 0,
            doubles: Said::default(),
        };
        let (sender, targets) = watch::channel(Arc::from([]));
        tasks.spawn(join.run(before.is_none(), sender));
        Self {
            targets,
            providers: followed,
            _tasks: tasks,
        }
    }

    /// The whole list whenever it changed; the first one as soon as there is one. Cancel safe.
    pub async fn changed(&mut self) -> Arc<[Target]> {
        if self.targets.changed().await.is_err() {
            // The task that sends lives as long as this does, but for a runtime that ends.
            std::future::pending::<()>().await;
        }
        Arc::clone(&self.targets.borrow_and_update())
    }
}

/// The targets that the file names itself, of whatever shard.
#[must_use]
pub fn known_targets(config: &Config) -> Vec<Target> {
    let targets = config.sources.iter().map(|source| {
        Target::new(
            source.kind.clone(),
            source.endpoint.clone(),
            &source.text,
            LabelSet::default(),
            Arc::clone(&source.reading),
        )
        .named()
    });
    targets.collect()
}

/// Joins what all providers found.
struct Join {
    known: Vec<Target>,
    providers: Vec<Mapped>,
    /// What was read before, as long as a provider has found nothing yet.
    carried: Vec<Target>,
    shard: Option<Shard>,
    limit: usize,
    refused: usize,
    doubles: Said,
}

/// A provider, and what is read of what it found last.
struct Mapped {
    discovery: Discovery,
    found: Found,
    targets: Vec<Target>,
    said: Said,
}

impl Join {
    async fn run(mut self, is_start: bool, sender: watch::Sender<Arc<[Target]>>) {
        let deadline = Instant::now() + PATIENCE;
        for provider in &mut self.providers {
            if is_start && matches!(provider.discovery.provider, Provider::Files(_)) {
                // A folder that hangs: what others found must not wait longer.
                _ = timeout_at(deadline, provider.found.wait_for(Option::is_some)).await;
            }
            provider.map();
        }
        let mut last: Option<Vec<TargetKey>> = None;
        loop {
            let waits = self.providers.iter().any(Mapped::is_silent);
            if !waits || Instant::now() >= deadline {
                self.carried.clear();
            }
            let targets = self.join();
            let keys: Vec<_> = targets.iter().map(Target::key).collect();
            if last.as_ref() != Some(&keys) {
                if sender.send(targets).is_err() {
                    return;
                }
                last = Some(keys);
            }
            if self.carried.is_empty() {
                self.any_changed().await;
            } else {
                tokio::select! {
                    () = self.any_changed() => {}
                    () = sleep_until(deadline) => {}
                }
            }
        }
    }

    /// Waits until a provider found something else; for ever where none can any more.
    async fn any_changed(&mut self) {
        let mut waiting: Vec<_> = self
            .providers
            .iter_mut()
            .map(|provider| {
                Box::pin(async move {
                    let changed = provider.found.changed().await;
                    changed.map(|()| provider.map())
                })
            })
            .collect();
        poll_fn(|cx| {
            let mut changed = false;
            // One whose provider has ended is not asked again.
            waiting.retain_mut(|future| match future.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    changed |= result.is_ok();
                    false
                }
                Poll::Pending => true,
            });
            if changed {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// One list, in the order of the file, in which nothing is twice. Each shard knows of all, so that
    /// what is left out is left out by all of them.
    fn join(&mut self) -> Arc<[Target]> {
        let mut list = List::default();
        let found = self.providers.iter().flat_map(|provider| &provider.targets);
        for target in self.known.iter().chain(found) {
            list.add(target);
        }
        self.tell(&list);
        let shard = self.shard;
        let is_ours = |target: &Target| shard.is_none_or(|shard| shard.owns(target.text()));
        let ours = list.targets.iter().filter(|target| is_ours(target)).count();
        let refused = ours.saturating_sub(self.limit);
        list.carry_on(&self.carried);
        let mut all = list.targets;
        all.retain(is_ours);
        all.truncate(self.limit);
        if refused != self.refused && refused > 0 {
            let limit = self.limit;
            tracing::error!(
                limit,
                refused,
                "more targets than limits.targets: the last ones are not read"
            );
        }
        self.refused = refused;
        all.into()
    }

    fn tell(&mut self, list: &List) {
        let Some((first, second)) = &list.double else {
            self.doubles.is_over();
            return;
        };
        let (doubles, first, second) = (list.doubles, first.to_string(), second.to_string());
        if self.doubles.is_news(&format!("{doubles} {first} {second}")) {
            tracing::warn!(
                url = second,
                first,
                doubles,
                "targets would have the same series as others, and are not read: the same kind, host, port \
                 and labels; map a label that tells them apart"
            );
        }
    }
}

/// Targets of which no two are the same on the page.
#[derive(Default)]
struct List {
    targets: Vec<Target>,
    identities: HashMap<Identity, usize>,
    /// By URL and labels.
    pages: HashMap<(Arc<str>, LabelSet), usize>,
    /// How many were left out for having the series of others, and the first of them.
    doubles: usize,
    double: Option<(Endpoint, Endpoint)>,
}

impl List {
    /// Adds one, unless it is there already. Whoever names a target first says how it is read.
    fn add(&mut self, target: &Target) {
        let page = (Arc::clone(target.url()), target.all_labels());
        let same = self.pages.get(&page).copied();
        if let Some(first) = same.and_then(|at| self.targets.get(at)) {
            if target.kind.is_none() || first.kind == target.kind {
                return;
            }
            if first.kind.is_none() {
                return self.tell_kind(same.unwrap_or_default(), target);
            }
        }
        let at = self.targets.len();
        match self
            .identities
            .entry(target.identity(target.kind.as_deref()))
        {
            Entry::Vacant(place) => {
                place.insert(at);
                self.pages.entry(page).or_insert(at);
                self.targets.push(target.clone());
            }
            Entry::Occupied(first) => {
                self.doubles += 1;
                let first = self.targets.get(*first.get());
                let both = first.map(|first| (first.endpoint.clone(), target.endpoint.clone()));
                self.double = self.double.take().or(both);
            }
        }
    }

    /// The kind of a target that is there, said by another mention of it.
    fn tell_kind(&mut self, at: usize, other: &Target) {
        let identity = other.identity(other.kind.as_deref());
        let Some(target) = self.targets.get_mut(at) else {
            return;
        };
        if let Entry::Vacant(place) = self.identities.entry(identity) {
            place.insert(at);
            self.identities.remove(&target.identity(None));
            target.kind.clone_from(&other.kind);
        }
    }

    /// Adds what was read before, but for what is read in another way now.
    fn carry_on(&mut self, carried: &[Target]) {
        let urls: HashSet<_> = self
            .targets
            .iter()
            .map(|one| Arc::clone(one.url()))
            .collect();
        for target in carried.iter().filter(|one| !urls.contains(one.url())) {
            self.add(target);
        }
    }
}

impl Mapped {
    fn new(discovery: Discovery, found: Found) -> Self {
        Self {
            discovery,
            found,
            targets: Vec::new(),
            said: Said::default(),
        }
    }

    /// Whether it has found nothing yet, which is not the same as that there is nothing.
    fn is_silent(&self) -> bool {
        self.found.borrow().is_none()
    }

    fn map(&mut self) {
        let Some(found) = self.found.borrow_and_update().clone() else {
            return;
        };
        self.targets.clear();
        let mut wrong: Option<String> = None;
        let mut wrong_count = 0_usize;
        let Discovery {
            mapping, reading, ..
        } = &self.discovery;
        for found in &*found {
            match mapping.target(found, reading) {
                Ok(target) => self.targets.extend(target),
                Err(what) => {
                    wrong_count += 1;
                    wrong.get_or_insert(what);
                }
            }
        }
        let Some(what) = wrong else {
            self.said.is_over();
            return;
        };
        let what = format!("{what} ({wrong_count} such)");
        if self.said.is_news(&what) {
            tracing::warn!(
                error = what,
                "found targets that cannot be read; they are left out"
            );
        }
    }
}

/// `said` is what was found before, whichever entry meant it: a file is the same under another pattern.
fn follow(discovery: &Discovery, said: Vec<Discovered>, publish: Publish, tasks: &mut JoinSet<()>) {
    match &discovery.provider {
        Provider::Files(sd) => {
            let known = Files::that_said(said);
            tasks.spawn(follow_files(sd.clone(), known, publish));
        }
        Provider::Http(sd) => {
            tasks.spawn(follow_http(Arc::clone(sd), publish));
        }
        #[cfg(feature = "dns")]
        Provider::Dns(sd) => {
            let sd = Arc::clone(sd);
            tasks.spawn(async move { sd.follow(said, |found| send(&publish, found)).await });
        }
        #[cfg(feature = "kubernetes")]
        Provider::Kubernetes(sd) => {
            let sd = Arc::clone(sd);
            tasks.spawn(async move { sd.follow(|found| send(&publish, found)).await });
        }
    }
}

/// Publishes what was found, where it is other than before.
fn send(publish: &Publish, found: Vec<Discovered>) {
    publish.send_if_modified(|last| {
        let is_new = last.as_deref() != Some(&*found);
        if is_new {
            *last = Some(found.into());
        }
        is_new
    });
}

async fn follow_files(sd: FileSd, mut files: Files, publish: Publish) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        ticks.tick().await;
        let sd = sd.clone();
        // A folder on the network may hang: that must hold up this task alone.
        let look = tokio::task::spawn_blocking(move || {
            let changed = files.look(&sd);
            let targets = (changed || is_first).then(|| files.targets());
            (files, targets)
        });
        let Ok((looked, targets)) = look.await else {
            return;
        };
        files = looked;
        is_first = false;
        if let Some(targets) = targets {
            send(&publish, targets);
        }
    }
}

async fn follow_http(sd: Arc<HttpSd>, publish: Publish) {
    let mut asking = Asking::default();
    let mut said = Said::default();
    let mut ticks = interval(sd.refresh());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match sd.ask(&mut asking).await {
            Ok(found) => {
                if said.is_over() {
                    tracing::info!(url = sd.url(), "the answer with targets can be used again");
                }
                send(&publish, found);
            }
            Err(error) => {
                if said.is_news(&error) {
                    tracing::warn!(
                        url = sd.url(),
                        error,
                        "an answer with targets cannot be used; the last good one stays"
                    );
                }
            }
        }
    }
}
