//! The ledger from the outside: values, witnesses, merges.

mod goldens;
mod hostile;
mod keeping;
mod rewards;
mod snapshots;
mod support;
mod transfers;
