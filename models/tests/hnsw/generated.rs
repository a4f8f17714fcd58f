//! A generated collection, by integer arithmetic alone, and what its index must hash to on every machine.

use models::search::hnsw::{Compute, Hnsw, Metric, Params};

/// Values a vector.
pub(crate) const WIDTH: usize = 48;

/// SHA-256 of the file of [`built`], by metric.
pub(crate) const DIGESTS: [(Metric, &str); 3] = [
    (Metric::Cosine, "e96a08d30a2cb767123af8961f2f4d22c705d14ad045cb341a6409a7720eec4d"),
    (Metric::L2, "1c2e04a182a28c2916a27e9e42440aa7761f71ec877f27f92a7572c41c0e3360"),
    (Metric::Dot, "8546bbe097c087fdc19ae06e7a30384b138ec01cf52c36422e41b4e8a3263ef5"),
];

/// An index that went through every kind of change.
pub(crate) fn built(metric: Metric, compute: Compute) -> Hnsw {
    let params = Params { m: 8, ef_construction: 48, seed: 7, ..Params::new(WIDTH, metric) };
    let mut index = Hnsw::new(params).unwrap();
    let ids: Vec<u64> = (0..1500).map(|i| i * 3 % 1501).collect();
    let vectors = floats(&codes(ids.len(), 1));
    for (part, values) in [(0..1, 0), (1..700, 1), (700..1500, 700)].map(|(part, from)| (part, from * WIDTH))
    {
        let values = &vectors[values..][..part.len() * WIDTH];
        index.insert(&ids[part], values, compute).unwrap();
    }
    index.delete(&ids[200..330]);
    index.update(&ids[300..400], &floats(&codes(100, 2)), compute).unwrap();
    index
}

/// `[count][WIDTH]` codes in clusters, within +-120.
pub(crate) fn codes(count: usize, seed: u64) -> Vec<i8> {
    let mut centres = Lcg::new(77);
    let centres: Vec<i32> = (0..32 * WIDTH).map(|_| centres.below(161) - 80).collect();
    let mut random = Lcg::new(seed);
    let mut codes = Vec::with_capacity(count * WIDTH);
    for _ in 0..count {
        let centre = random.below(32) as usize;
        codes.extend(centres[centre * WIDTH..][..WIDTH].iter().map(|c| (c + random.below(81) - 40) as i8));
    }
    codes
}

/// Codes as floats, exact in both directions.
pub(crate) fn floats(codes: &[i8]) -> Vec<f32> {
    codes.iter().map(|&c| f32::from(c) / 128.0).collect()
}

/// Knuth's MMIX generator; the high bits are used.
pub(crate) struct Lcg(u64);

impl Lcg {
    pub(crate) fn new(seed: u64) -> Lcg {
        Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// A number in `0..end`.
    pub(crate) fn below(&mut self, end: u32) -> i32 {
        ((u64::from(self.word()) * u64::from(end)) >> 32) as i32
    }
}
