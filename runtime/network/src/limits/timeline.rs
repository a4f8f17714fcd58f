/// The shell's clock made safe for limits: it never goes back, and never far forward at once.
///
/// - **Forward by more than 10 s** counts as 10 s. A jump of a day then refills a bucket by its burst at most, and
///   forgets no seen id. A shell that sends no input for longer finds time slowed down, which closes gates and opens none.
/// - **Back by up to 10 s** stands still until the clock has caught up: a corrected clock that shakes gives nothing.
/// - **Back by more** is a clock that was set: time goes on from there at once, with nothing gained by the step. Whoever
///   can set the node's clock to and fro gains a burst each time; the count of jumps goes into the node's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    shell_ms: Option<u64>,
    now_ms: u64,
    jumps: u64,
}

impl Timeline {
    /// Takes the shell's time and gives the time that limits go by.
    pub fn advance(&mut self, shell_ms: u64) -> u64 {
        let last_ms = *self.shell_ms.get_or_insert(shell_ms);
        if shell_ms >= last_ms {
            let step_ms = shell_ms - last_ms;
            self.jumps = self.jumps.saturating_add(u64::from(step_ms > MAX_STEP_MS));
            self.now_ms = self.now_ms.saturating_add(step_ms.min(MAX_STEP_MS));
            self.shell_ms = Some(shell_ms);
        } else if last_ms - shell_ms > MAX_STEP_MS {
            self.jumps = self.jumps.saturating_add(1);
            self.shell_ms = Some(shell_ms);
        }
        self.now_ms
    }

    /// The time that limits go by.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// How often the clock jumped by more than 10 s, either way.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }
}

const MAX_STEP_MS: u64 = super::BURST_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_and_jumps_do_not() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.advance(1_000_000), 0);
        assert_eq!(timeline.advance(1_001_000), 1_000);
        // A day ahead, a shake, a day back, and on.
        assert_eq!(timeline.advance(87_401_000), 11_000);
        assert_eq!(timeline.advance(87_399_000), 11_000);
        assert_eq!(timeline.advance(87_401_500), 11_500);
        assert_eq!(timeline.advance(1_001_500), 11_500);
        assert_eq!(timeline.advance(1_002_500), 12_500);
        assert_eq!(timeline.jumps(), 2);
    }

    #[test]
    fn the_ends_of_time() {
        let mut timeline = Timeline::default();
        for shell_ms in [0, u64::MAX, 0, u64::MAX, u64::MAX] {
            timeline.advance(shell_ms);
        }
        assert_eq!((timeline.now_ms(), timeline.jumps()), (20_000, 3));
    }
}
