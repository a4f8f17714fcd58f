//! Rows drawn by a hash of their number: the same on every machine, and spread over any order of the rows.

use super::Vectors;

/// Most rows a codebook is trained on and a recall measured on.
pub(super) const MOST_ROWS: usize = 4096;

/// `count` of `rows` numbers, or all of them, ascending.
pub(super) fn rows(rows: usize, count: usize) -> Vec<usize> {
    let mut drawn: Vec<(u64, usize)> = (0..rows).map(|row| (mix(row as u64), row)).collect();
    if count < rows {
        drawn.select_nth_unstable(count);
        drawn.truncate(count);
    }
    let mut drawn: Vec<usize> = drawn.into_iter().map(|(_, row)| row).collect();
    drawn.sort_unstable();
    drawn
}

/// The values of some rows.
pub(super) fn gather(vectors: Vectors<'_>, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&row| vectors.row(row)).copied().collect()
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators*, 2014): a
/// bijection, so no two rows tie.
pub(super) fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_and_repeats() {
        let drawn = rows(10_000, 1_000);
        assert_eq!(drawn, rows(10_000, 1_000));
        assert!(drawn.len() == 1_000 && drawn.is_sorted_by(|a, b| a < b));
        for tenth in 0..10 {
            let here = drawn.iter().filter(|&&row| row / 1_000 == tenth).count();
            assert!((60..140).contains(&here), "{here} rows in tenth {tenth}");
        }
        assert_eq!(rows(3, 10), [0, 1, 2]);
    }
}
