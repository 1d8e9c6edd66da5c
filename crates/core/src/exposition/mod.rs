//! The exposition formats: bytes to entries, snapshots to bytes.
