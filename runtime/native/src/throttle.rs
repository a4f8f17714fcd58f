//! How much of this machine strangers may use: the scheduler's decisions, carried out between slices.
//!
//! ```text
//! Watch: what the system shows --> Scheduler --> Decision --> a Pacer a lane --> the engine's turns
//! ```
//! The engine asks [`Throttle`] before every slice and waits here: for its lane's share of time, for a pause to end, or for
//! the word to stop. Work that no plan runs (the walk of an index, the sandbox) is charged afterwards, before the next slice.

mod load;
mod watch;

use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use engine::{Pace, Turn, TurnFuture};
use network::scheduler::{self, Again, Cost, Decision, Device, Pacer, Scheduler, Settings, Signal};

pub use load::{CpuTimes, battery};
pub use watch::Watch;

/// One device's scheduler and the lanes that obey it. Shared by the thread that works and the one that watches.
pub struct Throttle {
    began: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    scheduler: Scheduler,
    decision: Decision,
    decide_at_us: u64,
    lanes: BTreeMap<usize, Lane>,
    cost: Cost,
    stopped: bool,
}

/// A GPU's queue, or one thread of the processor.
struct Lane {
    pacer: Pacer,
    /// When its slice began.
    began_us: u64,
}

impl Throttle {
    /// A throttle for a device that has seen nothing.
    pub fn new(settings: Settings, device: Device) -> Self {
        let mut scheduler = Scheduler::new(settings, device, 0);
        let decision = scheduler.decide(0);
        Throttle {
            began: Instant::now(),
            state: Mutex::new(State {
                scheduler,
                decision,
                decide_at_us: 0,
                lanes: BTreeMap::new(),
                cost: Cost::default(),
                stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// What the device may do at present, and why.
    pub fn decision(&self) -> Decision {
        let now_us = self.now_us();
        let mut state = self.state();
        state.decide(now_us);
        state.decision
    }

    /// Notes what the shell saw; a lane that waits in a pause looks again.
    pub fn signal(&self, signals: impl IntoIterator<Item = Signal>) {
        let now_us = self.now_us();
        let mut state = self.state();
        signals.into_iter().for_each(|signal| state.scheduler.signal(now_us, signal));
        state.decide_at_us = now_us;
        state.decide(now_us);
        drop(state);
        self.changed.notify_all();
    }

    /// Share of the last second that the device was busy for strangers, in thousandths: the mean of its lanes.
    pub fn occupancy_permille(&self) -> u16 {
        let now_us = self.now_us();
        let mut state = self.state();
        let lanes = state.lanes.len().max(1);
        let sum: usize =
            state.lanes.values_mut().map(|l| usize::from(l.pacer.occupancy_permille(now_us))).sum();
        (sum / lanes) as u16
    }

    /// Waits until a lane has paid what it owes, and charges it with work that was not cut in slices. Returns whether to go on.
    pub fn charge(&self, lane: usize, busy: Duration) -> bool {
        let busy_us = busy.as_micros().min(u128::from(scheduler::PACE_WINDOW_US)) as u64;
        if self.wait(lane).is_none() {
            return false;
        }
        let now_us = self.now_us();
        self.state().lane(lane, now_us).pacer.done(now_us, busy_us);
        true
    }

    /// Ends the call that runs, or lets the next one begin.
    pub fn stop(&self, stopped: bool) {
        self.state().stopped = stopped;
        self.changed.notify_all();
    }

    /// Blocks until a lane may run; how long its slice may be, or `None` if it shall stop.
    fn wait(&self, lane: usize) -> Option<u32> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            let now_us = self.now_us();
            state.decide(now_us);
            let most_us = match state.lane(lane, now_us).pacer.next(now_us) {
                scheduler::Turn::Run(slice_us) => {
                    state.lane(lane, now_us).began_us = now_us;
                    return Some(slice_us);
                }
                scheduler::Turn::Wait(us) => us.max(1),
                scheduler::Turn::Paused => PAUSE_LOOK_US,
            };
            let waited = self.changed.wait_timeout(state, Duration::from_micros(most_us.min(PAUSE_LOOK_US)));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace for Throttle {
    fn turn(&self, lane: usize) -> TurnFuture<'_> {
        let slice_us = self.wait(lane);
        let turn = slice_us.map_or(Turn::Stop, |us| Turn::Run { work: self.state().cost.fit(us) });
        Box::pin(ready(turn))
    }

    fn done(&self, lane: usize, work: u64) {
        let now_us = self.now_us();
        let mut state = self.state();
        let lane = state.lane(lane, now_us);
        let busy_us = now_us.saturating_sub(lane.began_us);
        lane.pacer.done(now_us, busy_us);
        state.cost.observe(work, busy_us);
    }
}

impl State {
    /// Asks the scheduler again when it is time to.
    fn decide(&mut self, now_us: u64) {
        if now_us < self.decide_at_us {
            return;
        }
        self.decision = self.scheduler.decide(now_us);
        let after_us = match self.decision.again {
            Again::After(us) => us.clamp(DECIDE_LEAST_US, PAUSE_LOOK_US),
            Again::OnMessage => PAUSE_LOOK_US,
        };
        self.decide_at_us = now_us + after_us;
        self.lanes.values_mut().for_each(|lane| lane.pacer.set(now_us, &self.decision));
    }

    fn lane(&mut self, lane: usize, now_us: u64) -> &mut Lane {
        let decision = self.decision;
        self.lanes.entry(lane).or_insert_with(|| {
            let mut pacer = Pacer::new(now_us);
            pacer.set(now_us, &decision);
            Lane { pacer, began_us: now_us }
        })
    }
}

/// A pause is looked at again after so long, whatever happens.
const PAUSE_LOOK_US: u64 = 250_000;
const DECIDE_LEAST_US: u64 = 1_000;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use network::scheduler::{Place, RawSettings, Reason};

    use super::*;

    fn throttle(contribution: f64) -> Throttle {
        let raw = RawSettings { contribution, ..RawSettings::new(Place::Native) };
        Throttle::new(raw.check().expect("good settings"), Device::Cpu)
    }

    /// One slice: what was granted, and as much work as it says done.
    fn slice(throttle: &Throttle, lane: usize) -> Turn {
        let turn = pollster::block_on(throttle.turn(lane));
        if let Turn::Run { work } = turn {
            throttle.done(lane, work);
        }
        turn
    }

    #[test]
    fn a_pause_holds_a_lane_until_it_ends() {
        let throttle = Arc::new(throttle(1.0));
        throttle.signal([Signal::Pause(true)]);
        assert_eq!(throttle.decision().duty_permille, 0);
        let lane = thread::spawn({
            let throttle = throttle.clone();
            move || slice(&throttle, 0)
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!lane.is_finished(), "it waits");
        throttle.signal([Signal::Pause(false)]);
        // A pause is seen to hold for a second, so that it does not flicker.
        assert!(matches!(lane.join().expect("no panic"), Turn::Run { .. }));
    }

    #[test]
    fn whoever_waits_in_a_pause_hears_stop() {
        let throttle = Arc::new(throttle(1.0));
        throttle.signal([Signal::Pause(true)]);
        let lane = thread::spawn({
            let throttle = throttle.clone();
            move || slice(&throttle, 0)
        });
        throttle.stop(true);
        assert_eq!(lane.join().expect("no panic"), Turn::Stop);
        assert!(!throttle.charge(0, Duration::ZERO));
        throttle.stop(false);
        throttle.signal([Signal::Pause(false)]);
        assert!(matches!(slice(&throttle, 0), Turn::Run { .. }));
    }

    #[test]
    fn a_foreign_load_lowers_the_duty_and_is_named() {
        let throttle = throttle(0.8);
        throttle.signal([Signal::OtherLoad { share: 0.0 }, Signal::Minute(Some(0))]);
        let alone = throttle.decision();
        throttle.signal([Signal::OtherLoad { share: 0.9 }]);
        let crowded = throttle.decision();
        assert!(crowded.ceiling_permille < alone.ceiling_permille, "{alone:?} {crowded:?}");
        assert!(matches!(crowded.reason, Reason::MachineBusy | Reason::MachineLoad), "{crowded:?}");
    }
}
