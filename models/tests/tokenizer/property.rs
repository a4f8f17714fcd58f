//! Random texts of the ugliest characters, with and without a limit.

use crate::recorded::shared_data;
use crate::reference::{Reference, SPECIAL_TOKENS, encode, normalize};
use crate::vocabulary::vocabulary;
use models::tokenizer::WordPiece;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn random_texts_with_a_small_vocabulary() {
    check(&small_vocabulary(), 4000);
}

#[test]
fn random_texts_with_the_bert_vocabulary() {
    let Some(path) = shared_data("tokenizer/bert-base-uncased-vocab.txt") else { return };
    check(&std::fs::read_to_string(path).unwrap(), 4000);
}

#[test]
fn planted_faults_are_caught() {
    let vocab = small_vocabulary();
    let (reference, tokenizer) = (Reference::new(&vocab, &LIMITS), WordPiece::new(vocab.as_bytes()).unwrap());
    let caught = |text: &str, fault: &dyn Fn(&str) -> String| {
        reference.difference(&|text, max| encode(&tokenizer, &fault(text), max), text).is_some()
    };
    assert!(!caught("ΟΔΟΣ x\u{302E}\u{1B44}", &str::to_owned));
    assert!(caught("ΟΔΟΣ", &str::to_lowercase), "a final sigma lowered as one");
    assert!(caught("x\u{302E}\u{1B44}", &|text| text.replace('\u{302E}', "\u{302E}a")));
    assert!(caught("a[SEP]", &|text| text.replace("[SEP]", "[sep]")));
    let one_more = |text: &str, max| encode(&tokenizer, text, if max == 8 { 9 } else { max });
    assert!(reference.difference(&one_more, "a b c d e f g").is_some());
    let never_truncated = |text: &str, max| (encode(&tokenizer, text, max).0, false);
    assert!(reference.difference(&never_truncated, "a b c d e f g").is_some());
}

#[test]
fn words_at_the_length_limit() {
    let vocab = small_vocabulary();
    let (reference, tokenizer) = (Reference::new(&vocab, &LIMITS), WordPiece::new(vocab.as_bytes()).unwrap());
    for unit in ["a", "é", "\u{1D165}", "한", "\u{1E000}\u{1B44}", "a\u{301}", "\u{2F800}", "\u{10400}"] {
        for count in (30..36).chain(48..52).chain(98..103) {
            for text in [unit.repeat(count), format!("x {}[SEP]y", unit.repeat(count))] {
                assert_eq!(reference.difference(&|text, max| encode(&tokenizer, text, max), &text), None);
            }
        }
    }
}

#[test]
fn a_limit_below_two_counts_as_two() {
    let tokenizer = WordPiece::new(small_vocabulary().as_bytes()).unwrap();
    for max_tokens in [0, 1, 2] {
        assert_eq!(encode(&tokenizer, "a b", max_tokens), (vec![2, 3], true));
        assert_eq!(encode(&tokenizer, "\t\n", max_tokens), (vec![2, 3], false));
    }
}

#[test]
fn special_tokens_the_vocabulary_lacks_are_text() {
    let vocab = small_vocabulary().replace("[PAD]\n", "").replace("[MASK]\n", "");
    let (reference, tokenizer) = (Reference::new(&vocab, &LIMITS), WordPiece::new(vocab.as_bytes()).unwrap());
    let text = "a[MASK]b [PAD] [SEP] [UNK]";
    assert_eq!(reference.difference(&|text, max| encode(&tokenizer, text, max), text), None);
    assert_eq!(tokenizer.vocab_size(), vocab.lines().count());
}

fn check(vocab: &str, cases: u32) {
    let (reference, tokenizer) = (Reference::new(vocab, &LIMITS), WordPiece::new(vocab.as_bytes()).unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&text(), |text| {
        match reference.difference(&|text, max| encode(&tokenizer, text, max), &text) {
            None => Ok(()),
            Some(difference) => Err(TestCaseError::fail(difference)),
        }
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Letters of several scripts and every mark the normaliser keeps, alone and as continuations, and some words.
fn small_vocabulary() -> String {
    let ranges = [
        '!'..='~',
        'α'..='ω',
        'а'..='я',
        '\u{900}'..='\u{1112}',
        '\u{1161}'..='\u{11C2}',
        '\u{1B00}'..='\u{1BFF}',
        '\u{3000}'..='\u{30FF}',
        '\u{4E00}'..='\u{5000}',
        '\u{1D100}'..='\u{1D200}',
        '\u{1E000}'..='\u{1E02A}',
        '\u{10400}'..='\u{10450}',
    ];
    let chars: String = ranges.into_iter().flatten().chain(['樂', '\u{1DFB}', '…', '–', '–']).collect();
    let normalized = normalize(&chars);
    let words = ["the", "##ing", "un", "aff", "##able", "##οσ", "##ος", "ab", "##ab"].map(str::to_owned);
    let lengths =
        (2..=ALPHABET.len()).flat_map(|len| [ALPHABET[..len].to_owned(), format!("##{}", &ALPHABET[..len])]);
    vocabulary(normalized.chars()) + "\n" + &words.into_iter().chain(lengths).collect::<Vec<_>>().join("\n")
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => ugly_char().prop_map(String::from),
        2 => vec(ugly_char(), 1..8).prop_map(String::from_iter),
        3 => "[ -~]{1,12}",
        2 => select(LITERALS.to_vec()).prop_map(str::to_owned),
        2 => select(SPECIAL_TOKENS.to_vec()).prop_map(str::to_owned),
        2 => vec(select(MARKS.to_vec()), 1..7).prop_map(String::from_iter),
        2 => (0..=ALPHABET.len()).prop_map(|len| ALPHABET[..len].to_owned()),
        1 => (ugly_char(), 20_usize..110).prop_map(|(c, count)| c.to_string().repeat(count)),
    ];
    (vec(piece, 0..40), prop_oneof![9 => Just(1_usize), 1 => 2_usize..12])
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn ugly_char() -> impl Strategy<Value = char> {
    let range = select(UGLY_RANGES.to_vec());
    let in_range = range.prop_flat_map(|(first, last)| proptest::char::range(first, last));
    prop_oneof![8 => in_range, 1 => any::<char>(), 2 => Just(' ')]
}

/// Its prefixes are the long tokens of the small vocabulary.
const ALPHABET: &str = "qwertyuiopasdfghjklzxcvbnm";

const LIMITS: [usize; 5] = [2, 3, 8, 17, 256];

/// First and last characters of ranges that something is special about.
const UGLY_RANGES: [(char, char); 36] = [
    ('\0', '\u{20}'),
    ('\u{7F}', '\u{BF}'),
    ('A', 'z'),
    ('À', '\u{24F}'),
    ('\u{300}', '\u{36F}'),
    ('\u{370}', '\u{3FF}'),
    ('\u{400}', '\u{52F}'),
    ('\u{590}', '\u{8FF}'),
    ('\u{900}', '\u{DFF}'),
    ('\u{E00}', '\u{FFF}'),
    ('\u{1100}', '\u{11FF}'),
    ('\u{13A0}', '\u{13FF}'),
    ('\u{1680}', '\u{180F}'),
    ('\u{1B00}', '\u{1CFF}'),
    ('\u{1DC0}', '\u{1FFF}'),
    ('\u{2000}', '\u{206F}'),
    ('\u{20A0}', '\u{23FF}'),
    ('\u{24B6}', '\u{24E9}'),
    ('\u{2C00}', '\u{2E5F}'),
    ('\u{2FF0}', '\u{30FF}'),
    ('\u{33F0}', '\u{3410}'),
    ('\u{4DB0}', '\u{4E10}'),
    ('\u{9FF0}', '\u{A010}'),
    ('\u{A640}', '\u{A9FF}'),
    ('\u{AB30}', '\u{ABFF}'),
    ('\u{ABFF}', '\u{D7B0}'),
    ('\u{D7A0}', '\u{E010}'),
    ('\u{F8F0}', '\u{FB4F}'),
    ('\u{FE00}', '\u{FE6F}'),
    ('\u{FEF0}', '\u{FFFF}'),
    ('\u{10400}', '\u{104FF}'),
    ('\u{11000}', '\u{11FFF}'),
    ('\u{1D100}', '\u{1D1FF}'),
    ('\u{1F1E0}', '\u{1F64F}'),
    ('\u{2F7F0}', '\u{2FA30}'),
    ('\u{E0000}', '\u{E01F0}'),
];

const LITERALS: [&str; 20] = [
    "İstanbul",
    "ΟΔΟΣ",
    "Σ ς ΑΣ.",
    "ﬁ ﬀ",
    "ẞß",
    "[cls]",
    "[CLS",
    "SEP]",
    "[[SEP]]",
    "[SE\u{200D}P]",
    "[MASK\u{301}]",
    "[UNK]\u{301}",
    "unaffable",
    "the",
    "≠",
    "\u{37E}",
    "\u{344}",
    "\u{F73}",
    "\u{1D160}",
    "e\u{301}\u{302E}\u{93C}\u{1B44}",
];

/// Marks: kept ones of several classes, dropped ones of class 0 and of others, and what may stand between.
const MARKS: [char; 20] = [
    '\u{302E}',
    '\u{302F}',
    '\u{1B44}',
    '\u{1BAA}',
    '\u{1BF2}',
    '\u{1DFB}',
    '\u{A953}',
    '\u{A9C0}',
    '\u{8D4}',
    '\u{8E1}',
    '\u{1D165}',
    '\u{1D16D}',
    '\u{1D172}',
    '\u{1E000}',
    '\u{1E944}',
    '\u{1E94A}',
    '\u{E34}',
    '\u{301}',
    '\u{200D}',
    '\u{FE0F}',
];
