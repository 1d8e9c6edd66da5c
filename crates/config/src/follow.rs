//! The whole life of a configuration: targets that come and go, files that change, SIGHUP.

use std::sync::Arc;

use tokenpath_core::catalogue::Compiled;
use tokenpath_scrape::runner::Exporter;
use tokio::sync::mpsc;

use crate::ConfigError;
use crate::config::Config;
use crate::discovery::Watch;
use crate::fleet::{Fleet, Make};
use crate::reload::ConfigFile;

/// What a program makes of a configuration: the catalogues by which pages tell their kind, and how a
/// source is made of a target.
pub type Equip = dyn Fn(&Config) -> (Vec<Arc<Compiled>>, Arc<Make>) + Send + Sync;

/// Keeps an exporter as its configuration says, until dropped.
///
/// Target lists are applied as they change. Where the file changes, or something comes over `hup`, it
/// is read again: a good one is taken over (targets, labels, dialects; what both have is not
/// interrupted), a bad one is told of and changes nothing. Both are on the page as
/// `tokenpath_config_last_reload_successful`. Where the exporter listens is not changed by a reload.
///
/// Needs a tokio runtime; never ends by itself.
pub async fn follow(
    exporter: Arc<Exporter>,
    config: Config,
    mut file: Option<ConfigFile>,
    mut hup: mpsc::Receiver<()>,
    equip: Arc<Equip>,
) {
    let (kinds, make) = equip(&config);
    let mut fleet = Fleet::new(Arc::clone(&exporter), kinds, make);
    let mut watch = Watch::start(&config);
    exporter.speak_as(config.spoken.clone());
    if file.is_some() {
        exporter.reloaded(true);
    }
    loop {
        let asked = tokio::select! {
            targets = watch.changed() => {
                let change = fleet.apply(&targets);
                if change.added + change.removed > 0 {
                    tracing::info!(added = change.added, kept = change.kept, removed = change.removed, "targets changed");
                }
                continue;
            }
            () = fleet.told() => continue,
            () = changed(&mut file) => "the file changed",
            () = next(&mut hup) => "a signal",
        };
        let Some(file) = &mut file else { continue };
        match file.load() {
            Ok(config) => {
                tracing::info!(file = %file.path().display(), because = asked, "configuration read again");
                let (kinds, make) = equip(&config);
                fleet.make_by(kinds, make);
                watch = watch.succeed(&config);
                exporter.speak_as(config.spoken.clone());
                exporter.reloaded(true);
            }
            Err(errors) => {
                tell(&errors);
                exporter.reloaded(false);
            }
        }
    }
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
