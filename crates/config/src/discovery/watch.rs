//! All providers of a configuration, followed at the same time; one list of targets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_scrape::Page;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::file_sd::Files;
use super::said::Said;
use super::{Discovered, Discovery, FileSd, HttpSd, Mapping, Provider, Target};
use crate::config::Config;
use crate::reading::Reading;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the providers of one configuration until it is dropped.
#[derive(Debug)]
pub struct Watch {
    targets: watch::Receiver<Arc<[Target]>>,
    /// Ends the tasks when dropped.
    _tasks: JoinSet<()>,
}

/// What one provider found last: mapped, not yet sharded.
type Found = watch::Receiver<Arc<[Target]>>;

impl Watch {
    /// Starts to follow; files are read before this returns, so that the first list has them. Needs
    /// a tokio runtime.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        let mut tasks = JoinSet::new();
        let found: Vec<Found> = config
            .discovery
            .iter()
            .map(|discovery| follow(discovery, &mut tasks))
            .collect();
        let join = Join {
            known: known_targets(config),
            shard: config.shard,
            limit: config.limits.targets,
            refused: 0,
        };
        let (sender, targets) = watch::channel(Arc::from([]));
        tasks.spawn(join.run(found, sender));
        Self {
            targets,
            _tasks: tasks,
        }
    }

    /// The whole list whenever it changed; the first at once. Cancel safe.
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
    shard: Option<super::Shard>,
    limit: usize,
    refused: usize,
}

impl Join {
    async fn run(mut self, mut found: Vec<Found>, sender: watch::Sender<Arc<[Target]>>) {
        loop {
            let lists: Vec<_> = found
                .iter_mut()
                .map(|found| Arc::clone(&found.borrow_and_update()))
                .collect();
            let targets = self.join(&lists);
            if sender.send(targets).is_err() {
                return;
            }
            any_changed(&mut found).await;
        }
    }

    /// One list, in the order of the file; what is there twice is there once.
    fn join(&mut self, lists: &[Arc<[Target]>]) -> Arc<[Target]> {
        let mut seen = HashSet::new();
        let mut refused = 0;
        let mut all: Vec<Target> = Vec::new();
        let found = lists.iter().flat_map(|list| list.iter());
        for target in self.known.iter().chain(found) {
            if self.shard.is_some_and(|shard| !shard.owns(target.text()))
                || !seen.insert(target.key())
            {
                continue;
            }
            if all.len() < self.limit {
                all.push(target.clone());
            } else {
                refused += 1;
            }
        }
        if refused != self.refused && refused > 0 {
            tracing::error!(
                limit = self.limit,
                refused,
                "more targets than limits.targets: the last ones are not read"
            );
        }
        self.refused = refused;
        all.into()
    }
}

/// Waits until one of the lists changes; for ever where none can any more.
async fn any_changed(found: &mut [Found]) {
    let mut waiting: Vec<_> = found
        .iter_mut()
        .map(|found| Box::pin(async move { found.changed().await }))
        .collect();
    std::future::poll_fn(|cx| {
        let mut changed = false;
        // One whose provider has ended is not asked again.
        waiting.retain_mut(|future| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(result) => {
                changed |= result.is_ok();
                false
            }
            std::task::Poll::Pending => true,
        });
        if changed {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn follow(discovery: &Discovery, tasks: &mut JoinSet<()>) -> Found {
    let mut mapper = Mapper {
        mapping: discovery.mapping.clone(),
        reading: Arc::clone(&discovery.reading),
        said: Said::default(),
        sender: watch::Sender::new(Arc::from([])),
    };
    let found = mapper.sender.subscribe();
    match &discovery.provider {
        Provider::Files(sd) => {
            let mut files = Files::default();
            files.look(sd);
            mapper.publish(files.targets());
            tasks.spawn(follow_files(sd.clone(), files, mapper));
        }
        Provider::Http(sd) => {
            tasks.spawn(follow_http(Arc::clone(sd), mapper));
        }
        #[cfg(feature = "dns")]
        Provider::Dns(sd) => {
            let sd = Arc::clone(sd);
            tasks.spawn(async move { sd.follow(|found| mapper.publish(found)).await });
        }
        #[cfg(feature = "kubernetes")]
        Provider::Kubernetes(sd) => {
            let sd = Arc::clone(sd);
            tasks.spawn(async move { sd.follow(|found| mapper.publish(found)).await });
        }
    }
    found
}

/// Turns what was found into targets.
struct Mapper {
    mapping: Mapping,
    reading: Arc<Reading>,
    said: Said,
    sender: watch::Sender<Arc<[Target]>>,
}

impl Mapper {
    fn publish(&mut self, found: Vec<Discovered>) {
        let mut targets = Vec::with_capacity(found.len());
        let mut wrong: Option<String> = None;
        let mut wrong_count = 0_usize;
        for found in &found {
            match self.mapping.target(found, &self.reading) {
                Ok(target) => targets.extend(target),
                Err(what) => {
                    wrong_count += 1;
                    wrong.get_or_insert(what);
                }
            }
        }
        match wrong {
            Some(what) => {
                let what = format!("{what} ({wrong_count} such)");
                if self.said.is_news(&what) {
                    tracing::warn!(
                        error = what,
                        "discovered targets that cannot be read are left out"
                    );
                }
            }
            None => _ = self.said.is_over(),
        }
        self.sender.send_replace(targets.into());
    }
}

async fn follow_files(sd: FileSd, mut files: Files, mut mapper: Mapper) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let look = {
            let sd = sd.clone();
            // A folder on the network may hang: that must hold up this task alone.
            tokio::task::spawn_blocking(move || {
                let changed = files.look(&sd);
                (files, changed)
            })
        };
        let Ok((looked, changed)) = look.await else {
            return;
        };
        files = looked;
        if changed {
            mapper.publish(files.targets());
        }
    }
}

async fn follow_http(sd: Arc<HttpSd>, mut mapper: Mapper) {
    let mut page = Page::new();
    let mut said = Said::default();
    let mut last: Option<Vec<Discovered>> = None;
    let mut ticks = tokio::time::interval(sd.refresh());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match sd.ask(&mut page).await {
            Ok(found) => {
                if said.is_over() {
                    tracing::info!(url = sd.url(), "the answer with targets can be used again");
                }
                if last.as_ref() != Some(&found) {
                    mapper.publish(found.clone());
                    last = Some(found);
                }
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
