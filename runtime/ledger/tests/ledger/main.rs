//! The ledger from the outside: values, witnesses, merges.

mod keeping;
mod snapshots;
mod support;
mod transfers;
