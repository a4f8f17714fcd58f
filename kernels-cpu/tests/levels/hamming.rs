use std::borrow::Cow;

use kernels_cpu::{Kernels, oracle};
use plan::{BitVectors, MAX_WIDTH};

use crate::{
    inputs::{Difference, Random, same},
    scans::{Filter, Shape, shapes},
};

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for shape in shapes(&[32, 64, 96, 128, 384, 416, 512, 544, 1024]) {
        compare(kernels, &shape, i64::from(u32::MAX))?;
        cases += 1;
    }
    let plain =
        Shape { width: 384, queries: 17, k: 10, first: 1, rows: 67, group: 40, filter: Filter::Absent };
    for queries in [1, 2, 17] {
        for width in [32, 384, MAX_WIDTH] {
            // Few bits make many ties; none makes all rows equal.
            for most in [0, 3, i64::from(u32::MAX)] {
                compare(kernels, &Shape { queries, width, ..plain }, most)?;
                cases += 1;
            }
        }
    }
    Ok(cases)
}

fn compare(kernels: &dyn Kernels, shape: &Shape, most: i64) -> Result<(), Difference> {
    let mut random = Random(41);
    let words = shape.width / 32;
    let bits: Vec<u32> = random.values(shape.height() * words, 0, most);
    let mut queries: Vec<u32> = random.values(shape.queries * words, 0, most);
    // The first query's bits differ from nothing, so that its counts are the largest there are.
    if let (Some(query), Some(row)) = (queries.get_mut(..words), bits.get(shape.first * words..)) {
        query.copy_from_slice(&row[..words]);
    }
    let vectors = BitVectors { width: shape.width, bits: Cow::from(bits) };
    let filter = shape.bits(&mut random);
    let found = shape.run(&queries, &vectors, filter.as_deref(), |args| kernels.hamming(args));
    let wanted = shape.run(&queries, &vectors, filter.as_deref(), |args| {
        oracle::hamming(args);
    });
    same(&format!("{shape:?}, words to {most}"), &found, &wanted)
}
