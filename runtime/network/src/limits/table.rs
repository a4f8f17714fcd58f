use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, Meter, Rates, Short};

/// Meters by key, in bounded memory: an attacker with a million keys does not make it grow.
///
/// A meter is dropped for a newcomer only once it is full again, for then its owner, coming back, gets what it had:
/// dropping resets nobody's bucket. Where all are in use, newcomers share one meter of one peer's rate. To keep a
/// stranger out of a table of `max` meters, an attacker must keep spending from all of them, each at its own rate, so
/// its address blocks run dry first: with the default settings it needs more than 6,500 of them.
#[derive(Clone, Debug)]
pub struct Table<K> {
    full: Rates,
    max: usize,
    meters: BTreeMap<K, (Meter, u64)>,
    /// When each is full again.
    due: BTreeSet<(u64, K)>,
    overflow: Meter,
    overflowed: u64,
}

impl<K: Copy + Ord> Table<K> {
    /// A table of at most `max` meters, none of which ever has a higher rate than `full`.
    pub fn new(full: Rates, max: usize) -> Self {
        Table {
            full,
            max,
            meters: BTreeMap::new(),
            due: BTreeSet::new(),
            overflow: Meter::full(full, 0),
            overflowed: 0,
        }
    }

    /// What is missing in a key's meter: in units, and in verifications.
    pub fn short(&self, key: &K, rates: Rates, now_ms: u64, ask: Ask) -> (Option<Short>, Option<Short>) {
        match self.meters.get(key) {
            Some((meter, _)) => meter.short(rates, now_ms, ask),
            None if self.has_room(now_ms) => Meter::full(rates, now_ms).short(rates, now_ms, ask),
            None => self.overflow.short(self.least(rates), now_ms, ask),
        }
    }

    /// Takes from a key's meter.
    pub fn take(&mut self, key: K, rates: Rates, now_ms: u64, ask: Ask) {
        let found = self.meters.remove(&key);
        if let Some((_, due_ms)) = found {
            self.due.remove(&(due_ms, key));
        } else if !self.has_room(now_ms) {
            self.overflowed = self.overflowed.saturating_add(1);
            let least = self.least(rates);
            // A newcomer's lower rate limits what it may take, and leaves the shared level alone.
            if self.overflow.short(least, now_ms, ask) == (None, None) {
                self.overflow.take(self.full, now_ms, ask);
            }
            return;
        } else if self.meters.len() >= self.max
            && let Some((_, full_again)) = self.due.pop_first()
        {
            self.meters.remove(&full_again);
        }
        let mut meter = found.map_or_else(|| Meter::full(rates, now_ms), |(meter, _)| meter);
        meter.take(rates, now_ms, ask);
        let due_ms = meter.full_at_ms(rates, self.full);
        self.meters.insert(key, (meter, due_ms));
        self.due.insert((due_ms, key));
    }

    /// Meters held.
    pub fn len(&self) -> usize {
        self.meters.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.meters.is_empty()
    }

    /// How often a newcomer was charged to the shared meter.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn has_room(&self, now_ms: u64) -> bool {
        self.meters.len() < self.max || self.due.first().is_some_and(|&(due_ms, _)| due_ms <= now_ms)
    }

    fn least(&self, rates: Rates) -> Rates {
        if rates.units.units_per_hour < self.full.units.units_per_hour { rates } else { self.full }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Ask = Ask { units: 1_000, verifications: 1 };

    fn admits(table: &mut Table<u64>, key: u64, now_ms: u64) -> bool {
        let rates = Rates::new(600_000, 1);
        let passes = table.short(&key, rates, now_ms, ONE) == (None, None);
        if passes {
            table.take(key, rates, now_ms, ONE);
        }
        passes
    }

    #[test]
    fn a_million_keys_stay_in_their_memory() {
        let mut table = Table::new(Rates::new(600_000, 1), 100);
        let passed = (0..1_000_000).filter(|&key| admits(&mut table, key, key / 1_000)).count();
        assert_eq!((table.len(), table.due.len()), (100, 100));
        // A second: the first hundred, one of the shared meter; after 6 s others would be full again.
        assert_eq!(passed, 101);
    }

    /// An attacker who fills the table cannot have its own spent bucket dropped and come back with a full one.
    #[test]
    fn dropping_resets_nobody() {
        let mut table = Table::new(Rates::new(600_000, 1), 10);
        assert!(admits(&mut table, 0, 0));
        assert!(!admits(&mut table, 0, 0));
        for key in 1..1_000 {
            admits(&mut table, key, 1);
        }
        assert!(!admits(&mut table, 0, 1));
        assert!(table.meters.contains_key(&0));
    }

    #[test]
    fn a_full_meter_makes_room() {
        let mut table = Table::new(Rates::new(600_000, 1), 10);
        (0..10).for_each(|key| assert!(admits(&mut table, key, 0)));
        assert!(admits(&mut table, 10, 5_999));
        assert_eq!((table.overflowed(), table.meters.contains_key(&10)), (1, false));
        assert!(admits(&mut table, 11, 6_000));
        assert_eq!((table.len(), table.meters.contains_key(&11)), (10, true));
    }

    #[test]
    fn no_table_is_one_shared_meter() {
        let mut table = Table::new(Rates::new(600_000, 1), 0);
        assert!(admits(&mut table, 1, 0));
        assert!(!admits(&mut table, 2, 0));
        assert!(table.is_empty());
    }

    proptest! {
        /// Whatever a key does among others, it gets no more than its own bucket and the shared one would give.
        #[test]
        fn no_key_gains_by_the_table(
            steps in prop::collection::vec((0..6u64, 0..3_000u64), 1..200),
            max in 0..4usize,
        ) {
            let rates = Rates::new(600_000, 1);
            let mut table = Table::new(rates, max);
            let (mut now_ms, mut passed) = (0u64, BTreeMap::<u64, u64>::new());
            for (key, step_ms) in steps {
                now_ms += step_ms;
                if admits(&mut table, key, now_ms) {
                    *passed.entry(key).or_default() += 1_000;
                }
                prop_assert!(table.len() <= max && table.due.len() == table.len());
            }
            let bound = now_ms * 600_000 / 3_600_000 + rates.units.burst_units;
            prop_assert!(passed.values().all(|&units| units <= 2 * bound));
            prop_assert!(passed.values().sum::<u64>() <= bound * (max as u64 + 1) + 6 * 1_666);
        }
    }
}
