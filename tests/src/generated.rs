//! A small generated BERT through the whole path: f32 weights, quantiser, integer file, loader.

#[allow(dead_code, unreachable_pub, reason = "shared with the quantiser's own tests")]
#[path = "../../models/tests/quantise_support/mod.rs"]
mod support;

use std::sync::Arc;

use models::{
    bert::{BertConfig, IntBert, Pooling},
    quantise::quantise,
};

/// Its shape: with [`Pooling::Cls`] it takes 320 tokens, which is where probabilities have 10 bits.
pub fn config(pooling: Pooling) -> BertConfig {
    support::config(pooling)
}

/// Its f32 safetensors file.
pub fn float_weights(config: &BertConfig) -> Vec<u8> {
    support::weights(config)
}

/// The integer model, and token sequences of many lengths, 1 and the longest included.
pub fn model(pooling: Pooling) -> (Arc<IntBert>, Vec<Vec<u32>>) {
    let config = config(pooling);
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let token = |i: usize| special.get(i).map_or_else(|| format!("token{i}\n"), |token| format!("{token}\n"));
    let vocab: String = (0..config.vocab_size).map(token).collect();
    let tensors = quantise(&float_weights(&config), &config, None, vocab.as_bytes(), &mut |_| {})
        .expect("the generated model quantises");
    let model = IntBert::from_bytes(Arc::new(tensors.to_safetensors())).expect("the quantised file loads");
    (Arc::new(model), support::texts(&config))
}
