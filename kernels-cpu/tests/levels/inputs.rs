//! Numbers for the cases, and how a difference is told.

use std::fmt;

/// The first element in which a level and the oracle differ.
#[derive(Debug)]
pub(crate) struct Difference(String);

impl Difference {
    /// A difference in the words of the one who saw it.
    pub(crate) fn new(what: String) -> Self {
        Difference(what)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares what a level wrote with what the oracle wrote.
pub(crate) fn same<T: PartialEq + fmt::Debug>(
    case: &str,
    found: &[T],
    wanted: &[T],
) -> Result<(), Difference> {
    if found.len() != wanted.len() {
        return Err(Difference(format!("{case}: {} elements, oracle {}", found.len(), wanted.len())));
    }
    match found.iter().zip(wanted).position(|(f, w)| f != w) {
        None => Ok(()),
        Some(i) => Err(Difference(format!("{case}: element {i} is {:?}, oracle {:?}", found[i], wanted[i]))),
    }
}

/// SplitMix64: a seed is a case.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Within `low..=high`.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + ((u128::from(self.next()) * (high - low + 1) as u128) >> 64) as i64
    }

    /// `len` values within `low..=high`.
    pub(crate) fn values<T: TryFrom<i64, Error: fmt::Debug>>(
        &mut self,
        len: usize,
        low: i64,
        high: i64,
    ) -> Vec<T> {
        (0..len).map(|_| T::try_from(self.within(low, high)).expect("bounds of the type")).collect()
    }
}

/// Rows of one kind of ugliness each, `low..=high` being the edge of the format.
pub(crate) fn ugly_rows(width: usize, low: i64, high: i64, seed: u64) -> Vec<(String, Vec<i32>)> {
    let mut random = Random(seed);
    let mut rows = Vec::new();
    let mut add = |name: &str, row: Vec<i64>| {
        rows.push((name.to_owned(), row.into_iter().map(|v| v.clamp(low, high) as i32).collect()));
    };
    add("zeros", vec![0; width]);
    add("ones", vec![1; width]);
    add("all equal", vec![12_345; width]);
    add("all low", vec![low; width]);
    add("all high", vec![high; width]);
    add("low and high by turns", (0..width).map(|i| if i % 2 == 0 { low } else { high }).collect());
    add("small by turns", (0..width).map(|i| (i % 3) as i64 - 1).collect());
    add("every 7th", (0..width).map(|i| if i % 7 == 0 { 126 } else { -127 }).collect());
    add("ramp", (0..width).map(|i| (i as i64 - 191) * 37).collect());
    for at in [0, 3, 4, 15, 16, 63, 64, width - 1] {
        for value in [high, low, high / 2 + 1, 1] {
            let mut row: Vec<i64> = (0..width).map(|_| random.within(-3, 3)).collect();
            row[at.min(width - 1)] = value;
            add(&format!("outlier {value} at {at}"), row);
        }
    }
    for bits in 1..=31 {
        let edge = (1i64 << bits) - 1;
        add(&format!("{bits} bits"), (0..width).map(|_| random.within(-edge, edge)).collect());
        let mut row: Vec<i64> = (0..width).map(|_| random.within(-edge / 64 - 1, edge / 64 + 1)).collect();
        row[bits % width] = edge + 1;
        add(&format!("power of two 2^{bits} over small"), row);
    }
    rows
}
