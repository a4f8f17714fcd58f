//! What the cross-crate tests share: ugly cases for every stage, and the backends they run on.

pub mod backends;
pub mod cases;
pub mod lcg;
pub mod model;
