//! Tokenpath.
