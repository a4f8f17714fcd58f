//! The contribution curve: how much more early work is paid, the same on every node.
//!
//! ```text
//! multiplier = 1 + (10 - 1) * exp(-network_compute / 1,000,000 CPU-hours)
//! ```
//!
//! The formula is the law. 1,000,000 is the decay constant (e-fold); the half-life of the bonus is 693,147 h.
//! `network_compute` is the sum of verified work units, frozen per epoch; nobody reports their own.

use std::fmt;

/// Micro CPU-hours in a CPU-hour: the unit of network compute.
pub const UHOURS_PER_HOUR: u64 = 1_000_000;
/// Where [`plot`] ends, in CPU-hours.
pub const PLOT_HOURS: u64 = 10_000_000;

/// A reward multiplier from 1 to 10, in parts per 10^9.
///
/// Parts per 10^9 and not binary fractions: the value prints exactly, and nine decimals are finer than one
/// micro-credit on any reward up to 1,000 credits. Over that the step is still the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier(u64);

impl Multiplier {
    /// Rewards as they are.
    pub const ONE: Self = Self(PPB);
    /// What the first contributor gets: 10.
    pub const MAX: Self = Self(PPB + MAX_BONUS_PPB);

    /// From parts per 10^9; none below 1 or above 10.
    pub fn from_ppb(ppb: u64) -> Option<Self> {
        (Self::ONE.0..=Self::MAX.0).contains(&ppb).then_some(Self(ppb))
    }

    /// In parts per 10^9: 1,000,000,000 to 10,000,000,000.
    pub fn ppb(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / PPB, self.0 % PPB)
    }
}

/// The multiplier at an amount of verified network compute in micro CPU-hours: the formula, rounded down to 10^-9.
///
/// How: `exp(-x)` is the product of `exp(-2^i)` over the bits `i` that are set in `x`, in whole numbers with 127 bits
/// behind the point. Every factor and every product is rounded down, each by less than 2^-127, and there are at most
/// 45 of each, so
///
/// - the value before the last rounding is below the formula by less than 9 * 90 * 2^-127 < 5e-36;
/// - the result is below the formula by less than 10^-9 (plus that), never above it;
/// - it never rises: as long as the bonus shows at all, one micro-hour more lowers the formula by more than 10^-22;
/// - it is 10 at 0 only, and 1 from 22,920,491 h on, where the bonus falls below 10^-9.
pub fn multiplier(network_compute_uhours: u128) -> Multiplier {
    if network_compute_uhours >> FACTORS.len() != 0 {
        return Multiplier::ONE;
    }
    let mut decay = UNIT;
    for (bit, &factor) in FACTORS.iter().enumerate() {
        if network_compute_uhours >> bit & 1 == 1 {
            decay = multiply(decay, factor);
        }
    }
    // At most MAX_BONUS_PPB, since the decay is at most 1.
    Multiplier(PPB + multiply(u128::from(MAX_BONUS_PPB), decay) as u64)
}

/// What the treasury adds to a reward: `reward * (multiplier - 1)`, rounded down.
///
/// Never more than [`GENESIS`](crate::GENESIS), which is all that any treasury can hold.
pub fn bonus_ucredits(reward_ucredits: u64, multiplier: Multiplier) -> u64 {
    let bonus = u128::from(reward_ucredits) * u128::from(multiplier.0 - PPB) / u128::from(PPB);
    bonus.min(u128::from(crate::GENESIS)) as u64
}

/// A line of [`table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Network compute, in CPU-hours.
    pub hours: u64,
    /// The multiplier there.
    pub multiplier: Multiplier,
}

/// The curve at the points people quote: the half-life and round numbers up to [`PLOT_HOURS`].
pub fn table() -> Vec<Row> {
    TABLE_HOURS.iter().map(|&hours| Row { hours, multiplier: at_hours(hours) }).collect()
}

/// The curve drawn in text, `width` columns from 0 to [`PLOT_HOURS`] and `height` lines from 10 down to 1, with axes
/// around it. Sizes are brought into 20 to 200 columns and 4 to 60 lines.
///
/// A column shows the point nearest to its value; where the curve falls by more than a line, `│` joins the points.
pub fn plot(width: usize, height: usize) -> String {
    let (width, height) = (width.clamp(20, 200), height.clamp(4, 60));
    let last = height as u64 - 1;
    let mut lines = vec![vec![' '; width]; height];
    let mut before = 0;
    for column in 0..width {
        let below = Multiplier::MAX.0 - at_hours(PLOT_HOURS * column as u64 / (width as u64 - 1)).0;
        let line = ((2 * below * last + MAX_BONUS_PPB) / (2 * MAX_BONUS_PPB)) as usize;
        for joined in lines.iter_mut().take(line).skip(before + 1) {
            joined[column] = '│';
        }
        lines[line][column] = '●';
        before = line;
    }
    let mut text = String::new();
    for (line, points) in lines.iter().enumerate() {
        // Tenths, to the nearest.
        let tenths = 100 - (180 * line as u64 + last) / (2 * last);
        let points: String = points.iter().collect();
        text += &format!("{:>3}.{}x ┤{}\n", tenths / 10, tenths % 10, points.trim_end());
    }
    text += &format!("       └{}\n", "─".repeat(width));
    let (middle, end) = (width.div_ceil(2), width / 2);
    text += &format!("        {:<middle$}{:>end$}\n", "0", "10M");
    text + format!("        {:^width$}", "network compute, CPU-hours").trim_end() + "\n"
}

fn at_hours(hours: u64) -> Multiplier {
    multiplier(u128::from(hours) * u128::from(UHOURS_PER_HOUR))
}

/// `a * b / 2^127`, rounded down, for factors up to 2^127: schoolbook on 64-bit halves.
fn multiply(a: u128, b: u128) -> u128 {
    debug_assert!(a <= UNIT && b <= UNIT);
    let (a_high, a_low) = (a >> 64, a & LOW);
    let (b_high, b_low) = (b >> 64, b & LOW);
    // At most 2 * 2^63 * (2^64 - 1) + 2^64 - 2 < 2^128.
    let middle = a_high * b_low + a_low * b_high + ((a_low * b_low) >> 64);
    let high = a_high * b_high + (middle >> 64);
    high << 1 | middle >> 63 & 1
}

const PPB: u64 = 1_000_000_000;
const MAX_BONUS_PPB: u64 = 9 * PPB;
/// 1 with 127 bits behind the point.
const UNIT: u128 = 1 << 127;
const LOW: u128 = u64::MAX as u128;
const TABLE_HOURS: &[u64] = &[
    0, 50_000, 100_000, 250_000, 500_000, 693_147, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 4_000_000,
    5_000_000, 7_500_000, PLOT_HOURS,
];

/// `exp(-2^i / 10^12) * 2^127`, rounded down. From bit 45 on the bonus is far below 10^-9: 9 * exp(-35.2) = 5e-15.
const FACTORS: [u128; 45] = [
    0x7fffffffff734333f690fcd63e6d6296,
    0x7ffffffffee68667ed22946a91a808f8,
    0x7ffffffffdcd0ccfda4793cd76851e74,
    0x7ffffffffb9a199fb498d37c39de59b2,
    0x7ffffffff734333f6958567da70c7c6c,
    0x7fffffffee68667ed34b6b101b52cbd2,
    0x7fffffffdcd0ccfda901ce736b625a7f,
    0x7fffffffb9a199fb5baf7e33a8637820,
    0x7fffffff734333f6de0e819a8c9fba83,
    0x7ffffffee68667ee56db1801b3908bc0,
    0x7ffffffdcd0ccfdf18ae833327d4e007,
    0x7ffffffb9a199fc7dd3e53100df44f4d,
    0x7ffffff734333fb66a01d81cf0ee474a,
    0x7fffffee68668007921872dc14ceb7e3,
    0x7fffffdcd0cd027a1c83c5b7ec44d820,
    0x7fffffb9a19a0ea01a51b7269a4656da,
    0x7fffff73433443efb9c17ae5f7063243,
    0x7ffffee68669229d87a6161cfd15d32e,
    0x7ffffdcd0cd4b0335d301cf0ee2cf35b,
    0x7ffffb9a19b30c47dcab787c574658f5,
    0x7ffff734338cc813985fcbe6b21ab2a9,
    0x7fffee6867b44e315bc230923a6586ec,
    0x7fffdcd0d1d39460da8abb5e7cf3ae3c,
    0x7fffb9a1ad530765f93784dd5860f932,
    0x7fff734381557ebac5cb2ba3475d60d2,
    0x7ffee6879d68681f18921395477db314,
    0x7ffdcd11a5c3d258f02939148c53c6ef,
    0x7ffb9a2cf73e68ea209bf6ffcd4c0b79,
    0x7ff734809cadc3ae13dbdc9392d50874,
    0x7fee699becce7f73ed8a3362e9f5629e,
    0x7fdcd5a27ce4f34805cb397f9f165a4d,
    0x7fb9b4ee32f33bb5ca23e325f65b8274,
    0x7f739076ad659c26fb58afe36aeb53b0,
    0x7ee7bb01b860a89f2e64388cd78288bb,
    0x7dd1dbb16e6acf9a59aaace265b798e2,
    0x7bad392774274e10a8386aad38136851,
    0x777fd4446b66b3e33b34d70df80d3b5d,
    0x6f902e57cf7ade9e241d996e3f6569e5,
    0x613cb2c8a23347ecd5ccbf9c29f83c9b,
    0x49de1bc0aba506b0afe81bb4dd17c8e3,
    0x2aa0d9100e200a7e31994ba36170a852,
    0x0e325892a180c8e5392e22e955fcf0b0,
    0x0193172d832c9e996562b82bdbf35612,
    0x0004f563f6c8684978b6721a4145711c,
    0x000000312cb0674f4d9da9c8eb3725df,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{GENESIS, MICRO};

    /// Compute in micro-hours and the formula in parts per 10^9, rounded down; by Python's `decimal` with 90 digits.
    const POINTS: &[(u128, u64)] = &[
        (0, 10_000_000_000),
        (1, 9_999_999_999),
        (2, 9_999_999_999),
        (999_999, 9_999_991_000),
        (1_000_000, 9_999_991_000),
        (1_000_000_000, 9_991_004_498),
        (12_345_678_901, 9_889_571_947),
        (10_000_000_000, 9_910_448_503),
        (50_000_000_000, 9_561_064_820),
        (100_000_000_000, 9_143_536_762),
        (150_000_000_000, 8_746_371_787),
        (200_000_000_000, 8_368_576_777),
        (250_000_000_000, 8_009_207_047),
        (300_000_000_000, 7_667_363_986),
        (333_333_333_333, 7_448_781_795),
        (400_000_000_000, 7_032_880_414),
        (500_000_000_000, 6_458_775_937),
        (600_000_000_000, 5_939_304_724),
        (693_147_000_000, 5_500_000_812),
        (693_147_180_559, 5_500_000_000),
        (693_147_180_560, 5_499_999_999),
        (750_000_000_000, 5_251_298_974),
        (800_000_000_000, 5_043_960_677),
        (900_000_000_000, 4_659_126_937),
        (999_999_999_999, 4_310_914_970),
        (1_000_000_000_000, 4_310_914_970),
        (1_000_000_000_001, 4_310_914_970),
        (1_099_511_627_775, 3_997_303_195),
        (1_099_511_627_776, 3_997_303_195),
        (1_099_511_627_777, 3_997_303_195),
        (1_234_567_890_123, 3_618_644_158),
        (1_500_000_000_000, 3_008_171_441),
        (2_000_000_000_000, 2_218_017_549),
        (2_302_585_092_994, 1_900_000_000),
        (2_718_281_828_459, 1_593_892_322),
        (3_000_000_000_000, 1_448_083_615),
        (3_141_592_653_589, 1_388_925_264),
        (4_000_000_000_000, 1_164_840_749),
        (5_000_000_000_000, 1_060_641_522),
        (6_000_000_000_000, 1_022_308_769),
        (7_000_000_000_000, 1_008_206_937),
        (8_000_000_000_000, 1_003_019_163),
        (8_796_093_022_207, 1_001_361_908),
        (9_000_000_000_000, 1_001_110_688),
        (10_000_000_000_000, 1_000_408_599),
        (12_000_000_000_000, 1_000_055_297),
        (15_000_000_000_000, 1_000_002_753),
        (17_592_186_044_415, 1_000_000_206),
        (17_592_186_044_416, 1_000_000_206),
        (18_446_744_073_709, 1_000_000_087),
        (20_000_000_000_000, 1_000_000_018),
        (22_000_000_000_000, 1_000_000_002),
        (22_920_490_414_282, 1_000_000_001),
        (22_920_490_414_283, 1_000_000_000),
        (25_000_000_000_000, 1_000_000_000),
        (30_000_000_000_000, 1_000_000_000),
        (35_184_372_088_831, 1_000_000_000),
        (35_184_372_088_832, 1_000_000_000),
        (10_000_000_000_000_000, 1_000_000_000),
        (18_446_744_073_709_551_615, 1_000_000_000),
        (u128::MAX, 1_000_000_000),
    ];

    /// `exp(-x / 10^12) * 2^127`, rounded down, from the same source.
    const DECAYS: &[(u128, u128)] = &[
        (1, 0x7fffffffff734333f690fcd63e6d6296),
        (1_099_511_627_775, 0x2aa0d9100e4ee94bcd76c05a4ac5c049),
        (17_592_186_044_415, 0x000000312cb0674f83af12bfdadafcd3),
        (35_184_372_088_831, 0x00000000000012e446a952ef2514545d),
        (500_000_000_000, 0x4da2cbf1be5827f9eb3ad1aa9866ebb3),
        (5_000_000_000_000, 0x00dcc9ff006a9bb0e22e1248a4d2dcae),
        (22_000_000_000_000, 0x00000000995a45f88bed129e7782fb42),
        (23_456_248_059_221, 0x0000000023bf77719be8452a74b3c945),
        (11_728_124_029_610, 0x000043a4e81be12b743314a854e07029),
        (693_147_180_559, 0x400000000042852e38f853d7d3417700),
    ];

    #[test]
    fn the_curve_is_the_formula() {
        assert_eq!(wrong_points(multiplier), 0);
    }

    /// A curve that takes the decay constant for the half-life, and one that is off by one unit at one point.
    #[test]
    fn a_planted_fault_is_caught() {
        assert!(wrong_points(|x| multiplier(x / 1_000_000 * 693_147)) > 30);
        let unit = |x| if x == 5_000_000_000_000 { Multiplier(multiplier(x).0 + 1) } else { multiplier(x) };
        assert_eq!(wrong_points(unit), 1);
    }

    fn wrong_points(curve: impl Fn(u128) -> Multiplier) -> usize {
        POINTS.iter().filter(|&&(compute, ppb)| curve(compute).ppb() != ppb).count()
    }

    #[test]
    fn the_products_are_as_exact_as_promised() {
        for &(compute, wanted) in DECAYS {
            let decay = (0..45).filter(|i| compute >> i & 1 == 1).fold(UNIT, |d, i| multiply(d, FACTORS[i]));
            assert!(decay <= wanted && wanted - decay <= 90, "{compute}: {decay:#x}, not {wanted:#x}");
        }
        // Each factor is the square of the one before, which no single wrong digit survives.
        for pair in FACTORS.windows(2) {
            assert!(pair[1].abs_diff(multiply(pair[0], pair[0])) <= 3, "{:#x}", pair[1]);
        }
    }

    #[test]
    fn the_points_people_quote() {
        for (hours, wanted) in
            [(0, "10.00"), (100_000, "9.14"), (500_000, "6.46"), (1_000_000, "4.31"), (5_000_000, "1.06")]
        {
            let hundredths = (at_hours(hours).ppb() + 5_000_000) / 10_000_000;
            assert_eq!(format!("{}.{:02}", hundredths / 100, hundredths % 100), wanted, "{hours} h");
        }
        // Half of the bonus, to the hour.
        assert!(at_hours(693_147).ppb() > 5_500_000_000 && at_hours(693_148).ppb() < 5_500_000_000);
        assert_eq!(multiplier(0), Multiplier::MAX);
        assert_eq!(at_hours(1_000_000).to_string(), "4.310914970");
        assert_eq!(Multiplier::ONE.to_string(), "1.000000000");
    }

    #[test]
    fn a_multiplier_is_from_one_to_ten() {
        assert_eq!(Multiplier::from_ppb(999_999_999), None);
        assert_eq!(Multiplier::from_ppb(1_000_000_000), Some(Multiplier::ONE));
        assert_eq!(Multiplier::from_ppb(10_000_000_000), Some(Multiplier::MAX));
        assert_eq!(Multiplier::from_ppb(10_000_000_001), None);
    }

    #[test]
    fn bonuses() {
        assert_eq!(bonus_ucredits(MICRO, Multiplier::MAX), 9 * MICRO);
        assert_eq!(bonus_ucredits(u64::MAX, Multiplier::ONE), 0);
        assert_eq!(bonus_ucredits(u64::MAX, Multiplier::MAX), GENESIS);
        assert_eq!(bonus_ucredits(MICRO, at_hours(1_000_000)), 3_310_914);
        assert_eq!(bonus_ucredits(1, at_hours(1_000_000)), 3);
        assert_eq!(bonus_ucredits(1, at_hours(5_000_000)), 0);
    }

    #[test]
    fn the_table_and_the_plot() {
        let rows = table();
        assert!(rows.is_sorted_by(|a, b| a.hours < b.hours && a.multiplier > b.multiplier));
        assert_eq!(rows[0], Row { hours: 0, multiplier: Multiplier::MAX });
        assert_eq!(rows[6], Row { hours: 1_000_000, multiplier: Multiplier(4_310_914_970) });
        assert_eq!(plot(60, 10), PLOT);
        for (width, height) in [(0, 0), (20, 4), (200, 60), (usize::MAX, usize::MAX)] {
            let plot = plot(width, height);
            assert_eq!(plot.lines().count(), height.clamp(4, 60) + 3);
            // A point in every column.
            assert_eq!(plot.matches('●').count(), width.clamp(20, 200));
        }
    }

    const PLOT: &str = " 10.0x ┤●
  9.0x ┤ ●
  8.0x ┤  │
  7.0x ┤  ●
  6.0x ┤   ●●
  5.0x ┤     ●
  4.0x ┤      ●●
  3.0x ┤        ●●●
  2.0x ┤           ●●●●●●●
  1.0x ┤                  ●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●
       └────────────────────────────────────────────────────────────
        0                                                        10M
                         network compute, CPU-hours
";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn multiplication_is_long_multiplication(a in 0..=UNIT, b in 0..=UNIT) {
            // Bit by bit, keeping the bits that fall off the end in a second word.
            let (mut high, mut low) = (0u128, 0u128);
            for bit in (0..128).rev() {
                (high, low) = (high << 1 | low >> 127, low << 1);
                if b >> bit & 1 == 1 {
                    let (sum, carry) = low.overflowing_add(a);
                    (high, low) = (high + u128::from(carry), sum);
                }
            }
            prop_assert_eq!(multiply(a, b), high << 1 | low >> 127);
        }

        #[test]
        fn never_rises_and_stays_in_bounds(bits in 0u32..46, random: u64, step in 0u64..1 << 40) {
            let compute = u128::from(random) & ((1 << bits) - 1);
            let here = multiplier(compute);
            prop_assert!(multiplier(compute + 1) <= here);
            prop_assert!(multiplier(compute + u128::from(step)) <= here);
            prop_assert!(Multiplier::from_ppb(here.ppb()).is_some());
            prop_assert_eq!(here == Multiplier::MAX, compute == 0);
        }

        #[test]
        fn close_to_the_floating_formula(compute in 0u64..40_000_000_000_000) {
            let wanted = 1e9 + 9e9 * (-(compute as f64) / 1e12).exp();
            let error = wanted - multiplier(compute.into()).ppb() as f64;
            // The float itself is good to about 1e-5 units.
            prop_assert!((-1e-4..1.0001).contains(&error), "{}", error);
        }

        #[test]
        fn a_bonus_is_rounded_down_and_never_wraps(reward: u64, compute in 0u64..40_000_000_000_000) {
            let m = multiplier(compute.into());
            let (bonus, exact) = (bonus_ucredits(reward, m), u128::from(reward) * u128::from(m.ppb() - PPB));
            if bonus < GENESIS {
                let rest = exact - u128::from(bonus) * u128::from(PPB);
                prop_assert!(rest < u128::from(PPB));
            } else {
                prop_assert!(exact >= u128::from(GENESIS) * u128::from(PPB));
            }
            prop_assert!(bonus_ucredits(reward.saturating_add(1), m) >= bonus);
            prop_assert!(bonus_ucredits(reward, Multiplier::MAX) >= bonus);
        }
    }
}
