//! From float weights to the integer file, golden self-test included.

use std::{fs, sync::Arc};

use engine::{Arena, CpuModel};
use kernels_cpu::Level;
use models::{
    bert::{BertConfig, IntBert},
    manifest::Manifest,
    quantise::{IntTensors, QuantiseError, Recipe, quantise},
};

use super::{
    error::ModelError,
    observer::{Observer, Unit, Work},
    source::FloatFiles,
};
use crate::files::{self, Mapped};

/// Makes the bytes of the integer file. Without a recipe weights go to their nearest integers.
pub(super) fn integer_file(
    manifest: &'static Manifest,
    float: &FloatFiles,
    recipe: Option<&Recipe>,
    observer: &mut dyn Observer,
) -> Result<Vec<u8>, ModelError> {
    let weights = Mapped::open(&float.weights).map_err(ModelError::file(&float.weights))?;
    let vocab = fs::read(&float.vocab).map_err(ModelError::file(&float.vocab))?;
    let config = float.shape(manifest)?;
    let run = |recipe, observer: &mut dyn Observer| {
        let mut report = |p: models::quantise::Progress| {
            let (done, total) = (p.done as u64, Some(p.total as u64));
            observer.progress(Work { step: p.step, done, total, unit: Unit::Steps });
        };
        quantise(weights.as_ref(), &config, recipe, &vocab, &mut report)
    };
    let made = match run(recipe, observer) {
        Err(QuantiseError::WrongWeights { .. } | QuantiseError::WrongConfig { .. }) if !float.published => {
            observer.note(&format!(
                "{}: not the published weights of \"{}\", whose calibration does not apply: every weight goes to its \
                 nearest integer",
                float.weights.display(),
                manifest.name
            ));
            run(None, observer)
        }
        made => made,
    };
    let mut model =
        made.map_err(|error| ModelError::Quantise { path: float.weights.clone(), error: error.into() })?;
    observer.progress(Work { step: "golden self-test", done: 0, total: Some(1), unit: Unit::Steps });
    add_golden(&mut model, float)?;
    observer.progress(Work { step: "golden self-test", done: 1, total: Some(1), unit: Unit::Steps });
    Ok(model.to_safetensors())
}

/// The recipe compiled in for a model.
pub(super) fn recipe(manifest: &'static Manifest) -> Result<Option<Recipe>, ModelError> {
    let parse = |bytes| Recipe::from_bytes(bytes);
    let parsed = manifest.recipe.map(parse).transpose();
    parsed.map_err(|error| ModelError::Recipe { name: manifest.name, error: error.into() })
}

/// Stores a batch and the digest the oracle gives for it: what every device must reproduce before it is trusted.
fn add_golden(model: &mut IntTensors, float: &FloatFiles) -> Result<(), ModelError> {
    let broken = |error| ModelError::Integer { path: float.weights.clone(), error: Box::new(error) };
    let bert = IntBert::from_bytes(Arc::new(model.to_safetensors())).map_err(broken)?;
    let batch = golden_batch(bert.config());
    let views: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
    let plan = bert.plan(&views)?;
    let oracle = Level::Scalar.kernels().expect("the oracle runs on every processor");
    let words = CpuModel::with_kernels(oracle, Arc::new(bert)).run(&plan, &mut Arena::default());
    let json = serde_json::to_string(&batch).expect("lists of numbers always have a JSON form");
    model.metadata.insert("golden.ids".into(), json);
    model.metadata.insert("golden.sha256".into(), files::sha256(bytemuck::cast_slice(&words)));
    Ok(())
}

/// Three sequences whose lengths divide by nothing a tile is made of, ids spread over the vocabulary by a fixed
/// linear congruential generator (Knuth's MMIX).
fn golden_batch(config: &BertConfig) -> Vec<Vec<u32>> {
    let mut state = 1u64;
    let mut id = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % config.vocab_size as u64) as u32
    };
    let lengths = GOLDEN_LENGTHS.map(|n| n.min(config.max_tokens));
    lengths.map(|n| (0..n).map(|_| id()).collect()).into()
}

const GOLDEN_LENGTHS: [usize; 3] = [1, 33, 17];
