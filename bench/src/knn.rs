//! Exact and quantised scans of sentence embeddings, many queries a call and one.

mod engine;

use serde_json::{Value, json};

pub(crate) use self::engine::open;
use crate::{
    Error,
    contest::{self, Case, Definition, Facts},
    engines::Fields,
    peaks,
    vectors::{Nearest, Rows},
};

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &contest::Args) -> Result<(), Error> {
    let rows = Rows::sentences()?;
    let nearest = rows.nearest(K)?;
    let level = kernels_cpu::Level::detect();
    let threads = args.threads.get();
    let limits = Limits {
        fma: peaks::fma(level, threads),
        dot: peaks::dot_on(level, threads),
        read: peaks::read(level, threads),
    };
    contest::measure(&mut Knn { rows, nearest, limits, on_cpu: Vec::new() }, args)?.publish(args)
}

struct Knn {
    rows: Rows,
    nearest: Nearest,
    limits: Limits,
    /// What `edge-net-i8` found last.
    on_cpu: Vec<Vec<u64>>,
}

/// Of this machine, a second.
struct Limits {
    /// Floating-point operations.
    fma: Option<f64>,
    /// i8 operations.
    dot: Option<f64>,
    /// Bytes.
    read: f64,
}

impl Definition for Knn {
    fn name(&self) -> &'static str {
        "knn"
    }

    fn subject(&self) -> Fields {
        self.rows.subject()
    }

    fn cases(&self) -> Vec<Case> {
        let values = (self.rows.base_rows * self.rows.width) as f64;
        let many = |id: &str| {
            Case::new(
                format!("{id}, {MANY} queries a call"),
                json!({"calls": 1, "batch": MANY}),
                MANY as f64,
                "queries",
            )
        };
        let single = |id: &str| {
            Case::new(
                format!("{id}, one query a call"),
                json!({"calls": CALLS, "batch": 1}),
                CALLS as f64,
                "queries",
            )
        };
        let fma = self.limits.fma.map(|ops| ops / (2.0 * values));
        let dot = self.limits.dot.map(|ops| ops / (2.0 * values));
        let read = Some(self.limits.read / (4.0 * values));
        vec![
            many("f32")
                .by(["edge-net-f32", "faiss-flat", "usearch-f32", "numpy"])
                .peak(fma, "f32 multiply-add"),
            many("i8")
                .by(["edge-net-i8", "edge-net-i8-gpu", "usearch-i8", "faiss-sq8-uniform", "faiss-sq8"])
                .peak(dot, "i8 dot product"),
            many("i8, re-ranked").by(["edge-net-i8-rerank", "edge-net-i8"]).peak(dot, "i8 dot product"),
            many("1 bit").by(["edge-net-b1", "faiss-binary", "usearch-b1"]),
            many("1 bit, re-ranked").by(["edge-net-b1-rerank", "edge-net-b1"]),
            single("f32")
                .by(["edge-net-f32", "faiss-flat", "usearch-f32", "numpy"])
                .peak(read, "memory read"),
            // A table of codes lies partly in the last cache: memory does not limit it.
            single("i8").by(["edge-net-i8", "usearch-i8"]),
        ]
    }

    fn load(&self, _: &str) -> Fields {
        let mut fields = self.rows.fields();
        fields.insert("k".into(), K.into());
        fields
    }

    fn check(&mut self, case: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
        let ids: Vec<Vec<u64>> = serde_json::from_value(answer["ids"].clone())
            .map_err(|error| Error::Json { what: format!("answer of {engine}"), error })?;
        let recall = self.nearest.recall(engine, &ids)?;
        // Integers: the GPU must find what the CPU found, to the last tie.
        match engine {
            "edge-net-i8" => self.on_cpu.clone_from(&ids),
            "edge-net-i8-gpu" if ids != self.on_cpu => {
                return Err(Error::Wrong(format!("{engine} and the CPU disagree in {}", case.id)));
            }
            _ => {}
        }
        let has = |part: &str| engine.contains(part);
        let least = match (has("rerank"), has("b1") || has("binary"), has("i8") || has("sq8")) {
            (true, true, _) => 0.85,
            (true, false, _) => 0.999,
            (false, true, _) => 0.4,
            (false, _, true) => 0.95,
            (false, false, false) => 0.9999,
        };
        match recall >= least {
            true => Ok(Facts::from([("recall@10", recall)])),
            false => Err(Error::Wrong(format!("{engine} has recall {recall} in {}, below {least}", case.id))),
        }
    }
}

/// Results a query.
const K: usize = 10;
const MANY: usize = 1000;
/// Single queries of one run.
const CALLS: usize = 100;
