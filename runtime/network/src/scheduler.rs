//! How much of the machine the node may use: signals in, duty and slice out.
//!
//! One [`Scheduler`] a device. The shell reports what it sees ([`Signal`]) and asks for a [`Decision`]: the share of
//! time the device may be busy for strangers, the longest stretch of work it may be given at once, why, and when to ask
//! again. A [`Pacer`] turns the decision into single grants, [`Cost`] turns a grant's time into work.
//!
//! ```text
//! pause?    something forbids work: duty 0, with a reason that stays for a second
//! ceiling   min(user's limit, base rule, battery, CPU pressure, other load)
//! base rule page below 50 % of its frames 0.1; below 83 % 0.3; idle, or hidden where allowed: the limit; otherwise 0.2
//! duty      falls to the ceiling at once and by half on harm; rises to it by 0.05 a second
//! ```
//!
//! Harm is what this node does to others on the device: frames missed beyond those that the page misses by itself, and a tiny
//! dispatch that takes longer than it does on a quiet device. What a page misses by itself is heard in silence: when frames are
//! missed, the node pauses for a moment (`measuring`), at most every ten seconds. The order of the base rule is the specification's, so a
//! page with a moderate frame rate may get more than an active one that is smooth; harm then decides.
//!
//! Pure: time is an argument, in microseconds of any monotonic clock. Time that runs backwards counts as no time, a
//! measurement that is not a number as none. Floats are read at the edge and rounded once; all decisions are integers.

mod aimd;
mod contention;
mod frames;
mod known;
mod measure;
mod pacing;
mod policy;
mod reason;
mod settings;
mod signal;

pub use pacing::{Cost, PACE_WINDOW_US, Pacer, Turn};
pub use reason::Reason;
pub use settings::{Hours, Place, RawSettings, Settings, SettingsError};
pub use signal::{Battery, Focus, Pressure, Signal, Visibility};

use aimd::Aimd;
use known::Known;
use policy::Ceiling;

/// What a scheduler grants time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The GPU: shared with whatever is drawn, so probes count.
    Gpu,
    /// The processor's cores.
    Cpu,
}

/// What the device may do until the next decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Share of time the device may be busy, in thousandths. 0 is a pause and nothing else is.
    pub duty_permille: u16,
    /// Where the duty is heading if nothing is harmed.
    pub ceiling_permille: u16,
    /// The longest submission, in microseconds. 0 in a pause.
    pub slice_us: u32,
    /// Why it is this duty and no other.
    pub reason: Reason,
    /// When to ask again, if nothing is reported before.
    pub again: Again,
}

/// When to ask for the next decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After so many microseconds, and sooner if a signal changes.
    After(u64),
    /// With the next message of a socket or a worker: a hidden page's timers sleep for up to a minute.
    OnMessage,
}

/// The scheduler of one device.
#[derive(Clone, Debug)]
pub struct Scheduler {
    settings: Settings,
    device: Device,
    now_us: u64,
    known: Known,
    /// The pause in force, and when it was last seen to hold.
    pause: Option<(Reason, u64)>,
    /// Until when nothing runs so that the page's own stutter is heard, and when that was last begun.
    listen_until_us: u64,
    listened_us: Option<u64>,
    aimd: Aimd,
}

impl Scheduler {
    /// A scheduler that has seen nothing. A page counts as hidden until it is reported visible.
    pub fn new(settings: Settings, device: Device, now_us: u64) -> Self {
        let (known, aimd) = (Known::new(now_us), Aimd::new(now_us));
        Scheduler {
            settings,
            device,
            now_us,
            known,
            pause: None,
            listen_until_us: 0,
            listened_us: None,
            aimd,
        }
    }

    /// Takes other settings; the next decision obeys them.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Notes what the shell saw.
    pub fn signal(&mut self, now_us: u64, signal: Signal) {
        self.now_us = self.now_us.max(now_us);
        self.known.note(self.now_us, signal);
    }

    /// Refresh period of the page's display, once it is measured.
    pub fn refresh_us(&self) -> Option<u32> {
        self.known.frames.baseline_us()
    }

    /// What the device may do from `now_us` on.
    pub fn decide(&mut self, now_us: u64) -> Decision {
        self.now_us = self.now_us.max(now_us);
        let now_us = self.now_us;
        if let Some((reason, again_us)) = self.paused() {
            return self.nothing(reason, again_us);
        }
        if let Some(harm) = self.harm() {
            self.aimd.cut(now_us, harm);
            if harm == Reason::FramesMissed && self.listen() {
                return self.nothing(Reason::Measuring, policy::look_again_us(Reason::Measuring));
            }
        }
        let Ceiling { permille, reason } = policy::ceiling(&self.settings, self.device, &self.known, now_us);
        self.aimd.advance(now_us, permille);
        let hidden = self.settings.place() == Place::Page && self.known.visibility == Visibility::Hidden;
        Decision {
            duty_permille: self.aimd.duty_permille(),
            ceiling_permille: permille,
            slice_us: policy::slice_us(&self.settings, &self.known, self.aimd.backed_off().is_some()),
            reason: self.aimd.backed_off().unwrap_or(reason),
            again: if hidden { Again::OnMessage } else { Again::After(policy::look_again_us(reason)) },
        }
    }

    fn nothing(&mut self, reason: Reason, again_us: u64) -> Decision {
        self.aimd.stop(self.now_us);
        // Frames missed while nothing runs are the page's own doing.
        self.known.frames.harm(true);
        let again = Again::After(again_us);
        Decision { duty_permille: 0, ceiling_permille: 0, slice_us: 0, reason, again }
    }

    /// Missed frames may be the page's own: now and then that is found out, by silence.
    fn listen(&mut self) -> bool {
        let due = self.listened_us.is_none_or(|at_us| self.now_us.saturating_sub(at_us) >= LISTEN_EVERY_US);
        if due {
            self.listened_us = Some(self.now_us);
            self.listen_until_us = self.now_us.saturating_add(LISTEN_US);
            self.pause = Some((Reason::Measuring, self.now_us));
        }
        due
    }

    /// The pause in force and when to look again: the one that something demands, else the last one for a second more, so that
    /// a signal at its threshold does not flap. Within that second only a weightier reason takes its place.
    fn paused(&mut self) -> Option<(Reason, u64)> {
        let left_us = |seen_us| PAUSE_HOLD_US.saturating_sub(self.now_us.saturating_sub(seen_us));
        let held = self.pause.filter(|&(reason, seen_us)| reason.holds() && left_us(seen_us) > 0);
        let before = self.pause.map(|(reason, _)| reason);
        let wanted = policy::pause(&self.settings, self.device, &self.known, self.now_us, before);
        let listening = (self.now_us < self.listen_until_us).then_some(Reason::Measuring);
        let wanted = wanted.or(listening);
        self.pause = match (wanted, held) {
            (Some(wanted), Some((held, seen_us))) if held < wanted => Some((held, seen_us)),
            (Some(wanted), _) => Some((wanted, self.now_us)),
            (None, held) => held,
        };
        let (reason, seen_us) = self.pause?;
        let again_us = if wanted == Some(reason) { policy::look_again_us(reason) } else { left_us(seen_us) };
        Some((reason, again_us))
    }

    /// What is hurt since the last decision.
    fn harm(&mut self) -> Option<Reason> {
        let quiet = self.known.occupancy(self.now_us).is_some_and(|o| o < OWN_DOING_PERMILLE);
        let frames = self.known.frames.harm(quiet);
        let contended = self.device == Device::Gpu && self.known.contention.contended_anew();
        match (frames, contended) {
            (_, true) => Some(Reason::GpuContended),
            (true, false) => Some(Reason::FramesMissed),
            (false, false) => None,
        }
    }
}

/// How long a pause stays after its cause.
const PAUSE_HOLD_US: u64 = 1_000_000;
/// With less than this of the device used, missed frames are not this node's.
const OWN_DOING_PERMILLE: u16 = 10;
/// Three windows of frames, and no more often than every ten seconds.
const LISTEN_US: u64 = 1_600_000;
const LISTEN_EVERY_US: u64 = 10_000_000;
