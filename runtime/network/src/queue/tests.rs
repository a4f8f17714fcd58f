use std::collections::{BTreeMap, BTreeSet};

use ledger::{Id, price::Priority};
use proptest::prelude::*;

use super::{
    model::{Model, named},
    *,
};
use crate::limits::UNITS_PER_TASK;

mod flood;

const ALL_FREE: Slots = Slots { free: 64, total: 64 };

fn account(n: u64) -> AccountId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    AccountId::from_bytes(bytes)
}

fn id(n: u64) -> Id {
    Id::from_bytes(account(n).to_bytes())
}

fn block(n: u64) -> Block {
    Block::V4([n as u8, (n >> 8) as u8, (n >> 16) as u8])
}

fn task(n: u64, submitter: u64, stakes: u64) -> Task {
    let submitter = account(submitter);
    Task {
        id: id(n),
        submitter,
        share: Share::of(submitter, stakes * BASE_STAKE_UCREDITS, block(submitter.as_bytes()[0].into())),
        priority: Priority::Normal,
        units: UNITS_PER_TASK,
        ttl_ms: 60_000,
        timeout_ms: 30_000,
        avoided: BTreeSet::new(),
    }
}

fn placement(worker: u64, site: u64, at: u64) -> Placement {
    Placement { worker: account(worker), site: id(site), block: block(at) }
}

fn next(queue: &mut Queue) -> Option<Id> {
    queue.next(ALL_FREE).map(|task| task.id)
}

/// Who is served, of submitters that all have more queued than is taken.
fn served(tasks: impl Iterator<Item = Task>, taken: usize) -> BTreeMap<AccountId, u64> {
    let mut queue = Queue::new(Settings { max_open_per_share: 10_000, ..Settings::default() });
    tasks.for_each(|task| queue.submit(task, 0).expect("room"));
    let mut units = BTreeMap::new();
    for _ in 0..taken {
        let task = queue.next(ALL_FREE).expect("more queued than taken");
        *units.entry(task.submitter).or_default() += task.units;
    }
    units
}

#[test]
fn turns_go_by_cost_not_by_count() {
    // One sends tasks four times as dear.
    let tasks = (0..400).flat_map(|n| {
        let dear = Task { units: 4_000, ..task(2 * n, 1, 1) };
        [dear, task(2 * n + 1, 2, 1)]
    });
    let units = served(tasks, 250);
    assert_eq!((units[&account(1)], units[&account(2)]), (200_000, 200_000));
}

#[test]
fn stake_has_turns_and_splitting_it_makes_no_more() {
    // Four base stakes in one hand, four in four, and one.
    let tasks = (0..9 * 200).map(|n| match n % 9 {
        0..4 => task(n, 1, 4),
        4..8 => task(n, 2 + n % 9, 1),
        _ => task(n, 20, 1),
    });
    let units = served(tasks, 900);
    let split: u64 = (6..10).map(|n| units[&account(n)]).sum();
    assert_eq!((units[&account(1)], split, units[&account(20)]), (400_000, 400_000, 100_000));
    assert_eq!(Share::of(account(1), u64::MAX, block(1)).turns(), MAX_TURNS);
    assert!(!Share::of(account(1), BASE_STAKE_UCREDITS - 1, block(1)).is_staked());
}

#[test]
fn a_stake_that_changes_makes_no_second_share() {
    let tasks = (0..1_600).map(|n| if n % 2 == 0 { task(n, 1, 1 + n / 2 % 16) } else { task(n, 2, 16) });
    let units = served(tasks, 640);
    assert!(units[&account(1)] <= units[&account(2)], "{units:?}");
}

#[test]
fn lanes_have_their_parts_and_low_is_served() {
    let tasks = (0..900).map(|n| {
        let priority = Priority::ALL[n as usize % 3];
        Task { priority, ..task(n, 1 + n % 3, 1) }
    });
    let units = served(tasks, 350);
    assert_eq!([1, 2, 3].map(|n| units[&account(n)]), [50_000, 100_000, 200_000]);
}

#[test]
fn a_block_has_one_turn_however_many_it_houses() {
    // Fifty in one block, one alone.
    let tasks = (0..1_000).map(|n| {
        let mut task = task(n, 1 + n % 51, 0);
        task.share = Share::Block(block(if n % 51 == 50 { 2 } else { 1 }));
        task
    });
    let units = served(tasks, 30);
    assert_eq!(units[&account(51)], 15_000);
}

#[test]
fn the_last_free_slots_are_for_stake() {
    let mut queue = Queue::new(Settings::default());
    queue.submit(task(1, 1, 0), 0).expect("room");
    queue.submit(task(2, 2, 1), 0).expect("room");
    queue.submit(task(3, 2, 1), 0).expect("room");
    let mut next = |free| queue.next(Slots { free, total: 64 }).map(|task| task.id);
    assert_eq!([8, 1, 8, 9].map(&mut next), [Some(id(2)), Some(id(3)), None, Some(id(1))]);
    assert!(Slots { free: 1, total: 7 }.are_for_all(), "a small network has no reserve");
}

#[test]
fn caps() {
    let settings = Settings { max_open_per_share: 3, max_open: 16, max_failures: 5 };
    let mut queue = Queue::new(settings);
    let mut submit = |task| named(queue.submit(task, 0)).err();
    assert_eq!([0, 1, 2, 3].map(|n| submit(task(n, 1, 1))), [None, None, None, Some("submitter-full")]);
    let housed = |n, submitter| Task { share: Share::Block(block(1)), ..task(n, submitter, 0) };
    assert_eq!([10, 11, 12].map(|n| submit(housed(n, n))), [None; 3]);
    assert_eq!(submit(housed(13, 13)), Some("block-full"));
    // A quarter of 16 for the unstaked.
    assert_eq!(submit(task(14, 14, 0)), None);
    assert_eq!(submit(task(15, 15, 0)), Some("queue-full"));
    assert!((20..29).all(|n| submit(task(n, n, 1)).is_none()));
    assert_eq!(submit(task(30, 30, 1)), Some("queue-full"));
    assert_eq!(submit(task(1, 31, 1)), Some("task-duplicate"));
    assert_eq!(queue.len(), 16);
    assert_eq!(queue.submit(task(30, 30, 1), 0).map_err(|r| r.retry_after_ms()), Err(Some(1_000)));
}

#[test]
fn what_no_task_may_be() {
    let mut queue = Queue::new(Settings::default());
    let many = (0..65).map(account).collect();
    for (task, wanted) in [
        (Task { units: 0, ..task(1, 1, 1) }, "task-units"),
        (Task { units: MAX_TASK_UNITS + 1, ..task(1, 1, 1) }, "task-units"),
        (Task { avoided: many, ..task(1, 1, 1) }, "task-avoids-too-many"),
        (Task { ttl_ms: 0, ..task(1, 1, 1) }, "task-no-time"),
        (Task { timeout_ms: 0, ..task(1, 1, 1) }, "task-no-time"),
    ] {
        assert_eq!(named(queue.submit(task, 0)), Err(wanted));
    }
    assert!(queue.is_empty());
}

#[test]
fn a_queued_task_expires_and_frees_its_place() {
    let mut queue = Queue::new(Settings { max_open_per_share: 1, ..Settings::default() });
    queue.submit(Task { ttl_ms: 5_000, ..task(1, 1, 1) }, 100).expect("room");
    assert_eq!(queue.tick(5_099), []);
    assert_eq!(queue.tick(5_100), [Event::Expired { task: id(1) }]);
    assert_eq!((next(&mut queue), queue.len()), (None, 0));
    assert_eq!(queue.submit(task(2, 1, 1), 5_100), Ok(()));
}

#[test]
fn a_jump_of_a_day_expires_nothing_that_had_time() {
    let mut queue = Queue::new(Settings::default());
    queue.submit(task(1, 1, 1), 1_000).expect("room");
    assert_eq!(queue.tick(86_401_000), []);
    assert_eq!(queue.tick(0), []);
    assert_eq!(next(&mut queue), Some(id(1)));
}

#[test]
fn a_worker_that_let_its_time_pass_is_never_asked_again() {
    let mut queue = Queue::new(Settings::default());
    let avoided = BTreeSet::from([account(9)]);
    queue.submit(Task { timeout_ms: 4_000, avoided, ..task(1, 1, 1) }, 0).expect("room");
    assert_eq!(next(&mut queue), Some(id(1)));
    assert_eq!(named(queue.assign(id(1), placement(9, 9, 9), 0)), Err("worker-avoided"));
    queue.assign(id(1), placement(7, 1, 1), 0).expect("free");
    let excluded = queue.excluded(id(1)).expect("open");
    assert_eq!((excluded.workers.len(), excluded.sites.len(), excluded.blocks.len()), (1, 1, 1));
    assert_eq!(queue.tick(3_999), []);
    assert_eq!(queue.tick(4_000), [Event::TimedOut { task: id(1), worker: account(7) }]);
    assert_eq!(queue.failed(id(1), account(7), 4_000, u64::MAX), Ok(Some(1_000)));
    assert_eq!(named(queue.failed(id(1), account(7), 4_000, 0)), Err("task-unknown"));
    assert_eq!((queue.tick(4_999), next(&mut queue)), (vec![], None));
    assert_eq!(queue.tick(5_000), [Event::Requeued { task: id(1) }]);
    assert_eq!(next(&mut queue), Some(id(1)));
    assert_eq!(named(queue.assign(id(1), placement(7, 2, 2), 5_000)), Err("worker-avoided"));
    let excluded = queue.excluded(id(1)).expect("open");
    assert_eq!(excluded.workers, BTreeSet::from([account(7), account(9)]));
    assert!(excluded.sites.is_empty());
    assert_eq!(queue.assign(id(1), placement(8, 1, 1), 5_000), Ok(()));
}

#[test]
fn one_worker_of_a_site_and_of_a_block() {
    let mut queue = Queue::new(Settings::default());
    queue.submit(task(1, 1, 1), 0).expect("room");
    next(&mut queue);
    queue.assign(id(1), placement(1, 1, 1), 0).expect("free");
    for near in [placement(1, 2, 2), placement(2, 1, 2), placement(2, 2, 1)] {
        assert_eq!(named(queue.assign(id(1), near, 0)), Err("worker-neighbour"));
    }
    assert_eq!(queue.assign(id(1), placement(2, 2, 2), 0), Ok(()));
}

#[test]
fn too_many_failures_end_a_task() {
    let mut queue = Queue::new(Settings { max_failures: 3, ..Settings::default() });
    queue.submit(task(1, 1, 1), 0).expect("room");
    for (worker, wanted) in [(1, Some(0)), (2, Some(0)), (3, None)] {
        queue.tick(0);
        next(&mut queue).expect("queued again");
        queue.assign(id(1), placement(worker, worker, worker), 0).expect("free");
        assert_eq!(queue.failed(id(1), account(worker), 0, 0), Ok(wanted));
    }
    assert!(queue.is_empty() && queue.tick(1_000_000).is_empty());
}

#[test]
fn its_submitter_takes_a_task_back_and_nobody_else() {
    let mut queue = Queue::new(Settings::default());
    queue.submit(task(1, 1, 1), 0).expect("room");
    queue.submit(task(2, 1, 1), 0).expect("room");
    assert_eq!(named(queue.cancel(id(1), account(2))), Err("task-unknown"));
    assert_eq!(next(&mut queue), Some(id(1)));
    queue.assign(id(1), placement(5, 5, 5), 0).expect("free");
    assert_eq!(queue.cancel(id(1), account(1)), Ok(vec![account(5)]));
    assert_eq!(queue.cancel(id(2), account(1)), Ok(vec![]));
    assert_eq!((next(&mut queue), queue.len()), (None, 0));
    for second in 1..100 {
        assert_eq!(queue.tick(second * 1_000), []);
    }
}

/// What a test may do to both.
#[derive(Clone, Debug)]
enum Step {
    Submit { n: u64, submitter: u64, stakes: u64, lane: usize, units: u64, ttl_ms: u64 },
    Next { free: u32 },
    PutBack { n: u64, random: u64 },
    Assign { n: u64, worker: u64 },
    Fail { n: u64, worker: u64, random: u64 },
    Finish { n: u64 },
    Cancel { n: u64, submitter: u64 },
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..24u64;
    prop_oneof![
        5 => (n.clone(), 0..6u64, 0..3u64, 0..3usize, prop_oneof![1..3_000u64, Just(64_000)], 1..60_000u64).prop_map(
            |(n, submitter, stakes, lane, units, ttl_ms)| Step::Submit { n, submitter, stakes, lane, units, ttl_ms }),
        5 => (0..20u32).prop_map(|free| Step::Next { free }),
        1 => (n.clone(), any::<u64>()).prop_map(|(n, random)| Step::PutBack { n, random }),
        4 => (n.clone(), 0..6u64).prop_map(|(n, worker)| Step::Assign { n, worker }),
        2 => (n.clone(), 0..6u64, any::<u64>()).prop_map(|(n, worker, random)| Step::Fail { n, worker, random }),
        1 => n.clone().prop_map(|n| Step::Finish { n }),
        1 => (n, 0..6u64).prop_map(|(n, submitter)| Step::Cancel { n, submitter }),
        2 => (0..9_000u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// Does the steps to the queue and to its model, and says where they part.
fn differs(steps: &[Step], first_come: bool) -> Option<String> {
    let settings = Settings { max_open_per_share: 5, max_open: 16, max_failures: 3 };
    let (mut queue, mut model) = (Queue::new(settings.clone()), Model::new(settings));
    model.first_come = first_come;
    for (at, step) in steps.iter().enumerate() {
        let now_ms = model.now_ms;
        let (found, wanted) = match *step {
            Step::Submit { n, submitter, stakes, lane, units, ttl_ms } => {
                let (priority, timeout_ms) = (Priority::ALL[lane], 1 + ttl_ms / 2);
                let task = Task { priority, units, ttl_ms, timeout_ms, ..task(n, submitter, stakes) };
                let found = named(queue.submit(task.clone(), now_ms));
                (format!("{found:?}"), format!("{:?}", model.submit(task)))
            }
            Step::Next { free } => {
                let slots = Slots { free, total: 64 };
                let found = queue.next(slots).map(|task| task.id);
                (format!("{found:?}"), format!("{:?}", model.next(slots)))
            }
            Step::PutBack { n, random } => {
                // The time to wait is the queue's own; the model follows by what it does later.
                let failures = queue.failures(id(n));
                let mut backoff = Backoff::default();
                for _ in 0..failures {
                    backoff.fail(0, 0);
                }
                let _ = queue.put_back(id(n), now_ms, random);
                model.put_back(id(n), backoff.fail(0, random));
                (String::new(), String::new())
            }
            Step::Assign { n, worker } => {
                let to = placement(worker, worker / 2, worker % 4);
                (
                    format!("{:?}", named(queue.assign(id(n), to, now_ms))),
                    format!("{:?}", model.assign(id(n), to)),
                )
            }
            Step::Fail { n, worker, random } => {
                let found = named(queue.failed(id(n), account(worker), now_ms, random));
                let wait_ms = found.ok().flatten().unwrap_or(0);
                let wanted = model.failed(id(n), account(worker), wait_ms);
                (format!("{:?}", found.map(|wait| wait.is_some())), format!("{wanted:?}"))
            }
            Step::Finish { n } => {
                (format!("{}", queue.finish(id(n)).is_ok()), format!("{}", model.remove(id(n))))
            }
            Step::Cancel { n, submitter } => {
                let own = queue.get(id(n)).is_some_and(|task| task.submitter == account(submitter));
                let found = queue.cancel(id(n), account(submitter)).is_ok();
                (format!("{found}"), format!("{}", own && model.remove(id(n))))
            }
            Step::Pass { ms } => {
                model.now_ms += ms;
                (format!("{:?}", queue.tick(model.now_ms)), format!("{:?}", model.tick()))
            }
        };
        if found != wanted || queue.len() != model.len() {
            return Some(format!("step {at}, {step:?}: {found}, the model {wanted}"));
        }
    }
    None
}

/// A queue that serves whoever came first.
#[test]
fn a_planted_fault_is_caught() {
    let submit =
        |n, submitter| Step::Submit { n, submitter, stakes: 1, lane: 1, units: 1_000, ttl_ms: 60_000 };
    let mut steps = vec![submit(0, 1), submit(1, 1), submit(2, 1), submit(3, 2)];
    steps.extend((0..3).map(|_| Step::Next { free: 64 }));
    assert_eq!(differs(&steps, false), None);
    assert!(differs(&steps, true).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_queue_is_its_model(steps in prop::collection::vec(step(), 1..150)) {
        prop_assert_eq!(differs(&steps, false), None);
    }
}
