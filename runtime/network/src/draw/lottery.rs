use std::{
    cmp::Ordering,
    collections::{BTreeSet, BinaryHeap},
};

use identity::AccountId;
use ledger::{Id, exposure::Standing};
use sha2::{Digest, Sha256};

use super::{Beacon, Claim, Claims, Lot, MAX_SEATS, STAKED_EPOCHS};
use crate::limits::Block;

/// The winners of a lot, in the order in which they won; fewer than its seats where claims are few.
///
/// Seats are filled in this order, each by the best ticket whose worker shares no site and no network block with a winner
/// (nor with those excluded):
/// 1. seats of established workers; 2. newcomers' seats, by workers on probation; 3. what is left, by established ones;
/// 4. what is left still, by established ones in a winner's region.
///
/// Regions must differ in steps 1 to 3 if the candidates declare at least as many as there are seats; a worker that
/// declares none is not held to it.
pub fn draw(beacon: &Beacon, lot: &Lot, claims: &Claims) -> Vec<AccountId> {
    let (established, newcomers): (Vec<_>, Vec<_>) = candidates(beacon, lot, claims)
        .partition(|ticket: &Ticket<'_>| ticket.claim.standing == Standing::Established);
    let seats = usize::from(lot.seats.min(MAX_SEATS));
    let for_newcomers = usize::from(lot.newcomer_seats).min(seats.saturating_sub(1));
    let newcomers = if for_newcomers == 0 { Vec::new() } else { newcomers };
    let regions: BTreeSet<u16> =
        established.iter().chain(&newcomers).filter_map(|ticket| ticket.claim.region).collect();
    let mut table = Table {
        winners: Vec::new(),
        sites: lot.excluded.sites.clone(),
        blocks: lot.excluded.blocks.clone(),
        regions: BTreeSet::new(),
        regions_differ: regions.len() >= seats,
        spare: Vec::new(),
    };
    let (mut established, mut newcomers) = (BinaryHeap::from(established), BinaryHeap::from(newcomers));
    table.fill(&mut established, seats - for_newcomers);
    // A newcomer never sits without an established worker.
    if !table.winners.is_empty() {
        let newcomers_until = table.winners.len() + for_newcomers;
        let spare = std::mem::take(&mut table.spare);
        table.fill(&mut newcomers, newcomers_until);
        table.spare = spare;
    }
    table.fill(&mut established, seats);
    table.regions_differ = false;
    let mut spare = BinaryHeap::from(std::mem::take(&mut table.spare));
    table.fill(&mut spare, seats);
    table.winners
}

fn candidates<'a>(beacon: &Beacon, lot: &'a Lot, claims: &'a Claims) -> impl Iterator<Item = Ticket<'a>> {
    let prefix = Sha256::new_with_prefix(DOMAIN).chain_update(beacon.0).chain_update(lot.task.as_bytes());
    let takes_part = |claim: &&Claim| {
        claim.free_slots > 0
            && claim.since_epoch.checked_add(STAKED_EPOCHS).is_some_and(|from| from <= lot.epoch)
            && !lot.excluded.workers.contains(&claim.worker)
            && !lot.excluded.sites.contains(&claim.site)
            && !lot.excluded.blocks.contains(&claim.block)
    };
    claims.fitting(&lot.need).filter(takes_part).map(move |claim| {
        let hash: [u8; 32] = prefix.clone().chain_update(claim.worker.as_bytes()).finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Ticket::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]), claim)
    })
}

/// A claim's ticket: the fraction `arrival / weight`, of which the least wins.
///
/// A logarithm takes three times as long as its hash, and only tickets that come near to winning need one. So a ticket
/// starts with a lower bound in its place, and what a heap gives first is made exact and put back: one that comes out
/// exact is below the bounds of all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket<'a> {
    pub(super) arrival: u64,
    pub(super) weight: u64,
    /// The hash, until the arrival is exact.
    pub(super) inexact: Option<u64>,
    pub(super) claim: &'a Claim,
}

impl<'a> Ticket<'a> {
    fn new(hash: u64, claim: &'a Claim) -> Self {
        Ticket { arrival: neg_log2_bound(hash), weight: claim.weight(), inexact: Some(hash), claim }
    }
}

impl Ord for Ticket<'_> {
    /// The greatest, which a heap gives first, is the winner.
    fn cmp(&self, other: &Self) -> Ordering {
        let mine = u128::from(self.arrival) * u128::from(other.weight);
        let theirs = u128::from(other.arrival) * u128::from(self.weight);
        // A bound as low as an exact ticket is looked at first: it may be the same fraction.
        theirs
            .cmp(&mine)
            .then_with(|| self.inexact.is_some().cmp(&other.inexact.is_some()))
            .then_with(|| other.claim.worker.cmp(&self.claim.worker))
    }
}

impl PartialOrd for Ticket<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ticket<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ticket<'_> {}

struct Table<'a> {
    winners: Vec<AccountId>,
    sites: BTreeSet<Id>,
    blocks: BTreeSet<Block>,
    regions: BTreeSet<u16>,
    regions_differ: bool,
    /// Passed over for their region alone.
    spare: Vec<Ticket<'a>>,
}

impl<'a> Table<'a> {
    fn fill(&mut self, tickets: &mut BinaryHeap<Ticket<'a>>, until: usize) {
        while self.winners.len() < until
            && let Some(ticket) = tickets.pop()
        {
            let claim = ticket.claim;
            if self.sites.contains(&claim.site) || self.blocks.contains(&claim.block) {
                continue;
            }
            if let Some(hash) = ticket.inexact {
                tickets.push(Ticket { arrival: neg_log2(hash), inexact: None, ..ticket });
                continue;
            }
            if self.regions_differ && claim.region.is_some_and(|region| self.regions.contains(&region)) {
                self.spare.push(ticket);
                continue;
            }
            self.winners.push(claim.worker);
            self.sites.insert(claim.site);
            self.blocks.insert(claim.block);
            self.regions.extend(claim.region);
        }
    }
}

/// `-log2((hash + 1) / 2^64)` to 48 binary places, rounded up: 0 to `64 << 48`.
///
/// The mantissa is squared once a place; what is cut off below its 63 bits changes the result by less than 2^-60.
pub(super) fn neg_log2(hash: u64) -> u64 {
    let number = u128::from(hash) + 1;
    let whole = number.ilog2();
    if whole == 64 {
        return 0;
    }
    let mut mantissa = number << (63 - whole);
    let mut log = u64::from(whole);
    for _ in 0..PLACES {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = mantissa >> 64;
        mantissa >>= bit;
        log = (log << 1) | bit as u64;
    }
    (64 << PLACES) - log
}

/// At most [`neg_log2`], and near to it where that is small: `(1 - u) / ln 2`.
pub(super) fn neg_log2_bound(hash: u64) -> u64 {
    // Below 1.45 x 2^48.
    ((u128::from(!hash) * INVERSE_LN2) >> (64 + INVERSE_LN2_PLACES - PLACES)) as u64
}

const DOMAIN: &[u8] = b"edgenet/draw/v1";
/// 1 / ln 2, rounded down.
const INVERSE_LN2: u128 = 94_548;
const INVERSE_LN2_PLACES: u32 = 16;
const PLACES: u32 = 48;
