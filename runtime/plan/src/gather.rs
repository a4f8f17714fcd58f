//! Scores of scattered rows: what a graph walk asks of a processor, one call a hop.

/// Dot products of one query with chosen rows of a table.
///
/// # Panics
/// Every method may panic when a row is not below the table's height or slices do not have the lengths stated: a bug
/// of the caller, never input.
pub trait Gather: Send + Sync {
    /// `out[i] = sum_c query[c] * codes[rows[i]][c]`, exact: the same on every processor.
    ///
    /// `query` is `[width]`, `codes` `[height][width]`, `rows` and `out` have one length. `width` is at most
    /// [`crate::MAX_WIDTH`], which keeps sums within i32.
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]);
    /// The same over floats, summed in an order fixed for this processor, within the tolerance of
    /// [`crate::float_tolerance`].
    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]);
}

/// Runs independent pieces of work, side by side where the caller's machine can. Results never depend on it.
pub trait Parallel: Sync {
    /// Calls `work(i)` once for every `i < count`, in any order and on any thread, and returns when all are done.
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));
}

/// One after another, on the caller's thread.
pub struct Sequential;

impl Parallel for Sequential {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}
