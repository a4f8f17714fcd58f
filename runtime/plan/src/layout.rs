//! The one packed layout of GEMM weights that every engine reads.
//!
//! A panel holds [`PANEL`] outputs. Its words run over k in quads, and within a quad over the outputs:
//!
//! ```text
//! words[(panel * k/4 + quad) * PANEL + lane] = q[panel*16 + lane][quad*4 .. quad*4 + 4], low byte first
//! ```
//!
//! One AVX-512 register, two AVX2 registers, four NEON or simd128 registers, or sixteen GPU lanes load one
//! quad of a panel from consecutive addresses, whatever the tile.

use crate::{GemmWeight, MAX_GROUPS};

/// Outputs per panel.
pub const PANEL: usize = 16;

/// A [`GemmWeight`] ready for an engine: packed codes and per-output constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedGemm {
    /// Input columns.
    pub k: usize,
    /// Output columns, a multiple of [`PANEL`].
    pub outputs: usize,
    /// Input columns of each group; unused groups are 0.
    pub groups: [usize; MAX_GROUPS],
    /// Codes in the panel layout, `outputs * k / 4` words.
    pub words: Vec<u32>,
    /// `[outputs]`: step mantissas.
    pub mc: Vec<u32>,
    /// `[outputs]`: bias in the output's fixed point.
    pub bias: Vec<i32>,
    /// `[MAX_GROUPS][outputs]`: added to each group's dot product; zero where there is no correction.
    pub correction: Vec<i32>,
    /// `[outputs / PANEL]`: left shift of a group's dot product.
    pub accumulator_shift: Vec<u32>,
    /// `[outputs / PANEL]`: `S` of the scheme.
    pub scale_shift: Vec<i32>,
}

/// Packs canonical weights for the engines.
///
/// # Panics
/// If a section's shape breaks the rules [`GemmWeight`] states: models check their files before.
pub fn pack_gemm(weight: &GemmWeight<'_>) -> PackedGemm {
    let (k, outputs) = (weight.k, weight.outputs());
    assert_eq!(weight.groups.iter().sum::<usize>(), k, "groups must cover k");
    assert!(weight.groups.iter().all(|g| g % 4 == 0), "groups must be multiples of 4");
    let mut packed = PackedGemm {
        k,
        outputs,
        groups: weight.groups,
        words: Vec::with_capacity(outputs * k / 4),
        mc: Vec::with_capacity(outputs),
        bias: Vec::with_capacity(outputs),
        correction: vec![0; MAX_GROUPS * outputs],
        accumulator_shift: Vec::with_capacity(outputs / PANEL),
        scale_shift: Vec::with_capacity(outputs / PANEL),
    };
    for section in &weight.sections {
        assert!(section.outputs % PANEL == 0 && section.q.len() == section.outputs * k, "section shape");
        let first = packed.mc.len();
        if let Some(correction) = &section.correction {
            for (group, values) in correction.chunks_exact(section.outputs).enumerate() {
                let start = group * outputs + first;
                packed.correction[start..start + section.outputs].copy_from_slice(values);
            }
        }
        packed.mc.extend(section.mc.iter().map(|&m| u32::from(m)));
        packed.bias.extend_from_slice(&section.bias);
        for panel in section.q.chunks_exact(PANEL * k) {
            pack_panel(panel, k, &mut packed.words);
            packed.accumulator_shift.push(section.accumulator_shift);
            packed.scale_shift.push(section.scale_shift);
        }
    }
    packed
}

fn pack_panel(rows: &[i8], k: usize, words: &mut Vec<u32>) {
    for quad in (0..k).step_by(4) {
        for row in rows.chunks_exact(k) {
            words.push(u32::from_le_bytes(
                [row[quad], row[quad + 1], row[quad + 2], row[quad + 3]].map(|c| c as u8),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GemmSection;

    #[test]
    fn packs_every_code_where_the_layout_says() {
        let (k, outputs) = (8, 32);
        let q: Vec<i8> = (0..outputs * k).map(|i| (i % 251) as i8).collect();
        let half = |i: usize| GemmSection {
            outputs: 16,
            q: &q[i * 16 * k..(i + 1) * 16 * k],
            mc: vec![i as u16 + 1; 16].into(),
            bias: vec![-(i as i32); 16].into(),
            correction: (i == 1).then(|| (0..32).collect::<Vec<i32>>().into()),
            accumulator_shift: i as u32,
            scale_shift: -(i as i32),
        };
        let packed = pack_gemm(&GemmWeight { k, groups: [4, 4, 0, 0], sections: vec![half(0), half(1)] });
        for (o, row) in q.chunks_exact(k).enumerate() {
            for (c, &code) in row.iter().enumerate() {
                let word = packed.words[(o / PANEL * (k / 4) + c / 4) * PANEL + o % PANEL];
                assert_eq!(word.to_le_bytes()[c % 4] as i8, code, "output {o}, column {c}");
            }
        }
        assert_eq!(packed.correction[16..32], (0..16).collect::<Vec<i32>>());
        assert_eq!(packed.correction[48..64], (16..32).collect::<Vec<i32>>());
        assert_eq!(
            (packed.accumulator_shift[..].to_vec(), packed.scale_shift[..].to_vec()),
            (vec![0, 1], vec![0, -1])
        );
    }
}
