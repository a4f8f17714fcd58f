//! Every recorded intermediate of the reference model, one text, stage by stage.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use edge_net_tests::model;
use engine::{Arena, CpuModel};
use kernels_cpu::{
    AttentionArgs, DistanceArgs, DistanceF32Args, EmbedArgs, EncodeArgs, GemmArgs, HammingArgs, Kernels,
    LayerNormArgs, LifArgs, Output, PoolArgs, QuantiseArgs, TopKArgs,
    oracle::{self, Oracle, Trace},
};
use plan::Gather;
use sha2::{Digest, Sha256};

const GOLDEN: &str = include_str!("../golden/minilm_stages.txt");
const HELLO_WORLD: [u32; 4] = [101, 7592, 2088, 102];

#[test]
fn every_stage_equals_the_golden() {
    let Some(model) = model::minilm() else { return };
    let stages = trace(&model);
    assert_eq!(compare(&stages), Vec::<String>::new());
    let golden = GOLDEN.lines().filter(|l| !l.starts_with('#')).count();
    let traced: usize = stages.values().map(Vec::len).sum();
    assert_eq!(
        (golden, traced),
        (GOLDEN_COUNT, GOLDEN_COUNT),
        "every golden is compared, and nothing else is traced"
    );
    edge_net_tests::report(&format!("{golden} goldens compared"));
}

/// One bit of one late intermediate flipped is caught, and only there.
#[test]
fn a_planted_fault_is_caught() {
    let Some(model) = model::minilm() else { return };
    let mut stages = trace(&model);
    stages.get_mut("epi.v").expect("traced")[35][7] ^= 1;
    let caught = compare(&stages);
    assert!(caught.len() == 1 && caught[0].starts_with("epi.v/35"), "{caught:?}");
}

type Stages = BTreeMap<String, Vec<Vec<i64>>>;

fn compare(stages: &Stages) -> Vec<String> {
    let mut failures = Vec::new();
    for line in GOLDEN.lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [stage, occurrence, _, sha256, first] = fields[..] else { panic!("golden line \"{line}\"") };
        let index: usize = occurrence.parse().expect("an index");
        let Some(values) = stages.get(stage).and_then(|s| s.get(index)) else {
            failures.push(format!("{stage}/{occurrence} was not traced"));
            continue;
        };
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if found != sha256 {
            let start = &values[..values.len().min(3)];
            failures.push(format!("{stage}/{occurrence}: starts {start:?}, golden {first}"));
        }
    }
    failures
}

fn trace(model: &Arc<models::bert::IntBert>) -> Stages {
    let plan = model.plan(&[&HELLO_WORLD]).expect("a valid batch");
    let kernels: &'static Traced = Box::leak(Box::default());
    let words = CpuModel::with_kernels(kernels, model.clone()).run(&plan, &mut Arena::default());
    let mut log = kernels.log.lock().unwrap_or_else(PoisonError::into_inner);
    log.add("out", vec![model.vectors(&words).flatten().map(|&v| i64::from(v)).collect()]);
    std::mem::take(&mut log.stages)
}

/// The oracle, writing down what it sees under the names of the golden file.
#[derive(Default)]
struct Traced {
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    stages: Stages,
    norms: usize,
    quantised: usize,
}

impl Log {
    fn add(&mut self, stage: &str, occurrences: Vec<Vec<i64>>) {
        self.stages.entry(stage.to_owned()).or_default().extend(occurrences);
    }
}

/// The values of one step, by intermediate and part.
#[derive(Default)]
struct Values(BTreeMap<(&'static str, usize), Vec<i64>>);

impl Values {
    fn take(&mut self, name: &'static str) -> Vec<Vec<i64>> {
        self.0.extract_if(.., |key, _| key.0 == name).map(|(_, values)| values).collect()
    }
}

impl Trace for Values {
    fn record(&mut self, name: &'static str, part: usize, value: i64) {
        self.0.entry((name, part)).or_default().push(value);
    }
}

impl Traced {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernels for Traced {
    fn embed(&self, args: EmbedArgs<'_>) {
        let mut values = Values::default();
        oracle::embed(args, &mut values);
        self.log().add("emb.sum", values.take("emb.sum"));
    }

    fn layernorm(&self, args: LayerNormArgs<'_>) {
        let mut values = Values::default();
        oracle::layernorm(args, &mut values);
        let mut log = self.log();
        // The embedding's norm comes first; then each layer has one after attention and one after the FFN.
        let after_attention = log.norms % 2 == 1;
        if log.norms > 0 {
            log.add(if after_attention { "resid1" } else { "resid2" }, values.take("ln.in"));
        }
        log.add(if after_attention { "x1" } else { "x" }, values.take("ln.out"));
        for name in ["ln.V", "ln.d*r", "ln.xn"] {
            log.add(name, values.take(name));
        }
        log.norms += 1;
    }

    fn quantise(&self, args: QuantiseArgs<'_>) {
        let mut values = Values::default();
        oracle::quantise(args, &mut values);
        let mut log = self.log();
        // The reference quantises the input of query, key and value once for each.
        let times = if log.quantised % 4 == 0 { 3 } else { 1 };
        for name in ["quant.r", "quant.x<<", "quant.hi"] {
            let taken = values.take(name);
            (0..times).for_each(|_| log.add(name, taken.clone()));
        }
        log.quantised += 1;
    }

    fn gemm(&self, args: GemmArgs<'_>) {
        let sections = args.input.weight.sections.len();
        let corrected = args.input.weight.sections[0].correction.is_some();
        let names: &[&str] = match &args.output {
            Output::Clamp { .. } => &["query", "key", "value"],
            Output::Gelu { .. } => &["up"],
            Output::Wide(_) if corrected => &["down"],
            Output::Wide(_) => &["o"],
        };
        assert_eq!(sections, names.len());
        let mut values = Values::default();
        oracle::gemm(args, &mut values);
        let mut log = self.log();
        let groups = values.0.keys().filter(|k| k.0 == "acc_g").count() / sections;
        for name in ["acc_g", "acc_g+corr", "acc", "out", "clamped"] {
            let parts = if name.starts_with("acc_g") { groups } else { 1 };
            for (chunk, section) in values.take(name).chunks(parts).zip(names) {
                let stage =
                    if name == "clamped" { (*section).to_owned() } else { format!("{section}.{name}") };
                log.add(&stage, chunk.to_vec());
            }
        }
        for name in ["epi.M*mc", "epi.v"] {
            log.add(name, values.take(name));
        }
    }

    fn attention(&self, args: AttentionArgs<'_>) {
        let mut values = Values::default();
        let AttentionArgs { heads, qkv, spans, exp, out } = args;
        oracle::attention(AttentionArgs { heads, qkv, spans, exp, out: &mut *out }, &mut values);
        let mut log = self.log();
        log.add("attn.score", values.take("attn.score"));
        log.add("attn.pv", values.take("attn.pv"));
        log.add("ctx", vec![out.iter().map(|&v| i64::from(v)).collect()]);
    }

    fn pool(&self, args: PoolArgs<'_>) {
        let mut values = Values::default();
        oracle::pool(args, &mut values);
        let mut log = self.log();
        for name in ["pool.sum", "norm.lo", "norm.hi", "norm.V", "norm.y*r"] {
            log.add(name, values.take(name));
        }
    }

    // BERT has none of these.
    fn encode(&self, args: EncodeArgs<'_>) {
        Oracle.encode(args);
    }

    fn distance(&self, args: DistanceArgs<'_>) {
        Oracle.distance(args);
    }

    fn distance_f32(&self, args: DistanceF32Args<'_>) {
        Oracle.distance_f32(args);
    }

    fn hamming(&self, args: HammingArgs<'_>) {
        Oracle.hamming(args);
    }

    fn topk(&self, args: TopKArgs<'_>) {
        Oracle.topk(args);
    }

    fn lif(&self, args: LifArgs<'_>) {
        Oracle.lif(args);
    }
}

impl Gather for Traced {
    fn dots(&self, query: &[i8], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        Oracle.dots(query, codes, rows, out);
    }

    fn float_dots(&self, query: &[f32], values: &[f32], rows: &[u32], out: &mut [f32]) {
        Oracle.float_dots(query, values, rows, out);
    }
}

const GOLDEN_COUNT: usize = 641;
