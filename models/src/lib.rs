//! What to run: the integer BERT, its tokenizer and quantiser; vector search and compression; spiking networks.

pub mod bert;
pub mod compress;
mod golden;
pub mod manifest;
pub mod quantise;
pub mod search;
pub mod spiking;
pub mod tokenizer;

pub use golden::self_test;
