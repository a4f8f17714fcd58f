//! The kernel benchmark suite: definitions, engines, records.
