//! The two lookup tables of the format and the normal distribution they rest on.
//!
//! Everything is f64 `+ - * / sqrt` in a fixed order, so the tables come out the same on every target; the
//! platform's `exp` and `erfc` do not. A test shows how far each entry stays from a rounding boundary.

/// `EXP[i] = round(levels * 16 * 2^(-(i + 0.5) / 256))`: the fraction of a base-2 softmax exponent. `levels` is
/// [`BertConfig::probability_levels`](crate::bert::BertConfig::probability_levels).
pub(crate) fn exp2(levels: u32) -> Vec<u16> {
    (0..256).map(|i| round(exp2_exact(levels, i)) as u16).collect()
}

/// `GT[i] = round(1024 * a * Phi(-a))`, a = (4i + 2) / 1024: what GELU takes off `max(h, 0)`, Q10.
pub(crate) fn gelu() -> Vec<u8> {
    (0..GELU_ENTRIES).map(|i| round(gelu_exact(i)) as u8).collect()
}

/// The standard normal distribution function, absolute error below 1e-13 for |x| < 10.
pub(super) fn normal_cdf(x: f64) -> f64 {
    // Phi(x) = 1/2 + phi(x) (x + x^3/3 + x^5/15 + ...): all terms of one sign, so nothing cancels.
    let (mut term, mut sum) = (x, x);
    let mut odd = 1.0;
    while term.abs() > sum.abs() * 1e-17 {
        odd += 2.0;
        term = term * x * x / odd;
        sum += term;
    }
    0.5 + exp_neg(x * x / 2.0) / (2.0 * std::f64::consts::PI).sqrt() * sum
}

/// Entries of the GELU table; beyond it the difference rounds to 0.
pub(super) const GELU_ENTRIES: usize = 1280;

fn exp2_exact(levels: u32, i: u32) -> f64 {
    // 2^(-(2i + 1) / 512) as a product of 2^(-2^k / 512), each a repeated square root of 1/2.
    let mut value = f64::from(levels * 16);
    let mut root = 0.5;
    for bit in (0..9).rev() {
        root = f64::sqrt(root);
        if (2 * i + 1) >> bit & 1 == 1 {
            value *= root;
        }
    }
    value
}

fn gelu_exact(i: usize) -> f64 {
    let a = (i * 4 + 2) as f64 / 1024.0;
    1024.0 * a * normal_cdf(-a)
}

/// `e^-t` for t >= 0, by a Taylor series around 0 and repeated squaring.
fn exp_neg(t: f64) -> f64 {
    let x = t / 64.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=24 {
        term = term * x / f64::from(n);
        sum += term;
    }
    let mut power = sum;
    for _ in 0..6 {
        power *= power;
    }
    1.0 / power
}

fn round(value: f64) -> f64 {
    (value + 0.5).floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance_to_boundary(value: f64) -> f64 {
        (value + 0.5 - (value + 0.5).round()).abs()
    }

    #[test]
    fn no_entry_is_near_a_rounding_boundary() {
        let exp2 = [2047, 1023].iter().flat_map(|&levels| (0..256).map(move |i| exp2_exact(levels, i)));
        let least =
            exp2.chain((0..GELU_ENTRIES).map(gelu_exact)).map(distance_to_boundary).fold(1.0, f64::min);
        assert!(least > 1e-6, "an entry is {least} from a boundary");
    }

    #[test]
    fn agrees_with_the_platform() {
        for i in 0..256 {
            let wanted = 2047.0 * 16.0 * 2f64.powf(-(f64::from(i) + 0.5) / 256.0);
            assert!((exp2_exact(2047, i) - wanted).abs() < 1e-9);
        }
        for (t, wanted) in [(0.0, 1.0), (1.0, (-1f64).exp()), (13.0, (-13f64).exp()), (50.0, (-50f64).exp())]
        {
            assert!((exp_neg(t) / wanted - 1.0).abs() < 1e-13);
        }
    }

    #[test]
    fn normal_cdf_matches_published_values() {
        // Abramowitz and Stegun, table 26.1.
        let published = [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (2.0, 0.977_249_868_051_821)];
        for (x, wanted) in published.into_iter().chain([(-3.0, 0.001_349_898_031_630)]) {
            assert!((normal_cdf(x) - wanted).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn tables_have_the_shape_the_kernels_rely_on() {
        let (exp2, gelu) = (exp2(2047), gelu());
        assert_eq!((exp2[0], exp2[255]), (32708, 16398));
        assert!(exp2.windows(2).all(|w| w[0] > w[1]));
        assert_eq!((gelu[0], *gelu.iter().max().unwrap(), gelu[GELU_ENTRIES - 1]), (1, 174, 0));
    }
}
