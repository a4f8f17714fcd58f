//! The scheduler from outside: for every sequence of signals, beside its reference, and slice by slice.

mod base_rule;
mod pacing;
mod properties;
mod reference;
