//! The rules: when nothing runs, and how much may run at most. No state of their own.

use super::{
    Device, Focus, Place, Pressure, Reason, Settings, Visibility,
    frames::Pace,
    known::{Known, Power},
};

/// The most that may run, and what says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    pub(super) permille: u16,
    pub(super) reason: Reason,
}

/// What forbids all work: the weightiest of what applies. A pause that was `before` ends at a lower threshold than it began.
pub(super) fn pause(
    settings: &Settings,
    device: Device,
    known: &Known,
    now_us: u64,
    before: Option<Reason>,
) -> Option<Reason> {
    let page = settings.place == Place::Page;
    let hidden = page && known.visibility == Visibility::Hidden;
    let more_if = |reason, enter: u16, leave: u16| if before == Some(reason) { leave } else { enter };
    let causes = [
        (Reason::UserPaused, known.user_paused),
        (Reason::LimitZero, settings.limit_permille(device) == 0),
        (Reason::PrivacySignal, known.privacy && !settings.privacy_opt_in),
        (Reason::SaveData, known.save_data && settings.respect_save_data),
        (Reason::Hidden, hidden && !settings.allow_hidden),
        (Reason::FocusRequired, page && settings.focus_required && known.focus != Focus::Focused),
        (Reason::OutsideHours, settings.hours.is_some_and(|h| !known.minute.is_some_and(|m| h.contain(m)))),
        (Reason::BatteryLow, {
            let least = more_if(Reason::BatteryLow, BATTERY_PAUSE_PERMILLE, BATTERY_RESUME_PERMILLE);
            settings.respect_battery && matches!(known.power, Power::Battery(Some(level)) if level < least)
        }),
        (Reason::CpuPressure, matches!(known.pressure, Pressure::Serious | Pressure::Critical)),
        (Reason::MachineBusy, {
            let most = more_if(Reason::MachineBusy, LOAD_PAUSE_PERMILLE, LOAD_RESUME_PERMILLE);
            !page && known.other_load_permille >= most
        }),
        (Reason::GpuBusy, device == Device::Gpu && known.contention.heavy(before == Some(Reason::GpuBusy))),
        (Reason::Measuring, page && !hidden && known.frames.pace(now_us) == Pace::Measuring),
    ];
    causes.into_iter().find(|(_, applies)| *applies).map(|(reason, _)| reason)
}

/// The lowest of the ceilings that apply; the user's limit is the highest there can be.
pub(super) fn ceiling(settings: &Settings, device: Device, known: &Known, now_us: u64) -> Ceiling {
    let limit = settings.limit_permille(device);
    let mut lowest = base(settings, known, limit, now_us);
    let mut at_most = |permille: u16, reason| {
        if permille < lowest.permille {
            lowest = Ceiling { permille, reason };
        }
    };
    let assumed = settings.mobile && known.power == Power::Unknown;
    if settings.respect_battery && (assumed || matches!(known.power, Power::Battery(_))) {
        at_most(BATTERY_PERMILLE, Reason::OnBattery);
    }
    if known.pressure == Pressure::Fair {
        at_most((limit / 2).max(1), Reason::CpuPressureFair);
    }
    if settings.place == Place::Native {
        at_most((1000 - known.other_load_permille).max(1), Reason::MachineLoad);
    }
    lowest
}

/// The specification's base rule, first match first.
fn base(settings: &Settings, known: &Known, limit: u16, now_us: u64) -> Ceiling {
    let at_most = |permille: u16, reason| Ceiling { permille: permille.min(limit), reason };
    if settings.place == Place::Native {
        // A machine without input devices has no user to disturb.
        let idle = known.input_age_us(now_us).is_none_or(|age_us| age_us >= settings.min_idle_us);
        return if idle { at_most(limit, Reason::Idle) } else { at_most(ACTIVE_PERMILLE, Reason::Active) };
    }
    if known.visibility == Visibility::Hidden {
        return at_most(limit, Reason::HiddenAllowed);
    }
    if known.frames.long_frame_lately(now_us) {
        return at_most(STRUGGLING_PERMILLE, Reason::LongFrame);
    }
    let focused = known.focus == Focus::Focused;
    let idle = focused && known.page_input_age_us(now_us) >= settings.min_idle_us;
    match known.frames.pace(now_us) {
        Pace::Stalled | Pace::Measuring => at_most(STRUGGLING_PERMILLE, Reason::PageStalled),
        Pace::Shown(share) if share < STRUGGLING_BELOW => {
            at_most(STRUGGLING_PERMILLE, Reason::PageStruggling)
        }
        Pace::Shown(share) if share < MODERATE_BELOW => at_most(MODERATE_PERMILLE, Reason::PageModerate),
        Pace::Shown(_) if idle => at_most(limit, Reason::Idle),
        // Without the focus, no input says nothing: the user may be typing next door.
        Pace::Shown(_) if !focused => at_most(ACTIVE_PERMILLE, Reason::Unfocused),
        Pace::Shown(_) => at_most(ACTIVE_PERMILLE, Reason::Active),
    }
}

/// The longest submission. A visible page's is at most a quarter of its frame, so that a frame that is drawn behind one is
/// drawn in time; half of that while something is being hurt.
pub(super) fn slice_us(settings: &Settings, known: &Known, backed_off: bool) -> u32 {
    let longest = match (settings.place, known.visibility) {
        (Place::Native, _) => settings.slice_native_us,
        (Place::Page, Visibility::Hidden) => settings.slice_hidden_us,
        (Place::Page, Visibility::Visible) => {
            let frame_us = known.frames.baseline_us().unwrap_or(FASTEST_COMMON_FRAME_US);
            settings.slice_visible_us.min(frame_us / 4)
        }
    };
    let longest = if backed_off { longest / 2 } else { longest };
    longest.max(SLICE_LEAST_US)
}

/// When a decision is worth asking for again. What ends a pause is mostly a signal, and signals are reported.
pub(super) fn look_again_us(reason: Reason) -> u64 {
    match reason {
        Reason::UserPaused
        | Reason::LimitZero
        | Reason::PrivacySignal
        | Reason::SaveData
        | Reason::Hidden => QUIET_US,
        Reason::OutsideHours => QUIET_US,
        _ => STEP_US,
    }
}

const STRUGGLING_BELOW: u16 = 500;
const MODERATE_BELOW: u16 = 830;
const STRUGGLING_PERMILLE: u16 = 100;
const MODERATE_PERMILLE: u16 = 300;
const ACTIVE_PERMILLE: u16 = 200;

const BATTERY_PERMILLE: u16 = 100;
const BATTERY_PAUSE_PERMILLE: u16 = 500;
const BATTERY_RESUME_PERMILLE: u16 = 550;
const LOAD_PAUSE_PERMILLE: u16 = 800;
const LOAD_RESUME_PERMILLE: u16 = 700;

const SLICE_LEAST_US: u32 = 500;
/// 144 Hz, for a page whose display is not measured.
const FASTEST_COMMON_FRAME_US: u32 = 6944;
const STEP_US: u64 = 250_000;
const QUIET_US: u64 = 30_000_000;
