//! What a scheduler knows: the last of every signal.

use super::{
    Battery, Focus, Pressure, Signal, Visibility,
    contention::Contention,
    frames::Frames,
    measure::{micros, permille},
};

/// The last of every signal, and what was measured from many.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) frames: Frames,
    pub(super) contention: Contention,
    pub(super) visibility: Visibility,
    pub(super) focus: Focus,
    pub(super) user_paused: bool,
    pub(super) save_data: bool,
    pub(super) privacy: bool,
    pub(super) pressure: Pressure,
    pub(super) power: Power,
    pub(super) other_load_permille: u16,
    pub(super) minute: Option<u16>,
    /// Of a page from the start on, of a native worker once the shell reports any.
    last_input_us: Option<u64>,
    start_us: u64,
    /// The share and when it was reported.
    occupancy: Option<(u16, u64)>,
}

/// Where the current comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// Nobody said.
    Unknown,
    /// The mains.
    Mains,
    /// A battery, this full if it tells.
    Battery(Option<u16>),
}

impl Known {
    pub(super) fn new(now_us: u64) -> Self {
        Known {
            frames: Frames::default(),
            contention: Contention::default(),
            visibility: Visibility::Hidden,
            focus: Focus::Unknown,
            user_paused: false,
            save_data: false,
            privacy: false,
            pressure: Pressure::Nominal,
            power: Power::Unknown,
            other_load_permille: 0,
            minute: None,
            last_input_us: None,
            start_us: now_us,
            occupancy: None,
        }
    }

    pub(super) fn note(&mut self, now_us: u64, signal: Signal) {
        match signal {
            Signal::Frame { interval_ms } => {
                if let (Some(us), Visibility::Visible) = (micros(interval_ms), self.visibility) {
                    self.frames.frame(now_us, us);
                }
            }
            Signal::LongFrame { duration_ms } => {
                if let (Some(us), Visibility::Visible) = (micros(duration_ms), self.visibility) {
                    self.frames.long_frame(now_us, us);
                }
            }
            Signal::Visibility(visibility) => {
                if visibility != self.visibility {
                    self.frames.restart(now_us);
                }
                self.visibility = visibility;
            }
            Signal::Focus(focus) => {
                // Input while the page had no focus went elsewhere: idleness is counted from here.
                if focus == Focus::Focused && self.focus != Focus::Focused {
                    self.last_input_us = Some(now_us);
                }
                self.focus = focus;
            }
            Signal::Input => self.last_input_us = Some(now_us),
            Signal::Battery(battery) => self.power = power(battery),
            Signal::SaveData(on) => self.save_data = on,
            Signal::Privacy(on) => self.privacy = on,
            Signal::Pressure(pressure) => self.pressure = pressure,
            Signal::OtherLoad { share } => {
                self.other_load_permille = permille(share).unwrap_or(self.other_load_permille);
            }
            Signal::Minute(minute) => self.minute = minute.filter(|&m| m < 1440),
            Signal::Occupancy { share } => {
                self.occupancy = permille(share).map(|o| (o, now_us)).or(self.occupancy);
            }
            Signal::Probe { latency_ms } => {
                if let Some(us) = micros(latency_ms) {
                    self.contention.probe(us);
                }
            }
            Signal::Pause(on) => self.user_paused = on,
        }
    }

    /// Microseconds without input; `None` where none was ever reported.
    pub(super) fn input_age_us(&self, now_us: u64) -> Option<u64> {
        self.last_input_us.map(|at_us| now_us.saturating_sub(at_us))
    }

    /// The same of a page, whose user is taken to have been active when it opened.
    pub(super) fn page_input_age_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.last_input_us.unwrap_or(self.start_us))
    }

    /// Share of the device this node used lately, in thousandths.
    pub(super) fn occupancy(&self, now_us: u64) -> Option<u16> {
        let fresh = |&(_, at_us): &(u16, u64)| now_us.saturating_sub(at_us) <= OCCUPANCY_FRESH_US;
        self.occupancy.filter(fresh).map(|(share, _)| share)
    }
}

fn power(battery: Option<Battery>) -> Power {
    match battery {
        None => Power::Unknown,
        Some(Battery { charging: true, .. }) => Power::Mains,
        Some(Battery { level, .. }) => Power::Battery(permille(level)),
    }
}

const OCCUPANCY_FRESH_US: u64 = 2_000_000;
