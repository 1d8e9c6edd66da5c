//! The whole life of a configuration: targets that come and go, files that change, SIGHUP.

use std::sync::Arc;

use tokenpath_scrape::runner::{Exporter, RollUpOptions, Selection};
use tokio::sync::mpsc;

use crate::ConfigError;
use crate::config::{Config, Engine};
use crate::discovery::Watch;
use crate::fleet::{Change, Fleet, Make};
use crate::reload::ConfigFile;

/// What a program makes of a configuration: the engines by whose catalogues pages tell their kind, and
/// how a source is made of a target.
pub type Equip = dyn Fn(&Config) -> (Vec<Engine>, Arc<Make>) + Send + Sync;

/// Keeps an exporter as its configuration says, until dropped: [`Follower::start`] and
/// [`Follower::run`] in one, for those who need not know how the start went.
pub async fn follow(
    exporter: Arc<Exporter>,
    config: Config,
    file: Option<ConfigFile>,
    hup: mpsc::Receiver<()>,
    equip: Arc<Equip>,
) {
    let (follower, _) = Follower::start(exporter, &config, file, equip).await;
    follower.run(hup).await;
}

/// Keeps an exporter as its configuration says.
///
/// Target lists are applied as they change. Where the file changes, or somebody asks, it is read
/// again: a good one is taken over (targets, labels, dialects, roll-ups; what both have is not interrupted), a
/// bad one is told of and changes nothing. Both are on the page as
/// `tokenpath_config_last_reload_successful`. Where the exporter listens is not changed by a reload.
#[derive(Debug)]
pub struct Follower {
    exporter: Arc<Exporter>,
    fleet: Fleet,
    watch: Watch,
    file: Option<ConfigFile>,
    equip: Equipping,
}

struct Equipping(Arc<Equip>);

impl std::fmt::Debug for Equipping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Equip")
    }
}

impl Follower {
    /// Makes the exporter read what the configuration names itself, and what its target files do;
    /// says which of that cannot be read. Other providers are followed from now on, and not waited
    /// for. Needs a tokio runtime.
    pub async fn start(
        exporter: Arc<Exporter>,
        config: &Config,
        file: Option<ConfigFile>,
        equip: Arc<Equip>,
    ) -> (Self, Change) {
        let (kinds, make) = equip(config);
        let mut fleet = Fleet::new(Arc::clone(&exporter), kinds, make);
        let mut watch = Watch::start(config);
        take_over(&exporter, config);
        if file.is_some() {
            exporter.reloaded(true);
        }
        let change = fleet.apply(&watch.changed().await);
        let follower = Self {
            exporter,
            fleet,
            watch,
            file,
            equip: Equipping(equip),
        };
        (follower, change)
    }

    /// Follows. Something that comes over `hup` reads the file again. Never ends by itself.
    pub async fn run(mut self, mut hup: mpsc::Receiver<()>) {
        loop {
            self.turn(&mut hup).await;
        }
    }

    async fn turn(&mut self, hup: &mut mpsc::Receiver<()>) {
        let asked = tokio::select! {
            targets = self.watch.changed() => {
                let change = self.fleet.apply(&targets);
                if change.added + change.removed > 0 {
                    tracing::info!(added = change.added, kept = change.kept, removed = change.removed, "targets changed");
                }
                return;
            }
            () = self.fleet.told() => return,
            () = changed(&mut self.file) => "the file changed",
            () = next(hup) => "a signal",
        };
        let Some(file) = &mut self.file else {
            tracing::warn!("there is no configuration file to read again");
            return;
        };
        match file.load_aside().await {
            Ok(config) => {
                tracing::info!(file = %file.path().display(), because = asked, "configuration read again");
                let (kinds, make) = (self.equip.0)(&config);
                self.fleet.make_by(kinds, make);
                self.watch = self.watch.succeed(&config);
                take_over(&self.exporter, &config);
                self.exporter.reloaded(true);
            }
            Err(errors) => {
                tell(&errors);
                self.exporter.reloaded(false);
            }
        }
    }
}

/// What holds for pages as a whole. A roll-up that was there before goes on.
fn take_over(exporter: &Exporter, config: &Config) {
    exporter.speak_as(config.spoken.clone());
    exporter.roll_up(config.rollups.iter().map(|said| {
        RollUpOptions::over(said.over.iter().map(String::as_str))
            .families(Selection::new(&said.families, [""; 0]))
            .keep_parts(said.keep_parts)
    }));
}

fn tell(errors: &[ConfigError]) {
    for error in errors {
        tracing::error!(%error, "the configuration is not valid; the old one stays");
    }
}

async fn changed(file: &mut Option<ConfigFile>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

async fn next(hup: &mut mpsc::Receiver<()>) {
    if hup.recv().await.is_none() {
        std::future::pending().await
    }
}
