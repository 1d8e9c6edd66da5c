//! All providers of a configuration, followed at the same time; one list of targets.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_scrape::Page;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::file_sd::Files;
use super::said::Said;
use super::{Discovered, Discovery, FileSd, HttpSd, Provider, Shard, Target};
use crate::config::Config;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long the first answers are waited for where a configuration follows another one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the providers of one configuration until it is dropped.
#[derive(Debug)]
pub struct Watch {
    targets: watch::Receiver<Arc<[Target]>>,
    /// What each provider found last, by what it asks: the next configuration begins with it.
    found: Vec<(u64, Found)>,
    /// Ends the tasks when dropped.
    _tasks: JoinSet<()>,
}

/// What one provider found last; none before its first answer.
type Found = watch::Receiver<Option<Arc<[Discovered]>>>;
type Publish = watch::Sender<Option<Arc<[Discovered]>>>;

impl Watch {
    /// Starts to follow. Files are read before this returns, so that the first list has their
    /// targets; it does not wait for others. Needs a tokio runtime.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        Self::begin(config, &[], None)
    }

    /// Starts to follow another configuration, of the same exporter. A provider that was followed
    /// before begins with what it found last; the first list waits, for ten seconds at most, for
    /// the answers of the others: a target that is in both is not lost in between.
    #[must_use]
    pub fn succeed(&self, config: &Config) -> Self {
        Self::begin(config, &self.found, Some(Instant::now() + PATIENCE))
    }

    fn begin(config: &Config, before: &[(u64, Found)], wait: Option<Instant>) -> Self {
        let mut tasks = JoinSet::new();
        let mut found = Vec::with_capacity(config.discovery.len());
        for discovery in &config.discovery {
            let known = before
                .iter()
                .find(|(fingerprint, _)| *fingerprint == discovery.fingerprint);
            let seed = known.and_then(|(_, found)| found.borrow().clone());
            let publish = watch::Sender::new(seed);
            found.push((discovery.fingerprint, publish.subscribe()));
            follow(discovery, publish, &mut tasks);
        }
        let providers = config.discovery.iter().cloned().zip(&found);
        let join = Join {
            known: known_targets(config),
            providers: providers
                .map(|(discovery, (_, found))| Mapped::new(discovery, found.clone()))
                .collect(),
            shard: config.shard,
            limit: config.limits.targets,
            refused: 0,
        };
        let (sender, targets) = watch::channel(Arc::from([]));
        tasks.spawn(join.run(wait, sender));
        Self {
            targets,
            found,
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
            Arc::clone(&source.text),
            LabelSet::default(),
            Arc::clone(&source.reading),
        )
    });
    targets.collect()
}

/// Joins what all providers found.
struct Join {
    known: Vec<Target>,
    providers: Vec<Mapped>,
    shard: Option<Shard>,
    limit: usize,
    refused: usize,
}

/// A provider, and what is read of what it found last.
struct Mapped {
    discovery: Discovery,
    found: Found,
    targets: Vec<Target>,
    said: Said,
}

impl Join {
    async fn run(mut self, wait: Option<Instant>, sender: watch::Sender<Arc<[Target]>>) {
        for provider in &mut self.providers {
            if let Some(deadline) = wait {
                // No answer in time: what others found must not wait longer.
                _ = timeout_at(deadline, provider.found.wait_for(Option::is_some)).await;
            }
            provider.map();
        }
        loop {
            let targets = self.join();
            if sender.send(targets).is_err() {
                return;
            }
            self.any_changed().await;
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

    /// One list, in the order of the file; what is there twice is there once.
    fn join(&mut self) -> Arc<[Target]> {
        let mut seen = HashSet::new();
        let mut refused = 0;
        let mut all: Vec<Target> = Vec::new();
        let found = self.providers.iter().flat_map(|provider| &provider.targets);
        for target in self.known.iter().chain(found) {
            let ours = self.shard.is_none_or(|shard| shard.owns(target.text()));
            if !ours || !seen.insert(target.key()) {
                continue;
            }
            if all.len() < self.limit {
                all.push(target.clone());
            } else {
                refused += 1;
            }
        }
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

fn follow(discovery: &Discovery, publish: Publish, tasks: &mut JoinSet<()>) {
    match &discovery.provider {
        Provider::Files(sd) => {
            let mut files = Files::default();
            files.look(sd);
            publish.send_replace(Some(files.targets().into()));
            tasks.spawn(follow_files(sd.clone(), files, publish));
        }
        Provider::Http(sd) => {
            tasks.spawn(follow_http(Arc::clone(sd), publish));
        }
        #[cfg(feature = "dns")]
        Provider::Dns(sd) => {
            let sd = Arc::clone(sd);
            tasks.spawn(async move { sd.follow(|found| send(&publish, found)).await });
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
    loop {
        ticks.tick().await;
        let sd = sd.clone();
        // A folder on the network may hang: that must hold up this task alone.
        let look = tokio::task::spawn_blocking(move || {
            let changed = files.look(&sd);
            let targets = changed.then(|| files.targets());
            (files, targets)
        });
        let Ok((looked, targets)) = look.await else {
            return;
        };
        files = looked;
        if let Some(targets) = targets {
            send(&publish, targets);
        }
    }
}

async fn follow_http(sd: Arc<HttpSd>, publish: Publish) {
    let mut page = Page::new();
    let mut said = Said::default();
    let mut ticks = interval(sd.refresh());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match sd.ask(&mut page).await {
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
