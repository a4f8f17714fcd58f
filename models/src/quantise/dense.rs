//! Plain f32 matrix products for calibration, laid out so that the compiler vectorises them.

/// A matrix `[rows, cols]` stored in panels of [`PANEL`] rows: `[rows / PANEL][cols][PANEL]`, zero-padded.
pub(super) struct Packed {
    panels: Vec<f32>,
    rows: usize,
    cols: usize,
}

impl Packed {
    /// Packs a row-major `[rows, cols]` matrix.
    pub(super) fn rows(matrix: &[f32], cols: usize) -> Self {
        let rows = matrix.len() / cols;
        let mut panels = vec![0.0; rows.div_ceil(PANEL) * cols * PANEL];
        for (r, row) in matrix.chunks_exact(cols).enumerate() {
            let panel = &mut panels[r / PANEL * cols * PANEL..];
            for (slot, &x) in panel[r % PANEL..].iter_mut().step_by(PANEL).zip(row) {
                *slot = x;
            }
        }
        Self { panels, rows, cols }
    }

    /// `left * self^T` for a row-major left `[m, cols]`: `[m, rows]`.
    pub(super) fn times(&self, left: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; left.len() / self.cols * self.rows];
        self.multiply(left, &mut out, |_| self.rows);
        out
    }

    /// Fills `out[i][..width(i)]`, rounded up to whole tiles.
    fn multiply(&self, left: &[f32], out: &mut [f32], width: impl Fn(usize) -> usize) {
        let (n, k) = (self.rows, self.cols);
        for (tile, (left, out)) in left.chunks(TILE * k).zip(out.chunks_mut(TILE * n)).enumerate() {
            // A short last tile repeats its last row; the copies are dropped.
            let count = left.len() / k;
            let rows: [&[f32]; TILE] = std::array::from_fn(|i| &left[i.min(count - 1) * k..][..k]);
            let panels = width(tile * TILE + count - 1).div_ceil(PANEL);
            for (p, panel) in self.panels.chunks_exact(k * PANEL).take(panels).enumerate() {
                let sums = tile_product(rows, panel);
                let columns = p * PANEL..n.min((p + 1) * PANEL);
                for (row, sums) in out.chunks_exact_mut(n).zip(sums) {
                    row[columns.clone()].copy_from_slice(&sums[..columns.len()]);
                }
            }
        }
    }
}

/// `rows^T rows` of a row-major `[m, cols]` matrix, `[cols, cols]`; only entries with column <= row are filled.
pub(super) fn gram(rows: &[f32], cols: usize) -> Vec<f32> {
    let columns = transpose(rows, cols);
    let mut out = vec![0.0; cols * cols];
    Packed::rows(&columns, rows.len() / cols).multiply(&columns, &mut out, |row| row + 1);
    out
}

/// `[m, cols]` to `[cols, m]`.
pub(super) fn transpose(matrix: &[f32], cols: usize) -> Vec<f32> {
    let rows = matrix.len() / cols;
    let mut out = vec![0.0; matrix.len()];
    for (r, row) in matrix.chunks_exact(cols).enumerate() {
        for (slot, &x) in out[r..].iter_mut().step_by(rows).zip(row) {
            *slot = x;
        }
    }
    out
}

/// TILE rows against one panel. The inner two loops become a few vector registers.
fn tile_product(rows: [&[f32]; TILE], panel: &[f32]) -> [[f32; PANEL]; TILE] {
    let mut sums = [[0.0; PANEL]; TILE];
    let [a, b, c, d] = rows;
    let columns = panel.as_chunks::<PANEL>().0;
    for ((((w, &a), &b), &c), &d) in columns.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, x) in sums.iter_mut().zip([a, b, c, d]) {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
    }
    sums
}

const PANEL: usize = 8;
const TILE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|i| (i * 37 % 17) as f32 - 8.0).collect()
    }

    fn naive(left: &[f32], right: &[f32], k: usize) -> Vec<f32> {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        left.chunks_exact(k).flat_map(|a| right.chunks_exact(k).map(move |b| dot(a, b))).collect()
    }

    #[test]
    fn ragged_products_match_the_naive_ones() {
        for (m, n, k) in [(1, 1, 1), (4, 8, 5), (5, 9, 3), (7, 17, 33), (13, 6, 20)] {
            let (left, right) = (matrix(m, k), matrix(n, k));
            assert_eq!(Packed::rows(&right, k).times(&left), naive(&left, &right, k), "{m} {n} {k}");
            let (gram, columns) = (gram(&left, k), transpose(&left, k));
            for (i, row) in naive(&columns, &columns, m).chunks_exact(k).enumerate() {
                assert_eq!(gram[i * k..][..=i], row[..=i], "{m} {k} row {i}");
            }
        }
    }
}
