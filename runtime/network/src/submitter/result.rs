use ledger::Id;

use crate::wire::Part;

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskResult {
    /// The task.
    pub task: Id,
    /// The canonical result.
    pub bytes: Vec<u8>,
    /// What it cost, in micro-credits.
    pub cost_ucredits: u64,
    /// Workers that were asked.
    pub workers: u16,
    /// Workers that agreed on it.
    pub agreed: usize,
    /// Whether enough believed workers agreed; `false` where the relay took it without verification.
    pub verified: bool,
}

/// Bytes that come in parts, in order and from one sender.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    bytes: Vec<u8>,
    total: Option<u32>,
}

/// The parts are not those of one stream of bytes, or of one that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotInOrder;

impl Gather {
    /// Takes a part of a stream of at most `most_bytes`; whether it was the last. A part that was there changes nothing. What is
    /// allocated is what came.
    pub(crate) fn take(&mut self, part: &Part, most_bytes: u32) -> Result<bool, NotInOrder> {
        let total = *self.total.get_or_insert(part.total);
        if part.total != total || total > most_bytes || total == 0 {
            return Err(NotInOrder);
        }
        let (begin, length) = (part.offset as usize, part.bytes.len());
        if begin > self.bytes.len() || begin + length > total as usize || length == 0 {
            return Err(NotInOrder);
        }
        let known = (self.bytes.len() - begin).min(length);
        self.bytes.extend_from_slice(&part.bytes[known..]);
        Ok(self.is_whole())
    }

    /// Whether all is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.bytes.len() == total as usize)
    }

    /// What came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes in parts, as they are sent.
pub(crate) fn parts(task: Id, flow: crate::wire::Flow, bytes: &[u8]) -> impl Iterator<Item = Part> + '_ {
    let total = u32::try_from(bytes.len()).expect("sealed bytes are not so many");
    bytes.chunks(Part::MAX_BYTES).enumerate().map(move |(at, chunk)| Part {
        task,
        flow,
        offset: (at * Part::MAX_BYTES) as u32,
        total,
        bytes: chunk.to_vec(),
    })
}
