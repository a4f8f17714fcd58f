//! What to run: the integer BERT, its tokenizer, its quantiser.

pub mod bert;
pub mod manifest;
pub mod quantise;
pub mod tokenizer;
