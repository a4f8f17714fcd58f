//! Connections: dialled with jitter, given up when silent; configurations that are none; bytes of strangers.

use std::collections::BTreeSet;

use ledger::MICRO;
use proptest::prelude::*;

use super::*;
use crate::{
    edge::testing::{Bench, key, preferences, relay_key},
    session::PING_MS,
    wire::Kind,
    worker::Preferences,
};

fn new(change: impl FnOnce(&mut Config)) -> Result<Edge, ConfigError> {
    let bench = Bench::new(1, true, Some(preferences()), 0);
    let mut config = bench.config.clone();
    change(&mut config);
    Edge::new(config, key(1), bench.network.clone(), Saved::nothing(key(1).account()))
}

#[test]
fn configurations_that_are_none() {
    assert!(new(|_| {}).is_ok());
    let relays = |n: usize| (0..n).map(|place| relay_key(place).account()).collect::<Vec<_>>();
    let twice = vec![relay_key(0).account(); 2];
    assert_eq!(new(|c| c.relays.clear()).err(), Some(ConfigError::Relays { found: 0 }));
    assert_eq!(new(|c| c.relays = relays(4)).err(), Some(ConfigError::Relays { found: 4 }));
    assert_eq!(new(|c| c.relays = twice).err(), Some(ConfigError::Relays { found: 2 }));
    assert_eq!(new(|c| c.agent = "x".repeat(65)).err(), Some(ConfigError::Agent { found: 65 }));
    let idle = |c: &mut Config| (c.submits, c.work) = (false, None);
    assert_eq!(new(idle).err(), Some(ConfigError::Idle));
    for slots in [0, 65] {
        let none = |c: &mut Config| c.work = Some(Preferences { slots, ..preferences() });
        assert_eq!(new(none).err(), Some(ConfigError::Preferences));
    }
    let bench = Bench::new(1, true, None, 0);
    let foreign = Saved::nothing(key(2).account());
    let edge = Edge::new(bench.config.clone(), key(1), bench.network.clone(), foreign);
    assert_eq!(edge.err(), Some(ConfigError::Saved));
}

#[test]
fn what_is_not_its_role_it_does_not_do() {
    let mut bench = Bench::connected(1, false, Some(preferences()), 0);
    bench.step(Input::SubmitBatch { job: 4, parts: vec![] });
    let failed = |event: &Event| match event {
        Event::Failed { job, reason, .. } => Some((*job, *reason)),
        _ => None,
    };
    assert_eq!(bench.event(failed), Some((4, Reason::RequestInvalid)));
}

/// Full jitter: anything up to a bound that doubles with every attempt and ends at a minute.
#[test]
fn reconnects_spread_over_a_growing_time() {
    let mut bench = Bench::new(1, true, None, 0);
    let relay = relay_key(0).account();
    bench.step(Input::Tick);
    let mut bound_ms = doors::LEAST_MS;
    let mut late = 0;
    for attempt in 0..200 {
        let (_, after_ms) = bench.dials.pop().expect("a dial");
        assert!(after_ms <= bound_ms, "attempt {attempt}: {after_ms} of {bound_ms}");
        late += u32::from(after_ms > bound_ms / 2);
        bound_ms = (bound_ms * 2).min(doors::MOST_MS);
        bench.step(Input::Unreachable { relay });
    }
    assert!((60..140).contains(&late), "{late} of 200 in the later half");
}

#[test]
fn a_relay_is_left_alone_as_long_as_it_wants() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.dials.clear();
    bench.say(0, Goodbye { reason: Reason::Draining as u16, retry_after_ms: 50_000 });
    let (_, after_ms) = bench.dials.pop().expect("a dial");
    assert!((50_000..=50_000 + doors::MOST_MS).contains(&after_ms));
    let closed = |event: &Event| match event {
        Event::Closed { reason, .. } => Some(*reason),
        _ => None,
    };
    assert_eq!(bench.event(closed), Some(Reason::Draining));
}

#[test]
fn a_shell_that_never_connects_is_asked_again() {
    let mut bench = Bench::new(1, true, None, 0);
    bench.step(Input::Tick);
    bench.wait(200_000);
    assert!(bench.dials.len() > 2, "{:?}", bench.dials);
}

#[test]
fn a_worker_dials_when_its_prekey_is_on_the_disk() {
    let mut bench = Bench::new(1, true, Some(preferences()), 0);
    bench.reports = false;
    bench.step(Input::Tick);
    assert!(bench.dials.is_empty());
    let ticket = bench.saves.pop_front().expect("the prekeys").ticket;
    bench.step(Input::Stored { ticket });
    assert_eq!(bench.dials.len(), 1);
    bench.reports = true;
    bench.connect(0);
    assert_eq!(bench.edge.connected().count(), 1);
}

#[test]
fn silent_relays_are_closed() {
    for kind in [Kind::Hello, Kind::Auth, Kind::Ping] {
        let mut bench = Bench::new(1, true, None, 0);
        bench.mute = [kind, Kind::AskAccount].into();
        bench.step(Input::Tick);
        bench.connect(0);
        let link = bench.link(0);
        bench.wait(u64::from(PING_MS) * 4);
        assert_eq!(bench.closed, [link], "{kind:?}");
    }
    let mut bench = Bench::connected(1, true, None, 0);
    bench.wait(u64::from(PING_MS) * 20);
    assert!(bench.closed.is_empty(), "who answers stays");
}

#[test]
fn connections_that_nobody_wants_are_closed() {
    let mut bench = Bench::connected(1, true, None, 0);
    bench.step(Input::Connected { link: Link(99), relay: relay_key(0).account() });
    bench.step(Input::Connected { link: Link(98), relay: relay_key(5).account() });
    assert_eq!(bench.closed, [Link(99), Link(98)]);
    bench.step(Input::Frame { link: Link(97), bytes: vec![1] });
    bench.step(Input::Closed { link: Link(97) });
    bench.step(Input::Stored { ticket: 1_000 });
    bench.step(Input::NotStored { ticket: 1_000 });
}

#[test]
fn another_relay_takes_over_the_wallet() {
    let mut bench = Bench::connected(2, true, None, 0);
    bench.mute.insert(Kind::Propose);
    let pay = |amount_ucredits| {
        let (to, reason, reference) = (key(2).account(), ledger::op::Reason::Payment, ledger::Id::ZERO);
        crate::wallet::Wanted::Pay(vec![ledger::op::Out { to, amount_ucredits, reason, reference }])
    };
    bench.step(Input::Order { order: 1, wanted: pay(MICRO) });
    bench.wait(100);
    assert_eq!(bench.proposed.len(), 1);
    bench.mute.clear();
    bench.disconnect(0);
    bench.wait(1_000);
    let proposed: BTreeSet<_> = bench.proposed.iter().collect();
    assert_eq!((bench.proposed.len(), proposed.len()), (2, 1), "the same at the other relay");
    assert_eq!(bench.available(&key(1)), 999 * MICRO);
}

#[test]
fn draining_ends_the_connections() {
    let mut bench = Bench::connected(2, true, None, 0);
    bench.wait(1_000);
    bench.step(Input::Drain);
    let drained = |event: &Event| matches!(event, Event::Drained).then_some(());
    assert!(bench.event(drained).is_some());
    assert_eq!(bench.closed.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever relays say, in whatever order: an answer, a refusal, or the end of the connection, and never a panic.
    #[test]
    fn bytes_of_strangers(
        seeds in prop::collection::vec((0..Kind::ALL.len(), any::<u64>(), any::<bool>()), 1..40)
    ) {
        let mut bench = Bench::connected(2, true, Some(preferences()), 100);
        bench.wait(5_000);
        let samples = crate::wire::samples_for_test();
        for (which, seed, cuts) in seeds {
            let mut bytes = samples[which].encode().unwrap();
            let at = (seed as usize) % bytes.len();
            if cuts {
                bytes[at] ^= (seed >> 32) as u8;
            }
            let place = (seed >> 60) as usize % 2;
            if bench.edge.connected().count() < 2 {
                for place in 0..2 {
                    if !bench.is_connected(place) {
                        bench.connect(place);
                    }
                }
            }
            if bench.is_connected(place) {
                bench.step(Input::Frame { link: bench.link(place), bytes });
            }
            bench.wait(seed % 500);
        }
    }
}
