//! A bucket of busy time that fills at the rate of the duty and holds one slice.
//!
//! The promise: as long as no slice is busy for longer than it was granted, the device is busy for at most
//! `duty * PACE_WINDOW_US` of any [`PACE_WINDOW_US`] microseconds, where `duty` is the largest in force in them. A slice that
//! starts with a full bucket would break it by that one slice; so the bucket fills at a rate that is lower by the longest
//! slice a window. A slice that overran is paid back before the next.

use std::mem;

use super::super::Decision;

/// Grants slices of one lane: a GPU's queue, or one thread.
#[derive(Clone, Debug)]
pub struct Pacer {
    now_us: u64,
    duty_permille: u16,
    slice_us: u32,
    /// Busy time that may be spent, in millionths of a microsecond; negative after an overrun.
    credit: i64,
    /// The slice granted last, unless it was reported.
    granted_us: u32,
    /// The longest slice of this window and of the one before.
    longest_us: [u32; 2],
    window_start_us: u64,
    /// Busy time of the last whole second and of the one under way.
    busy_us: [u64; 2],
    second_start_us: u64,
}

/// What to do before a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Run, for at most so many microseconds.
    Run(u32),
    /// Ask again in so many microseconds.
    Wait(u64),
    /// Nothing runs until the decision changes.
    Paused,
}

impl Pacer {
    /// A pacer that grants nothing until it is given a decision.
    pub fn new(now_us: u64) -> Self {
        Pacer {
            now_us,
            duty_permille: 0,
            slice_us: 0,
            credit: 0,
            granted_us: 0,
            longest_us: [0, 0],
            window_start_us: now_us,
            busy_us: [0, 0],
            second_start_us: now_us,
        }
    }

    /// Takes a decision. Credit beyond its slice is lost.
    pub fn set(&mut self, now_us: u64, decision: &Decision) {
        self.advance(now_us);
        self.duty_permille = decision.duty_permille.min(1000);
        // Two slices of a window at least, or the rate would be nothing.
        let most_us = u64::from(self.duty_permille) * PACE_WINDOW_US / 1000 / 2;
        self.slice_us = u64::from(decision.slice_us.min(SLICE_MOST_US)).min(most_us) as u32;
        self.longest_us[1] = self.longest_us[1].max(self.slice_us);
        self.credit = self.credit.min(self.full());
    }

    /// Whether a slice may start. A grant is paid in full unless [`Pacer::done`] says what it took.
    pub fn next(&mut self, now_us: u64) -> Turn {
        self.advance(now_us);
        if self.duty_permille == 0 || self.slice_us == 0 {
            return Turn::Paused;
        }
        if self.duty_permille == 1000 {
            // All of the time: nothing to save, and nothing to owe.
            self.credit = self.full();
        }
        let lacking = self.full() - self.credit;
        if lacking > 0 {
            return Turn::Wait(match self.rate_ppm() {
                // Slices of a larger duty stand in the way; they pass.
                0 => PACE_WINDOW_US,
                rate => lacking.unsigned_abs().div_ceil(rate),
            });
        }
        self.credit -= self.full();
        self.granted_us = self.slice_us;
        Turn::Run(self.slice_us)
    }

    /// The slice granted last is over; it kept the device busy for so long.
    pub fn done(&mut self, now_us: u64, busy_us: u64) {
        self.advance(now_us);
        let granted_us = mem::take(&mut self.granted_us);
        let busy_us = busy_us.min(PACE_WINDOW_US);
        self.busy_us[1] = self.busy_us[1].saturating_add(busy_us);
        let change = (i64::from(granted_us) - busy_us as i64) * PPM;
        // Nothing owes more than a window: a hung driver must not stop the node for an hour.
        let debt = -(i64::from(self.duty_permille.max(1)) * 1000 * PACE_WINDOW_US as i64);
        self.credit = (self.credit + change).min(self.full()).max(debt);
    }

    /// Share of the last one to two seconds that the lane was busy, in thousandths, by what was reported.
    pub fn occupancy_permille(&mut self, now_us: u64) -> u16 {
        self.advance(now_us);
        let span_us = SECOND_US + (self.now_us - self.second_start_us);
        ((self.busy_us[0] + self.busy_us[1]).saturating_mul(1000) / span_us).min(1000) as u16
    }

    /// Credit of a full bucket.
    fn full(&self) -> i64 {
        i64::from(self.slice_us) * PPM
    }

    /// What the bucket gains a microsecond, in millionths.
    fn rate_ppm(&self) -> u64 {
        let headroom = u64::from(self.longest_us[0].max(self.longest_us[1])) * 1_000_000;
        (u64::from(self.duty_permille) * 1000).saturating_sub(headroom.div_ceil(PACE_WINDOW_US))
    }

    fn advance(&mut self, now_us: u64) {
        let passed_us = now_us.saturating_sub(self.now_us);
        self.now_us = self.now_us.max(now_us);
        let windows = (self.now_us - self.window_start_us) / PACE_WINDOW_US;
        // Slices of two windows ago take nothing from what is gained here.
        if windows > 1 {
            self.longest_us = [self.slice_us; 2];
        }
        if self.duty_permille > 0 {
            // By then the largest debt is paid, however long slices were.
            let paid = passed_us >= 5 * PACE_WINDOW_US;
            let gained = passed_us.min(5 * PACE_WINDOW_US) * self.rate_ppm();
            self.credit = if paid { self.full() } else { (self.credit + gained as i64).min(self.full()) };
        }
        if windows > 0 {
            self.window_start_us += windows * PACE_WINDOW_US;
            self.longest_us = [self.longest_us[1], self.slice_us];
        }
        let seconds = (self.now_us - self.second_start_us) / SECOND_US;
        if seconds > 0 {
            self.second_start_us += seconds * SECOND_US;
            self.busy_us = [if seconds == 1 { self.busy_us[1] } else { 0 }, 0];
        }
    }
}

/// The window over which the duty is never exceeded.
pub const PACE_WINDOW_US: u64 = 10_000_000;
/// A tenth of a second: longer slices would take the rate's room.
const SLICE_MOST_US: u32 = 100_000;
const SECOND_US: u64 = 1_000_000;
const PPM: i64 = 1_000_000;
