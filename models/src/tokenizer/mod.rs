//! BERT WordPiece: text in, vocabulary ids out.
//!
//! Gives the ids of the `tokenizers` crate (0.23: `BertNormalizer`, `BertPreTokenizer`, `WordPiece`, `BertProcessing`)
//! on every text, which `models/tests/tokenizer` checks code point by code point and on random strings. One pass over
//! the text, no allocation beyond the growth of the caller's `ids`:
//!
//! ```text
//! for each special literal ([CLS], [SEP], ...) of the raw text: end the word, emit its id
//! for each other character c:
//!     clean    control, private use, U+0000, U+FFFD: as if absent; whitespace: end the word
//!     fold     canonical decomposition, non-spacing marks dropped, kept marks put in canonical order, each lowered
//!     split    punctuation and ideographs: a word of their own
//! for each word: the longest vocabulary entry that starts it, then the longest "##" entry that continues it, ...;
//!     [UNK] alone if it has more than 100 characters or some rest has no entry
//! ```

#[rustfmt::skip]
mod tables;
mod unicode;
mod vocab;
mod word;

use unicode::{ASCII, ASCII_DROP, ASCII_SPACE, ASCII_WORD_FIRST, Fold, NOT_ASCII};
use vocab::Vocab;
pub use vocab::VocabError;
use word::Word;

/// A BERT WordPiece tokenizer with the uncased normaliser (clean, fold, lower, split ideographs).
#[derive(Clone, Debug)]
pub struct WordPiece {
    vocab: Vocab,
    unk: u32,
    cls: u32,
    sep: u32,
    /// The ids of [`SPECIAL_TOKENS`], those the vocabulary has.
    special: [Option<u32>; SPECIAL_TOKENS.len()],
}

/// What [`WordPiece::encode`] appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Ids appended, `[CLS]` and `[SEP]` included.
    pub tokens: usize,
    /// Whether the text had more tokens than fitted.
    pub truncated: bool,
}

impl WordPiece {
    /// Reads a `vocab.txt`: UTF-8, one token a line, the id is the line's index from 0. White space at the end of
    /// a line is no part of the token.
    ///
    /// # Errors
    /// [`VocabError`] names the line that is not UTF-8 or repeats a token, the special token that is missing, or
    /// the limit that is passed.
    pub fn new(vocab: &[u8]) -> Result<WordPiece, VocabError> {
        let vocab = Vocab::new(vocab)?;
        let required = |token| vocab.find(token).ok_or(VocabError::MissingToken { token });
        let (unk, cls, sep) = (required("[UNK]")?, required("[CLS]")?, required("[SEP]")?);
        let special = SPECIAL_TOKENS.map(|token| vocab.find(token));
        Ok(WordPiece { vocab, unk, cls, sep, special })
    }

    /// Appends `[CLS]`, the tokens of `text` and `[SEP]` to `ids`, at most `max_tokens` of them all told.
    ///
    /// A text that does not fit loses its last tokens, never the `[SEP]`, and is read only as far as its first token
    /// that does not fit. `max_tokens` below 2 counts as 2.
    pub fn encode(&self, text: &str, max_tokens: usize, ids: &mut Vec<u32>) -> Encoding {
        let start = ids.len();
        ids.push(self.cls);
        let limit = start.saturating_add(max_tokens.max(2) - 1);
        let truncated = self.scan(text, &mut Sink { ids, limit });
        ids.truncate(limit);
        ids.push(self.sep);
        Encoding { tokens: ids.len() - start, truncated }
    }

    /// The number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// The text of token `id`, its `##` included; `None` past the end of the vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.vocab.token(id)
    }

    /// Tokenises `text` into `out` until its end or until `out` overflows; says whether it overflowed.
    fn scan(&self, text: &str, out: &mut Sink) -> bool {
        let bytes = text.as_bytes();
        let mut word = Word::new();
        let mut at = 0;
        while at < bytes.len() {
            match ASCII[usize::from(bytes[at])] {
                ASCII_WORD_FIRST.. => {
                    at = word.push_ascii_run(bytes, at);
                    continue;
                }
                NOT_ASCII => {
                    let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
                    at += c.len_utf8();
                    self.take_char(c, &mut word, out);
                }
                ASCII_DROP => at += 1,
                ASCII_SPACE => {
                    at += 1;
                    self.end_word(&mut word, out);
                }
                _ => {
                    self.end_word(&mut word, out);
                    if let Some((literal, id)) = self.special_at(&bytes[at..]) {
                        at += literal.len();
                        out.ids.push(id);
                    } else {
                        word.push(char::from(bytes[at]));
                        at += 1;
                        self.end_word(&mut word, out);
                    }
                }
            }
            if out.overflows() {
                return true;
            }
        }
        self.end_word(&mut word, out);
        out.overflows()
    }

    /// The special token whose literal `bytes` starts with. It is looked for in the raw text: `[cls]` is none.
    fn special_at(&self, bytes: &[u8]) -> Option<(&'static str, u32)> {
        if bytes[0] != b'[' {
            return None;
        }
        let mut literals = SPECIAL_TOKENS.into_iter().zip(self.special);
        let (literal, id) = literals.find(|(literal, _)| bytes.starts_with(literal.as_bytes()))?;
        Some((literal, id?))
    }

    /// Folds one character of the text into the word, which it may end.
    #[inline(never)]
    fn take_char(&self, c: char, word: &mut Word, out: &mut Sink) {
        if unicode::is_ideograph(c) {
            self.end_word(word, out);
            word.push(match unicode::fold(c) {
                Fold::One(folded) => folded,
                _ => c,
            });
            return self.end_word(word, out);
        }
        match unicode::fold(c) {
            Fold::Keep => word.push(c),
            Fold::Drop => {}
            Fold::Barrier => word.push_barrier(),
            Fold::Space => self.end_word(word, out),
            Fold::Punctuation => self.take_punctuation(c, word, out),
            // A character can fold to punctuation: U+2260 is '=' and a mark.
            Fold::One(folded) if unicode::is_punctuation(folded) => self.take_punctuation(folded, word, out),
            Fold::One(folded) => word.push(folded),
            Fold::Many(parts) => {
                for &part in parts.iter().filter(|&&part| part != '\0') {
                    match unicode::fold(part) {
                        Fold::Mark(order) => word.push_mark(part, order),
                        _ => word.push(part),
                    }
                }
            }
            Fold::Mark(order) => word.push_mark(c, order),
        }
    }

    fn take_punctuation(&self, c: char, word: &mut Word, out: &mut Sink) {
        self.end_word(word, out);
        word.push(c);
        self.end_word(word, out);
    }

    /// Emits the tokens of the word, if it has any characters, and empties it.
    #[inline]
    fn end_word(&self, word: &mut Word, out: &mut Sink) {
        if word.is_empty() {
            return;
        }
        match word.padded_bytes() {
            None => out.ids.push(self.unk),
            Some((bytes, len)) => match self.vocab.find_piece(bytes, 0, len, false) {
                Some(id) => out.ids.push(id),
                None => self.split_word(bytes, len, out),
            },
        }
        word.clear();
    }

    /// Emits the pieces of a word that is no token itself.
    fn split_word(&self, bytes: &[u8], len: usize, out: &mut Sink) {
        let word_start = out.ids.len();
        let mut start = 0;
        while start < len {
            match self.vocab.longest_piece(bytes, start, len) {
                Some((id, end)) => {
                    out.ids.push(id);
                    start = end;
                }
                None => {
                    out.ids.truncate(word_start);
                    return out.ids.push(self.unk);
                }
            }
        }
    }
}

/// Where ids go: one more than `limit` of them is enough to know that the text does not fit.
struct Sink<'a> {
    ids: &'a mut Vec<u32>,
    limit: usize,
}

impl Sink<'_> {
    fn overflows(&self) -> bool {
        self.ids.len() > self.limit
    }
}

/// The literals that are tokens wherever they stand in the raw text, also inside a word: the `added_tokens` of BERT's
/// `tokenizer.json`, all of them special, not normalised, and without the strip and single-word flags.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
