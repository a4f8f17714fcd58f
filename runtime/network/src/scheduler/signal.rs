//! What a shell can see of its machine, its page and its user.

/// One observation. Numbers come as the platform gives them; what is no number, or none that can be, is passed over or
/// read on the careful side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// The page drew a frame.
    Frame {
        /// Milliseconds since the frame before it.
        interval_ms: f64,
    },
    /// The page had a long animation frame, or a long task.
    LongFrame {
        /// How long it was, in milliseconds; below 50 it is not long.
        duration_ms: f64,
    },
    /// The page became visible or hidden. Frozen is hidden.
    Visibility(Visibility),
    /// The page got or lost the focus.
    Focus(Focus),
    /// The user touched a key, the pointer or the page.
    Input,
    /// The battery; `None` where the platform does not tell.
    Battery(Option<Battery>),
    /// Whether the browser saves data.
    SaveData(bool),
    /// Whether the browser sends Global Privacy Control or the like.
    Privacy(bool),
    /// The processor's pressure.
    Pressure(Pressure),
    /// Share of the processor that other processes use, 0 to 1. For native workers.
    OtherLoad {
        /// The share.
        share: f64,
    },
    /// The local time of day, in minutes since midnight; `None` where it cannot be told.
    Minute(Option<u16>),
    /// Share of the last second that the device was busy for this node, 0 to 1: from timestamps where there are, else
    /// from submission to completion. [`Pacer`](super::Pacer) measures it.
    Occupancy {
        /// The share.
        share: f64,
    },
    /// How long a tiny dispatch took from submission to completion, with nothing else of this node on the device.
    Probe {
        /// Milliseconds.
        latency_ms: f64,
    },
    /// The user pressed pause (true) or resume (false).
    Pause(bool),
}

/// Whether the page can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// At least in part.
    Visible,
    /// Not at all: no frames are drawn and timers sleep.
    Hidden,
}

/// Whether keys go to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// They do.
    Focused,
    /// They go elsewhere, where the page cannot see them: its user may be busy or away.
    Unfocused,
    /// The shell cannot tell. Read as unfocused.
    Unknown,
}

/// What the battery says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Battery {
    /// How full it is, 0 to 1.
    pub level: f64,
    /// Whether the machine is on mains power.
    pub charging: bool,
}

/// States of the Compute Pressure API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Room to spare.
    Nominal,
    /// Works well, with little to spare.
    Fair,
    /// Slows down soon.
    Serious,
    /// Slows down.
    Critical,
}
