//! `edge-net model`.

use std::{fs, path::Path};

use edge_net::model::{FloatFiles, ModelError, Observer, State, Store, Unit, Work};
use models::{
    manifest::{MODELS, Manifest},
    quantise::{FloatBert, IntTensors, QuantiseError, Recipe, calibrate},
    tokenizer::WordPiece,
};
use serde::Serialize;

use super::{
    args::{self, Model},
    failure::Failure,
    fidelity, print,
    selftest::{self, Outcome, Trial},
    terminal::Terminal,
};

/// Runs one of the model commands.
pub(crate) fn run(command: &Model, terminal: &mut Terminal) -> Result<(), Failure> {
    let store = Store::from_env()?;
    match command {
        Model::List { json } => list(&store, *json),
        Model::Fetch { name } => {
            let opened = store.open(Store::manifest(name)?, terminal)?;
            print(&format!("{}\n", opened.path.display()))
        }
        Model::Quantize { name, recipe, out } => {
            let manifest = Store::manifest(name)?;
            let recipe = recipe.as_deref().map(read_recipe).transpose()?;
            let (path, sha256) = store.quantise(manifest, recipe, out.as_deref(), terminal)?;
            print(&format!("{sha256}  {}\n", path.display()))
        }
        Model::Calibrate { name, texts, out } => {
            let manifest = Store::manifest(name)?;
            let texts = read_texts(texts)?;
            let float = store.float(manifest, terminal)?;
            let recipe = calibrated(manifest, &float, &texts, terminal)?;
            write_recipe(&recipe, out)
        }
        Model::Recipe { name, target, out } => {
            let manifest = Store::manifest(name)?;
            let target = IntTensors::from_safetensors(&read(target)?).map_err(|e| at(target, &e))?;
            let float = store.float(manifest, terminal)?;
            let (bytes, config) = (read(&float.weights)?, float.shape(manifest)?);
            let bert = FloatBert::from_safetensors(&bytes, &config).map_err(|e| at(&float.weights, &e))?;
            let recipe = Recipe::between(&bert, &target).map_err(|e| Failure::Failed(e.to_string()))?;
            write_recipe(&recipe, out)
        }
        Model::Verify { name, json, fidelity } => {
            verify(&store, Store::manifest(name)?, *json, fidelity, terminal)
        }
    }
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    repository: &'static str,
    layers: usize,
    dimensions: usize,
    max_tokens: usize,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

fn list(store: &Store, json: bool) -> Result<(), Failure> {
    let entry = |m: &'static Manifest| {
        let (state, path) = describe(&store.state(m));
        Listed {
            name: m.name,
            repository: m.repo,
            layers: m.config.num_hidden_layers,
            dimensions: m.config.hidden_size,
            max_tokens: m.config.max_tokens,
            state,
            path,
        }
    };
    let entries: Vec<Listed> = MODELS.iter().map(entry).collect();
    if json {
        return print_json(&entries);
    }
    let mut text =
        format!("{:12} {:42} {:>6} {:>5} {:>7}  state\n", "name", "repository", "layers", "width", "tokens");
    for e in &entries {
        let path = e.path.as_deref().unwrap_or_default();
        let Listed { name, repository, layers, dimensions, max_tokens, state, .. } = e;
        text +=
            &format!("{name:12} {repository:42} {layers:>6} {dimensions:>5} {max_tokens:>7}  {state} {path}");
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    print(&text)
}

/// A word for a state and the file it rests on.
pub(crate) fn describe(state: &State) -> (&'static str, Option<String>) {
    match state {
        State::Ready(path) => ("ready", Some(path.display().to_string())),
        State::Weights(path) => ("weights", Some(path.display().to_string())),
        State::Absent => ("absent", None),
    }
}

#[derive(Serialize)]
struct Verified {
    name: &'static str,
    path: String,
    sha256: String,
    published: bool,
    self_tests: Vec<Trial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fidelity: Option<fidelity::Report>,
}

fn verify(
    store: &Store,
    manifest: &'static Manifest,
    json: bool,
    compare: &args::Fidelity,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let name = manifest.name;
    let missing = || Failure::Failed(format!("model \"{name}\" is not there: edge-net model fetch {name}"));
    let opened = store.open_ready(manifest)?.ok_or_else(missing)?;
    let self_tests = selftest::trials(&opened)?;
    let failed = self_tests.iter().filter(|t| t.outcome == Outcome::Failed).count();
    let (path, sha256) = (opened.path.display().to_string(), opened.sha256.clone());
    let published = opened.published;
    // What the file and the devices are is worth saying even where the comparison fails.
    let (fidelity, compared) = match fidelity::measure(compare, store, manifest, opened, terminal) {
        Ok(measured) => (measured, Ok(())),
        Err(failure) => (None, Err(failure)),
    };
    let report = Verified { name, path, sha256, published, self_tests, fidelity };
    if json {
        print_json(&report)?;
    } else {
        let of_all = if report.published { "the published file" } else { "not the published file" };
        let mut text = format!("{}\n{}  {of_all}\n", report.path, report.sha256);
        report.self_tests.iter().for_each(|t| text += &format!("{t}\n"));
        report.fidelity.iter().for_each(|f| text += &format!("{f}\n"));
        print(&text)?;
    }
    match failed {
        0 => compared,
        n => Err(Failure::Failed(format!(
            "the self-test failed on {n} of {} devices",
            report.self_tests.len()
        ))),
    }
}

fn calibrated(
    manifest: &'static Manifest,
    float: &FloatFiles,
    texts: &[String],
    terminal: &mut Terminal,
) -> Result<Recipe, Failure> {
    let (weights, vocab, config) = (read(&float.weights)?, read(&float.vocab)?, float.shape(manifest)?);
    let pieces = WordPiece::new(&vocab);
    let pieces = pieces.map_err(|error| ModelError::Vocab { path: float.vocab.clone(), error })?;
    let encode = |text: &String| {
        let mut ids = Vec::new();
        pieces.encode(text, config.max_tokens, &mut ids);
        ids
    };
    let sequences: Vec<Vec<u32>> = texts.iter().map(encode).collect();
    let mut report = |p: models::quantise::Progress| {
        let (done, total) = (p.done as u64, Some(p.total as u64));
        terminal.progress(Work { step: p.step, done, total, unit: Unit::Steps });
    };
    let bert = FloatBert::from_safetensors(&weights, &config).map_err(|e| at(&float.weights, &e))?;
    let failed = |e: QuantiseError| at(&float.weights, &e);
    let target = calibrate(&bert, &sequences, &mut report).map_err(failed)?;
    Recipe::between(&bert, &target).map_err(failed)
}

pub(crate) fn read_texts(path: &Path) -> Result<Vec<String>, Failure> {
    let bytes = read(path)?;
    let mut texts = Vec::new();
    for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let bad = |_| Failure::Failed(format!("{}: line {}: invalid UTF-8", path.display(), index + 1));
        let line = str::from_utf8(line).map_err(bad)?.trim();
        if !line.is_empty() {
            texts.push(line.to_owned());
        }
    }
    match texts.is_empty() {
        true => Err(Failure::Failed(format!("{}: holds no text", path.display()))),
        false => Ok(texts),
    }
}

fn read_recipe(path: &Path) -> Result<Recipe, Failure> {
    Recipe::from_bytes(&read(path)?).map_err(|e| at(path, &e))
}

fn write_recipe(recipe: &Recipe, out: &Path) -> Result<(), Failure> {
    let bytes = recipe.to_bytes();
    fs::write(out, &bytes).map_err(|e| at(out, &e))?;
    print(&format!("{} bytes, {} patched  {}\n", bytes.len(), recipe.patched(), out.display()))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| at(path, &e))
}

pub(crate) fn at(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

/// One JSON document on stdout.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Failed(e.to_string()))?;
    print(&format!("{text}\n"))
}
