//! The scheduler from outside: for every sequence of signals, beside its reference, in a simulated world, and slice by slice.

mod base_rule;
mod pacing;
mod properties;
mod reasons;
mod reference;
mod shared_gpu;
mod world;
