//! From a duty to single slices: when each may start, and how much work fits.

mod cost;
mod pacer;

pub use cost::Cost;
pub use pacer::{PACE_WINDOW_US, Pacer, Turn};
