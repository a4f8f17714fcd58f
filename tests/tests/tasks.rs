//! Every task type, from JSON to the digest of its result, on every backend: one digest.

use std::collections::BTreeMap;

use edge_net_tests::{
    backends::{self, Run},
    host::TestHost,
    lcg::Lcg,
};
use kernels_cpu::Level;
use models::search::{
    Metric,
    hnsw::{Compute, Hnsw, Params},
};
use plan::Sequential;
use serde_json::{Value, json};
use tasks::{Checked, Hash, Known, Outcome, RunError, Shape, Task, Tier, base_price};

/// Name, payload, price in micro-credits, digest of the result.
fn samples() -> Vec<(&'static str, Value, u64, &'static str)> {
    let vectors = matrix(300, 20, 1);
    let queries = matrix(5, 20, 2);
    let search = |metric: &str| json!({"queries": queries, "vectors": vectors, "k": 7, "metric": metric});
    let mut filtered = search("l2");
    filtered["filter"] = json!([3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377]);
    vec![
        ("vector_search", search("cosine"), 1_500_000, "cosine"),
        ("vectors", search("dot"), 1_500_000, "dot"),
        ("vector_search", search("l2"), 1_500_000, "l2"),
        ("vector_search", filtered, 1_500_000, "filtered"),
        (
            "vector_search",
            json!({"query": queries[0], "index": "a", "k": 5, "metric": "cosine"}),
            200_000,
            "index",
        ),
        (
            "embeddings",
            json!({"texts": ["token1 token2", "token7", ""], "model": "generated"}),
            150_000,
            "embedding",
        ),
        (
            "semantic_match",
            json!({"task": "token3 token4", "k": 2, "model": "generated", "agents": [
                {"id": "far", "description": "token90 token91 token92"},
                {"id": "near", "description": "token3 token4 token5"},
                {"id": "same", "description": "token3 token4"},
            ]}),
            100_000,
            "match",
        ),
        (
            "neural_inference",
            json!({"network": base64(&network()), "inputs": intensities(9, 40), "steps": 20, "seed": 3}),
            3_000_000,
            "inference",
        ),
        (
            "encryption",
            json!({"op": "encrypt", "data": base64(b"attack at dawn"), "key": base64(&[7; 32])}),
            2,
            "encryption",
        ),
        ("compression", json!({"vectors": vectors, "codec": "int8"}), 4_800, "int8"),
        ("compression", json!({"vectors": matrix(400, 32, 5), "target": {"recall": 0.8}}), 10_240, "auto"),
        (
            "custom_wasm",
            json!({"module": base64(&reverser()), "input": base64(b"abc"), "maxFuel": 1_000_000}),
            1_000,
            "module",
        ),
    ]
}

/// What replicas compare, pinned: a change of any of these is a change of [`tasks::NUMERICS_VERSION`].
const DIGESTS: &[(&str, &str)] = &include!("../golden/task_digests.in");

#[test]
fn every_backend_gives_the_pinned_digest() {
    let pinned: BTreeMap<&str, &str> = DIGESTS.iter().copied().collect();
    let mut runs = backends::all();
    runs.push(("oracle".into(), backends::oracle()));
    let mut wrong = Vec::new();
    for (i, (backend, run)) in runs.into_iter().enumerate() {
        // Work is cut another way on every backend, which must not show.
        let shape = Shape {
            parallel_plans: 1 + i % 3,
            slice_tokens: [256, 1, 4096][i % 3],
            scan_group: [64, 1000, 7][i % 3],
        };
        let mut host = host(run, shape);
        for (name, payload, _, label) in samples() {
            let outcome =
                execute(&mut host, name, payload).unwrap_or_else(|e| panic!("{backend}, {label}: {e}"));
            let digest = outcome.digest().hex();
            if pinned.get(label) != Some(&digest.as_str()) {
                wrong.push(format!("(\"{label}\", \"{digest}\"), // {backend}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn prices_are_those_of_the_table() {
    for (name, payload, price, label) in samples() {
        let known = Known { index_vectors: 200, network_inputs: 40 };
        assert_eq!(base_price(&check(name, payload), known), price, "{label}");
    }
}

#[test]
fn payloads_and_results_have_one_encoding() {
    let mut host = host(backends::oracle(), ONE);
    for (name, payload, _, label) in samples() {
        let task = Task::from_json(name, payload.clone()).expect("a sample");
        let bytes = task.to_bytes();
        assert_eq!(Task::from_bytes(&bytes).as_ref(), Ok(&task), "{label}");
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Task::from_bytes(&longer).unwrap_err().code.name(), "not-canonical", "{label}");
        assert!(Task::from_bytes(&bytes[..bytes.len() - 1]).is_err(), "{label}");
        let outcome = execute(&mut host, name, payload).expect("a sample runs");
        let bytes = outcome.to_bytes();
        assert_eq!(Outcome::from_bytes(&bytes), Some(outcome), "{label}");
        assert_eq!(Outcome::from_bytes(&bytes[..bytes.len() - 1]), None, "{label}");
    }
}

#[test]
fn what_was_encrypted_is_decrypted_and_a_changed_bit_is_found() {
    let mut host = host(backends::oracle(), ONE);
    let key = base64(&[7; 32]);
    let payload =
        json!({"op": "encrypt", "data": base64(b"attack at dawn"), "key": key, "aad": base64(b"to: me")});
    let Ok(Outcome::Encryption(sealed)) = execute(&mut host, "encryption", payload) else {
        panic!("encrypts")
    };
    let decrypt = |data: &[u8], aad: &[u8]| json!({"op": "decrypt", "data": base64(data), "key": base64(&[7; 32]), "aad": base64(aad)});
    let Ok(Outcome::Encryption(opened)) = execute(&mut host, "encryption", decrypt(&sealed.0, b"to: me"))
    else {
        panic!("decrypts")
    };
    assert_eq!(opened.0, b"attack at dawn");
    let mut changed = sealed.0.clone();
    *changed.last_mut().expect("not empty") ^= 1;
    for payload in [decrypt(&changed, b"to: me"), decrypt(&sealed.0, b"to: you")] {
        let error = execute(&mut host, "encryption", payload).expect_err("not authentic");
        assert_eq!(error.code(), "authentication");
    }
}

#[test]
fn agents_are_embedded_once() {
    let mut host = host(backends::oracle(), ONE);
    let (_, payload, _, _) = samples().remove(6);
    let first = execute(&mut host, "semantic_match", payload.clone()).expect("matches");
    assert_eq!((host.remembered.len(), host.recalled), (3, 0));
    let second = execute(&mut host, "semantic_match", payload).expect("matches");
    assert_eq!((host.remembered.len(), host.recalled), (3, 3));
    assert_eq!(first, second);
    let Outcome::SemanticMatch(matched) = first else { panic!("a match") };
    // The model is generated and means nothing by its words; a text is nearest to itself all the same.
    assert_eq!((matched.agents[0].len(), matched.agents[0][0].id.as_str()), (2, "same"));
}

/// A cache that gives a vector of another width is as good as none; agents of one description are embedded once.
#[test]
fn a_damaged_memory_is_no_answer() {
    let mut host = host(backends::oracle(), ONE);
    let (_, mut payload, _, _) = samples().remove(6);
    payload["agents"] = json!([
        {"id": "a", "description": "token3"}, {"id": "b", "description": "token3"}, {"id": "c", "description": "token4"},
    ]);
    let first = execute(&mut host, "semantic_match", payload.clone()).expect("matches");
    assert_eq!(host.remembered.len(), 2);
    host.remembered.values_mut().for_each(|vector| vector.truncate(1));
    assert_eq!(execute(&mut host, "semantic_match", payload).expect("matches"), first);
    assert!(host.remembered.values().all(|vector| vector.len() > 1));
}

/// Whether a network is run must not depend on how many plans run side by side: runs that do not fit one plan together
/// are cut.
#[test]
fn long_runs_of_wide_networks_are_cut_alike_everywhere() {
    let outcomes = [1, 2, 64].map(|parallel_plans| {
        // Silence, without the work of computing it.
        let silent: Run = Box::new(|_, plan| {
            assert!(plan.words(plan.output) <= tasks::limits::MAX_SPIKE_WORDS);
            vec![0; plan.words(plan.output)]
        });
        let mut host = TestHost::new(silent, Shape { parallel_plans, ..ONE });
        let steps = tasks::limits::MAX_STEPS;
        let wide = base64(&wide_network());
        let payload = json!({"network": wide, "inputs": vec![vec![0.0]; 3], "steps": steps});
        execute(&mut host, "neural_inference", payload).expect("runs")
    });
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
}

/// One input and as many neurons as a layer has: in 10,000 steps one run fits a plan, two do not.
fn wide_network() -> Vec<u8> {
    use models::spiking::{FloatLif, FloatNet, MAX_NEURONS, quantise};
    let outputs = MAX_NEURONS;
    let layer = FloatLif {
        inputs: 1,
        outputs,
        weight: vec![0.5; outputs],
        recurrent: None,
        bias: vec![0.0; outputs],
        beta: vec![0.5; outputs],
        threshold: vec![1.0; outputs],
        reset: plan::Reset::Zero,
    };
    quantise(&FloatNet { steps: None, layers: vec![layer] }).expect("a valid network").file().to_vec()
}

#[test]
fn an_insert_can_be_found() {
    let mut host = host(backends::oracle(), ONE);
    let far = vec![vec![100.0; 20]];
    let payload = json!({"index": "a", "ids": [7_000], "vectors": far});
    let Ok(Outcome::VectorInsert(inserted)) = execute(&mut host, "vector_insert", payload.clone()) else {
        panic!("inserts")
    };
    assert_eq!((inserted.count, inserted.total), (1, 201));
    let query = json!({"queries": far, "index": "a", "k": 1, "metric": "cosine"});
    let Ok(Outcome::VectorSearch(found)) = execute(&mut host, "vector_search", query) else {
        panic!("searches")
    };
    assert_eq!(found.matches[0][0].id, 7_000);
    let again = execute(&mut host, "vector_insert", payload).expect_err("the id is there");
    assert_eq!(again.code(), "out-of-range");
}

#[test]
fn a_stop_ends_a_task() {
    let mut host = host(backends::oracle(), ONE);
    host.stop = true;
    let (name, payload, _, _) = samples().remove(0);
    assert!(matches!(execute(&mut host, name, payload), Err(RunError::Stopped)));
}

/// A digest that depends on one bit of a result is another: the comparison above can fail.
#[test]
fn a_planted_fault_is_caught() {
    let mut oracle = backends::oracle();
    let faulty: Run = Box::new(move |weights, plan| {
        let mut words = oracle(weights, plan);
        let middle = words.len() / 2;
        words[middle] ^= 1 << 16;
        words
    });
    let mut host = host(faulty, ONE);
    let (name, payload, _, label) = samples().remove(1);
    let digest = execute(&mut host, name, payload).expect("runs").digest().hex();
    assert!(!DIGESTS.contains(&(label, digest.as_str())));
}

const ONE: Shape = Shape { parallel_plans: 1, slice_tokens: 256, scan_group: usize::MAX };

fn host(run: Run, shape: Shape) -> TestHost {
    let mut host = TestHost::new(run, shape);
    let gather = Level::detect().kernels().expect("the level that was detected");
    let mut index = Hnsw::new(Params::new(20, Metric::Cosine)).expect("valid parameters");
    let vectors: Vec<f32> = matrix(200, 20, 4).concat();
    let ids: Vec<u64> = (0..200).map(|i| 10 * i).collect();
    let compute = Compute { gather, parallel: &Sequential };
    index.insert(&ids, &vectors, compute).expect("valid vectors");
    host.indexes.insert("a".into(), index);
    host.files.insert(Hash::of(&network()), network());
    host
}

fn check(name: &str, payload: Value) -> Checked {
    Task::from_json(name, payload).expect("a sample").check(Tier::Own).expect("a valid sample")
}

fn execute(host: &mut TestHost, name: &str, payload: Value) -> Result<Outcome, RunError> {
    pollster::block_on(tasks::run(&check(name, payload), host))
}

/// Halves and quarters: exact in binary, ugly enough to hold ties.
fn matrix(rows: usize, width: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut lcg = Lcg::new(seed);
    let mut value = || lcg.within(-40..=40) as f32 / 4.0;
    (0..rows).map(|_| (0..width).map(|_| value()).collect()).collect()
}

fn intensities(rows: usize, width: usize) -> Vec<Vec<f32>> {
    matrix(rows, width, 9).into_iter().map(|row| row.into_iter().map(|v| v.abs() / 10.0).collect()).collect()
}

fn base64(bytes: &[u8]) -> String {
    serde_json::to_value(tasks::Bytes(bytes.to_vec()))
        .expect("a string")
        .as_str()
        .expect("a string")
        .to_owned()
}

/// 40 inputs, 33 hidden neurons with recurrent weights, 5 outputs.
fn network() -> Vec<u8> {
    use models::spiking::{FloatLif, FloatNet, quantise};
    let mut lcg = Lcg::new(77);
    let mut many = |n: usize| -> Vec<f32> { (0..n).map(|_| lcg.within(-64..=64) as f32 / 256.0).collect() };
    let layer = |inputs: usize, outputs: usize, weight: Vec<f32>, recurrent: Option<Vec<f32>>| FloatLif {
        inputs,
        outputs,
        weight,
        recurrent,
        bias: vec![0.05; outputs],
        beta: vec![0.875; outputs],
        threshold: vec![0.5; outputs],
        reset: plan::Reset::Subtract,
    };
    let hidden = layer(40, 33, many(40 * 33), Some(many(33 * 33)));
    let out = layer(33, 5, many(33 * 5), None);
    quantise(&FloatNet { steps: Some(20), layers: vec![hidden, out] })
        .expect("a valid network")
        .file()
        .to_vec()
}

/// A module that reverses its input.
fn reverser() -> Vec<u8> {
    wat::parse_str(include_str!("../sandbox/reverse.wat")).expect("the example is valid")
}

#[test]
fn files_are_named_by_their_hash() {
    let mut host = host(backends::oracle(), ONE);
    let hash = Hash::of(&network()).hex();
    let payload = json!({"networkHash": hash, "inputs": intensities(9, 40), "steps": 20, "seed": 3});
    let by_hash = execute(&mut host, "spiking", payload).expect("runs");
    let (name, payload, _, _) = samples().remove(7);
    assert_eq!(execute(&mut host, name, payload).expect("runs"), by_hash);
    let payload =
        json!({"networkHash": Hash::of(b"another").hex(), "inputs": intensities(9, 40), "steps": 20});
    let error = execute(&mut host, "spiking", payload).expect_err("not here");
    assert!(
        matches!(&error, RunError::Refused(r) if r.field == "networkHash" && r.code.name() == "unknown"),
        "{error}"
    );
}
