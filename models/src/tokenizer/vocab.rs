//! The vocabulary: token texts, and a hash table from texts to ids that never allocates.

use super::word::PADDING;

/// The tokens in the order of their ids.
#[derive(Clone, Debug)]
pub(super) struct Vocab {
    /// The token texts end to end, then [`PADDING`] bytes, so that a token can be read eight bytes at a time.
    texts: String,
    /// Where each token starts in `texts`, and where the last ends.
    starts: Vec<u32>,
    /// Open addressing with linear probing, a power of two of slots, at most half of them taken.
    slots: Vec<Slot>,
    /// Bytes of the longest token, `##` not counted: no longer piece need be looked for.
    longest: usize,
}

/// Why bytes are no vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabError {
    /// The bytes or the tokens are more than a vocabulary may have.
    #[error(
        "vocabulary of {bytes} bytes and {tokens} tokens: at most {MAX_BYTES} and {MAX_TOKENS} are supported"
    )]
    TooLarge {
        /// Length of the input.
        bytes: usize,
        /// Lines of the input, 0 if they were not counted.
        tokens: usize,
    },
    /// A line is not UTF-8.
    #[error("vocabulary line {line} is not UTF-8")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
    /// A line repeats the token of an earlier one.
    #[error("vocabulary line {line} repeats the token of line {first_line}: {token:?}")]
    DuplicateToken {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        first_line: usize,
        /// The token.
        token: String,
    },
    /// A token without which no text can be encoded is missing.
    #[error("vocabulary has no token {token}")]
    MissingToken {
        /// The token.
        token: &'static str,
    },
}

impl Vocab {
    /// Reads one token a line.
    pub(super) fn new(bytes: &[u8]) -> Result<Vocab, VocabError> {
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n');
        if bytes.len() > MAX_BYTES {
            return Err(VocabError::TooLarge { bytes: bytes.len(), tokens: 0 });
        }
        let tokens = lines.clone().count();
        if tokens > MAX_TOKENS {
            return Err(VocabError::TooLarge { bytes: bytes.len(), tokens });
        }
        let mut vocab = Vocab {
            texts: String::with_capacity(bytes.len() + PADDING),
            starts: Vec::with_capacity(tokens + 1),
            slots: vec![Slot::EMPTY; (2 * tokens).next_power_of_two()],
            longest: 0,
        };
        vocab.starts.push(0);
        for (index, line) in lines.enumerate() {
            let line = str::from_utf8(line).map_err(|_| VocabError::NotUtf8 { line: index + 1 })?;
            vocab.texts.push_str(line.trim_end());
            vocab.starts.push(vocab.texts.len() as u32);
        }
        vocab.texts.extend(['\0'; PADDING]);
        for id in 0..tokens as u32 {
            vocab.insert(id)?;
        }
        Ok(vocab)
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn token(&self, id: u32) -> Option<&str> {
        let start = *self.starts.get(id as usize)?;
        let end = *self.starts.get(id as usize + 1)?;
        self.texts.get(start as usize..end as usize)
    }

    /// The id of the token with exactly this text.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let (piece, continues) = split_prefix(text);
        let mut padded = piece.as_bytes().to_vec();
        padded.extend([0; PADDING]);
        self.find_piece(&padded, 0, piece.len(), continues)
    }

    /// The token of the bytes from `start` to `end`, after a `##` if it `continues` a word. `bytes` goes on for at
    /// least [`PADDING`] bytes past `end`.
    #[inline]
    pub(super) fn find_piece(&self, bytes: &[u8], start: usize, end: usize, continues: bool) -> Option<u32> {
        let tag = tag(bytes, start, end, continues);
        let mut at = self.home(tag);
        loop {
            let slot = self.slots[at];
            if slot == Slot::EMPTY {
                return None;
            }
            if slot.tag == tag {
                let (from, to) = self.piece_range(slot.id, continues);
                if to - from == end - start && same(self.texts.as_bytes(), from, bytes, start, end - start) {
                    return Some(slot.id);
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The longest token that starts the bytes from `start` to `len`, and where it ends; after a `##` unless `start`
    /// is 0. `bytes` is padded as for [`Self::find_piece`].
    pub(super) fn longest_piece(&self, bytes: &[u8], start: usize, len: usize) -> Option<(u32, usize)> {
        let mut end = len.min(start + self.longest);
        while end > start {
            // No token ends inside a character.
            let inside_char = end < len && bytes[end] & 0xC0 == 0x80;
            if !inside_char && let Some(id) = self.find_piece(bytes, start, end, start > 0) {
                return Some((id, end));
            }
            end -= 1;
        }
        None
    }

    fn insert(&mut self, id: u32) -> Result<(), VocabError> {
        let text = self.token(id).unwrap_or_default();
        let continues = split_prefix(text).1;
        let (start, end) = self.piece_range(id, continues);
        let texts = self.texts.as_bytes();
        if let Some(first) = self.find_piece(texts, start, end, continues) {
            let (line, first_line) = (id as usize + 1, first as usize + 1);
            return Err(VocabError::DuplicateToken { line, first_line, token: text.to_owned() });
        }
        let tag = tag(texts, start, end, continues);
        let mut at = self.home(tag);
        while self.slots[at] != Slot::EMPTY {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = Slot { tag, id };
        self.longest = self.longest.max(end - start);
        Ok(())
    }

    /// Where the probes for a tag start.
    fn home(&self, tag: u32) -> usize {
        (tag >> 1) as usize & (self.slots.len() - 1)
    }

    /// Where a token lies in `texts`, its `##` left out.
    fn piece_range(&self, id: u32, continues: bool) -> (usize, usize) {
        let start = self.starts[id as usize] as usize + if continues { PREFIX.len() } else { 0 };
        (start, self.starts[id as usize + 1] as usize)
    }
}

/// A place of the hash table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// [`tag`] of the token.
    tag: u32,
    id: u32,
}

impl Slot {
    const EMPTY: Slot = Slot { tag: 0, id: u32::MAX };
}

/// A token without its `##`, and whether it had one.
fn split_prefix(token: &str) -> (&str, bool) {
    match token.strip_prefix(PREFIX) {
        Some(piece) => (piece, true),
        None => (token, false),
    }
}

/// A hash of 31 bits over the piece and its length, and one bit for `continues`.
#[inline]
fn tag(bytes: &[u8], start: usize, end: usize, continues: bool) -> u32 {
    let mut hash = (end - start) as u64;
    let mut at = start;
    while at < end {
        hash = (hash ^ chunk(bytes, at, end - at)).wrapping_mul(MULTIPLIER);
        hash ^= hash >> 32;
        at += 8;
    }
    (hash as u32) << 1 | u32::from(continues)
}

/// Whether `len` bytes of `a` and `b` are the same; both are padded.
#[inline]
fn same(a: &[u8], a_start: usize, b: &[u8], b_start: usize, len: usize) -> bool {
    (0..len).step_by(8).all(|at| chunk(a, a_start + at, len - at) == chunk(b, b_start + at, len - at))
}

/// Up to eight bytes from `at` on, zero past the first `len`.
#[inline]
fn chunk(bytes: &[u8], at: usize, len: usize) -> u64 {
    let word = bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if len < 8 { word & ((1 << (8 * len)) - 1) } else { word }
}

const PREFIX: &str = "##";

/// More than any published vocabulary has, and few enough for `u32` offsets.
const MAX_BYTES: usize = 1 << 26;
const MAX_TOKENS: usize = 1 << 21;

/// 2^64 / golden ratio, odd: the multiplier of Fibonacci hashing (Knuth, TAOCP 3, section 6.4).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
