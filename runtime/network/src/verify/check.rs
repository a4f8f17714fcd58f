//! Known answers: what a comparison says, and that nobody is given one check twice.

use std::collections::{BTreeSet, VecDeque};

use identity::AccountId;
use ledger::Id;

use super::{policy::Place, unit::Tag};

/// A row of a batch, or a whole task as its row 0, whose answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRow {
    /// Its place in the batch.
    pub row: u32,
    /// The tag of the right answer, under the key of the batch.
    pub tag: Tag,
}

/// How a known answer came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The asker computed it.
    Computed,
    /// It is the accepted result of an earlier task, and so wrong now and then.
    Accepted,
}

/// What a comparison with known answers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// All equal.
    Right,
    /// One differs from an answer that the asker computed.
    Wrong,
    /// One differs from an answer that was only voted on: compute it before anyone is blamed. Results are exact, so one
    /// execution tells.
    Compute,
    /// No row was known, so nothing is said.
    Nothing,
}

impl Verdict {
    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            Verdict::Right => "check_right",
            Verdict::Wrong => "check_wrong",
            Verdict::Compute => "check_compute",
            Verdict::Nothing => "check_nothing",
        }
    }
}

/// Compares the rows of a result with what is known. A row that the result lacks is wrong.
pub fn compare(known: &[KnownRow], source: Source, found: impl Fn(u32) -> Option<Tag>) -> Verdict {
    if known.is_empty() {
        return Verdict::Nothing;
    }
    let right = known.iter().all(|known| found(known.row) == Some(known.tag));
    match source {
        _ if right => Verdict::Right,
        Source::Computed => Verdict::Wrong,
        Source::Accepted => Verdict::Compute,
    }
}

/// The checks that can be given, each at most once to a worker, a site or a network block.
///
/// Memory is bounded: at most [`MAX_CHECKS`] checks, each given at most [`MAX_GIVEN`] times. One that was given so often, or is
/// the oldest when another comes, is retired; its keeper deletes it with its answer, so that it does not come back under the
/// same id. That are about 10 MB at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    oldest_first: VecDeque<Given>,
}

impl Checks {
    /// Adds a check, and gives the one that is retired for it. A check that is there already is not added again.
    pub fn add(&mut self, check: Id) -> Option<Id> {
        if self.oldest_first.iter().any(|given| given.check == check) {
            return None;
        }
        let retired = (self.oldest_first.len() == MAX_CHECKS).then(|| self.oldest_first.pop_front());
        self.oldest_first.push_back(Given { check, ..Given::default() });
        retired.flatten().map(|given| given.check)
    }

    /// Gives a worker a check that neither it nor its site nor its block had, chosen by the beacon; [`None`] if there is none.
    pub fn give(&mut self, beacon: &[u8; 32], worker: &AccountId, place: &Place) -> Option<Id> {
        let open = |given: &Given| !given.had(worker, place);
        let count = self.oldest_first.iter().filter(|given| open(given)).count() as u64;
        let drawn = Id::hash("edgenet/check/pick/v1", &[beacon, worker.as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = *drawn.as_bytes();
        let pick = u64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_rem(count)?;
        let (at, _) =
            self.oldest_first.iter().enumerate().filter(|(_, given)| open(given)).nth(pick as usize)?;
        let given = &mut self.oldest_first[at];
        let check = given.check;
        given.workers.insert(*worker);
        given.sites.extend(place.site);
        given.blocks.insert(place.block);
        if given.workers.len() == MAX_GIVEN {
            self.oldest_first.remove(at);
        }
        Some(check)
    }

    /// Checks there are.
    pub fn len(&self) -> usize {
        self.oldest_first.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.oldest_first.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Given {
    check: Id,
    workers: BTreeSet<AccountId>,
    sites: BTreeSet<[u8; 32]>,
    blocks: BTreeSet<[u8; 8]>,
}

impl Given {
    fn had(&self, worker: &AccountId, place: &Place) -> bool {
        self.workers.contains(worker)
            || self.blocks.contains(&place.block)
            || place.site.is_some_and(|site| self.sites.contains(&site))
    }
}

/// Most checks that wait to be given.
pub const MAX_CHECKS: usize = 1_024;
/// Most workers that get one check: the more, the likelier it is recognised.
pub const MAX_GIVEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag::from_bytes([1; 32]);
    const OTHER: Tag = Tag::from_bytes([2; 32]);

    fn place(site: Option<u8>, block: u8) -> Place {
        Place { site: site.map(|site| [site; 32]), block: [block; 8] }
    }

    fn worker(number: u8) -> AccountId {
        AccountId::from_bytes([number; 32])
    }

    fn id(number: u64) -> Id {
        Id::hash("test", &[&number.to_be_bytes()])
    }

    #[test]
    fn what_a_comparison_says() {
        let known = [KnownRow { row: 3, tag: TAG }, KnownRow { row: 7, tag: OTHER }];
        let right = |row| match row {
            3 => Some(TAG),
            7 => Some(OTHER),
            _ => None,
        };
        assert_eq!(compare(&known, Source::Computed, right), Verdict::Right);
        assert_eq!(compare(&known, Source::Accepted, right), Verdict::Right);
        let swapped = |row| if row == 3 { Some(OTHER) } else { right(row) };
        assert_eq!(compare(&known, Source::Computed, swapped), Verdict::Wrong);
        assert_eq!(compare(&known, Source::Accepted, swapped), Verdict::Compute);
        let missing = |row| if row == 7 { None } else { right(row) };
        assert_eq!(compare(&known, Source::Computed, missing), Verdict::Wrong);
        assert_eq!(compare(&[], Source::Computed, right), Verdict::Nothing);
    }

    #[test]
    fn never_twice_to_a_worker_a_site_or_a_block() {
        let mut checks = Checks::default();
        assert!(checks.is_empty());
        assert_eq!(checks.give(&[0; 32], &worker(1), &place(None, 1)), None);
        checks.add(id(1));
        checks.add(id(1));
        assert_eq!(checks.len(), 1);
        assert_eq!(checks.give(&[0; 32], &worker(1), &place(Some(1), 1)), Some(id(1)));
        assert_eq!(checks.give(&[1; 32], &worker(1), &place(Some(2), 2)), None);
        assert_eq!(checks.give(&[1; 32], &worker(2), &place(Some(1), 2)), None);
        assert_eq!(checks.give(&[1; 32], &worker(2), &place(Some(2), 1)), None);
        assert_eq!(checks.give(&[1; 32], &worker(2), &place(None, 2)), Some(id(1)));
        // A second one without a site is no neighbour of the first.
        assert_eq!(checks.give(&[1; 32], &worker(3), &place(None, 3)), Some(id(1)));
    }

    #[test]
    fn each_worker_gets_all_of_them_once_and_in_its_own_order() {
        let order = |seed: u8| {
            let mut checks = Checks::default();
            (0..20).for_each(|number| assert_eq!(checks.add(id(number)), None));
            // Another block each time, so that only the worker counts.
            let given = (0..21).map(|n| checks.give(&[seed ^ n; 32], &worker(seed), &place(None, n)));
            given.collect::<Vec<_>>()
        };
        let first = order(1);
        assert_eq!(first[20], None);
        assert_eq!(first.iter().flatten().collect::<BTreeSet<_>>().len(), 20);
        assert_ne!(first, order(2));
    }

    #[test]
    fn memory_is_bounded() {
        let mut checks = Checks::default();
        for number in 0..MAX_CHECKS as u64 {
            assert_eq!(checks.add(id(number)), None);
        }
        assert_eq!(checks.add(id(5_000)), Some(id(0)));
        assert_eq!(checks.len(), MAX_CHECKS);

        let mut one = Checks::default();
        one.add(id(1));
        for number in 0..MAX_GIVEN as u8 {
            assert_eq!(one.give(&[0; 32], &worker(number), &place(None, number)), Some(id(1)));
        }
        assert!(one.is_empty());
    }
}
