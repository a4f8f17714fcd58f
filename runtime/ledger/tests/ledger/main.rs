//! The ledger from the outside: values, witnesses, merges.

mod snapshots;
mod support;
mod transfers;
