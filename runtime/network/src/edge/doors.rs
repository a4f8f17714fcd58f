//! The relays of an edge, and its connections to them.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;

use super::MAX_RELAYS;
use crate::{
    draw::{Beacon, Head, Reveals},
    node::{Context, Link, Now},
    reason::Reason,
    session::edge::{Me, Session},
    wire::{Assigned, Message},
};

/// One door a relay, in the order of preference.
#[derive(Debug)]
pub(crate) struct Doors(Vec<Door>);

#[derive(Debug)]
struct Door {
    relay: AccountId,
    session: Option<(Link, Session)>,
    /// The shell was asked to connect, and has so long.
    dialing_until_ms: Option<u64>,
    /// Attempts since a connection stood for long.
    attempts: u32,
    opened_ms: Option<u64>,
    /// The relay asked to be left alone for so long.
    retry_after_ms: u64,
    /// Beacons that were checked, by their rounds.
    beacons: BTreeMap<u64, Beacon>,
}

impl Doors {
    /// Doors to these relays; `None` if they are none, too many, or one is there twice.
    pub(crate) fn new(relays: &[AccountId]) -> Option<Self> {
        let distinct = relays.iter().collect::<BTreeSet<_>>().len() == relays.len();
        let door = |relay: &AccountId| Door {
            relay: *relay,
            session: None,
            dialing_until_ms: None,
            attempts: 0,
            opened_ms: None,
            retry_after_ms: 0,
            beacons: BTreeMap::new(),
        };
        let fits = distinct && (1..=MAX_RELAYS).contains(&relays.len());
        fits.then(|| Doors(relays.iter().map(door).collect()))
    }

    /// The relays that let the edge in.
    pub(crate) fn open(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.0.iter().filter(|door| door.is_open()).map(|door| door.relay)
    }

    /// The preferred one of them, and its epoch.
    pub(crate) fn first_open(&self, now: Now) -> Option<(AccountId, u64)> {
        let door = self.0.iter().find(|door| door.is_open())?;
        Some((door.relay, door.epoch(now)))
    }

    /// A relay's epoch; the machine's own where it has said none.
    pub(crate) fn epoch(&self, relay: &AccountId, now: Now) -> u64 {
        let door = self.0.iter().find(|door| door.relay == *relay);
        door.map_or(now.epoch, |door| door.epoch(now))
    }

    /// The epoch as some relay says, or the machine.
    pub(crate) fn any_epoch(&self, now: Now) -> u64 {
        self.first_open(now).map_or(now.epoch, |(_, epoch)| epoch)
    }

    /// The connection of a link, open or opening.
    pub(crate) fn session(&mut self, link: Link) -> Option<(AccountId, &mut Session)> {
        self.0.iter_mut().find_map(|door| match &mut door.session {
            Some((held, session)) if *held == link => Some((door.relay, session)),
            _ => None,
        })
    }

    /// The connection to a relay that let the edge in.
    pub(crate) fn open_session(&mut self, relay: &AccountId) -> Option<(Link, &mut Session)> {
        let door = self.0.iter_mut().find(|door| door.relay == *relay)?;
        door.session.as_mut().filter(|(_, session)| session.is_open()).map(|(link, session)| (*link, session))
    }

    /// All connections.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.0.iter().filter_map(|door| door.session.as_ref()).map(|(link, _)| *link).collect()
    }

    /// A connection was made. `None` if it is not wanted.
    pub(crate) fn connected(
        &mut self,
        me: &Me,
        context: &mut Context<'_>,
        link: Link,
        relay: AccountId,
    ) -> Option<Message> {
        let door = self.0.iter_mut().find(|door| door.relay == relay && door.session.is_none())?;
        let (session, hello) = Session::open(me, relay, context);
        door.session = Some((link, session));
        door.dialing_until_ms = None;
        Some(hello)
    }

    /// A connection could not be made.
    pub(crate) fn unreachable(&mut self, relay: &AccountId) {
        if let Some(door) = self.0.iter_mut().find(|door| door.relay == *relay) {
            door.dialing_until_ms = None;
        }
    }

    /// The relay let the edge in.
    pub(crate) fn opened(&mut self, relay: &AccountId, now: Now) {
        if let Some(door) = self.0.iter_mut().find(|door| door.relay == *relay) {
            door.opened_ms = Some(now.ms);
            door.beacons.clear();
        }
    }

    /// A connection is gone. Whose, and whether the edge was in.
    pub(crate) fn closed(&mut self, link: Link, retry_after_ms: u64) -> Option<(AccountId, bool)> {
        let of_link = |door: &&mut Door| door.session.as_ref().is_some_and(|(held, _)| *held == link);
        let door = self.0.iter_mut().find(of_link)?;
        let was_open = door.is_open();
        door.session = None;
        door.retry_after_ms = retry_after_ms;
        Some((door.relay, was_open))
    }

    /// What silence asks for on each connection: a ping, or the end.
    pub(crate) fn listen(&mut self, now: Now) -> Vec<(Link, Result<Message, Reason>)> {
        let sessions = self.0.iter_mut().filter_map(|door| door.session.as_mut());
        sessions.filter_map(|(link, session)| Some((*link, session.check(now).transpose()?))).collect()
    }

    /// Relays to connect to, and after how long: anything up to a bound that doubles from [`LEAST_MS`] to [`MOST_MS`] with every
    /// attempt ("full jitter"), and not before the relay wants it.
    pub(crate) fn dial(&mut self, context: &mut Context<'_>) -> Vec<(AccountId, u64)> {
        let now_ms = context.now.ms;
        let mut dials = Vec::new();
        for door in &mut self.0 {
            if door.session.is_some() || door.dialing_until_ms.is_some_and(|until_ms| now_ms < until_ms) {
                continue;
            }
            if door.opened_ms.take().is_some_and(|opened_ms| now_ms >= opened_ms + STEADY_MS) {
                door.attempts = 0;
            }
            let bound_ms = (LEAST_MS << door.attempts.min(6)).min(MOST_MS);
            let mut drawn = [0; 8];
            (context.random)(&mut drawn);
            let jitter_ms = u64::from_le_bytes(drawn) % (bound_ms + 1);
            let after_ms = std::mem::take(&mut door.retry_after_ms).saturating_add(jitter_ms);
            door.attempts = door.attempts.saturating_add(1);
            door.dialing_until_ms = Some(now_ms.saturating_add(after_ms).saturating_add(DIAL_MS));
            dials.push((door.relay, after_ms));
        }
        dials
    }

    /// When something is due.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        let due = |door: &Door| match &door.session {
            Some((_, session)) => session.deadline_ms(),
            None => door.dialing_until_ms.unwrap_or(0),
        };
        self.0.iter().map(due).min()
    }

    /// Whether a draw goes by what the relay's witnesses had committed to. Which of them were suspended an edge does not know,
    /// nor which claims stood: it checks that the reveals it is shown open their chains, and make the beacon.
    pub(crate) fn check_draw(&mut self, relay: &AccountId, assigned: &Assigned) -> Result<(), String> {
        let Some(door) = self.0.iter_mut().find(|door| door.relay == *relay) else { return Ok(()) };
        let beacon = Beacon(assigned.beacon);
        if door.beacons.get(&assigned.beacon_slot) == Some(&beacon) {
            return Ok(());
        }
        let Some((_, session)) = &door.session else { return Err("no connection".into()) };
        let reveals = Reveals { round: assigned.beacon_slot, values: assigned.reveals.clone() };
        let found = session.heads().find_map(|heads| check_reveals(&reveals, heads, beacon).ok());
        if found.is_none() {
            return Err(format!("the reveals of round {} do not make its beacon", assigned.beacon_slot));
        }
        if door.beacons.len() >= MAX_BEACONS {
            door.beacons.pop_first();
        }
        door.beacons.insert(assigned.beacon_slot, beacon);
        Ok(())
    }
}

impl Door {
    fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(|(_, session)| session.is_open())
    }

    fn epoch(&self, now: Now) -> u64 {
        self.session.as_ref().map_or(now.epoch, |(_, session)| session.epoch(now))
    }
}

fn check_reveals(reveals: &Reveals, heads: &[Head], beacon: Beacon) -> Result<(), ()> {
    let shown: BTreeSet<AccountId> = reveals.values.iter().map(|(witness, _)| *witness).collect();
    let absent = heads.iter().map(|head| head.witness).filter(|witness| !shown.contains(witness)).collect();
    match reveals.check(heads, &absent) {
        Ok(found) if found == beacon => Ok(()),
        _ => Err(()),
    }
}

/// The first reconnect comes within this time,
pub(super) const LEAST_MS: u64 = 1_000;
/// later ones within this.
pub(super) const MOST_MS: u64 = 60_000;
/// A connection that stood for so long was a good one.
const STEADY_MS: u64 = 60_000;
/// The shell has so long for a connection.
const DIAL_MS: u64 = 30_000;
/// Beacons that are remembered.
const MAX_BEACONS: usize = 256;
