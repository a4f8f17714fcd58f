//! The ledger from the outside: values, witnesses, merges.

mod support;
mod transfers;
