//! The relay's end of a connection.

use std::{collections::VecDeque, sync::Arc};

use identity::{AccountId, PrekeyError, SecretKey, SignedPrekey};
use ledger::Id;

use super::{GRANT_BYTES, OPENING_MS, PING_MS, SILENT_PINGS};
use crate::{
    limits::{Amplification, Block},
    node::Context,
    reason::Reason,
    wire::{
        Auth, Challenge, Grant, HEADER_BYTES, Hello, Ping, Roles, VERSION, auth_message, challenge_message,
    },
};

/// An encoded frame, shared by all to whom it goes.
pub type Encoded = Arc<Vec<u8>>;

/// One connection.
#[derive(Debug)]
pub struct Session {
    block: Block,
    phase: Phase,
    heard_ms: u64,
    /// Pings that were not answered.
    asked: u64,
    door: Amplification,
    /// Data bytes that the edge may still send.
    open_bytes: u64,
    /// Data bytes that came and were not granted again.
    owed_bytes: u32,
    /// Data bytes that may be sent.
    credit_bytes: u64,
    waiting: VecDeque<Encoded>,
    waiting_bytes: usize,
}

#[derive(Debug)]
enum Phase {
    Fresh,
    Challenged(Box<(Hello, Challenge)>),
    Open(Box<Edge>),
}

/// Who is at the other end, as it proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Its account.
    pub account: AccountId,
    /// What it wants to be.
    pub roles: Roles,
    /// The key that payloads are sealed to, of a worker.
    pub prekey: Option<SignedPrekey>,
    /// Name and version of the program.
    pub agent: String,
}

/// What time asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask whether it is there.
    Ping(Ping),
    /// It is gone.
    Gone,
}

impl Session {
    /// A connection that was accepted from this address block.
    pub fn new(block: Block, now_ms: u64) -> Self {
        Session {
            block,
            phase: Phase::Fresh,
            heard_ms: now_ms,
            asked: 0,
            door: Amplification::default(),
            open_bytes: GRANT_BYTES.into(),
            owed_bytes: 0,
            credit_bytes: GRANT_BYTES.into(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Where it comes from.
    pub fn block(&self) -> Block {
        self.block
    }

    /// Who proved to be at the other end.
    pub fn edge(&self) -> Option<&Edge> {
        match &self.phase {
            Phase::Open(edge) => Some(edge),
            Phase::Fresh | Phase::Challenged(_) => None,
        }
    }

    /// Bytes came. An opening that was begun gets no more time by that.
    pub fn heard(&mut self, bytes: usize, now_ms: u64) {
        self.door.heard(bytes as u64);
        if self.edge().is_some() {
            (self.heard_ms, self.asked) = (now_ms, 0);
        }
    }

    /// An edge says hello; the relay proves who it is.
    ///
    /// # Errors
    /// [`Reason::MessageUnexpected`], [`Reason::VersionUnknown`], [`Reason::KeyWeak`].
    pub fn hello(
        &mut self,
        hello: Hello,
        key: &SecretKey,
        network: &Id,
        context: &mut Context<'_>,
    ) -> Result<Challenge, Reason> {
        if !matches!(self.phase, Phase::Fresh) {
            return Err(Reason::MessageUnexpected);
        }
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            return Err(Reason::VersionUnknown);
        }
        hello.account.public_key().map_err(|_| Reason::KeyWeak)?;
        let mut nonce = [0; 32];
        (context.random)(&mut nonce);
        let mut challenge = Challenge {
            version: VERSION,
            relay: key.account(),
            network: *network,
            epoch: context.now.epoch,
            nonce,
            signature: identity::Signature::from_bytes([0; 64]),
        };
        challenge.signature = key.sign(challenge_message(&hello, &challenge).as_bytes());
        self.phase = Phase::Challenged(Box::new((hello, challenge.clone())));
        Ok(challenge)
    }

    /// Checks the edge's proof, without opening the session.
    ///
    /// # Errors
    /// [`Reason::MessageUnexpected`], [`Reason::KeyWeak`], [`Reason::NotProved`]; [`Reason::PrekeyInvalid`] of a worker
    /// without a prekey of its own that is good in this epoch.
    pub fn check(&self, auth: &Auth, epoch: u64) -> Result<Edge, Reason> {
        let Phase::Challenged(said) = &self.phase else { return Err(Reason::MessageUnexpected) };
        let (hello, challenge) = &**said;
        let key = hello.account.public_key().map_err(|_| Reason::KeyWeak)?;
        let message = auth_message(hello, challenge);
        key.verify(message.as_bytes(), &auth.signature).map_err(|_| Reason::NotProved)?;
        let prekey = auth.prekey.as_deref().map(|bytes| prekey(bytes, &hello.account, epoch)).transpose()?;
        if hello.roles.has(Roles::WORKER) && prekey.is_none() {
            return Err(Reason::PrekeyInvalid);
        }
        Ok(Edge { account: hello.account, roles: hello.roles, prekey, agent: hello.agent.clone() })
    }

    /// Opens it for whoever [`Session::check`] found.
    pub fn open(&mut self, edge: Edge, now_ms: u64) {
        self.door.prove();
        (self.phase, self.heard_ms, self.asked) = (Phase::Open(Box::new(edge)), now_ms, 0);
    }

    /// Whether so many bytes may go to a peer that has proved nothing.
    pub fn may_answer(&mut self, bytes: usize) -> bool {
        self.door.send(bytes as u64).is_ok()
    }

    /// Data came. It is granted again when half of what may come has come.
    ///
    /// # Errors
    /// [`Reason::GrantExceeded`].
    pub fn take_data(&mut self, bytes: usize) -> Result<Option<Grant>, Reason> {
        self.open_bytes = self.open_bytes.checked_sub(bytes as u64).ok_or(Reason::GrantExceeded)?;
        self.owed_bytes += u32::try_from(bytes).map_err(|_| Reason::GrantExceeded)?;
        if self.owed_bytes < GRANT_BYTES / 2 {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.owed_bytes);
        self.open_bytes += u64::from(bytes);
        Ok(Some(Grant { bytes }))
    }

    /// The edge lets more data come. Gives what waited for that.
    pub fn granted(&mut self, grant: &Grant) -> Vec<Encoded> {
        self.credit_bytes = self.credit_bytes.saturating_add(grant.bytes.into()).min(MAX_CREDIT_BYTES);
        let mut ready = Vec::new();
        while let Some(frame) = self.waiting.front().filter(|frame| frame.len() as u64 <= self.credit_bytes) {
            self.credit_bytes -= frame.len() as u64;
            self.waiting_bytes -= frame.len();
            ready.extend(self.waiting.pop_front());
        }
        ready
    }

    /// A data frame for the edge: it comes back if it may go at once, and waits for a grant otherwise.
    ///
    /// # Errors
    /// [`Reason::Silent`]: [`MAX_WAITING_BYTES`] wait already, so the edge does not read.
    pub fn send_data(&mut self, frame: Encoded) -> Result<Option<Encoded>, Reason> {
        let bytes = frame.len();
        if self.waiting.is_empty() && bytes as u64 <= self.credit_bytes {
            self.credit_bytes -= bytes as u64;
            return Ok(Some(frame));
        }
        if self.waiting_bytes + bytes > MAX_WAITING_BYTES {
            return Err(Reason::Silent);
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(frame);
        Ok(None)
    }

    /// What is due, if [`Session::deadline_ms`] has come.
    pub fn tick(&mut self, now_ms: u64) -> Option<Due> {
        if now_ms < self.deadline_ms() {
            return None;
        }
        if self.edge().is_none() || self.asked + 1 == SILENT_PINGS {
            return Some(Due::Gone);
        }
        self.asked += 1;
        Some(Due::Ping(Ping { token: self.asked }))
    }

    /// When something is due if nothing is heard.
    pub fn deadline_ms(&self) -> u64 {
        match self.phase {
            Phase::Fresh | Phase::Challenged(_) => self.heard_ms.saturating_add(OPENING_MS),
            Phase::Open(_) => self.heard_ms.saturating_add(u64::from(PING_MS) * (self.asked + 1)),
        }
    }
}

fn prekey(bytes: &[u8], account: &AccountId, epoch: u64) -> Result<SignedPrekey, Reason> {
    let prekey = SignedPrekey::decode(bytes).map_err(|_| Reason::PrekeyInvalid)?;
    let good = prekey.verify(epoch).map_err(|_: PrekeyError| Reason::PrekeyInvalid);
    good.and(if prekey.account == *account { Ok(prekey) } else { Err(Reason::PrekeyInvalid) })
}

/// Most data bytes that wait for an edge to grant them.
pub const MAX_WAITING_BYTES: usize = 64 << 20;
/// Most credit that is believed.
const MAX_CREDIT_BYTES: u64 = 1 << 30;
const _: () =
    assert!(GRANT_BYTES as usize > crate::wire::MAX_DATA_BYTES + HEADER_BYTES, "a frame always fits");

#[cfg(test)]
mod tests {
    use identity::Prekeys;

    use super::*;
    use crate::node::Now;

    const NETWORK: Id = Id::from_bytes([9; 32]);
    const HOME: Block = Block::V4([192, 0, 2]);

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn hello(roles: Roles) -> Hello {
        let account = key(1).account();
        Hello { min_version: 1, max_version: 1, account, roles, nonce: [3; 32], agent: "test".into() }
    }

    fn challenged(session: &mut Session, hello: Hello) -> Result<Challenge, Reason> {
        let mut random = |bytes: &mut [u8]| bytes.fill(7);
        let mut context = Context { now: Now { ms: 0, epoch: 1_000 }, random: &mut random };
        session.hello(hello, &key(2), &NETWORK, &mut context)
    }

    fn auth(hello: &Hello, challenge: &Challenge, signer: u8) -> Auth {
        let signature = key(signer).sign(auth_message(hello, challenge).as_bytes());
        Auth { signature, prekey: None }
    }

    fn opened() -> Session {
        let mut session = Session::new(HOME, 0);
        let hello = hello(Roles::SUBMITTER);
        let challenge = challenged(&mut session, hello.clone()).expect("a challenge");
        let edge = session.check(&auth(&hello, &challenge, 1), 1_000).expect("proved");
        session.open(edge, 0);
        session
    }

    #[test]
    fn both_sides_prove_their_keys() {
        let mut session = Session::new(HOME, 0);
        let hello = hello(Roles::SUBMITTER);
        let challenge = challenged(&mut session, hello.clone()).expect("a challenge");
        let relay = key(2).public();
        assert!(relay.verify(challenge_message(&hello, &challenge).as_bytes(), &challenge.signature).is_ok());
        assert_eq!(session.check(&auth(&hello, &challenge, 5), 1_000), Err(Reason::NotProved));
        assert_eq!(challenged(&mut session, hello.clone()), Err(Reason::MessageUnexpected), "hello twice");
        let edge = session.check(&auth(&hello, &challenge, 1), 1_000).expect("proved");
        session.open(edge, 5);
        assert_eq!(session.edge().map(|edge| edge.account), Some(key(1).account()));
        assert_eq!(session.check(&auth(&hello, &challenge, 1), 1_000), Err(Reason::MessageUnexpected));
    }

    #[test]
    fn openings_that_are_refused() {
        let fresh = || Session::new(HOME, 0);
        let versions = Hello { min_version: 2, max_version: 9, ..hello(Roles::SUBMITTER) };
        assert_eq!(challenged(&mut fresh(), versions), Err(Reason::VersionUnknown));
        let weak = Hello { account: AccountId::from_bytes([0; 32]), ..hello(Roles::SUBMITTER) };
        assert_eq!(challenged(&mut fresh(), weak), Err(Reason::KeyWeak));
        let early = Auth { signature: key(1).sign(b"early"), prekey: None };
        assert_eq!(fresh().check(&early, 1_000), Err(Reason::MessageUnexpected));
    }

    #[test]
    fn a_worker_brings_a_prekey_of_its_own() {
        let mut session = Session::new(HOME, 0);
        let hello = hello(Roles::WORKER);
        let challenge = challenged(&mut session, hello.clone()).expect("a challenge");
        let mut random = |bytes: &mut [u8]| bytes.fill(5);
        let prekey = |owner: u8, random: &mut identity::Random<'_>| {
            let mut ring = Prekeys::new(key(owner).account());
            ring.rotate(&key(owner), 1_000, random).expect("a prekey");
            ring.current().expect("one").encode().to_vec()
        };
        let (own, others) = (prekey(1, &mut random), prekey(4, &mut random));
        let with = |prekey: Option<Vec<u8>>| Auth { prekey, ..auth(&hello, &challenge, 1) };
        let refused = Err(Reason::PrekeyInvalid);
        assert_eq!(session.check(&with(None), 1_000), refused);
        assert_eq!(session.check(&with(Some(vec![1, 2])), 1_000), refused);
        assert_eq!(session.check(&with(Some(others)), 1_000), refused);
        assert_eq!(session.check(&with(Some(own.clone())), 10_000), refused, "it ran out");
        assert!(session.check(&with(Some(own)), 1_000).is_ok());
    }

    #[test]
    fn who_is_silent_is_asked_twice_and_gone() {
        let mut session = opened();
        let ping = u64::from(PING_MS);
        assert_eq!(session.tick(ping - 1), None);
        assert_eq!(session.tick(ping), Some(Due::Ping(Ping { token: 1 })));
        session.heard(12, ping + 5);
        assert_eq!(session.tick(2 * ping), None);
        assert_eq!(session.tick(2 * ping + 5), Some(Due::Ping(Ping { token: 1 })));
        assert_eq!(session.tick(3 * ping + 5), Some(Due::Ping(Ping { token: 2 })));
        assert_eq!(session.tick(4 * ping + 5), Some(Due::Gone));
    }

    /// Bytes alone do not keep an opening open.
    #[test]
    fn an_opening_takes_no_longer_than_it_may() {
        let mut session = Session::new(HOME, 0);
        session.heard(100, OPENING_MS - 1);
        assert_eq!(session.tick(OPENING_MS - 1), None);
        assert_eq!(session.tick(OPENING_MS), Some(Due::Gone));
    }

    #[test]
    fn little_goes_to_a_peer_that_proved_nothing() {
        let mut session = Session::new(HOME, 0);
        session.heard(100, 0);
        assert!(session.may_answer(300) && !session.may_answer(1));
        assert!(opened().may_answer(1 << 20));
    }

    #[test]
    fn data_beyond_the_grant_ends_it() {
        let mut session = opened();
        let half = GRANT_BYTES as usize / 2;
        assert_eq!(session.take_data(half - 1), Ok(None));
        assert_eq!(session.take_data(1), Ok(Some(Grant { bytes: GRANT_BYTES / 2 })));
        assert_eq!(session.take_data(GRANT_BYTES as usize + 1), Err(Reason::GrantExceeded));
    }

    #[test]
    fn data_waits_for_grants_in_its_order_and_not_without_end() {
        let mut session = opened();
        let frame = |fill: u8| Arc::new(vec![fill; 1 << 20]);
        for n in 0..4 {
            assert_eq!(session.send_data(frame(n)), Ok(Some(frame(n))));
        }
        assert_eq!(session.send_data(frame(4)), Ok(None));
        assert_eq!(session.send_data(frame(5)), Ok(None));
        assert_eq!(session.granted(&Grant { bytes: (1 << 20) - 1 }), Vec::<Encoded>::new());
        assert_eq!(session.granted(&Grant { bytes: 1 }), [frame(4)]);
        for n in 1..MAX_WAITING_BYTES >> 20 {
            assert_eq!(session.send_data(frame(n as u8)), Ok(None));
        }
        assert_eq!(session.send_data(frame(9)), Err(Reason::Silent));
    }
}
