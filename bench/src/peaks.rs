//! What this machine can do at most, measured in the same run as what is compared with it. One thread unless said.

use std::{hint::black_box, thread, time::Instant};

use kernels_cpu::Level;

use crate::records::thread_seconds;

/// Operations a second (two for a multiply-add) of the i8 dot product a level's kernels are made of, operands in
/// registers; `None` for levels without a dot product of their own.
pub(crate) fn dot(level: Level) -> Option<f64> {
    let (run, ops) = dot_loop(level)?;
    let seconds = best(|| {
        black_box(run(black_box(DOT_ROUNDS)));
    });
    Some(ops * f64::from(DOT_ROUNDS) / seconds)
}

/// Operations a second (two for a multiply-add) of f32 fused multiply-adds, operands in registers, on that many
/// threads; `None` for levels without them.
pub(crate) fn fma(level: Level, threads: usize) -> Option<f64> {
    let (run, ops) = fma_loop(level)?;
    let seconds = best_of_all(threads, &|| {
        black_box(run(black_box(FMA_ROUNDS)));
    });
    Some(ops * f64::from(FMA_ROUNDS) * threads as f64 / seconds)
}

/// As [`dot`], on that many threads at once.
pub(crate) fn dot_on(level: Level, threads: usize) -> Option<f64> {
    let (run, ops) = dot_loop(level)?;
    let seconds = best_of_all(threads, &|| {
        black_box(run(black_box(DOT_ROUNDS_ON)));
    });
    Some(ops * f64::from(DOT_ROUNDS_ON) * threads as f64 / seconds)
}

/// Bytes a second read from memory that no cache holds, by that many threads, each its share.
pub(crate) fn read(level: Level, threads: usize) -> f64 {
    let words = vec![1u64; MEMORY_BYTES / 8];
    let share = words.len() / threads.max(1);
    let sum = sum_loop(level);
    let mut least = f64::INFINITY;
    for _ in 0..SAMPLES {
        let start = Instant::now();
        thread::scope(|scope| {
            for part in words.chunks_exact(share.max(1)).take(threads) {
                scope.spawn(move || black_box(sum(black_box(part))));
            }
        });
        least = least.min(start.elapsed().as_secs_f64());
    }
    (8 * share * threads) as f64 / least
}

/// Bytes a second of a copy, read and written bytes both counted, that moves `bytes` in all.
pub(crate) fn copy(bytes: usize) -> f64 {
    let from = vec![1u64; (bytes / 16).max(1)];
    let mut to = vec![0u64; from.len()];
    let times = (COPIED_A_SAMPLE / bytes.max(1)).max(1);
    let seconds = best(|| {
        for _ in 0..times {
            black_box(&mut to).copy_from_slice(black_box(&from));
        }
    });
    (16 * from.len() * times) as f64 / seconds
}

/// Bytes that no cache holds.
pub(crate) const MEMORY_BYTES: usize = 512 << 20;

/// The quickest of several goes: a peak is what nothing disturbed.
fn best(mut run: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..SAMPLES {
        let start = thread_seconds();
        run();
        least = least.min(thread_seconds() - start);
    }
    least
}

/// Wall seconds of the quickest of several goes, all threads at once. Threads of their own meet other processes more
/// often than one does, so there are more goes.
fn best_of_all(threads: usize, run: &(dyn Fn() + Sync)) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..2 * SAMPLES {
        let start = Instant::now();
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
        least = least.min(start.elapsed().as_secs_f64());
    }
    least
}

const SAMPLES: usize = 9;
const DOT_ROUNDS: u32 = 200_000;
/// Long beside the start of a thread.
const FMA_ROUNDS: u32 = 4_000_000;
const DOT_ROUNDS_ON: u32 = 4_000_000;
const COPIED_A_SAMPLE: usize = 64 << 20;

/// Runs that many rounds of dot products; the result only keeps them from being optimised away.
type DotLoop = fn(u32) -> i32;

/// A loop over dot products and the operations in one of its rounds.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls of functions with target features")]
fn dot_loop(level: Level) -> Option<(DotLoop, f64)> {
    if !level.is_supported() {
        return None;
    }
    match level {
        // SAFETY: the level is supported, and its detection covers these features.
        Level::Avx512 => Some((|rounds| unsafe { x86::vnni(rounds) }, (2 * 64 * x86::CHAINS_512) as f64)),
        // SAFETY: as above.
        Level::Avx2 => Some((|rounds| unsafe { x86::maddubs(rounds) }, (2 * 32 * x86::CHAINS_256) as f64)),
        _ => None,
    }
}

/// Runs that many rounds of multiply-adds; the result only keeps them from being optimised away.
type FmaLoop = fn(u32) -> f32;

/// A loop over multiply-adds and the operations in one of its rounds.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls of functions with target features")]
fn fma_loop(level: Level) -> Option<(FmaLoop, f64)> {
    match level {
        // SAFETY: the level is supported, and its detection covers these features.
        Level::Avx512 if level.is_supported() => {
            Some((|rounds| unsafe { x86::fma_512(rounds) }, (2 * 16 * x86::CHAINS_512) as f64))
        }
        Level::Avx2 | Level::AvxVnni
            if std::arch::is_x86_feature_detected!("fma") && level.is_supported() =>
        {
            // SAFETY: as above, and `fma` was asked for.
            Some((|rounds| unsafe { x86::fma_256(rounds) }, (2 * 8 * x86::CHAINS_256) as f64))
        }
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fma_loop(_: Level) -> Option<(FmaLoop, f64)> {
    None
}

/// A sum over words in the widest registers of a level.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls of functions with target features")]
fn sum_loop(level: Level) -> fn(&[u64]) -> u64 {
    match level {
        // SAFETY: the level is supported, and its detection covers this feature.
        Level::Avx512 if level.is_supported() => |words| unsafe { x86::sum_512(words) },
        // SAFETY: as above.
        Level::Avx2 | Level::AvxVnni if level.is_supported() => |words| unsafe { x86::sum_256(words) },
        _ => sum,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn sum_loop(_: Level) -> fn(&[u64]) -> u64 {
    sum
}

/// In independent sums, which the compiler keeps in vector registers.
#[inline(always)]
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 64];
    for line in words.as_chunks::<64>().0 {
        for (sum, word) in sums.iter_mut().zip(line) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

#[cfg(not(target_arch = "x86_64"))]
fn dot_loop(_: Level) -> Option<(DotLoop, f64)> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{arch::x86_64::*, hint::black_box};

    /// Independent sums, enough to hide the latency of an instruction and few enough to stay in registers.
    pub(super) const CHAINS_512: usize = 16;
    pub(super) const CHAINS_256: usize = 12;

    /// `vpdpbusd`: 64 multiply-adds a chain and round.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn vnni(rounds: u32) -> i32 {
        let (a, b) = (_mm512_set1_epi32(black_box(0x0102_0304)), _mm512_set1_epi32(black_box(0x0403_0201)));
        let mut sums: [__m512i; CHAINS_512] = std::array::from_fn(|i| _mm512_set1_epi32(i as i32));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, b);
            }
        }
        sums.iter().fold(0, |all, sum| all.wrapping_add(_mm512_reduce_add_epi32(*sum)))
    }

    /// `vfmadd`: 16 multiply-adds a chain and round.
    #[target_feature(enable = "avx512f")]
    pub(super) fn fma_512(rounds: u32) -> f32 {
        let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-3)));
        let mut sums: [__m512; CHAINS_512] = std::array::from_fn(|i| _mm512_set1_ps(i as f32));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, a, b);
            }
        }
        sums.iter().fold(0.0, |all, sum| all + _mm512_reduce_add_ps(*sum))
    }

    /// `vfmadd`: 8 multiply-adds a chain and round.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn fma_256(rounds: u32) -> f32 {
        let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(1e-3)));
        let mut sums: [__m256; CHAINS_256] = std::array::from_fn(|i| _mm256_set1_ps(i as f32));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        sums.iter().fold(0.0, |all, sum| all + _mm256_cvtss_f32(*sum))
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn sum_512(words: &[u64]) -> u64 {
        super::sum(words)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sum_256(words: &[u64]) -> u64 {
        super::sum(words)
    }

    /// `vpsignb`, `vpmaddubsw`, `vpmaddwd`, `vpaddd`: 32 multiply-adds a chain and round. The sign depends on the
    /// sum so that no product can be taken out of the loop.
    #[target_feature(enable = "avx2")]
    pub(super) fn maddubs(rounds: u32) -> i32 {
        let (a, b) = (_mm256_set1_epi32(black_box(0x0102_0304)), _mm256_set1_epi32(black_box(0x0403_0201)));
        let ones = _mm256_set1_epi16(1);
        let mut sums: [__m256i; CHAINS_256] = std::array::from_fn(|i| _mm256_set1_epi32(i as i32));
        for _ in 0..rounds {
            for sum in &mut sums {
                let pairs = _mm256_maddubs_epi16(a, _mm256_sign_epi8(b, *sum));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
        sums.iter().fold(0, |all, sum| all.wrapping_add(_mm256_extract_epi32::<0>(*sum)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_in_use_has_a_finite_peak() {
        for &level in Level::ALL {
            let Some(peak) = dot(level) else {
                eprintln!("not run: dot product peak of {level}");
                continue;
            };
            assert!(peak.is_finite() && peak > 0.0, "{level}: {peak}");
        }
        assert!(copy(4096).is_finite());
    }

    #[test]
    fn sums_are_whole() {
        let words: Vec<u64> = (0..64 * 5).collect();
        for &level in Level::ALL.iter().filter(|l| l.is_supported()) {
            assert_eq!(sum_loop(level)(&words), 319 * 320 / 2, "{level}");
            assert!(fma_loop(level).is_none_or(|(run, _)| run(10).is_finite()), "{level}");
        }
    }
}
