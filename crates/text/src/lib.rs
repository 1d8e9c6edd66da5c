//! Files that people write: YAML as a tree in which every key and value knows where it stands
//! ([`tree`]), and the word that was meant where a word is not known ([`nearest`](fn@nearest::nearest)).
//!
//! The configuration and the linter stand on it. It reads text and nothing else: no file, no schema.
//! Feature `json`: strict JSON as the same tree.
//!
//! ```
//! use tokenpath_text::tree::{self, Limits};
//!
//! let limits = Limits { bytes: 1 << 20, nodes: 1000, depth: 20 };
//! let (root, flaws) = tree::read("groups:\n  - name: latency\n", limits);
//! let groups = root.as_ref().and_then(|root| root.get("groups")).unwrap();
//! assert_eq!(groups.items()[0].get("name").unwrap().place.to_string(), "2:11");
//! assert!(flaws.is_empty());
//! ```

#[cfg(feature = "json")]
pub mod json;
pub mod nearest;
mod place;
pub mod tree;

pub use place::{Flaw, Lines, Place};
