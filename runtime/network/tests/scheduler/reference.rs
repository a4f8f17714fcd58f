//! The base rule, from the specification's text: floats, the whole history, nothing kept.

/// What happened to a visible page whose display refreshes every `period_ms`.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) period_ms: f64,
    pub(crate) now_ms: f64,
    /// When each frame was drawn, and milliseconds since the one before.
    pub(crate) frames: Vec<(f64, f64)>,
    /// When each input came.
    pub(crate) inputs: Vec<f64>,
    /// When the focus changed, and to what.
    pub(crate) focus: Vec<(f64, bool)>,
}

/// `getThrottle` of the specification, relative to the display's refresh and never above the limit.
pub(crate) fn throttle(history: &History, limit: f64, min_idle_ms: f64) -> f64 {
    let rate = shown(history);
    let wanted = if rate < 0.5 {
        0.1
    } else if rate < 0.83 {
        0.3
    } else if is_idle(history, min_idle_ms) {
        limit
    } else {
        0.2
    };
    f64::min(limit, wanted)
}

/// Frames of the last second over those there could have been.
fn shown(history: &History) -> f64 {
    let last = history.frames.last().map_or(0.0, |(at_ms, _)| *at_ms);
    if history.now_ms - last >= 500.0 {
        return 0.0;
    }
    let (mut count, mut span_ms) = (0.0, 0.0);
    for (_, interval_ms) in history.frames.iter().rev() {
        if span_ms + interval_ms > 1000.0 {
            break;
        }
        count += 1.0;
        span_ms += interval_ms;
    }
    if span_ms < 250.0 { 1.0 } else { count / (span_ms / history.period_ms) }
}

/// The user did nothing for long enough, and would have been seen doing it.
fn is_idle(history: &History, min_idle_ms: f64) -> bool {
    let Some(&(focused_ms, true)) = history.focus.last() else { return false };
    let last_ms = history.inputs.iter().copied().fold(focused_ms, f64::max);
    history.now_ms - last_ms >= min_idle_ms
}
