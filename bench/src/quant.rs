//! Vectors from f32 to i8 codes, against a copy of the same bytes.

mod engine;

use serde_json::{Value, json};

pub(crate) use self::engine::open;
use crate::{
    Error,
    contest::{self, Case, Definition, Facts},
    engines::{self, Fields, OURS},
    peaks,
    vectors::{Rows, read},
};

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &contest::Args) -> Result<(), Error> {
    let rows = Rows::sentences()?;
    let sample = read(&rows.base, rows.width, CHECKED)?;
    let read = peaks::read(kernels_cpu::Level::detect(), args.threads.get());
    contest::measure(&mut Quant { rows, sample, read }, args)?.publish(args)
}

struct Quant {
    rows: Rows,
    /// The first rows.
    sample: Vec<f32>,
    /// Bytes this machine reads a second.
    read: f64,
}

impl Definition for Quant {
    fn name(&self) -> &'static str {
        BENCH
    }

    fn subject(&self) -> Fields {
        self.rows.subject()
    }

    fn cases(&self) -> Vec<Case> {
        let gigabytes = (self.rows.base_rows * self.rows.width * 4) as f64 / 1e9;
        let case = Case::new("f32 to codes, input counted", json!({"count": CHECKED}), gigabytes, "GB");
        vec![
            case.by([OURS].into_iter().chain(engines::peers(BENCH)))
                .peak(Some(self.read / 1e9), "memory read"),
        ]
    }

    fn load(&self, _: &str) -> Fields {
        let mut fields = self.rows.fields();
        fields.remove("queries");
        fields
    }

    fn check(&mut self, _: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
        let rows: Vec<Vec<f64>> = serde_json::from_value(answer["rows"].clone())
            .map_err(|error| Error::Json { what: format!("answer of {engine}"), error })?;
        let decoded: Vec<f64> = rows.concat();
        if decoded.len() != self.sample.len() {
            return Err(Error::Wrong(format!(
                "{engine} gives {} values, not {}",
                decoded.len(),
                self.sample.len()
            )));
        }
        let square = |x: f64| x * x;
        let error: f64 = self.sample.iter().zip(&decoded).map(|(&x, &y)| square(f64::from(x) - y)).sum();
        let total: f64 = self.sample.iter().map(|&x| square(f64::from(x))).sum();
        let relative = (error / total).sqrt();
        let least = if engine == "faiss-sq4" { 0.5 } else { 0.02 };
        match relative <= least {
            true => Ok(Facts::from([("relative l2 error", relative)])),
            false => Err(Error::Wrong(format!("{engine} has a relative error of {relative}"))),
        }
    }
}

const BENCH: &str = "quant";
const CHECKED: usize = 100;
