//! How relays speak to each other: what they say, and who carries it.
//!
//! ```text
//! relay: Output::Publish, Output::Tell -> shell: Bus -> other shell -> other relay: Input::Bus
//! ```
//! The machine knows no bus: shells join relays by one. [`Hub`] is the one in memory, for simulations and for relays in one
//! process. Messages lie in bytes as those of edges do: version, kind, flags, length, postcard.
//!
//! | message | what for |
//! |---|---|
//! | [`Message::Propose`] -> [`Message::VoteIs`] or [`Message::Refused`] | a value to be certified |
//! | [`Message::Records`] | certified values and proofs, one bundle a step |
//! | [`Message::Capacity`] | how many slots are free, every few seconds |

mod memory;

use identity::AccountId;
use ledger::Id;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::wire::{HEADER_BYTES, MAX_DATA_BYTES, Propose, Records, VERSION, VoteIs, WireError, fields};

pub use memory::{Hub, Memory};

/// What a relay says to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Vote for this.
    Propose(Propose),
    /// A vote.
    VoteIs(VoteIs),
    /// No vote.
    Refused(NoVote),
    /// Certified values and proofs.
    Records(Records),
    /// How much there is to do, and who could.
    Capacity(Capacity),
}

/// Why a witness does not vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoVote {
    /// For what.
    #[serde(with = "fields::id")]
    pub value: Id,
    /// The code of the ledger's rule.
    pub rule: String,
    /// The decision that it voted for, where locks were to run out ([`ledger::resolve::SignedResolve`]).
    pub decided: Option<Vec<u8>>,
}

/// What a relay has to give away, or to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Workers with a standing claim.
    pub workers: u32,
    /// Their free slots.
    pub free_slots: u32,
    /// Tasks that wait or run.
    pub open_tasks: u32,
}

impl Message {
    /// The frame.
    ///
    /// # Errors
    /// [`WireError::Many`], [`WireError::Bus`]: more than a message may hold.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        if let Message::Records(records) = self
            && records.records.len() > Records::MOST
        {
            let (found, most) = (records.records.len(), Records::MOST);
            return Err(WireError::Many { kind: crate::wire::Kind::Records, what: "records", found, most });
        }
        let (code, body) = match self {
            Message::Propose(m) => (PROPOSE, body(m)),
            Message::VoteIs(m) => (VOTE_IS, body(m)),
            Message::Refused(m) => (REFUSED, body(m)),
            Message::Records(m) => (RECORDS, body(m)),
            Message::Capacity(m) => (CAPACITY, body(m)),
        };
        let body = body.ok_or(WireError::Bus(code))?;
        if body.len() + HEADER_BYTES > MAX_DATA_BYTES {
            return Err(WireError::Bus(code));
        }
        let mut frame = vec![VERSION, code, 0, 0];
        frame.extend((body.len() as u32).to_le_bytes());
        frame.extend(body);
        Ok(frame)
    }

    /// Reads a frame, whole and nothing but.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(frame: &[u8]) -> Result<Message, WireError> {
        let short = WireError::Short { found: frame.len(), wanted: HEADER_BYTES };
        let (head, body) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
        let [version, code, flags_low, flags_high, a, b, c, d] = *head;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        match u16::from_le_bytes([flags_low, flags_high]) {
            0 => {}
            flags => return Err(WireError::Flags(flags)),
        }
        let wanted = u32::from_le_bytes([a, b, c, d]) as usize;
        if wanted != body.len() || frame.len() > MAX_DATA_BYTES {
            return Err(WireError::Bus(code));
        }
        let message = match code {
            PROPOSE => read(body).map(Message::Propose),
            VOTE_IS => read(body).map(Message::VoteIs),
            REFUSED => read(body).map(Message::Refused),
            RECORDS => read(body).map(Message::Records),
            CAPACITY => read(body).map(Message::Capacity),
            _ => return Err(WireError::Kind(code)),
        };
        message.ok_or(WireError::Bus(code))
    }
}

/// What is said under a topic goes to all who subscribed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// What it is about.
    pub kind: TopicKind,
    /// Which part of it, by a hash.
    pub shard: u8,
}

/// What a topic is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKind {
    /// Values to vote on, records, rounds: every witness hears it.
    Ledger,
    /// Capacity digests.
    Capacity,
}

impl Topic {
    /// The topic that a message is published under.
    pub fn of(message: &Message) -> Topic {
        let kind = match message {
            Message::Capacity(_) => TopicKind::Capacity,
            _ => TopicKind::Ledger,
        };
        Topic { kind, shard: 0 }
    }

    /// Its name where topics have names: `edge/v1/<kind>/<shard>`.
    pub fn name(&self) -> String {
        let kind = match self.kind {
            TopicKind::Ledger => "ledger",
            TopicKind::Capacity => "capacity",
        };
        format!("edge/v1/{kind}/{}", self.shard)
    }
}

/// Something that came over the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// From whom, as the bus vouches.
    pub from: AccountId,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Carries frames between relays: it knows who sent them, may lose them and may turn their order.
pub trait Bus {
    /// Sends a frame to all who subscribed to a topic, but to oneself.
    fn publish(&mut self, topic: Topic, frame: Vec<u8>);

    /// Hears of a topic from here on.
    fn subscribe(&mut self, topic: Topic);

    /// Sends a frame to one relay. Its answer comes as a delivery like any other.
    fn request(&mut self, to: AccountId, frame: Vec<u8>);

    /// The other relays that can be reached.
    fn peers(&self) -> Vec<AccountId>;

    /// What came, oldest first.
    fn next(&mut self) -> Option<Delivery>;
}

fn body<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    postcard::to_allocvec(value).ok()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(value)
}

const REFUSED: u8 = 0x08;
const PROPOSE: u8 = 0x12;
const VOTE_IS: u8 = 0x13;
const RECORDS: u8 = 0x14;
const CAPACITY: u8 = 0x40;

#[cfg(test)]
mod tests;
