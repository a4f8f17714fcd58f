//! From floats to codes, with plain multiplies and adds in a fixed order: the same integers on every machine.

use super::Metric;

/// `out[i] = round(vector[i] * scale)`, ties to even, saturating at +-127.
pub(super) fn quantise(vector: &[f32], scale: f32, out: &mut [i8]) {
    for (code, &v) in out.iter_mut().zip(vector) {
        let clamped = (v * scale).clamp(-CODE_MAX, CODE_MAX);
        *code = ((clamped + ROUNDER) - ROUNDER) as i8;
    }
}

/// The scale that just avoids saturation.
pub(super) fn scale_of(vectors: &[f32]) -> f32 {
    let largest = vectors.iter().fold(0f32, |max, v| max.max(v.abs()));
    let scale = CODE_MAX / largest;
    if scale.is_normal() { scale } else { 1.0 }
}

/// What a query is quantised with: its own largest value where only the order of scores matters, else the
/// collection's scale.
pub(super) fn query_scale(metric: Metric, query: &[f32], scale: f32) -> f32 {
    match metric {
        Metric::Cosine | Metric::Dot => scale_of(query),
        Metric::L2 => scale,
    }
}

/// Squared length of a row of codes.
pub(super) fn norm(codes: &[i8]) -> i32 {
    codes.iter().map(|&c| i32::from(c) * i32::from(c)).sum()
}

/// Minus the squared distance, in sixteen fixed lanes: no cancellation, and the same on every machine.
pub(super) fn minus_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    for (i, (x, y)) in a.remainder().iter().zip(b.remainder()).enumerate() {
        lanes[i] = (x - y) * (x - y);
    }
    for (a, b) in a.zip(b) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (x - y) * (x - y);
        }
    }
    -lanes.iter().sum::<f32>()
}

const CODE_MAX: f32 = 127.0;
/// 1.5 * 2^23: adding it leaves no fraction bits, and the hardware rounds to even.
const ROUNDER: f32 = 12_582_912.0;
