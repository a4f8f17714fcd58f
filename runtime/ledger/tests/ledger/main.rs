//! The ledger from the outside: values, witnesses, merges.

mod goldens;
mod keeping;
mod snapshots;
mod support;
mod transfers;
