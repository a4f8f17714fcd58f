//! One forward pass as a plan.

use plan::{
    Agreement, Attention, BufferId, Embed, Epilogue, Gemm, LayerNorm, Plan, Pool, PoolKind, Quantise,
    SCALE_WORDS, SelfTest, Signal, Step, Upload, WeightId,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    BertConfig, IntBert, IntModelError, Pooling, ids,
    scheme::{ATTENTION_LIMIT, FFN_EXPONENT_MAX, GELU_OFFSET, HIDDEN_EXPONENT_MAX},
};

/// Why a batch of token sequences cannot be embedded.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BatchError {
    /// There is nothing to do.
    #[error("the batch is empty")]
    Empty,
    /// A sequence has no tokens, or more than the model takes.
    #[error("sequence {sequence} has {tokens} tokens, must have 1 to {max_tokens}")]
    Length {
        /// Index in the batch.
        sequence: usize,
        /// Its tokens.
        tokens: usize,
        /// Most the model takes.
        max_tokens: usize,
    },
    /// A token is not in the vocabulary.
    #[error("sequence {sequence}: token {token} is not below the vocabulary size {vocab_size}")]
    Token {
        /// Index in the batch.
        sequence: usize,
        /// The token id.
        token: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
}

/// SHA-256 of a vector's little-endian i16 bytes: what two devices compare.
pub fn digest(vector: &[i16]) -> [u8; 32] {
    let mut hash = Sha256::new();
    vector.iter().for_each(|v| hash.update(v.to_le_bytes()));
    hash.finalize().into()
}

impl IntBert {
    /// Writes the forward pass of a varlen batch: `batch` holds one token sequence per text, [CLS] and [SEP]
    /// included. The output is `[sequences][hidden / 2]` words of i16 pairs in Q15.
    ///
    /// # Errors
    /// Names the sequence that is empty, too long or holds an unknown token.
    pub fn plan(&self, batch: &[&[u32]]) -> Result<Plan, BatchError> {
        check_batch(&self.config, batch)?;
        let (row_spans, sequence_spans) = spans(batch);
        let ids: Vec<u32> = batch.concat();
        let mut writer = Writer::new(self, ids.len(), batch.len());
        let buffers = writer.forward(batch.iter().map(|s| s.len()).max().unwrap_or(0));
        let upload = |buffer, words| Upload { buffer, words };
        let uploads = vec![
            upload(buffers.ids, ids),
            upload(buffers.row_spans, row_spans),
            upload(buffers.sequence_spans, sequence_spans),
        ];
        Ok(Plan {
            buffers: writer.buffers,
            uploads,
            steps: writer.steps,
            output: buffers.out,
            agreement: Agreement::Exact,
        })
    }

    /// Sentence vectors out of a plan's output words, `hidden` values of Q15 each.
    pub fn vectors<'a>(&self, words: &'a [u32]) -> impl Iterator<Item = &'a [i16]> + use<'a> {
        bytemuck::cast_slice::<u32, i16>(words).chunks_exact(self.config.hidden_size)
    }

    /// The plan and digest the file carries, to be run on a device before it is trusted.
    ///
    /// # Errors
    /// When the golden metadata is missing, malformed or does not fit the model.
    pub fn self_test(&self) -> Result<SelfTest, IntModelError> {
        let entry = |key: &str| {
            let value = self.metadata().get(key);
            value.ok_or_else(|| IntModelError::MissingMetadata { key: key.into() })
        };
        let bad = |key: &str, value: &str| IntModelError::Metadata { key: key.into(), value: value.into() };
        let (ids, sha256) = (entry("golden.ids")?, entry("golden.sha256")?);
        let batch: Vec<Vec<u32>> = serde_json::from_str(ids).map_err(|_| bad("golden.ids", ids))?;
        let batch: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
        if batch.iter().map(|s| s.len()).sum::<usize>() > MAX_GOLDEN_TOKENS {
            return Err(bad("golden.ids", &format!("more than {MAX_GOLDEN_TOKENS} tokens")));
        }
        let plan = self.plan(&batch).map_err(|_| bad("golden.ids", ids))?;
        let digest = parse_hex(sha256).ok_or_else(|| bad("golden.sha256", sha256))?;
        Ok(SelfTest { plan, digest })
    }
}

struct Buffers {
    ids: BufferId,
    row_spans: BufferId,
    sequence_spans: BufferId,
    out: BufferId,
}

struct Writer<'a> {
    model: &'a IntBert,
    tokens: usize,
    sequences: usize,
    buffers: Vec<usize>,
    steps: Vec<Step>,
}

impl<'a> Writer<'a> {
    fn new(model: &'a IntBert, tokens: usize, sequences: usize) -> Self {
        Writer { model, tokens, sequences, buffers: Vec::new(), steps: Vec::new() }
    }

    fn buffer(&mut self, words: usize) -> BufferId {
        self.buffers.push(words);
        BufferId(self.buffers.len() - 1)
    }

    /// The residual stream alternates between two buffers, so that no step writes what it reads.
    fn forward(&mut self, longest: usize) -> Buffers {
        let model = self.model;
        let (t, h, s) = (self.tokens, model.config.hidden_size, self.sequences);
        let ffn: usize = model.ffn_groups.iter().sum();
        let (ids, row_spans, sequence_spans) = (self.buffer(t), self.buffer(2 * t), self.buffer(2 * s));
        let [x, x1, y] = [(); 3].map(|()| self.buffer(t * h));
        let (codes, scales) = (self.buffer(t * h.max(ffn) / 4), self.buffer(t * SCALE_WORDS));
        let (qkv, up) = (self.buffer(t * 3 * h / 2), self.buffer(t * ffn / 2));
        let out = self.buffer(s * h / 2);
        let rows = Rows { codes, scales };

        let embed = Embed { tokens: t, width: h, ids, spans: row_spans, table: ids::EMBEDDING, out: y };
        self.steps.push(Step::Embed(embed));
        self.layernorm(y, None, ids::NORM_IN, x);
        for l in 0..model.config.num_hidden_layers {
            let of = |of| ids::layer(l, of);
            self.quantise(x, Signal::Signed, model.hidden_groups, HIDDEN_EXPONENT_MAX, rows);
            self.gemm(rows, of(ids::Of::Qkv), Epilogue::Clamp { limit: ATTENTION_LIMIT }, qkv);
            let heads = model.config.num_attention_heads;
            let attention =
                Attention { tokens: t, heads, longest, qkv, spans: row_spans, exp: ids::EXP, out: y };
            self.steps.push(Step::Attention(attention));
            self.quantise(y, Signal::Signed, [h, 0, 0, 0], 0, rows);
            self.gemm(rows, of(ids::Of::AttentionOut), Epilogue::Wide, y);
            self.layernorm(y, Some(x), of(ids::Of::NormAttention), x1);
            self.quantise(x1, Signal::Signed, model.hidden_groups, HIDDEN_EXPONENT_MAX, rows);
            self.gemm(rows, of(ids::Of::Up), Epilogue::Gelu { table: ids::GELU, offset: GELU_OFFSET }, up);
            self.quantise(up, Signal::Offset, model.ffn_groups, FFN_EXPONENT_MAX, rows);
            self.gemm(rows, of(ids::Of::Down), Epilogue::Wide, y);
            self.layernorm(y, Some(x1), of(ids::Of::NormOut), x);
        }
        let kind = match model.config.pooling {
            Pooling::Mean => PoolKind::Sum,
            Pooling::Cls => PoolKind::First,
        };
        let permutation = ids::PERMUTATION;
        let spans = sequence_spans;
        self.steps.push(Step::Pool(Pool { sequences: s, width: h, kind, input: x, spans, permutation, out }));
        Buffers { ids, row_spans, sequence_spans, out }
    }

    fn layernorm(&mut self, input: BufferId, residual: Option<BufferId>, norm: WeightId, out: BufferId) {
        let (tokens, width) = (self.tokens, self.model.config.hidden_size);
        self.steps.push(Step::LayerNorm(LayerNorm { tokens, width, input, residual, norm, out }));
    }

    fn quantise(
        &mut self,
        input: BufferId,
        signal: Signal,
        groups: [usize; plan::MAX_GROUPS],
        exponent_max: u32,
        Rows { codes, scales }: Rows,
    ) {
        let (tokens, width) = (self.tokens, groups.iter().sum());
        let step = Quantise { tokens, width, signal, input, groups, exponent_max, codes, scales };
        self.steps.push(Step::Quantise(step));
    }

    fn gemm(&mut self, Rows { codes, scales }: Rows, weight: WeightId, epilogue: Epilogue, out: BufferId) {
        self.steps.push(Step::Gemm(Gemm { tokens: self.tokens, codes, scales, weight, epilogue, out }));
    }
}

/// A quantised batch.
#[derive(Clone, Copy)]
struct Rows {
    codes: BufferId,
    scales: BufferId,
}

fn check_batch(config: &BertConfig, batch: &[&[u32]]) -> Result<(), BatchError> {
    if batch.is_empty() {
        return Err(BatchError::Empty);
    }
    let (max_tokens, vocab_size) = (config.max_tokens, config.vocab_size);
    for (sequence, ids) in batch.iter().enumerate() {
        if ids.is_empty() || ids.len() > max_tokens {
            return Err(BatchError::Length { sequence, tokens: ids.len(), max_tokens });
        }
        if let Some(&token) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(BatchError::Token { sequence, token, vocab_size });
        }
    }
    Ok(())
}

/// First row and length of the sequence, for every row and for every sequence.
fn spans(batch: &[&[u32]]) -> (Vec<u32>, Vec<u32>) {
    let (mut rows, mut sequences, mut first) = (Vec::new(), Vec::new(), 0);
    for ids in batch {
        let span = [first, ids.len() as u32];
        sequences.extend(span);
        ids.iter().for_each(|_| rows.extend(span));
        first += span[1];
    }
    (rows, sequences)
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

/// A golden batch is run at every start, by the oracle too: a file must not make that take minutes.
const MAX_GOLDEN_TOKENS: usize = 1024;
