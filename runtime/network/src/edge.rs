//! An edge: whoever connects to relays. Sessions with one to three of them, a wallet, and a submitter or a worker or both.
//!
//! ```text
//!            .-- sessions (doors) <-> relays
//! Input  --> |   wallet     one account, one operation in flight
//! Output <-- |   submitter  jobs -> tasks -> results
//!            '-- worker     claims -> leases -> results
//! ```
//! The roles do not know each other: each says what it wants done ([`Act`]), and this room does it, or turns it into an
//! [`Output`]. The wallet asks the first relay that is connected. A worker's claims stand at each, with its slots divided.
//!
//! The shell owns the sockets, the clock and the store: it dials when told ([`Output::Connect`]) and gives a number to every
//! connection that it has made, writes what it is given to write and says so, and runs tasks.

mod act;
mod doors;
mod event;
mod port;
pub mod saved;

use std::{collections::BTreeMap, sync::Arc};

use identity::{AccountId, SecretKey};
use ledger::{Balance, Network};

pub(crate) use self::{
    act::{Act, Saving},
    doors::Doors,
};
pub use self::{
    event::Event,
    port::{Config, ConfigError, Input, Output},
    saved::Saved,
};
use crate::{
    node::{Context, Link, Save},
    reason::Reason,
    session::edge::{Heard, Me},
    submitter::Submitter,
    wallet::{Home, Purpose, Told, Wallet, Want},
    wire::{Goodbye, Message, Refused, Roles},
    worker::Worker,
};

/// One account's part in a network.
#[derive(Debug)]
pub struct Edge {
    me: Me,
    doors: Doors,
    wallet: Wallet,
    submitter: Option<Submitter>,
    worker: Option<Worker>,
    saving: BTreeMap<u64, Saving>,
    ticket: u64,
    drains: bool,
    drained: bool,
}

impl Edge {
    /// An edge with what it saved before.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(
        config: Config,
        key: SecretKey,
        network: Arc<Network>,
        saved: Saved,
    ) -> Result<Self, ConfigError> {
        let account = key.account();
        let foreign = saved.last.as_ref().is_some_and(|last| last.op.account != account);
        if foreign || saved.kept.prekeys.account() != account {
            return Err(ConfigError::Saved);
        }
        let doors = Doors::new(&config.relays).ok_or(ConfigError::Relays { found: config.relays.len() })?;
        if config.agent.len() > 64 {
            return Err(ConfigError::Agent { found: config.agent.len() });
        }
        if config.work.as_ref().is_some_and(|work| !work.are_valid()) {
            return Err(ConfigError::Preferences);
        }
        let works = if config.work.is_some() { Roles::WORKER.0 } else { 0 };
        let roles = Roles(works | if config.submits { Roles::SUBMITTER.0 } else { 0 });
        if roles.0 == 0 {
            return Err(ConfigError::Idle);
        }
        let Saved { last, kept } = saved;
        Ok(Edge {
            me: Me { key, network: *network.id(), roles, agent: config.agent },
            doors,
            wallet: Wallet::new(network, account, last),
            submitter: config.submits.then(Submitter::default),
            worker: config.work.map(|work| Worker::new(work, kept)),
            saving: BTreeMap::new(),
            ticket: 0,
            drains: false,
            drained: false,
        })
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        self.me.key.account()
    }

    /// What the account holds, as far as it was told.
    pub fn balance(&self) -> Option<Balance> {
        self.wallet.balance()
    }

    /// Its wallet.
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    #[cfg(test)]
    pub(crate) fn wallet_for_test(&mut self) -> &mut Wallet {
        &mut self.wallet
    }

    /// Its submitter, if it submits.
    pub fn submitter(&self) -> Option<&Submitter> {
        self.submitter.as_ref()
    }

    /// Its worker, if it works.
    pub fn worker(&self) -> Option<&Worker> {
        self.worker.as_ref()
    }

    /// The relays that let it in.
    pub fn connected(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.doors.open()
    }

    /// Takes an input; all that follows from it is in `out` when this returns.
    pub fn step(&mut self, context: &mut Context<'_>, input: Input, out: &mut Vec<Output>) {
        let mut acts = Vec::new();
        self.take(context, input, &mut acts, out);
        self.carry_out(context, acts, out);
        let mut acts = Vec::new();
        self.drive(context, &mut acts, out);
        self.carry_out(context, acts, out);
        // What the roles began may be due for the wallet.
        let mut acts = Vec::new();
        self.wallet.drive(context.now, self.home(context), &mut acts);
        self.carry_out(context, acts, out);
    }

    /// When to be called though nothing happens.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let submitter = self.submitter.as_ref().and_then(Submitter::next_deadline_ms);
        let worker = self.worker.as_ref().and_then(Worker::next_deadline_ms);
        let doors = self.may_dial().then(|| self.doors.next_deadline_ms()).flatten();
        [doors, self.wallet.next_deadline_ms(), submitter, worker].into_iter().flatten().min()
    }

    fn take(&mut self, context: &mut Context<'_>, input: Input, acts: &mut Vec<Act>, out: &mut Vec<Output>) {
        let now = context.now;
        match input {
            Input::Connected { link, relay } => match self.doors.connected(&self.me, context, link, relay) {
                Some(hello) => out.push(Output::Send { link, message: hello }),
                None => out.push(Output::Close { link }),
            },
            Input::Unreachable { relay } => self.doors.unreachable(&relay),
            Input::Closed { link } => {
                if let Some((relay, was_open)) = self.doors.closed(link, 0) {
                    self.gone(context, relay, was_open, Reason::Silent, acts);
                }
            }
            Input::Frame { link, bytes } => self.frame(context, link, &bytes, acts, out),
            Input::Stored { ticket } => self.saved(context, ticket, true, acts),
            Input::NotStored { ticket } => self.saved(context, ticket, false, acts),
            Input::Load { duty_permille, paused } => {
                if let Some(worker) = &mut self.worker {
                    worker.load(duty_permille, paused, acts);
                }
            }
            Input::Done { assignment, result } => {
                if let Some(worker) = &mut self.worker {
                    worker.done(context, &assignment, result, acts);
                }
            }
            Input::Submit { job, request } => match &mut self.submitter {
                Some(submitter) => submitter.submit(&self.me, context, &self.doors, job, request, acts),
                None => acts.push(Act::Event(not_a_submitter(job))),
            },
            Input::SubmitBatch { job, parts } => match &mut self.submitter {
                Some(submitter) => submitter.submit_batch(&self.me, context, &self.doors, job, parts, acts),
                None => acts.push(Act::Event(not_a_submitter(job))),
            },
            Input::Cancel { job } => {
                if let Some(submitter) = &mut self.submitter {
                    submitter.cancel(now, job, acts);
                }
            }
            Input::Order { order, wanted } => {
                acts.push(Act::Want(Want { purpose: Purpose::User(order), wanted }));
            }
            Input::Tick => {}
            Input::Drain => {
                self.drains = true;
                self.submitter.iter_mut().for_each(Submitter::drain);
                self.worker.iter_mut().for_each(|worker| worker.drain(acts));
            }
        }
    }

    fn frame(
        &mut self,
        context: &mut Context<'_>,
        link: Link,
        bytes: &[u8],
        acts: &mut Vec<Act>,
        out: &mut Vec<Output>,
    ) {
        let prekey = self.worker.as_ref().and_then(Worker::prekey);
        let Some((relay, session)) = self.doors.session(link) else { return };
        let mut answers = Vec::new();
        let heard = session.receive(&self.me, prekey, context.now, bytes, &mut answers);
        out.extend(answers.into_iter().map(|message| Output::Send { link, message }));
        match heard {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Opened) => {
                self.doors.opened(&relay, context.now);
                acts.push(Act::Event(Event::Opened { relay }));
                if let Some(worker) = &mut self.worker {
                    worker.connected(&relay);
                }
                if let Some(submitter) = &mut self.submitter {
                    submitter.connected(context.now, &relay, acts);
                }
            }
            Ok(Heard::Message(message)) => self.message(context, &relay, &message, acts),
            Ok(Heard::Ended { reason, retry_after_ms }) => {
                let reason = Reason::from_code(reason).unwrap_or(Reason::Silent);
                self.close(context, link, reason, u64::from(retry_after_ms), acts, out);
            }
            Err(reason) => {
                let goodbye = Goodbye { reason: reason as u16, retry_after_ms: 0 };
                out.push(Output::Send { link, message: goodbye.into() });
                self.close(context, link, reason, 0, acts, out);
            }
        }
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        relay: &AccountId,
        message: &Message,
        acts: &mut Vec<Act>,
    ) {
        let now = context.now;
        match message {
            Message::AccountIs(said) => {
                self.wallet.account_is(&self.me.key, now, relay, said, acts);
                if let (Some(submitter), Some(holder)) = (&mut self.submitter, self.wallet.holder()) {
                    submitter.see(holder);
                }
                return;
            }
            Message::Records(records) => return self.wallet.records(now, records, acts),
            Message::Refused(refused) if self.wallet.refused(now, refused, acts) => return,
            _ => {}
        }
        if matches!(message, Message::Settled(_)) {
            acts.push(Act::Hint(now.ms + crate::wallet::RECEIVE_MS));
        }
        if let (Message::Refused(refused), Some(submitter)) = (message, &mut self.submitter)
            && refused.about == ledger::Id::ZERO
            && Reason::from_code(refused.reason).is_some_and(Reason::is_passing)
        {
            submitter.slowed(now, relay, u64::from(refused.retry_after_ms));
        }
        if let Some(submitter) = &mut self.submitter
            && submitter.heard(&self.me, context, &mut self.doors, relay, message, acts)
        {
            return;
        }
        if let Some(worker) = &mut self.worker
            && worker.heard(&self.me, context, relay, message, acts)
        {
            return;
        }
        if let Message::Refused(Refused { about, reason, detail, .. }) = message {
            let reason = Reason::from_code(*reason).unwrap_or(Reason::MessageUnexpected);
            let (relay, about, detail) = (*relay, *about, detail.clone());
            acts.push(Act::Event(Event::Refused { relay, about, reason, detail }));
        }
    }

    fn saved(&mut self, context: &mut Context<'_>, ticket: u64, stored: bool, acts: &mut Vec<Act>) {
        let now = context.now;
        let Some(saving) = self.saving.remove(&ticket) else { return };
        match (saving, &mut self.worker) {
            (Saving::Operation, _) if stored => self.wallet.stored(now, acts),
            (Saving::Operation, _) => self.wallet.not_stored(now),
            (Saving::Opening(id), Some(worker)) => worker.opening_stored(&id, stored, acts),
            (Saving::Prekeys, Some(worker)) => worker.prekeys_stored(stored),
            (Saving::Numbers(up_to), Some(worker)) => worker.numbers_stored(up_to, stored),
            (Saving::Opening(_) | Saving::Prekeys | Saving::Numbers(_), None) => {}
        }
        if !stored {
            acts.push(Act::Event(Event::NotStored { ticket }));
        }
    }

    fn home(&self, context: &Context<'_>) -> Option<Home> {
        let (relay, epoch) = self.doors.first_open(context.now)?;
        Some(Home { relay, epoch })
    }

    /// Does what is due everywhere.
    fn drive(&mut self, context: &mut Context<'_>, acts: &mut Vec<Act>, out: &mut Vec<Output>) {
        for (link, heard) in self.doors.listen(context.now) {
            match heard {
                Ok(message) => out.push(Output::Send { link, message }),
                Err(reason) => {
                    let goodbye = Goodbye { reason: reason as u16, retry_after_ms: 0 };
                    out.push(Output::Send { link, message: goodbye.into() });
                    self.close(context, link, reason, 0, acts, out);
                }
            }
        }
        if self.may_dial() {
            let dials = self.doors.dial(context);
            out.extend(dials.into_iter().map(|(relay, after_ms)| Output::Connect { relay, after_ms }));
        }
        self.wallet.drive(context.now, self.home(context), acts);
        let holder = self.wallet.holder();
        if let Some(submitter) = &mut self.submitter {
            submitter.drive(&self.me, context, &self.doors, acts);
        }
        if let Some(worker) = &mut self.worker {
            worker.drive(&self.me, context, &self.doors, holder, acts);
        }
        self.finish_drain(acts, out);
    }

    /// A worker has to have a prekey to show, on the disk.
    fn may_dial(&self) -> bool {
        !self.drains && self.worker.as_ref().is_none_or(|worker| worker.prekey().is_some())
    }

    /// Nothing is left to do: the connections end.
    fn finish_drain(&mut self, acts: &mut Vec<Act>, out: &mut Vec<Output>) {
        let open = self.submitter.as_ref().map_or(0, Submitter::open);
        let jobs = self.worker.as_ref().map_or(0, Worker::jobs);
        let busy = open + jobs + self.wallet.waiting();
        if !self.drains || self.drained || busy > 0 || self.wallet.in_flight().is_some() {
            return;
        }
        self.drained = true;
        for link in self.doors.links() {
            let goodbye = Goodbye { reason: Reason::Draining as u16, retry_after_ms: 0 };
            out.push(Output::Send { link, message: goodbye.into() });
            out.push(Output::Close { link });
            self.doors.closed(link, u64::MAX);
        }
        acts.push(Act::Event(Event::Drained));
    }

    fn close(
        &mut self,
        context: &mut Context<'_>,
        link: Link,
        reason: Reason,
        retry_after_ms: u64,
        acts: &mut Vec<Act>,
        out: &mut Vec<Output>,
    ) {
        out.push(Output::Close { link });
        if let Some((relay, was_open)) = self.doors.closed(link, retry_after_ms.min(MOST_RETRY_MS)) {
            self.gone(context, relay, was_open, reason, acts);
        }
    }

    fn gone(
        &mut self,
        context: &mut Context<'_>,
        relay: AccountId,
        was_open: bool,
        reason: Reason,
        acts: &mut Vec<Act>,
    ) {
        acts.push(Act::Event(Event::Closed { relay, reason }));
        if !was_open {
            return;
        }
        if let Some(submitter) = &mut self.submitter {
            submitter.closed(context.now, &relay);
        }
        if let Some(worker) = &mut self.worker {
            worker.closed(context.now, &relay);
        }
    }

    /// Does what the roles want, and what follows from that.
    fn carry_out(&mut self, context: &mut Context<'_>, acts: Vec<Act>, out: &mut Vec<Output>) {
        let mut acts = std::collections::VecDeque::from(acts);
        while let Some(act) = acts.pop_front() {
            let mut more = Vec::new();
            match act {
                Act::Send(relay, message) => self.send(&relay, message, out),
                Act::Save(batch, saving) => {
                    self.ticket += 1;
                    self.saving.insert(self.ticket, saving);
                    out.push(Output::Save(Save { ticket: self.ticket, batch }));
                }
                Act::Want(want) => self.wallet.want(want, &mut more),
                Act::Unwant(purpose) => drop(self.wallet.unwant(purpose)),
                Act::Hint(at_ms) => self.wallet.hint(at_ms),
                Act::Told(told) => self.told(context, told, &mut more, out),
                Act::CancelRest(job) => {
                    if let Some(submitter) = &mut self.submitter {
                        submitter.cancel_tasks(context.now, job, &mut more);
                    }
                }
                Act::Run { assignment, kind, model, payload } => {
                    out.push(Output::Run { assignment, kind, model, payload });
                }
                Act::Abort(assignment) => out.push(Output::Abort { assignment }),
                Act::Event(event) => out.push(Output::Event(event)),
            }
            more.into_iter().rev().for_each(|act| acts.push_front(act));
        }
    }

    fn told(&mut self, context: &mut Context<'_>, told: Told, acts: &mut Vec<Act>, out: &mut Vec<Output>) {
        match told.purpose {
            Purpose::Escrow(_) => {
                if let Some(submitter) = &mut self.submitter {
                    submitter.told(context.now, told, acts);
                }
            }
            Purpose::Stake(_) => {
                if let Some(worker) = &mut self.worker {
                    worker.told(context.now, &told, acts);
                }
            }
            Purpose::User(order) => {
                let outcome = told.outcome.map(|done| done.op);
                out.push(Output::Event(Event::Ordered { order, outcome }));
            }
        }
    }

    /// What is for a relay that is not there is dropped: the roles say it again when it is.
    fn send(&mut self, relay: &AccountId, message: Message, out: &mut Vec<Output>) {
        let Some((link, session)) = self.doors.open_session(relay) else { return };
        let mut ready = Vec::new();
        if let Err(reason) = session.send(message, &mut ready) {
            out.push(Output::Event(Event::NotSent { relay: *relay, reason }));
        }
        out.extend(ready.into_iter().map(|message| Output::Send { link, message }));
    }
}

fn not_a_submitter(job: u64) -> Event {
    Event::Failed { job, part: None, reason: Reason::RequestInvalid, cost_ucredits: 0 }
}

/// Most relays of an edge.
pub const MAX_RELAYS: usize = 3;
/// A relay that wants to be left alone for longer is asked after this.
const MOST_RETRY_MS: u64 = 600_000;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
