//! Lloyd's k-means, the same on every target: starts drawn by a hash, a fixed number of rounds, sums in row order.

use super::sample::mix;

/// Centroids `[slice][centroids]` of points `[rows][slice]`: transposed, so that one vector of centroids is met at
/// once. There is at least one point; with fewer points than centroids some centroids are equal.
pub(super) fn centroids(points: &[f32], slice: usize, centroids: usize) -> Vec<f32> {
    let rows = points.len() / slice;
    let mut book = vec![0.0; slice * centroids];
    for c in 0..centroids {
        // One start from each of as many equal stretches of rows as there are centroids.
        let stretch = (rows / centroids).max(1) as u64;
        let row = (c * rows / centroids + (mix(c as u64) % stretch) as usize).min(rows - 1);
        place(&mut book, centroids, c, &points[row * slice..][..slice]);
    }
    for _ in 0..ROUNDS {
        let found: Vec<(u32, f32)> =
            points.chunks_exact(slice).map(|p| nearest(p, &book, centroids)).collect();
        improve(points, slice, centroids, &found, &mut book);
    }
    book
}

/// The nearest centroid, the lowest of equals, and its squared distance.
pub(super) fn nearest(point: &[f32], book: &[f32], centroids: usize) -> (u32, f32) {
    let (mut best, mut at) = ([f32::INFINITY; LANES], [0u32; LANES]);
    for first in (0..centroids).step_by(LANES) {
        let mut distance = [0f32; LANES];
        for (&x, row) in point.iter().zip(book.chunks_exact(centroids)) {
            for (distance, &c) in distance.iter_mut().zip(&row[first..first + LANES]) {
                *distance += (x - c) * (x - c);
            }
        }
        for ((best, at), &distance) in best.iter_mut().zip(&mut at).zip(&distance) {
            let nearer = distance < *best;
            *best = if nearer { distance } else { *best };
            *at = if nearer { first as u32 } else { *at };
        }
    }
    let mut out = (u32::MAX, f32::INFINITY);
    for (lane, (&distance, &first)) in best.iter().zip(&at).enumerate() {
        let index = first + lane as u32;
        if distance < out.1 || (distance == out.1 && index < out.0) {
            out = (index, distance);
        }
    }
    out
}

/// Moves each centroid to the mean of its points; one without points to the point that lies worst.
fn improve(points: &[f32], slice: usize, centroids: usize, found: &[(u32, f32)], book: &mut [f32]) {
    let (mut sums, mut counts) = (vec![0f64; centroids * slice], vec![0u32; centroids]);
    for (point, &(c, _)) in points.chunks_exact(slice).zip(found) {
        counts[c as usize] += 1;
        for (sum, &x) in sums[c as usize * slice..].iter_mut().zip(point) {
            *sum += f64::from(x);
        }
    }
    let mut worst: Vec<usize> = Vec::new();
    if counts.contains(&0) {
        worst.extend(0..found.len());
        worst.sort_by(|&a, &b| found[b].1.total_cmp(&found[a].1));
    }
    let mut worst = worst.into_iter();
    for c in 0..centroids {
        if counts[c] > 0 {
            let mean = |sum: &f64| (sum / f64::from(counts[c])) as f32;
            let mean: Vec<f32> = sums[c * slice..][..slice].iter().map(mean).collect();
            place(book, centroids, c, &mean);
        } else if let Some(row) = worst.next() {
            place(book, centroids, c, &points[row * slice..][..slice]);
        }
    }
}

fn place(book: &mut [f32], centroids: usize, c: usize, values: &[f32]) {
    for (row, &value) in book.chunks_exact_mut(centroids).zip(values) {
        row[c] = value;
    }
}

/// Divides both numbers of centroids there are.
const LANES: usize = 16;
const ROUNDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_clusters_are_found() {
        let points: Vec<f32> =
            (0..16 * 20).map(|i| (i / 20) as f32 * 10.0 + (i % 20) as f32 * 0.01).collect();
        let mut book = centroids(&points, 1, 16);
        book.sort_by(f32::total_cmp);
        for (i, c) in book.iter().enumerate() {
            assert!((c - (i as f32 * 10.0 + 0.095)).abs() < 1e-3, "{book:?}");
        }
    }

    #[test]
    fn the_lowest_of_equal_centroids_is_taken() {
        let mut book = vec![5.0; 256];
        (book[37], book[36 + 16], book[200]) = (1.0, 1.0, 1.0);
        assert_eq!(nearest(&[1.0], &book, 256), (37, 0.0));
        assert_eq!(nearest(&[5.0], &book, 256), (0, 0.0));
    }
}
