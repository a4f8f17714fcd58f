//! How long work reports to whoever waits for it.

/// What work is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of a file.
    Bytes,
    /// Pieces of whatever the step works on.
    Steps,
}

/// How far a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work<'a> {
    /// What is being done, for a person to read.
    pub step: &'a str,
    /// Units done.
    pub done: u64,
    /// Units of this step, where known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
}

/// Watches a model being fetched and made.
pub trait Observer {
    /// Something the user should know: what is fetched from where, what was damaged and is made anew.
    fn note(&mut self, text: &str);
    /// Progress of the current step.
    fn progress(&mut self, work: Work<'_>);
}

/// Nobody watches.
impl Observer for () {
    fn note(&mut self, _: &str) {}
    fn progress(&mut self, _: Work<'_>) {}
}
