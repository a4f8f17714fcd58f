//! Every code point, through `encode` alone.

use crate::reference::{Encode, HIGH_MARK, LOW_MARK, Reference, all_chars, encode, is_isolated, normalize};
use crate::vocabulary::vocabulary;
use models::tokenizer::WordPiece;

#[test]
fn every_code_point_encodes_as_in_the_reference() {
    let differing: Vec<char> = blocks().flat_map(|block| differing_chars(&block, &encode)).collect();
    assert_eq!(differing, []);
}

#[test]
fn a_planted_fault_at_one_code_point_is_caught() {
    let block: Vec<char> = ('\0'..'\u{1000}').collect();
    let faulty = |tokenizer: &WordPiece, text: &str, max_tokens| {
        encode(tokenizer, &text.replace('\u{1E2}', "\u{E7}"), max_tokens)
    };
    assert_eq!(differing_chars(&block, &faulty), ['\u{1E2}']);
}

#[test]
fn every_pair_of_kept_marks_is_ordered_as_in_the_reference() {
    let marks: Vec<char> = all_chars().filter(|&c| is_kept_mark(c)).collect();
    assert!(marks.contains(&HIGH_MARK) && marks.contains(&LOW_MARK), "{marks:?}");
    let vocab = vocabulary(marks.iter().copied().chain(['a']));
    let (reference, tokenizer) = (Reference::new(&vocab, &[]), WordPiece::new(vocab.as_bytes()).unwrap());
    for &first in &marks {
        let text: String = marks.iter().map(|second| format!("a{first}{second} {first}{second}a ")).collect();
        assert_eq!(reference.difference(&|text, max| encode(&tokenizer, text, max), &text), None);
    }
}

type EncodeWith<'a> = &'a dyn Fn(&WordPiece, &str, usize) -> (Vec<u32>, bool);

/// The characters of `block` that `encode` does not encode as the reference does: alone, and between two marks that
/// it may keep apart.
fn differing_chars(block: &[char], encode: EncodeWith) -> Vec<char> {
    let text = |c| format!(" {c} a{HIGH_MARK}{c}{LOW_MARK}b ");
    let normalized = normalize(&block.iter().collect::<String>());
    let vocab = vocabulary(normalized.chars().chain([HIGH_MARK, LOW_MARK, 'a', 'b']));
    let (reference, tokenizer) = (Reference::new(&vocab, &[]), WordPiece::new(vocab.as_bytes()).unwrap());
    let encode: Encode = &|text, max| encode(&tokenizer, text, max);
    // One call for the block is cheap; only a difference is looked for character by character.
    if reference.difference(encode, &block.iter().copied().map(text).collect::<String>()).is_none() {
        return Vec::new();
    }
    block.iter().copied().filter(|&c| reference.difference(encode, &text(c)).is_some()).collect()
}

fn blocks() -> impl Iterator<Item = Vec<char>> {
    let mut chars = all_chars();
    std::iter::from_fn(move || {
        Some(chars.by_ref().take(4096).collect()).filter(|block: &Vec<char>| !block.is_empty())
    })
}

fn is_kept_mark(c: char) -> bool {
    let between = format!("a{HIGH_MARK}{c}{LOW_MARK}b");
    normalize(&c.to_string()).chars().eq([c]) && normalize(&between) != between && !is_isolated(c)
}
