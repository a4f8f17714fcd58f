//! Rounding that feeds each weight's error forward to the weights not yet rounded (GPTQ, arXiv 2210.17323).
//!
//! For one output row with weights w and the inputs' second moment H = sum x x^T, the codes should make
//! (w - q s)^T H (w - q s) small. Columns are rounded one after the other, most energetic first; with U upper
//! triangular and inv(H) = U^T U, rounding column j with error e changes the best values of the later columns by
//! `-e U[j][k] / U[j][j]`.

use super::build::{Scaled, nearest_code};

/// Codes `[rows, cols]` of a matrix whose inputs have the second moment `moment` `[cols, cols]`, in the order of its
/// columns. Damped by 1 % of the mean diagonal. None when the moment is zero or not finite.
pub(super) fn round(matrix: &Scaled, moment: &[f64]) -> Option<Vec<i32>> {
    let n = matrix.cols;
    let diagonal: Vec<f64> = (0..n).map(|i| moment[i * n + i]).collect();
    let damping = 0.01 * diagonal.iter().sum::<f64>() / n as f64;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]));
    let ordered = order.iter().flat_map(|&r| order.iter().map(move |&c| (r, c)));
    let damped = ordered.map(|(r, c)| moment[r * n + c] + if r == c { damping } else { 0.0 });
    let factor = inverse_factor(&damped.collect::<Vec<f64>>(), n)?;
    let mut codes = vec![0; matrix.weights.len()];
    for ((row, codes), step) in
        matrix.weights.chunks_exact(n).zip(codes.chunks_exact_mut(n)).zip(&matrix.steps)
    {
        let mut weights: Vec<f64> = order.iter().map(|&c| row[c]).collect();
        for (j, &column) in order.iter().enumerate() {
            let code = nearest_code(weights[j] / step, matrix.limits[column]);
            codes[column] = code as i32;
            let gains = &factor[j * n..][..n];
            let error = (weights[j] - code * step) / gains[j];
            for (w, gain) in weights[j + 1..].iter_mut().zip(&gains[j + 1..]) {
                *w -= error * gain;
            }
        }
    }
    Some(codes)
}

/// Upper triangular U with inv(H) = U^T U: the inverse of R in H = R R^T, R upper triangular, which is the Cholesky
/// factor of H with rows and columns reversed.
fn inverse_factor(h: &[f64], n: usize) -> Option<Vec<f64>> {
    let reversed: Vec<f64> = h.iter().rev().copied().collect();
    let mut inverse = invert_lower(&cholesky(reversed, n)?, n);
    inverse.reverse();
    Some(inverse)
}

/// Lower triangular L with a = L L^T; reads the lower triangle. None unless a is positive definite.
fn cholesky(mut a: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..][..=j];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let rest = row[i] - dot(&row[..i], &row[..i]);
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        row[i] = rest.sqrt();
        row[i + 1..n].fill(0.0);
    }
    Some(a)
}

/// Inverse of a lower triangular matrix.
fn invert_lower(l: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        let (above, row) = inverse.split_at_mut(i * n);
        let row = &mut row[..=i];
        for k in 0..i {
            let factor = l[i * n + k];
            for (x, m) in row.iter_mut().zip(&above[k * n..][..=k]) {
                *x -= factor * m;
            }
        }
        let diagonal = l[i * n + i];
        row[..i].iter_mut().for_each(|x| *x /= diagonal);
        row[i] = 1.0 / diagonal;
    }
    inverse
}

/// Eight partial sums, so that the compiler may use vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 24;

    /// Second moment of correlated inputs.
    fn moment() -> Vec<f64> {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1u32 << 24) - 0.5
        };
        let mut h = vec![0.0; N * N];
        for _ in 0..60 {
            let common = next() * 2.0;
            let x: Vec<f64> = (0..N).map(|i| (common + next()) * (1 + i % 5) as f64).collect();
            for (i, a) in x.iter().enumerate() {
                x.iter().enumerate().for_each(|(j, b)| h[i * N + j] += a * b);
            }
        }
        h
    }

    #[test]
    fn factor_inverts() {
        let h = moment();
        let u = inverse_factor(&h, N).unwrap();
        // H U^T U must be the identity.
        for i in 0..N {
            for j in 0..N {
                let inverse = |k: usize| (0..N).map(|m| u[m * N + k] * u[m * N + j]).sum::<f64>();
                let entry: f64 = (0..N).map(|k| h[i * N + k] * inverse(k)).sum();
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-9, "{i} {j} {entry}");
                assert!(j >= i || u[i * N + j] == 0.0);
            }
        }
    }

    #[test]
    fn beats_nearest_rounding_in_its_metric() {
        let h = moment();
        let weights: Vec<f64> = (0..4 * N).map(|i| (i * 29 % 31) as f64 * 0.37 - 5.0).collect();
        let matrix = Scaled { cols: N, weights, steps: vec![1.0; 4], limits: vec![127.0; N] };
        let cost = |codes: &[i32]| -> f64 {
            let error: Vec<f64> = matrix.weights.iter().zip(codes).map(|(w, &q)| w - f64::from(q)).collect();
            let row = |e: &[f64]| (0..N * N).map(|k| e[k / N] * h[k] * e[k % N]).sum::<f64>();
            error.chunks_exact(N).map(row).sum()
        };
        let nearest: Vec<i32> = matrix.weights.iter().map(|&w| nearest_code(w, 127.0) as i32).collect();
        assert!(cost(&round(&matrix, &h).unwrap()) < 0.5 * cost(&nearest));
        assert!(round(&matrix, &vec![0.0; N * N]).is_none());
    }
}
