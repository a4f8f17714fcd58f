//! The promise of a store, and who checks that it was kept: batches whose whole content follows from their number.

#![allow(dead_code, reason = "every test binary uses its own part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use ledger::store::{Batch, NetworkId, Store, Table};

/// The network of the tests.
pub(crate) const NETWORK: NetworkId = [7; 32];

/// Records of a batch, beside its vote.
const RECORDS: u64 = 3;

/// The batch of this number: three records and the vote they carry.
pub(crate) fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for n in 0..RECORDS {
        batch.put(Table::Records, record_key(number, n), value(number, n)).expect("within the limits");
    }
    batch.put(Table::Votes, vote_key(number), value(number, RECORDS)).expect("within the limits");
    batch.put(Table::Meta, b"last", number.to_be_bytes()).expect("within the limits");
    batch
}

/// Another vote where [`batch`] voted.
pub(crate) fn second_vote(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Votes, vote_key(number), b"something else").expect("within the limits");
    batch
}

/// What a store has promised so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promise {
    /// Batches that must be there.
    pub(crate) kept: BTreeSet<u64>,
}

impl Promise {
    /// Whether the store holds every acknowledged batch, every batch wholly or not at all, and nothing else. What it holds
    /// is promised from here on: it was seen.
    pub(crate) fn check(&mut self, store: &dyn Store) -> Result<(), String> {
        let mut parts: BTreeMap<u64, u64> = BTreeMap::new();
        let mut wrong = None;
        for table in [Table::Records, Table::Votes] {
            let scanned = store.scan(table, b"", &mut |key, found| {
                let Some((number, n)) =
                    numbers(table, key).filter(|(number, n)| *found == value(*number, *n))
                else {
                    wrong = Some(format!("{table} holds something that nobody wrote under {key:02x?}"));
                    return ControlFlow::Break(());
                };
                *parts.entry(number).or_default() |= 1 << n;
                ControlFlow::Continue(())
            });
            scanned.map_err(|error| error.to_string())?;
        }
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if let Some((number, parts)) = parts.iter().find(|(_, parts)| **parts != (1 << (RECORDS + 1)) - 1) {
            return Err(format!("batch {number:#x} is torn: parts {parts:b}"));
        }
        if let Some(number) = self.kept.iter().find(|number| !parts.contains_key(number)) {
            return Err(format!("batch {number:#x} was acknowledged and is lost"));
        }
        self.kept.extend(parts.keys());
        Ok(())
    }
}

/// A sequence of numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Lots(pub(crate) u64);

impl Lots {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn record_key(number: u64, n: u64) -> [u8; 32] {
    let words = [mixed(number ^ (n << 60)), number, n, 0].map(u64::to_be_bytes);
    words.concat().try_into().expect("four words")
}

fn vote_key(number: u64) -> [u8; 16] {
    let words = [mixed(number), number].map(u64::to_be_bytes);
    words.concat().try_into().expect("two words")
}

/// The batch and part that a key stands for, if it is one of ours.
fn numbers(table: Table, key: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?));
    let number = word(8)?;
    let n = if table == Table::Records { word(16)? } else { RECORDS };
    let ours = match table {
        Table::Records => key == record_key(number, n),
        _ => key == vote_key(number),
    };
    ours.then_some((number, n))
}

/// 1 to 400 bytes, now and then 6,000, which spans pages.
fn value(number: u64, n: u64) -> Vec<u8> {
    let mut lots = Lots(number.wrapping_mul(31).wrapping_add(n));
    let bytes = if lots.below(50) == 0 { 6000 } else { 1 + lots.below(400) };
    (0..bytes).map(|_| lots.next() as u8).collect()
}

fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
