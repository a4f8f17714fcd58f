//! Sentence embeddings.

use std::{num::NonZeroUsize, sync::Arc};

use engine::{Device, Engine, EngineError, Loaded, Status};
use kernels_cpu::Level;
use models::{
    bert::{BatchError, IntBert, IntModelError, cut, digest},
    tokenizer::WordPiece,
};
use thiserror::Error;

use crate::model::{ModelError, Observer, Opened, Store};

/// How an [`Embedder`] is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the model.
    pub model: String,
    /// Which device runs it.
    pub device: Device,
    /// CPU level, forced; `None` takes the fastest.
    pub level: Option<Level>,
    /// CPU threads.
    pub threads: NonZeroUsize,
    /// Part of the name of the GPU wanted; `None` takes the fastest.
    pub adapter: Option<String>,
    /// Most tokens in one plan; `None` takes what suits the device. Has no influence on the vectors.
    pub batch_tokens: Option<NonZeroUsize>,
}

impl Default for Options {
    fn default() -> Self {
        let engine = engine::Options::default();
        Options {
            model: "minilm".into(),
            device: engine.device,
            level: engine.level,
            threads: engine.threads,
            adapter: None,
            batch_tokens: None,
        }
    }
}

/// Why texts cannot be embedded.
#[derive(Debug, Error)]
pub enum Error {
    /// The model cannot be had.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot be had, or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model file carries no usable self-test.
    #[error("{path}: {error}")]
    SelfTest {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: Box<IntModelError>,
    },
    /// Vocabulary and weights do not belong together.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// The vector of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// Tokens the model saw, `[CLS]` and `[SEP]` included.
    pub tokens: usize,
    /// Whether the text had more tokens than the model takes.
    pub truncated: bool,
    /// L2-normalised, Q15: a value is `v / 32768`. The same on every device.
    pub vector: Vec<i16>,
}

impl Embedding {
    /// SHA-256 of the vector's little-endian bytes: what two devices compare.
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.vector)
    }

    /// The vector in floating point, exactly.
    pub fn to_f32(&self) -> Vec<f32> {
        self.vector.iter().map(|&v| f32::from(v) / 32768.0).collect()
    }
}

/// A text as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Ids, `[CLS]` and `[SEP]` included.
    pub ids: Vec<u32>,
    /// Whether the text had more tokens than the model takes.
    pub truncated: bool,
}

/// Turns texts into tokens; cheap to clone and to move to another thread.
#[derive(Clone)]
pub struct Tokeniser {
    pieces: Arc<WordPiece>,
    max_tokens: usize,
}

impl Tokeniser {
    /// The tokens of one text.
    pub fn encode(&self, text: &str) -> Tokens {
        let mut ids = Vec::new();
        let truncated = self.pieces.encode(text, self.max_tokens, &mut ids).truncated;
        Tokens { ids, truncated }
    }
}

/// A model on this machine's devices, ready to embed texts.
pub struct Embedder {
    bert: Arc<IntBert>,
    tokeniser: Tokeniser,
    loaded: Loaded,
    batch_tokens: Option<NonZeroUsize>,
}

impl Embedder {
    /// Opens the model and the device, fetching and quantising the model on first use.
    ///
    /// # Errors
    /// If the model cannot be had, or a device asked for by name cannot be used.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_with(options, &Store::from_env()?, &mut ())
    }

    /// [`Embedder::open`] with the models of `store`, reporting to `observer`.
    ///
    /// # Errors
    /// As [`Embedder::open`].
    pub fn open_with(options: &Options, store: &Store, observer: &mut dyn Observer) -> Result<Self, Error> {
        let model = store.open(Store::manifest(&options.model)?, observer)?;
        Self::with_model(options, model)
    }

    /// [`Embedder::open`] with a model that is open already.
    ///
    /// # Errors
    /// As [`Embedder::open`].
    pub fn with_model(options: &Options, model: Opened) -> Result<Self, Error> {
        let pieces = WordPiece::new(model.bert.vocab());
        let pieces = pieces.map_err(|error| ModelError::Vocab { path: model.path.clone(), error })?;
        let test = model.bert.self_test();
        let test = test.map_err(|error| Error::SelfTest {
            path: model.path.display().to_string(),
            error: error.into(),
        })?;
        let engine = engine::Options {
            device: options.device,
            level: options.level,
            threads: options.threads,
            #[cfg(feature = "gpu")]
            gpu: engine::gpu::GpuOptions { adapter: options.adapter.clone(), ..Default::default() },
        };
        let bert = model.bert;
        let loaded = async { Engine::open(engine).await?.load(bert.clone(), Some(test)).await };
        let loaded = pollster::block_on(loaded)?;
        let tokeniser = Tokeniser { pieces: Arc::new(pieces), max_tokens: bert.config().max_tokens };
        Ok(Embedder { bert, tokeniser, loaded, batch_tokens: options.batch_tokens })
    }

    /// One vector a text, in order. Memory beyond the result does not grow with the number of texts.
    ///
    /// # Errors
    /// If the device fails and no other can take over.
    pub fn embed<T: AsRef<str>>(&mut self, texts: &[T]) -> Result<Vec<Embedding>, Error> {
        let capacity = self.capacity();
        let mut results = Vec::with_capacity(texts.len());
        let (mut batch, mut tokens) = (Vec::new(), 0);
        for text in texts {
            // A thousandth of the kernels' time: not worth a thread.
            let encoded = self.tokeniser.encode(text.as_ref());
            tokens += encoded.ids.len();
            batch.push(encoded);
            if tokens >= capacity {
                results.append(&mut self.run(&batch)?);
                batch.clear();
                tokens = 0;
            }
        }
        results.append(&mut self.run(&batch)?);
        Ok(results)
    }

    /// One vector a tokenised text, in order. Best given about [`Embedder::capacity`] tokens at a time.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn run(&mut self, batch: &[Tokens]) -> Result<Vec<Embedding>, Error> {
        let mut results = Vec::with_capacity(batch.len());
        let lengths: Vec<usize> = batch.iter().map(|t| t.ids.len()).collect();
        let slices = cut(&lengths, self.loaded.parallel_plans(), self.slice());
        let plans = slices.into_iter().map(|slice| {
            let ids: Vec<&[u32]> = batch[slice].iter().map(|t| t.ids.as_slice()).collect();
            self.bert.plan(&ids)
        });
        let plans: Vec<_> = plans.collect::<Result<_, _>>()?;
        let outputs = pollster::block_on(self.loaded.run(&plans))?;
        let vectors = outputs.iter().flat_map(|words| self.bert.vectors(words));
        for (tokens, vector) in batch.iter().zip(vectors) {
            let (count, truncated) = (tokens.ids.len(), tokens.truncated);
            results.push(Embedding { tokens: count, truncated, vector: vector.to_vec() });
        }
        Ok(results)
    }

    /// Turns texts into tokens for [`Embedder::run`].
    pub fn tokeniser(&self) -> Tokeniser {
        self.tokeniser.clone()
    }

    /// Tokens that keep the device busy for one [`Embedder::run`].
    pub fn capacity(&self) -> usize {
        self.slice().saturating_mul(self.loaded.parallel_plans()).saturating_mul(PLANS_PER_WORKER)
    }

    /// The backend in use and what was tried before it.
    pub fn status(&self) -> Status {
        self.loaded.status()
    }

    /// The model.
    pub fn bert(&self) -> &IntBert {
        &self.bert
    }

    fn slice(&self) -> usize {
        self.batch_tokens.map_or_else(|| self.loaded.slice_tokens(), NonZeroUsize::get)
    }
}

/// Enough plans for workers to even out, few enough to answer soon.
const PLANS_PER_WORKER: usize = 16;
