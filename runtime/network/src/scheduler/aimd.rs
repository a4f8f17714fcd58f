//! Additive increase, multiplicative decrease: the duty between nothing and its ceiling.

use super::Reason;

/// The duty as it moves.
#[derive(Clone, Debug)]
pub(super) struct Aimd {
    duty_ppm: u32,
    /// Last advance.
    at_us: u64,
    /// No increase before this.
    hold_until_us: u64,
    /// Why the duty was cut, until it has its ceiling back.
    backed_off: Option<Reason>,
}

impl Aimd {
    pub(super) fn new(now_us: u64) -> Self {
        Aimd { duty_ppm: 0, at_us: now_us, hold_until_us: 0, backed_off: None }
    }

    /// Nothing runs.
    pub(super) fn stop(&mut self, now_us: u64) {
        *self = Aimd::new(now_us);
    }

    /// Something is hurt: half of the duty, and no more for a while.
    pub(super) fn cut(&mut self, now_us: u64, harm: Reason) {
        self.duty_ppm = (self.duty_ppm / 2).max(FLOOR_PPM);
        // A stranger is judged by eight probes; until then nothing is known.
        let hold_us = if harm == Reason::GpuContended { 3 * HOLD_US } else { HOLD_US };
        self.hold_until_us = now_us.saturating_add(hold_us);
        self.backed_off = Some(harm);
    }

    /// Lets time pass, and keeps below the ceiling.
    pub(super) fn advance(&mut self, now_us: u64, ceiling_permille: u16) {
        // A machine that slept has not shown for hours that nothing is hurt.
        let passed_us = now_us.saturating_sub(self.at_us).min(STEP_MAX_US);
        self.at_us = now_us;
        let ceiling_ppm = u32::from(ceiling_permille) * 1000;
        if now_us >= self.hold_until_us {
            let rise_ppm = passed_us * RISE_PPM_PER_SECOND / 1_000_000;
            self.duty_ppm = self.duty_ppm.saturating_add(rise_ppm as u32);
        }
        self.duty_ppm = self.duty_ppm.max(FLOOR_PPM).min(ceiling_ppm);
        if self.duty_ppm == ceiling_ppm && now_us >= self.hold_until_us {
            self.backed_off = None;
        }
    }

    pub(super) fn duty_permille(&self) -> u16 {
        (self.duty_ppm / 1000) as u16
    }

    pub(super) fn backed_off(&self) -> Option<Reason> {
        self.backed_off
    }
}

/// What is left when everything is hurt: enough to notice that it ended.
pub(super) const FLOOR_PPM: u32 = 20_000;
pub(super) const RISE_PPM_PER_SECOND: u64 = 50_000;
pub(super) const STEP_MAX_US: u64 = 1_000_000;
const HOLD_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_in_a_line_and_falls_by_half() {
        let mut aimd = Aimd::new(0);
        let mut seen = Vec::new();
        for second in 0..5 {
            aimd.advance(second * 1_000_000, 300);
            seen.push(aimd.duty_permille());
        }
        assert_eq!(seen, [20, 70, 120, 170, 220]);
        aimd.cut(4_000_000, Reason::FramesMissed);
        assert_eq!((aimd.duty_permille(), aimd.backed_off()), (110, Some(Reason::FramesMissed)));
        aimd.advance(4_900_000, 300);
        assert_eq!(aimd.duty_permille(), 110, "held");
        for step in 0..40 {
            aimd.advance(5_000_000 + step * 250_000, 300);
        }
        assert_eq!((aimd.duty_permille(), aimd.backed_off()), (300, None));
    }

    #[test]
    fn a_ceiling_is_obeyed_at_once_and_a_sleep_is_no_success() {
        let mut aimd = Aimd::new(0);
        aimd.advance(u64::MAX, 1000);
        assert_eq!(aimd.duty_permille(), 50);
        aimd.advance(u64::MAX, 7);
        assert_eq!(aimd.duty_permille(), 7);
        aimd.advance(0, 1000);
        assert_eq!(aimd.duty_permille(), 20, "the floor, and no time has passed");
    }
}
