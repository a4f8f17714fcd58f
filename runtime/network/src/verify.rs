//! What a relay decides about results: how many workers a task gets, when their equal tags are believed, who is paid and
//! who is blamed.
//!
//! ```text
//! Rules::of(options, weather) -> Unit::open -> Draw -> (after the draw: a hidden check?) -> Assigned
//!   -> Committed ... -> OpenReveals -> Revealed ... -> Decided -> (late results) -> Judged ... -> closed
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`credibility`] | how far a worker and a group of equal votes are believed, in whole numbers |
//! | [`policy`] | what a task's options come to: replicas, threshold, check rate, exposure |
//! | [`weather`] | whether trusted workers are being caught: then none is believed alone |
//! | [`mod@unit`] | one task from its first assignment to its last judgement |
//! | [`check`] | known answers, and that no worker sees one twice |
//!
//! Every decision is a function of published evidence, so relays and auditors that hold the same evidence come to the same
//! one. The relay never sees a result, only its tag. Sources: L. Sarmenta, *Sabotage-tolerance mechanisms for volunteer
//! computing systems* (CCGrid 2001); the work-unit states are those of BOINC.

pub mod check;
pub mod credibility;
#[cfg(any(test, feature = "frontier"))]
pub mod frontier;
pub mod policy;
pub mod unit;
pub mod weather;
