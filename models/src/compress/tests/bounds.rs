use proptest::prelude::*;

use super::*;

/// Values of every size, with many zeros.
fn ugly() -> impl Strategy<Value = f32> {
    prop_oneof![
        2 => Just(0.0f32),
        1 => Just(-0.0f32),
        6 => -1.0f32..1.0,
        2 => any::<u32>().prop_map(|bits| f32::from_bits(bits & 0xbfff_ffff)),
        1 => prop_oneof![Just(f32::MAX), Just(f32::MIN), Just(f32::MIN_POSITIVE), Just(f32::from_bits(1))],
        1 => (any::<bool>(), -3i32..4).prop_map(|(negative, ulps)| {
            let edge = f32::from_bits((plan::ENCODE_MIN.to_bits() as i32 + ulps) as u32);
            if negative { -edge } else { edge }
        }),
    ]
}

fn rows() -> impl Strategy<Value = (usize, Vec<f32>)> {
    let width = prop_oneof![1..10usize, 30..35usize, 60..70usize];
    width.prop_flat_map(|width| (Just(width), 1..5usize)).prop_flat_map(|(width, rows)| {
        let row = prop_oneof![
            4 => prop::collection::vec(ugly(), width),
            4 => prop::collection::vec(-1.0f32..1.0, width),
            1 => Just(vec![0.0; width]),
            1 => ugly().prop_map(move |x| vec![x; width]),
        ];
        (Just(width), prop::collection::vec(row, rows).prop_map(|rows| rows.concat()))
    })
}

/// Values whose decoded form lies beyond the bound, which `widen` scales.
fn beyond_bound(values: &[f32], width: usize, codec: Codec, widen: f64) -> usize {
    let coded = encoded(values, width, codec);
    let decoded = coded.decode();
    assert!(decoded.iter().all(|y| y.is_finite()), "{codec:?}");
    let bounds: Vec<f64> = (0..coded.rows()).flat_map(|row| coded.error_bound(row).unwrap()).collect();
    let beyond =
        |((x, y), bound): &((&f32, &f32), &f64)| (f64::from(**x) - f64::from(**y)).abs() > *bound * widen;
    values.iter().zip(&decoded).zip(&bounds).filter(beyond).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scalar_codes_keep_their_bounds((width, values) in rows()) {
        for codec in [Codec::Int8, Codec::Int4] {
            prop_assert_eq!(beyond_bound(&values, width, codec, 1.0), 0, "{:?}", codec);
        }
    }

    #[test]
    fn int8_is_as_it_is_defined((width, values) in rows()) {
        let coded = encoded(&values, width, Codec::Int8);
        let (codes, steps) = coded.int8().unwrap();
        for ((row, codes), &step) in values.chunks_exact(width).zip(codes.chunks_exact(width)).zip(steps) {
            let most = row.iter().fold(0f32, |most, x| most.max(x.abs()));
            let zero = most < 2f32.powi(-100);
            prop_assert_eq!(step, if zero { 0.0 } else { most / 127.0 });
            for (x, &code) in row.iter().zip(codes) {
                let wanted = if zero { 0.0 } else { (x * (127.0 / most)).round_ties_even().clamp(-127.0, 127.0) };
                prop_assert_eq!(f32::from(code), wanted, "{} of {}", x, most);
            }
        }
    }

    /// Signs with the mean magnitude are nearer than nothing: the relative error of a row is at most 1.
    #[test]
    fn binary_loses_at_most_everything((width, values) in rows()) {
        for row in values.chunks_exact(width) {
            let vectors = Vectors::new(row, width).unwrap();
            let coded = encoded(row, width, Codec::Binary);
            prop_assert!(coded.loss(vectors).unwrap().relative_l2 <= 1.0 + 1e-6);
            for (c, x) in row.iter().enumerate() {
                prop_assert_eq!(coded.bits().unwrap()[c / 32] >> (c % 32) & 1 == 1, *x > 0.0);
            }
        }
    }

    /// Every codec takes every finite row, and its file comes back as the same bytes.
    #[test]
    fn every_row_comes_through_its_file((width, values) in rows(), bits in prop_oneof![Just(4u32), Just(8)]) {
        let product = Codec::Product { subspaces: width, bits };
        for codec in [Codec::Int8, Codec::Int4, Codec::Binary, product, Codec::product(width)] {
            let coded = encoded(&values, width, codec);
            let bytes = coded.to_bytes();
            prop_assert_eq!(bytes.len() as u64, codec.container_bytes(width, values.len() / width));
            let read = Compressed::from_bytes(&bytes).unwrap();
            prop_assert!(read.to_bytes() == bytes && read.codec() == codec);
            prop_assert!(read.decode().iter().all(|y| y.is_finite()));
            for metric in [Metric::Cosine, Metric::L2, Metric::Dot] {
                let [a, b] = [&coded, &read].map(|c| c.search(&values[..width], 3, metric).unwrap());
                prop_assert!(a.iter().all(|hit| hit.score.is_finite()));
                prop_assert_eq!(a, b);
            }
        }
    }
}

#[test]
fn a_planted_fault_is_caught() {
    let values = noise(3, 64 * 100);
    for codec in [Codec::Int8, Codec::Int4] {
        assert_eq!(beyond_bound(&values, 64, codec, 1.0), 0);
        // The bound is not slack either.
        assert!(beyond_bound(&values, 64, codec, 0.98) > 0);
    }
}

/// Just below the largest float, where a code times its step could round beyond.
#[test]
fn the_largest_rows_decode_to_finite_values() {
    let values: Vec<f32> = (0..20_000).map(|i| f32::from_bits(f32::MAX.to_bits() - i * 419)).collect();
    for codec in [Codec::Int8, Codec::Int4] {
        assert_eq!(beyond_bound(&values, 1, codec, 1.0), 0);
        assert!(Compressed::from_bytes(&encoded(&values, 1, codec).to_bytes()).is_ok());
    }
}

#[test]
fn one_outlier_costs_int4_one_block() {
    let mut values = noise(4, 128);
    values[5] = 1000.0;
    let coded = encoded(&values, 128, Codec::Int4);
    let decoded = coded.decode();
    let worst =
        |range: std::ops::Range<usize>| range.map(|i| (values[i] - decoded[i]).abs()).fold(0.0, f32::max);
    assert!(worst(0..32) > 0.5 && worst(32..128) < 0.4, "{} {}", worst(0..32), worst(32..128));
}

#[test]
fn product_codes_lose_less_with_more_bytes() {
    let values = clusters(2000, 48);
    let vectors = Vectors::new(&values, 48).unwrap();
    let loss = |subspaces, bits| {
        encoded(&values, 48, Codec::Product { subspaces, bits }).loss(vectors).unwrap().relative_l2
    };
    let losses = [loss(24, 8), loss(12, 8), loss(12, 4), loss(3, 4)];
    assert!(losses.is_sorted_by(|a, b| a < b) && losses[0] < 0.1 && losses[3] < 0.6, "{losses:?}");
}

#[test]
fn bad_vectors_are_named() {
    let refused = |values: &[f32], width| Vectors::new(values, width).unwrap_err();
    assert_eq!(refused(&[1.0], 0), CompressError::Width { found: 0 });
    assert_eq!(refused(&[1.0], MAX_WIDTH + 1), CompressError::Width { found: MAX_WIDTH + 1 });
    assert_eq!(refused(&[], 3), CompressError::Empty);
    assert_eq!(refused(&[1.0; 7], 3), CompressError::Ragged { values: 7, width: 3 });
    let encode = |values: &[f32], codec| {
        Compressed::encode(Vectors::new(values, 48).unwrap(), codec, Machine::PLAIN).unwrap_err()
    };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = noise(5, 48 * 400);
        values[48 * 333 + 17] = bad;
        for codec in CODECS {
            assert_eq!(encode(&values, codec), CompressError::NotFinite { row: 333, column: 17 });
        }
    }
    let values = [0.5; 48];
    let product = |subspaces, bits| encode(&values, Codec::Product { subspaces, bits });
    assert_eq!(product(7, 8), CompressError::Subspaces { subspaces: 7, width: 48 });
    assert_eq!(product(0, 8), CompressError::Subspaces { subspaces: 0, width: 48 });
    assert_eq!(product(12, 5), CompressError::Bits { found: 5 });
    let other = encoded(&[0.5; 96], 48, Codec::Int8).loss(Vectors::new(&values, 48).unwrap()).unwrap_err();
    assert_eq!(other, CompressError::Shape { found: (1, 48), wanted: (2, 48) });
}
