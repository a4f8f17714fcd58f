//! Generates `src/tokenizer/tables.rs` from what the reference does with every code point.

use crate::reference::{HIGH_MARK, LOW_MARK, all_chars, is_isolated, normalize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{Display, Write as _};

#[test]
fn the_committed_tables_are_what_the_reference_gives() {
    let generated = generate();
    // The committed tables are what every device computes with. A compiler of another Unicode version can differ in
    // the lowering of recent letters, which alone is no reason to change the tables.
    assert_eq!(first_difference(COMMITTED, &generated), None, "see the ignored test regenerate_tables");
    let planted = COMMITTED.replacen(" 0x61,", " 0x62,", 1);
    assert!(first_difference(&planted, &generated).is_some(), "one wrong target");
}

#[test]
#[ignore = "writes src/tokenizer/tables.rs"]
fn regenerate_tables() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokenizer/tables.rs"), generate()).unwrap();
}

const COMMITTED: &str = include_str!("../../src/tokenizer/tables.rs");

/// What one character becomes; the kinds of `unicode::Fold`, its Hangul and ideographs left to code.
enum Kind {
    Keep,
    Drop,
    Barrier,
    Space,
    Punctuation,
    One(char),
    Many(Vec<char>),
    Mark,
}

fn first_difference<'a>(committed: &'a str, generated: &'a str) -> Option<(usize, &'a str, &'a str)> {
    let (mut left, mut right) = (committed.lines(), generated.lines());
    (1..).map(|line| (line, left.next(), right.next())).take_while(|(_, a, b)| a.or(*b).is_some()).find_map(
        |(line, a, b)| (a != b).then(|| (line, a.unwrap_or("end of file"), b.unwrap_or("end of file"))),
    )
}

fn kind(c: char) -> Kind {
    if ('\u{AC00}'..='\u{D7A3}').contains(&c) {
        return Kind::Keep;
    }
    let swaps = |text: &str| normalize(&format!("a{HIGH_MARK}{text}{LOW_MARK}b"));
    let normalized: Vec<char> = normalize(&c.to_string()).chars().collect();
    match normalized[..] {
        [] if swaps(&c.to_string()) == swaps("") => Kind::Drop,
        [] => Kind::Barrier,
        [' '] => Kind::Space,
        [one] | [' ', one, ' '] if one != c => Kind::One(one),
        [' ', _, ' '] => Kind::Keep,
        [_] if is_isolated(c) => Kind::Punctuation,
        [_] if swaps(&c.to_string()) == format!("a{HIGH_MARK}{c}{LOW_MARK}b") => Kind::Keep,
        [_] => Kind::Mark,
        _ => Kind::Many(normalized),
    }
}

/// The canonical order of each mark that the normaliser keeps: marks of one class share one.
fn mark_orders(marks: &[char]) -> HashMap<char, u16> {
    let precedes = |a: char, b: char| normalize(&format!("a{b}{a}")) == format!("a{a}{b}");
    let lower_classes = |&mark: &char| marks.iter().filter(|&&other| precedes(other, mark)).count();
    let ranks: HashMap<char, usize> = marks.iter().map(|mark| (*mark, lower_classes(mark))).collect();
    let distinct: Vec<usize> = ranks.values().copied().collect::<BTreeSet<_>>().into_iter().collect();
    ranks.into_iter().map(|(mark, rank)| (mark, distinct.binary_search(&rank).unwrap() as u16)).collect()
}

#[derive(Default)]
struct Tables {
    blocks: Vec<u8>,
    low: Vec<u128>,
    high: Vec<u128>,
    rank: Vec<u16>,
    targets: Vec<u16>,
    wide: Vec<char>,
    many: Vec<Vec<char>>,
    /// First, last, whether they are barriers.
    above: Vec<(u32, u32, bool)>,
}

impl Tables {
    fn new() -> Tables {
        let kinds: BTreeMap<u32, Kind> = all_chars().map(|c| (u32::from(c), kind(c))).collect();
        let marks: Vec<char> = kinds
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Mark))
            .filter_map(|(&code, _)| char::from_u32(code))
            .collect();
        let orders = mark_orders(&marks);
        let mut tables = Tables::default();
        let mut distinct = HashMap::new();
        for block in 0..FIRST_ABOVE / BLOCK_CHARS {
            let rank = tables.targets.len() as u16;
            let (mut low, mut high) = (0, 0);
            for bit in 0..BLOCK_CHARS {
                let code = block * BLOCK_CHARS + bit;
                // Surrogates are no characters.
                let class = kinds.get(&code).map_or(0, |kind| tables.class(code, kind, &orders));
                low |= (class & 1) << bit;
                high |= (class >> 1) << bit;
            }
            let key = (low, high, if low & high == 0 { 0 } else { rank });
            let index = *distinct.entry(key).or_insert(tables.low.len());
            if index == tables.low.len() {
                tables.low.push(low);
                tables.high.push(high);
                tables.rank.push(key.2);
            }
            tables.blocks.push(u8::try_from(index).expect("at most 256 distinct blocks"));
        }
        for (&code, kind) in kinds.range(FIRST_ABOVE..) {
            tables.add_above(code, kind);
        }
        tables
    }

    /// The two bits of a character; if both are set it also gets a target.
    fn class(&mut self, code: u32, kind: &Kind, orders: &HashMap<char, u16>) -> u128 {
        let target = match kind {
            Kind::Keep => return 0,
            Kind::Drop => return 1,
            Kind::Punctuation => return 2,
            Kind::Barrier => TARGET_BARRIER,
            Kind::Space => TARGET_SPACE,
            Kind::Mark => TARGET_MARK + orders[&char::from_u32(code).unwrap()],
            Kind::One(one) => u16::try_from(u32::from(*one)).unwrap_or_else(|_| {
                self.wide.push(*one);
                TARGET_WIDE + (self.wide.len() - 1) as u16
            }),
            Kind::Many(parts) => {
                self.many.push(parts.clone());
                TARGET_MANY + (self.many.len() - 1) as u16
            }
        };
        self.targets.push(target);
        3
    }

    fn add_above(&mut self, code: u32, kind: &Kind) {
        let barrier = match kind {
            Kind::Keep => return,
            Kind::Drop => false,
            Kind::Barrier => true,
            _ => panic!("U+{code:X} needs a target: raise FIRST_ABOVE"),
        };
        match self.above.last_mut() {
            Some((_, last, same)) if *last + 1 == code && *same == barrier => *last = code,
            _ => self.above.push((code, code, barrier)),
        }
    }

    /// Bytes in a binary.
    fn bytes(&self) -> usize {
        self.blocks.len()
            + 2 * 16 * self.low.len()
            + 2 * (self.rank.len() + self.targets.len())
            + 4 * (self.wide.len() + MAX_PARTS * self.many.len())
            + 12 * self.above.len()
    }
}

fn generate() -> String {
    let tables = Tables::new();
    assert!(tables.bytes() < 20_000, "{} bytes", tables.bytes());
    let (major, minor, _) = char::UNICODE_VERSION;
    let mut text =
        HEADER.replace("BYTES", &tables.bytes().to_string()).replace("VERSION", &format!("{major}.{minor}"));
    writeln!(text, "\npub(super) const FIRST_ABOVE: u32 = {FIRST_ABOVE:#X};").unwrap();
    push_array(&mut text, "BLOCKS", "u8", tables.blocks.iter());
    push_array(&mut text, "CLASS_LOW", "u128", tables.low.iter().map(|bits| format!("{bits:#X}")));
    push_array(&mut text, "CLASS_HIGH", "u128", tables.high.iter().map(|bits| format!("{bits:#X}")));
    push_array(&mut text, "RANK", "u16", tables.rank.iter());
    push_array(&mut text, "TARGETS", "u16", tables.targets.iter().map(|code| format!("{code:#X}")));
    push_array(&mut text, "WIDE", "char", tables.wide.iter().map(|&c| literal(c)));
    let many = tables.many.iter().map(|parts| {
        assert!(parts.len() <= MAX_PARTS, "{parts:?}");
        let padded = parts.iter().copied().chain(['\0'; MAX_PARTS]).take(MAX_PARTS);
        format!("[{}]", padded.map(literal).collect::<Vec<_>>().join(", "))
    });
    push_array(&mut text, "MANY", "[char; 3]", many);
    let above = tables.above.iter();
    push_array(
        &mut text,
        "ABOVE",
        "(u32, u32, bool)",
        above.map(|(first, last, barrier)| format!("({first:#X}, {last:#X}, {barrier})")),
    );
    text
}

fn literal(c: char) -> String {
    format!("'{}'", c.escape_unicode())
}

fn push_array<T: Display>(
    text: &mut String,
    name: &str,
    element: &str,
    values: impl ExactSizeIterator<Item = T>,
) {
    write!(text, "\npub(super) static {name}: [{element}; {}] = [", values.len()).unwrap();
    let mut column = LINE_WIDTH;
    for value in values {
        let value = format!(" {value},");
        column += value.len();
        if column > LINE_WIDTH {
            text.push_str("\n   ");
            column = 3 + value.len();
        }
        text.push_str(&value);
    }
    text.push_str("\n];\n");
}

const HEADER: &str = "\
//! What BERT's normaliser and pre-tokenizer do with each character: generated by the ignored test `regenerate_tables`
//! of `models/tests/tokenizer/tables.rs` from the behaviour of the `tokenizers` crate, which decomposes by Unicode 9,
//! has still older categories, and lowers by the Unicode of the compiler it is built with, VERSION here.
//! BYTES bytes. Read by `unicode::fold`:
//!
//! - Code points below `FIRST_ABOVE` lie in blocks of 128; `BLOCKS[code >> 7]` is the number of the block's pattern.
//! - A pattern has two bits a character, bit `code % 128` of `CLASS_LOW` and of `CLASS_HIGH`: neither = kept,
//!   low = dropped, high = punctuation, both = has a target.
//! - The targets of a pattern lie in `TARGETS` from `RANK` on, in the order of the characters that have one, so that
//!   a character's place is a population count. Patterns with targets serve one block only.
//! - A target is the character's replacement or, in the surrogate range: D800 + i the replacement `WIDE[i]`,
//!   DC00 + i the replacements `MANY[i]`, DE00 + k a kept mark of canonical order k, DF00 dropped but a barrier to
//!   canonical reordering, DF01 white space.
//! - `ABOVE`: first and last code point of the dropped ranges from `FIRST_ABOVE` on, and whether they are barriers.
//! - Hangul syllables and the ranges of ideographs are code, in `unicode`.
";

const FIRST_ABOVE: u32 = 0x30000;
const BLOCK_CHARS: u32 = 128;
const MAX_PARTS: usize = 3;
const LINE_WIDTH: usize = 118;

const TARGET_WIDE: u16 = 0xD800;
const TARGET_MANY: u16 = 0xDC00;
const TARGET_MARK: u16 = 0xDE00;
const TARGET_BARRIER: u16 = 0xDF00;
const TARGET_SPACE: u16 = 0xDF01;
