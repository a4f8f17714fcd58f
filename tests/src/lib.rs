//! What the cross-crate tests share: ugly cases for every stage, and the backends they run on.

#![allow(clippy::print_stderr, reason = "tests say there what was not run")]

pub mod backends;
pub mod cases;
pub mod lcg;
pub mod model;
