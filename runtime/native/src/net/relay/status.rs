//! How a relay stands, for people and dashboards.

use std::collections::BTreeMap;

use identity::AccountId;
use ledger::{Id, Ledger, Record, resolve::Resolve};
use network::relay::Relay;
use serde::Serialize;

/// A snapshot.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The ledger's epoch by the relay's clock.
    pub epoch: u64,
    /// Connections.
    pub links: usize,
    /// Workers with a standing claim.
    pub workers: usize,
    /// Tasks that are not settled.
    pub open_tasks: usize,
    /// Accounts the ledger knows.
    pub accounts: usize,
    /// Micro-credits that were burned.
    pub burned_ucredits: u128,
    /// Those that earned most, at most [`MOST_LEADERS`].
    #[serde(skip)]
    pub leaders: Vec<Rank>,
    #[serde(skip)]
    ranks: BTreeMap<AccountId, Rank>,
}

/// An account's place among those that earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rank {
    /// From 1; equal earnings are ordered by account.
    pub place: usize,
    /// Who.
    #[serde(serialize_with = "shown")]
    pub account: AccountId,
    /// Micro-credits that tasks paid it, whether it has received them or not.
    pub earned_ucredits: u64,
    /// Tasks that paid it.
    pub tasks: u64,
}

/// What accounts earned, by the resolves of the ledger.
#[derive(Default)]
pub(super) struct Board(BTreeMap<AccountId, (u64, u64)>);

impl Board {
    /// What a ledger says.
    pub(super) fn of(ledger: &Ledger) -> Self {
        let mut board = Board::default();
        for record in ledger.records() {
            if let Record::Resolve(record) = record {
                board.add(&record.value.resolve);
            }
        }
        board
    }

    /// Adds a resolve that the ledger took in.
    pub(super) fn settled(&mut self, ledger: &Ledger, resolve: &Id) {
        if let Some(record) = ledger.resolve(resolve) {
            self.add(&record.value.resolve);
        }
    }

    fn add(&mut self, resolve: &Resolve) {
        for payout in resolve.payouts.iter().filter(|payout| payout.reason.is_earned()) {
            let (earned, tasks) = self.0.entry(payout.to).or_default();
            *earned = earned.saturating_add(payout.amount_ucredits);
            *tasks += 1;
        }
    }
}

impl Status {
    pub(super) fn of(relay: &Relay, links: usize, epoch: u64, board: &Board) -> Self {
        let mut ranked: Vec<Rank> = board.0.iter().map(Rank::unplaced).collect();
        ranked.sort_by_key(|rank| (u64::MAX - rank.earned_ucredits, rank.account));
        (1..).zip(&mut ranked).for_each(|(place, rank)| rank.place = place);
        Status {
            epoch,
            links,
            workers: relay.capacity().workers as usize,
            open_tasks: relay.capacity().open_tasks as usize,
            accounts: relay.ledger().accounts().count(),
            burned_ucredits: relay.ledger().totals().burned,
            leaders: ranked.iter().take(MOST_LEADERS).copied().collect(),
            ranks: ranked.into_iter().map(|rank| (rank.account, rank)).collect(),
        }
    }

    /// An account's place, if it earned anything.
    pub fn rank(&self, account: &AccountId) -> Option<Rank> {
        self.ranks.get(account).copied()
    }
}

impl Rank {
    fn unplaced((account, (earned, tasks)): (&AccountId, &(u64, u64))) -> Self {
        Rank { place: 0, account: *account, earned_ucredits: *earned, tasks: *tasks }
    }
}

fn shown<S: serde::Serializer>(account: &AccountId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(account)
}

/// Most accounts a leaderboard shows.
pub const MOST_LEADERS: usize = 100;
