//! The pacer's promise, over every window of every log of slices.

use network::scheduler::{Again, Decision, PACE_WINDOW_US, Pacer, Reason, Turn};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

#[test]
fn no_window_is_busier_than_the_duty() {
    check(|busy_us| busy_us).expect("the promise is kept");
}

/// A lane that reports half of what it took.
#[test]
fn a_planted_fault_is_caught() {
    let error = check(|busy_us| busy_us / 2).expect_err("the promise is broken");
    assert!(error.contains("busy"), "{error}");
}

#[test]
fn the_duty_is_used_up() {
    for duty_permille in [5, 20, 100, 300, 700, 1000] {
        let log = run(&[Phase { duty_permille, slice_us: 4000, lasts_us: 60_000_000 }], &[1000], |b| b);
        let busy_us: u64 = log.iter().map(|slice| slice.busy_us).sum();
        let share = busy_us as f64 / 60e6 * 1000.0;
        let wanted = f64::from(duty_permille);
        assert!((wanted * 0.9 - 1.0..=wanted).contains(&share), "{share} of {wanted}");
    }
}

#[test]
fn an_overrun_is_paid_back_before_the_next_slice() {
    let mut pacer = Pacer::new(0);
    pacer.set(0, &decision(100, 4000));
    let Turn::Wait(wait_us) = pacer.next(0) else { panic!("nothing was saved") };
    assert_eq!(pacer.next(wait_us), Turn::Run(4000));
    // It took ten times as long.
    let end_us = wait_us + 40_000;
    pacer.done(end_us, 40_000);
    let Turn::Wait(wait_us) = pacer.next(end_us) else { panic!("36 ms are owed") };
    assert!((350_000..420_000).contains(&wait_us), "{wait_us}");
    assert_eq!(pacer.occupancy_permille(end_us), 37, "40 ms of 1.08 s");
}

#[test]
fn absurd_times_and_reports_neither_panic_nor_block_for_ever() {
    let mut pacer = Pacer::new(5_000_000);
    assert_eq!(pacer.next(0), Turn::Paused);
    pacer.set(0, &decision(u16::MAX, u32::MAX));
    pacer.done(0, u64::MAX);
    pacer.set(u64::MAX / 2, &decision(20, 4000));
    pacer.done(u64::MAX / 2, u64::MAX);
    let Turn::Wait(wait_us) = pacer.next(3) else { panic!("much is owed") };
    assert!(wait_us < 5 * PACE_WINDOW_US, "{wait_us}");
    assert_eq!(pacer.next(u64::MAX), Turn::Run(4000));
}

fn check(report: impl Fn(u64) -> u64) -> Result<(), String> {
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 100, failure_persistence: None, ..Config::default() },
        TestRunner::deterministic().new_rng(),
    );
    let phase = (0u16..=1000, 500u32..20_000, 1_000_000u64..25_000_000)
        .prop_map(|(duty_permille, slice_us, lasts_us)| Phase { duty_permille, slice_us, lasts_us });
    let world = (prop::collection::vec(phase, 1..5), prop::collection::vec(100u64..=1000, 1..20));
    let test = |(phases, shares): (Vec<Phase>, Vec<u64>)| {
        let log = run(&phases, &shares, &report);
        match broken(&log, &phases) {
            None => Ok(()),
            Some(what) => Err(TestCaseError::fail(what)),
        }
    };
    runner.run(&world, test).map_err(|error| error.to_string())
}

#[derive(Clone, Copy, Debug)]
struct Phase {
    duty_permille: u16,
    slice_us: u32,
    lasts_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    start_us: u64,
    busy_us: u64,
}

/// Asks as often as the pacer wants; each slice takes a share of its grant, in thousandths.
fn run(phases: &[Phase], shares: &[u64], report: impl Fn(u64) -> u64) -> Vec<Slice> {
    let (mut pacer, mut now_us, mut end_us) = (Pacer::new(0), 0, 0);
    let mut log: Vec<Slice> = Vec::new();
    for phase in phases {
        pacer.set(now_us, &decision(phase.duty_permille, phase.slice_us));
        end_us += phase.lasts_us;
        while now_us < end_us {
            match pacer.next(now_us) {
                Turn::Run(slice_us) => {
                    let share = shares[log.len() % shares.len()];
                    let busy_us = u64::from(slice_us) * share / 1000;
                    log.push(Slice { start_us: now_us, busy_us });
                    now_us += busy_us.max(1);
                    pacer.done(now_us, report(busy_us));
                }
                Turn::Wait(wait_us) => now_us = (now_us + wait_us.max(1)).min(end_us),
                Turn::Paused => now_us = end_us,
            }
        }
    }
    log
}

/// The busiest windows begin with a slice or end with one.
fn broken(log: &[Slice], phases: &[Phase]) -> Option<String> {
    let mut before = vec![0];
    log.iter().for_each(|s| before.push(before[before.len() - 1] + s.busy_us));
    // Busy time up to a moment.
    let busy = |until_us: u64| {
        let begun = log.partition_point(|s| s.start_us < until_us);
        let last = begun.checked_sub(1).map(|i| log[i]);
        let cut_us = last.map_or(0, |s| (s.start_us + s.busy_us).saturating_sub(until_us));
        before[begun] - cut_us
    };
    let starts = log.iter().map(|s| s.start_us);
    let ends = log.iter().map(|s| (s.start_us + s.busy_us).saturating_sub(PACE_WINDOW_US));
    for from_us in starts.chain(ends) {
        let until_us = from_us + PACE_WINDOW_US;
        let busy_us = busy(until_us) - busy(from_us);
        let allowed_us = largest_duty(phases, from_us, until_us) * PACE_WINDOW_US / 1000;
        if busy_us > allowed_us {
            return Some(format!("busy for {busy_us} of {allowed_us} us from {from_us}"));
        }
    }
    None
}

/// A phase may begin a slice late; until then the one before it is in force.
fn largest_duty(phases: &[Phase], from_us: u64, until_us: u64) -> u64 {
    let (mut start_us, mut largest) = (0, 0);
    for phase in phases {
        let end_us = start_us + phase.lasts_us;
        if start_us < until_us && end_us + LATE_US > from_us {
            largest = largest.max(u64::from(phase.duty_permille));
        }
        start_us = end_us;
    }
    largest
}

fn decision(duty_permille: u16, slice_us: u32) -> Decision {
    let again = Again::After(1);
    Decision { duty_permille, ceiling_permille: duty_permille, slice_us, reason: Reason::Idle, again }
}

const LATE_US: u64 = 20_000;
