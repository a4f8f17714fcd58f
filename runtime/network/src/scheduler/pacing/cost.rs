//! How much work fits a slice, learnt from slices that ran.

/// Time per unit of work on one device. What a unit is, the caller says: any measure that grows with time.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Picoseconds a unit; 0 before the first observation.
    unit_ps: u64,
}

impl Cost {
    /// Notes that so much work kept the device busy for so long. A dearer observation counts at once, a cheaper one by an
    /// eighth: a slice too short costs little, one too long a frame.
    pub fn observe(&mut self, work: u64, busy_us: u64) {
        let seen_ps = busy_us.saturating_mul(1_000_000) / work.max(1);
        self.unit_ps = if seen_ps >= self.unit_ps {
            seen_ps
        } else {
            self.unit_ps - (self.unit_ps - seen_ps).div_ceil(8)
        };
    }

    /// Work that fits a slice, at least 1: the least there is, before anything was observed.
    pub fn fit(&self, slice_us: u32) -> u64 {
        match self.unit_ps {
            0 => 1,
            unit_ps => (u64::from(slice_us) * 1_000_000 / unit_ps).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_small_fears_at_once_and_trusts_slowly() {
        let mut cost = Cost::default();
        assert_eq!(cost.fit(4000), 1);
        cost.observe(1000, 1000);
        assert_eq!(cost.fit(4000), 4000);
        cost.observe(1000, 2000);
        assert_eq!(cost.fit(4000), 2000);
        cost.observe(1000, 1000);
        assert!((2001..2400).contains(&cost.fit(4000)));
        (0..100).for_each(|_| cost.observe(1000, 1000));
        assert_eq!(cost.fit(4000), 4000);
    }

    #[test]
    fn absurd_observations_leave_a_least_slice() {
        let mut cost = Cost::default();
        cost.observe(0, u64::MAX);
        assert_eq!(cost.fit(4000), 1);
        cost.observe(u64::MAX, 0);
        assert!(cost.fit(u32::MAX) >= 1);
    }
}
