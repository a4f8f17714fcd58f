//! What the cross-crate tests share: ugly cases for every stage, and the backends they run on.

pub mod backends;
pub mod cases;
pub mod generated;
pub mod host;
pub mod lcg;
pub mod lists;
pub mod model;

/// Tells the reader of a test run something: what was not run, how much was compared.
#[expect(clippy::print_stderr, reason = "the one place where tests speak")]
pub fn report(line: &str) {
    eprintln!("{line}");
}
