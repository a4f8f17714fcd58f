//! The ledger beside a short reference economy.
//!
//! | file | what |
//! |---|---|
//! | [`reference`], [`deed`], [`defect`] | the economy in plain maps, what is done in it, and what can be planted |
//! | [`world`], [`steps`] | the real one: owners, witnesses with replicas and stores of their own, crashes, late mail |
//! | [`attacks`] | for every rule an attack that breaks this rule and nothing else |
//! | [`ruin`] | what must hold with more bad witnesses than may be |
//! | [`laws`] | merge laws, any order of arrival, hostile bytes |
//! | [`double_spend`] | attempts counted |
//! | [`mutants`] | every rule taken away and every defect planted: all must be found |
//!
//! One seed is one world. What fails says its check, its seed and what was done until then.

pub mod attacks;
pub mod deed;
pub mod defect;
pub mod double_spend;
pub mod laws;
pub mod mutants;
pub mod reference;
mod rng;
pub mod ruin;
pub mod steps;
pub mod world;

pub use rng::Rng;

/// A check that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which check.
    pub check: &'static str,
    /// What was found.
    pub what: String,
}

/// Whether everything held.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Fails unless it holds.
pub(crate) fn ensure(check: &'static str, holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure { check, what: what() }) }
}
