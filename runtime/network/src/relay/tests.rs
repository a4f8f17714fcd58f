//! A relay against frames that are fed by hand.

mod flow;
mod pace;
mod refusals;
mod restart;
mod times;
mod town;
mod witnesses;
