//! A small generated BERT, with both poolings, through the whole path: f32 weights, quantiser, plan, every backend.
//! With [CLS] pooling it takes 320 tokens, which is where probabilities have 10 bits.

use std::sync::Arc;

use edge_net_tests::{backends, generated};
use models::{bert::Pooling, quantise::FloatBert};
use plan::Weights;

#[test]
fn every_backend_agrees_with_mean_pooling() {
    every_backend_agrees(Pooling::Mean);
}

#[test]
fn every_backend_agrees_with_cls_pooling() {
    every_backend_agrees(Pooling::Cls);
}

fn every_backend_agrees(pooling: Pooling) {
    let (model, texts) = generated::model(pooling);
    let weights: Arc<dyn Weights> = model.clone();
    let batch: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let whole = model.plan(&batch).expect("a valid batch");
    let expected = backends::oracle()(&weights, &whole);
    assert_eq!(expected.len(), texts.len() * model.config().hidden_size / 2);
    for (name, mut run) in backends::all() {
        assert_eq!(run(&weights, &whole), expected, "{name}, one batch");
        for (i, text) in batch.iter().enumerate() {
            let alone = run(&weights, &model.plan(&[text]).expect("a valid batch"));
            assert_eq!(alone, expected[i * alone.len()..][..alone.len()], "{name}, text {i} alone");
        }
    }
}

#[test]
fn vectors_point_where_the_f32_model_says() {
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let (model, texts) = generated::model(pooling);
        let config = generated::config(pooling);
        let float = generated::float_weights(&config);
        let float = FloatBert::from_safetensors(&float, &config).expect("a valid file");
        let weights: Arc<dyn Weights> = model.clone();
        let batch: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let words = backends::oracle()(&weights, &model.plan(&batch).expect("a valid batch"));
        for (text, vector) in texts.iter().zip(model.vectors(&words)) {
            let reference = float.embed(text).expect("a valid text");
            let dot: f64 =
                vector.iter().zip(&reference).map(|(&a, &b)| f64::from(a) / 32768.0 * f64::from(b)).sum();
            // Weights without calibration and without the statistics of a trained net: far looser than MiniLM.
            assert!(dot > 0.98, "{pooling:?}, {} tokens: cosine {dot}", text.len());
        }
    }
}
