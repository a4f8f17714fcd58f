//! A small BERT with weights from a fixed generator.

use std::collections::BTreeMap;

use models::bert::{BertConfig, Pooling};
use safetensors::{Dtype, tensor::TensorView};

/// Channel whose LayerNorm gains are far larger than the rest.
pub(crate) const OUTLIER_CHANNEL: usize = 17;

/// Shape and values, by published name.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Two layers; mean pooling with 32 tokens or [CLS] pooling with 320.
pub(crate) fn config(pooling: Pooling) -> BertConfig {
    BertConfig {
        vocab_size: 51,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 128,
        max_tokens: if pooling == Pooling::Cls { 320 } else { 32 },
        pooling,
    }
}

/// The f32 safetensors file.
pub(crate) fn weights(config: &BertConfig) -> Vec<u8> {
    safetensors(&tensors(config))
}

/// The tensors of an encoder of this shape.
pub(crate) fn tensors(config: &BertConfig) -> Tensors {
    let (h, f) = (config.hidden_size, config.intermediate_size);
    let mut random = Lcg(1);
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize], scale: f32, center: f32| {
        let mut values: Vec<f32> =
            (0..shape.iter().product()).map(|_| center + scale * random.signed_unit()).collect();
        if name.ends_with("LayerNorm.weight") {
            values[OUTLIER_CHANNEL] = 7.0;
        }
        tensors.insert(name, (shape.to_vec(), values));
    };
    let table = |kind: &str| format!("embeddings.{kind}_embeddings.weight");
    add(table("word"), &[config.vocab_size, h], 0.2, 0.0);
    add(table("position"), &[config.max_tokens + 3, h], 0.05, 0.0);
    add(table("token_type"), &[2, h], 0.05, 0.0);
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..config.num_hidden_layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            add(name(&format!("{part}.weight")), &[h, h], 0.3, 0.0);
            add(name(&format!("{part}.bias")), &[h], 0.2, 0.0);
        }
        for (part, out, width) in [("intermediate.dense", f, h), ("output.dense", h, f)] {
            add(name(&format!("{part}.weight")), &[out, width], 0.3, 0.0);
            add(name(&format!("{part}.bias")), &[out], 0.2, 0.0);
        }
        norms.extend(["attention.output.LayerNorm", "output.LayerNorm"].map(name));
    }
    for norm in norms {
        add(format!("{norm}.weight"), &[h], 0.2, 0.9);
        add(format!("{norm}.bias"), &[h], 0.1, 0.0);
    }
    tensors
}

/// Token sequences of many lengths, 1 and the longest included.
pub(crate) fn texts(config: &BertConfig) -> Vec<Vec<u32>> {
    let mut random = Lcg(5);
    let lengths = [1, 2, 3, 7, 16, 31, config.max_tokens, 5, 12, 29];
    let mut text = |n: &usize| (0..*n).map(|_| random.below(config.vocab_size) as u32).collect();
    lengths.iter().cycle().take(30).map(&mut text).collect()
}

/// An f32 file.
pub(crate) fn safetensors(tensors: &Tensors) -> Vec<u8> {
    file(tensors, Dtype::F32, |x| x.to_le_bytes().to_vec())
}

/// A bf16 file; values must have at most 8 significant bits to survive.
pub(crate) fn bf16_safetensors(tensors: &Tensors) -> Vec<u8> {
    file(tensors, Dtype::BF16, |x| x.to_le_bytes()[2..].to_vec())
}

fn file(tensors: &Tensors, dtype: Dtype, bytes: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let data: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, v))| (name, shape, v.iter().flat_map(|&x| bytes(x)).collect()))
        .collect();
    let views = data
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.to_vec(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// Knuth's 64-bit linear congruential generator.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    /// Uniform in -1..1.
    fn signed_unit(&mut self) -> f32 {
        self.next() as f32 / 2f32.powi(31) - 1.0
    }
}
