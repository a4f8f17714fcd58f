//! The scheduler's ceiling beside the reference, over random histories of a page.

use network::scheduler::{
    Decision, Device, Focus, Place, RawSettings, Reason, Scheduler, Settings, Signal, Visibility,
};
use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};

use crate::reference::{History, throttle};

#[test]
fn the_ceiling_is_the_base_rule() {
    compare(|decision| decision).expect("no difference");
}

/// A scheduler with one branch of the rule wrong.
#[test]
fn a_planted_fault_is_caught() {
    let moderate = |mut decision: Decision| {
        if decision.reason == Reason::PageModerate {
            decision.ceiling_permille = decision.ceiling_permille.min(200);
        }
        decision
    };
    assert!(compare(moderate).is_err());
    let idle = |mut decision: Decision| {
        if decision.reason == Reason::Unfocused {
            decision.ceiling_permille = 1000;
        }
        decision
    };
    assert!(compare(idle).is_err());
}

fn compare(plant: impl Fn(Decision) -> Decision) -> Result<(), String> {
    let mut runner = TestRunner::deterministic();
    let period_ms = prop::sample::select(vec![20.0, 16.0, 8.0, 7.0]);
    let world = (period_ms, 0u16..=1000, 0u32..9000, prop::collection::vec(event(), 1..200));
    let run = |(period_ms, limit, min_idle_ms, events): (f64, u16, u32, Vec<Event>)| {
        let mut page = Page::open(period_ms, settings(limit, min_idle_ms));
        for event in events {
            page.step(event);
            // Nothing runs, so nothing that the page misses is this node's doing.
            page.scheduler.signal(page.now_us(), Signal::Occupancy { share: 0.0 });
            let seen = plant(page.scheduler.decide(page.now_us()));
            let expected = throttle(&page.history, f64::from(limit) / 1000.0, f64::from(min_idle_ms));
            let expected_permille = (expected * 1000.0).round() as u16;
            if seen.ceiling_permille != expected_permille {
                let what =
                    format!("{seen:?}, the rule says {expected_permille} at {} ms", page.history.now_ms);
                return Err(TestCaseError::fail(what));
            }
        }
        Ok(())
    };
    runner.run(&world, run).map_err(|error| error.to_string())
}

#[derive(Clone, Debug)]
enum Event {
    /// Frames, each of so many refreshes.
    Frames(Vec<u8>),
    Input,
    Focus(bool),
    /// Milliseconds in which nothing is drawn.
    Nothing(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let smooth = prop::collection::vec(prop_oneof![20 => Just(1u8), 1 => 2u8..4], 1..60);
    let rough = prop::collection::vec(1u8..6, 1..30);
    prop_oneof![
        4 => smooth.prop_map(Event::Frames),
        4 => rough.prop_map(Event::Frames),
        2 => Just(Event::Input),
        1 => any::<bool>().prop_map(Event::Focus),
        1 => (0u16..1200).prop_map(Event::Nothing),
    ]
}

fn settings(limit_permille: u16, min_idle_ms: u32) -> Settings {
    let contribution = f64::from(limit_permille) / 1000.0;
    let raw = RawSettings {
        contribution,
        min_idle_time_ms: f64::from(min_idle_ms),
        ..RawSettings::new(Place::Page)
    };
    raw.check().expect("good settings")
}

struct Page {
    scheduler: Scheduler,
    history: History,
}

impl Page {
    /// A page whose refresh is measured: the reference is told what it is.
    fn open(period_ms: f64, settings: Settings) -> Self {
        let mut page = Page {
            scheduler: Scheduler::new(settings, Device::Gpu, 0),
            history: History { period_ms, ..History::default() },
        };
        page.scheduler.signal(0, Signal::Visibility(Visibility::Visible));
        page.step(Event::Focus(true));
        page.step(Event::Frames(vec![1; 160]));
        page
    }

    fn now_us(&self) -> u64 {
        (self.history.now_ms * 1000.0).round() as u64
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Frames(refreshes) => {
                for refresh in refreshes {
                    let interval_ms = f64::from(refresh) * self.history.period_ms;
                    self.history.now_ms += interval_ms;
                    self.history.frames.push((self.history.now_ms, interval_ms));
                    self.scheduler.signal(self.now_us(), Signal::Frame { interval_ms });
                }
            }
            Event::Input => {
                self.history.inputs.push(self.history.now_ms);
                self.scheduler.signal(self.now_us(), Signal::Input);
            }
            Event::Focus(on) => {
                let known = self.history.focus.last().is_some_and(|&(_, was)| was == on);
                if !known {
                    self.history.focus.push((self.history.now_ms, on));
                }
                let focus = if on { Focus::Focused } else { Focus::Unfocused };
                self.scheduler.signal(self.now_us(), Signal::Focus(focus));
            }
            Event::Nothing(ms) => self.history.now_ms += f64::from(ms),
        }
    }
}
