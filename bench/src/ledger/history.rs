//! A long history of many accounts, certified once, merged again and again.

use std::{collections::BTreeMap, sync::Arc};

use identity::{AccountId, SecretKey};
use ledger::{
    Check, Collector, Id, Ledger, Merged, Network, Record,
    op::{Action, MAX_OUTS, Op},
    witness::Witness,
};

use super::{
    timed,
    town::{NOW, START_UCREDITS, WITNESS, check, key, network, out, pay, wrong},
};
use crate::Error;

/// Operations a second of each way to merge, and seconds of what reads the whole state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) merge: f64,
    pub(super) from_bytes: f64,
    pub(super) decode: f64,
    pub(super) checked: f64,
    pub(super) refold: f64,
    pub(super) root: f64,
}

/// Certified operations in an order in which each follows what it needs.
pub(super) struct History {
    network: Arc<Network>,
    records: Vec<Record>,
    encoded: Vec<Vec<u8>>,
    /// After all of them.
    ledger: Ledger,
    root: Id,
    operation: Vec<u8>,
}

impl History {
    /// At least so many operations. Before anything is timed, balances are compared with a model of their own and the root
    /// with that of the same records in another order.
    pub(super) fn of(operations: usize) -> Result<History, Error> {
        let network = network(FOUNDERS, 1);
        let keys: Vec<SecretKey> = (0..FOUNDERS * (1 + MAX_OUTS)).map(key).collect();
        let mut writer = Scribe::new(network.clone());
        for founder in 0..FOUNDERS {
            let paid = (0..MAX_OUTS).map(|n| keys[FOUNDERS + founder * MAX_OUTS + n].account());
            let outs = paid.map(|to| out(to, START_UCREDITS / 20)).collect();
            writer.act(&keys[founder], Action::Transfer { outs })?;
        }
        let mut random = 1u64;
        for n in 0.. {
            if writer.records.len() >= operations {
                break;
            }
            let to = &keys[draw(&mut random, keys.len())];
            let from = &keys[n % keys.len()];
            let to = if to.account() == from.account() { &keys[(n + 1) % keys.len()] } else { to };
            writer.act(from, pay(to.account(), 5))?;
        }
        check(&writer.ledger, &writer.model)?;
        let Scribe { ledger, records, last, .. } = writer;
        let encoded: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
        let root = ledger.root();
        let history = History { network, records, encoded, ledger, root, operation: last };
        let mut shuffled = history.records.clone();
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, draw(&mut random, i + 1));
        }
        let mut other = history.fresh();
        history.expect(&other.merge(shuffled, Check::Nothing), &other)?;
        Ok(history)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn accounts(&self) -> usize {
        self.ledger.accounts().count()
    }

    /// The bytes whose hash names a typical operation.
    pub(super) fn operation(&self) -> &[u8] {
        &self.operation
    }

    /// Measures everything once; every ledger that was made must have the known root.
    pub(super) fn measure(&self) -> Result<Rates, Error> {
        let per_second = |count: usize, seconds: f64| count as f64 / seconds;
        let (decode, decoded) = timed(|| self.decode(&self.encoded).collect::<Result<Vec<Record>, _>>());
        let decoded = decoded.map_err(|error| Error::Wrong(error.to_string()))?;
        if decoded != self.records {
            return Err(Error::Wrong("records decode to other records".into()));
        }
        // As they lie in memory behind the reading of a store.
        let mut ledger = self.fresh();
        let (merge, merged) = timed(|| ledger.merge(decoded, Check::Nothing));
        self.expect(&merged, &ledger)?;
        let mut ledger = self.fresh();
        let (from_bytes, merged) =
            timed(|| ledger.merge(self.decode(&self.encoded).map_while(Result::ok), Check::Nothing));
        self.expect(&merged, &ledger)?;
        let few = self.len().min(CHECKED);
        let (mut ledger, records) = (self.fresh(), self.records[..few].to_vec());
        let (checked, merged) = timed(|| ledger.merge(records, Check::Signatures));
        if merged.added != few || ledger.orphans() != 0 {
            return Err(Error::Wrong(format!("checked records were not added: {merged:?}")));
        }
        let (refold, same) = timed(|| self.ledger.check_refold());
        same.map_err(|broken| Error::Wrong(broken.to_string()))?;
        Ok(Rates {
            merge: per_second(self.len(), merge),
            from_bytes: per_second(self.len(), from_bytes),
            decode: per_second(self.len(), decode),
            checked: per_second(few, checked),
            refold,
            root: 0.0,
        })
    }

    fn fresh(&self) -> Ledger {
        Ledger::new(self.network.clone())
    }

    fn decode<'a>(
        &'a self,
        encoded: &'a [Vec<u8>],
    ) -> impl Iterator<Item = Result<Record, ledger::DecodeError>> + 'a {
        encoded.iter().map(|bytes| Record::decode(bytes, &self.network))
    }

    fn expect(&self, merged: &Merged, ledger: &Ledger) -> Result<(), Error> {
        match merged.added == self.len() && ledger.orphans() == 0 && ledger.root() == self.root {
            true => Ok(()),
            false => Err(Error::Wrong("the records merge to another state".into())),
        }
    }
}

/// Writes a history as it happens.
struct Scribe {
    network: Arc<Network>,
    ledger: Ledger,
    witness: Witness,
    records: Vec<Record>,
    model: BTreeMap<AccountId, u64>,
    last: Vec<u8>,
}

impl Scribe {
    fn new(network: Arc<Network>) -> Scribe {
        let founders = &network.founding().allocations;
        let model = founders.iter().map(|a| (a.account, a.available_ucredits)).collect();
        let witness = Witness::new(key(WITNESS), []);
        let ledger = Ledger::new(network.clone());
        Scribe { network, ledger, witness, records: Vec::new(), model, last: Vec::new() }
    }

    fn act(&mut self, owner: &SecretKey, action: Action) -> Result<(), Error> {
        let op: Op = self.ledger.draft(&owner.account(), action, NOW).map_err(wrong)?;
        if let Action::Transfer { outs } = &op.action {
            for out in outs {
                *self.model.entry(op.account).or_default() -= out.amount_ucredits;
                *self.model.entry(out.to).or_default() += out.amount_ucredits;
            }
        }
        let (network, id) = (self.network.id(), op.id(self.network.id()));
        let op = op.sign(network, owner);
        self.last = op.encode();
        self.last.truncate(self.last.len() - SIGNATURE_BYTES);
        let mut collector = Collector::new(*network, id, self.network.committee(NOW));
        let unsent = self.witness.consider_op(&self.ledger, &op, NOW).map_err(|r| wrong(r.refusal))?;
        collector.add(&unsent.stored()).map_err(wrong)?;
        let certificate = collector.certificate().ok_or_else(|| Error::Wrong("no quorum".into()))?.clone();
        let record = Record::op(&self.network, op, certificate);
        self.records.push(record.clone());
        self.ledger.merge([record], Check::Nothing);
        Ok(())
    }
}

/// A ledger of very many accounts, most of which were paid once.
pub(super) struct Crowd(Ledger);

impl Crowd {
    pub(super) fn of(accounts: usize) -> Result<Crowd, Error> {
        let network = network(FOUNDERS, 1);
        let mut writer = Scribe::new(network);
        let founders: Vec<SecretKey> = (0..FOUNDERS).map(key).collect();
        let mut strangers = (0..accounts as u64)
            .map(|n| AccountId::from_bytes(*Id::hash("bench", &[&n.to_le_bytes()]).as_bytes()));
        for n in 0.. {
            let outs: Vec<_> = strangers.by_ref().take(MAX_OUTS).map(|to| out(to, 5)).collect();
            if outs.is_empty() {
                break;
            }
            writer.act(&founders[n % FOUNDERS], Action::Transfer { outs })?;
        }
        check(&writer.ledger, &writer.model)?;
        Ok(Crowd(writer.ledger))
    }

    pub(super) fn len(&self) -> usize {
        self.0.accounts().count()
    }

    /// Seconds of a root.
    pub(super) fn root(&self) -> f64 {
        timed(|| std::hint::black_box(self.0.root())).0
    }
}

/// Any number below a bound, by a 64-bit congruential generator (Knuth, MMIX).
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % below
}

/// Founders; each pays [`MAX_OUTS`] others first.
const FOUNDERS: usize = 64;
const SIGNATURE_BYTES: usize = 64;
/// Records of a merge that checks signatures, which takes as long for each.
const CHECKED: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_history_is_merged_and_measured() {
        let history = History::of(1_200).expect("a history");
        assert!(history.len() == 1_200 && history.accounts() == 1 + FOUNDERS * (1 + MAX_OUTS));
        let rates = history.measure().expect("rates");
        assert!(rates.merge > rates.checked && rates.checked > 0.0);
    }

    /// A history whose root is another's is a wrong answer, not a fast one.
    #[test]
    fn a_planted_fault_is_caught() {
        let mut history = History::of(200).expect("a history");
        history.records.pop();
        assert!(history.measure().is_err());
    }
}
