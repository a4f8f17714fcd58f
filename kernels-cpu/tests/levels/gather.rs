use kernels_cpu::{Kernels, oracle::Oracle};
use plan::{MAX_WIDTH, float_tolerance};

use crate::inputs::{Difference, Random, same};

/// Rows of the tables.
const HEIGHT: usize = 50;

pub(crate) fn check(kernels: &dyn Kernels) -> Result<usize, Difference> {
    let mut cases = 0;
    for width in [4, 8, 16, 32, 60, 64, 100, 384, 388, 1024, MAX_WIDTH] {
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100] {
            let mut random = Random(71);
            let mut rows: Vec<u32> = random.values(count, 0, HEIGHT as i64 - 1);
            // The last row of the table, where reading on would leave it.
            rows.iter_mut().last().into_iter().for_each(|row| *row = HEIGHT as u32 - 1);
            for (low, high) in [(-128, 127), (-128, -128), (127, 127), (-127, 126)] {
                codes(kernels, width, &rows, low, high)?;
            }
            floats(kernels, width, &rows)?;
            cases += 5;
        }
    }
    Ok(cases)
}

fn codes(kernels: &dyn Kernels, width: usize, rows: &[u32], low: i64, high: i64) -> Result<(), Difference> {
    let mut random = Random(72);
    let query: Vec<i8> = random.values(width, low, high);
    let mut codes: Vec<i8> = random.values(HEIGHT * width, low, high);
    codes[..width].fill(-128);
    let run = |gather: &dyn Kernels| {
        let mut out = vec![7; rows.len()];
        gather.dots(&query, &codes, rows, &mut out);
        out
    };
    let case = format!("width {width}, {} rows, codes {low} to {high}", rows.len());
    same(&case, &run(kernels), &run(&Oracle))
}

fn floats(kernels: &dyn Kernels, width: usize, rows: &[u32]) -> Result<(), Difference> {
    let mut random = Random(73);
    let value = |random: &mut Random| random.within(-(1 << 23), 1 << 23) as f32 / 1024.0;
    let query: Vec<f32> = (0..width).map(|_| value(&mut random)).collect();
    let values: Vec<f32> = (0..HEIGHT * width).map(|_| value(&mut random)).collect();
    let run = |gather: &dyn Kernels, rows: &[u32]| {
        let mut out = vec![7.0; rows.len()];
        gather.float_dots(&query, &values, rows, &mut out);
        out
    };
    let (found, wanted) = (run(kernels, rows), run(&Oracle, rows));
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (i, &row) in rows.iter().enumerate() {
        let norms = length(&query) * length(&values[row as usize * width..][..width]);
        if (found[i] - wanted[i]).abs() > float_tolerance(width, norms) {
            let case = format!("width {width}, {} rows, floats, within the tolerance", rows.len());
            return same(&case, &found, &wanted);
        }
    }
    let alone: Vec<u32> = rows.iter().map(|&row| run(kernels, &[row])[0].to_bits()).collect();
    let found: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
    same(&format!("width {width}, {} rows, floats, each row alone", rows.len()), &alone, &found)
}
