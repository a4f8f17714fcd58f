//! The owner's side: the next operation of an account, complete but for the signature.

use identity::AccountId;
use thiserror::Error;

use crate::{
    Checkpoint, Evidence, Id, Lacking, Ledger, Network, Refusal, Roll,
    account::Account,
    expiry::{Expiry, MAX_EXPIRED, is_due},
    op::{Action, MAX_RECEIVES, Op, Out, Receive},
    rule::Rule,
    state::{Stop, balance_after, check_rotation, prepare_on},
};

/// Why the treasury does not pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DraftError {
    /// It would break a rule.
    #[error("refused: {0}")]
    Refusal(#[from] Refusal),
    /// It cannot be shown to be due.
    #[error("not shown to be due: {0}")]
    Lacking(#[from] Lacking),
}

impl Ledger {
    /// The account's next operation: it receives what is ready, up to [`MAX_RECEIVES`], and does this.
    ///
    /// An owner stores what it signs before it sends it, and sends it again unchanged after a crash: two operations of one
    /// seq are a fork, whatever the reason.
    ///
    /// Payments of the treasury come with evidence: [`Ledger::draft_treasury`].
    ///
    /// # Errors
    /// The rule that the action would break, such as [`Rule::BalanceCovers`].
    pub fn draft(&self, account: &AccountId, action: Action, epoch: u64) -> Result<Op, Refusal> {
        let op = self.draft_any(account, action, epoch)?;
        if account == self.network().treasury() {
            crate::justify::treasury(self.network(), &op, &Evidence::default())?;
        }
        Ok(op)
    }

    /// The treasury's next operation, which pays what these rolls show to be due, and what shows it: sent to every witness
    /// alike.
    ///
    /// # Errors
    /// What is lacking to show it, or the rule that it would break.
    pub fn draft_treasury(
        &self,
        outs: Vec<Out>,
        epoch: u64,
        rolls: &[Roll],
    ) -> Result<(Op, Evidence), DraftError> {
        let op = self.draft_any(self.network().treasury(), Action::Transfer { outs }, epoch)?;
        let evidence = self.evidence(&op, rolls)?;
        crate::justify::treasury(self.network(), &op, &evidence)?;
        Ok((op, evidence))
    }

    /// The checkpoint of an epoch that ended with this state.
    pub fn draft_checkpoint(&self, epoch: u64) -> Checkpoint {
        let treasury = self.account(self.network().treasury());
        Checkpoint {
            epoch,
            previous: self.checkpoint_before(epoch).map_or(Id::ZERO, |c| c.id),
            root: self.root(),
            accounts: self.state().accounts.len() as u64,
            treasury_ucredits: treasury.map_or(0, |a| a.available_ucredits),
            compute: self.compute(),
        }
    }

    /// What certifies that locks of an account ran out: those that are not marked yet, at most [`MAX_EXPIRED`]. An owner has it
    /// certified before it drafts. One disputed lock has the whole of it refused: it is left out, or the decision that came
    /// with the refusal is certified instead.
    pub fn draft_expiry(&self, owner: &AccountId, epoch: u64) -> Option<Expiry> {
        let locks = self.account(owner)?.locks.iter();
        let over =
            locks.filter(|(_, l)| l.void.is_none() && !l.ran_out && is_due(l.terms.expiry_epoch, epoch));
        let locks: Vec<Id> = over.map(|(id, _)| *id).take(MAX_EXPIRED).collect();
        (!locks.is_empty()).then_some(Expiry { owner: *owner, locks, epoch })
    }

    fn draft_any(&self, account: &AccountId, action: Action, epoch: u64) -> Result<Op, Refusal> {
        let unknown = Account::default();
        draft_on(self.network(), account, self.account(account).unwrap_or(&unknown), action, epoch)
    }
}

/// The next operation on an account as it stands. The evidence of a treasury's payments is for the caller to check.
pub(crate) fn draft_on(
    network: &Network,
    account: &AccountId,
    state: &Account,
    action: Action,
    epoch: u64,
) -> Result<Op, Refusal> {
    let epoch = epoch.max(state.last_epoch);
    let mut op = Op {
        account: *account,
        seq: state.next_seq,
        prev: state.head,
        epoch,
        receives: ready(state, epoch),
        action,
        balance_after: 0,
    };
    op.check_alone(network.treasury())?;
    let refused = |stop: Stop| stop.refusal(Rule::ReceiveKnown);
    op.balance_after = balance_after(state, &op).map_err(refused)?;
    // Signed and refused by every witness, an operation stands in the way of any other for its seq.
    check_rotation(state, &op)?;
    if account == network.treasury() {
        prepare_on(state, network.treasury(), &op).map_err(refused)?;
    }
    Ok(op)
}

/// What an account can receive in an epoch, ascending: what stakes give back first, then the largest amounts, so that
/// nobody buries what an owner waits for under payments of nothing.
pub(crate) fn ready(account: &Account, epoch: u64) -> Vec<Receive> {
    let paid = account.inbox.iter().filter(|(_, output)| output.void.is_none());
    let paid = paid.map(|(receive, output)| (output.of_stake.is_some(), output.amount_ucredits, *receive));
    let open = account.locks.iter().filter(|(_, lock)| lock.void.is_none());
    let expired = open.filter(|(_, lock)| lock.ran_out && epoch > lock.terms.expiry_epoch);
    let expired = expired
        .map(|(id, lock)| (lock.of_stake().is_some(), lock.terms.amount_ucredits, Receive::expired(*id)));
    let mut ready: Vec<(bool, u64, Receive)> = paid.chain(expired).collect();
    ready.sort_unstable_by(|a, b| b.cmp(a));
    ready.truncate(MAX_RECEIVES);
    let mut ready: Vec<Receive> = ready.into_iter().map(|(_, _, receive)| receive).collect();
    ready.sort_unstable();
    ready
}
