use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Containers of 300 rows of 48 integers over 2^23, the same on every target.
const PINNED: [&str; 5] = [
    "b481753e0ff294d2a8ed5da6ec67bacac978dfd25969c2be9c0fa66df4063595",
    "491d15a3da80c82540874a02d0c20b2053756b232bfe74d55f568d6527db812f",
    "63f3890edd77adfa48b01a2381002af38ee074406428133e06ea003dabefcebb",
    "bf9e236d34701b95d3ce8b36e1bd2f5c28ae095528f6f47f25bc144c0970cc07",
    "1369dfbc12f5f1d0e9953df294632dd6c83b24db15acdf0445b1406b255f0c6c",
];

#[test]
fn files_have_the_pinned_bytes() {
    let values = noise(12, 300 * 48);
    let digests = CODECS.map(|codec| hex(&Sha256::digest(encoded(&values, 48, codec).to_bytes())));
    assert_eq!(digests, PINNED);
}

/// A file with a change that its checksum covers.
fn forged(codec: Codec, change: impl FnOnce(&mut Vec<u8>)) -> ContainerError {
    let mut bytes = encoded(&noise(13, 5 * 33), 33, codec).to_bytes();
    bytes.truncate(bytes.len() - 32);
    change(&mut bytes);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    Compressed::from_bytes(&bytes).unwrap_err()
}

#[test]
fn every_header_field_is_checked() {
    let set = |at: usize, value: u8| forged(Codec::Int8, |bytes| bytes[at] = value);
    let field = |field, found| ContainerError::Field { field, found };
    assert_eq!(set(0, b'X'), ContainerError::Magic);
    assert_eq!(set(8, 2), ContainerError::Version { found: 2, wanted: 1 });
    assert_eq!(set(10, 9), field("codec", 9));
    assert_eq!(set(11, 8), field("bits", 8));
    assert_eq!(set(12, 0), field("width", 0));
    assert_eq!(set(14, 1), field("width", 0x1_0021));
    assert_eq!(set(16, 3), field("subspaces", 3));
    assert_eq!(set(20, 0), field("rows", 0));
    let wanted = 24 + 0xff00_0005 * 37 + 32;
    assert_eq!(set(23, 255), ContainerError::Length { found: 24 + 5 * 37 + 32, wanted });
    let product = Codec::Product { subspaces: 11, bits: 4 };
    let set = |at: usize, value: u8| forged(product, |bytes| bytes[at] = value);
    assert_eq!(set(11, 5), field("bits", 5));
    assert_eq!(set(16, 7), field("subspaces", 7));
    assert_eq!(set(16, 0), field("subspaces", 0));
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let payload = |part, index| ContainerError::Payload { part, index };
    let float = |codec, at: usize, value: f32| {
        forged(codec, |bytes| bytes[24 + 4 * at..][..4].copy_from_slice(&value.to_le_bytes()))
    };
    for codec in [Codec::Int8, Codec::Int4, Codec::Binary] {
        for bad in [f32::NAN, f32::INFINITY, -1.0, -0.0, 1e-40] {
            assert_eq!(float(codec, 2, bad), payload("steps", 2), "{codec:?} {bad}");
        }
    }
    assert_eq!(float(Codec::Int8, 2, f32::MAX), payload("steps", 2));
    assert_eq!(forged(Codec::Int8, |b| b[24 + 20 + 40] = 0x80), payload("codes", 40));
    assert_eq!(float(Codec::Int8, 0, 0.0), payload("codes", 0));
    assert_eq!(float(Codec::Int4, 0, 0.0), payload("multipliers", 0));
    assert_eq!(forged(Codec::Int4, |b| b[24 + 20 + 10] = 0x08), payload("codes", 0));
    assert_eq!(forged(Codec::Int4, |b| b[24 + 20 + 10 + 16] = 0x11), payload("padding", 0));
    assert_eq!(forged(Codec::Binary, |b| b[24 + 20 + 4] |= 2), payload("padding", 0));
    let product = Codec::Product { subspaces: 11, bits: 4 };
    assert_eq!(float(product, 0, 0.3), payload("scale", 0));
    assert_eq!(float(product, 4, f32::NAN), payload("centroids", 3));
    assert_eq!(float(product, 4, 5.0), payload("centroids", 3));
    assert_eq!(forged(product, |b| *b.last_mut().unwrap() |= 0x10), payload("padding", 4));
}

#[test]
fn every_change_and_cut_is_caught() {
    for codec in [Codec::Int8, Codec::Int4, Codec::Binary] {
        let bytes = encoded(&noise(14, 3 * 33), 33, codec).to_bytes();
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 0x40;
            assert!(Compressed::from_bytes(&changed).is_err(), "{codec:?}, byte {i}");
            assert!(Compressed::from_bytes(&bytes[..i]).is_err(), "{codec:?}, cut at {i}");
        }
        assert!(Compressed::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever passes is of the one form and can be used; whatever does not is an error.
    #[test]
    fn forged_files_never_panic(
        codec in prop::sample::select(CODECS.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        in_header in any::<bool>(),
    ) {
        let mut bytes = encoded(&noise(15, 4 * 48), 48, codec).to_bytes();
        bytes.truncate(bytes.len() - 32);
        let reach = if in_header { 28 } else { bytes.len() };
        changes.iter().for_each(|(at, value)| bytes[at.index(reach)] = *value);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        if let Ok(read) = Compressed::from_bytes(&bytes) {
            prop_assert!(read.to_bytes() == bytes);
            prop_assert!(read.decode().iter().all(|y| y.is_finite()));
            let hits = read.search(&noise(16, read.width()), 3, Metric::L2).unwrap();
            prop_assert!(hits.iter().all(|hit| hit.score.is_finite()));
        }
    }

    #[test]
    fn noise_is_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), headed in any::<bool>()) {
        if headed && bytes.len() > 12 {
            bytes[..12].copy_from_slice(b"ENVECTOR\x01\x00\x00\x00");
        }
        prop_assert!(Compressed::from_bytes(&bytes).is_err());
    }
}
