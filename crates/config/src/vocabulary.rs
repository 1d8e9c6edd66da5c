//! What a file may name: the kinds of backends, families and dialects that the program has.

use std::sync::Arc;

use tokenpath_core::dialect::Dialect;
use tokenpath_core::{Desc, tokenpath};

/// The names that a program knows. A file adds its own catalogues, families and dialects to them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Vocabulary {
    /// Kinds of backends, as in the label `backend`.
    pub kinds: Vec<String>,
    /// Families.
    pub families: Vec<Arc<Desc>>,
    /// Dialects.
    pub dialects: Vec<Dialect>,
}

impl Default for Vocabulary {
    /// The kinds that the environment can name, the shared families and the built-in dialects.
    fn default() -> Self {
        let kinds = ["vllm", "tgi", "limitador", "gateway"];
        Self {
            kinds: kinds.map(str::to_owned).to_vec(),
            families: tokenpath::families().to_vec(),
            dialects: Dialect::builtins().collect(),
        }
    }
}

impl Vocabulary {
    /// Sets the kinds.
    #[must_use]
    pub fn kinds<T: Into<String>>(mut self, kinds: impl IntoIterator<Item = T>) -> Self {
        self.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// Adds families; one whose name is there already is left out.
    #[must_use]
    pub fn families(mut self, families: impl IntoIterator<Item = Arc<Desc>>) -> Self {
        for desc in families {
            if !self
                .families
                .iter()
                .any(|known| known.name() == desc.name())
            {
                self.families.push(desc);
            }
        }
        self
    }

    /// Adds dialects; one whose name is there already is left out.
    #[must_use]
    pub fn dialects(mut self, dialects: impl IntoIterator<Item = Dialect>) -> Self {
        for dialect in dialects {
            if !self
                .dialects
                .iter()
                .any(|known| known.name() == dialect.name())
            {
                self.dialects.push(dialect);
            }
        }
        self
    }
}
