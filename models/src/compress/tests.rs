mod bounds;
mod choice;
mod files;
mod searching;

use super::{sample::mix, *};

pub(super) const CODECS: [Codec; 5] = [
    Codec::Int8,
    Codec::Int4,
    Codec::Binary,
    Codec::Product { subspaces: 12, bits: 8 },
    Codec::Product { subspaces: 12, bits: 4 },
];

/// Values in -1..1 from a hash: integers over a power of two, so the same everywhere.
pub(super) fn noise(seed: u64, count: usize) -> Vec<f32> {
    (0..count as u64).map(|i| (mix(seed << 32 | i) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Rows around a few centres.
pub(super) fn clusters(rows: usize, width: usize) -> Vec<f32> {
    let (centres, mut values) = (noise(1, 20 * width), noise(2, rows * width));
    for (row, values) in values.chunks_exact_mut(width).enumerate() {
        let centre = &centres[(mix(row as u64) % 20) as usize * width..][..width];
        values.iter_mut().zip(centre).for_each(|(v, c)| *v = *c + *v * 0.5);
    }
    values
}

pub(super) fn encoded(values: &[f32], width: usize, codec: Codec) -> Compressed {
    Compressed::encode(Vectors::new(values, width).unwrap(), codec, Machine::PLAIN).unwrap()
}
