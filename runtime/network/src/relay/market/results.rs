//! Results that were delivered last: a submitter whose connection broke asks again and gets them again.

use std::collections::{BTreeMap, VecDeque};

use ledger::Id;

use crate::session::relay::Encoded;

/// The sealed results of the last tasks, within a bound of bytes: the oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Results {
    frames: BTreeMap<Id, Vec<Encoded>>,
    oldest_first: VecDeque<Id>,
    bytes: usize,
}

impl Results {
    /// Keeps a result, and lets the oldest go for it.
    pub(super) fn keep(&mut self, task: Id, frames: Vec<Encoded>, most_bytes: usize) {
        self.bytes += bytes(&frames);
        if self.frames.insert(task, frames).is_none() {
            self.oldest_first.push_back(task);
        }
        while self.bytes > most_bytes
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.bytes -= self.frames.remove(&oldest).map_or(0, |frames| bytes(&frames));
        }
    }

    /// The frames of a task's result, if it is kept.
    pub(super) fn frames(&self, task: &Id) -> &[Encoded] {
        self.frames.get(task).map_or(&[], Vec::as_slice)
    }
}

fn bytes(frames: &[Encoded]) -> usize {
    frames.iter().map(|frame| frame.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut results = Results::default();
        let task = |n: u8| Id::from_bytes([n; 32]);
        for n in 0..10 {
            results.keep(task(n), vec![Arc::new(vec![n; 40]), Arc::new(vec![n; 60])], 300);
        }
        let kept: Vec<u8> = (0..10).filter(|n| !results.frames(&task(*n)).is_empty()).collect();
        assert_eq!((kept, results.bytes), (vec![7, 8, 9], 300));
        results.keep(task(10), vec![Arc::new(vec![0; 301])], 300);
        assert_eq!((results.frames.len(), results.oldest_first.len(), results.bytes), (0, 0, 0));
    }
}
