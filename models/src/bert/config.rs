//! The shape of a BERT sentence encoder, and what of it the integer scheme can carry.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How token vectors become one sentence vector, before L2 normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Sum over all tokens, [CLS] and [SEP] included (after normalisation the same as the mean).
    Mean,
    /// The vector of the first token, [CLS].
    Cls,
}

/// Shape of a BERT encoder with exact-erf GELU and post-LayerNorm, as published by its `config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of a token vector.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; each is [`BertConfig::HEAD_DIM`] wide.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Longest token sequence the encoder is run on, [CLS] and [SEP] included.
    pub max_tokens: usize,
    /// How token vectors become one sentence vector.
    pub pooling: Pooling,
}

/// Why an encoder cannot be carried by the integer scheme.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("model config: {field} is {value}, but must be {rule}")]
pub struct ConfigError {
    /// The field at fault.
    pub field: &'static str,
    /// Its value.
    pub value: usize,
    /// What the scheme allows.
    pub rule: &'static str,
}

impl BertConfig {
    /// Width of one attention head. The score bound 32 * 4095^2 < 2^29 rests on it.
    pub const HEAD_DIM: usize = 32;
    /// Widest token vector: the LayerNorm sum `width * 2^23` must stay below 2^32.
    pub const MAX_HIDDEN: usize = 480;
    /// Longest sequence: with 10-bit probabilities `512 * 1023 * 4095 < 2^31`.
    pub const MAX_TOKENS: usize = 512;

    /// Checks that every bound the integer scheme rests on holds for this shape.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rule =
            |ok: bool, field, value, rule| if ok { Ok(()) } else { Err(ConfigError { field, value, rule }) };
        let h = self.hidden_size;
        rule(
            h > 0 && h <= Self::MAX_HIDDEN && h % 32 == 0,
            "hidden_size",
            h,
            "a multiple of 32 in 32..=480",
        )?;
        let heads = self.num_attention_heads;
        rule(heads == h / Self::HEAD_DIM, "num_attention_heads", heads, "hidden_size / 32")?;
        let layers = self.num_hidden_layers;
        rule((1..=64).contains(&layers), "num_hidden_layers", layers, "in 1..=64")?;
        let ffn = self.intermediate_size;
        rule(
            ffn > 0 && ffn <= 8192 && ffn % 16 == 0,
            "intermediate_size",
            ffn,
            "a multiple of 16 in 16..=8192",
        )?;
        let tokens = self.max_tokens;
        rule((2..=Self::MAX_TOKENS).contains(&tokens), "max_tokens", tokens, "in 2..=512")?;
        rule((1..=1 << 20).contains(&self.vocab_size), "vocab_size", self.vocab_size, "in 1..=1048576")
    }

    /// Levels of an attention probability: 11 bits up to 256 tokens, 10 bits above, so that
    /// `max_tokens * levels * 4095` stays below 2^31.
    pub fn probability_levels(&self) -> u32 {
        if self.max_tokens <= 256 { 2047 } else { 1023 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_count_that_wraps_is_refused() {
        let config = BertConfig {
            vocab_size: 10,
            hidden_size: 384,
            num_hidden_layers: 1,
            num_attention_heads: 12,
            intermediate_size: 1536,
            max_tokens: 256,
            pooling: Pooling::Mean,
        };
        assert_eq!(config.validate(), Ok(()));
        let wrapping = BertConfig { num_attention_heads: (1 << 59) + 12, ..config };
        assert_eq!(wrapping.validate().map_err(|e| e.field), Err("num_attention_heads"));
    }
}
