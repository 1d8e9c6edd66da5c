//! Reading the configuration again when its file is another one than before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::ConfigError;
use crate::config::Config;
use crate::discovery::Stamp;
use crate::load::Loader;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A configuration file and what is known of it. Looking goes by what the path leads to, so the
/// symlink swap of Kubernetes' volumes counts as a change.
///
/// ```
/// use tokenpath_config::{ConfigFile, Loader};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("tokenpath.yaml");
/// std::fs::write(&path, "sources: [{kind: vllm, endpoint: localhost:8000}]").unwrap();
/// let mut file = ConfigFile::new(&path, Loader::new());
/// let config = file.load().unwrap();
/// assert_eq!(config.sources.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    loader: Loader,
    stamp: Option<Stamp>,
}

impl ConfigFile {
    /// A file, not read yet.
    #[must_use]
    pub fn new(path: &Path, loader: Loader) -> Self {
        Self {
            path: path.to_owned(),
            loader,
            stamp: None,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it now, changed or not: at start, and on SIGHUP.
    ///
    /// # Errors
    ///
    /// All that is wrong. Whoever has a configuration keeps it.
    pub fn load(&mut self) -> Result<Config, Vec<ConfigError>> {
        // Looked at before it is read: what is written in between is seen as a change.
        self.stamp = Stamp::of(&self.path).ok();
        self.loader.load(&self.path)
    }

    /// As [`ConfigFile::load`], where a folder on the network that hangs holds up nobody but who waits.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub async fn load_aside(&mut self) -> Result<Config, Vec<ConfigError>> {
        let mut file = self.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = file.load();
            (file, loaded)
        });
        match loading.await {
            Ok((file, loaded)) => {
                *self = file;
                loaded
            }
            Err(error) => {
                let name = self.path.to_string_lossy().into();
                let what = format!("could not be read: {error}");
                Err(vec![ConfigError::whole(&name, what)])
            }
        }
    }

    /// Waits until it is another file than the one that was read last. One that is gone is no
    /// change: it may be about to be replaced. Cancel safe.
    pub async fn changed(&mut self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let path = self.path.clone();
            let stamp = tokio::task::spawn_blocking(move || Stamp::of(&path).ok()).await;
            if let Ok(Some(stamp)) = stamp
                && self.stamp.as_ref() != Some(&stamp)
            {
                return;
            }
        }
    }
}
