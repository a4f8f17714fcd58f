//! How near two vectors are.

use serde::{Deserialize, Serialize};

/// How near two vectors are. More is nearer, for every metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The dot product of the vectors brought to length one; a zero vector stays zero.
    #[default]
    Cosine,
    /// Minus the squared Euclidean distance.
    L2,
    /// The dot product.
    Dot,
}

impl Metric {
    /// The score in f32, its sums in f64: the reference the others are measured by.
    pub fn score(self, query: &[f32], vector: &[f32]) -> f32 {
        let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            query.iter().zip(vector).map(|(&q, &v)| f(f64::from(q), f64::from(v))).sum()
        };
        let dot = || sum(&|q, v| q * v);
        let score = match self {
            Metric::Dot => dot(),
            Metric::L2 => -sum(&|q, v| (q - v) * (q - v)),
            Metric::Cosine => {
                let lengths = (sum(&|q, _| q * q) * sum(&|_, v| v * v)).sqrt();
                if lengths > 0.0 { dot() / lengths } else { 0.0 }
            }
        };
        score as f32
    }
}

/// Brings each row to length one; rows of zeros stay. Sums run in order in f64, so every machine gives the same bits.
pub fn normalise(values: &mut [f32], width: usize) {
    for row in values.chunks_exact_mut(width) {
        let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        if squares > 0.0 {
            let length = squares.sqrt();
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
    }
}
