//! Floats of the platform to the integers that decide.

/// Milliseconds to microseconds; `None` for what is no length of time. A day is the longest.
pub(super) fn micros(ms: f64) -> Option<u64> {
    (ms >= 0.0).then(|| (ms.min(DAY_MS) * 1000.0).round() as u64)
}

/// A share of 1 to thousandths; more than all is all. `None` for what is no share.
pub(super) fn permille(share: f64) -> Option<u16> {
    (share >= 0.0).then(|| (share.min(1.0) * 1000.0).round() as u16)
}

const DAY_MS: f64 = 86_400_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_measurement() {
        assert_eq!(micros(16.6667), Some(16_667));
        assert_eq!(micros(f64::INFINITY), Some(86_400_000_000));
        assert_eq!(permille(0.3), Some(300));
        assert_eq!(permille(7.0), Some(1000));
        for absurd in [f64::NAN, -0.001, f64::NEG_INFINITY] {
            assert_eq!((micros(absurd), permille(absurd)), (None, None), "{absurd}");
        }
    }
}
