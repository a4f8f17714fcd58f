//! The tokenizer against the `tokenizers` crate: tables, every code point, random texts, recorded ids.

#![expect(clippy::disallowed_methods, reason = "tests read recorded data and write the generated tables")]

mod exhaustive;
mod property;
mod recorded;
mod reference;
mod tables;
mod vocabulary;
