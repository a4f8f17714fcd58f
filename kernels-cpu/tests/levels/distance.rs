use std::borrow::Cow;

use kernels_cpu::{Kernels, oracle};
use plan::{MAX_WIDTH, Score, Vectors};

use crate::{
    inputs::{Difference, Random, same},
    scans::{Filter, Shape, shapes},
};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for (i, shape) in shapes(&[4, 8, 32, 100, 384, 388, 1024]).into_iter().enumerate() {
        compare(kernels, &shape, Fill::Random, Kind::ALL[i % 3])?;
        cases += 1;
    }
    let plain =
        Shape { width: 100, queries: 17, k: 10, first: 1, rows: 67, group: 40, filter: Filter::Absent };
    for fill in Fill::ALL {
        for kind in Kind::ALL {
            for queries in [1, 3, 17] {
                compare(kernels, &Shape { queries, ..plain }, fill, kind)?;
                let widest = Shape { width: MAX_WIDTH, queries, rows: 13, ..plain };
                compare(kernels, &widest, fill, kind)?;
                cases += 2;
            }
        }
    }
    Ok(cases)
}

#[derive(Clone, Copy, Debug)]
enum Fill {
    /// Any code there is.
    Random,
    /// Three codes only: ties.
    Few,
    /// Every row the same, so that the lowest rows win.
    Equal,
    /// All the lowest code.
    Low,
    /// All the highest.
    High,
    /// The lowest and the highest by turns.
    Turns,
    /// Each row nearer than the last.
    Rising,
}

impl Fill {
    const ALL: [Fill; 7] =
        [Fill::Random, Fill::Few, Fill::Equal, Fill::Low, Fill::High, Fill::Turns, Fill::Rising];

    fn codes(self, rows: usize, width: usize, random: &mut Random) -> Vec<i8> {
        match self {
            Fill::Random => random.values(rows * width, -128, 127),
            Fill::Few => random.values(rows * width, -1, 1),
            Fill::Equal => random.values(width, -128, 127).repeat(rows),
            Fill::Low => vec![-128; rows * width],
            Fill::High => vec![127; rows * width],
            Fill::Turns => (0..rows * width).map(|i| if i % 2 == 0 { -128 } else { 127 }).collect(),
            Fill::Rising => (0..rows * width).map(|i| (i / width).min(127) as i8).collect(),
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

    fn score(self, codes: &[i8], width: usize, random: &mut Random) -> Score<'static> {
        match self {
            Kind::Dot => Score::Dot,
            Kind::Scaled => {
                let mut multipliers: Vec<u16> = random.values(codes.len() / width, 0, 65535);
                multipliers.iter_mut().step_by(5).for_each(|m| *m = 65535);
                multipliers.iter_mut().step_by(7).for_each(|m| *m = 0);
                Score::Scaled(multipliers.into())
            }
            Kind::Euclid => {
                let norm = |row: &[i8]| row.iter().map(|&c| i32::from(c).pow(2)).sum();
                Score::Euclid(codes.chunks_exact(width).map(norm).collect())
            }
        }
    }
}

fn compare(kernels: &dyn Kernels, shape: &Shape, fill: Fill, kind: Kind) -> Result<(), Difference> {
    let mut random = Random(31);
    let codes = fill.codes(shape.height(), shape.width, &mut random);
    let queries = match fill {
        Fill::Rising => Fill::High.codes(shape.queries, shape.width, &mut random),
        fill => fill.codes(shape.queries, shape.width, &mut random),
    };
    let score = kind.score(&codes, shape.width, &mut random);
    let vectors = Vectors { width: shape.width, codes: Cow::from(codes), score };
    let filter = shape.bits(&mut random);
    let found = shape.run(&queries, &vectors, filter.as_deref(), |args| kernels.distance(args));
    let wanted = shape.run(&queries, &vectors, filter.as_deref(), |args| {
        oracle::distance(args);
    });
    same(&format!("{shape:?}, {fill:?}, {kind:?}"), &found, &wanted)
}
