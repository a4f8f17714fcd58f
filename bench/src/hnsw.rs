//! Graph indexes over sentence embeddings: built, then searched at several efforts.

mod engine;

use serde_json::{Value, json};

pub(crate) use self::engine::open;
use crate::{
    Error,
    contest::{self, Case, Definition, Facts},
    engines::{self, Fields},
    vectors::{Nearest, Rows},
};

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &contest::Args) -> Result<(), Error> {
    let rows = Rows::sentences()?;
    let nearest = rows.nearest(K)?;
    let mut record = contest::measure(&mut Graph { rows, nearest }, args)?;
    RECALLS.into_iter().for_each(|recall| record.interpolate("recall@10", recall));
    record.publish(args)
}

struct Graph {
    rows: Rows,
    nearest: Nearest,
}

impl Definition for Graph {
    fn name(&self) -> &'static str {
        BENCH
    }

    fn subject(&self) -> Fields {
        self.rows.subject()
    }

    fn cases(&self) -> Vec<Case> {
        let engines = || ["edge-net"].into_iter().chain(engines::peers(BENCH));
        let build = Case::new("build", json!({"what": "build"}), self.rows.base_rows as f64, "vectors");
        let search = |ef: usize| {
            let fields = json!({"what": "search", "ef": ef, "calls": 1});
            Case::new(format!("search, ef {ef}"), fields, self.rows.query_rows as f64, "queries")
                .by(engines())
        };
        let build = build.by(engines()).rounds(1).unchecked();
        [build].into_iter().chain(EFFORTS.into_iter().map(search)).collect()
    }

    fn load(&self, _: &str) -> Fields {
        let mut fields = self.rows.fields();
        for (name, value) in [("k", K), ("m", 16), ("ef_construction", 200)] {
            fields.insert(name.into(), value.into());
        }
        fields
    }

    fn check(&mut self, case: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
        let ids: Vec<Vec<u64>> = serde_json::from_value(answer["ids"].clone())
            .map_err(|error| Error::Json { what: format!("answer of {engine}"), error })?;
        let recall = self.nearest.recall(engine, &ids)?;
        match recall > 0.7 {
            true => Ok(Facts::from([("recall@10", recall)])),
            false => Err(Error::Wrong(format!("{engine} has recall {recall} in {}", case.id))),
        }
    }
}

const BENCH: &str = "hnsw";
const K: usize = 10;
const EFFORTS: [usize; 8] = [10, 16, 24, 32, 48, 64, 96, 128];
const RECALLS: [f64; 3] = [0.95, 0.98, 0.99];
