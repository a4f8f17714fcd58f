//! Dense steps of spiking layers: spikes are bytes of 0 or 1, the signed factor of `vpdpbusd`.

use std::arch::x86_64::*;

use super::Avx512;
use crate::spiking::lif::{Dense, Row, STEPS, TILE};

impl Dense for Avx512 {
    const PERCENT: Option<usize> = Some(32);

    #[inline(always)]
    fn sums(rows: &[Row], spikes: [&[u8]; STEPS], out: &mut [[u32; TILE]; STEPS]) {
        let spikes = spikes.map(|spikes| spikes[..rows.len()].as_ptr());
        // SAFETY: every step has a byte for each row, sliced above; the features are those of the level.
        unsafe { sums(rows, spikes, out) }
    }
}

/// Four rows become quads by two rounds of unpacking, which leaves byte `16 * lane + 4 * i + j` of a row in 32-bit
/// element `4 * lane + j` of register `i`; [`in_order`] undoes that for the sums.
///
/// # Safety
/// Every step has `rows.len()` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sums(rows: &[Row], spikes: [*const u8; STEPS], out: &mut [[u32; TILE]; STEPS]) {
    let mut acc = [[_mm512_setzero_si512(); 4]; STEPS];
    for (n, quad) in rows.as_chunks::<4>().0.iter().enumerate() {
        // SAFETY: four rows are four registers, any bits are valid.
        let [a, b, c, d] = unsafe { quad.as_ptr().cast::<[__m512i; 4]>().read_unaligned() };
        let (ab_low, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        let weights = [
            _mm512_unpacklo_epi16(ab_low, cd_low),
            _mm512_unpackhi_epi16(ab_low, cd_low),
            _mm512_unpacklo_epi16(ab_high, cd_high),
            _mm512_unpackhi_epi16(ab_high, cd_high),
        ];
        for step in 0..STEPS {
            // SAFETY: the quad is one of the step's bytes.
            let quad = unsafe { spikes[step].add(4 * n).cast::<i32>().read_unaligned() };
            for i in 0..4 {
                acc[step][i] = _mm512_dpbusd_epi32(acc[step][i], weights[i], _mm512_set1_epi32(quad));
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        // SAFETY: arrays of the same size.
        unsafe { out.as_mut_ptr().cast::<[__m512i; 4]>().write_unaligned(in_order(acc)) };
    }
}

/// Sums in the order of the neurons: those of even bytes, then those of odd ones.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_order(acc: [__m512i; 4]) -> [__m512i; 4] {
    // In each lane, elements 0 and 2 of two registers, or elements 1 and 3.
    let even = _mm512_set_epi32(30, 28, 14, 12, 26, 24, 10, 8, 22, 20, 6, 4, 18, 16, 2, 0);
    let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    let low_lanes = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    let high_lanes = _mm512_or_si512(low_lanes, _mm512_set1_epi64(4));
    let [first, second] = [even, odd].map(|parity| {
        let low = _mm512_permutex2var_epi32(acc[0], parity, acc[1]);
        let high = _mm512_permutex2var_epi32(acc[2], parity, acc[3]);
        [low_lanes, high_lanes].map(|lanes| _mm512_permutex2var_epi64(low, lanes, high))
    });
    [first[0], first[1], second[0], second[1]]
}
