//! i8 matrix product with a fused epilogue.
//!
//! ```text
//! for each block of panels            (its weights stay in the nearest cache)
//!   for each tile of rows
//!     acc[row][lane] = sum over groups (dot of the group << exponent of the row's group)
//!     for each row and panel: scale, shift, bias, store
//! ```
//!
//! The real version adds:
//!
//! - **One pass over k.** A tile gets all groups as [`Segment`]s and shifts each one's dot products in registers. The
//!   last group of a row always has exponent 0, so a level may let it accumulate straight onto the sum of the
//!   others. (Exponents do not fall from group to group: in a quarter of the rows of real text one rises, so that
//!   shifting one running sum is not enough.)
//! - **Unsigned weights.** A level whose dot product wants unsigned weights packs `q + OFFSET`; each code then
//!   adds `OFFSET * code` too much, which is one number per row, known from the row's code sums.
//! - **Even tiles.** Rows are dealt out evenly, so that 13 rows are tiles of 7 and 6, never 12 and 1.

use std::{marker::PhantomData, ops::Range};

use plan::{GemmWeight, MAX_GROUPS, PANEL, PackedGemm, RowScale, SCALE_WORDS};

use super::math::ms16;
use crate::{GemmArgs, Output};

/// Most rows of a tile, whatever the level.
pub(crate) const MAX_ROWS: usize = 12;
/// Most rows times panels of a tile.
const MAX_CELLS: usize = 24;

/// One value per output of a panel.
pub(crate) type Lanes = [i32; PANEL];

/// Dot products of a tile: cell `row * panels + panel`.
#[repr(align(64))]
pub(crate) struct Acc(pub(crate) [Lanes; MAX_CELLS]);

impl Default for Acc {
    fn default() -> Self {
        Acc([[0; PANEL]; MAX_CELLS])
    }
}

/// Consecutive quads of k, and what their dot products are shifted left by before they are added.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Segment {
    /// Quads; only a last segment may have none.
    pub(crate) quads: usize,
    /// Shift of each row; all 0 in the last segment.
    pub(crate) shifts: [u32; MAX_ROWS],
}

/// Rows times panels over some segments of k.
pub(crate) struct Tile<'a> {
    /// Codes of the first row on; rows are `k` apart.
    pub(crate) codes: &'a [i8],
    /// Packed words of the first panel on; panels are `k / 4 * quad_words` apart.
    pub(crate) words: &'a [u32],
    /// [`Dot::QUAD_WORDS`].
    pub(crate) quad_words: usize,
    /// Columns.
    pub(crate) k: usize,
    /// Rows, at most [`Dot::ROWS`].
    pub(crate) rows: usize,
    /// Panels, at most what [`Dot::panels`] says.
    pub(crate) panels: usize,
    /// What is summed.
    pub(crate) segments: &'a [Segment],
}

impl Tile<'_> {
    /// Checks, for kernels that use pointers, that every element is there.
    #[inline(always)]
    pub(crate) fn check(&self) {
        let quads: usize = self.segments.iter().map(|s| s.quads).sum();
        assert!(self.rows >= 1 && self.panels >= 1 && self.rows * self.panels <= MAX_CELLS);
        assert!(!self.segments.is_empty() && quads * 4 <= self.k);
        assert!(self.codes.len() >= (self.rows - 1) * self.k + quads * 4);
        assert!(self.words.len() >= ((self.panels - 1) * (self.k / 4) + quads) * self.quad_words);
    }
}

/// What a level brings to the product.
pub(crate) trait Dot {
    /// Most rows of a tile, at most [`MAX_ROWS`].
    const ROWS: usize;
    /// What packed weights have on top of the canonical ones.
    const OFFSET: i32 = 0;
    /// Packed words of a quad of a panel: 16 of four bytes each, or 32 of [`pack_pairs`].
    const QUAD_WORDS: usize = PANEL;

    /// Most panels of a tile with `rows` rows.
    fn panels(rows: usize) -> usize;

    /// `acc = sum over segments (dot << shift)`.
    fn tile(tile: &Tile<'_>, acc: &mut Acc);

    /// Runs the epilogue of a tile. A level with features overrides it to give the loop a function of its own, whose
    /// registers the rest of the product does not crowd.
    #[inline(always)]
    fn finish<const P: usize>(tile: Finish<'_, P>, form: &mut impl Form) {
        tile.run(form);
    }

    /// `max(h, 0) - table[min(|h| >> 2, 1279)] + offset` of every element, in place: GELU inputs of either sign
    /// become outputs that are never negative, in 16 unsigned bits.
    #[inline(always)]
    fn gelu(cells: &mut [[i16; PANEL]], table: &[u8; GELU], offset: i16) {
        for h in cells.as_flattened_mut() {
            let tail = table[(usize::from(h.unsigned_abs()) >> 2).min(GELU - 1)];
            *h = (*h).max(0).wrapping_sub(i16::from(tail)).wrapping_add(offset);
        }
    }
}

/// Packs for levels whose dot product takes pairs of 16-bit factors: a quad of a panel is first the pairs of
/// columns 0 and 1 of its 16 outputs, then those of columns 2 and 3.
pub(crate) fn pack_pairs(weight: &GemmWeight<'_>) -> PackedGemm {
    let mut packed = plan::pack_gemm(weight);
    let pair = |low: u8, high: u8| bytemuck::cast([i16::from(low as i8), i16::from(high as i8)]);
    let quads = packed.words.chunks_exact(PANEL).flat_map(|quad| {
        let first = quad.iter().map(|w| w.to_le_bytes()).map(move |[a, b, _, _]| pair(a, b));
        let second = quad.iter().map(|w| w.to_le_bytes()).map(move |[_, _, c, d]| pair(c, d));
        first.chain(second)
    });
    packed.words = quads.collect();
    packed
}

/// Entries of the GELU table.
pub(crate) const GELU: usize = 1280;

/// Steps 5, 6 and 9 of the scheme.
#[inline(always)]
pub(crate) fn gemm<D: Dot>(args: GemmArgs<'_>) {
    let product = Product::new::<D>(&args);
    match args.output {
        Output::Wide(out) => product.run::<D>(&mut Wide(out.as_chunks_mut().0)),
        Output::Clamp { limit, out } => product.run::<D>(&mut Clamp { limit, out: out.as_chunks_mut().0 }),
        Output::Gelu { table, offset, out } => {
            let table = table.try_into().expect("a GELU table has 1280 entries");
            let out = out.as_chunks_mut().0;
            product.run::<D>(&mut Gelu::<D> {
                table,
                offset: offset as i16,
                out,
                cells: [[0; PANEL]; MAX_CELLS],
                places: [0; MAX_CELLS],
                count: 0,
                level: PhantomData,
            });
        }
    }
}

/// Stores finished values in the form of an [`Output`].
pub(crate) trait Form {
    /// Takes the values of the tile's next cell, which is the `place`th panel of the output.
    fn put(&mut self, place: usize, y: Lanes);
    /// The tile is complete.
    fn end_tile(&mut self) {}
}

struct Wide<'a>(&'a mut [Lanes]);

impl Form for Wide<'_> {
    #[inline(always)]
    fn put(&mut self, place: usize, y: Lanes) {
        self.0[place] = y;
    }
}

struct Clamp<'a> {
    limit: i32,
    out: &'a mut [[i16; PANEL]],
}

impl Form for Clamp<'_> {
    #[inline(always)]
    fn put(&mut self, place: usize, y: Lanes) {
        for (o, y) in self.out[place].iter_mut().zip(y) {
            *o = y.min(self.limit).max(-self.limit) as i16;
        }
    }
}

/// Collects a tile's inputs, since a table in registers is worth loading for many at once.
struct Gelu<'a, D> {
    table: &'a [u8; GELU],
    offset: i16,
    out: &'a mut [[u16; PANEL]],
    cells: [[i16; PANEL]; MAX_CELLS],
    places: [usize; MAX_CELLS],
    count: usize,
    level: PhantomData<D>,
}

impl<D: Dot> Form for Gelu<'_, D> {
    #[inline(always)]
    fn put(&mut self, place: usize, y: Lanes) {
        for (h, y) in self.cells[self.count].iter_mut().zip(y) {
            *h = y.clamp(-32767, 32767) as i16;
        }
        self.places[self.count] = place;
        self.count += 1;
    }

    #[inline(always)]
    fn end_tile(&mut self) {
        let cells = &mut self.cells[..self.count];
        D::gelu(cells, self.table, self.offset);
        for (cell, &place) in cells.iter().zip(&self.places) {
            self.out[place] = cell.map(|g| g as u16);
        }
        self.count = 0;
    }
}

/// What a row's scale says.
struct Row {
    log2: i32,
    mantissa: u32,
    exponents: [u32; MAX_GROUPS],
    /// Undoes [`Dot::OFFSET`].
    excess: i32,
}

impl Row {
    fn new<D: Dot>(words: &[u32]) -> Self {
        let scale = RowScale::from_words(words);
        let exponents = scale.exponents.map(u32::from);
        let sums = scale.sums.iter().zip(exponents);
        let total = sums.fold(0i32, |total, (sum, e)| total.wrapping_add(sum.wrapping_shl(e)));
        let excess = total.wrapping_mul(D::OFFSET);
        Row { log2: scale.log2 as i32, mantissa: scale.mantissa, exponents, excess }
    }

    /// What the epilogue needs of the row for a panel's `scale_shift`.
    fn rescale(&self, scale_shift: i32) -> Rescale {
        let shift = scale_shift - self.log2;
        // Values are within 2^30, so that right shifts by 31 and more all give 0.
        let right = shift.clamp(0, 31) as u32;
        Rescale {
            excess: self.excess,
            mantissa: self.mantissa,
            left: shift.min(0).unsigned_abs(),
            half: if right > 0 { 1 << (right - 1) } else { 0 },
            right,
        }
    }
}

/// A row's part of the epilogue: `(v << left + half) >> right` with one of the shifts 0.
#[derive(Clone, Copy)]
struct Rescale {
    excess: i32,
    mantissa: u32,
    left: u32,
    half: i32,
    right: u32,
}

/// A panel's part of the epilogue.
struct Columns<'a> {
    mc: &'a [u32; PANEL],
    bias: &'a Lanes,
    accumulator_shift: u32,
}

/// The segments of a tile of rows.
struct Segments {
    list: [Segment; MAX_GROUPS + 1],
    count: usize,
}

/// A call's operands and its cutting into tiles.
struct Product<'a> {
    codes: &'a [i8],
    packed: &'a PackedGemm,
    rows: Vec<Row>,
    groups: usize,
    corrected: bool,
}

impl<'a> Product<'a> {
    fn new<D: Dot>(args: &GemmArgs<'a>) -> Self {
        let (packed, codes) = (args.input.packed, args.input.codes);
        let rows = codes.len() / packed.k;
        let scales = args.input.scales[..rows * SCALE_WORDS].chunks_exact(SCALE_WORDS);
        Product {
            codes,
            packed,
            rows: scales.map(Row::new::<D>).collect(),
            groups: packed.groups.iter().take_while(|&&g| g > 0).count(),
            corrected: args.input.weight.sections.iter().any(|s| s.correction.is_some()),
        }
    }

    #[inline(always)]
    fn run<D: Dot>(&self, form: &mut impl Form) {
        let rows = self.rows.len();
        if rows == 0 {
            return;
        }
        let tiles = rows.div_ceil(D::ROWS);
        let panels = self.packed.outputs / PANEL;
        let block = D::panels(rows.div_ceil(tiles));
        let segments: Vec<_> = (0..tiles).map(|t| self.segments(self.tile_rows(t, tiles))).collect();
        let mut rescales = Rescales::default();
        let mut acc = Acc::default();
        for panel in (0..panels).step_by(block) {
            let count = block.min(panels - panel);
            for (t, segments) in segments.iter().enumerate() {
                let span = self.tile_rows(t, tiles);
                self.dots::<D>(span.clone(), panel, count, segments, &mut acc);
                if self.corrected {
                    self.correct(span.clone(), panel, count, &mut acc);
                }
                match count {
                    1 => self.finish::<D, 1>(span, panel, &acc, &mut rescales, form),
                    2 => self.finish::<D, 2>(span, panel, &acc, &mut rescales, form),
                    3 => self.finish::<D, 3>(span, panel, &acc, &mut rescales, form),
                    4 => self.finish::<D, 4>(span, panel, &acc, &mut rescales, form),
                    _ => unreachable!("no level has wider tiles"),
                }
            }
        }
    }

    #[inline(always)]
    fn finish<D: Dot, const P: usize>(
        &self,
        rows: Range<usize>,
        panel: usize,
        acc: &Acc,
        rescales: &mut Rescales,
        form: &mut impl Form,
    ) {
        let at: [usize; P] = std::array::from_fn(|p| rescales.find(self, panel + p));
        let tile = Finish {
            cells: &acc.0.as_chunks().0[..rows.len()],
            columns: std::array::from_fn(|p| self.columns(panel + p)),
            rescale: at.map(|at| &rescales.0[at].1[rows.clone()]),
            place: rows.start * self.packed.outputs / PANEL + panel,
            stride: self.packed.outputs / PANEL,
        };
        D::finish(tile, form);
    }

    fn columns(&self, panel: usize) -> Columns<'a> {
        let packed = self.packed;
        Columns {
            mc: &packed.mc.as_chunks().0[panel],
            bias: &packed.bias.as_chunks().0[panel],
            accumulator_shift: packed.accumulator_shift[panel],
        }
    }

    fn tile_rows(&self, tile: usize, tiles: usize) -> Range<usize> {
        let rows = self.rows.len();
        tile * rows / tiles..(tile + 1) * rows / tiles
    }

    /// The groups with their rows' exponents. Should a row's last exponent not be 0, as quantised rows' are, an
    /// empty segment ends the list.
    fn segments(&self, rows: Range<usize>) -> Segments {
        let mut list = [Segment { quads: 0, shifts: [0; MAX_ROWS] }; MAX_GROUPS + 1];
        for (g, segment) in list.iter_mut().enumerate().take(self.groups) {
            segment.quads = self.packed.groups[g] / 4;
            for (shift, row) in segment.shifts.iter_mut().zip(&self.rows[rows.clone()]) {
                *shift = row.exponents[g];
            }
        }
        let plain = list[self.groups - 1].shifts.iter().all(|&s| s == 0);
        Segments { list, count: self.groups + usize::from(!plain) }
    }

    #[inline(always)]
    fn dots<D: Dot>(
        &self,
        rows: Range<usize>,
        panel: usize,
        panels: usize,
        segments: &Segments,
        acc: &mut Acc,
    ) {
        let (k, quad_words) = (self.packed.k, D::QUAD_WORDS);
        let panel_words = k / 4 * quad_words;
        let tile = Tile {
            codes: &self.codes[rows.start * k..rows.end * k],
            words: &self.packed.words[panel * panel_words..(panel + panels) * panel_words],
            quad_words,
            k,
            rows: rows.len(),
            panels,
            segments: &segments.list[..segments.count],
        };
        D::tile(&tile, acc);
    }

    /// Adds the corrections of every group.
    #[inline(always)]
    fn correct(&self, rows: Range<usize>, panel: usize, panels: usize, acc: &mut Acc) {
        let corrections = self.packed.correction.as_chunks::<PANEL>().0;
        for (cells, row) in acc.0.chunks_exact_mut(panels).zip(&self.rows[rows]) {
            for (g, &exponent) in row.exponents.iter().enumerate().take(self.groups) {
                let at = g * self.packed.outputs / PANEL + panel;
                for (cell, correction) in cells.iter_mut().zip(&corrections[at..at + panels]) {
                    for (sum, c) in cell.iter_mut().zip(correction) {
                        *sum = sum.wrapping_add(c.wrapping_shl(exponent));
                    }
                }
            }
        }
    }
}

/// All rows' part of the epilogue by the scale shift of a panel; panels of a section share it.
#[derive(Default)]
struct Rescales(Vec<(i32, Vec<Rescale>)>);

impl Rescales {
    fn find(&mut self, product: &Product<'_>, panel: usize) -> usize {
        let shift = product.packed.scale_shift[panel];
        self.0.iter().position(|known| known.0 == shift).unwrap_or_else(|| {
            self.0.push((shift, product.rows.iter().map(|row| row.rescale(shift)).collect()));
            self.0.len() - 1
        })
    }
}

/// A tile's dot products and what turns them into outputs.
pub(crate) struct Finish<'a, const P: usize> {
    cells: &'a [[Lanes; P]],
    columns: [Columns<'a>; P],
    rescale: [&'a [Rescale]; P],
    /// Index of the first cell among the output's panels.
    place: usize,
    /// Panels of an output row.
    stride: usize,
}

impl<const P: usize> Finish<'_, P> {
    /// Scale, rounding shift, bias, and the form's own part.
    ///
    /// Sums wrap until the excess is out; from then on they are within 2^30 by the scheme's choice of shift.
    #[inline(always)]
    pub(crate) fn run(self, form: &mut impl Form) {
        let rescale = self.rescale.map(|r| &r[..self.cells.len()]);
        for (row, cells) in self.cells.iter().enumerate() {
            for p in 0..P {
                let y = finish(&cells[p], &rescale[p][row], &self.columns[p]);
                form.put(self.place + row * self.stride + p, y);
            }
        }
        form.end_tile();
    }
}

#[inline(always)]
fn finish(acc: &Lanes, row: &Rescale, columns: &Columns<'_>) -> Lanes {
    let mut y = [0; PANEL];
    for (i, y) in y.iter_mut().enumerate() {
        let sum = acc[i].wrapping_sub(row.excess).wrapping_shl(columns.accumulator_shift);
        let m = row.mantissa.wrapping_mul(columns.mc[i]).wrapping_add(1 << 15) >> 16;
        let v = ms16(sum, m).wrapping_shl(row.left).wrapping_add(row.half);
        *y = v.wrapping_shr(row.right).wrapping_add(columns.bias[i]);
    }
    y
}
