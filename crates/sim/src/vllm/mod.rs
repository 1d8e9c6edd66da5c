//! vLLM pages of many releases.
mod binding;
mod layout;
mod number;
mod release;
mod template;
pub use layout::{Layout, LayoutError};
pub use release::Release;
