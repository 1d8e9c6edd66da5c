//! Which families are kept: an allow list and a deny list of names.

/// Which families are meant, of a source or for a roll-up. A name, or the beginning of names followed
/// by `*`.
///
/// ```
/// use tokenpath_core::Selection;
///
/// let selection = Selection::new(["llm_*"], ["llm_vllm_*"]);
/// assert!(selection.keeps("llm_requests_running"));
/// assert!(!selection.keeps("llm_vllm_engine_sleep_state"));
/// assert!(!selection.keeps("gpu_up"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    allow: Vec<Box<str>>,
    deny: Vec<Box<str>>,
}

impl Selection {
    /// Keeps what the first list names (everything, if it is empty) and the second does not.
    #[must_use]
    pub fn new<A: AsRef<str>, D: AsRef<str>>(
        allow: impl IntoIterator<Item = A>,
        deny: impl IntoIterator<Item = D>,
    ) -> Self {
        Self {
            allow: allow
                .into_iter()
                .map(|pattern| pattern.as_ref().into())
                .collect(),
            deny: deny
                .into_iter()
                .map(|pattern| pattern.as_ref().into())
                .collect(),
        }
    }

    /// Whether a family is kept.
    #[must_use]
    pub fn keeps(&self, family: &str) -> bool {
        (self.allow.is_empty() || named(&self.allow, family)) && !named(&self.deny, family)
    }

    /// Whether every family is kept.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

fn named(patterns: &[Box<str>], family: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => family.starts_with(beginning),
            None => family == &**pattern,
        })
}
