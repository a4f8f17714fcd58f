/// How long to leave alone what has failed: up to 1 s x 2^n after n + 1 failures, at most 10 min, by full jitter, and no
/// time at all after three valid results in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    valid_in_a_row: u32,
    since_ms: u64,
    wait_ms: u64,
}

impl Backoff {
    /// A failure or a timeout; `random` spreads the return evenly over 0 to the whole time, so that what failed together
    /// does not come back together. Gives the time to wait.
    pub fn fail(&mut self, now_ms: u64, random: u64) -> u64 {
        self.valid_in_a_row = 0;
        self.failures = self.failures.saturating_add(1);
        self.since_ms = now_ms;
        self.wait_ms = jittered(self.longest_ms(), random);
        self.wait_ms
    }

    /// A valid result: the third in a row forgets the failures.
    pub fn succeed(&mut self) {
        self.valid_in_a_row = self.valid_in_a_row.saturating_add(1);
        if self.valid_in_a_row >= RESET_RESULTS {
            *self = Backoff::default();
        }
    }

    /// Whether the time is over. Under a clock that went back it runs from there, so it never gets longer than it was.
    pub fn is_over(&mut self, now_ms: u64) -> bool {
        self.since_ms = self.since_ms.min(now_ms);
        now_ms - self.since_ms >= self.wait_ms
    }

    /// Failures that are not forgotten.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The longest that the last failure can make it wait.
    pub fn longest_ms(&self) -> u64 {
        match self.failures.checked_sub(1) {
            None => 0,
            Some(n) => FIRST_MS.checked_shl(n.min(30)).unwrap_or(LONGEST_MS).min(LONGEST_MS),
        }
    }
}

/// Evenly in 0 to `longest_ms`, from 64 random bits.
fn jittered(longest_ms: u64, random: u64) -> u64 {
    // The product's high half is at most `longest_ms`.
    ((u128::from(random) * (u128::from(longest_ms) + 1)) >> 64) as u64
}

const FIRST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 600_000;
const RESET_RESULTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_ten_minutes() {
        let mut backoff = Backoff::default();
        let longest: Vec<u64> = (0..12).map(|_| backoff.fail(0, u64::MAX)).collect();
        let wanted = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600].map(|s| s * 1_000);
        assert_eq!(longest, wanted);
        (0..100).for_each(|_| assert_eq!(backoff.fail(0, u64::MAX), 600_000));
    }

    #[test]
    fn jitter_is_full_and_even() {
        assert_eq!([0, 1 << 63, u64::MAX].map(|random| jittered(1_000, random)), [0, 500, 1_000]);
        let sum: u64 = (0..1_024).map(|n| jittered(10_000, n << 54)).sum();
        assert!((4_990..=5_010).contains(&(sum / 1_024)), "{sum}");
    }

    #[test]
    fn three_valid_results_in_a_row_forget_it() {
        let mut backoff = Backoff::default();
        backoff.fail(0, u64::MAX);
        backoff.fail(0, u64::MAX);
        backoff.succeed();
        backoff.succeed();
        assert_eq!(backoff.fail(0, u64::MAX), 4_000);
        (0..2).for_each(|_| backoff.succeed());
        assert_eq!(backoff.failures(), 3);
        backoff.succeed();
        assert_eq!(backoff.fail(0, u64::MAX), 1_000);
    }

    #[test]
    fn the_time_ends_whatever_the_clock_does() {
        let mut backoff = Backoff::default();
        backoff.fail(1_000_000, u64::MAX);
        assert!(!backoff.is_over(1_000_999));
        // Set back by a quarter of an hour: a second from there.
        assert!(!backoff.is_over(100_000));
        assert!(!backoff.is_over(100_999));
        assert!(backoff.is_over(101_000));
    }
}
