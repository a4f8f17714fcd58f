//! Whoever edges connect to: a witness, a collector of certificates, a market. One relay is one witness.
//!
//! ```text
//! frame -> door     size, replay, buckets, signatures                      (door.rs, crate::limits)
//!       -> session  who is at the other end                                (crate::session::relay)
//!       -> desk     accounts, operations, votes, records                   (desk.rs)
//!       or market   claims, tasks, leases, results, settlements            (market.rs)
//! ```
//! A step takes one input and gives everything that follows from it. What must be durable before it is said comes as
//! [`Output::Save`] and is said after [`Input::Stored`]. The relay holds what is sealed and opens none of it; what it decides
//! follows from commits, reveals and the ledger, and its every decision is a resolve that witnesses certify.
//!
//! | after | what is true |
//! |---|---|
//! | `Accepted` | the task is written down: it is settled, whatever happens to this relay |
//! | `Records` | the operation is certified and in this relay's store |
//! | `Settled` | the resolve is certified and in this relay's store |
//!
//! After a crash, what was accepted and not settled is given back ([`Restored`]), by the same resolve if one was signed.

mod desk;
mod door;
mod io;
mod market;
mod port;
mod restore;
mod rounds;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use identity::{AccountId, SecretKey};
use ledger::{Id, Ledger, op::SignedOp, resolve::SignedResolve, store::Batch, witness::Place};

use self::{
    desk::{Answer, Asker, Desk, Value},
    door::{Passed, Stop},
    market::{Mail, Market, Places, slashed},
    port::{Links, Me, Port, Saves, Then, peer},
    rounds::Rounds,
};
pub use self::{
    io::{Config, Event, Input, Output, ROUND_MS, Verification},
    restore::{OpenTask, RestoreError, Restored},
};
use crate::{
    bus,
    draw::Head,
    limits::{Admission, Block, Counters},
    node::{Context, Link},
    reason::Reason,
    session::{
        GRANT_BYTES, PING_MS, is_data,
        relay::{Due, Edge, Session},
    },
    wire::{Goodbye, HEADER_BYTES, Heads, Message, Pong, Proposal, Records, Welcome},
};

/// A relay.
#[derive(Debug)]
pub struct Relay {
    me: Me,
    links: Links,
    saves: Saves,
    rooms: Rooms,
    /// Tasks of a former run, with the decisions that were signed of them.
    restored: Vec<(OpenTask, Option<SignedResolve>)>,
}

/// The rooms that a frame may come to.
#[derive(Debug)]
struct Rooms {
    admission: Admission,
    desk: Desk,
    market: Market,
    rounds: Rounds,
    epoch: u64,
    /// Until when leases are waited for, of a relay that goes down.
    drain_ms: Option<u64>,
    is_drained: bool,
}

impl Relay {
    /// A relay with what its store remembers. `secret` is unpredictable and of this run alone: its beacon is made of it.
    pub fn new(config: Config, key: SecretKey, restored: Restored, secret: [u8; 32]) -> Self {
        let Restored { ledger, votes, tasks } = restored;
        let (account, network) = (key.account(), ledger.network().clone());
        let mut wanted: BTreeMap<Id, Option<SignedResolve>> =
            tasks.iter().map(|task| (task.submit.escrow, None)).collect();
        for (place, voted) in &votes {
            if let Place::Lock(lock) = place
                && let Some(decided) = wanted.get_mut(lock)
            {
                *decided = SignedResolve::decode(&voted.body).ok();
            }
        }
        let places = Places::without(tasks.iter().map(|task| task.place));
        let restored = tasks.into_iter().map(|task| {
            let decided = wanted.remove(&task.submit.escrow).flatten();
            (task, decided)
        });
        let restored = restored.collect();
        let rooms = Rooms {
            admission: Admission::new(config.limits.clone()),
            market: Market::new(config.queue.clone(), places, first_lease(&secret)),
            rounds: Rounds::new(account, secret, config.chain_rounds),
            desk: Desk::new(ledger, SecretKey::from_seed(*key.seed()), votes),
            epoch: 0,
            drain_ms: None,
            is_drained: false,
        };
        let me = Me { config, key, account, network };
        Relay { me, links: Links::default(), saves: Saves::default(), rooms, restored }
    }

    /// Takes what happened, and gives what follows.
    pub fn step(&mut self, context: &mut Context<'_>, input: Input, out: &mut Vec<Output>) {
        let (me, links, saves) = (&self.me, &mut self.links, &mut self.saves);
        let mut port = Port { me, links, saves, context, out };
        for (task, decided) in std::mem::take(&mut self.restored) {
            self.rooms.market.restore(task, decided, &mut self.rooms.desk, &mut port);
        }
        self.rooms.take(input, &mut port);
        self.rooms.time(&mut port);
        for account in port.links.take_gone() {
            self.rooms.market.left(account);
        }
        self.rooms.desk.publish(&mut port);
    }

    /// When it wants to be called though nothing happens.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let Rooms { desk, market, rounds, drain_ms, .. } = &self.rooms;
        let all = [
            self.links.next_deadline_ms(),
            desk.next_deadline_ms(),
            market.next_deadline_ms(),
            rounds.next_deadline_ms(),
            drain_ms.filter(|at_ms| !self.rooms.is_drained && *at_ms < u64::MAX),
        ];
        all.into_iter().flatten().min()
    }

    /// Who it is.
    pub fn account(&self) -> AccountId {
        self.me.account
    }

    /// Its ledger.
    pub fn ledger(&self) -> &Ledger {
        self.rooms.desk.ledger()
    }

    /// The heads of the chains that its draws go by.
    pub fn heads(&self) -> Vec<Head> {
        self.rooms.rounds.heads()
    }

    /// What it has to give away, or to take.
    pub fn capacity(&self) -> bus::Capacity {
        self.rooms.market.capacity()
    }

    /// What became of frames at the door.
    pub fn counters(&self) -> Counters {
        self.rooms.admission.counters()
    }

    /// Connections.
    pub fn links(&self) -> usize {
        self.links.len()
    }
}

impl Rooms {
    fn take(&mut self, input: Input, port: &mut Port<'_, '_>) {
        match input {
            Input::Opened { link, block } => self.opened(link, block, port),
            Input::Closed { link } => {
                if port.links.remove(link) {
                    port.event(Event::Ended { link, reason: None });
                }
            }
            Input::Frame { link, bytes } => self.frame(link, bytes, port),
            Input::Stored { ticket } => match port.saves.take(ticket) {
                Some(Then::Ballot(durable)) => {
                    let answers = self.desk.stored(durable, port);
                    self.answer(answers, port);
                }
                Some(Then::Accept(task)) => {
                    self.market.accepted(task, self.rounds.open(), port);
                    if self.drain_ms.is_some() {
                        self.market.drain(&mut self.desk, port);
                    }
                }
                Some(Then::Nothing) | None => {}
            },
            Input::NotStored { ticket } => {
                port.event(Event::StoreFailed { ticket });
                match port.saves.take(ticket) {
                    Some(Then::Ballot(durable)) => {
                        let answers = self.desk.not_stored(durable);
                        self.answer(answers, port);
                    }
                    Some(Then::Accept(task)) => self.market.not_accepted(task, port),
                    Some(Then::Nothing) | None => {}
                }
            }
            Input::Bus { from, message } => self.bus(from, message, port),
            Input::Tick => {}
            Input::Drain => self.drain(port),
        }
    }

    /// The way of a frame.
    fn frame(&mut self, link: Link, bytes: Vec<u8>, port: &mut Port<'_, '_>) {
        let now = port.context.now;
        let peer = port.links.peer(link);
        let Some(session) = port.links.get_mut(link) else { return };
        session.heard(bytes.len(), now.ms);
        match door::pass(&mut self.admission, (link, session, peer), &bytes, port.me, now) {
            Ok(passed) => self.message(link, passed, bytes, port),
            Err(Stop::End(reason)) => port.end(link, reason, 0),
            Err(Stop::Refuse { reason, retry_after_ms, detail }) => {
                let room = HEADER_BYTES + REFUSED_BYTES + detail.len();
                if session.may_answer(room) {
                    port.refuse(link, Id::ZERO, reason, retry_after_ms, detail);
                }
            }
        }
    }

    /// What a message is for: the session, the desk, or the market.
    fn message(&mut self, link: Link, passed: Passed, frame: Vec<u8>, port: &mut Port<'_, '_>) {
        let Passed { message, id, edge } = passed;
        if let Some(edge) = edge {
            return self.let_in(link, edge, port);
        }
        let (key, network) = (&port.me.key, port.me.network.id());
        let Some(session) = port.links.get_mut(link) else { return };
        if let Message::Hello(hello) = message {
            return match session.hello(hello, key, network, port.context) {
                Ok(challenge) => port.send(link, challenge),
                Err(reason) => port.end(link, reason, 0),
            };
        }
        let Some(account) = session.edge().map(|edge| edge.account) else {
            return port.end(link, Reason::MessageUnexpected, 0);
        };
        if is_data(message.kind()) {
            match session.take_data(frame.len()) {
                Ok(None) => {}
                Ok(Some(grant)) => port.send(link, grant),
                Err(reason) => return port.end(link, reason, 0),
            }
        }
        match message {
            Message::Ping(ping) => port.send(link, Pong { token: ping.token }),
            Message::Pong(_) => {}
            Message::Grant(grant) => {
                let ready = port.links.get_mut(link).map(|session| session.granted(&grant));
                let ready = ready.into_iter().flatten();
                port.out.extend(ready.map(|frame| Output::Forward { link, frame }));
            }
            Message::Goodbye(_) => {
                port.out.push(Output::Close { link });
                port.links.remove(link);
                port.event(Event::Ended { link, reason: None });
            }
            Message::AskAccount(ask) => self.desk.ask(link, ask.account, port),
            Message::Propose(propose) => self.propose(link, account, &propose.proposal, port),
            message => {
                let mail = Mail { link, message, id, frame, round: self.rounds.open() };
                self.market.take(mail, &mut self.desk, port);
            }
        }
    }

    fn opened(&mut self, link: Link, block: Block, port: &mut Port<'_, '_>) {
        if port.links.len() >= port.me.config.max_links || self.drain_ms.is_some() {
            let reason = if self.drain_ms.is_some() { Reason::Draining } else { Reason::RelayFull };
            port.event(Event::Ended { link, reason: Some(reason) });
            return port.out.push(Output::Close { link });
        }
        port.links.insert(link, Session::new(block, port.now_ms()));
    }

    /// An edge proved who it is.
    fn let_in(&mut self, link: Link, edge: Edge, port: &mut Port<'_, '_>) {
        let (account, roles) = (edge.account, edge.roles);
        if self.desk.ledger().is_frozen(&account) {
            return port.end(link, Reason::AccountFrozen, 0);
        }
        let staked_ucredits = self.desk.ledger().account(&account).map_or(0, |a| a.base_stake_ucredits());
        let peer = peer(&port.me.config, account, roles, staked_ucredits);
        if let Some(session) = port.links.get_mut(link) {
            session.open(edge, port.context.now.ms);
        }
        if let Some(former) = port.links.speaks(account, link, peer) {
            port.end(former, Reason::Replaced, 0);
        }
        let heads = self.rounds.heads();
        port.send(link, Welcome { grant_bytes: GRANT_BYTES, ping_ms: PING_MS, staked_ucredits, heads });
        port.event(Event::Opened { link, account, roles });
        self.market.back(account, port);
    }

    /// An edge's operation, to be certified.
    fn propose(&mut self, link: Link, account: AccountId, proposal: &Proposal, port: &mut Port<'_, '_>) {
        let op = match proposal {
            Proposal::Op(bytes) => SignedOp::decode(bytes).ok().filter(|op| op.op.account == account),
            // Decisions, checkpoints and expiries are made by relays.
            Proposal::Resolve(_) | Proposal::Checkpoint(_) | Proposal::Expiry(_) => None,
        };
        let Some(op) = op else {
            return port.refuse(link, Id::ZERO, Reason::MessageUnexpected, 0, "no operation of this account");
        };
        let answer = self.desk.propose(Value::Op(Box::new(op)), Asker::Edge(link), Batch::new(), port);
        self.answer(answer.into_iter().collect(), port);
    }

    /// Verdicts go to those who wait for them.
    fn answer(&mut self, answers: Vec<Answer>, port: &mut Port<'_, '_>) {
        for answer in answers {
            match (answer.asker, &answer.verdict) {
                (Asker::Edge(link), Ok(record)) => {
                    port.send(link, Records { records: vec![record.encode()] });
                }
                (Asker::Edge(link), Err((reason, detail))) => {
                    let retry_ms = if *reason == Reason::RuleBroken { 0 } else { RETRY_MS };
                    port.refuse(link, answer.value, *reason, retry_ms, detail);
                }
                (Asker::Account(link, account), _) => self.desk.tell_account(link, &account, port),
                (Asker::Escrow(task), _) => self.market.resolved(task, answer, port),
                (Asker::Stake(worker, lock), Ok(record)) => {
                    port.out.extend(slashed(worker, lock, record).map(Output::Event));
                    self.market.was_slashed(worker, &self.desk, port);
                }
                (Asker::Stake(..), Err(_)) | (Asker::Nobody, _) => {}
            }
        }
    }

    /// Another relay says something.
    fn bus(&mut self, from: AccountId, message: bus::Message, port: &mut Port<'_, '_>) {
        let answers = match message {
            bus::Message::Propose(propose) => {
                self.desk.vote_for(from, &propose, port);
                vec![]
            }
            bus::Message::VoteIs(vote) => {
                self.desk.voted(from, &vote, port);
                vec![]
            }
            bus::Message::Refused(no) => self.desk.refused(from, &no, port),
            bus::Message::Records(records) => self.desk.records(&records, port),
            // What others have to give away is for their shells to balance by.
            bus::Message::Capacity(_) => vec![],
        };
        self.answer(answers, port);
    }

    /// What time brings.
    fn time(&mut self, port: &mut Port<'_, '_>) {
        let (now_ms, epoch) = (port.now_ms(), port.epoch());
        while let Some(link) = port.links.next_due(now_ms) {
            match port.links.get_mut(link).and_then(|session| session.tick(now_ms)) {
                Some(Due::Ping(ping)) => port.send(link, ping),
                Some(Due::Gone) => port.end(link, Reason::Silent, 0),
                None => {}
            }
            port.links.watch(link);
        }
        let answers = self.desk.tick(port);
        self.answer(answers, port);
        if epoch > self.epoch {
            self.epoch = epoch;
            self.market.epoch_began(&self.desk, port);
        }
        self.market.tick(&mut self.desk, port);
        if let Some(turn) = self.rounds.turn(now_ms) {
            if let Some(heads) = &turn.heads {
                let open: Vec<Link> = port.links.open().collect();
                open.into_iter().for_each(|link| port.send(link, Heads { heads: heads.clone() }));
            }
            self.market.draw(&turn, &mut self.desk, port);
        }
        if self.market.wants_draws() {
            self.rounds.wake(now_ms, port.me.config.round_ms);
        }
        self.finish_drain(port);
    }

    /// The relay goes down: everybody hears of it, what is leased is waited for, what waits is given back.
    fn drain(&mut self, port: &mut Port<'_, '_>) {
        if self.drain_ms.is_some() {
            return;
        }
        self.drain_ms = Some(port.now_ms().saturating_add(port.me.config.drain_ms));
        let goodbye = Goodbye { reason: Reason::Draining as u16, retry_after_ms: 0 };
        let open: Vec<Link> = port.links.open().collect();
        open.into_iter().for_each(|link| port.send(link, goodbye.clone()));
        self.market.drain(&mut self.desk, port);
    }

    fn finish_drain(&mut self, port: &mut Port<'_, '_>) {
        let Some(drain_ms) = self.drain_ms.filter(|_| !self.is_drained) else { return };
        if drain_ms <= port.now_ms() {
            self.drain_ms = Some(u64::MAX);
            self.market.stop(&mut self.desk, port);
        }
        // Settling goes on until the store has answered; only then nothing is lost by stopping.
        self.is_drained = self.market.is_settled();
        if self.is_drained {
            port.event(Event::Drained);
            let open: Vec<Link> = port.links.open().collect();
            open.into_iter().for_each(|link| port.out.push(Output::Close { link }));
        }
    }
}

/// Leases of two runs have different numbers.
fn first_lease(secret: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *Id::hash("edgenet/lease-number/v1", &[secret]).as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 1
}

/// When to propose again what was not certified or stored.
const RETRY_MS: u64 = 1_000;
/// A refusal without its text.
const REFUSED_BYTES: usize = 48;
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Relay>();
    is_send::<Arc<()>>();
};
