//! Float sums have no one right order, so a level is held to the oracle within [`plan::float_tolerance`], and to
//! itself to the bit.

use std::{borrow::Cow, collections::HashSet};

use kernels_cpu::{Kernels, oracle};
use plan::{FloatScore, FloatVectors, NOTHING, float_score, float_tolerance};

use crate::{
    inputs::{Difference, Random, same},
    scans::{Filter, Shape, shapes},
};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for (i, shape) in shapes(&[4, 8, 32, 100, 384, 388, 1024]).into_iter().enumerate() {
        Case::new(&shape, Fill::Random, Kind::ALL[i % 3]).compare(kernels)?;
        cases += 1;
    }
    let plain =
        Shape { width: 100, queries: 17, k: 10, first: 1, rows: 67, group: 40, filter: Filter::Absent };
    for fill in Fill::ALL {
        for kind in Kind::ALL {
            for queries in [1, 3, 17] {
                Case::new(&Shape { queries, ..plain }, fill, kind).compare(kernels)?;
                cases += 1;
            }
            let shape = Shape { queries: 19, rows: 150, group: 150, k: 150, ..plain };
            Case::new(&shape, fill, kind).steady(kernels)?;
            cases += 1;
        }
    }
    Ok(cases)
}

#[derive(Clone, Copy, Debug)]
enum Fill {
    Random,
    /// Every row the same, so that the lowest rows win.
    Equal,
    Zero,
    /// Whole numbers: sums are exact, and many tie.
    Whole,
    /// Magnitudes from tiny to huge.
    Wild,
}

impl Fill {
    const ALL: [Fill; 5] = [Fill::Random, Fill::Equal, Fill::Zero, Fill::Whole, Fill::Wild];

    fn values(self, rows: usize, width: usize, random: &mut Random) -> Vec<f32> {
        let mut value = |edge: i64| random.within(-edge, edge) as f32;
        match self {
            Fill::Random => (0..rows * width).map(|_| value(1 << 24) / 1e7).collect(),
            Fill::Equal => (0..width).map(|_| value(1 << 24) / 1e7).collect::<Vec<_>>().repeat(rows),
            Fill::Zero => vec![0.0; rows * width],
            Fill::Whole => (0..rows * width).map(|_| value(2)).collect(),
            Fill::Wild => (0..rows * width).map(|_| value(1 << 24) * 2f32.powf(value(36))).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dot,
    Scaled,
    Euclid,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Dot, Kind::Scaled, Kind::Euclid];
}

fn length(row: &[f32]) -> f32 {
    row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32
}

/// A scan with its numbers.
struct Case {
    name: String,
    shape: Shape,
    queries: Vec<f32>,
    vectors: FloatVectors<'static>,
    filter: Option<Vec<u32>>,
}

impl Case {
    fn new(shape: &Shape, fill: Fill, kind: Kind) -> Self {
        let mut random = Random(81);
        let values = fill.values(shape.height(), shape.width, &mut random);
        let queries = fill.values(shape.queries, shape.width, &mut random);
        let rows = values.chunks_exact(shape.width);
        let score = match kind {
            Kind::Dot => FloatScore::Dot,
            Kind::Scaled => FloatScore::Scaled(rows.map(|r| 1.0 / length(r).max(1e-30)).collect()),
            Kind::Euclid => FloatScore::Euclid(rows.map(|r| length(r).powi(2)).collect()),
        };
        Case {
            name: format!("{shape:?}, {fill:?}, {kind:?}"),
            shape: shape.clone(),
            queries,
            vectors: FloatVectors { width: shape.width, values: Cow::from(values), score },
            filter: shape.bits(&mut random),
        }
    }

    fn run(&self, kernels: &dyn Kernels) -> Vec<[u32; 2]> {
        self.shape.run(&self.queries, &self.vectors, self.filter.as_deref(), |args| {
            kernels.distance_f32(args);
        })
    }

    /// Every list is sorted, without a row twice, has every row that beats its last by more than the tolerance, and
    /// gives each row the oracle's score within it.
    fn compare(&self, kernels: &dyn Kernels) -> Result<(), Difference> {
        let shape = &self.shape;
        // With lists as long as groups the oracle gives the score of every row.
        let whole = Shape { k: shape.group.min(shape.rows).max(1), ..shape.clone() };
        let scores = whole.run(&self.queries, &self.vectors, self.filter.as_deref(), |args| {
            oracle::distance_f32(args);
        });
        let found = self.run(kernels);
        let lists = found.chunks_exact(shape.k).zip(scores.chunks_exact(whole.k));
        for (list, (found, scores)) in lists.enumerate() {
            let query = &self.queries[list / shape.lists() * shape.width..][..shape.width];
            let scores: Vec<_> = scores.iter().filter(|pair| **pair != NOTHING).copied().collect();
            self.list(query, found, &scores)
                .map_err(|what| Difference::new(format!("{}, list {list}: {what}", self.name)))?;
        }
        Ok(())
    }

    fn list(&self, query: &[f32], found: &[[u32; 2]], scores: &[[u32; 2]]) -> Result<(), String> {
        let len = found.len().min(scores.len());
        let (pairs, rest) = found.split_at(len);
        if rest.iter().any(|&pair| pair != NOTHING) {
            return Err(format!("{rest:?} after all {len} rows"));
        }
        if let Some(w) = pairs.windows(2).find(|w| (w[1][0], w[0][1]) >= (w[0][0], w[1][1])) {
            return Err(format!("{:?} before {:?}", w[0], w[1]));
        }
        let rows: HashSet<u32> = pairs.iter().map(|pair| pair[1]).collect();
        if rows.len() < len {
            return Err("a row twice".into());
        }
        for &[key, row] in pairs {
            let Some(wanted) = scores.iter().find(|pair| pair[1] == row) else {
                return Err(format!("row {row}, which is passed over"));
            };
            let (found, wanted) = (float_score(key), float_score(wanted[0]));
            let tolerance = self.tolerance(query, row as usize);
            if found.is_nan() || (found - wanted).abs() > tolerance {
                return Err(format!("row {row} scores {found}, oracle {wanted} within {tolerance}"));
            }
        }
        let last = pairs.last().map_or(f32::NEG_INFINITY, |pair| float_score(pair[0]));
        let missing = scores.iter().filter(|pair| !rows.contains(&pair[1]));
        for &[key, row] in missing {
            if float_score(key) > last + self.tolerance(query, row as usize) {
                return Err(format!("row {row} is missing with {}, last {last}", float_score(key)));
            }
        }
        Ok(())
    }

    /// Bound of a score's difference: that of the dot product, and the rounding of the score's own operations.
    fn tolerance(&self, query: &[f32], row: usize) -> f32 {
        let width = self.vectors.width;
        let norms = length(query) * length(&self.vectors.values[row * width..][..width]);
        let dot = float_tolerance(width, norms);
        match &self.vectors.score {
            FloatScore::Dot => dot,
            FloatScore::Scaled(multiplier) => (dot + norms * f32::EPSILON) * multiplier[row],
            FloatScore::Euclid(norm) => 2.0 * dot + (2.0 * norms + norm[row]) * f32::EPSILON,
        }
    }

    /// The pairs of every query are the same bits alone, in another batch, in other groups and from another first
    /// row. The shape has lists long enough for every row.
    fn steady(&self, kernels: &dyn Kernels) -> Result<(), Difference> {
        let found = self.run(kernels);
        for (query, found) in
            self.queries.chunks_exact(self.shape.width).zip(found.chunks_exact(self.shape.k))
        {
            let found: HashSet<[u32; 2]> = found.iter().copied().collect();
            for (first, rows, group) in [(1, 150, 150), (3, 148, 150), (2, 101, 7), (50, 1, 1)] {
                for copies in [1, 2, 5] {
                    let shape = Shape { queries: copies, first, rows, group, ..self.shape.clone() };
                    let pairs = shape.run(&query.repeat(copies), &self.vectors, None, |args| {
                        kernels.distance_f32(args);
                    });
                    let strange = pairs.iter().find(|pair| **pair != NOTHING && !found.contains(*pair));
                    if let Some(pair) = strange {
                        let what = format!("{}: {pair:?} is new with {shape:?}", self.name);
                        return Err(Difference::new(what));
                    }
                }
            }
        }
        same(&self.name, &self.run(kernels), &found)
    }
}
