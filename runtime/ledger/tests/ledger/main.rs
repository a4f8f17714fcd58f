//! The ledger from the outside: values, witnesses, merges.

mod attacks;
mod goldens;
mod holder;
mod hostile;
mod keeping;
mod open_doors;
mod rewards;
mod snapshots;
mod support;
mod transfers;
mod treasury;
