//! Damaged and deceitful files.

use std::sync::Arc;

use models::search::hnsw::{Ask, FileError, Hnsw, Metric, Params, ParamsError, Searcher};
use sha2::{Digest, Sha256};

use crate::{
    generated::Lcg,
    support::{COMPUTE, Plain},
};

const WIDTH: usize = 6;
const ROWS: usize = 70;

/// Writes the checksum that belongs to the rest.
pub(crate) fn seal(bytes: &mut [u8]) {
    let (body, digest) = bytes.split_at_mut(bytes.len() - 32);
    digest.copy_from_slice(&Sha256::digest(body));
}

fn small(metric: Metric) -> Vec<u8> {
    let params = Params { m: 2, ef_construction: 8, ..Params::new(WIDTH, metric) };
    let mut index = Hnsw::new(params).unwrap();
    let mut random = Lcg::new(1);
    let vectors: Vec<f32> = (0..ROWS * WIDTH).map(|_| (random.below(201) - 100) as f32).collect();
    index.insert(&(0..ROWS as u64).collect::<Vec<_>>(), &vectors, COMPUTE).unwrap();
    index.delete(&[3, 50]);
    index.to_bytes()
}

fn load(bytes: Vec<u8>) -> Result<Hnsw, FileError> {
    Hnsw::load(Arc::new(bytes))
}

#[test]
fn a_file_returns_as_it_was_wherever_it_lies() {
    for metric in [Metric::Cosine, Metric::L2, Metric::Dot] {
        let bytes = small(metric);
        for shift in [0, 1, 4, 8] {
            let shifted = Shifted { bytes: [vec![0; shift], bytes.clone()].concat(), shift };
            let index = Hnsw::load(Arc::new(shifted)).unwrap();
            assert_eq!(index.to_bytes(), bytes);
            assert_eq!((index.len(), index.rows()), (ROWS - 2, ROWS));
        }
    }
    let empty = Hnsw::new(Params::new(WIDTH, Metric::Dot)).unwrap();
    let loaded = load(empty.to_bytes()).unwrap();
    assert_eq!((loaded.params(), loaded.rows()), (empty.params(), 0));
}

struct Shifted {
    bytes: Vec<u8>,
    shift: usize,
}

impl AsRef<[u8]> for Shifted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.shift..]
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let bytes = small(Metric::Cosine);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let found = load(flipped).expect_err("a flipped bit");
        match at {
            0..8 => assert_eq!(found, FileError::Magic),
            8..12 => assert!(matches!(found, FileError::Version(_))),
            _ => assert_eq!(found, FileError::Checksum),
        }
        assert!(load(bytes[..at].to_vec()).is_err(), "cut to {at}");
    }
    assert!(load([bytes.clone(), vec![0]].concat()).is_err());
}

/// Where the sections of [`small`] begin.
struct Places {
    ids: usize,
    dead: usize,
    codes: usize,
    links: usize,
    upper: usize,
    floats: usize,
}

fn places(bytes: &[u8]) -> Places {
    let lists = u64::from_le_bytes(bytes[48..56].try_into().unwrap()) as usize;
    let after = |at: usize, len: usize| (at + len).next_multiple_of(64);
    let ids = 64;
    let dead = after(ids, 8 * ROWS);
    let codes = after(dead, 8 * ROWS.div_ceil(64));
    let links = after(codes, ROWS * WIDTH);
    let upper = after(links, ROWS * 16);
    Places { ids, dead, codes, links, upper, floats: after(upper, lists * 8) }
}

/// What loading says after `bytes` were put at `at` and the checksum made to fit.
fn with(at: usize, put: &[u8]) -> FileError {
    let mut bytes = small(Metric::L2);
    bytes[at..at + put.len()].copy_from_slice(put);
    seal(&mut bytes);
    load(bytes).expect_err("a planted defect")
}

#[test]
fn every_defect_has_its_error() {
    let bytes = small(Metric::L2);
    let at = places(&bytes);
    let header = |field, value| FileError::Header { field, value };
    assert_eq!(with(12, &[3]), header("metric", 3));
    assert_eq!(with(28, &[2]), header("flags", 2));
    assert_eq!(with(60, &[1]), header("the last word", 1));
    assert_eq!(with(40, &u64::MAX.to_le_bytes()), header("rows", u64::MAX));
    assert_eq!(with(48, &u64::MAX.to_le_bytes()), header("upper lists", u64::MAX));
    assert_eq!(with(56, &[0; 4]), header("scale", 0));
    assert!(matches!(with(56, &f32::NAN.to_le_bytes()), FileError::Params(ParamsError::Scale(_))));
    assert!(matches!(with(16, &[0; 4]), FileError::Params(ParamsError::Range { field: "width", .. })));
    assert!(matches!(with(20, &[0; 4]), FileError::Params(ParamsError::Range { field: "m", .. })));
    assert!(matches!(with(24, &[0xff; 4]), FileError::Params(ParamsError::Range { .. })));
    assert!(matches!(with(40, &[200]), FileError::Length { .. }));
    assert!(matches!(
        with(32, &[1]),
        FileError::Header { field: "upper lists", .. } | FileError::Link { .. }
    ));
    assert_eq!(with(at.ids + 8, &0u64.to_le_bytes()), FileError::DuplicateId(0));
    assert_eq!(with(at.dead + 15, &[0x80]), FileError::Padding("dead"));
    assert_eq!(with(at.codes - 1, &[1]), FileError::Padding("dead"));
    assert_eq!(with(at.codes + WIDTH, &[0x80]), FileError::Code { row: 1 });
    assert_eq!(with(at.floats + 4 * WIDTH, &f32::INFINITY.to_le_bytes()), FileError::NotFinite { row: 1 });
    let link = |row, layer, link| FileError::Link { row, layer, link };
    assert_eq!(with(at.links, &(ROWS as u32).to_le_bytes()), link(0, 0, ROWS as u32));
    assert_eq!(with(at.links + 16, &1u32.to_le_bytes()), link(1, 0, 1));
    let first: [u8; 4] = bytes[at.links..at.links + 4].try_into().unwrap();
    let twice = with(at.links, &[first, first, [0xff; 4], [0xff; 4]].concat());
    assert_eq!(twice, link(0, 0, u32::from_le_bytes(first)));
    assert_eq!(
        with(at.links, &[[0xff; 4], first, [0xff; 4], [0xff; 4]].concat()),
        link(0, 0, u32::from_le_bytes(first))
    );
    let ground = (0..ROWS as u64).find(|&id| models::search::hnsw::level(id, 0, 2) == 0).unwrap() as u32;
    let above = with(at.upper, &ground.to_le_bytes());
    assert!(matches!(above, FileError::Link { layer: 1, link, .. } if link == ground), "{above:?}");
}

#[test]
fn random_damage_with_a_valid_checksum_never_panics() {
    let (mut random, mut accepted, mut refused) = (Lcg::new(3), 0, 0);
    let mut searcher = Searcher::default();
    for round in 0..1500 {
        let metric = [Metric::Cosine, Metric::L2, Metric::Dot][round % 3];
        let mut bytes = small_once(metric);
        for _ in 0..=random.below(4) {
            // Half of the damage is small numbers, which are more often plausible.
            let at = random.below(bytes.len() as u32 - 32) as usize;
            bytes[at] = if random.below(2) == 0 { random.below(80) as u8 } else { random.word() as u8 };
        }
        seal(&mut bytes);
        let Ok(mut index) = load(bytes) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let ask = Ask { k: 5, ef: 1, filter: Some(&|id| id % 3 != 0) };
        let width = index.params().width;
        assert!(index.search(&vec![1.0; width], &ask, &Plain, &mut searcher).unwrap().len() <= 5);
        index.search_codes(&vec![1; width], &Ask { filter: None, ..ask }, &Plain, &mut searcher).unwrap();
        index.delete(&[0, 1, 2]);
        index.update(&[7, 1000], &vec![2.0; 2 * width], COMPUTE).unwrap();
        index.compact(COMPUTE);
        assert_eq!(load(index.to_bytes()).unwrap().len(), index.len());
    }
    assert!(accepted > 150 && refused > 150, "{accepted} accepted, {refused} refused");
}

fn small_once(metric: Metric) -> Vec<u8> {
    static FILES: std::sync::OnceLock<[Vec<u8>; 3]> = std::sync::OnceLock::new();
    FILES.get_or_init(|| [Metric::Cosine, Metric::L2, Metric::Dot].map(small))[metric as usize].clone()
}
