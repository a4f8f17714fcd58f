//! The official MiniLM weights and the committed recipe give exactly the reference integers.
//!
//! The weights (`model.safetensors`, `vocab.txt`) are looked for in the folder `EDGENET_MODEL_DIR`, the reference
//! integers beside the checkout; without them a test says that it did not run.

#![expect(
    clippy::print_stderr,
    reason = "what did not run, and measured sizes, are for the reader of the test log"
)]
#![expect(clippy::disallowed_methods, reason = "a test reads the files its pure crate is handed")]

use std::path::{Path, PathBuf};

use models::bert::{BertConfig, Pooling};
use models::quantise::{FloatBert, IntTensors, QuantiseError, Recipe, config_from_json, quantise};
use sha2::{Digest, Sha256};

#[test]
fn weights_and_recipe_give_the_reference_integers() {
    let Some(files) = Files::find() else { return };
    let recipe = Recipe::from_bytes(&std::fs::read(recipe_path()).unwrap()).unwrap();
    let mut steps = 0;
    let model =
        quantise(&files.weights, &config(), Some(&recipe), &files.vocab, &mut |_| steps += 1).unwrap();
    assert_eq!(steps, 2 + 1 + 6 * 6);
    let file = model.to_safetensors();
    let digest = Sha256::digest(&file).iter().map(|b| format!("{b:02x}")).collect::<String>();
    eprintln!("integer model: {} bytes, SHA-256 {digest}", file.len());
    assert_eq!(IntTensors::from_safetensors(&file).unwrap(), model);
    assert!(file.len() <= 24_000_000);
    assert_eq!(difference(&model, &files.target), None);

    // Canary: the comparison sees a single step of a single weight.
    let mut planted = model;
    let word = planted.tensors.get_mut("layer.3.up.q").unwrap();
    if let models::quantise::IntData::I8(codes) = &mut word.data {
        codes[77_777] ^= 1;
    }
    assert!(difference(&planted, &files.target).unwrap().contains("layer.3.up.q[77777]"));
}

#[test]
fn committed_recipe_is_what_the_reference_integers_call_for() {
    let Some(files) = Files::find() else { return };
    let float = FloatBert::from_safetensors(&files.weights, &config()).unwrap();
    let recipe = Recipe::between(&float, &files.target).unwrap();
    assert_eq!(recipe.patched(), 0, "integers that the formulas do not give");
    assert_eq!(recipe, Recipe::from_bytes(&std::fs::read(recipe_path()).unwrap()).unwrap());
}

/// How the committed recipe was made; run it when the recipe format changes.
#[test]
#[ignore = "writes models/recipes/minilm.recipe"]
fn write_the_recipe() {
    let files = Files::find().expect("weights and reference integers");
    let float = FloatBert::from_safetensors(&files.weights, &config()).unwrap();
    let recipe = Recipe::between(&float, &files.target).unwrap();
    let bytes = recipe.to_bytes();
    eprintln!("recipe: {} bytes, {} patches", bytes.len(), recipe.patched());
    std::fs::write(recipe_path(), bytes).unwrap();
}

#[test]
fn a_recipe_is_refused_for_other_weights_or_another_config() {
    let Some(mut files) = Files::find() else { return };
    let recipe = Recipe::from_bytes(&std::fs::read(recipe_path()).unwrap()).unwrap();
    let run =
        |weights: &[u8], config: &BertConfig| quantise(weights, config, Some(&recipe), b"", &mut |_| ());
    let cls = BertConfig { pooling: Pooling::Cls, ..config() };
    assert!(matches!(run(&files.weights, &cls), Err(QuantiseError::WrongConfig { .. })));
    let last = files.weights.len() - 4;
    files.weights[last] ^= 1;
    assert!(matches!(run(&files.weights, &config()), Err(QuantiseError::WrongWeights { .. })));
}

#[test]
fn published_config_gives_the_shape() {
    let Some(dir) = model_dir() else { return };
    let json = std::fs::read(dir.join("config.json")).unwrap();
    assert_eq!(config_from_json(&json, 256, Pooling::Mean).unwrap(), config());
}

/// The reference embeddings were computed in f32 by PyTorch; their text, ids and pooling are in the file.
#[test]
fn float_forward_matches_the_published_encoder() {
    let Some(dir) = model_dir() else { return };
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/minilm_reference/reference.json");
    let Ok(json) = std::fs::read(path) else {
        eprintln!("not run: no ../shared/data/minilm_reference/reference.json");
        return;
    };
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let list = |v: &serde_json::Value| v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let (mut sequences, mut wanted) = (Vec::new(), Vec::<Vec<f64>>::new());
    for item in json["items"].as_array().unwrap() {
        let ids: Vec<f64> = list(&item["ids"]);
        sequences.push(ids.iter().map(|&id| id as u32).collect());
        wanted.push(list(&item["embedding"]));
    }
    assert!(!wanted.is_empty());
    let weights = std::fs::read(dir.join("model.safetensors")).unwrap();
    let found = FloatBert::from_safetensors(&weights, &config()).unwrap().embed_all(&sequences).unwrap();
    let error = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs();
    let errors = found.iter().zip(&wanted).flat_map(|(a, b)| a.iter().zip(b).map(error));
    let largest = errors.fold(0.0, f64::max);
    eprintln!("{} texts, largest error {largest:e}", wanted.len());
    // The reference is rounded to 6 decimals.
    assert!(largest < 2e-6, "{largest}");
    // Canary: another text's vector is far away.
    let other = found[0].iter().zip(&wanted[wanted.len() - 1]).map(error).fold(0.0, f64::max);
    assert!(other > 1e-2, "{other}");
}

struct Files {
    weights: Vec<u8>,
    vocab: Vec<u8>,
    target: IntTensors,
}

impl Files {
    fn find() -> Option<Self> {
        let dir = model_dir()?;
        let target =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/prototype/minilm-int.safetensors");
        let Ok(target) = std::fs::read(target) else {
            eprintln!("not run: no ../shared/prototype/minilm-int.safetensors");
            return None;
        };
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let target = IntTensors::from_safetensors(&target).unwrap();
        Some(Self { weights: read("model.safetensors"), vocab: read("vocab.txt"), target })
    }
}

fn model_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("EDGENET_MODEL_DIR").map(PathBuf::from);
    if dir.is_none() {
        eprintln!("not run: EDGENET_MODEL_DIR is not set");
    }
    dir
}

fn recipe_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/minilm.recipe")
}

fn config() -> BertConfig {
    BertConfig {
        vocab_size: 30522,
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1536,
        max_tokens: 256,
        pooling: Pooling::Mean,
    }
}

/// The first tensor element, shape or scalar of `target` that `model` does not have.
fn difference(model: &IntTensors, target: &IntTensors) -> Option<String> {
    for (name, wanted) in &target.tensors {
        let Some(found) = model.tensors.get(name) else { return Some(format!("{name} is missing")) };
        if found.shape != wanted.shape || found.data.dtype() != wanted.data.dtype() {
            return Some(format!("{name} is {:?} {}", found.shape, found.data.dtype()));
        }
        if let Some(i) = (0..wanted.data.len()).find(|&i| found.data.at(i) != wanted.data.at(i)) {
            return Some(format!("{name}[{i}] is {}, wanted {}", found.data.at(i), wanted.data.at(i)));
        }
    }
    let scalar = target.metadata.iter().find(|(key, value)| model.metadata.get(*key) != Some(value));
    scalar.map(|(key, value)| format!("{key} is {:?}, wanted {value}", model.metadata.get(key)))
}
