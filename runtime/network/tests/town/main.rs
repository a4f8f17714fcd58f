//! A town: one relay with a real ledger and some edges, in one loop with seeded delays. One seed is one history.

// A seed that fails is named in the output of its test.
#![allow(clippy::print_stderr)]

mod crashes;
mod tasks;
mod world;
