//! One plan through every exact stage of search and spiking, with a known result.
//!
//! BERT models carry a golden of their own; tables of vectors and spiking networks come and go with tasks. A device is
//! proved for all of them once, with this plan. Each step reads what the one before it wrote, so a wrong bit anywhere
//! reaches the digest.

use std::{borrow::Cow, sync::Arc};

use plan::{
    Agreement, BitVectors, BufferId, Encode, Lif, LifWeight, Plan, Range, Reset, Scan, Score, SelfTest, Step,
    TopK, Upload, Vectors, Weight, WeightId, Weights,
};

/// The weights of the plan, and the plan with its digest.
pub fn self_test() -> (Arc<dyn Weights>, SelfTest) {
    let golden = Golden::new();
    let plan = golden.plan();
    (Arc::new(golden), SelfTest { plan, digest: DIGEST })
}

struct Golden {
    codes: Vec<i8>,
    multipliers: Vec<u16>,
    bits: Vec<u32>,
    layer: Layer,
}

struct Layer {
    q: Vec<i8>,
    recurrent: Vec<i8>,
    leak: Vec<u32>,
    threshold: Vec<i32>,
    bias: Vec<i32>,
}

impl Golden {
    fn new() -> Self {
        let mut random = Random(20_261_121);
        let mut codes: Vec<i8> = (0..ROWS * WIDTH).map(|_| random.byte()).collect();
        // Equal rows, extreme rows: ties and the edges of the sums.
        codes.copy_within(0..WIDTH, 5 * WIDTH);
        codes[7 * WIDTH..8 * WIDTH].fill(-128);
        codes[9 * WIDTH..10 * WIDTH].fill(127);
        let layer = Layer {
            q: (0..INPUTS * NEURONS).map(|_| random.byte()).collect(),
            recurrent: (0..NEURONS * NEURONS).map(|_| random.byte() / 4).collect(),
            leak: (0..NEURONS).map(|_| 40_000 + random.word() % 25_537).collect(),
            threshold: (0..NEURONS).map(|_| 1_000 + (random.word() % 60_000) as i32).collect(),
            bias: (0..NEURONS).map(|_| (random.word() % 4_000) as i32 - 2_000).collect(),
        };
        Golden {
            codes,
            multipliers: (0..ROWS).map(|_| random.word() as u16).collect(),
            bits: (0..ROWS * NEURONS / 32).map(|_| random.word()).collect(),
            layer,
        }
    }

    /// encode -> distance -> topk -> lif -> hamming.
    fn plan(&self) -> Plan {
        let mut random = Random(7);
        let values = (0..QUERIES * WIDTH).map(|i| {
            let exponent = 100 + (random.word() % 40);
            f32::from_bits((random.word() & 0x807f_ffff) | if i % 11 == 0 { 0 } else { exponent << 23 })
        });
        let words: Vec<u32> = values.map(f32::to_bits).collect();
        let buffers = vec![
            words.len(),
            words.len() / 4,
            QUERIES,
            QUERIES * LISTS * K * 2,
            QUERIES * K * 2,
            QUERIES * STEPS * NEURONS / 32,
            QUERIES * NEURONS,
            QUERIES * STEPS * K * 2,
        ];
        let [input, codes, steps, lists, best, spikes, potential, out] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(BufferId);
        let encode = Encode { rows: QUERIES, width: WIDTH, range: Range::Row, input, codes, steps };
        let scan = Scan {
            queries: QUERIES,
            width: WIDTH,
            k: K,
            first: 3,
            rows: ROWS - 3,
            group: ROWS.div_ceil(LISTS),
            input: codes,
            vectors: WeightId(0),
            filter: None,
            out: lists,
        };
        let merge = TopK { queries: QUERIES, lists: LISTS, k: K, input: lists, out: best };
        let lif = Lif {
            batch: QUERIES,
            steps: STEPS,
            inputs: INPUTS,
            outputs: NEURONS,
            spikes: best,
            layer: WeightId(1),
            out: spikes,
            potential,
        };
        let near = Scan {
            queries: QUERIES * STEPS,
            width: NEURONS,
            first: 0,
            rows: ROWS,
            group: ROWS,
            input: spikes,
            vectors: WeightId(2),
            out,
            ..scan
        };
        let steps = vec![
            Step::Encode(encode),
            Step::Distance(scan),
            Step::TopK(merge),
            Step::Lif(lif),
            Step::Hamming(near),
        ];
        Plan {
            buffers,
            uploads: vec![Upload { buffer: input, words }],
            steps,
            output: out,
            agreement: Agreement::Exact,
        }
    }
}

impl Weights for Golden {
    fn len(&self) -> usize {
        3
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        match id.0 {
            0 => Weight::Vectors(Vectors {
                width: WIDTH,
                codes: Cow::Borrowed(&self.codes),
                score: Score::Scaled(Cow::Borrowed(&self.multipliers)),
            }),
            1 => Weight::Lif(LifWeight {
                inputs: INPUTS,
                outputs: NEURONS,
                q: Cow::Borrowed(&self.layer.q),
                recurrent: Some(Cow::Borrowed(&self.layer.recurrent)),
                shift: 4,
                leak: Cow::Borrowed(&self.layer.leak),
                threshold: Cow::Borrowed(&self.layer.threshold),
                bias: Cow::Borrowed(&self.layer.bias),
                reset: Reset::Subtract,
            }),
            _ => Weight::BitVectors(BitVectors { width: NEURONS, bits: Cow::Borrowed(&self.bits) }),
        }
    }
}

/// A linear congruential generator (Knuth, MMIX), its high bits.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn byte(&mut self) -> i8 {
        (self.word() >> 24) as i8
    }
}

const WIDTH: usize = 100;
const ROWS: usize = 300;
const QUERIES: usize = 3;
/// (key, row) pairs of a query are the spikes of its run: `K * 2` words are `STEPS` steps of `INPUTS` bits.
const K: usize = 8;
const LISTS: usize = 4;
const STEPS: usize = 8;
const INPUTS: usize = 64;
const NEURONS: usize = 96;

/// SHA-256 of the output words, as the oracle computes them.
const DIGEST: [u8; 32] = [
    191, 214, 18, 242, 202, 13, 181, 17, 191, 143, 217, 40, 148, 236, 104, 216, 240, 105, 141, 231, 188, 16,
    181, 69, 117, 162, 245, 84, 45, 169, 190, 245,
];
