//! Processes die at the worst moments.

use ledger::MICRO;
use network::{edge, reason::Reason, wire::Verify};

use crate::world::{ANN, ANN_CREDITS, Manner, World, payload, request, work};

const HONEST: [Manner; 4] = [Manner::Honest; 4];

/// Every job has ended, rightly if with a result; every escrow is settled; all credits are where they belong.
fn all_is_well(world: &mut World, jobs: u64) {
    for job in 0..jobs {
        assert!(world.until(900_000, |world| world.end(job).is_some()), "job {job} ends");
        if let Some(Ok(result)) = world.end(job) {
            assert_eq!(result, work(&payload(2, job)));
        }
    }
    assert!(world.until(900_000, |world| world.escrows() == 0), "every escrow is settled");
    world.relay.as_ref().unwrap().ledger().check_refold().expect("the same from the set alone");
    assert_eq!(world.anns() + world.earned(), ANN_CREDITS * MICRO);
}

/// Whatever it had written last, it is never known to have said it.
#[test]
fn a_relay_dies_between_a_save_and_the_word() {
    let mut restarted = 0;
    for at_save in 1..20 {
        let mut world = World::new(100 + at_save, &HONEST, |_| {});
        world.ready();
        world.relay_dies_after(at_save);
        for job in 0..4 {
            world.submit(job, request(payload(2, job), Verify::Redundant(2)));
        }
        if world.until(60_000, |world| world.relay.is_none()) {
            world.pass(3_000);
            world.start_relay();
            restarted += 1;
        }
        world.relay_dies_at_save = None;
        all_is_well(&mut world, 4);
    }
    assert!(restarted > 12, "{restarted} crashes");
}

/// Before it is proposed, and after: the same operation, never another one for its seq.
#[test]
fn an_edge_dies_between_the_write_of_an_operation_and_its_word() {
    for at_save in 0..8 {
        let mut world = World::new(200 + at_save, &HONEST, |_| {});
        world.ready();
        world.edge_dies_at_save = Some((ANN, at_save));
        for job in 0..4 {
            world.submit(job, request(payload(2, job), Verify::Redundant(2)));
        }
        let died = world.until(60_000, |world| world.houses[ANN].edge.is_none());
        assert_eq!(died, at_save < 4, "one operation a job");
        if died {
            world.pass(2_000);
            world.start_edge(ANN);
            // The jobs of its former life are gone; their escrows come back when they run out or are settled.
            for job in 10..12 {
                world.submit_when_open(job);
            }
            for job in 10..12 {
                assert!(world.until(300_000, |world| world.end(job).is_some()), "job {job} ends");
                assert!(world.end(job).unwrap().is_ok(), "{:?}", world.end(job));
            }
        } else {
            all_is_well(&mut world, 4);
        }
    }
}

#[test]
fn a_worker_dies_between_its_opening_and_its_run() {
    for at_save in 0..4 {
        let mut world = World::new(300 + at_save, &HONEST, |_| {});
        world.ready();
        world.edge_dies_at_save = Some((1, at_save));
        for job in 0..6 {
            world.submit(job, request(payload(2, job), Verify::Redundant(2)));
        }
        if world.until(20_000, |world| world.houses[1].edge.is_none()) {
            world.pass(1_000);
            world.start_edge(1);
        }
        all_is_well(&mut world, 6);
    }
}

/// A storm: anybody dies or is unplugged at any time.
#[test]
fn a_storm() {
    let mut done = 0;
    for seed in 0..12 {
        let mut world = World::new(400 + seed, &HONEST, |_| {});
        world.ready();
        for job in 0..20 {
            if world.houses[ANN].edge.as_ref().unwrap().connected().count() == 1 {
                world.submit(job, request(payload(2, job), Verify::Redundant(2)));
            } else {
                world.submit_when_open(job);
            }
            let pause_ms = world.below(3_000);
            world.pass(pause_ms);
            let place = 1 + world.below(4) as usize;
            match world.below(10) {
                0 => {
                    world.kill_relay();
                    let down_ms = world.below(5_000);
                    world.pass(down_ms);
                    world.start_relay();
                }
                1 => {
                    world.kill_edge(place);
                    let down_ms = world.below(5_000);
                    world.pass(down_ms);
                    world.start_edge(place);
                }
                2 => world.unplug(ANN),
                3 | 4 => world.unplug(place),
                _ => {}
            }
        }
        all_is_well(&mut world, 20);
        done += (0..20).filter(|job| world.end(*job).unwrap().is_ok()).count();
    }
    eprintln!("storm: {done} of 240 done");
    assert!(done > 120, "{done} of 240");
}

/// The relay says when it goes down; what it took in is done or given back.
#[test]
fn a_relay_drains() {
    let mut world = World::new(500, &HONEST, |_| {});
    world.ready();
    for job in 0..6 {
        world.submit(job, request(payload(2, job), Verify::Redundant(2)));
    }
    world.until(10_000, |world| world.houses.iter().any(|house| house.runs > 0));
    world.step_relay(network::relay::Input::Drain);
    let drained = |world: &World| world.relay_events.contains(&network::relay::Event::Drained);
    assert!(world.until(60_000, drained));
    world.kill_relay();
    world.pass(5_000);
    world.start_relay();
    all_is_well(&mut world, 6);
}

#[test]
fn an_edge_drains() {
    let mut world = World::new(501, &HONEST, |_| {});
    world.ready();
    for job in 0..3 {
        world.submit(job, request(payload(2, job), Verify::Redundant(2)));
    }
    world.pass(500);
    world.step_edge(ANN, edge::Input::Drain);
    world.step_edge(1, edge::Input::Drain);
    let drained = |world: &World, place: usize| world.houses[place].events.contains(&edge::Event::Drained);
    assert!(world.until(120_000, |world| drained(world, ANN) && drained(world, 1)));
    for job in 0..3 {
        assert!(matches!(world.end(job), Some(Ok(_)) | Some(Err(Reason::Draining))), "{:?}", world.end(job));
    }
}
