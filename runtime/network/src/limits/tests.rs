use std::cell::Cell;

use identity::AccountId;
use proptest::prelude::*;

use super::*;

const HOME: Block = Block::V4([192, 0, 2]);
const DAY_MS: u64 = 86_400_000;

fn peer(n: u8, tier: Tier, standing: Standing) -> Peer {
    Peer { account: AccountId::from_bytes([n; 32]), tier, standing }
}

fn frame(bytes: &[u8], peer: Option<Peer>) -> Frame<'_> {
    Frame {
        connection: ConnectionId(1),
        block: HOME,
        peer,
        kind: FrameKind::Control,
        bytes,
        once: Once::Anywhere,
        units: UNITS_PER_TASK,
        signatures: 1,
        fingerprint: None,
    }
}

/// A door, a clock, and frames that differ.
struct World {
    door: Admission,
    now_ms: u64,
    frames: u64,
}

impl World {
    fn new() -> Self {
        World { door: Admission::new(Settings::default()), now_ms: 1_000_000, frames: 0 }
    }

    fn send(&mut self, change: impl FnOnce(&mut Frame<'_>)) -> Result<(), Refusal> {
        self.frames += 1;
        let bytes = self.frames.to_le_bytes();
        let mut frame = frame(&bytes, Some(peer(1, Tier::Unstaked, Standing::Established)));
        change(&mut frame);
        self.door.admit(&frame, self.now_ms, || true)
    }

    /// Tasks let through in an hour by one who always asks.
    fn an_hour(&mut self, change: impl Fn(&mut Frame<'_>)) -> u64 {
        let mut passed = 0;
        for _ in 0..36_000 {
            self.now_ms += 100;
            while self.send(&change).is_ok() {
                passed += 1;
            }
        }
        passed
    }
}

fn code(result: Result<(), Refusal>) -> Option<&'static str> {
    result.err().map(|refusal| refusal.code.name())
}

#[test]
fn codes_are_stable_and_differ() {
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    let refusal = Refusal { code: Code::BlockRate, retry_after_ms: Some(7) };
    assert_eq!(refusal.to_string(), "block-rate, again in 7 ms");
    assert_eq!(Code::Replayed.final_refusal().to_string(), "replayed");
}

#[test]
fn hourly_limits_of_the_document() {
    // The hour, and the burst before it.
    let unstaked = World::new().an_hour(|_| {});
    assert_eq!(unstaked, 601);
    let staked = |frame: &mut Frame<'_>| frame.peer = Some(peer(1, Tier::Staked, Standing::Established));
    // Verifications let its burst out in more than an instant, in which a full bucket overflows.
    assert_eq!(World::new().an_hour(staked), 60_164);
    let newcomer = |frame: &mut Frame<'_>| frame.peer = Some(peer(1, Tier::Unstaked, Standing::Probation));
    assert_eq!(World::new().an_hour(newcomer), 60);
}

#[test]
fn an_identity_over_its_rate_waits() {
    let mut world = World::new();
    assert!(world.send(|_| {}).is_ok());
    let refusal = world.send(|f| f.connection = ConnectionId(2)).expect_err("a second task at once");
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::IdentityRate, Some(2_004)));
    world.now_ms += 2_003;
    assert!(world.send(|f| f.connection = ConnectionId(2)).is_err());
    world.now_ms += 1;
    assert!(world.send(|f| f.connection = ConnectionId(2)).is_ok());
}

#[test]
fn a_connection_over_its_rate_waits_whoever_speaks() {
    let mut world = World::new();
    let mut send = |n| world.send(|f| f.peer = Some(peer(n, Tier::Unstaked, Standing::Established)));
    assert_eq!([code(send(1)), code(send(2))], [None, Some("connection-rate")]);
    let mut world = World::new();
    assert_eq!(code(world.send(|f| f.peer = None)), None);
    assert_eq!(code(world.send(|f| f.peer = None)), Some("connection-rate"));
}

#[test]
fn a_block_over_its_rate_waits_and_its_staked_neighbour_does_not() {
    let mut world = World::new();
    let mut send = |n: u8, tier| {
        world.send(|f| {
            f.peer = Some(peer(n, tier, Standing::Established));
            f.connection = ConnectionId(u64::from(n));
        })
    };
    let passed = (0..200).filter(|&n| send(n, Tier::Unstaked).is_ok()).count();
    assert_eq!(passed, 16);
    assert_eq!(code(send(201, Tier::Unstaked)), Some("block-rate"));
    assert_eq!(code(send(202, Tier::Staked)), None);
}

#[test]
fn a_refused_frame_takes_nothing_from_its_neighbours() {
    let mut world = World::new();
    for _ in 0..1_000 {
        let _ = world.send(|_| {});
    }
    let passed = (2..100).filter(|&n| {
        world
            .send(|f| {
                f.peer = Some(peer(n, Tier::Unstaked, Standing::Established));
                f.connection = ConnectionId(u64::from(n));
            })
            .is_ok()
    });
    // The flooder's one and these are the block's 16.
    assert_eq!(passed.count(), 15);
}

#[test]
fn the_gateway_is_exempt_from_buckets_alone() {
    let mut world = World::new();
    let gateway = |f: &mut Frame<'_>| f.peer = Some(peer(1, Tier::Gateway, Standing::Probation));
    assert!((0..10_000).all(|_| world.send(gateway).is_ok()));
    assert_eq!(world.door.tracked(), 0);
    let large = vec![0; MAX_CONTROL_BYTES + 1];
    let sent = frame(&large, Some(peer(1, Tier::Gateway, Standing::Probation)));
    assert_eq!(code(world.door.admit(&sent, 0, || true)), Some("frame-size"));
}

#[test]
fn verifications_have_a_rate_of_their_own() {
    let mut world = World::new();
    let passed = (0..1_000)
        .filter(|n| {
            world.now_ms += n % 2;
            world.send(|f| f.units = 0).is_ok()
        })
        .count();
    // Half a second at 180 a second, and the burst of 20.
    assert_eq!(passed, 110);
    assert_eq!(code(world.send(|f| f.units = 0)), Some("verification-rate"));
    assert_eq!(world.door.counters().verifications, 110);
}

#[test]
fn what_no_bucket_holds_is_refused_for_good() {
    let mut world = World::new();
    let refusal = world.send(|f| f.units = 1_667).expect_err("more than a burst");
    assert_eq!(refusal, Code::CostAboveBurst.final_refusal());
    assert!(world.send(|f| f.units = 1_666).is_ok());
}

#[test]
fn sizes() {
    let mut world = World::new();
    for (kind, most) in [(FrameKind::Control, 65_536), (FrameKind::Data, 1_048_576)] {
        for (length, wanted) in [(most, None), (most + 1, Some("frame-size"))] {
            let bytes = vec![kind as u8; length];
            let sent = Frame { kind, units: 1, ..frame(&bytes, None) };
            assert_eq!(code(world.door.admit(&sent, world.now_ms, || true)), wanted);
        }
    }
}

#[test]
fn a_replay_is_refused_for_two_minutes() {
    let mut world = World::new();
    let sent = Frame { units: 1, ..frame(b"once", None) };
    assert!(world.door.admit(&sent, 0, || true).is_ok());
    // The shell's clock ticks, as limits want it to.
    for second in 1..120 {
        assert_eq!(code(world.door.admit(&sent, second * 1_000, || true)), Some("replayed"));
    }
    assert!(world.door.admit(&sent, 120_000, || true).is_ok());
}

#[test]
fn a_forged_copy_does_not_make_the_true_frame_a_replay() {
    let mut world = World::new();
    let sent = Frame { units: 1, ..frame(b"to come", None) };
    assert_eq!(code(world.door.admit(&sent, 0, || false)), Some("bad-signature"));
    assert!(world.door.admit(&sent, 0, || true).is_ok());
}

/// How many verifications a storm of frames of one kind costs.
fn storm_costs(admit: impl Fn(&mut Admission, &Frame<'_>, &dyn Fn() -> bool)) -> [u64; 3] {
    let large = vec![0; MAX_CONTROL_BYTES + 1];
    let cost = |bytes: &dyn Fn(u64) -> Vec<u8>, units| {
        let (mut door, calls) = (Admission::new(Settings::default()), Cell::new(0));
        for n in 0..1_000 {
            let bytes = bytes(n);
            admit(&mut door, &Frame { units, ..frame(&bytes, None) }, &|| {
                calls.set(calls.get() + 1);
                true
            });
        }
        calls.get()
    };
    [
        cost(&|_| large.clone(), 0),
        cost(&|_| b"again".to_vec(), 0),
        cost(&|n| n.to_le_bytes().to_vec(), UNITS_PER_TASK),
    ]
}

#[test]
fn oversized_replayed_and_over_rate_frames_cost_no_verification() {
    let costs = storm_costs(|door, frame, verify| {
        let before = door.counters();
        let result = door.admit(frame, 0, verify);
        let after = door.counters();
        assert_eq!(after.verifications - before.verifications, u64::from(result.is_ok()));
        assert_eq!(after.hashed - before.hashed, u64::from(code(result) != Some("frame-size")));
    });
    assert_eq!(costs, [0, 1, 1]);
}

/// A door that verifies first.
#[test]
fn a_planted_fault_is_caught() {
    let costs = storm_costs(|door, frame, verify| {
        let good = verify();
        let _ = door.admit(frame, 0, || good);
    });
    assert_ne!(costs, [0, 1, 1]);
}

#[test]
fn a_jump_of_a_day_opens_no_gate() {
    let mut world = World::new();
    let drain = |world: &mut World| {
        let staked = |f: &mut Frame<'_>| f.peer = Some(peer(1, Tier::Staked, Standing::Established));
        (0..100_000).take_while(|_| world.send(staked).is_ok()).count()
    };
    let again = Frame { units: 1, ..frame(b"once", None) };
    assert!(world.door.admit(&again, world.now_ms, || true).is_ok());
    assert_eq!(drain(&mut world), 20);
    world.now_ms += DAY_MS;
    // No more than the burst of verifications, and nothing forgotten.
    assert_eq!(drain(&mut world), 20);
    assert_eq!(code(world.door.admit(&again, world.now_ms, || true)), Some("replayed"));
    world.now_ms -= DAY_MS;
    assert_eq!(drain(&mut world), 0);
    assert_eq!(code(world.door.admit(&again, world.now_ms, || true)), Some("replayed"));
    // After the clock was set back, limits go on at their rate.
    world.now_ms += 1_000;
    assert_eq!(drain(&mut world), 20);
    assert_eq!(world.door.clock_jumps(), 2);
}

#[test]
fn look_alikes_share_a_bucket() {
    let mut world = World::new();
    let look = Fingerprint::salted(&[1; 32], &[2; 32]);
    let mut send = |n: u8, fingerprint| {
        world.send(|f| {
            f.peer = Some(peer(n, Tier::Unstaked, Standing::Established));
            f.connection = ConnectionId(u64::from(n));
            f.block = Block::V4([n, 0, 0]);
            f.fingerprint = fingerprint;
        })
    };
    assert_eq!(code(send(1, Some(look))), None);
    assert_eq!(code(send(2, Some(look))), Some("fingerprint-rate"));
    assert_eq!(code(send(2, None)), None);
}

#[test]
fn a_million_identities_stay_in_their_memory() {
    let settings = Settings { max_tracked: 1_000, max_seen_bytes: 1 << 20, ..Settings::default() };
    let mut door = Admission::new(settings);
    for n in 0..1_000_000u64 {
        let mut account = [0; 32];
        account[..8].copy_from_slice(&n.to_le_bytes());
        let mut sent = frame(&account, None);
        sent.peer = Some(Peer {
            account: AccountId::from_bytes(account),
            ..peer(0, Tier::Unstaked, Standing::Established)
        });
        sent.connection = ConnectionId(n);
        sent.block = Block::V6([n as u8, (n >> 8) as u8, (n >> 16) as u8, 0, 0, 0, 0]);
        let _ = door.admit(&sent, 0, || true);
    }
    assert!(door.tracked() <= 4_000 && door.seen() <= 4_096);
    assert!(door.counters().admitted <= 1_002);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any shell's clock: no panic, and no more than the limits' own time allows.
    #[test]
    fn no_clock_opens_the_gates(
        steps in prop::collection::vec(
            (prop_oneof![-20i64..2_000, -100_000i64..100_000, Just(DAY_MS as i64), Just(-(DAY_MS as i64)), any::<i64>()],
             0..2_000u64), 1..100),
    ) {
        let (mut world, mut timeline, mut passed) = (World::new(), Timeline::default(), 0);
        timeline.advance(world.now_ms);
        let _ = world.send(|f| f.units = 0);
        for (step_ms, units) in steps {
            world.now_ms = world.now_ms.saturating_add_signed(step_ms);
            timeline.advance(world.now_ms);
            if world.send(|f| f.units = units).is_ok() {
                passed += units;
            }
            prop_assert!(passed <= timeline.now_ms() * 600_000 / 3_600_000 + 1_666);
        }
    }

    /// Two doors see the same frames, one with fingerprints: it never lets more in.
    #[test]
    fn a_fingerprint_only_lowers(steps in prop::collection::vec((0..4u8, 0..4u8, 0..3_000u64), 1..60)) {
        let (mut plain, mut marked) = (World::new(), World::new());
        let (mut without, mut with) = ([0; 4], [0; 4]);
        for (n, look, step_ms) in steps {
            let change = |f: &mut Frame<'_>| {
                f.peer = Some(peer(n, Tier::Unstaked, Standing::Established));
                f.connection = ConnectionId(u64::from(n));
                f.block = Block::V4([n, 0, 0]);
            };
            plain.now_ms += step_ms;
            marked.now_ms += step_ms;
            without[usize::from(n)] += u32::from(plain.send(change).is_ok());
            with[usize::from(n)] += u32::from(marked.send(|f| {
                change(f);
                f.fingerprint = Some(Fingerprint::salted(&[0; 32], &[look; 32]));
            }).is_ok());
        }
        prop_assert!(with.iter().zip(&without).all(|(with, without)| with <= without));
    }
}
