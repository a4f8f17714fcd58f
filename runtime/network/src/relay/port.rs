//! The relay's connections, and the way of everything that leaves it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use identity::{AccountId, SecretKey};
use ledger::{
    Id, Network,
    exposure::{BASE_STAKE_UCREDITS, Standing},
    store::Batch,
};

use super::{
    desk::Durable,
    io::{Config, Event, Output},
};
use crate::{
    limits::{Peer, Tier},
    node::{Context, Link, Save},
    reason::Reason,
    session::{
        is_data,
        relay::{Encoded, Session},
    },
    wire::{Goodbye, Message, Refused, Roles},
};

/// Who the relay is.
#[derive(Debug)]
pub(super) struct Me {
    pub(super) config: Config,
    pub(super) key: SecretKey,
    pub(super) account: AccountId,
    pub(super) network: Arc<Network>,
}

impl Me {
    pub(super) fn network_id(&self) -> &Id {
        self.network.id()
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Links {
    sessions: BTreeMap<Link, Session>,
    of_account: BTreeMap<AccountId, Link>,
    peers: BTreeMap<Link, Peer>,
    /// When each session has to be looked at, earliest first; late entries are looked at and put right.
    due: BTreeSet<(u64, Link)>,
    /// Accounts that nobody speaks for any more, since they were last asked for.
    gone: Vec<AccountId>,
}

impl Links {
    pub(super) fn insert(&mut self, link: Link, session: Session) {
        self.due.insert((session.deadline_ms(), link));
        self.sessions.insert(link, session);
    }

    /// Takes a connection away. Gives whether it was there.
    pub(super) fn remove(&mut self, link: Link) -> bool {
        let Some(session) = self.sessions.remove(&link) else { return false };
        self.peers.remove(&link);
        if let Some(account) = session.edge().map(|edge| edge.account)
            && self.of_account.get(&account) == Some(&link)
        {
            self.of_account.remove(&account);
            self.gone.push(account);
        }
        true
    }

    /// Accounts that lost their connection since the last call.
    pub(super) fn take_gone(&mut self) -> Vec<AccountId> {
        let gone = std::mem::take(&mut self.gone);
        gone.into_iter().filter(|account| !self.of_account.contains_key(account)).collect()
    }

    pub(super) fn get(&self, link: Link) -> Option<&Session> {
        self.sessions.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: Link) -> Option<&mut Session> {
        self.sessions.get_mut(&link)
    }

    pub(super) fn peer(&self, link: Link) -> Option<Peer> {
        self.peers.get(&link).copied()
    }

    pub(super) fn of(&self, account: &AccountId) -> Option<Link> {
        self.of_account.get(account).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Connections whose edges proved who they are.
    pub(super) fn open(&self) -> impl Iterator<Item = Link> + '_ {
        self.of_account.values().copied()
    }

    /// The account speaks through this connection from here on. Gives the one before.
    pub(super) fn speaks(&mut self, account: AccountId, link: Link, peer: Peer) -> Option<Link> {
        self.peers.insert(link, peer);
        self.of_account.insert(account, link)
    }

    /// The next connection that has to be looked at.
    pub(super) fn next_due(&mut self, now_ms: u64) -> Option<Link> {
        let &(at_ms, link) = self.due.first().filter(|(at_ms, _)| *at_ms <= now_ms)?;
        self.due.remove(&(at_ms, link));
        Some(link)
    }

    /// Puts a connection back among those that have to be looked at.
    pub(super) fn watch(&mut self, link: Link) {
        if let Some(session) = self.sessions.get(&link) {
            self.due.insert((session.deadline_ms(), link));
        }
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }
}

/// Whose traffic an account's is.
pub(super) fn peer(config: &Config, account: AccountId, roles: Roles, staked_ucredits: u64) -> Peer {
    let tier = match staked_ucredits {
        _ if config.gateways.contains(&account) => Tier::Gateway,
        BASE_STAKE_UCREDITS.. => Tier::Staked,
        _ => Tier::Unstaked,
    };
    // Probation is for workers: who only submits has nothing to prove.
    let works = roles.has(Roles::WORKER);
    let standing = if works { Standing::of(staked_ucredits) } else { Standing::Established };
    Peer { account, tier, standing }
}

/// What is done when something is durable.
#[derive(Debug)]
pub(super) enum Then {
    /// A vote of this witness may leave, or a certified value counts.
    Ballot(Durable),
    /// A task may be accepted.
    Accept(Id),
    /// Nothing waits for it.
    Nothing,
}

/// What waits for the store.
#[derive(Debug, Default)]
pub(super) struct Saves {
    last_ticket: u64,
    waiting: BTreeMap<u64, Then>,
}

impl Saves {
    pub(super) fn take(&mut self, ticket: u64) -> Option<Then> {
        self.waiting.remove(&ticket)
    }
}

/// Everything a step of any part of the relay may touch besides that part.
pub(super) struct Port<'a, 'c> {
    pub(super) me: &'a Me,
    pub(super) links: &'a mut Links,
    pub(super) saves: &'a mut Saves,
    pub(super) context: &'a mut Context<'c>,
    pub(super) out: &'a mut Vec<Output>,
}

impl Port<'_, '_> {
    pub(super) fn now_ms(&self) -> u64 {
        self.context.now.ms
    }

    pub(super) fn epoch(&self) -> u64 {
        self.context.now.epoch
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.context.random)(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Sends a message. Data waits until the edge lets it come.
    pub(super) fn send(&mut self, link: Link, message: impl Into<Message>) {
        let message = message.into();
        if !is_data(message.kind()) {
            return self.out.push(Output::Send { link, message });
        }
        match message.encode() {
            Ok(frame) => self.forward(link, Arc::new(frame)),
            Err(_) => self.refuse(link, Id::ZERO, Reason::TermsExceeded, 0, "longer than a frame"),
        }
    }

    /// Sends an encoded data frame, or keeps it until the edge lets it come.
    pub(super) fn forward(&mut self, link: Link, frame: Encoded) {
        let Some(session) = self.links.get_mut(link) else { return };
        match session.send_data(frame) {
            Ok(Some(frame)) => self.out.push(Output::Forward { link, frame }),
            Ok(None) => {}
            Err(reason) => self.end(link, reason, 0),
        }
    }

    /// Sends a message to whoever speaks for an account. Gives whether anybody does.
    pub(super) fn tell(&mut self, account: &AccountId, message: impl Into<Message>) -> bool {
        let link = self.links.of(account);
        if let Some(link) = link {
            self.send(link, message);
        }
        link.is_some()
    }

    /// Sends encoded frames to whoever speaks for an account.
    pub(super) fn tell_frames<'f>(
        &mut self,
        account: &AccountId,
        frames: impl IntoIterator<Item = &'f Encoded>,
    ) {
        if let Some(link) = self.links.of(account) {
            frames.into_iter().for_each(|frame| self.forward(link, frame.clone()));
        }
    }

    /// Says why something was not done.
    pub(super) fn refuse(
        &mut self,
        link: Link,
        about: Id,
        reason: Reason,
        retry_after_ms: u64,
        detail: &str,
    ) {
        let retry_after_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX);
        let detail = detail.to_owned();
        let refused = Refused { about, reason: reason as u16, retry_after_ms, detail: detail.clone() };
        self.out.push(Output::Send { link, message: refused.into() });
        self.event(Event::Refused { link, about, reason, detail });
    }

    /// Ends a connection. The shell's [`super::Input::Closed`] need not follow.
    pub(super) fn end(&mut self, link: Link, reason: Reason, retry_after_ms: u32) {
        let goodbye = Goodbye { reason: reason as u16, retry_after_ms };
        self.out.push(Output::Send { link, message: goodbye.into() });
        self.out.push(Output::Close { link });
        self.event(Event::Ended { link, reason: Some(reason) });
        self.links.remove(link);
    }

    pub(super) fn save(&mut self, batch: Batch, then: Then) {
        self.saves.last_ticket += 1;
        let ticket = self.saves.last_ticket;
        self.saves.waiting.insert(ticket, then);
        self.out.push(Output::Save(Save { ticket, batch }));
    }

    pub(super) fn event(&mut self, event: Event) {
        self.out.push(Output::Event(event));
    }
}
