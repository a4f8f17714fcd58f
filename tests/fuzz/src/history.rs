//! Histories: an input is a list of commands that owners, the authority and bad witnesses carry out with their own keys.
//! Then one ledger takes all of it in order and another in another order, and both must agree.

use std::collections::BTreeSet;

use identity::{AccountId, Signature};
use ledger::{
    Check, Id, Ledger, MICRO, Record,
    expiry::Expiry,
    op::{Action, LockKind, Op, Reason, SignedOp, rotation_message},
    proof::Proof,
    reputation::Outcome,
    resolve::{Judged, Payout, Resolve},
};

use crate::{
    cursor::Cursor,
    town::{ACCOUNTS, AUTHORITY, KEYS, NOW, OWNERS, SPARE, TOWNS, TREASURY, Town, lock, number_of, pay},
};

/// Most commands of one history.
const MOST: usize = 14;

struct World<'a> {
    town: &'a Town,
    /// What the owners know: everything, as it happens.
    ledger: Ledger,
    records: Vec<Record>,
    now: u64,
}

/// Carries out a history and compares two orders of arrival.
pub(crate) fn run(input: &[u8]) -> bool {
    let mut cursor = Cursor::new(input);
    let flags = cursor.u8();
    let town = &TOWNS[usize::from(flags & 1)];
    let mut world = World { town, ledger: town.empty.clone(), records: Vec::new(), now: NOW };
    for _ in 0..MOST {
        if cursor.is_empty() {
            break;
        }
        world.command(&mut cursor);
    }
    let mut other = world.records.clone();
    shuffle(&mut other, flags >> 1);
    let (mut one, mut two) = (town.empty.clone(), town.empty.clone());
    one.merge(world.records.iter().cloned(), Check::Signatures);
    for record in other {
        two.merge([record], Check::Signatures);
        two.check_invariants().expect("invariants hold after every record");
    }
    let held = |ledger: &Ledger| ledger.records().map(|record| record.id()).collect::<BTreeSet<Id>>();
    assert_eq!(held(&one), held(&two), "what is held depends on the order");
    assert_eq!(one.root(), two.root(), "the root depends on the order");
    assert_eq!(one.totals(), two.totals(), "totals depend on the order");
    one.check_invariants().expect("invariants hold");
    one.check_refold().expect("it folds again to the same");
    let again = one.merge(world.records, Check::Signatures);
    assert!(again.added == 0 && one.root() == two.root(), "a replay changes something");
    input.len() > 1
}

impl World<'_> {
    fn command(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.u8() % 11 {
            0..=3 => self.act(cursor),
            4 => self.decide(cursor),
            5 => self.rival(cursor),
            6 => self.now += u64::from(cursor.u8()) * 40,
            7 => self.prove(cursor),
            8 => self.checkpoint(cursor),
            9 => self.repeat(cursor),
            _ => self.expire(cursor),
        }
    }

    fn push(&mut self, record: Record) {
        self.ledger.merge([record.clone()], Check::Signatures);
        self.records.push(record);
    }

    /// An owner or the treasury does something, whether or not it may.
    fn act(&mut self, cursor: &mut Cursor<'_>) {
        let owner = [0, 1, 2, 3, TREASURY][cursor.index(OWNERS + 1)];
        let account = ACCOUNTS[owner];
        let action = self.action(cursor, owner);
        let state = self.ledger.account(&account).cloned().unwrap_or_default();
        let (mask, key) = (cursor.u8(), self.town.signer(&self.ledger, &account).unwrap_or(owner));
        let op = self.ledger.draft(&account, action.clone(), self.now).unwrap_or(Op {
            account,
            seq: state.next_seq,
            prev: state.head,
            epoch: self.now,
            receives: Vec::new(),
            action,
            balance_after: state.available_ucredits,
        });
        let record = self.town.certified(op, key, mask);
        self.push(record);
    }

    fn action(&self, cursor: &mut Cursor<'_>, owner: usize) -> Action {
        match cursor.u8() % 8 {
            0 | 1 => {
                let reason = Reason::ALL[cursor.index(Reason::ALL.len())];
                pay(cursor.index(OWNERS + 1), amount(cursor), reason)
            }
            2 | 3 => {
                let kind = LockKind::ALL[cursor.index(LockKind::ALL.len())];
                let life = match kind {
                    LockKind::BaseStake => 0,
                    LockKind::Unbond => 1_440,
                    _ => u64::from(cursor.u8()) * 40,
                };
                lock(kind, amount(cursor), self.now + life)
            }
            4 => {
                let (account, key) = (ACCOUNTS[owner], SPARE + cursor.index(2));
                let seq = self.ledger.account(&account).map_or(0, |a| a.next_seq);
                let message = rotation_message(self.town.network.id(), &account, seq, &ACCOUNTS[key]);
                let holder = if cursor.u8() == 255 { owner } else { key };
                Action::RotateKey { key: ACCOUNTS[key], proof: KEYS[holder].sign(message.as_bytes()) }
            }
            5 => {
                let referrer = (cursor.u8() & 1 == 1).then_some(ACCOUNTS[cursor.index(OWNERS)]);
                Action::Open { referrer, site: None }
            }
            _ => Action::Noop,
        }
    }

    /// The authority decides one of the open locks.
    fn decide(&mut self, cursor: &mut Cursor<'_>) {
        let locks = |(account, state): (&AccountId, &ledger::Account)| {
            let account = *account;
            let open = state.locks.iter().map(|(id, lock)| (account, *id, lock.terms.amount_ucredits));
            open.collect::<Vec<_>>()
        };
        let open: Vec<(AccountId, Id, u64)> = self.ledger.accounts().flat_map(locks).collect();
        let Some(&(owner, lock, held)) = open.get(cursor.index(open.len())) else { return };
        let (shares, mut left, mut payouts) = (cursor.u8(), held, Vec::new());
        for _ in 0..shares % 4 {
            let part = left / (1 + u64::from(cursor.u8() % 4));
            let reason = [Reason::Reward, Reason::SiteShare, Reason::StorageFee][cursor.index(3)];
            payouts.push(Payout { to: ACCOUNTS[cursor.index(OWNERS)], amount_ucredits: part, reason });
            left -= part;
        }
        let slash_ucredits = if shares & 8 == 0 { 0 } else { left / 2 };
        let outcome = [Outcome::Valid, Outcome::Invalid, Outcome::Timeout][cursor.index(3)];
        let judged = Judged { worker: ACCOUNTS[cursor.index(OWNERS)], task_type: shares >> 6, outcome };
        let resolve = Resolve {
            owner,
            lock,
            epoch: self.now,
            payouts,
            refund_ucredits: (left - slash_ucredits).saturating_add(u64::from(shares & 16 != 0)),
            slash_ucredits,
            judged: if shares & 32 == 0 { vec![] } else { vec![judged] },
            drawn: shares & 4 == 0,
            evidence: Id::ZERO,
        };
        let signed = resolve.sign(self.town.network.id(), &KEYS[AUTHORITY]);
        let certificate = self.town.certificate(&signed.resolve.id(self.town.network.id()), cursor.u8());
        self.push(Record::resolve(&self.town.network, signed, certificate));
    }

    /// Witnesses certify that locks ran out: all that did, or any of any account in any epoch.
    fn expire(&mut self, cursor: &mut Cursor<'_>) {
        let (owner, kind) = (ACCOUNTS[cursor.index(OWNERS)], cursor.u8());
        let expiry = match kind % 4 {
            0 => {
                let open = self.ledger.accounts().flat_map(|(_, account)| account.locks.keys().copied());
                let ids: Vec<Id> = open.chain(self.records.iter().map(Record::id)).collect();
                let some = ids.iter().skip(cursor.index(ids.len())).take(1 + usize::from(kind >> 4));
                let locks: BTreeSet<Id> = some.copied().collect();
                Expiry { owner, locks: locks.into_iter().collect(), epoch: self.now + u64::from(kind) }
            }
            _ => match self.ledger.draft_expiry(&owner, self.now) {
                Some(expiry) => expiry,
                None => return,
            },
        };
        let certificate = self.town.certificate(&expiry.id(self.town.network.id()), cursor.u8());
        self.push(Record::expiry(&self.town.network, expiry, certificate));
    }

    /// Bad witnesses certify an earlier operation with one byte changed.
    fn rival(&mut self, cursor: &mut Cursor<'_>) {
        let Some(op) = self.earlier(cursor) else { return };
        let Some(changed) = changed(&op, cursor) else { return };
        let key = self.town.signer(&self.ledger, &changed.op.account).unwrap_or(0);
        let record = self.town.certified(changed.op, key, cursor.u8());
        self.push(record);
    }

    /// Somebody proves that an owner signed two operations for one place.
    fn prove(&mut self, cursor: &mut Cursor<'_>) {
        let Some(op) = self.earlier(cursor) else { return };
        let Some(changed) = changed(&op, cursor) else { return };
        let network = self.town.network.id();
        let Some(key) = number_of(&op.op.account) else { return };
        let (one, other) = (op.op.sign(network, &KEYS[key]), changed.op.sign(network, &KEYS[key]));
        if let Ok(proof) = Proof::fork(network, ACCOUNTS[key], one, other) {
            self.push(Record::proof(proof));
        }
    }

    fn checkpoint(&mut self, cursor: &mut Cursor<'_>) {
        let mut checkpoint = self.ledger.draft_checkpoint(self.now - 1);
        checkpoint.compute += u64::from(cursor.u8() & 1);
        let certificate = self.town.certificate(&checkpoint.id(self.town.network.id()), cursor.u8());
        self.push(Record::checkpoint(&self.town.network, checkpoint, certificate));
    }

    /// A record again, under other votes.
    fn repeat(&mut self, cursor: &mut Cursor<'_>) {
        let Some(record) = self.records.get(cursor.index(self.records.len())).cloned() else { return };
        let certificate = self.town.certificate(&record.id(), cursor.u8());
        let network = &self.town.network;
        self.push(match record {
            Record::Op(r) => Record::op(network, r.value.clone(), certificate),
            Record::Resolve(r) => Record::resolve(network, r.value.clone(), certificate),
            Record::Checkpoint(r) => Record::checkpoint(network, r.value, certificate),
            Record::Expiry(r) => Record::expiry(network, r.value.clone(), certificate),
            proof @ Record::Proof(_) => proof,
        });
    }

    fn earlier(&self, cursor: &mut Cursor<'_>) -> Option<SignedOp> {
        match self.records.get(cursor.index(self.records.len()))? {
            Record::Op(record) => Some(record.value.clone()),
            _ => None,
        }
    }
}

/// The operation that other bytes in one place make of this one, if any.
fn changed(op: &SignedOp, cursor: &mut Cursor<'_>) -> Option<SignedOp> {
    let mut bytes = op.encode();
    let at = cursor.index(256) * bytes.len() / 256;
    bytes[at] ^= cursor.u8();
    SignedOp::decode(&bytes).ok().filter(|changed| changed.op != op.op)
}

fn amount(cursor: &mut Cursor<'_>) -> u64 {
    match cursor.u8() {
        0 => u64::MAX,
        1 => u64::from(cursor.u32()),
        n => u64::from(n) * MICRO,
    }
}

/// An order of arrival by number: turned, and backwards for odd numbers.
fn shuffle(records: &mut [Record], order: u8) {
    let count = records.len().max(1);
    records.rotate_left(usize::from(order >> 1) % count.max(1) % records.len().max(1));
    if order & 1 == 1 {
        records.reverse();
    }
}

/// Payments that are received, a task that is decided, keys handed over, forks, and all of it before four witnesses too.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let stories: [&[u8]; 11] = [
        &[2, 0, 0, 0, 0, 1, 5, 0, 0, 1, 7, 0],
        &[3, 0, 1, 5, 1, 2, 0, 1, 7, 0, 6, 1, 0, 1, 7, 0],
        &[6, 0, 0, 2, 0, 10, 9, 0, 4, 0, 1, 0, 0, 1, 0, 0, 0, 6, 2, 0, 1, 7, 0],
        &[4, 0, 1, 2, 1, 10, 9, 0, 4, 0, 40, 0, 1, 0, 0, 0, 1, 7, 0],
        &[8, 0, 0, 4, 0, 0, 0, 0, 0, 0, 1, 3, 0],
        &[2, 0, 0, 0, 0, 1, 5, 0, 5, 0, 200, 1, 0, 0, 1, 7, 0],
        &[7, 0, 2, 0, 0, 3, 9, 0, 7, 0, 200, 1, 9, 0, 7, 8, 0, 0],
        &[2, 0, 4, 0, 2, 1, 3, 0, 0, 1, 7, 0, 8, 0, 0, 8, 1, 0],
        // A lock that runs out and is taken back; one that is decided, and then said to have run out.
        &[4, 0, 0, 2, 0, 1, 9, 0, 6, 2, 10, 0, 1, 0, 0, 0, 7, 0],
        &[5, 0, 0, 2, 0, 1, 9, 0, 4, 0, 32, 0, 1, 0, 10, 0, 48, 0, 0, 0, 0, 7, 0],
        &[5, 0, 3, 2, 4, 60, 0, 6, 40, 0, 3, 7, 0, 0, 3, 2, 2, 7, 0],
    ];
    stories.iter().map(|story| story.to_vec()).collect()
}

/// A record whose owner's signature a relay destroyed; the votes are good.
pub(crate) fn garbled(record: &Record, town: &Town) -> Option<Record> {
    let Record::Op(r) = record else { return None };
    let value = SignedOp { signature: Signature::from_bytes([1; 64]), ..r.value.clone() };
    Some(Record::op(&town.network, value, r.certificate.clone()))
}
