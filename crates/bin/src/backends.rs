//! The backends that this build knows, for the commands that work on pages. An explicit list.

use std::sync::Arc;

use tokenpath_core::catalogue::Compiled;

/// A backend that is read as a page of text.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Its kind, as in the label `backend`.
    pub kind: &'static str,
    /// What it is called in prose.
    pub title: &'static str,
    /// Its catalogue, ready for use.
    pub compiled: fn() -> Arc<Compiled>,
}

/// All of them.
pub const ALL: &[Backend] = &[Backend {
    kind: "vllm",
    title: "vLLM",
    compiled: tokenpath_vllm::compiled,
}];

/// The backend of a kind.
///
/// # Errors
///
/// The kinds there are, where this is none of them.
pub fn find(kind: &str) -> Result<Backend, String> {
    ALL.iter()
        .find(|backend| backend.kind == kind)
        .copied()
        .ok_or_else(|| {
            let kinds: Vec<&str> = ALL.iter().map(|backend| backend.kind).collect();
            format!("no such backend; known are: {}", kinds.join(", "))
        })
}
