//! The encoder in f32, through candle.

use candle_core::{DType, Device, Tensor, safetensors::SliceSafetensors};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct, PositionEmbeddingType};
use models::{
    bert::{BertConfig, Pooling},
    quantise::{FloatBert, FloatModelError},
};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A BERT sentence encoder in f32 on the CPU, with exact-erf GELU.
///
/// Candle is the implementation on purpose: it shares no line with the quantiser's own float pass, so that a mistake in
/// one shows against the other.
pub struct Reference {
    model: BertModel,
    config: BertConfig,
    sha256: [u8; 32],
}

/// Why the oracle cannot be had, or has no answer.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// The weights are damaged or have another shape.
    #[error(transparent)]
    Weights(#[from] FloatModelError),
    /// Candle refused the weights or a computation.
    #[error("float reference: {0}")]
    Candle(#[from] candle_core::Error),
    /// The model cannot take a token sequence.
    #[error("token sequence {sequence}: {problem}")]
    Tokens {
        /// Position of the sequence in the list given.
        sequence: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The weights let a sentence vector overflow or vanish.
    #[error("token sequence {sequence}: its vector has length {length} and no direction")]
    NoDirection {
        /// Position of the sequence in the list given.
        sequence: usize,
        /// Length before normalisation: 0, infinite or NaN.
        length: f64,
    },
}

impl Reference {
    /// Reads `model.safetensors` as published: f32, f16 or bf16, tensor names with or without the prefix `bert.`.
    ///
    /// # Errors
    /// If a tensor is absent, has another shape than `config` says, or holds a value that is not finite.
    pub fn from_safetensors(bytes: &[u8], config: &BertConfig) -> Result<Self, ReferenceError> {
        // Candle names neither the index of a NaN nor, always, the tensor of another shape: the quantiser's reader does.
        FloatBert::from_safetensors(bytes, config)?;
        let file = SliceSafetensors::new(bytes)?;
        let prefix = if file.get(&format!("bert.{WORD}")).is_ok() { "bert." } else { "" };
        let rows = |name: &str| -> Result<usize, ReferenceError> {
            Ok(file.get(&format!("{prefix}{name}"))?.shape().first().copied().unwrap_or(0))
        };
        let shape = shape(config, rows(POSITION)?, rows(TOKEN_TYPE)?);
        let weights = VarBuilder::from_slice_safetensors(bytes, DType::F32, &Device::Cpu)?;
        let weights = if prefix.is_empty() { weights } else { weights.pp("bert") };
        let model = BertModel::load(weights, &shape)?;
        Ok(Reference { model, config: config.clone(), sha256: Sha256::digest(bytes).into() })
    }

    /// The L2-normalised sentence vector of one token sequence, `[hidden_size]`.
    ///
    /// # Errors
    /// The sequence is empty, longer than `max_tokens`, or has an id outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, ReferenceError> {
        Ok(self.embed_all(&[ids], &mut |_| ())?.remove(0))
    }

    /// [`Reference::embed`] of many sequences, in their order. Those of equal length are run together, so that none is
    /// padded. `report` is told how many are done.
    ///
    /// # Errors
    /// As [`Reference::embed`].
    pub fn embed_all<T: AsRef<[u32]>>(
        &self,
        sequences: &[T],
        report: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f32>>, ReferenceError> {
        for (sequence, ids) in sequences.iter().enumerate() {
            self.check(sequence, ids.as_ref())?;
        }
        let tokens = |&i: &usize| sequences[i].as_ref().len();
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(tokens);
        let mut vectors = vec![Vec::new(); sequences.len()];
        let mut done = 0;
        for equal in order.chunk_by(|a, b| tokens(a) == tokens(b)) {
            for batch in equal.chunks((BATCH_TOKENS / tokens(&equal[0])).max(1)) {
                let ids: Vec<&[u32]> = batch.iter().map(|&i| sequences[i].as_ref()).collect();
                for (&sequence, states) in batch.iter().zip(self.forward(&ids)?) {
                    vectors[sequence] = self.pool(sequence, &states)?;
                }
                done += batch.len();
                report(done);
            }
        }
        Ok(vectors)
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// SHA-256 of the weights file.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    fn check(&self, sequence: usize, ids: &[u32]) -> Result<(), ReferenceError> {
        let (most, words) = (self.config.max_tokens, self.config.vocab_size);
        let problem = match ids.iter().find(|&&id| id as usize >= words) {
            Some(id) => format!("id {id} is outside the vocabulary of {words}"),
            None if ids.is_empty() => "it has no token".to_owned(),
            None if ids.len() > most => format!("{} tokens, the model takes {most}", ids.len()),
            None => return Ok(()),
        };
        Err(ReferenceError::Tokens { sequence, problem })
    }

    /// Token vectors `[sequence][token][hidden_size]` of sequences of one length.
    fn forward(&self, batch: &[&[u32]]) -> Result<Vec<Vec<Vec<f32>>>, ReferenceError> {
        let shape = (batch.len(), batch[0].len());
        let ids = Tensor::from_vec(batch.concat(), shape, &Device::Cpu)?;
        let types = ids.zeros_like()?;
        Ok(self.model.forward(&ids, &types, None)?.to_vec3()?)
    }

    /// Pools and normalises in f64, so that the oracle adds no rounding of its own here.
    fn pool(&self, sequence: usize, states: &[Vec<f32>]) -> Result<Vec<f32>, ReferenceError> {
        let pooled = match self.config.pooling {
            Pooling::Cls => &states[..1],
            Pooling::Mean => states,
        };
        let mut sums = vec![0.0; self.config.hidden_size];
        for state in pooled {
            sums.iter_mut().zip(state).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !length.is_normal() {
            return Err(ReferenceError::NoDirection { sequence, length });
        }
        Ok(sums.iter().map(|x| (x / length) as f32).collect())
    }
}

fn shape(config: &BertConfig, positions: usize, types: usize) -> Config {
    Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        hidden_act: HiddenAct::Gelu,
        hidden_dropout_prob: 0.0,
        max_position_embeddings: positions,
        type_vocab_size: types,
        initializer_range: 0.0,
        layer_norm_eps: 1e-12,
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Absolute,
        use_cache: false,
        classifier_dropout: None,
        model_type: None,
    }
}

const WORD: &str = "embeddings.word_embeddings.weight";
const POSITION: &str = "embeddings.position_embeddings.weight";
const TOKEN_TYPE: &str = "embeddings.token_type_embeddings.weight";
/// Most tokens in one forward pass: the widest activation of a MiniLM then takes 12 MiB.
const BATCH_TOKENS: usize = 2048;
