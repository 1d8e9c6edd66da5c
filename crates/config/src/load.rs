//! Reading a configuration: file, environment and flags into one, or all errors at once.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::overlay::Overlay;
use crate::resolve::resolve;
use crate::schema::{table, validate};
use crate::tree::{self, Limits};
use crate::vocabulary::Vocabulary;
use crate::{ConfigError, Flaw, Place, raw};

const LIMITS: Limits = Limits {
    bytes: 8 << 20,
    nodes: 500_000,
    depth: 64,
};

type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Reads configurations, again and again where a file changes.
#[derive(Clone)]
pub struct Loader {
    vocabulary: Arc<Vocabulary>,
    overlay: Overlay,
    environment: Environment,
    unset_is_fine: bool,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

impl Loader {
    /// With the default vocabulary and no environment.
    #[must_use]
    pub fn new() -> Self {
        Self {
            vocabulary: Arc::default(),
            overlay: Overlay::new(),
            environment: Arc::new(|_| None),
            unset_is_fine: false,
        }
    }

    /// Sets what a file may name.
    #[must_use]
    pub fn vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        self.vocabulary = Arc::new(vocabulary);
        self
    }

    /// Sets what is said beside the file.
    #[must_use]
    pub fn overlay(mut self, overlay: Overlay) -> Self {
        self.overlay = overlay;
        self
    }

    /// Sets what `${NAME}` stands for: usually `|name| std::env::var(name).ok()`.
    #[must_use]
    pub fn environment(
        mut self,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.environment = Arc::new(environment);
        self
    }

    /// A variable that is not set is no error, and what it would be is not looked at: for checking
    /// a file on another machine than the one it is for.
    #[must_use]
    pub fn unset_is_fine(mut self) -> Self {
        self.unset_is_fine = true;
        self
    }

    /// Reads a file. Paths in it are meant from its folder.
    ///
    /// # Errors
    ///
    /// All that is wrong, in the order of the file.
    pub fn load(&self, path: &Path) -> Result<Config, Vec<ConfigError>> {
        let name: Arc<str> = path.to_string_lossy().into();
        let whole = |what: String| vec![ConfigError::whole(&name, what)];
        let meta = fs::metadata(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
        if !meta.is_file() {
            return Err(whole("is no regular file".to_owned()));
        }
        if meta.len() > LIMITS.bytes as u64 {
            return Err(whole(format!("is larger than {} bytes", LIMITS.bytes)));
        }
        let bytes = fs::read(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let flaw = Flaw::new(
                place_in(error.as_bytes(), error.utf8_error().valid_up_to()),
                "this is no UTF-8",
            );
            vec![ConfigError::at(&name, flaw)]
        })?;
        self.read(&name, &text, path.parent().unwrap_or_else(|| Path::new("")))
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// All that is wrong, in the order of the text.
    pub fn parse(&self, name: &str, text: &str) -> Result<Config, Vec<ConfigError>> {
        self.read(&name.into(), text, Path::new(""))
    }

    fn read(&self, name: &Arc<str>, text: &str, folder: &Path) -> Result<Config, Vec<ConfigError>> {
        let (root, mut flaws) = tree::read(text, LIMITS);
        let mut config = None;
        if let Some(mut root) = root {
            self.overlay.apply(&mut root);
            let environment = &*self.environment;
            let lookup = crate::expand::Variables {
                get: environment,
                unset_is_fine: self.unset_is_fine,
            };
            let (value, places) = validate(&root, &table::FILE, &lookup, &mut flaws);
            match value.map(serde_json::from_value::<raw::File>) {
                Some(Ok(file)) => {
                    config = Some(resolve(file, folder, &self.vocabulary, &places, &mut flaws));
                }
                // What was checked is what the types take; a test holds them together.
                Some(Err(error)) => flaws.push(Flaw::new(Place::START, error.to_string())),
                None => {}
            }
        }
        flaws.sort();
        flaws.dedup();
        match config {
            Some(config) if flaws.is_empty() => Ok(config),
            _ => Err(flaws
                .into_iter()
                .map(|flaw| self.overlay.error(name, flaw))
                .collect()),
        }
    }
}

/// Line and column of a byte.
fn place_in(bytes: &[u8], offset: usize) -> Place {
    let before = bytes.get(..offset).unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default())
        .chars()
        .count();
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: small(lines + 1),
        column: small(column + 1),
    }
}

/// All that is wrong with a file; empty where nothing is. Variables that are not set on this machine
/// are no error.
#[must_use]
pub fn check(path: &Path, vocabulary: &Vocabulary) -> Vec<ConfigError> {
    Loader::new()
        .vocabulary(vocabulary.clone())
        .environment(|name| std::env::var(name).ok())
        .unset_is_fine()
        .load(path)
        .err()
        .unwrap_or_default()
}

/// Reads a text without an environment, for those who have no file.
///
/// # Errors
///
/// All that is wrong, in the order of the text.
pub fn parse(name: &str, text: &str, vocabulary: &Vocabulary) -> Result<Config, Vec<ConfigError>> {
    Loader::new()
        .vocabulary(vocabulary.clone())
        .parse(name, text)
}
