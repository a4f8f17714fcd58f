//! The float oracle against published vectors and a second implementation, and the integers against the oracle.

mod common;
#[allow(dead_code, reason = "shared with the quantiser's tests")]
#[path = "../../../models/tests/quantise_support/mod.rs"]
mod quantise_support;

use std::{fs, path::PathBuf, process::Command};

use common::{Sandbox, not_run, run};
use edge_net::{
    local::{Embedder, Options},
    model::Store,
    reference::{self, Reference, ReferenceError, cosine},
};
use models::{
    bert::{BertConfig, Pooling},
    quantise::{FloatBert, FloatModelError},
};
use quantise_support::{Tensors, bf16_safetensors, config, safetensors, tensors, texts, weights};
use serde_json::Value;

/// Both are f32 and sum in other orders; measured below 1e-6.
const TOLERANCE: f32 = 1e-5;

#[test]
fn two_float_implementations_agree() {
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let config = config(pooling);
        let tensors = tensors(&config);
        let prefixed: Tensors = tensors.iter().map(|(name, t)| (format!("bert.{name}"), t.clone())).collect();
        for bytes in [safetensors(&tensors), safetensors(&prefixed), bf16_safetensors(&tensors)] {
            let distance = distance(&bytes, &bytes, &config);
            assert!(distance < TOLERANCE, "{pooling:?}: {distance}");
        }
    }
}

/// One bias, one pooling, one gain: what the comparison above must not let pass.
#[test]
fn planted_faults_are_caught() {
    let config = config(Pooling::Mean);
    let good = weights(&config);
    let faulty = |name: &str| {
        let mut tensors = tensors(&config);
        tensors.get_mut(name).unwrap().1[3] += 0.05;
        safetensors(&tensors)
    };
    for name in ["encoder.layer.1.attention.self.value.bias", "encoder.layer.0.output.LayerNorm.weight"] {
        let distance = distance(&good, &faulty(name), &config);
        assert!(distance > 10.0 * TOLERANCE, "{name}: {distance}");
    }
    let cls = BertConfig { pooling: Pooling::Cls, ..config.clone() };
    let [mean, cls] = [&config, &cls].map(|c| Reference::from_safetensors(&good, c).unwrap());
    assert!(cosine(&mean.embed(&[5, 9, 2]).unwrap(), &cls.embed(&[5, 9, 2]).unwrap()) < 0.999);
}

#[test]
fn a_batch_gives_what_its_texts_give_alone() {
    let config = config(Pooling::Mean);
    let reference = Reference::from_safetensors(&weights(&config), &config).unwrap();
    let texts = texts(&config);
    let mut reported = Vec::new();
    let together = reference.embed_all(&texts, &mut |done| reported.push(done)).unwrap();
    assert_eq!(reported.last(), Some(&texts.len()));
    assert!(reported.len() < texts.len(), "equal lengths run together");
    for (ids, vector) in texts.iter().zip(&together) {
        assert!(apart(vector, &reference.embed(ids).unwrap()) < TOLERANCE);
    }
    assert!(reference.embed_all::<Vec<u32>>(&[], &mut |_| ()).unwrap().is_empty());
}

#[test]
fn what_the_model_cannot_take_is_an_error() {
    let config = config(Pooling::Mean);
    let bytes = weights(&config);
    let reference = Reference::from_safetensors(&bytes, &config).unwrap();
    let long = vec![1; config.max_tokens + 1];
    for (bad, words) in [(vec![], "no token"), (long, "the model takes 32"), (vec![1, 51], "id 51")] {
        let error = reference.embed_all(&[vec![1], bad], &mut |_| ()).unwrap_err();
        assert!(matches!(error, ReferenceError::Tokens { sequence: 1, .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    let read = |bytes: &[u8], config: &BertConfig| Reference::from_safetensors(bytes, config).err().unwrap();
    assert!(matches!(read(&bytes[..bytes.len() - 1], &config), ReferenceError::Weights(_)));
    let wider = BertConfig { intermediate_size: 144, ..config.clone() };
    assert!(matches!(read(&bytes, &wider), ReferenceError::Weights(FloatModelError::Shape { .. })));
    let with = |name: &str, value: f32| {
        let mut tensors = tensors(&config);
        tensors.get_mut(name).unwrap().1.fill(value);
        tensors
    };
    let nan = read(&safetensors(&with("embeddings.LayerNorm.bias", f32::NAN)), &config);
    assert!(matches!(nan, ReferenceError::Weights(FloatModelError::NotFinite { index: 0, .. })), "{nan}");
    let huge = safetensors(&with("encoder.layer.0.output.dense.weight", f32::MAX));
    let overflow = Reference::from_safetensors(&huge, &config).unwrap().embed(&[1, 2]);
    assert!(matches!(overflow, Err(ReferenceError::NoDirection { sequence: 0, .. })), "{overflow:?}");
    let mut flat = with("encoder.layer.1.output.LayerNorm.weight", 0.0);
    flat.get_mut("encoder.layer.1.output.LayerNorm.bias").unwrap().1.fill(0.0);
    let zero = Reference::from_safetensors(&safetensors(&flat), &config).unwrap().embed(&[1]);
    assert!(matches!(zero, Err(ReferenceError::NoDirection { length: 0.0, .. })), "{zero:?}");
}

#[test]
fn verify_prints_fidelity_and_correlation() {
    let sandbox = Sandbox::new("fidelity");
    run(sandbox.tiny().args(["embed", "cat"]), b"").expect(0);
    let said = run(sandbox.tiny().args(["model", "verify", "minilm", "--json"]), b"").expect(0);
    let fidelity = &said.json()["fidelity"];
    assert_eq!(fidelity["texts"], reference::default_texts().len());
    let [mean, p1, min] =
        ["cosine_mean", "cosine_p1", "cosine_min"].map(|key| fidelity[key].as_f64().unwrap());
    assert!(1.0 > mean && mean > p1 && p1 >= min && min > 0.98, "{fidelity}");
    assert!(fidelity.get("sts").is_none());

    let [own, sts] = ["texts", "sts"].map(|name| sandbox.root.join(name));
    fs::write(&own, "hello\nthe cat\n").unwrap();
    fs::write(&sts, "g\tf\t0\t1\t4.5\tthe cat\tthe cats\ng\tf\t0\t2\t0.5\thello\t42\ng\tf\t0\t3\t2\ta\tb\n")
        .unwrap();
    let verify = |command: &mut Command| {
        run(command.args(["model", "verify", "minilm", "--texts"]).arg(&own).arg("--sts").arg(&sts), b"")
    };
    let said = verify(&mut sandbox.tiny()).expect(0);
    for part in ["2 texts, cosine to f32: mean 0.9", "3 pairs, Spearman: f32 ", "difference +0.00000"] {
        assert!(said.out.contains(part), "{part:?} is not in {}", said.out);
    }
    fs::write(&sts, "g\tf\t0\t1\t4.5\tthe cat\tthe cats\nno pair\n").unwrap();
    verify(&mut sandbox.tiny()).expect(1).says(&["sts: line 2: 1 fields"]);
}

/// Integers made from one set of weights say nothing about another set; integers alone say nothing at all.
#[test]
fn fidelity_is_measured_against_the_weights_the_integers_come_from() {
    let sandbox = Sandbox::new("other-weights");
    let dir = sandbox.root.join("own");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("minilm-int.safetensors");
    run(sandbox.tiny().args(["model", "quantize", "minilm", "--out"]).arg(&file), b"").expect(0);
    let verify = |rest: &[&str]| {
        let mut command = sandbox.edge_net();
        run(command.env("EDGENET_MODEL_DIR", &dir).args(["model", "verify", "minilm"]).args(rest), b"")
    };
    let said = verify(&[]).expect(0).says(&["fidelity of \"minilm\" not measured: "]);
    assert!(!said.out.contains("fidelity"), "{}", said.out);
    let texts = sandbox.root.join("texts");
    fs::write(&texts, "cat").unwrap();
    verify(&["--texts", texts.to_str().unwrap()]).expect(1).says(&["error: fidelity: "]);

    for (name, mut bytes) in common::tiny_files() {
        if name == "model.safetensors" {
            let last = bytes.len() - 4;
            bytes[last] ^= 1;
        }
        fs::write(dir.join(name), bytes).unwrap();
    }
    let said = verify(&[]).expect(1).says(&["the integers were made from weights with SHA-256 "]);
    assert!(said.out.contains("not the published file"), "what was found is still said: {}", said.out);
}

#[test]
fn the_oracle_gives_the_published_vectors() {
    let (Some(file), Some((reference, mut embedder))) =
        (shared_data("minilm_reference/reference.json"), minilm())
    else {
        return;
    };
    let published: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let items = published["items"].as_array().unwrap();
    let numbers =
        |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let ids: Vec<Vec<u32>> =
        items.iter().map(|i| numbers(&i["ids"]).iter().map(|&id| id as u32).collect()).collect();
    let vectors = reference.embed_all(&ids, &mut |_| ()).unwrap();
    for (item, vector) in items.iter().zip(&vectors) {
        let wanted: Vec<f32> = numbers(&item["embedding"]).iter().map(|&x| x as f32).collect();
        let cosine = cosine(vector, &wanted);
        assert!(cosine >= 0.99999, "{}: {cosine}", item["name"]);
    }
    let texts: Vec<&str> = items.iter().map(|i| i["text"].as_str().unwrap()).collect();
    let fidelity = reference::fidelity(&reference, &mut embedder, &texts, &mut ()).unwrap();
    assert_eq!(fidelity.texts, 50);
    assert!(fidelity.cosine_mean >= 0.9995 && fidelity.cosine_min >= 0.998, "{fidelity:?}");
}

#[test]
fn integers_order_sentence_pairs_like_the_oracle() {
    let (Some(file), Some((reference, mut embedder))) = (shared_data("sts/sts-dev.csv"), minilm()) else {
        return;
    };
    let text = fs::read_to_string(file).unwrap();
    let pairs = reference::parse_sts(&text).unwrap();
    assert_eq!(pairs.len(), 1500);
    let sts = reference::correlation(&reference, &mut embedder, &pairs, &mut ()).unwrap();
    assert!((sts.spearman_float - sts.spearman_integer).abs() <= 0.001, "{sts:?}");
    assert!(sts.spearman_float > 0.8, "{sts:?}");
}

/// The largest difference between candle on `ours` and the quantiser's float pass on `theirs`, over many lengths.
fn distance(ours: &[u8], theirs: &[u8], config: &BertConfig) -> f32 {
    let texts = texts(config);
    let ours = Reference::from_safetensors(ours, config).unwrap().embed_all(&texts, &mut |_| ()).unwrap();
    let theirs = FloatBert::from_safetensors(theirs, config).unwrap().embed_all(&texts).unwrap();
    ours.iter().zip(&theirs).map(|(a, b)| apart(a, b)).fold(0.0, f32::max)
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// MiniLM in f32 and in integers, where the test run has made it.
fn minilm() -> Option<(Reference, Embedder)> {
    if std::env::var_os("EDGENET_TEST_MINILM").is_none() {
        not_run("EDGENET_TEST_ALL", "EDGENET_TEST_MINILM names no quantised model");
        return None;
    }
    let (store, manifest) = (Store::from_env().unwrap(), Store::manifest("minilm").unwrap());
    let opened = store.open(manifest, &mut ()).unwrap();
    let float = store.float(manifest, &mut ()).unwrap();
    let bytes = fs::read(&float.weights).unwrap();
    let reference = Reference::from_safetensors(&bytes, &float.shape(manifest).unwrap()).unwrap();
    Some((reference, Embedder::with_model(&Options::default(), opened).unwrap()))
}

/// A file of the reference data that lies beside the project, not in it.
fn shared_data(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if file.exists() {
        return Some(file);
    }
    not_run("EDGENET_TEST_SHARED", &format!("no reference data {path} beside the project"));
    None
}
