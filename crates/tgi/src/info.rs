//! What `GET /info` says: the model, and the limits the server was started with.

use std::sync::{Arc, LazyLock};

use tokenpath_core::{Desc, Snapshot, tokenpath};

use crate::families::limits;

/// The part of `GET /info` that is of use. Everything may be missing: the fields changed over the
/// releases.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "http", derive(serde::Deserialize))]
#[cfg_attr(feature = "http", serde(default))]
#[non_exhaustive]
pub struct Info {
    /// The model, as given at the start: a hub id or a path.
    pub model_id: Option<String>,
    /// The version the workspace names, which may lag behind the release: 3.3.7 says `3.3.6-dev0`.
    pub version: Option<String>,
    /// Requests taken at once.
    pub max_concurrent_requests: Option<f64>,
    /// Most input tokens of a request.
    #[cfg_attr(feature = "http", serde(alias = "max_input_length"))]
    pub max_input_tokens: Option<f64>,
    /// Most tokens of a request.
    pub max_total_tokens: Option<f64>,
    /// Most tokens in a batch.
    pub max_batch_total_tokens: Option<f64>,
    /// Most inputs in one request.
    pub max_client_batch_size: Option<f64>,
    /// Most completions to choose from.
    pub max_best_of: Option<f64>,
    /// Most stop sequences.
    pub max_stop_sequences: Option<f64>,
    /// Threads that tokenize.
    pub validation_workers: Option<f64>,
}

impl Info {
    /// Reads the JSON of `GET /info`.
    ///
    /// # Errors
    ///
    /// Where it is no JSON object, or a field has another type.
    #[cfg(feature = "http")]
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Writes the facts as families; the model label is added with that of the page.
    pub(crate) fn write(&self, out: &mut Snapshot) {
        out.clear();
        if let Some(version) = &self.version {
            out.family(described(&tokenpath::engine::INFO))
                .sample(&[("version", version)], 1.0);
        } else if self.model_id.is_some() {
            out.family(described(&tokenpath::engine::INFO))
                .sample(&[], 1.0);
        }
        for (desc, value) in [
            (&limits::CONCURRENT_REQUESTS, self.max_concurrent_requests),
            (&limits::INPUT_TOKENS, self.max_input_tokens),
            (&limits::TOTAL_TOKENS, self.max_total_tokens),
            (&limits::BATCH_TOKENS, self.max_batch_total_tokens),
            (&limits::CLIENT_BATCH, self.max_client_batch_size),
            (&limits::BEST_OF, self.max_best_of),
            (&limits::STOP_SEQUENCES, self.max_stop_sequences),
            (&limits::VALIDATION_WORKERS, self.validation_workers),
        ] {
            if let Some(value) = value {
                out.family(described(desc)).sample(&[], value);
            }
        }
    }
}

/// The families that `/info` fills.
pub(crate) fn families() -> &'static [Arc<Desc>] {
    static FAMILIES: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
        let all = tokenpath::families()
            .iter()
            .chain(crate::families::families());
        let ours = |desc: &&Arc<Desc>| {
            desc.name() == tokenpath::engine::INFO.name()
                || limits::ALL.iter().any(|limit| limit.name() == desc.name())
        };
        all.filter(ours).cloned().collect()
    });
    &FAMILIES
}

fn described(desc: &Desc) -> &'static Arc<Desc> {
    families()
        .iter()
        .find(|known| known.name() == desc.name())
        .unwrap_or_else(|| unreachable!("{} is in the list above", desc.name()))
}
