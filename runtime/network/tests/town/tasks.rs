//! Tasks on their way, and those that do not arrive.

use ledger::MICRO;
use network::{edge, reason::Reason, relay, wire::Verify};

use crate::world::{ANN, ANN_CREDITS, Manner, World, payload, request, work};

const HONEST: [Manner; 5] = [Manner::Honest; 5];

fn settled(world: &mut World) {
    assert!(world.until(120_000, |world| world.escrows() == 0), "every escrow is settled");
    world.relay.as_ref().unwrap().ledger().check_refold().expect("the same from the set alone");
    assert_eq!(world.anns() + world.earned(), ANN_CREDITS * MICRO, "nobody gains, nobody loses");
}

#[test]
fn results_are_what_the_submitter_would_compute() {
    for (seed, verify) in [(1, Verify::Redundant(1)), (2, Verify::Redundant(3)), (3, Verify::Adaptive)] {
        let mut world = World::new(seed, &HONEST, |_| {});
        world.ready();
        for job in 0..12 {
            world.submit(job, request(payload(1 + job as usize * 7, job), verify));
        }
        for job in 0..12 {
            assert!(world.until(120_000, |world| world.end(job).is_some()), "job {job} ends");
            assert_eq!(world.end(job), Some(Ok(work(&payload(1 + job as usize * 7, job)))), "{verify:?}");
        }
        settled(&mut world);
        assert!(world.earned() >= 12 * MICRO / 10);
    }
}

/// Most of it is sealed in several chunks, and goes in several frames.
#[test]
fn a_large_payload_comes_whole() {
    let mut world = World::new(4, &HONEST, |_| {});
    world.ready();
    let large: Vec<u8> = (0..900_000u32).map(|n| (n / 7) as u8).collect();
    let request = network::submitter::Request {
        max_result_bytes: 2_000_000,
        ..request(large.clone(), Verify::Redundant(1))
    };
    // Nobody lends that much.
    world.submit(1, request);
    assert!(world.until(120_000, |world| world.end(1).is_some()));
    assert!(world.end(1).unwrap().is_err());
    let request = crate::world::request(large[..30_000].to_vec(), Verify::Redundant(1));
    world.submit(2, request);
    assert!(world.until(120_000, |world| world.end(2).is_some()));
    assert_eq!(world.end(2), Some(Ok(work(&large[..30_000]))));
    settled(&mut world);
}

#[test]
fn a_liar_is_outvoted_and_once_the_others_are_known_slashed() {
    let mut world = World::new(5, &HONEST, |_| {});
    world.ready();
    let mut job = 0;
    let mut run = |world: &mut World, count: u64| {
        for _ in 0..count {
            world.submit(job, request(payload(3, job), Verify::Redundant(5)));
            assert!(world.until(120_000, |world| world.end(job).is_some()), "job {job} ends");
            assert_eq!(world.end(job), Some(Ok(work(&payload(3, job)))), "no lie is delivered");
            job += 1;
        }
    };
    run(&mut world, 25);
    world.houses[3].manner = Manner::Liar;
    run(&mut world, 3);
    world.pass(10_000);
    let liar = world.houses[3].key.account();
    let slashed = |event: &relay::Event| match event {
        relay::Event::Slashed { worker, amount_ucredits, .. } => Some((*worker, *amount_ucredits)),
        _ => None,
    };
    let slashed: Vec<_> = world.relay_events.iter().filter_map(slashed).collect();
    assert!(!slashed.is_empty() && slashed.iter().all(|(worker, _)| *worker == liar), "{slashed:?}");
    let burned: u64 = slashed.iter().map(|(_, amount)| amount).sum();
    assert_eq!(world.relay.as_ref().unwrap().ledger().totals().burned, u128::from(burned));
}

/// The canary of all tests here: without verification the lie arrives, and the town sees it.
#[test]
fn without_verification_a_lie_is_delivered() {
    let manners = [Manner::Liar; 3];
    let mut world = World::new(6, &manners, |config| config.verification = relay::Verification::Off);
    world.ready();
    world.submit(1, request(payload(3, 1), Verify::Redundant(3)));
    assert!(world.until(120_000, |world| world.end(1).is_some()));
    let result = world.end(1).unwrap().expect("a result");
    assert_ne!(result, work(&payload(3, 1)));
    let unverified =
        |event: &edge::Event| matches!(event, edge::Event::Result { result, .. } if !result.verified);
    assert!(world.houses[ANN].events.iter().any(unverified));
}

#[test]
fn workers_that_vanish_or_never_finish_are_replaced() {
    // Stuck ones hold a task until its time is up.
    let manners = [Manner::Stuck, Manner::Stuck, Manner::Honest, Manner::Honest, Manner::Honest];
    let mut world = World::new(7, &manners, |_| {});
    world.ready();
    for job in 0..6 {
        world.submit(job, request(payload(2, job), Verify::Redundant(1)));
    }
    // And two of the others go while they work.
    world.until(20_000, |world| world.houses[3].runs > 0);
    world.kill_edge(3);
    world.cut.insert(4);
    for job in 0..6 {
        assert!(world.until(300_000, |world| world.end(job).is_some()), "job {job} ends");
        if let Some(Ok(result)) = world.end(job) {
            assert_eq!(result, work(&payload(2, job)));
        }
    }
    let done = (0..6).filter(|job| world.end(*job).unwrap().is_ok()).count();
    assert!(done >= 4, "{done} of 6 although one worker in five is left");
    settled(&mut world);
}

#[test]
fn a_worker_that_comes_back_in_time_goes_on() {
    let mut world = World::new(8, &[Manner::Honest], |_| {});
    world.ready();
    world.submit(1, request(payload(3, 1), Verify::Redundant(1)));
    assert!(world.until(20_000, |world| world.houses[1].runs == 1));
    world.unplug(1);
    assert!(world.until(60_000, |world| world.end(1).is_some()));
    assert_eq!(world.end(1), Some(Ok(work(&payload(3, 1)))));
    assert_eq!(world.houses[1].runs, 1, "not a second time");
    settled(&mut world);
}

#[test]
fn cancelled_and_expired_tasks_cost_nothing() {
    let mut world = World::new(9, &[Manner::Stuck], |_| {});
    world.ready();
    world.submit(1, request(payload(1, 1), Verify::Redundant(1)));
    assert!(world.until(20_000, |world| world.houses[1].runs == 1), "it is being worked on");
    world.step_edge(ANN, edge::Input::Cancel { job: 1 });
    assert!(world.until(20_000, |world| world.end(1).is_some()));
    assert_eq!(world.end(1), Some(Err(Reason::Cancelled)));
    // Nobody is there for another model.
    let other = network::submitter::Request { numerics: 9, ..request(payload(1, 2), Verify::Redundant(1)) };
    world.submit(2, other);
    assert!(world.until(120_000, |world| world.end(2).is_some()));
    assert_eq!(world.end(2), Some(Err(Reason::NobodyCapable)));
    settled(&mut world);
    assert_eq!(world.earned(), 0);
}

#[test]
fn a_batch_comes_in_order() {
    let mut world = World::new(10, &HONEST, |_| {});
    world.ready();
    let parts = (0..40).map(|n| request(payload(1 + n as usize % 5, n), Verify::Redundant(2))).collect();
    world.step_edge(ANN, edge::Input::SubmitBatch { job: 1, parts });
    let result = |world: &World| {
        world.houses[ANN].events.iter().find_map(|event| match event {
            edge::Event::BatchResult { job: 1, parts, cost_ucredits } => {
                Some((parts.clone(), *cost_ucredits))
            }
            _ => None,
        })
    };
    assert!(world.until(600_000, |world| result(world).is_some() || world.end(1).is_some()));
    let (parts, cost_ucredits) = result(&world).expect("a result");
    for (n, part) in parts.iter().enumerate() {
        assert_eq!(part.bytes, work(&payload(1 + n % 5, n as u64)));
    }
    settled(&mut world);
    assert_eq!(world.earned(), cost_ucredits);
}

#[test]
fn an_owner_who_takes_the_machine_back_loses_nothing() {
    let mut world = World::new(11, &HONEST, |_| {});
    world.ready();
    for job in 0..8 {
        world.submit(job, request(payload(3, job), Verify::Redundant(2)));
    }
    world.until(20_000, |world| world.houses[1].runs > 0);
    for place in 1..3 {
        world.step_edge(place, edge::Input::Load { duty_permille: 0, paused: Some(Reason::Busy) });
    }
    for job in 0..8 {
        assert!(world.until(120_000, |world| world.end(job).is_some()));
        assert_eq!(world.end(job), Some(Ok(work(&payload(3, job)))));
    }
    settled(&mut world);
    let burned = world.relay.as_ref().unwrap().ledger().totals().burned;
    assert_eq!(burned, 0);
}

#[test]
fn rewards_are_received_when_their_hour_is_over() {
    let mut world = World::new(12, &[Manner::Honest; 2], |_| {});
    world.ready();
    for job in 0..10 {
        let dear = network::submitter::Request {
            price_ucredits: MICRO / 2,
            ..request(payload(1, job), Verify::Redundant(1))
        };
        world.submit(job, dear);
        assert!(world.until(120_000, |world| world.end(job).is_some()));
    }
    settled(&mut world);
    let earned = world.earned();
    assert_eq!((1..3).map(|place| world.balance(place).available).sum::<u64>(), 0, "locked for an hour");
    world.pass(2 * 3_600_000);
    assert_eq!((1..3).map(|place| world.balance(place).available).sum::<u64>(), earned);
}
