//! Texts to measure on. A file of one's own, or sentences made here so that the bench runs anywhere.

use sha2::{Digest, Sha256};

use crate::Error;

/// Texts and where they come from.
pub(crate) struct Corpus {
    pub(crate) name: String,
    pub(crate) texts: Vec<String>,
}

impl Corpus {
    /// `builtin` (all lengths), `short` (up to 25 tokens), or a file: a JSON list of strings.
    pub(crate) fn load(name: &str) -> Result<Corpus, Error> {
        let texts = match name {
            "builtin" => made(400, MIXED),
            "short" => made(1000, &[(100, 5, 25)]),
            path => read(path)?,
        };
        if texts.is_empty() {
            return Err(Error::engine(name, "the corpus is empty"));
        }
        let name = std::path::Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Corpus { name, texts })
    }

    /// SHA-256 over the texts, each ended by a zero byte.
    pub(crate) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for text in &self.texts {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn read(path: &str) -> Result<Vec<String>, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Json { what: path.to_owned(), error })
}

/// `count` texts with lengths as `shares` deals them out: (per cent, fewest tokens, most tokens).
fn made(count: usize, shares: &[(usize, usize, usize)]) -> Vec<String> {
    let mut dice = Dice(0x6564_6765_6e65_7401);
    let deal: Vec<_> =
        shares.iter().flat_map(|&(percent, low, high)| std::iter::repeat_n((low, high), percent)).collect();
    let texts = (0..count).map(|i| {
        // 37 shares no factor with 100: lengths are mixed and every share is met exactly.
        let (low, high) = deal[i * 37 % deal.len()];
        let tokens = low + dice.below(high - low + 1);
        text(tokens, &mut dice)
    });
    texts.collect()
}

/// Sentences of whole-word tokens: `tokens` counts words, full stops, [CLS] and [SEP].
fn text(tokens: usize, dice: &mut Dice) -> String {
    let mut out = String::new();
    let mut left = tokens - 2;
    while left > 0 {
        let words = if left <= PATTERN.len() + 1 { left - 1 } else { PATTERN.len().min(left - 2) };
        for (i, kind) in PATTERN.iter().take(words).enumerate() {
            let choice: Vec<&str> = kind.split_whitespace().collect();
            let word = choice[dice.below(choice.len())];
            if !out.is_empty() {
                out.push(' ');
            }
            match (i, word.split_at(1)) {
                (0, (head, tail)) => out.extend([&head.to_uppercase(), tail]),
                _ => out.push_str(word),
            }
        }
        out.push('.');
        left -= words + 1;
    }
    out
}

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// The lengths of the mixed corpus peers are measured on.
const MIXED: &[(usize, usize, usize)] = &[(50, 5, 30), (20, 31, 100), (22, 101, 256), (8, 257, 500)];

const PATTERN: [&str; 12] =
    [ARTICLE, QUALITY, THING, DOES, ARTICLE, QUALITY, THING, PLACE, ARTICLE, THING, AND, DOES];
const ARTICLE: &str = "the every this our another his her that each their";
const QUALITY: &str =
    "old quiet new small public early common heavy open local final simple large careful warm";
const THING: &str = "house computer river teacher market letter engine garden network story doctor machine village \
    paper window road student ship museum song forest law science winter kitchen train";
const DOES: &str =
    "finds carries changed opened follows describes kept repeated sold wrote measures visited needs";
const PLACE: &str = "near under behind without before after with beyond inside across";
const AND: &str = "and but which because while when";

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> usize {
        2 + text.split_whitespace().count() + text.matches('.').count()
    }

    #[test]
    fn made_texts_have_the_lengths_asked_for() {
        let mut dice = Dice(1);
        for length in 4..600 {
            let text = text(length, &mut dice);
            assert_eq!(tokens(&text), length, "{text}");
        }
    }

    #[test]
    fn shares_are_those_of_the_mixed_corpus() {
        let corpus = Corpus::load("builtin").unwrap();
        for &(percent, low, high) in MIXED {
            let found = corpus.texts.iter().filter(|t| (low..=high).contains(&tokens(t))).count();
            assert_eq!(found, corpus.texts.len() * percent / 100, "{low}..={high} tokens");
        }
        assert_eq!(corpus.sha256(), Corpus::load("builtin").unwrap().sha256());
    }

    #[test]
    fn a_missing_file_is_named() {
        assert!(Corpus::load("no/such.json").err().unwrap().to_string().starts_with("no/such.json: "));
    }
}
