//! The node as state machines without I/O.
//!
//! Pure: time, randomness and bytes are arguments. A shell (native, browser, simulator) owns the sockets, the clock and the
//! store, and holds no policy.

pub mod draw;
pub mod limits;
pub mod queue;
pub mod scheduler;
