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
    norms: Vec<i32>,
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
        let norm = |row: &[i8]| row.iter().map(|&c| i32::from(c) * i32::from(c)).sum();
        Golden {
            norms: codes.chunks_exact(WIDTH).map(norm).collect(),
            codes,
            multipliers: (0..ROWS).map(|_| random.word() as u16).collect(),
            bits: (0..ROWS * NEURONS / 32).map(|_| random.word()).collect(),
            layer,
        }
    }

    /// First encode -> distance -> topk -> lif -> hamming. Then its result goes the other ways there are: a scan in the
    /// order of Euclid, filtered by the bits of codes of a fixed step, and a layer without recurrence that resets another
    /// way.
    fn plan(&self) -> Plan {
        let words = queries();
        let mut buffers = vec![words.len()];
        let mut buffer = |words: usize| {
            buffers.push(words);
            BufferId(buffers.len() - 1)
        };
        let input = BufferId(0);
        let (codes, bits) = (buffer(words.len() / 4), buffer(words.len() / 4));
        let [steps, fixed_steps] = [(); 2].map(|()| buffer(QUERIES));
        let (lists, best) = (buffer(QUERIES * LISTS * K * 2), buffer(QUERIES * K * 2));
        let (spikes, potential) = (buffer(QUERIES * STEPS * NEURONS / 32), buffer(QUERIES * NEURONS));
        let near = buffer(QUERIES * STEPS * K * 2);
        let (euclid, out) = (buffer(AGAIN * K * 2), buffer(RUNS * AGAIN_STEPS * NEURONS / 32));
        let last = buffer(RUNS * NEURONS);
        let encode = Encode { rows: QUERIES, width: WIDTH, range: Range::Row, input, codes, steps };
        let fixed = Encode { range: Range::Fixed { step: 0.01 }, codes: bits, steps: fixed_steps, ..encode };
        let group = ROWS.div_ceil(LISTS);
        let scan = Scan {
            queries: QUERIES,
            width: WIDTH,
            k: K,
            first: 3,
            rows: ROWS - 3,
            group,
            input: codes,
            vectors: WeightId(0),
            filter: None,
            out: lists,
        };
        let whole = Scan { first: 0, rows: ROWS, group: ROWS, ..scan };
        let of_bits = Scan {
            queries: QUERIES * STEPS,
            width: NEURONS,
            input: spikes,
            vectors: WeightId(2),
            out: near,
            ..whole
        };
        let filtered = Scan {
            queries: AGAIN,
            input: near,
            vectors: WeightId(3),
            filter: Some(bits),
            out: euclid,
            ..whole
        };
        let recurrent = Lif {
            batch: QUERIES,
            steps: STEPS,
            inputs: INPUTS,
            outputs: NEURONS,
            spikes: best,
            layer: WeightId(1),
            out: spikes,
            potential,
        };
        let forward = Lif {
            batch: RUNS,
            steps: AGAIN_STEPS,
            spikes: euclid,
            layer: WeightId(4),
            out,
            potential: last,
            ..recurrent
        };
        let steps = vec![
            Step::Encode(encode),
            Step::Distance(scan),
            Step::TopK(TopK { queries: QUERIES, lists: LISTS, k: K, input: lists, out: best }),
            Step::Lif(recurrent),
            Step::Hamming(of_bits),
            Step::Encode(fixed),
            Step::Distance(filtered),
            Step::Lif(forward),
        ];
        let uploads = vec![Upload { buffer: input, words }];
        Plan { buffers, uploads, steps, output: out, agreement: Agreement::Exact }
    }
}

impl Weights for Golden {
    fn len(&self) -> usize {
        5
    }

    fn get(&self, id: WeightId) -> Weight<'_> {
        match id.0 {
            0 => Weight::Vectors(Vectors {
                width: WIDTH,
                codes: Cow::Borrowed(&self.codes),
                score: Score::Scaled(Cow::Borrowed(&self.multipliers)),
            }),
            1 => Weight::Lif(self.layer.weight(Some(Cow::Borrowed(&self.layer.recurrent)), Reset::Subtract)),
            2 => Weight::BitVectors(BitVectors { width: NEURONS, bits: Cow::Borrowed(&self.bits) }),
            3 => Weight::Vectors(Vectors {
                width: WIDTH,
                codes: Cow::Borrowed(&self.codes),
                score: Score::Euclid(Cow::Borrowed(&self.norms)),
            }),
            _ => Weight::Lif(self.layer.weight(None, Reset::ZeroNext)),
        }
    }
}

/// Finite floats of many sizes, subnormal ones among them, as words.
fn queries() -> Vec<u32> {
    let mut random = Random(7);
    let values = (0..QUERIES * WIDTH).map(|i| {
        let exponent = 100 + (random.word() % 40);
        (random.word() & 0x807f_ffff) | if i % 11 == 0 { 0 } else { exponent << 23 }
    });
    values.collect()
}

impl Layer {
    fn weight<'a>(&'a self, recurrent: Option<Cow<'a, [i8]>>, reset: Reset) -> LifWeight<'a> {
        LifWeight {
            inputs: INPUTS,
            outputs: NEURONS,
            q: Cow::Borrowed(&self.q),
            recurrent,
            shift: 4,
            leak: Cow::Borrowed(&self.leak),
            threshold: Cow::Borrowed(&self.threshold),
            bias: Cow::Borrowed(&self.bias),
            reset,
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
/// The Hamming lists hold words for so many queries of the second scan.
const AGAIN: usize = 15;
/// `AGAIN * K * 2` words are so many steps, of `INPUTS` bits, of so many runs.
const RUNS: usize = 5;
const AGAIN_STEPS: usize = 24;

/// SHA-256 of the output words, as the oracle computes them.
const DIGEST: [u8; 32] = [
    29, 244, 6, 29, 28, 217, 134, 132, 142, 44, 101, 184, 243, 70, 242, 91, 232, 182, 134, 225, 124, 6, 13,
    161, 117, 187, 163, 193, 179, 103, 223, 223,
];
