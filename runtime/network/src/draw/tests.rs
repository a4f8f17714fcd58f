use ledger::{MICRO, exposure::Standing};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    lottery::{Ticket, neg_log2, neg_log2_bound},
    *,
};
use crate::capability::{Backend, Capability, MAX_MODELS, Need, TaskType, TaskTypes};

mod shares;

const EPOCH: u64 = 100;

fn account(n: u64) -> AccountId {
    // Spread over the shelves.
    AccountId::from_bytes(Sha256::digest(n.to_le_bytes()).into())
}

fn beacon(n: u64) -> Beacon {
    Beacon(Sha256::digest([&b"beacon"[..], &n.to_le_bytes()].concat()).into())
}

fn capability() -> Capability {
    Capability {
        types: TaskTypes::of(&[TaskType::Embedding, TaskType::VectorSearch]),
        models: BTreeSet::from([Id::from_bytes([1; 32])]),
        numerics: 3,
        memory_mib: 512,
        backend: Backend::Cpu,
    }
}

/// A claim of one slot, with a site and a block of its own.
fn claim(n: u64, stake_ucredits: u64) -> Claim {
    Claim {
        worker: account(n),
        capability: capability(),
        slots: 1,
        free_slots: 1,
        stake_per_slot_ucredits: stake_ucredits,
        standing: Standing::Established,
        site: Id::from_bytes(account(n).to_bytes()),
        block: Block::V4([n as u8, (n >> 8) as u8, (n >> 16) as u8]),
        region: None,
        since_epoch: EPOCH - STAKED_EPOCHS,
    }
}

fn lot(seats: u8) -> Lot {
    Lot {
        task: Id::from_bytes([9; 32]),
        epoch: EPOCH,
        need: Need {
            kind: TaskType::Embedding,
            model: Some(Id::from_bytes([1; 32])),
            numerics: 3,
            memory_mib: 512,
            backend: Backend::Cpu,
        },
        seats,
        newcomer_seats: 0,
        excluded: Excluded::default(),
    }
}

fn claims(all: impl IntoIterator<Item = Claim>) -> Claims {
    let mut claims = Claims::default();
    all.into_iter().for_each(|claim| claims.insert(claim).expect("a sound claim"));
    claims
}

/// Whether a worker ever wins a seat of seven in a hundred draws against nine others.
fn can_win(change: impl Fn(&mut Claim, &mut Lot)) -> bool {
    let (mut own, mut lot) = (claim(0, 10 * MICRO), lot(7));
    change(&mut own, &mut lot);
    let worker = own.worker;
    let claims = claims((1..10).map(|n| claim(n, 10 * MICRO)).chain([own]));
    (0..100).any(|n| draw(&beacon(n), &lot, &claims).contains(&worker))
}

#[test]
fn who_takes_part() {
    assert!(can_win(|_, _| {}));
    let model = Id::from_bytes([2; 32]);
    let others: [fn(&mut Claim, &mut Lot); 12] = [
        |c, _| c.free_slots = 0,
        |c, _| c.since_epoch += 1,
        |c, _| c.since_epoch = u64::MAX,
        |c, _| c.capability.types = TaskTypes::of(&[TaskType::VectorSearch]),
        |c, _| c.capability.models.clear(),
        |c, _| c.capability.numerics = 4,
        |c, _| c.capability.memory_mib = 511,
        |c, l| l.excluded.workers = BTreeSet::from([c.worker]),
        |c, l| l.excluded.sites = BTreeSet::from([c.site]),
        |c, l| l.excluded.blocks = BTreeSet::from([c.block]),
        |_, l| l.need.backend = Backend::Gpu,
        |c, _| c.standing = Standing::Probation,
    ];
    for (at, change) in others.into_iter().enumerate() {
        assert!(!can_win(change), "case {at}");
    }
    assert!(!can_win(|_, l| l.need.model = Some(model)));
    assert!(can_win(|c, l| {
        (c.standing, c.stake_per_slot_ucredits, l.newcomer_seats) = (Standing::Probation, 0, 1);
    }));
    assert!(can_win(|c, l| {
        c.capability.backend = Backend::Gpu;
        l.need.memory_mib = 100;
    }));
}

#[test]
fn claims_that_are_none() {
    let mut claims = Claims::default();
    let models: BTreeSet<Id> =
        (0..=MAX_MODELS as u64).map(|n| Id::from_bytes(account(n).to_bytes())).collect();
    let bad: [Claim; 5] = [
        Claim { slots: 0, free_slots: 0, ..claim(1, 1) },
        Claim { slots: MAX_SLOTS + 1, ..claim(1, 1) },
        Claim { free_slots: 2, ..claim(1, 1) },
        Claim { capability: Capability { models, ..capability() }, ..claim(1, 1) },
        claim(1, 0),
    ];
    for claim in bad {
        assert!(claims.insert(claim).is_err());
    }
    assert!(claims.insert(claim(1, ledger::GENESIS + 1)).is_err() && claims.is_empty());
    assert_eq!(claims.set_free(account(1), 0), Err(ClaimError::Unknown));
    assert_eq!(claims.insert(claim(1, 1)), Ok(()));
    assert!(claims.set_free(account(1), 2).is_err());
}

#[test]
fn newcomers_sit_where_they_are_asked_and_never_alone() {
    let newcomer = |n| Claim { standing: Standing::Probation, ..claim(n, 0) };
    let mixed = claims((0..5).map(|n| claim(n, MICRO)).chain((5..10).map(newcomer)));
    let of_newcomers = |claims: &Claims, seats, newcomer_seats| {
        let winners = draw(&beacon(1), &Lot { newcomer_seats, ..lot(seats) }, claims);
        let sits = |w: &&AccountId| claims.get(w).is_some_and(|c| c.standing == Standing::Probation);
        (winners.len(), winners.iter().filter(sits).count())
    };
    assert_eq!(of_newcomers(&mixed, 3, 0), (3, 0));
    assert_eq!(of_newcomers(&mixed, 3, 1), (3, 1));
    assert_eq!(of_newcomers(&mixed, 3, 7), (3, 2));
    assert_eq!(of_newcomers(&mixed, 1, 1), (1, 0));
    let alone = claims((5..10).map(newcomer));
    assert_eq!(of_newcomers(&alone, 3, 2), (0, 0));
}

#[test]
fn winners_are_no_neighbours() {
    let pairs = claims((0..20).map(|n| Claim { site: Id::from_bytes([n as u8 / 2; 32]), ..claim(n, MICRO) }));
    let blocks = claims((0..20).map(|n| Claim { block: Block::V4([n as u8 / 2; 3]), ..claim(n, MICRO) }));
    for n in 0..200 {
        let sites: BTreeSet<Id> =
            draw(&beacon(n), &lot(7), &pairs).iter().map(|w| pairs.get(w).expect("one").site).collect();
        let at: BTreeSet<Block> =
            draw(&beacon(n), &lot(7), &blocks).iter().map(|w| blocks.get(w).expect("one").block).collect();
        assert_eq!((sites.len(), at.len()), (7, 7));
    }
}

#[test]
fn regions_differ_where_there_are_enough() {
    let winners = |regions: u16, n: u64| {
        let all = claims((0..30).map(|n| Claim { region: Some(n as u16 % regions), ..claim(n, MICRO) }));
        let winners = draw(&beacon(n), &lot(3), &all);
        let found: BTreeSet<_> = winners.iter().map(|w| all.get(w).expect("one").region).collect();
        (winners.len(), found.len())
    };
    assert!((0..100).all(|n| winners(3, n) == (3, 3)));
    // Two regions cannot hold three winners apart: no rule, and all seats filled.
    let two: BTreeSet<_> = (0..100).map(|n| winners(2, n)).collect();
    assert_eq!(two, BTreeSet::from([(3, 1), (3, 2)]));
    // Enough regions, but all else in them is one site: the seat is filled rather than left.
    let tight = claims((0..6).map(|n| Claim {
        region: Some(if n < 3 { 0 } else { n as u16 }),
        site: Id::from_bytes([if n < 3 { n as u8 } else { 9 }; 32]),
        ..claim(n, MICRO)
    }));
    assert!((0..50).all(|n| draw(&beacon(n), &lot(3), &tight).len() == 3));
}

#[test]
fn fewer_claims_than_seats() {
    assert_eq!(draw(&beacon(1), &lot(7), &Claims::default()), []);
    assert_eq!(draw(&beacon(1), &lot(7), &claims((0..4).map(|n| claim(n, 1)))).len(), 4);
    assert_eq!(draw(&beacon(1), &lot(0), &claims([claim(1, 1)])), []);
    assert_eq!(draw(&beacon(1), &lot(u8::MAX), &claims((0..20).map(|n| claim(n, 1)))).len(), 7);
}

#[test]
fn logarithms() {
    for (hash, wanted) in [
        (u64::MAX, 0),
        (0, 64 << 48),
        (1, 63 << 48),
        ((1 << 63) - 1, 1 << 48),
        // -log2(3/4) = 0.415037499278843818...
        ((3 << 62) - 1, 116_822_670_443_561),
    ] {
        let found = neg_log2(hash);
        assert!(found.abs_diff(wanted) <= 1, "{hash}: {found}, wanted {wanted}");
    }
}

#[test]
fn ties_go_by_account() {
    let (low, high) = if account(1) < account(2) { (1, 2) } else { (2, 1) };
    let (low, high) = (claim(low, 1), claim(high, 1));
    let ticket = |claim, arrival, weight| Ticket { arrival, weight, inexact: None, claim };
    // Two halves, and fractions that would wrap in 64 bits or round in floats.
    assert!(ticket(&low, 1, 2) > ticket(&high, 2, 4));
    let bound = Ticket { inexact: Some(7), ..ticket(&high, 1, 2) };
    assert!(bound > ticket(&low, 1, 2), "a bound is made exact before a tie is broken");
    assert!(ticket(&high, u64::MAX - 1, u64::MAX) > ticket(&low, u64::MAX, u64::MAX));
}

fn published() -> (Published, Vec<Head>, Claims) {
    let chains: Vec<Chain> = (0..3).map(|n| Chain::new(account(n), [n as u8; 32], 5, 100)).collect();
    let heads: Vec<Head> = chains.iter().map(Chain::head).collect();
    let mut witnesses = Witnesses::new(&heads).expect("a roster");
    witnesses.open(8);
    for chain in &chains {
        witnesses.reveal(8, chain.head().witness, chain.reveal(8).expect("covered")).expect("true");
    }
    let Outcome::Beacon(beacon, reveals) = witnesses.close(8) else { panic!("void") };
    let claims = claims((10..40).map(|n| claim(n, n * MICRO)));
    let winners = draw(&beacon, &lot(3), &claims);
    let published = Published { lot: lot(3), accepted_round: 7, reveals, claims: claims.digest(), winners };
    (published, heads, claims)
}

#[test]
fn anybody_can_draw_again() {
    let (published, heads, claims) = published();
    assert_eq!(check_draw(&published, &heads, &BTreeSet::new(), 8, &claims), Ok(()));
}

#[test]
fn a_draw_that_is_not_the_rules_is_caught() {
    let (honest, heads, claims) = published();
    let check = |change: &dyn Fn(&mut Published)| {
        let mut published = honest.clone();
        change(&mut published);
        check_draw(&published, &heads, &BTreeSet::new(), 8, &claims)
    };
    let friend = (10..40).map(account).find(|w| !honest.winners.contains(w)).expect("a loser");
    assert_eq!(check(&|p| p.winners[1] = friend), Err(CheckError::Winners));
    assert_eq!(check(&|p| p.winners.swap(0, 1)), Err(CheckError::Winners));
    assert_eq!(check(&|p| p.winners.truncate(2)), Err(CheckError::Winners));
    assert_eq!(check(&|p| p.lot.task = Id::from_bytes([8; 32])), Err(CheckError::Winners));
    assert_eq!(check(&|p| p.claims[0] ^= 1), Err(CheckError::Claims));
    assert_eq!(check(&|p| p.accepted_round = 8), Err(CheckError::Round { found: 8, due: 8 }));
    assert_eq!(check(&|p| p.lot.seats = 8), Err(CheckError::Seats { found: 8 }));
    assert_eq!(check(&|p| p.reveals.values[0].1[0] ^= 1), Err(CheckError::Beacon(BeaconError::Wrong)));
    let waited = check_draw(&honest, &heads, &BTreeSet::new(), 9, &claims);
    assert_eq!(waited, Err(CheckError::Round { found: 8, due: 9 }));
    let mut others = claims.clone();
    others.set_free(account(10), 0).expect("a claim");
    assert_eq!(check_draw(&honest, &heads, &BTreeSet::new(), 8, &others), Err(CheckError::Claims));
}

/// The draw as it is told: all tickets sorted, then seats filled one by one. No newcomers, no regions.
fn naive(beacon: &Beacon, lot: &Lot, all: &[Claim], neighbours: bool) -> Vec<AccountId> {
    let mut tickets: Vec<(f64, &Claim)> = all
        .iter()
        .filter(|c| c.free_slots > 0 && c.capability.fits(&lot.need) && c.since_epoch + 2 <= lot.epoch)
        .map(|c| {
            let text = [b"edgenet/draw/v1", &beacon.0[..], lot.task.as_bytes(), c.worker.as_bytes()].concat();
            let hash = Sha256::digest(text);
            let u = u64::from_be_bytes(hash[..8].try_into().expect("eight")) as f64 / 2f64.powi(64);
            (-u.ln() / (c.stake_per_slot_ucredits as f64 * f64::from(c.free_slots)), c)
        })
        .collect();
    tickets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut winners: Vec<&Claim> = Vec::new();
    for (_, claim) in tickets {
        let near = winners.iter().any(|w| w.site == claim.site || w.block == claim.block);
        if winners.len() < usize::from(lot.seats) && (neighbours || !near) {
            winners.push(claim);
        }
    }
    winners.iter().map(|w| w.worker).collect()
}

fn some_claims() -> impl Strategy<Value = Vec<Claim>> {
    let one = (1..200u64, 0..3u16, 0..12u8, 0..12u8, 0..4u64, 0..2u32);
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let claims =
            all.into_iter().enumerate().map(|(n, (stake, free_slots, site, block, age, numerics))| Claim {
                slots: 2,
                free_slots,
                site: Id::from_bytes([site; 32]),
                block: Block::V4([block; 3]),
                since_epoch: EPOCH - age,
                capability: Capability { numerics: 3 - numerics, ..capability() },
                ..claim(n as u64, stake * 100_003)
            });
        claims.collect()
    })
}

#[test]
fn ten_thousand_claims_of_a_hundred_kinds() {
    let all: Vec<Claim> = (0..10_000)
        .map(|n| Claim {
            capability: Capability { memory_mib: 512 + n as u32 % 100, ..capability() },
            ..claim(n, (1 + n % 7) * MICRO)
        })
        .collect();
    let need = Need { memory_mib: 602, ..lot(7).need };
    let lot = Lot { need, ..lot(7) };
    let standing = claims(all.clone());
    for n in 0..20 {
        assert_eq!(draw(&beacon(n), &lot, &standing), naive(&beacon(n), &lot, &all, false));
    }
}

/// A draw that forgets about neighbours.
#[test]
fn a_planted_fault_is_caught() {
    let all: Vec<Claim> =
        (0..10).map(|n| Claim { site: Id::from_bytes([1; 32]), ..claim(n, MICRO) }).collect();
    let drawn = draw(&beacon(1), &lot(3), &claims(all.clone()));
    assert_eq!(drawn, naive(&beacon(1), &lot(3), &all, false));
    assert_ne!(drawn, naive(&beacon(1), &lot(3), &all, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_draw_is_as_told(all in some_claims(), n: u64, seats in 1..8u8) {
        let drawn = draw(&beacon(n), &lot(seats), &claims(all.clone()));
        prop_assert_eq!(drawn, naive(&beacon(n), &lot(seats), &all, false));
    }

    #[test]
    fn neither_order_nor_history_matter(all in some_claims(), n: u64, seed: u64) {
        let straight = claims(all.clone());
        let mut turned = all.clone();
        turned.sort_by_key(|c| account(seed ^ u64::from(c.worker.as_bytes()[0])));
        // Others came and went, and slots were taken and given back.
        let mut other = claims((100..110).map(|n| claim(n, MICRO)));
        for claim in turned {
            let (worker, free_slots) = (claim.worker, claim.free_slots);
            other.insert(Claim { region: Some(1), ..claim.clone() }).expect("sound");
            other.insert(claim).expect("sound");
            other.set_free(worker, 1).expect("a claim");
            other.set_free(worker, free_slots).expect("a claim");
        }
        (100..110).for_each(|n| assert!(other.remove(account(n)).is_some()));
        prop_assert_eq!(straight.digest(), other.digest());
        prop_assert_eq!(straight.len(), other.len());
        prop_assert_eq!(draw(&beacon(n), &lot(5), &straight), draw(&beacon(n), &lot(5), &other));
    }

    #[test]
    fn every_change_changes_the_digest(all in some_claims(), which in 0..40usize) {
        let before = claims(all.clone());
        if let Some(changed) = all.get(which) {
            let mut after = before.clone();
            after.set_free(changed.worker, (changed.free_slots + 1) % 3).expect("a claim");
            prop_assert_ne!(before.digest(), after.digest());
            after.remove(changed.worker);
            prop_assert_ne!(before.digest(), after.digest());
        }
    }

    #[test]
    fn logarithms_are_near_and_fall(hash in 1..u64::MAX) {
        let found = neg_log2(hash) as f64 / 2f64.powi(48);
        let wanted = 64.0 - ((u128::from(hash) + 1) as f64).log2();
        prop_assert!((found - wanted).abs() < 1e-12);
        prop_assert!(neg_log2(hash - 1) >= neg_log2(hash));
    }

    #[test]
    fn bounds_are_below(hash in prop_oneof![any::<u64>(), 0..9u64, u64::MAX - 9..=u64::MAX, u64::MAX - (1 << 40)..]) {
        let (bound, exact) = (neg_log2_bound(hash), neg_log2(hash));
        prop_assert!(bound <= exact);
        // Near where it matters: a ten-thousandth off where u is above 0.9999.
        prop_assert!(exact > 1 << 34 || exact - bound <= exact / 10_000 + 2);
    }
}
