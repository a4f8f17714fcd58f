//! Why the duty is what it is: codes users can read.

use std::fmt;

/// The state of a scheduler, in words. Pauses come first, the weightiest first: of two that apply, the first is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Pause: the user pressed the button.
    UserPaused,
    /// Pause: the user's limit for this device is 0.
    LimitZero,
    /// Pause: the browser sends a privacy signal, and the user did not opt in in spite of it.
    PrivacySignal,
    /// Pause: the browser saves data.
    SaveData,
    /// Pause: the page is hidden, and hidden pages may not work.
    Hidden,
    /// Pause: the page must have the focus to work, and is not known to have it.
    FocusRequired,
    /// Pause: not one of the hours the user allows.
    OutsideHours,
    /// Pause: on battery, with little left.
    BatteryLow,
    /// Pause: the processor is under serious or critical pressure.
    CpuPressure,
    /// Pause: other processes use the machine.
    MachineBusy,
    /// Pause: others use the GPU heavily.
    GpuBusy,
    /// Pause: the display's refresh rate, or what the page misses by itself, is being measured, which work would falsify.
    Measuring,
    /// Another user of the GPU was noticed, and the duty was cut.
    GpuContended,
    /// The page missed frames, and the duty was cut.
    FramesMissed,
    /// The page shows no frames though it is visible.
    PageStalled,
    /// The page had a long frame within the last second.
    LongFrame,
    /// The page shows less than half its frames.
    PageStruggling,
    /// The machine is on battery.
    OnBattery,
    /// Other processes use part of the machine.
    MachineLoad,
    /// The processor is under fair pressure.
    CpuPressureFair,
    /// The page shows less than 83 % of its frames.
    PageModerate,
    /// The page has no focus, so it cannot know whether its user is idle.
    Unfocused,
    /// The user is active.
    Active,
    /// The page is hidden and may work.
    HiddenAllowed,
    /// The user is idle: the limit is all that holds.
    Idle,
}

impl Reason {
    /// Every reason, pauses first.
    pub const ALL: [Reason; 25] = [
        Reason::UserPaused,
        Reason::LimitZero,
        Reason::PrivacySignal,
        Reason::SaveData,
        Reason::Hidden,
        Reason::FocusRequired,
        Reason::OutsideHours,
        Reason::BatteryLow,
        Reason::CpuPressure,
        Reason::MachineBusy,
        Reason::GpuBusy,
        Reason::Measuring,
        Reason::GpuContended,
        Reason::FramesMissed,
        Reason::PageStalled,
        Reason::LongFrame,
        Reason::PageStruggling,
        Reason::OnBattery,
        Reason::MachineLoad,
        Reason::CpuPressureFair,
        Reason::PageModerate,
        Reason::Unfocused,
        Reason::Active,
        Reason::HiddenAllowed,
        Reason::Idle,
    ];

    /// A stable name.
    pub fn code(self) -> &'static str {
        match self {
            Reason::UserPaused => "user-paused",
            Reason::LimitZero => "limit-zero",
            Reason::PrivacySignal => "privacy-signal",
            Reason::SaveData => "save-data",
            Reason::Hidden => "hidden",
            Reason::FocusRequired => "focus-required",
            Reason::OutsideHours => "outside-hours",
            Reason::BatteryLow => "battery-low",
            Reason::CpuPressure => "cpu-pressure",
            Reason::MachineBusy => "machine-busy",
            Reason::GpuBusy => "gpu-busy",
            Reason::Measuring => "measuring",
            Reason::GpuContended => "gpu-contended",
            Reason::FramesMissed => "frames-missed",
            Reason::PageStalled => "page-stalled",
            Reason::LongFrame => "long-frame",
            Reason::PageStruggling => "page-struggling",
            Reason::OnBattery => "on-battery",
            Reason::MachineLoad => "machine-load",
            Reason::CpuPressureFair => "cpu-pressure-fair",
            Reason::PageModerate => "page-moderate",
            Reason::Unfocused => "unfocused",
            Reason::Active => "active",
            Reason::HiddenAllowed => "hidden-allowed",
            Reason::Idle => "idle",
        }
    }

    /// Whether nothing runs.
    pub fn is_pause(self) -> bool {
        self <= Reason::Measuring
    }

    /// Whether a pause outlives its cause for a second. What the user says and what was only waited for ends at once.
    pub(super) fn holds(self) -> bool {
        self.is_pause() && !matches!(self, Reason::UserPaused | Reason::LimitZero | Reason::Measuring)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(Reason::ALL.is_sorted(), "the list is in the order of the type");
        assert_eq!(Reason::ALL.iter().filter(|r| r.is_pause()).count(), 12);
    }
}
