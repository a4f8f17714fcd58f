//! The reference economy: plain maps by small names, obviously right. No signatures, no hashes, and not a line shared with
//! the ledger; every number is written down anew.
//!
//! It is told what happens in high-level words and says whether it may, and what everyone then holds. The defects of
//! ledgers that are a G-Set or a PN-counter, and some of this design's own, can be planted in it one at a time.

use std::collections::{BTreeMap, BTreeSet};

pub use crate::deed::{Deed, Grant, Sort};
use crate::defect::Defect;

/// An account.
pub type Who = u8;
/// The account that pays bonuses.
pub const TREASURY: Who = 0;

/// What a deed or decision makes: its serial number, and a place. Payments have places from 0, a decision's payouts from
/// [`PAYOUT`], its refund has [`REFUND`], the lock that a deed makes has [`LOCK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub u32, pub u8);

/// The first place of payouts.
pub const PAYOUT: u8 = 100;
/// The place of a refund.
pub const REFUND: u8 = 254;
/// The place of a lock.
pub const LOCK: u8 = 255;

/// All there is, in micro-credits.
pub const ALL_CREDITS: u64 = 1_000_000_000_000_000;
/// Where first rewards go until it is full, in micro-credits.
const FULL_STAKE: u64 = 100_000_000;
/// Epochs that a reward waits.
const PAYOUT_WAITS: u64 = 60;
/// Epochs after a lock's last in which it is neither decided nor taken back.
const GRACE: u64 = 2;
/// Epochs that called-back stake waits.
const UNBOND_WAITS: u64 = 1_440;
/// The treasury pays one part in so many an epoch.
const TREASURY_PARTS: u64 = 5_256_000;

/// What an account holds: spendable, base stake, in locks, on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Holding {
    pub free: u64,
    pub staked: u64,
    pub locked: u64,
    pub pending: u64,
}

#[derive(Clone, Debug, Default)]
struct Purse {
    free: u64,
    staked: u64,
    claimed: u64,
    frozen: bool,
    /// The first payer's first payer.
    origin: Option<Who>,
    opened: Option<(u64, Option<Who>)>,
    most_spent: u64,
}

#[derive(Clone, Debug)]
struct Mail {
    from: Who,
    to: Who,
    amount: u64,
    sort: Sort,
    /// Of payments alone.
    origin: Option<Who>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Escrow,
    Claim,
    Unbond,
    Payout(Sort),
}

#[derive(Clone, Debug)]
struct Lock {
    owner: Who,
    amount: u64,
    until: u64,
    kind: Kind,
    halves: u64,
}

/// What a checkpoint says: work to date, and where accounts came from.
type Closed = (u64, BTreeMap<Who, Purse>);

/// What a decision paid, to whom.
#[derive(Clone, Debug)]
struct Decided {
    epoch: u64,
    payer: Who,
    drawn: bool,
    /// Rewards by payee, with the payout's name.
    rewards: Vec<(Name, Who, u64)>,
}

/// The whole economy.
#[derive(Clone, Debug)]
pub struct Economy {
    /// What is wrong with it.
    pub defect: Option<Defect>,
    /// The time.
    pub epoch: u64,
    purses: BTreeMap<Who, Purse>,
    mail: BTreeMap<Name, Mail>,
    locks: BTreeMap<Name, Lock>,
    burned: u64,
    compute: u64,
    checkpoints: BTreeMap<u64, Closed>,
    decided: BTreeMap<u32, Decided>,
    /// Payouts that were decided on: no longer rewards.
    touched: BTreeSet<Name>,
    worked: BTreeSet<(Who, u64)>,
    granted: BTreeSet<Grant>,
    /// Epoch, cap, paid.
    treasury: (u64, u64, u64),
}

/// Why something may not be.
pub type Refused = &'static str;

impl Economy {
    /// Accounts with what they can spend and their stakes; the treasury has the rest.
    pub fn new(epoch: u64, accounts: &[(Who, u64, u64)]) -> Self {
        let mut purses = BTreeMap::new();
        let mut rest = ALL_CREDITS;
        for &(who, free, staked) in accounts {
            rest -= free + staked;
            purses.insert(who, Purse { free, staked, ..Purse::default() });
        }
        purses.insert(TREASURY, Purse { free: rest, ..Purse::default() });
        Economy {
            defect: None,
            epoch,
            purses,
            mail: BTreeMap::new(),
            locks: BTreeMap::new(),
            burned: 0,
            compute: 0,
            checkpoints: BTreeMap::new(),
            decided: BTreeMap::new(),
            touched: BTreeSet::new(),
            worked: BTreeSet::new(),
            granted: BTreeSet::new(),
            treasury: (u64::MAX, 0, 0),
        }
    }

    /// An account takes in what is ready, and does something; all of it or nothing.
    pub fn act(&mut self, who: Who, serial: u32, takes: &[Name], deed: &Deed) -> Result<(), Refused> {
        let mut next = self.clone();
        if next.purse(who).frozen {
            return Err("frozen");
        }
        takes.iter().try_for_each(|name| next.take(who, *name))?;
        next.perform(who, serial, deed)?;
        *self = next;
        Ok(())
    }

    /// The authority decides on a lock: payouts, what goes back, what burns.
    pub fn decide(
        &mut self,
        lock: Name,
        serial: u32,
        payouts: &[(Who, u64, Sort)],
        refund: u64,
        slash: u64,
        drawn: bool,
    ) -> Result<(), Refused> {
        let held = self.locks.get(&lock).ok_or("no such lock")?.clone();
        let paid: u64 = payouts.iter().map(|p| p.1).sum();
        if self.epoch > held.until && !self.is(Defect::LateDecision) {
            return Err("too late");
        }
        if paid + refund + slash != held.amount {
            return Err("shares are not the lock");
        }
        let escrow = held.kind == Kind::Escrow;
        if escrow && slash > 0 || !escrow && paid > 0 {
            return Err("shares do not fit the lock");
        }
        if matches!(held.kind, Kind::Claim | Kind::Unbond) && self.purse(held.owner).frozen {
            return Err("burned");
        }
        self.locks.remove(&lock);
        self.touched.insert(lock);
        self.burn(slash, serial);
        let mut rewards = Vec::new();
        for (i, &(to, amount, sort)) in payouts.iter().enumerate() {
            let name = Name(serial, PAYOUT + i as u8);
            let wait = if self.is(Defect::PayoutAtOnce) { 0 } else { PAYOUT_WAITS };
            let until = self.epoch + wait;
            self.locks.insert(name, Lock { owner: to, amount, until, kind: Kind::Payout(sort), halves: 2 });
            if sort == Sort::Reward {
                rewards.push((name, to, amount));
                self.worked.insert((to, self.epoch / 60));
            }
        }
        if escrow {
            self.compute += paid * 2 / held.halves / 100;
            self.decided.insert(serial, Decided { epoch: self.epoch, payer: held.owner, drawn, rewards });
        }
        let sort = match held.kind {
            Kind::Claim => Sort::Stake { claimed: held.amount },
            Kind::Payout(sort) => sort,
            Kind::Escrow | Kind::Unbond => Sort::Plain,
        };
        let amount = if self.is(Defect::RefundTooLarge) { held.amount } else { refund };
        if refund > 0 || held.kind == Kind::Claim {
            let mail = Mail { from: held.owner, to: held.owner, amount, sort, origin: None };
            self.mail.insert(Name(serial, REFUND), mail);
        }
        Ok(())
    }

    /// An account is proved to have signed two operations for one place.
    pub fn fork(&mut self, who: Who) {
        let purse = self.purses.entry(who).or_default();
        purse.frozen = true;
        if self.defect == Some(Defect::ForkKeepsStake) {
            return;
        }
        self.burned += std::mem::take(&mut purse.staked);
        let stakes: Vec<Name> = self
            .locks
            .iter()
            .filter(|(_, l)| l.owner == who && matches!(l.kind, Kind::Claim | Kind::Unbond))
            .map(|(name, _)| *name)
            .collect();
        for name in stakes {
            self.burned += self.locks.remove(&name).map_or(0, |l| l.amount);
        }
    }

    /// Everything that happened for the last time happens again: nothing must come of it.
    pub fn replay(&mut self, serial: u32) {
        if self.is(Defect::ReplayCounts) {
            let again = self.mail.iter().filter(|(name, _)| name.0 == serial && name.1 < PAYOUT);
            let again: Vec<Mail> = again.map(|(_, mail)| mail.clone()).collect();
            let copies = again.into_iter().enumerate();
            self.mail.extend(copies.map(|(i, mail)| (Name(serial, 50 + i as u8), mail)));
        }
    }

    /// The epoch is certified: multipliers of later ones are made of its compute, and relations are judged by it.
    pub fn checkpoint(&mut self, epoch: u64) {
        self.checkpoints.insert(epoch, (self.compute, self.purses.clone()));
    }

    /// What lies ready for an account.
    pub fn ready(&self, who: Who) -> BTreeSet<Name> {
        let mail = self.mail.iter().filter(|(_, m)| m.to == who).map(|(name, _)| *name);
        let locks = self.locks.iter().filter(|(_, l)| l.owner == who && self.epoch > l.until + GRACE);
        mail.chain(locks.map(|(name, _)| *name)).collect()
    }

    /// What the treasury owes for a cause, if anything.
    pub fn due(&self, grant: &Grant) -> Option<u64> {
        match *grant {
            Grant::Bonus { decision, worker } => {
                let reward = self.reward(decision, worker)?;
                let decided = self.decided.get(&decision).filter(|d| d.drawn)?;
                let after = self.after(decided)?;
                if root(after, decided.payer) == root(after, worker) && !self.is(Defect::OwnPurse) {
                    return None;
                }
                let before = self.checkpoints.range(..decided.epoch).next_back();
                let hours = before.map_or(0, |(_, closed)| closed.0) as f64 / 1e6;
                let decay = hours / 1e6;
                let left = if self.is(Defect::HalfLife) { (-decay).exp2() } else { (-decay).exp() };
                let bonus = u128::from(reward) * (9e9 * left) as u128 / 1_000_000_000;
                Some(bonus as u64).filter(|b| *b > 0)
            }
            Grant::Referral { decision, referrer } => {
                let decided = self.decided.get(&decision)?;
                let after = self.after(decided)?;
                let paid: BTreeSet<Who> = decided.rewards.iter().map(|r| r.1).collect();
                let mut sum = 0;
                for referee in paid {
                    let Some((opened, by)) = after.get(&referee).and_then(|purse| purse.opened) else {
                        continue;
                    };
                    let young = (opened..opened + 30 * 1_440).contains(&decided.epoch);
                    if by == Some(referrer) && root(after, referee) != root(after, referrer) {
                        let reward = self.reward(decision, referee)?;
                        sum += if young { reward / 10 } else { 0 };
                    }
                }
                Some(sum).filter(|share: &u64| *share > 0)
            }
            Grant::Uptime { hour, worker } => {
                (self.worked.contains(&(worker, hour)) && hour < self.epoch / 60).then_some(100_000)
            }
        }
    }

    /// What an account holds.
    pub fn holding(&self, who: Who) -> Holding {
        let purse = self.purse(who);
        let everybody = || self.purses.iter().filter(|(w, _)| **w != TREASURY).map(|(_, p)| p.free).sum();
        let mine = self.locks.values().filter(|l| l.owner == who);
        Holding {
            free: if self.is(Defect::EverybodysEarnings) && who != TREASURY {
                everybody()
            } else {
                purse.free
            },
            staked: purse.staked,
            locked: mine.map(|l| l.amount).sum(),
            pending: self.mail.values().filter(|m| m.to == who).map(|m| m.amount).sum(),
        }
    }

    /// Spendable, staked, locked, in flight, burned, the treasury's.
    pub fn totals(&self) -> [u64; 6] {
        let purses = self.purses.iter().filter(|(who, _)| **who != TREASURY);
        [
            purses.map(|(_, p)| p.free).fold(0, u64::wrapping_add),
            self.purses.values().map(|p| p.staked).sum(),
            self.locks.values().map(|l| l.amount).sum(),
            self.mail.values().map(|m| m.amount).sum(),
            self.burned,
            self.purse(TREASURY).free,
        ]
    }

    /// Whether an account is proved to have forked.
    pub fn is_frozen(&self, who: Who) -> bool {
        self.purse(who).frozen
    }

    /// Work to date, in millionths of a CPU-hour.
    pub fn compute(&self) -> u64 {
        self.compute
    }

    /// Open locks.
    pub fn open_locks(&self) -> impl Iterator<Item = OpenLock> + '_ {
        self.locks.iter().map(|(name, l)| OpenLock {
            name: *name,
            owner: l.owner,
            amount: l.amount,
            until: l.until,
            escrow: l.kind == Kind::Escrow,
            payout: matches!(l.kind, Kind::Payout(_)),
        })
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn purse(&self, who: Who) -> Purse {
        self.purses.get(&who).cloned().unwrap_or_default()
    }

    /// Purses as of the first checkpoint after a decision's hour.
    fn after(&self, decided: &Decided) -> Option<&BTreeMap<Who, Purse>> {
        self.checkpoints.range(decided.epoch + PAYOUT_WAITS..).next().map(|(_, closed)| &closed.1)
    }

    /// What a decision paid a worker that nobody touched, once the hour is over and all of it was collected.
    fn reward(&self, decision: u32, worker: Who) -> Option<u64> {
        let decided = self.decided.get(&decision).filter(|d| self.epoch > d.epoch + PAYOUT_WAITS)?;
        let own = decided.rewards.iter().filter(|r| r.1 == worker);
        if own.clone().any(|r| self.locks.contains_key(&r.0)) {
            return None;
        }
        Some(own.filter(|r| !self.touched.contains(&r.0)).map(|r| r.2).sum())
    }

    fn take(&mut self, who: Who, name: Name) -> Result<(), Refused> {
        if let Some(lock) = self.locks.get(&name).cloned() {
            if lock.owner != who || self.epoch <= lock.until + GRACE {
                return Err("not to be taken back");
            }
            if !self.is(Defect::ExpiryTwice) {
                self.locks.remove(&name);
            }
            let sort = match lock.kind {
                Kind::Claim => Sort::Stake { claimed: lock.amount },
                Kind::Payout(sort) => sort,
                Kind::Escrow | Kind::Unbond => Sort::Plain,
            };
            self.credit(who, lock.amount, sort);
            return Ok(());
        }
        let mail = self.mail.get(&name).filter(|m| m.to == who).ok_or("nothing there")?.clone();
        if !self.is(Defect::ReceivesTwice) {
            self.mail.remove(&name);
        }
        self.credit(who, mail.amount, mail.sort);
        let purse = self.purses.entry(who).or_default();
        purse.origin = purse.origin.or(mail.origin);
        Ok(())
    }

    fn credit(&mut self, who: Who, amount: u64, sort: Sort) {
        let (skip, lost) = (self.is(Defect::RewardsSkipStake), self.is(Defect::StakeLeftBehind));
        let (narrow, float) = (self.is(Defect::ReceiverSaturates), self.is(Defect::FloatAmounts));
        let purse = self.purses.entry(who).or_default();
        let mut free = amount;
        match sort {
            Sort::Plain => {}
            Sort::Reward => {
                let room = FULL_STAKE.saturating_sub(purse.staked + purse.claimed);
                let filled = if skip { 0 } else { amount.min(room) };
                purse.staked += filled;
                free -= filled;
            }
            Sort::Stake { claimed } => {
                purse.claimed -= claimed;
                if !lost {
                    purse.staked += amount;
                    free = 0;
                }
            }
        }
        purse.free = purse.free.wrapping_add(free);
        if narrow {
            purse.free = purse.free.min(u32::MAX.into());
        }
        if float {
            purse.free = purse.free as f32 as u64;
        }
    }

    fn perform(&mut self, who: Who, serial: u32, deed: &Deed) -> Result<(), Refused> {
        let lock = Name(serial, LOCK);
        match *deed {
            Deed::Nothing => {}
            Deed::Rotate => {
                let purse = self.purse(who);
                let unbonding = |l: &Lock| l.owner == who && l.kind == Kind::Unbond;
                if purse.staked + purse.claimed > 0 || self.locks.values().any(unbonding) {
                    return Err("it has stakes");
                }
            }
            Deed::Open { referrer } => {
                let epoch = self.epoch;
                self.purses.entry(who).or_default().opened = Some((epoch, referrer));
            }
            Deed::Pay(ref outs) => {
                self.debit(who, outs.iter().map(|o| o.1).sum())?;
                let origin = self.purse(who).origin.unwrap_or(who);
                for (i, &(to, amount)) in outs.iter().enumerate() {
                    if self.is(Defect::LastWriterWins) {
                        self.mail.retain(|_, m| (m.from, m.to) != (who, to));
                    }
                    let mail = Mail { from: who, to, amount, sort: Sort::Plain, origin: Some(origin) };
                    self.mail.insert(Name(serial, i as u8), mail);
                }
            }
            Deed::Grant(ref grants) => self.grant(serial, grants)?,
            Deed::Escrow { amount, until, halves } => {
                self.debit(who, amount)?;
                let halves = halves.into();
                self.locks.insert(lock, Lock { owner: who, amount, until, kind: Kind::Escrow, halves });
            }
            Deed::Claim { amount, until } => {
                self.unstake(who, amount)?;
                self.purses.entry(who).or_default().claimed += amount;
                self.locks.insert(lock, Lock { owner: who, amount, until, kind: Kind::Claim, halves: 2 });
            }
            Deed::Stake { amount } => {
                self.debit(who, amount)?;
                self.purses.entry(who).or_default().staked += amount;
            }
            Deed::Unbond { amount } => {
                self.unstake(who, amount)?;
                let wait = if self.is(Defect::UnbondAtOnce) { 0 } else { UNBOND_WAITS };
                let until = self.epoch + wait;
                self.locks.insert(lock, Lock { owner: who, amount, until, kind: Kind::Unbond, halves: 2 });
            }
        }
        Ok(())
    }

    fn grant(&mut self, serial: u32, grants: &[Grant]) -> Result<(), Refused> {
        if self.treasury.0 != self.epoch {
            self.treasury = (self.epoch, self.purse(TREASURY).free / TREASURY_PARTS, 0);
        }
        for (i, grant) in grants.iter().enumerate() {
            let amount = self.due(grant).ok_or("not due")?;
            let paid = if self.is(Defect::CapPerPayment) { amount } else { self.treasury.2 + amount };
            self.treasury.2 = paid;
            if paid > self.treasury.1 {
                return Err("over the cap");
            }
            if !self.granted.insert(*grant) && !self.is(Defect::BonusTwice) {
                return Err("paid before");
            }
            let (Grant::Bonus { worker: to, .. }
            | Grant::Uptime { worker: to, .. }
            | Grant::Referral { referrer: to, .. }) = *grant;
            let payer = self.payer_of(grant);
            if let Some(payer) = payer {
                self.debit(payer, amount)?;
            }
            let mail = Mail { from: TREASURY, to, amount, sort: Sort::Plain, origin: None };
            self.mail.insert(Name(serial, i as u8), mail);
        }
        Ok(())
    }

    fn payer_of(&self, grant: &Grant) -> Option<Who> {
        match *grant {
            Grant::Referral { decision, .. } if self.is(Defect::ReferralFromReferee) => {
                self.decided.get(&decision).and_then(|d| d.rewards.first()).map(|r| r.1)
            }
            _ => (!self.is(Defect::RewardsMinted)).then_some(TREASURY),
        }
    }

    fn debit(&mut self, who: Who, amount: u64) -> Result<(), Refused> {
        let (wraps, max, float) =
            (self.is(Defect::OverdraftWraps), self.is(Defect::MaxMerge), self.is(Defect::FloatAmounts));
        let purse = self.purses.entry(who).or_default();
        if amount > purse.free && !wraps {
            return Err("not enough");
        }
        // A counter that only remembers the largest spend.
        let cost = if max { amount.saturating_sub(purse.most_spent) } else { amount };
        purse.most_spent = purse.most_spent.max(amount);
        purse.free = purse.free.wrapping_sub(cost);
        if float {
            purse.free = purse.free as f32 as u64;
        }
        Ok(())
    }

    fn unstake(&mut self, who: Who, amount: u64) -> Result<(), Refused> {
        let purse = self.purses.entry(who).or_default();
        purse.staked = purse.staked.checked_sub(amount).ok_or("not that much stake")?;
        Ok(())
    }

    fn burn(&mut self, slash: u64, serial: u32) {
        if self.is(Defect::SlashToAccuser) && slash > 0 {
            let mail = Mail { from: 1, to: 1, amount: slash, sort: Sort::Plain, origin: None };
            self.mail.insert(Name(serial, 0), mail);
        } else if !self.is(Defect::BurnVanishes) {
            self.burned += slash;
        }
    }
}

/// Whose purse an account came from.
fn root(purses: &BTreeMap<Who, Purse>, who: Who) -> Who {
    purses.get(&who).and_then(|purse| purse.origin).unwrap_or(who)
}

/// A lock as the world asks for it.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OpenLock {
    pub name: Name,
    pub owner: Who,
    pub amount: u64,
    pub until: u64,
    pub escrow: bool,
    pub payout: bool,
}
