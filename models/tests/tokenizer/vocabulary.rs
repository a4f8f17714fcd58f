//! Vocabularies for the tests, and the typed errors of bad ones.

use crate::reference::{SPECIAL_TOKENS, encode};
use models::tokenizer::{VocabError, WordPiece};
use std::collections::BTreeSet;

/// The special tokens, then each of `chars` as a word and as a continuation.
pub(crate) fn vocabulary(chars: impl Iterator<Item = char>) -> String {
    // The line format has no room for white space; such characters are no words anyway.
    let chars: BTreeSet<char> = chars.filter(|c| !c.is_whitespace()).collect();
    let mut vocab = SPECIAL_TOKENS.join("\n");
    for c in chars {
        vocab.push_str(&format!("\n{c}\n##{c}"));
    }
    vocab
}

#[test]
fn tokens_are_numbered_by_line() {
    let vocab = "[UNK]\r\n[CLS]\n[SEP] \t\n\nabc\n##bc\n";
    let tokenizer = WordPiece::new(vocab.as_bytes()).unwrap();
    let tokens: Vec<_> = (0..7).map(|id| tokenizer.token(id)).collect();
    let expected = ["[UNK]", "[CLS]", "[SEP]", "", "abc", "##bc"].map(Some);
    assert_eq!((&tokens[..6], tokens[6]), (&expected[..], None));
    assert_eq!(tokenizer.vocab_size(), 6);
    assert_eq!(tokenizer.token(u32::MAX), None);
}

#[test]
fn bad_vocabularies_are_named() {
    let error = |vocab: &[u8]| WordPiece::new(vocab).unwrap_err();
    assert_eq!(error(b""), VocabError::MissingToken { token: "[UNK]" });
    assert_eq!(error(b"[UNK]\n[SEP]"), VocabError::MissingToken { token: "[CLS]" });
    assert_eq!(error(b"[UNK]\n[CLS]\na"), VocabError::MissingToken { token: "[SEP]" });
    assert_eq!(error(b"[UNK]\nabc\n\xFF\n"), VocabError::NotUtf8 { line: 3 });
    let repeated = VocabError::DuplicateToken { line: 4, first_line: 2, token: "##a".to_owned() };
    assert_eq!(error(b"a\n##a\n[UNK]\n##a\n"), repeated);
    assert_eq!(error(b"a\n##a\na\n").to_string(), "vocabulary line 3 repeats the token of line 1: \"a\"");
    let bytes = (1 << 26) + 1;
    assert_eq!(error(&vec![b'a'; bytes]), VocabError::TooLarge { bytes, tokens: 0 });
    let tokens = (1 << 21) + 1;
    assert_eq!(error(&vec![b'\n'; tokens]), VocabError::TooLarge { bytes: tokens, tokens });
}

/// Enough tokens and other words for the hashes of the lookup to collide (31 bits: about 40 pairs).
#[test]
fn words_with_the_hash_of_a_token_are_not_that_token() {
    let count = 300_000;
    let word = |index: u32| format!("sameprefix{index:08x}");
    let mut vocab = String::from("[UNK]\n[CLS]\n[SEP]");
    (0..count).for_each(|index| vocab.push_str(&format!("\n{}", word(index))));
    let tokenizer = WordPiece::new(vocab.as_bytes()).unwrap();
    for index in 0..2 * count {
        let expected = if index < count { index + 3 } else { 0 };
        assert_eq!(encode(&tokenizer, &word(index), 4), (vec![1, expected, 2], false));
    }
}
