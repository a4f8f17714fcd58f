use aead_stream::{EncryptorBE32, aead::Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use proptest::prelude::*;

use super::{wycheproof, *};

/// A fixed sequence in place of randomness.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0u8;
    move |bytes| bytes.iter_mut().for_each(|b| (*b = next, next = next.wrapping_add(1)).0)
}

fn portable(byte: u8) -> Portable {
    Portable::new(&Key::new([byte; KEY_BYTES]))
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn wycheproof_vectors_pass() {
    let wrong = wycheproof::failures(&|key| Box::new(Portable::new(&key.try_into().expect("a key"))));
    assert!(wrong.is_none_or(|ids| ids.is_empty()));
}

/// A cipher that does not look at tags.
struct Careless(Portable);

impl Aead256 for Careless {
    fn seal_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; 16], EncryptionError> {
        self.0.seal_in_place(nonce, aad, data)
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        _: &[u8],
        data: &mut [u8],
        _: &[u8; 16],
    ) -> Result<(), EncryptionError> {
        self.0.seal_in_place(nonce, &[], data).map(drop)
    }
}

#[test]
fn a_planted_fault_is_caught() {
    let careless = |key: &[u8]| Box::new(Careless(Portable::new(&key.try_into().expect("a key")))) as Box<_>;
    assert!(wycheproof::failures(&careless).is_none_or(|ids| ids.len() == 27));
    let careless = Careless(portable(1));
    let sealed = seal_stream(&careless, &mut counting(), b"", &data(40)).unwrap();
    assert!(!changes_that_open(&careless, &sealed).is_empty());
}

#[test]
fn a_message_comes_back_and_nothing_else_opens() {
    let aead = portable(1);
    let sealed = seal(&aead, &mut counting(), b"about", b"secret").unwrap();
    assert_eq!(sealed.len(), 12 + 6 + 16);
    assert_eq!(open(&aead, b"about", &sealed).unwrap(), b"secret");
    assert_eq!(open(&portable(2), b"about", &sealed), Err(EncryptionError::Authentication));
    assert_eq!(open(&aead, b"other", &sealed), Err(EncryptionError::Authentication));
    for i in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[i] ^= 1;
        assert_eq!(open(&aead, b"about", &changed), Err(EncryptionError::Authentication), "byte {i}");
        let cut = open(&aead, b"about", &sealed[..i]).unwrap_err();
        let short = EncryptionError::TooShort { found: i, wanted: 28 };
        assert_eq!(cut, if i < 28 { short } else { EncryptionError::Authentication });
    }
    let mut random = counting();
    let [a, b] = [(); 2].map(|()| seal(&aead, &mut random, b"", b"same").unwrap());
    assert_ne!(a[..12], b[..12]);
}

#[test]
fn keys_have_one_length_and_are_not_printed() {
    assert_eq!(Key::try_from(&[0; 31][..]).unwrap_err(), EncryptionError::KeyLength { found: 31 });
    assert_eq!(format!("{:?}", Key::new([0xab; 32])), "Key(..)");
    assert_eq!(Key::generate(&mut counting()).bytes()[..3], [0, 1, 2]);
}

/// The kept crate's STREAM gives the same bytes.
#[test]
fn streams_are_those_of_aead_stream() {
    let key = [9; KEY_BYTES];
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5]
    {
        let plain = data(length);
        let ours = seal_stream(&portable(9), &mut counting(), b"aad", &plain).unwrap();
        let aad = [&ours[..HEADER_BYTES], b"aad"].concat();
        let prefix: [u8; 7] = ours[HEADER_BYTES - 7..HEADER_BYTES].try_into().unwrap();
        assert_eq!(prefix, [0, 1, 2, 3, 4, 5, 6]);
        let mut theirs = ours[..HEADER_BYTES].to_vec();
        let mut stream = EncryptorBE32::from_aead(Aes256Gcm::new(&key.into()), &prefix.into());
        let last = length.saturating_sub(1) / CHUNK_BYTES * CHUNK_BYTES;
        for msg in plain[..last].chunks(CHUNK_BYTES) {
            theirs.extend(stream.encrypt_next(Payload { msg, aad: &aad }).unwrap());
        }
        theirs.extend(stream.encrypt_last(Payload { msg: &plain[last..], aad: &aad }).unwrap());
        assert!(ours == theirs, "{length} bytes");
        assert!(open_stream(&portable(9), b"aad", &ours).unwrap() == plain);
    }
}

/// Positions whose change, or cut, goes unseen.
fn changes_that_open(aead: &dyn Aead256, sealed: &[u8]) -> Vec<usize> {
    let opens = |bytes: &[u8]| open_stream(aead, b"", bytes).is_ok();
    let changed = |i: usize| {
        let mut bytes = sealed.to_vec();
        bytes[i] ^= 0x10;
        bytes
    };
    (0..sealed.len()).filter(|&i| opens(&changed(i)) || opens(&sealed[..i])).collect()
}

#[test]
fn no_change_of_a_small_stream_opens() {
    let aead = portable(3);
    for length in [0, 1, 40] {
        let sealed = seal_stream(&aead, &mut counting(), b"", &data(length)).unwrap();
        assert_eq!(changes_that_open(&aead, &sealed), Vec::<usize>::new());
        assert!(open_stream(&aead, b"", &[&sealed[..], &[0]].concat()).is_err());
        assert!(
            open_stream(&aead, b"x", &sealed).is_err() && open_stream(&portable(4), b"", &sealed).is_err()
        );
    }
}

#[test]
fn whole_chunks_cannot_be_swapped_dropped_repeated_or_cut_off() {
    let aead = portable(5);
    let sealed = seal_stream(&aead, &mut counting(), b"", &data(3 * CHUNK_BYTES + 9)).unwrap();
    let (header, body) = sealed.split_at(HEADER_BYTES);
    let chunks: Vec<&[u8]> = body.chunks(CHUNK_BYTES + TAG_BYTES).collect();
    assert_eq!(chunks.len(), 4);
    let arranged = |order: &[usize]| {
        let body: Vec<&[u8]> = order.iter().map(|&i| chunks[i]).collect();
        open_stream(&aead, b"", &[header, &body.concat()].concat())
    };
    assert!(arranged(&[0, 1, 2, 3]).is_ok());
    for order in [&[1, 0, 2, 3][..], &[0, 2, 3], &[0, 0, 1, 2, 3], &[0, 1, 2], &[0], &[0, 1, 2, 3, 3], &[3]] {
        assert_eq!(arranged(order), Err(EncryptionError::Authentication), "{order:?}");
    }
    assert_eq!(arranged(&[]), Err(EncryptionError::TooShort { found: 0, wanted: 16 }));
}

/// An empty last chunk after others is another spelling of the same data, and refused even from who holds the key.
#[test]
fn a_stream_has_one_form() {
    let aead = portable(5);
    let sealed = seal_stream(&aead, &mut counting(), b"", &data(CHUNK_BYTES)).unwrap();
    let mut nonce = [0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0];
    let mut forged = sealed[..HEADER_BYTES].to_vec();
    let mut chunk = data(CHUNK_BYTES);
    let tag = aead.seal_in_place(&nonce, &sealed[..HEADER_BYTES], &mut chunk).unwrap();
    forged.extend_from_slice(&chunk);
    forged.extend_from_slice(&tag);
    (nonce[10], nonce[11]) = (1, 1);
    forged.extend_from_slice(&aead.seal_in_place(&nonce, &sealed[..HEADER_BYTES], &mut []).unwrap());
    assert_eq!(open_stream(&aead, b"", &forged), Err(EncryptionError::TooShort { found: 16, wanted: 17 }));
}

#[test]
fn headers_are_checked() {
    let aead = portable(6);
    let sealed = seal_stream(&aead, &mut counting(), b"", b"text").unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = sealed.clone();
        bytes[at] = byte;
        open_stream(&aead, b"", &bytes).unwrap_err()
    };
    assert_eq!(with(0, b'X'), EncryptionError::Magic);
    assert_eq!(with(8, 2), EncryptionError::Version { found: 2, wanted: 1 });
    assert_eq!(with(9, 12), EncryptionError::Version { found: 1, wanted: 1 });
    let cut = open_stream(&aead, b"", &sealed[..5]).unwrap_err();
    assert_eq!(cut, EncryptionError::TooShort { found: 5, wanted: HEADER_BYTES });
    let found = MAX_AAD_BYTES + 1;
    let refused = seal_stream(&aead, &mut counting(), &vec![0; found], b"").unwrap_err();
    assert_eq!(refused, EncryptionError::AadTooLong { found });
}

/// A failed opener stays failed and gives nothing.
#[test]
fn nothing_comes_out_after_a_failure() {
    let aead = portable(7);
    let mut sealed = seal_stream(&aead, &mut counting(), b"", &data(3 * CHUNK_BYTES)).unwrap();
    sealed[HEADER_BYTES + 5] ^= 1;
    let (mut out, mut opener) = (Vec::new(), Opener::new(&aead, b"").unwrap());
    assert_eq!(opener.push(&sealed, &mut out), Err(EncryptionError::Authentication));
    assert_eq!(opener.push(&sealed[100..], &mut out), Err(EncryptionError::Authentication));
    assert_eq!(opener.finish(&mut out), Err(EncryptionError::Authentication));
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the data is cut into pushes, the bytes are the same.
    #[test]
    fn pushes_of_any_size_give_one_stream(
        length in prop_oneof![0..200usize, CHUNK_BYTES - 2..CHUNK_BYTES + 3, 2 * CHUNK_BYTES - 20..2 * CHUNK_BYTES + 20],
        cuts in prop::collection::vec(1..CHUNK_BYTES + 40, 1..6),
    ) {
        let (aead, plain) = (portable(8), data(length));
        let whole = seal_stream(&aead, &mut counting(), b"a", &plain).unwrap();
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        let mut sealer = Sealer::new(&aead, &mut counting(), b"a", &mut sealed).unwrap();
        pieces(&plain, &cuts, |piece| sealer.push(piece, &mut sealed).unwrap());
        sealer.finish(&mut sealed).unwrap();
        prop_assert!(sealed == whole);
        let mut opener = Opener::new(&aead, b"a").unwrap();
        pieces(&sealed, &cuts, |piece| opener.push(piece, &mut opened).unwrap());
        opener.finish(&mut opened).unwrap();
        prop_assert!(opened == plain);
    }

    /// Bytes from anywhere never panic and never open.
    #[test]
    fn noise_does_not_open(mut bytes in prop::collection::vec(any::<u8>(), 0..300), headed in any::<bool>()) {
        let aead = portable(8);
        let header = seal_stream(&aead, &mut counting(), b"", b"").unwrap();
        if headed && bytes.len() >= HEADER_BYTES {
            bytes[..HEADER_BYTES].copy_from_slice(&header[..HEADER_BYTES]);
        }
        prop_assert!(open_stream(&aead, b"", &bytes).is_err());
        prop_assert!(open(&aead, b"", &bytes).is_err());
    }
}

fn pieces(mut data: &[u8], cuts: &[usize], mut push: impl FnMut(&[u8])) {
    for &cut in cuts.iter().cycle() {
        let (head, rest) = data.split_at(cut.min(data.len()));
        push(head);
        data = rest;
        if data.is_empty() {
            break;
        }
    }
}
