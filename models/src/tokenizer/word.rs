//! The word under construction.

use super::unicode::{self, ASCII, ASCII_WORD_FIRST, Fold};

/// A folded word of at most [`MAX_WORD_CHARS`] characters; of a longer one only that it is longer.
pub(super) struct Word {
    /// UTF-8, then at least [`PADDING`] bytes of anything, so that a word can be read eight bytes at a time.
    bytes: [u8; MAX_WORD_BYTES + PADDING],
    len: usize,
    chars: usize,
    /// No later mark goes before this byte.
    barrier: usize,
}

impl Word {
    pub(super) fn new() -> Word {
        Word { bytes: [0; MAX_WORD_BYTES + PADDING], len: 0, chars: 0, barrier: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chars == 0
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.chars = 0;
        self.barrier = 0;
    }

    /// The word's bytes with their padding, and how many are the word; `None` if it is too long.
    pub(super) fn padded_bytes(&self) -> Option<(&[u8], usize)> {
        (self.chars <= MAX_WORD_CHARS).then_some((&self.bytes, self.len))
    }

    /// Takes the ASCII letters and digits of `text` from `at` on, lowered; returns where they end.
    #[inline]
    pub(super) fn push_ascii_run(&mut self, text: &[u8], at: usize) -> usize {
        let (mut len, mut chars) = (self.len, self.chars);
        let mut end = at;
        while let Some(&byte) = text.get(end) {
            let folded = ASCII[usize::from(byte)];
            if folded < ASCII_WORD_FIRST {
                break;
            }
            if chars < MAX_WORD_CHARS {
                self.bytes[len] = folded;
                len += 1;
            }
            chars += 1;
            end += 1;
        }
        (self.len, self.chars) = (len, chars);
        end
    }

    /// Appends a folded character of combining class 0.
    pub(super) fn push(&mut self, c: char) {
        if self.chars < MAX_WORD_CHARS {
            self.len += c.encode_utf8(&mut self.bytes[self.len..]).len();
        }
        self.chars += 1;
    }

    /// Appends a mark, but before the marks of a higher canonical order that end the word.
    pub(super) fn push_mark(&mut self, c: char, order: u8) {
        self.chars += 1;
        if self.chars > MAX_WORD_CHARS {
            return;
        }
        let mut at = self.len;
        while let Some((previous, previous_order)) = self.mark_before(at)
            && previous_order > order
        {
            at -= previous.len_utf8();
        }
        self.bytes.copy_within(at..self.len, at + c.len_utf8());
        c.encode_utf8(&mut self.bytes[at..]);
        self.len += c.len_utf8();
    }

    /// Keeps the marks before apart from the marks after: a dropped character of combining class 0 was here.
    pub(super) fn push_barrier(&mut self) {
        self.barrier = self.len;
    }

    /// The mark that ends before byte `end` and after the barrier, and its order.
    fn mark_before(&self, end: usize) -> Option<(char, u8)> {
        let before = self.bytes.get(self.barrier..end)?;
        let start = before.iter().rposition(|byte| byte & 0xC0 != 0x80)?;
        let mark = str::from_utf8(&before[start..]).ok()?.chars().next()?;
        match unicode::fold(mark) {
            Fold::Mark(order) => Some((mark, order)),
            _ => None,
        }
    }
}

/// A longer word is `[UNK]`: `max_input_chars_per_word` of BERT's `tokenizer.json`.
const MAX_WORD_CHARS: usize = 100;
const MAX_WORD_BYTES: usize = 4 * MAX_WORD_CHARS;
/// One read of eight bytes past the end of the word.
pub(super) const PADDING: usize = 8;
