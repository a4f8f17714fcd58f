//! The reference: BERT's `tokenizer.json` built in code with the `tokenizers` crate, and the one comparison with it.

use models::tokenizer::WordPiece;
use tokenizers::models::wordpiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, TokenizerBuilder, TokenizerImpl, TruncationParams,
};

type Bert =
    TokenizerImpl<wordpiece::WordPiece, BertNormalizer, BertPreTokenizer, BertProcessing, DecoderWrapper>;

/// The reference tokenizer over one vocabulary.
pub(crate) struct Reference {
    untruncated: Bert,
    truncated: Vec<(usize, Bert)>,
}

impl Reference {
    /// `limits`: the values of `max_tokens` that [`Self::ids`] is to truncate at.
    pub(crate) fn new(vocab: &str, limits: &[usize]) -> Reference {
        let untruncated = bert(vocab);
        let truncated = limits.iter().map(|&max_length| {
            let mut bert = untruncated.clone();
            bert.with_truncation(Some(TruncationParams { max_length, ..Default::default() })).unwrap();
            (max_length, bert)
        });
        Reference { truncated: truncated.collect(), untruncated }
    }

    /// All ids of a text.
    pub(crate) fn ids(&self, text: &str) -> Vec<u32> {
        self.untruncated.encode_fast(text, true).unwrap().get_ids().to_vec()
    }

    /// What is wrong with the result of `encode(text, max_tokens)`, for each of `limits` and for no limit.
    pub(crate) fn difference(&self, encode: Encode, text: &str) -> Option<String> {
        let all = self.ids(text);
        let difference = |max_tokens, expected: &[u32]| {
            let (ids, truncated) = encode(text, max_tokens);
            let right = ids == expected && truncated == (all.len() > max_tokens);
            (!right).then(|| format!("{text:?}, {max_tokens}: {ids:?} {truncated}, not {expected:?}"))
        };
        difference(usize::MAX, &all).or_else(|| {
            self.truncated
                .iter()
                .find_map(|(limit, bert)| difference(*limit, bert.encode_fast(text, true).unwrap().get_ids()))
        })
    }
}

/// Text and `max_tokens` to ids and whether they were truncated.
pub(crate) type Encode<'a> = &'a dyn Fn(&str, usize) -> (Vec<u32>, bool);

/// Our side of the comparison. The ids are appended behind one that must stay.
pub(crate) fn encode(tokenizer: &WordPiece, text: &str, max_tokens: usize) -> (Vec<u32>, bool) {
    let mut ids = vec![7];
    let encoding = tokenizer.encode(text, max_tokens, &mut ids);
    assert_eq!(ids.len(), 1 + encoding.tokens);
    assert_eq!(ids.remove(0), 7);
    (ids, encoding.truncated)
}

/// The text the reference normaliser makes of `text`.
pub(crate) fn normalize(text: &str) -> String {
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default().normalize(&mut normalized).unwrap();
    normalized.get().to_owned()
}

/// Whether the reference pre-tokenizer makes a word of its own of a normalised character.
pub(crate) fn is_isolated(c: char) -> bool {
    let mut text = PreTokenizedString::from(format!("a{c}b"));
    BertPreTokenizer.pre_tokenize(&mut text).unwrap();
    text.get_splits(OffsetReferential::Normalized, OffsetType::Byte).len() == 3
}

/// Every Unicode scalar value.
pub(crate) fn all_chars() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

/// Two marks that the normaliser keeps, of the highest and of the lowest canonical combining class among those
/// (230 and 9): it swaps them if they stand in this order with nothing of class 0 between.
pub(crate) const HIGH_MARK: char = '\u{1E000}';
pub(crate) const LOW_MARK: char = '\u{1B44}';

/// The special tokens of BERT's `tokenizer.json`.
pub(crate) const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

fn bert(vocab: &str) -> Bert {
    let vocab = wordpiece::WordPiece::read_bytes(vocab.as_bytes()).unwrap();
    let special = |token: &str| (token.to_owned(), vocab[token]);
    let processing = BertProcessing::new(special("[SEP]"), special("[CLS]"));
    let present = SPECIAL_TOKENS.iter().filter(|&&token| vocab.contains_key(token));
    let added: Vec<_> = present.map(|&token| AddedToken::from(token, true)).collect();
    let mut bert = TokenizerBuilder::new()
        .with_model(wordpiece::WordPiece::builder().vocab(vocab).build().unwrap())
        .with_normalizer(Some(BertNormalizer::default()))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(processing))
        .with_decoder(None)
        .build()
        .unwrap();
    bert.add_special_tokens(added).unwrap();
    bert
}
