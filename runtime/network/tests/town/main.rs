//! A town: one relay with a real ledger and some edges, in one loop with seeded delays. One seed is one history.

mod crashes;
mod tasks;
mod world;
