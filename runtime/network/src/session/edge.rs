//! The edge's end of a connection.

use std::collections::VecDeque;

use identity::{AccountId, SecretKey};
use ledger::Id;

use super::{GRANT_BYTES, OPENING_MS, SILENT_PINGS, is_data};
use crate::{
    draw::Head,
    node::{Context, Now},
    reason::Reason,
    wire::{
        Auth, Challenge, Goodbye, Grant, Hello, Message, Ping, Pong, Roles, VERSION, Welcome, auth_message,
        challenge_message,
    },
};

/// Who the edge is on its connections.
#[derive(Debug)]
pub struct Me {
    /// Its key.
    pub key: SecretKey,
    /// The network's id.
    pub network: Id,
    /// What it wants to be.
    pub roles: Roles,
    /// Name and version of the program.
    pub agent: String,
}

/// One connection to one relay.
#[derive(Debug)]
pub struct Session {
    relay: AccountId,
    phase: Phase,
    opened_ms: u64,
    heard_ms: u64,
    /// Epoch of the relay, and when it said so.
    told: (u64, u64),
    /// Data bytes that may be sent.
    credit: u64,
    /// Data bytes received and not granted again.
    owed: u32,
    /// Data frames that wait for credit, with their lengths.
    waiting: VecDeque<(Message, usize)>,
    waiting_bytes: usize,
}

#[derive(Debug)]
enum Phase {
    /// Hello is sent.
    Hello(Box<Hello>),
    /// Auth is sent.
    Auth,
    /// It stands.
    Open(Box<Opened>),
}

/// What the relay said when it let the edge in.
#[derive(Debug)]
struct Opened {
    ping_ms: u64,
    staked_ucredits: u64,
    /// The chains of its draws, the last it said first.
    heads: [Vec<Head>; 2],
    /// When the edge asked whether it is there.
    asked_ms: Option<u64>,
}

/// What came of a frame.
#[derive(Debug, PartialEq, Eq)]
// Most frames are messages.
#[allow(clippy::large_enum_variant)]
pub enum Heard {
    /// Nothing for the roles.
    Nothing,
    /// The relay let it in.
    Opened,
    /// A message for a role.
    Message(Message),
    /// The relay says goodbye.
    Ended {
        /// Why.
        reason: u16,
        /// Come back not before.
        retry_after_ms: u32,
    },
}

impl Session {
    /// Opens a connection that was made to this relay.
    pub fn open(me: &Me, relay: AccountId, context: &mut Context<'_>) -> (Self, Message) {
        let mut nonce = [0; 32];
        (context.random)(&mut nonce);
        let hello = Hello {
            min_version: VERSION,
            max_version: VERSION,
            account: me.key.account(),
            roles: me.roles,
            nonce,
            agent: me.agent.clone(),
        };
        let now_ms = context.now.ms;
        let session = Session {
            relay,
            phase: Phase::Hello(Box::new(hello.clone())),
            opened_ms: now_ms,
            heard_ms: now_ms,
            told: (context.now.epoch, now_ms),
            credit: 0,
            owed: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        };
        (session, hello.into())
    }

    /// Whether the relay let it in.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// The relay's epoch, as it was told and as time has gone since.
    pub fn epoch(&self, now: Now) -> u64 {
        let (epoch, at_ms) = self.told;
        epoch.saturating_add(now.ms.saturating_sub(at_ms) / EPOCH_MS)
    }

    /// The heads of the chains that the relay draws by, and those before: a draw may be of a round before the change.
    pub fn heads(&self) -> impl Iterator<Item = &[Head]> {
        let heads = match &self.phase {
            Phase::Open(opened) => opened.heads.as_slice(),
            Phase::Hello(_) | Phase::Auth => &[],
        };
        heads.iter().map(Vec::as_slice).filter(|heads| !heads.is_empty())
    }

    /// The base stake of this edge as the relay knew it when it opened, in micro-credits.
    pub fn staked_ucredits(&self) -> u64 {
        match &self.phase {
            Phase::Open(opened) => opened.staked_ucredits,
            Phase::Hello(_) | Phase::Auth => 0,
        }
    }

    /// Takes a frame. Answers go to `out`; `prekey` is the worker's, for the proof.
    ///
    /// # Errors
    /// Why the connection is over.
    pub fn receive(
        &mut self,
        me: &Me,
        prekey: Option<Vec<u8>>,
        now: Now,
        frame: &[u8],
        out: &mut Vec<Message>,
    ) -> Result<Heard, Reason> {
        let message = Message::decode(frame).map_err(|_| Reason::FrameInvalid)?;
        self.heard_ms = now.ms;
        if is_data(message.kind()) {
            self.spend(frame.len(), out)?;
        }
        match (message, &mut self.phase) {
            (Message::Goodbye(Goodbye { reason, retry_after_ms }), _) => {
                Ok(Heard::Ended { reason, retry_after_ms })
            }
            (Message::Challenge(challenge), Phase::Hello(hello)) => {
                let auth = prove(me, &self.relay, hello, &challenge, prekey)?;
                self.told = (challenge.epoch, now.ms);
                self.phase = Phase::Auth;
                out.push(auth.into());
                Ok(Heard::Nothing)
            }
            (Message::Welcome(welcome), Phase::Auth) => {
                self.let_in(welcome);
                Ok(Heard::Opened)
            }
            (Message::Refused(refused), Phase::Hello(_) | Phase::Auth) => {
                Ok(Heard::Ended { reason: refused.reason, retry_after_ms: refused.retry_after_ms })
            }
            (_, Phase::Hello(_) | Phase::Auth) => Err(Reason::MessageUnexpected),
            (Message::Heads(heads), Phase::Open(opened)) => {
                opened.heads.swap(0, 1);
                opened.heads[0] = heads.heads;
                Ok(Heard::Nothing)
            }
            (Message::Ping(ping), Phase::Open(_)) => {
                out.push(Pong { token: ping.token }.into());
                Ok(Heard::Nothing)
            }
            (Message::Pong(_), Phase::Open(_)) => Ok(Heard::Nothing),
            (Message::Grant(grant), Phase::Open(_)) => {
                self.credit = self.credit.saturating_add(u64::from(grant.bytes)).min(MAX_CREDIT_BYTES);
                self.flush(out);
                Ok(Heard::Nothing)
            }
            (message, Phase::Open(_)) => Ok(Heard::Message(message)),
        }
    }

    /// Sends a message, or keeps it until there is credit for it.
    ///
    /// # Errors
    /// [`Reason::RelayFull`]: [`MAX_WAITING_BYTES`] wait already, and the message is dropped. [`Reason::FrameInvalid`]: it
    /// is longer than its kind may be.
    pub fn send(&mut self, message: Message, out: &mut Vec<Message>) -> Result<(), Reason> {
        if !is_data(message.kind()) {
            out.push(message);
            return Ok(());
        }
        let bytes = message.encode().map_err(|_| Reason::FrameInvalid)?.len();
        if self.waiting_bytes + bytes > MAX_WAITING_BYTES {
            return Err(Reason::RelayFull);
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back((message, bytes));
        self.flush(out);
        Ok(())
    }

    /// Asks whether the other side is there, if nothing was heard of it for long.
    ///
    /// # Errors
    /// [`Reason::Silent`]: it is gone.
    pub fn check(&mut self, now: Now) -> Result<Option<Message>, Reason> {
        let Phase::Open(opened) = &mut self.phase else {
            let late = now.ms >= self.opened_ms.saturating_add(OPENING_MS);
            return if late { Err(Reason::Silent) } else { Ok(None) };
        };
        let unheard_ms = now.ms.saturating_sub(self.heard_ms);
        if unheard_ms >= opened.ping_ms * SILENT_PINGS {
            return Err(Reason::Silent);
        }
        let asked = opened.asked_ms.is_some_and(|asked_ms| asked_ms > self.heard_ms);
        // The relay asks first: who is heard of it has nothing to ask.
        if asked || unheard_ms < opened.ping_ms * 2 {
            return Ok(None);
        }
        opened.asked_ms = Some(now.ms);
        Ok(Some(Ping { token: now.ms }.into()))
    }

    /// When something is due if nothing is heard.
    pub fn deadline_ms(&self) -> u64 {
        match &self.phase {
            Phase::Hello(_) | Phase::Auth => self.opened_ms.saturating_add(OPENING_MS),
            Phase::Open(opened) => {
                let asked = opened.asked_ms.is_some_and(|asked_ms| asked_ms > self.heard_ms);
                let pings = if asked { SILENT_PINGS } else { 2 };
                self.heard_ms.saturating_add(opened.ping_ms * pings)
            }
        }
    }

    fn let_in(&mut self, welcome: Welcome) {
        let ping_ms = u64::from(welcome.ping_ms).clamp(LEAST_PING_MS, MOST_PING_MS);
        self.credit = u64::from(welcome.grant_bytes).min(MAX_CREDIT_BYTES);
        self.phase = Phase::Open(Box::new(Opened {
            ping_ms,
            staked_ucredits: welcome.staked_ucredits,
            heads: [welcome.heads, Vec::new()],
            asked_ms: None,
        }));
    }

    /// Data that came is granted again when half of the credit is used up.
    fn spend(&mut self, bytes: usize, out: &mut Vec<Message>) -> Result<(), Reason> {
        let owed = u32::try_from(bytes).ok().and_then(|bytes| self.owed.checked_add(bytes));
        self.owed = owed.filter(|owed| *owed <= GRANT_BYTES).ok_or(Reason::GrantExceeded)?;
        if self.owed >= GRANT_BYTES / 2 {
            out.push(Grant { bytes: self.owed }.into());
            self.owed = 0;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<Message>) {
        while let Some((_, bytes)) = self.waiting.front() {
            if *bytes as u64 > self.credit {
                return;
            }
            let Some((message, bytes)) = self.waiting.pop_front() else { return };
            self.credit -= bytes as u64;
            self.waiting_bytes -= bytes;
            out.push(message);
        }
    }
}

/// Checks the relay's proof and gives this edge's.
fn prove(
    me: &Me,
    relay: &AccountId,
    hello: &Hello,
    challenge: &Challenge,
    prekey: Option<Vec<u8>>,
) -> Result<Auth, Reason> {
    if challenge.version != VERSION {
        return Err(Reason::VersionUnknown);
    }
    if challenge.relay != *relay || challenge.network != me.network {
        return Err(Reason::NotProved);
    }
    let key = relay.public_key().map_err(|_| Reason::KeyWeak)?;
    let proved = key.verify(challenge_message(hello, challenge).as_bytes(), &challenge.signature);
    proved.map_err(|_| Reason::NotProved)?;
    let signature = me.key.sign(auth_message(hello, challenge).as_bytes());
    Ok(Auth { signature, prekey })
}

/// Most data bytes that wait for credit: a large payload, for a worker or two.
pub const MAX_WAITING_BYTES: usize = 160 << 20;
/// Most credit that is believed.
const MAX_CREDIT_BYTES: u64 = 1 << 30;
/// A relay that pings more often, or hardly ever, is taken at these.
const LEAST_PING_MS: u64 = 1_000;
const MOST_PING_MS: u64 = 120_000;
const EPOCH_MS: u64 = ledger::EPOCH_SECONDS * 1_000;

#[cfg(test)]
mod tests;
