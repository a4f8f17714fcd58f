//! The whole model on real text: one result for every backend, batch and order; the reference texts' goldens.

use std::{fs, sync::Arc};

use edge_net_tests::{backends, lcg::Lcg, model};
use kernels_cpu::Level;
use models::{
    bert::{IntBert, digest},
    tokenizer::WordPiece,
};
use plan::Weights;
use serde_json::Value;
use sha2::{Digest, Sha256};

const CORPUS: &str = include_str!("../golden/corpus.txt");
const GOLDEN_EMBEDDINGS: &str = include_str!("../golden/minilm_embeddings.txt");

/// SHA-256 over the vectors of `golden/corpus.txt`, in the order of its lines.
const CORPUS_SHA256: &str = "27a88faad3e5826f5a30b9900cfb16ab877efac588a716a449d73fbcdc03b6d0";

#[test]
fn one_digest_for_every_backend_batch_and_order() {
    let Some(model) = model::minilm() else { return };
    let texts = corpus_ids(&model);
    let weights: Arc<dyn Weights> = model.clone();
    let oracle = in_two_threads(&texts, |part| {
        let mut run = backends::oracle();
        embed(&model, part, 64, |plan| run(&weights, plan))
    });
    assert_eq!(hash(&oracle), CORPUS_SHA256, "the oracle itself");
    for (name, mut run) in backends::all() {
        for batch in [1, 7, 64] {
            let vectors = embed(&model, &texts, batch, |plan| run(&weights, plan));
            assert_eq!(hash(&vectors), CORPUS_SHA256, "{name}, batches of {batch}");
        }
        let order = shuffled(texts.len());
        let reordered: Vec<Vec<u32>> = order.iter().map(|&i| texts[i].clone()).collect();
        let vectors = embed(&model, &reordered, 10, |plan| run(&weights, plan));
        let mut restored = vec![Vec::new(); texts.len()];
        order.iter().zip(vectors).for_each(|(&i, vector)| restored[i] = vector);
        assert_eq!(hash(&restored), CORPUS_SHA256, "{name}, shuffled");
    }
}

/// One flipped bit of one value changes the digest that the comparison above rests on.
#[test]
fn a_planted_fault_is_caught() {
    let Some(model) = model::minilm() else { return };
    let weights: Arc<dyn Weights> = model.clone();
    let mut run = backends::cpu(Level::detect());
    let mut vectors = embed(&model, &corpus_ids(&model), 64, |plan| run(&weights, plan));
    assert_eq!(hash(&vectors), CORPUS_SHA256);
    vectors[30][200] ^= 1;
    assert_ne!(hash(&vectors), CORPUS_SHA256);
}

#[test]
fn reference_texts_give_the_golden_tokens_and_digests() {
    let (Some(model), Some(file)) = (model::minilm(), model::shared_data("minilm_reference/reference.json"))
    else {
        return;
    };
    let reference: Value = serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON");
    let items = reference["items"].as_array().expect("items");
    let tokenizer = WordPiece::new(model.vocab()).expect("a vocabulary");
    let weights: Arc<dyn Weights> = model.clone();
    let goldens: Vec<&str> = GOLDEN_EMBEDDINGS.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!((items.len(), goldens.len()), (50, 50), "every golden is run");
    let mut run = backends::cpu(Level::detect());
    let mut cosines = Vec::new();
    for (item, golden) in items.iter().zip(goldens) {
        let name = item["name"].as_str().expect("a name").replace(' ', "_");
        let mut ids = Vec::new();
        tokenizer.encode(item["text"].as_str().expect("a text"), 256, &mut ids);
        let expected: Vec<u32> = numbers(&item["ids"]).iter().map(|&id| id as u32).collect();
        assert_eq!(ids, expected, "tokens of {name}");
        let vectors = embed(&model, &[ids], 1, |plan| run(&weights, plan));
        let sha256: String = digest(&vectors[0]).iter().map(|b| format!("{b:02x}")).collect();
        assert!(golden.starts_with(&format!("{name} {sha256} ")), "{name}: {sha256}, golden {golden}");
        cosines.push(cosine(&vectors[0], &numbers(&item["embedding"])));
    }
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let min = cosines.iter().copied().fold(f64::INFINITY, f64::min);
    edge_net_tests::report(&format!(
        "cosine to f32 over {} texts: mean {mean:.6}, min {min:.6}",
        cosines.len()
    ));
    assert!(mean >= 0.9995 && min >= 0.998, "mean {mean}, min {min}");
}

fn corpus_ids(model: &IntBert) -> Vec<Vec<u32>> {
    let tokenizer = WordPiece::new(model.vocab()).expect("a vocabulary");
    let encode = |text: &str| {
        let mut ids = Vec::new();
        tokenizer.encode(text, 256, &mut ids);
        ids
    };
    CORPUS.lines().map(encode).collect()
}

fn embed(
    model: &IntBert,
    texts: &[Vec<u32>],
    batch: usize,
    mut run: impl FnMut(&plan::Plan) -> Vec<u32>,
) -> Vec<Vec<i16>> {
    let mut vectors = Vec::new();
    for chunk in texts.chunks(batch) {
        let chunk: Vec<&[u32]> = chunk.iter().map(Vec::as_slice).collect();
        let words = run(&model.plan(&chunk).expect("a valid batch"));
        vectors.extend(model.vectors(&words).map(<[i16]>::to_vec));
    }
    vectors
}

/// The oracle is slow: half of the texts on each of two threads.
fn in_two_threads(texts: &[Vec<u32>], run: impl Fn(&[Vec<u32>]) -> Vec<Vec<i16>> + Sync) -> Vec<Vec<i16>> {
    let (a, b) = texts.split_at(texts.len() - 8);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| run(b));
        let mut vectors = run(a);
        vectors.extend(second.join().expect("no panic"));
        vectors
    })
}

fn hash(vectors: &[Vec<i16>]) -> String {
    let mut sha = Sha256::new();
    vectors.iter().flatten().for_each(|v| sha.update(v.to_le_bytes()));
    sha.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut lcg = Lcg::new(7);
    (1..count).rev().for_each(|i| order.swap(i, lcg.within(0..=i as i64) as usize));
    order
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn cosine(a: &[i16], b: &[f64]) -> f64 {
    let a: Vec<f64> = a.iter().map(|&v| f64::from(v)).collect();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt()
}
