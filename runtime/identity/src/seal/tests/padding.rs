use super::{
    super::{padding::*, payload::check_sealed},
    *,
};

#[test]
fn lengths_are_powers_of_two_then_eighths() {
    for (content, padded) in [
        (0, 64),
        (64, 64),
        (65, 128),
        (513, 1_024),
        (1_024, 1_024),
        (1_025, 1_152),
        (1_153, 1_280),
        (1_921, 2_048),
        (2_048, 2_048),
        (2_049, 2_304),
        (1_000_000, 1_048_576),
        (MAX_PLAIN_BYTES + 40, 72 << 20),
    ] {
        assert_eq!(padded_bytes(content), padded, "{content}");
    }
}

#[test]
fn padding_covers_adds_an_eighth_at_most_and_is_stable() {
    let mut last = 0;
    let mut lengths = 0;
    for content in 0..20_000 {
        let padded = padded_bytes(content);
        assert!(padded >= content && padded >= last && padded_bytes(padded) == padded);
        assert!(content <= 1_024 || (padded - content) * 8 < content + 8);
        lengths += usize::from(padded != last);
        last = padded;
    }
    // 64 to 1,024, and eight for each doubling.
    assert_eq!(lengths, 5 + 8 * 4 + 2);
}

#[test]
fn the_wire_shows_only_padded_lengths() {
    let mut seen = std::collections::BTreeSet::new();
    for length in 0..600 {
        seen.insert(World::new(&vec![1; length], 41).payload.encode().len());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [64, 128, 256, 512, 1_024].map(|n| n + 17 + 16));
}

/// A decoder takes a length exactly if something padded has it when sealed.
#[test]
fn only_sealed_lengths_decode() {
    let contents = (0..80_000).map(padded_bytes).filter(|&n| n <= 70_000);
    let sealed: std::collections::BTreeSet<usize> =
        contents.map(|n| 17 + n + n.div_ceil(65_536) * 16).collect();
    let bytes = vec![0; 66_000];
    for length in 0..bytes.len() {
        assert_eq!(check_sealed("", &bytes[..length]).is_ok(), sealed.contains(&length), "{length} bytes");
    }
}

#[test]
fn more_than_the_cap_is_refused_by_its_length() {
    let long = vec![0; (72 << 20) + 17 + 1_152 * 16 + 1];
    let refused = SealedPayload::decode(&long).unwrap_err();
    assert!(matches!(refused, crate::DecodeError::TooMany { found, .. } if found == long.len()));
    assert!(SealedPayload::decode(&long[..long.len() - 1]).is_ok());
}
