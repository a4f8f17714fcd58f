//! AVX-512 with VNNI, VBMI and VPOPCNTDQ.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes and adds quads in 32 bits. The weights are the unsigned
//! factor: they are packed as `q + 128`, which [`Dot::OFFSET`] undoes. The tile's inner loop is
//! assembly, since the compiler spills accumulators of tiles this large, at half the speed:
//!
//! ```text
//! for each segment
//!   for each quad
//!     w[panel] = 16 outputs x 4 columns of each panel
//!     c[row]   = 4 columns of each row, in every lane
//!     acc[row][panel] += w[panel] . c[row]
//!   unless it is the last: acc[row][panel] <<= shift[row]
//!   unless it is the first or last: acc += memory
//!   unless it is one of the last two: memory = acc, acc = 0
//! memory = acc
//! ```

mod search;
mod spiking;

use std::arch::{asm, x86_64::*};

use plan::{GemmWeight, PANEL, PackedGemm};

use crate::bert::{
    attention::{COLUMNS, Pair, Pairs, Scores},
    gemm::{Acc, Dot, Finish, Form, GELU, MAX_ROWS, Segment, Tile},
};

/// The AVX-512 level.
pub(crate) struct Avx512;

super::level!(
    Avx512,
    features =
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx512vpopcntdq,bmi1,bmi2,lzcnt,popcnt",
    {
        fn pack(&self, weight: &GemmWeight<'_>) -> PackedGemm {
            pack_unsigned(weight)
        }
    }
);

/// Packs `q + 128`, unsigned.
pub(super) fn pack_unsigned(weight: &GemmWeight<'_>) -> PackedGemm {
    let mut packed = plan::pack_gemm(weight);
    // Adding 128 to a byte is flipping its top bit.
    packed.words.iter_mut().for_each(|w| *w ^= 0x8080_8080);
    packed
}

/// Whether the processor has every feature the level's functions enable.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

impl Dot for Avx512 {
    const ROWS: usize = MAX_ROWS;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn panels(rows: usize) -> usize {
        if rows <= 6 { 4 } else { 2 }
    }

    #[inline(always)]
    fn tile(tile: &Tile<'_>, acc: &mut Acc) {
        tile.check();
        let stride = tile.k * PANEL;
        // SAFETY: `check` proved that the tile's codes and words lie inside its slices and that `acc` holds it;
        // the features are those of the level.
        unsafe {
            match (tile.panels, tile.rows) {
                (4, 1) => four_panels::<1>(tile, acc),
                (4, 2) => four_panels::<2>(tile, acc),
                (4, 3) => four_panels::<3>(tile, acc),
                (4, 4) => four_panels::<4>(tile, acc),
                (4, 5) => four_panels::<5>(tile, acc),
                (4, 6) => four_panels::<6>(tile, acc),
                (2, _) => two_panels(tile, tile.words, stride, acc),
                _ => ragged(tile, acc),
            }
        }
    }

    #[inline(always)]
    fn finish<const P: usize>(tile: Finish<'_, P>, form: &mut impl Form) {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
        fn run<const P: usize>(tile: Finish<'_, P>, form: &mut impl Form) {
            tile.run(form);
        }
        // SAFETY: the features are those of the level.
        unsafe { run(tile, form) }
    }

    #[inline(always)]
    fn gelu(cells: &mut [[i16; PANEL]], table: &[u8; GELU], offset: i16) {
        // SAFETY: the features are those of the level.
        unsafe { gelu(cells, table, offset) }
    }
}

/// [`Dot::gelu`], 64 elements at a time with the table from the nearest cache.
///
/// A look-up takes the low seven bits of an index, so ten of them cover the table; bits 7 to 10 choose.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn gelu(cells: &mut [[i16; PANEL]], table: &[u8; GELU], offset: i16) {
    let (blocks, rest) = cells.as_chunks_mut::<4>();
    for block in blocks {
        gelu_block(block, table, offset);
    }
    if !rest.is_empty() {
        let mut block = [[0; PANEL]; 4];
        block[..rest.len()].copy_from_slice(rest);
        gelu_block(&mut block, table, offset);
        rest.copy_from_slice(&block[..rest.len()]);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn gelu_block(block: &mut [[i16; PANEL]; 4], table: &[u8; GELU], offset: i16) {
    // SAFETY: arrays of the same size, any bits are valid.
    let h = unsafe { block.as_ptr().cast::<[__m512i; 2]>().read_unaligned() };
    let at = |i: usize| {
        // SAFETY: the table is 20 registers long and `i` below that in every call.
        unsafe { table.as_ptr().cast::<__m512i>().add(i).read_unaligned() }
    };
    let last = _mm512_set1_epi16(GELU as i16 - 1);
    let index0 = _mm512_min_epu16(_mm512_srli_epi16::<2>(_mm512_abs_epi16(h[0])), last);
    let index1 = _mm512_min_epu16(_mm512_srli_epi16::<2>(_mm512_abs_epi16(h[1])), last);
    // SAFETY: arrays of the same size, any bits are valid.
    let even: __m512i = unsafe { std::mem::transmute(EVEN_BYTES) };
    let low = _mm512_permutex2var_epi8(index0, even, index1);
    let high0 = _mm512_srli_epi16::<7>(index0);
    let high = _mm512_permutex2var_epi8(high0, even, _mm512_srli_epi16::<7>(index1));
    let bit = |bit: i8| _mm512_test_epi8_mask(high, _mm512_set1_epi8(bit));
    let (bit0, bit1, bit2, bit3) = (bit(1), bit(2), bit(4), bit(8));
    let two = |i: usize| {
        let (a, b) = (at(i), at(i + 2));
        let a = _mm512_permutex2var_epi8(a, low, at(i + 1));
        let b = _mm512_permutex2var_epi8(b, low, at(i + 3));
        _mm512_mask_blend_epi8(bit0, a, b)
    };
    let first = _mm512_mask_blend_epi8(bit1, two(0), two(4));
    let second = _mm512_mask_blend_epi8(bit1, two(8), two(12));
    let tail = _mm512_mask_blend_epi8(bit2, first, second);
    let tail = _mm512_mask_blend_epi8(bit3, tail, two(16));
    let offset = _mm512_set1_epi16(offset);
    let finish = |h: __m512i, tail: __m256i| {
        let positive = _mm512_max_epi16(h, _mm512_setzero_si512());
        _mm512_add_epi16(_mm512_sub_epi16(positive, _mm512_cvtepu8_epi16(tail)), offset)
    };
    let out =
        [finish(h[0], _mm512_castsi512_si256(tail)), finish(h[1], _mm512_extracti64x4_epi64::<1>(tail))];
    // SAFETY: arrays of the same size.
    unsafe { block.as_mut_ptr().cast::<[__m512i; 2]>().write_unaligned(out) };
}

/// The even bytes of two registers.
const EVEN_BYTES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut i = 0;
    while i < 64 {
        bytes[i] = 2 * i as u8;
        i += 1;
    }
    bytes
};

/// One or three panels: the end of a matrix whose panels are no multiple of the block. It reads each panel as
/// both of a pair and drops the second half.
///
/// # Safety
/// As [`two_panels`].
unsafe fn ragged(tile: &Tile<'_>, acc: &mut Acc) {
    let mut pair = Acc::default();
    for panel in 0..tile.panels {
        // SAFETY: with a stride of 0 both panels are the one at `panel`.
        unsafe { two_panels(tile, &tile.words[panel * tile.k * 4..], 0, &mut pair) };
        for row in 0..tile.rows {
            acc.0[row * tile.panels + panel] = pair.0[row * 2];
        }
    }
}

/// All rows by two panels, `stride` bytes apart.
///
/// # Safety
/// The tile passed [`Tile::check`], `words` holds both panels, `acc` two cells a row, and the processor has
/// the level's features.
#[inline(always)]
unsafe fn two_panels(tile: &Tile<'_>, words: &[u32], stride: usize, acc: &mut Acc) {
    unsafe {
        match tile.rows {
            1 => two_panels_of::<1>(tile, words, stride, acc),
            2 => two_panels_of::<2>(tile, words, stride, acc),
            3 => two_panels_of::<3>(tile, words, stride, acc),
            4 => two_panels_of::<4>(tile, words, stride, acc),
            5 => two_panels_of::<5>(tile, words, stride, acc),
            6 => two_panels_of::<6>(tile, words, stride, acc),
            7 => two_panels_of::<7>(tile, words, stride, acc),
            8 => two_panels_of::<8>(tile, words, stride, acc),
            9 => two_panels_of::<9>(tile, words, stride, acc),
            10 => two_panels_of::<10>(tile, words, stride, acc),
            11 => two_panels_of::<11>(tile, words, stride, acc),
            _ => two_panels_of::<12>(tile, words, stride, acc),
        }
    }
}

/// Assembly of one row, left out where the tile has no such row: an operation on its accumulators, which are
/// numbered as the cells they end in, one per panel.
macro_rules! row {
    (clear $r:literal: $($acc:literal)*) => {
        concat!(".if {rows} > ", $r, "\n", $("vpxord zmm", $acc, ", zmm", $acc, ", zmm", $acc, "\n",)* ".endif\n")
    };
    (shift $r:literal: $($acc:literal)*) => {
        concat!(
            ".if {rows} > ", $r, "\n",
            $("vpsllvd zmm", $acc, ", zmm", $acc, ", dword ptr [rdx + 8 + 4 * ", $r, "]{{1to16}}\n",)*
            ".endif\n"
        )
    };
    (add $r:literal: $($acc:literal)*) => {
        concat!(
            ".if {rows} > ", $r, "\n",
            $("vpaddd zmm", $acc, ", zmm", $acc, ", zmmword ptr [r14 + 64 * ", $acc, "]\n",)*
            ".endif\n"
        )
    };
    (store $r:literal: $($acc:literal)*) => {
        concat!(
            ".if {rows} > ", $r, "\n",
            $("vmovdqa64 zmmword ptr [r14 + 64 * ", $acc, "], zmm", $acc, "\n",)*
            ".endif\n"
        )
    };
    (dot $r:literal at $code:literal in $c:literal: $($acc:literal * $w:literal)*) => {
        concat!(
            ".if {rows} > ", $r, "\n",
            "vpbroadcastd zmm", $c, ", dword ptr [", $code, "]\n",
            $("vpdpbusd zmm", $acc, ", zmm", $w, ", zmm", $c, "\n",)*
            ".endif\n"
        )
    };
}

/// An operation of [`row!`] on every row of two panels.
macro_rules! two {
    ($op:ident) => {
        concat!(
            row!($op 0: 0 1), row!($op 1: 2 3), row!($op 2: 4 5), row!($op 3: 6 7),
            row!($op 4: 8 9), row!($op 5: 10 11), row!($op 6: 12 13), row!($op 7: 14 15),
            row!($op 8: 16 17), row!($op 9: 18 19), row!($op 10: 20 21), row!($op 11: 22 23)
        )
    };
}

/// An operation of [`row!`] on every row of four panels.
macro_rules! four {
    ($op:ident) => {
        concat!(
            row!($op 0: 0 1 2 3), row!($op 1: 4 5 6 7), row!($op 2: 8 9 10 11),
            row!($op 3: 12 13 14 15), row!($op 4: 16 17 18 19), row!($op 5: 20 21 22 23)
        )
    };
}

/// What the assembly relies on of a segment: its quads at 0, its shifts from 8 on, the next one at 56.
const _: () = assert!(size_of::<Segment>() == 56 && std::mem::offset_of!(Segment, shifts) == 8);

/// `R` rows by two panels.
///
/// # Safety
/// As [`two_panels`], with `R` rows.
unsafe fn two_panels_of<const R: usize>(tile: &Tile<'_>, words: &[u32], stride: usize, acc: &mut Acc) {
    let (codes, k) = (tile.codes.as_ptr(), tile.k);
    // SAFETY: the loops read `quads` quads of each row and panel of each segment, all inside by the contract.
    unsafe {
        asm!(
            two!(clear),
            "xor r15d, r15d",
            "2:",
            "mov rax, qword ptr [rdx]",
            "test rax, rax",
            "jz 4f",
            "3:",
            "vmovdqu64 zmm24, zmmword ptr [r11]",
            "vmovdqu64 zmm25, zmmword ptr [r11 + r12]",
            row!(dot 0 at "rsi" in 26: 0*24 1*25),
            row!(dot 1 at "rsi + r10" in 27: 2*24 3*25),
            row!(dot 2 at "rsi + 2*r10" in 28: 4*24 5*25),
            row!(dot 3 at "rdi" in 29: 6*24 7*25),
            row!(dot 4 at "rdi + r10" in 26: 8*24 9*25),
            row!(dot 5 at "rdi + 2*r10" in 27: 10*24 11*25),
            row!(dot 6 at "r8" in 28: 12*24 13*25),
            row!(dot 7 at "r8 + r10" in 29: 14*24 15*25),
            row!(dot 8 at "r8 + 2*r10" in 26: 16*24 17*25),
            row!(dot 9 at "r9" in 27: 18*24 19*25),
            row!(dot 10 at "r9 + r10" in 28: 20*24 21*25),
            row!(dot 11 at "r9 + 2*r10" in 29: 22*24 23*25),
            "add r11, 64",
            "add rsi, 4",
            "add rdi, 4",
            "add r8, 4",
            "add r9, 4",
            "dec rax",
            "jnz 3b",
            // The last segment ends with its sums where the others put theirs.
            "4:",
            "dec rcx",
            "jz 7f",
            two!(shift),
            "test r15d, r15d",
            "jz 5f",
            two!(add),
            "5:",
            "mov r15d, 1",
            "add rdx, 56",
            "cmp rcx, 1",
            "je 2b",
            two!(store),
            two!(clear),
            "jmp 2b",
            "7:",
            two!(store),
            rows = const R,
            out("rax") _,
            inout("rcx") tile.segments.len() => _,
            inout("rdx") tile.segments.as_ptr() => _,
            inout("rsi") codes => _,
            inout("rdi") codes.wrapping_add(3 * k) => _,
            inout("r8") codes.wrapping_add(6 * k) => _,
            inout("r9") codes.wrapping_add(9 * k) => _,
            in("r10") k,
            inout("r11") words.as_ptr() => _,
            in("r12") stride,
            in("r14") acc.0.as_mut_ptr(),
            out("r15") _,
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _,
            out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
            out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _,
            out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _,
            out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
            out("zmm28") _, out("zmm29") _,
            options(nostack),
        );
    }
}

/// `R` rows by four panels.
///
/// # Safety
/// As [`two_panels`], with `R` rows and four panels.
unsafe fn four_panels<const R: usize>(tile: &Tile<'_>, acc: &mut Acc) {
    let (codes, k) = (tile.codes.as_ptr(), tile.k);
    // SAFETY: the loops read `quads` quads of each row and panel of each segment, all inside by the contract.
    unsafe {
        asm!(
            four!(clear),
            "xor r15d, r15d",
            "2:",
            "mov rax, qword ptr [rdx]",
            "test rax, rax",
            "jz 4f",
            "3:",
            "vmovdqu64 zmm24, zmmword ptr [r11]",
            "vmovdqu64 zmm25, zmmword ptr [r11 + r12]",
            "vmovdqu64 zmm26, zmmword ptr [r11 + 2*r12]",
            "vmovdqu64 zmm27, zmmword ptr [r11 + r13]",
            row!(dot 0 at "rsi" in 28: 0*24 1*25 2*26 3*27),
            row!(dot 1 at "rsi + r10" in 29: 4*24 5*25 6*26 7*27),
            row!(dot 2 at "rsi + 2*r10" in 30: 8*24 9*25 10*26 11*27),
            row!(dot 3 at "rdi" in 31: 12*24 13*25 14*26 15*27),
            row!(dot 4 at "rdi + r10" in 28: 16*24 17*25 18*26 19*27),
            row!(dot 5 at "rdi + 2*r10" in 29: 20*24 21*25 22*26 23*27),
            "add r11, 64",
            "add rsi, 4",
            "add rdi, 4",
            "dec rax",
            "jnz 3b",
            // The last segment ends with its sums where the others put theirs.
            "4:",
            "dec rcx",
            "jz 7f",
            four!(shift),
            "test r15d, r15d",
            "jz 5f",
            four!(add),
            "5:",
            "mov r15d, 1",
            "add rdx, 56",
            "cmp rcx, 1",
            "je 2b",
            four!(store),
            four!(clear),
            "jmp 2b",
            "7:",
            four!(store),
            rows = const R,
            out("rax") _,
            inout("rcx") tile.segments.len() => _,
            inout("rdx") tile.segments.as_ptr() => _,
            inout("rsi") codes => _,
            inout("rdi") codes.wrapping_add(3 * k) => _,
            in("r10") k,
            inout("r11") tile.words.as_ptr() => _,
            in("r12") (tile.k * PANEL),
            in("r13") 3 * (tile.k * PANEL),
            in("r14") acc.0.as_mut_ptr(),
            out("r15") _,
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _,
            out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
            out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _,
            out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _,
            out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
            out("zmm28") _, out("zmm29") _, out("zmm30") _, out("zmm31") _,
            options(nostack),
        );
    }
}

impl Pairs for Avx512 {
    #[inline(always)]
    fn tile<const R: usize>(a: [&[Pair]; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
        let a = a.map(|a| a[..b.len()].as_ptr());
        // SAFETY: every `a[r]` holds `b.len()` pairs, sliced above; the features are those of the level.
        unsafe { pairs(a, b, out) }
    }

    #[inline(always)]
    fn probabilities<const R: usize>(
        scores: &[[Scores; R]],
        r: usize,
        exp: &[u16; 256],
        p: &mut [[i16; COLUMNS]],
    ) -> u32 {
        // SAFETY: the features are those of the level.
        unsafe { probabilities(scores, r, exp, p) }
    }
}

/// [`Pairs::probabilities`] with the table in eight registers and 16-bit lanes.
///
/// `rsh(e, n)` is `((e >> (n - 1)) + 1) >> 1`, which needs no more than the 16 bits of `e`; the largest shifts
/// clear a lane by themselves, so `d >> 16` needs no limit.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn probabilities<const R: usize>(
    scores: &[[Scores; R]],
    r: usize,
    exp: &[u16; 256],
    p: &mut [[i16; COLUMNS]],
) -> u32 {
    let load = |block: &[Scores; R]| {
        // SAFETY: a row's scores are two registers long.
        unsafe { block[r].as_ptr().cast::<[__m512i; 2]>().read_unaligned() }
    };
    let mut tops = [_mm512_set1_epi32(i32::MIN); 2];
    for block in scores {
        let scores = load(block);
        tops = [_mm512_max_epi32(tops[0], scores[0]), _mm512_max_epi32(tops[1], scores[1])];
    }
    let top = _mm512_set1_epi32(_mm512_reduce_max_epi32(_mm512_max_epi32(tops[0], tops[1])));
    // SAFETY: arrays of the same size.
    let table: [__m512i; 8] = unsafe { std::mem::transmute(*exp) };
    // Even words of two registers: dword `i` holds words `2 i` and `2 i + 1`.
    let dwords = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let low_words = _mm512_or_si512(_mm512_slli_epi32::<2>(dwords), _mm512_slli_epi32::<18>(dwords));
    let low_words = _mm512_add_epi32(low_words, _mm512_set1_epi32(2 << 16));
    let one = _mm512_set1_epi16(1);
    let high_words = _mm512_add_epi16(low_words, one);
    let mut sum = _mm512_setzero_si512();
    for (p, block) in p.iter_mut().zip(scores) {
        let scores = load(block);
        let d = [_mm512_sub_epi32(top, scores[0]), _mm512_sub_epi32(top, scores[1])];
        let steps = [_mm512_srli_epi32::<8>(d[0]), _mm512_srli_epi32::<8>(d[1])];
        let index = _mm512_permutex2var_epi16(steps[0], low_words, steps[1]);
        let halvings = _mm512_permutex2var_epi16(d[0], high_words, d[1]);
        let quarter = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64));
        let half = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
        // Each look-up takes six bits of the index.
        let a = _mm512_permutex2var_epi16(table[0], index, table[1]);
        let b = _mm512_permutex2var_epi16(table[2], index, table[3]);
        let c = _mm512_permutex2var_epi16(table[4], index, table[5]);
        let d = _mm512_permutex2var_epi16(table[6], index, table[7]);
        let low = _mm512_mask_blend_epi16(quarter, a, b);
        let high = _mm512_mask_blend_epi16(quarter, c, d);
        let e = _mm512_mask_blend_epi16(half, low, high);
        let e = _mm512_srlv_epi16(e, _mm512_add_epi16(halvings, _mm512_set1_epi16(3)));
        let e = _mm512_srli_epi16::<1>(_mm512_add_epi16(e, one));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(e, one));
        // SAFETY: `p` is one register long.
        unsafe { p.as_mut_ptr().cast::<__m512i>().write_unaligned(e) };
    }
    _mm512_reduce_add_epi32(sum) as u32
}

/// `R` rows by 32 columns, two registers a row.
///
/// # Safety
/// Every `a[r]` points at `b.len()` pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn pairs<const R: usize>(a: [*const Pair; R], b: &[[Pair; COLUMNS]], out: &mut [[i32; COLUMNS]; R]) {
    unsafe {
        let mut sum = [[_mm512_setzero_si512(); 2]; R];
        for (n, b) in b.iter().enumerate() {
            let b = b.as_ptr().cast::<[__m512i; 2]>().read_unaligned();
            for r in 0..R {
                let pair = _mm512_set1_epi32(a[r].add(n).cast::<i32>().read_unaligned());
                sum[r][0] = _mm512_dpwssd_epi32(sum[r][0], pair, b[0]);
                sum[r][1] = _mm512_dpwssd_epi32(sum[r][1], pair, b[1]);
            }
        }
        for (sum, out) in sum.into_iter().zip(out) {
            out.as_mut_ptr().cast::<[__m512i; 2]>().write_unaligned(sum);
        }
    }
}
