//! Vector search and compression, written once for all levels.
//!
//! A scan walks a table in blocks of rows that stay in the second-nearest cache. Many queries go through it side by
//! side, so that a loaded row serves them all; few queries take the rows as they stream from memory. Either way a
//! score is first compared with the worst of its query's list, and only one that beats it reaches the list: scores of
//! all rows are never written.

pub(crate) mod distance;
pub(crate) mod distance_f32;
pub(crate) mod encode;
pub(crate) mod hamming;
mod lines;
mod lists;
pub(crate) mod rows;
pub(crate) mod topk;
