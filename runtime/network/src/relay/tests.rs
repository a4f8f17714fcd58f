//! A relay against frames that are fed by hand.

mod flow;
mod restart;
mod town;
