//! What the normaliser and the pre-tokenizer do with one character, read from generated tables.

use super::tables::{ABOVE, BLOCKS, CLASS_HIGH, CLASS_LOW, FIRST_ABOVE, MANY, RANK, TARGETS, WIDE};

/// What one character of the text becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// Itself.
    Keep,
    /// Nothing, as if the text did not have it.
    Drop,
    /// Nothing, but marks before it do not change places with marks after it.
    Barrier,
    /// The end of a word.
    Space,
    /// Itself, as a word of its own.
    Punctuation,
    /// One other character.
    One(char),
    /// Several characters, padded with U+0000.
    Many([char; MAX_PARTS]),
    /// Itself, after the marks that precede it but before those of a higher order.
    Mark(u8),
}

pub(super) fn fold(c: char) -> Fold {
    let code = u32::from(c);
    if code >= FIRST_ABOVE {
        return fold_above(code);
    }
    if let Some(parts) = hangul_parts(code) {
        return Fold::Many(parts);
    }
    let block = usize::from(BLOCKS[(code >> BLOCK_BITS) as usize]);
    let bit = 1u128 << (code % BLOCK_CHARS);
    let (low, high) = (CLASS_LOW[block], CLASS_HIGH[block]);
    match (low & bit != 0, high & bit != 0) {
        (false, false) => Fold::Keep,
        (true, false) => Fold::Drop,
        (false, true) => Fold::Punctuation,
        (true, true) => {
            let before = (low & high & (bit - 1)).count_ones();
            fold_target(TARGETS[usize::from(RANK[block]) + before as usize])
        }
    }
}

pub(super) fn is_punctuation(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_punctuation(),
        false => fold(c) == Fold::Punctuation,
    }
}

/// Whether BERT splits the character off as a "Chinese character": the ideograph blocks its authors listed.
pub(super) fn is_ideograph(c: char) -> bool {
    c >= '\u{3400}'
        && matches!(c,
            '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' | '\u{F900}'..='\u{FAFF}'
            | '\u{20000}'..='\u{2A6DF}' | '\u{2A700}'..='\u{2B81F}' | '\u{2B920}'..='\u{2CEAF}'
            | '\u{2F800}'..='\u{2FA1F}')
}

/// For each byte of a text: an ASCII letter or digit lowered, else one of the codes below.
pub(super) const ASCII: [u8; 256] = {
    let mut table = [NOT_ASCII; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = match c {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => c.to_ascii_lowercase(),
            b'\t' | b'\n' | b'\r' | b' ' => ASCII_SPACE,
            _ if c.is_ascii_control() => ASCII_DROP,
            _ => ASCII_PUNCTUATION,
        };
        byte += 1;
    }
    table
};
pub(super) const NOT_ASCII: u8 = 0;
pub(super) const ASCII_DROP: u8 = 1;
pub(super) const ASCII_SPACE: u8 = 2;
pub(super) const ASCII_PUNCTUATION: u8 = 3;
/// The least value of a letter or digit.
pub(super) const ASCII_WORD_FIRST: u8 = b'0';

/// Above the tables there are only dropped ranges.
fn fold_above(code: u32) -> Fold {
    match ABOVE.iter().find(|(first, last, _)| (*first..=*last).contains(&code)) {
        Some((_, _, true)) => Fold::Barrier,
        Some((_, _, false)) => Fold::Drop,
        None => Fold::Keep,
    }
}

/// Reads a code of [`TARGETS`]: a character, or a value of the surrogate range, which is none.
fn fold_target(code: u16) -> Fold {
    match code {
        TARGET_WIDE..TARGET_MANY => Fold::One(WIDE[usize::from(code - TARGET_WIDE)]),
        TARGET_MANY..TARGET_MARK => Fold::Many(MANY[usize::from(code - TARGET_MANY)]),
        TARGET_MARK..TARGET_BARRIER => Fold::Mark((code - TARGET_MARK) as u8),
        TARGET_BARRIER => Fold::Barrier,
        TARGET_SPACE => Fold::Space,
        _ => char::from_u32(u32::from(code)).map_or(Fold::Keep, Fold::One),
    }
}

/// The conjoining letters of a Hangul syllable (Unicode section 3.12).
fn hangul_parts(code: u32) -> Option<[char; MAX_PARTS]> {
    let index = code.checked_sub(0xAC00).filter(|&index| index < 19 * 21 * 28)?;
    let (lead, vowel, trail) = (index / (21 * 28), index / 28 % 21, index % 28);
    let letter = |code| char::from_u32(code).unwrap_or('\0');
    let trail = if trail == 0 { '\0' } else { letter(0x11A7 + trail) };
    Some([letter(0x1100 + lead), letter(0x1161 + vowel), trail])
}

/// Characters of the longest decomposition, without its dropped marks.
const MAX_PARTS: usize = 3;

const BLOCK_BITS: u32 = 7;
const BLOCK_CHARS: u32 = 1 << BLOCK_BITS;

const TARGET_WIDE: u16 = 0xD800;
const TARGET_MANY: u16 = 0xDC00;
const TARGET_MARK: u16 = 0xDE00;
const TARGET_BARRIER: u16 = 0xDF00;
const TARGET_SPACE: u16 = 0xDF01;
