//! The graph index: bytes, answers, edits, files.

mod answers;
mod bytes;
mod edits;
mod files;
mod generated;
mod mnist;
mod support;
