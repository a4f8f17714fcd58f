//! Wins against stake, counted over many draws. Beacons are fixed, so the counts are too.

use std::collections::BTreeMap;

use super::*;

const DRAWS: u64 = 6_000;

fn wins(claims: &Claims, seats: u8) -> BTreeMap<AccountId, u64> {
    let mut wins = BTreeMap::new();
    for n in 0..DRAWS {
        for winner in draw(&beacon(n), &lot(seats), claims) {
            *wins.entry(winner).or_default() += 1;
        }
    }
    wins
}

/// Standard deviations between a count and what a chance makes of all draws.
fn deviations(count: u64, chance: f64) -> f64 {
    let draws = DRAWS as f64;
    (count as f64 - draws * chance).abs() / (draws * chance * (1.0 - chance)).sqrt()
}

#[test]
fn the_first_seat_goes_by_stake() {
    // 10 to 590 credits.
    let stake = |n: u64| (1 + n * 2) * 10 * MICRO;
    let total: u64 = (0..30).map(stake).sum();
    let wins = wins(&claims((0..30).map(|n| claim(n, stake(n)))), 1);
    for n in 0..30 {
        let found = wins.get(&account(n)).copied().unwrap_or(0);
        let off = deviations(found, stake(n) as f64 / total as f64);
        assert!(off < 4.5, "worker {n} won {found} times, {off:.1} deviations off");
    }
}

#[test]
fn seats_of_three_go_by_stake_within_a_few_percent() {
    // Sixty workers, none with more than 3 %: stakes of 1 and of 2, half each.
    let wins = wins(&claims((0..60).map(|n| claim(n, (1 + n % 2) * 10 * MICRO))), 3);
    let large: u64 = (0..60).filter(|n| n % 2 == 1).map(|n| wins[&account(n)]).sum();
    let share = large as f64 / (3 * DRAWS) as f64;
    assert!((share / (2.0 / 3.0) - 1.0).abs() < 0.02, "two thirds of the stake won {share}");
}

#[test]
fn slots_are_stake_too() {
    let two = Claim { slots: 4, free_slots: 2, ..claim(0, 10 * MICRO) };
    let wins = wins(&claims((1..9).map(|n| claim(n, 10 * MICRO)).chain([two])), 1);
    assert!(deviations(wins[&account(0)], 0.2) < 4.5);
}

/// A holder of 30 % of the stake, in one hand and over thirty, against seventy others of 1 % each.
fn won_by_the_holder(identities: u64, seats: u8) -> u64 {
    let own = (1_000..1_000 + identities).map(|n| claim(n, 300 * MICRO / identities));
    let wins = wins(&claims((0..70).map(|n| claim(n, 10 * MICRO)).chain(own)), seats);
    (1_000..1_000 + identities).map(|n| wins.get(&account(n)).copied().unwrap_or(0)).sum()
}

#[test]
fn splitting_gains_nothing_where_one_seat_is_drawn() {
    let (whole, split) = (won_by_the_holder(1, 1), won_by_the_holder(30, 1));
    assert!(deviations(whole, 0.3) < 4.5 && deviations(split, 0.3) < 4.5, "{whole} whole, {split} split");
}

#[test]
fn with_several_seats_splitting_reaches_the_part_of_the_stake_and_no_more() {
    let (whole, split) = (won_by_the_holder(1, 3), won_by_the_holder(30, 3));
    let part = 3 * DRAWS * 3 / 10;
    assert!(whole < split && whole < part, "{whole} whole, {split} split");
    assert!(split.abs_diff(part) * 100 < 3 * part, "{split} split, the part is {part}");
    // On one site the thirty are one.
    let house = (0..30).map(|n| Claim { site: Id::from_bytes([7; 32]), ..claim(1_000 + n, 10 * MICRO) });
    let housed = wins(&claims((0..70).map(|n| claim(n, 10 * MICRO)).chain(house)), 3);
    let housed: u64 = (1_000..1_030).map(|n| housed.get(&account(n)).copied().unwrap_or(0)).sum();
    assert!(
        housed <= DRAWS && housed.abs_diff(whole) * 100 < 3 * whole,
        "{housed} on one site, {whole} whole"
    );
}

/// The rule without its logarithm, on the same hashes.
#[test]
fn hash_over_stake_itself_favours_the_large() {
    let all: Vec<Claim> = (0..100).map(|n| claim(n, MICRO)).chain([claim(1_000, 100 * MICRO)]).collect();
    let first = |n: u64| {
        let score = |c: &Claim| {
            let text =
                [b"edgenet/draw/v1", &beacon(n).0[..], lot(1).task.as_bytes(), c.worker.as_bytes()].concat();
            let hash = Sha256::digest(text);
            u64::from_be_bytes(hash[..8].try_into().expect("eight")) / (c.stake_per_slot_ucredits / MICRO)
        };
        all.iter().min_by_key(|c| score(c)).expect("some").worker
    };
    let plain = (0..DRAWS).filter(|n| first(*n) == account(1_000)).count() as u64;
    assert!(plain > DRAWS * 6 / 10, "{plain}");
    let ours = wins(&claims(all.clone()), 1)[&account(1_000)];
    assert!(deviations(ours, 0.5) < 4.5, "{ours}");
}

/// Trying task ids before the beacon is known: the id that wins most under beacons one knows wins by stake under one
/// that one does not.
#[test]
fn grinding_ids_gains_nothing_against_an_unknown_beacon() {
    let claims = claims((0..50).map(|n| claim(n, 10 * MICRO)));
    let won = |task: Id, beacons: std::ops::Range<u64>| {
        beacons.filter(|n| draw(&beacon(*n), &Lot { task, ..lot(1) }, &claims) == [account(0)]).count() as u64
    };
    let ids = (0..200).map(|n| Id::from_bytes(account(n).to_bytes()));
    let best = ids.max_by_key(|task| won(*task, 0..20)).expect("some");
    assert!(won(best, 0..20) >= 3, "grinding against known beacons works");
    assert!(deviations(won(best, 100..100 + DRAWS), 0.02) < 4.0);
}
