//! A transformer layer of random integers: every stage once or more, every variant but two.

use plan::{
    Agreement, Attention, BufferId, Embed, EmbeddingWeight, Epilogue, Gemm, GemmSection, GemmWeight,
    LayerNorm, MAX_GROUPS, NormWeight, Plan, Pool, PoolKind, Quantise, SCALE_WORDS, Signal, Step, Upload,
    Weight, WeightId, Weights,
};

/// Weights of the layer.
pub(crate) struct Layer {
    size: Size,
    words: Vec<i8>,
    scales: Vec<u16>,
    positions: Vec<i16>,
    gain: Vec<i16>,
    bias: Vec<i32>,
    matrices: [Vec<i8>; 4],
    mc: Vec<u16>,
    correction: Vec<i32>,
    exp: Vec<u16>,
    gelu: Vec<u8>,
    places: Vec<u16>,
}

/// Widths of a layer and the groups of its rows' columns.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) ffn: usize,
    pub(crate) groups: [usize; MAX_GROUPS],
    pub(crate) ffn_groups: [usize; MAX_GROUPS],
}

impl Layer {
    /// One seed, one small layer.
    pub(crate) fn new(seed: u64) -> Self {
        Layer::sized(seed, SMALL)
    }

    /// One seed, one layer of this size.
    pub(crate) fn sized(seed: u64, size: Size) -> Self {
        let Size { width, ffn, ffn_groups, .. } = size;
        let mut random = Random(seed ^ 0x5851_f42d_4c95_7f2d);
        let mut many = |count: usize, most: i32| -> Vec<i32> {
            (0..count).map(|_| (random.next() % (2 * most as u32 + 1)) as i32 - most).collect()
        };
        let mut matrix =
            |k: usize, outputs: usize| many(k * outputs, 127).iter().map(|&c| c as i8).collect::<Vec<i8>>();
        let matrices =
            [matrix(width, 3 * width), matrix(width, width), matrix(width, ffn), matrix(ffn, width)];
        let sums = |g: std::ops::Range<usize>| {
            matrices[3]
                .chunks_exact(ffn)
                .map(move |row| 127 * row[g.clone()].iter().map(|&c| i32::from(c)).sum::<i32>())
        };
        let correction = sums(0..ffn_groups[0]).chain(sums(ffn_groups[0]..ffn)).collect();
        Layer {
            size,
            correction,
            words: many(VOCAB * width, 127).iter().map(|&c| c as i8).collect(),
            scales: many(VOCAB, 30_000).iter().map(|&s| s.unsigned_abs() as u16 + 1).collect(),
            positions: many(POSITIONS * width, 32_767).iter().map(|&p| p as i16).collect(),
            gain: many(width, 32_767).iter().map(|&g| g as i16).collect(),
            bias: many((3 * width).max(ffn), 1 << 10),
            mc: many((3 * width).max(ffn), 16_000).iter().map(|&m| (49_000 + m) as u16).collect(),
            exp: (0..256)
                .map(|i| (32_752.0 * (-(f64::from(i) + 0.5) / 256.0).exp2()).round() as u16)
                .collect(),
            gelu: (0..1280).map(|i| (174 - i * 174 / 1280) as u8).collect(),
            places: (0..width as u16).map(|c| (c * 5 + 3) % width as u16).collect(),
            matrices,
        }
    }

    /// One forward pass over sequences of these lengths.
    pub(crate) fn plan(&self, lengths: &[usize]) -> Plan {
        self.deep_plan(lengths, 1)
    }

    /// A forward pass through the same layer several times over.
    pub(crate) fn deep_plan(&self, lengths: &[usize], layers: usize) -> Plan {
        let tokens: usize = lengths.iter().sum();
        let (mut row_spans, mut spans, mut first) = (Vec::new(), Vec::new(), 0);
        for &len in lengths {
            (0..len).for_each(|_| row_spans.extend([first as u32, len as u32]));
            spans.extend([first as u32, len as u32]);
            first += len;
        }
        let token_ids: Vec<u32> = (0..tokens).map(|t| ((t * t + 3) % VOCAB) as u32).collect();
        let wide = tokens * self.size.width;
        let buffers = vec![
            tokens,
            2 * tokens,
            2 * lengths.len(),
            wide,
            wide,
            wide,
            tokens * self.size.ffn / 4,
            tokens * SCALE_WORDS,
            wide * 3 / 2,
            tokens * self.size.ffn / 2,
            lengths.len() * self.size.width / 2,
        ];
        let upload = |buffer, words| Upload { buffer, words };
        let uploads = vec![upload(IDS, token_ids), upload(ROW_SPANS, row_spans), upload(SPANS, spans)];
        let longest = *lengths.iter().max().expect("a sequence");
        let steps = steps(self.size, layers, tokens, lengths.len(), longest);
        Plan { buffers, uploads, steps, output: OUT, agreement: Agreement::Exact }
    }

    /// Pooling alone, of so many sequences of one row.
    pub(crate) fn pool(&self, sequences: usize) -> Plan {
        let (input, spans, out) = (BufferId(0), BufferId(1), BufferId(2));
        let rows =
            (0..sequences * self.size.width).map(|i| (i as u32).wrapping_mul(0x9e37_79b1) >> 16).collect();
        let each = (0..sequences as u32).flat_map(|s| [s, 1]).collect();
        let (width, kind, permutation) = (self.size.width, PoolKind::Sum, WeightId(8));
        Plan {
            buffers: vec![sequences * self.size.width, 2 * sequences, sequences * self.size.width / 2],
            uploads: vec![Upload { buffer: input, words: rows }, Upload { buffer: spans, words: each }],
            steps: vec![Step::Pool(Pool { sequences, width, kind, input, spans, permutation, out })],
            output: out,
            agreement: Agreement::Exact,
        }
    }

    fn section(&self, matrix: usize, range: std::ops::Range<usize>, k: usize) -> GemmSection<'_> {
        GemmSection {
            outputs: range.len(),
            q: &self.matrices[matrix][range.start * k..range.end * k],
            mc: self.mc[..range.len()].into(),
            bias: self.bias[..range.len()].into(),
            correction: (matrix == 3).then(|| self.correction[..].into()),
            accumulator_shift: if range.start == 0 { 2 } else { 1 },
            scale_shift: 18,
        }
    }
}

impl Weights for Layer {
    fn len(&self) -> usize {
        9
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        let gemm = |groups: [usize; MAX_GROUPS], sections| {
            Weight::Gemm(GemmWeight { k: groups.iter().sum(), groups, sections })
        };
        match id.0 {
            0 => Weight::Embedding(EmbeddingWeight {
                width: self.size.width,
                word: &self.words,
                word_scale: self.scales[..].into(),
                position: self.positions[..].into(),
                position_shift: 5,
            }),
            1 => Weight::Norm(NormWeight {
                gain: self.gain[..].into(),
                exponent: 11,
                bias: self.bias[..self.size.width].into(),
            }),
            2 => gemm(
                self.size.groups,
                vec![
                    self.section(0, 0..self.size.width, self.size.width),
                    self.section(0, self.size.width..2 * self.size.width, self.size.width),
                    self.section(0, 2 * self.size.width..3 * self.size.width, self.size.width),
                ],
            ),
            3 => gemm([self.size.width, 0, 0, 0], vec![self.section(1, 0..self.size.width, self.size.width)]),
            4 => gemm(self.size.groups, vec![self.section(2, 0..self.size.ffn, self.size.width)]),
            5 => gemm(self.size.ffn_groups, vec![self.section(3, 0..self.size.width, self.size.ffn)]),
            6 => Weight::Exp(self.exp[..].into()),
            7 => Weight::Gelu(self.gelu[..].into()),
            _ => Weight::Permutation(self.places[..].into()),
        }
    }
}

fn steps(size: Size, layers: usize, tokens: usize, sequences: usize, longest: usize) -> Vec<Step> {
    let norm = |input, residual, out| {
        Step::LayerNorm(LayerNorm { tokens, width: size.width, input, residual, norm: WeightId(1), out })
    };
    let quantise = |input, signal, groups: [usize; MAX_GROUPS], exponent_max| {
        let (width, codes, scales) = (groups.iter().sum(), CODES, SCALES);
        Step::Quantise(Quantise { tokens, width, signal, input, groups, exponent_max, codes, scales })
    };
    let gemm = |weight, epilogue, out| {
        Step::Gemm(Gemm { tokens, codes: CODES, scales: SCALES, weight: WeightId(weight), epilogue, out })
    };
    let gelu = Epilogue::Gelu { table: WeightId(7), offset: 174 };
    let layer = [
        quantise(X, Signal::Signed, size.groups, 6),
        gemm(2, Epilogue::Clamp { limit: 4095 }, QKV),
        Step::Attention(Attention {
            tokens,
            heads: size.width / 32,
            longest,
            qkv: QKV,
            spans: ROW_SPANS,
            exp: WeightId(6),
            out: Y,
        }),
        quantise(Y, Signal::Signed, [size.width, 0, 0, 0], 0),
        gemm(3, Epilogue::Wide, Y),
        norm(Y, Some(X), X1),
        quantise(X1, Signal::Signed, size.groups, 6),
        gemm(4, gelu, UP),
        quantise(UP, Signal::Offset, size.ffn_groups, 5),
        gemm(5, Epilogue::Wide, Y),
        norm(Y, Some(X1), X),
    ];
    let (width, table) = (size.width, WeightId(0));
    let mut steps = vec![
        Step::Embed(Embed { tokens, width, ids: IDS, spans: ROW_SPANS, table, out: Y }),
        norm(Y, None, X),
    ];
    (0..layers).for_each(|_| steps.extend(layer.iter().cloned()));
    let (kind, permutation) = (PoolKind::Sum, WeightId(8));
    steps.push(Step::Pool(Pool { sequences, width, kind, input: X, spans: SPANS, permutation, out: OUT }));
    steps
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

const SMALL: Size = Size { width: 64, ffn: 96, groups: [4, 12, 48, 0], ffn_groups: [16, 80, 0, 0] };
const VOCAB: usize = 50;
const POSITIONS: usize = 80;

const IDS: BufferId = BufferId(0);
const ROW_SPANS: BufferId = BufferId(1);
const SPANS: BufferId = BufferId(2);
const X: BufferId = BufferId(3);
const X1: BufferId = BufferId(4);
const Y: BufferId = BufferId(5);
const CODES: BufferId = BufferId(6);
const SCALES: BufferId = BufferId(7);
const QKV: BufferId = BufferId(8);
const UP: BufferId = BufferId(9);
const OUT: BufferId = BufferId(10);
