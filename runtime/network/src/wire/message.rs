//! Every message by its kind, and those that open a connection, keep it, and carry the ledger.

use identity::{AccountId, Signature};
use ledger::{Id, MAX_WITNESSES};
use serde::{Deserialize, Serialize};

use super::{
    MAX_CONTROL_BYTES, MAX_DATA_BYTES, WireError, fields,
    work::{
        Accepted, Assigned, Cancel, Committed, HandBack, Heartbeat, Keys, Lease, Leased, Offer, Open, Part,
        Revealed, Settled, Submit,
    },
};
use crate::{capability::MAX_MODELS, draw::Head};

/// Declares the messages: name, stable code, most bytes of a frame.
macro_rules! messages {
    ($($name:ident = $code:literal, $most:expr;)*) => {
        /// One message.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = concat!("A [`", stringify!($name), "`].")] $name($name),)*
        }

        /// Which message, by a stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = concat!("A [`", stringify!($name), "`].")] $name = $code,)*
        }

        impl Kind {
            /// All of them, ascending.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];

            /// The kind of a code.
            pub fn from_code(code: u8) -> Option<Kind> {
                match code { $($code => Some(Kind::$name),)* _ => None }
            }

            /// Most bytes of its frame, header included.
            pub const fn most_bytes(self) -> usize {
                match self { $(Kind::$name => $most,)* }
            }
        }

        impl Message {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Message::$name(_) => Kind::$name,)* }
            }

            pub(super) fn write_body(&self, to: Vec<u8>) -> postcard::Result<Vec<u8>> {
                match self { $(Message::$name(body) => postcard::to_extend(body, to),)* }
            }

            pub(super) fn read_body(kind: Kind, body: &[u8]) -> postcard::Result<(Message, &[u8])> {
                match kind {
                    $(Kind::$name => postcard::take_from_bytes(body)
                        .map(|(body, rest)| (Message::$name(body), rest)),)*
                }
            }
        }

        $(impl From<$name> for Message {
            fn from(body: $name) -> Message {
                Message::$name(body)
            }
        })*
    };
}

messages! {
    Hello = 0x01, 512;
    Challenge = 0x02, 512;
    Auth = 0x03, 512;
    Welcome = 0x04, 8 * 1024;
    Heads = 0x05, 8 * 1024;
    Refused = 0x08, 512;
    Grant = 0x09, 64;
    Ping = 0x0a, 64;
    Pong = 0x0b, 64;
    Goodbye = 0x0c, 512;
    AskAccount = 0x10, 64;
    AccountIs = 0x11, MAX_DATA_BYTES;
    Propose = 0x12, MAX_CONTROL_BYTES;
    VoteIs = 0x13, 512;
    Records = 0x14, MAX_DATA_BYTES;
    Submit = 0x20, 4096;
    Accepted = 0x21, 512;
    Assigned = 0x22, 16 * 1024;
    Keys = 0x23, 4096;
    Part = 0x24, MAX_DATA_BYTES;
    Settled = 0x25, 512;
    Cancel = 0x26, 512;
    Offer = 0x30, 16 * 1024;
    Leased = 0x31, MAX_CONTROL_BYTES;
    Heartbeat = 0x32, 64;
    HandBack = 0x33, 4096;
    Committed = 0x34, 16 * 1024;
    Open = 0x35, 4096;
    Revealed = 0x36, 16 * 1024;
}

/// An edge opens a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions of the protocol it speaks, from.
    pub min_version: u8,
    /// To.
    pub max_version: u8,
    /// Who it is.
    #[serde(with = "fields::account")]
    pub account: AccountId,
    /// What it wants to be here.
    pub roles: Roles,
    /// Unpredictable bytes, for the relay's signature.
    pub nonce: [u8; 32],
    /// Name and version of the program, for people who read logs.
    pub agent: String,
}

/// What an edge is, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles(pub u8);

impl Roles {
    /// It submits tasks.
    pub const SUBMITTER: Roles = Roles(1);
    /// It works.
    pub const WORKER: Roles = Roles(2);

    /// Whether it is all of these.
    pub fn has(self, roles: Roles) -> bool {
        self.0 & roles.0 == roles.0
    }
}

/// The relay answers, with its own proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The version both will speak.
    pub version: u8,
    /// Who the relay is.
    #[serde(with = "fields::account")]
    pub relay: AccountId,
    /// Its network.
    #[serde(with = "fields::id")]
    pub network: Id,
    /// Its time.
    pub epoch: u64,
    /// Unpredictable bytes, for the edge's signature.
    pub nonce: [u8; 32],
    /// Over [`challenge_message`].
    #[serde(with = "fields::signature")]
    pub signature: Signature,
}

/// The edge proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// Over [`auth_message`].
    #[serde(with = "fields::signature")]
    pub signature: Signature,
    /// A worker's prekey ([`identity::SignedPrekey`]).
    pub prekey: Option<Vec<u8>>,
}

/// The relay lets it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Bytes of data frames that it may send before it is granted more.
    pub grant_bytes: u32,
    /// A ping comes this often.
    pub ping_ms: u32,
    /// Its base stake, in micro-credits, as the relay knows it.
    pub staked_ucredits: u64,
    /// The chains that this relay's draws go by, one a witness, ascending by account.
    #[serde(with = "fields::heads")]
    pub heads: Vec<Head>,
}

/// The chains of a relay's draws from a round on, in the place of those before. Said before that round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// One a witness, ascending by account.
    #[serde(with = "fields::heads")]
    pub heads: Vec<Head>,
}

/// Something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What: a task, an operation, a claim; zeros for the connection.
    #[serde(with = "fields::id")]
    pub about: Id,
    /// Why ([`crate::reason::Reason`]).
    pub reason: u16,
    /// Trying again earlier is useless.
    pub retry_after_ms: u32,
    /// For people.
    pub detail: String,
}

/// Bytes of data frames that the other side may send besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// How many.
    pub bytes: u32,
}

/// Are you there?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back.
    pub token: u64,
}

/// Yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's.
    pub token: u64,
}

/// The connection ends; what is leased is handed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why ([`crate::reason::Reason`]).
    pub reason: u16,
    /// Come back not before.
    pub retry_after_ms: u32,
}

/// How does an account stand?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskAccount {
    /// Which.
    #[serde(with = "fields::account")]
    pub account: AccountId,
}

/// How an account stands, as a witness says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountIs {
    /// When.
    pub epoch: u64,
    /// The account's leaf, empty if nothing ever concerned it.
    pub leaf: Vec<u8>,
    /// The witness's, over [`statement_message`].
    #[serde(with = "fields::signature")]
    pub signature: Signature,
}

/// A value for witnesses to vote on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propose {
    /// The value.
    pub proposal: Proposal,
}

/// What witnesses vote on, in the ledger's canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proposal {
    /// [`ledger::op::SignedOp`].
    Op(Vec<u8>),
    /// [`ledger::resolve::SignedResolve`].
    Resolve(Vec<u8>),
    /// [`ledger::Checkpoint`].
    Checkpoint(Vec<u8>),
    /// [`ledger::expiry::Expiry`].
    Expiry(Vec<u8>),
}

/// A witness's vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteIs {
    /// For what.
    #[serde(with = "fields::id")]
    pub value: Id,
    /// By whom.
    #[serde(with = "fields::account")]
    pub witness: AccountId,
    /// Its signature, as in a certificate.
    #[serde(with = "fields::signature")]
    pub signature: Signature,
}

/// Records of the ledger ([`ledger::Record`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Their bytes.
    #[serde(deserialize_with = "fields::few::<_, _, { Records::MOST }>")]
    pub records: Vec<Vec<u8>>,
}

impl Records {
    /// Most in one message.
    pub const MOST: usize = 1_024;
}

/// What the relay signs when a connection opens.
pub fn challenge_message(hello: &Hello, challenge: &Challenge) -> Id {
    transcript("edgenet/challenge/v1", hello, challenge)
}

/// What the edge signs when a connection opens. Bound to both nonces, both keys, the network and the version, so it is
/// worth nothing on another connection.
pub fn auth_message(hello: &Hello, challenge: &Challenge) -> Id {
    transcript("edgenet/auth/v1", hello, challenge)
}

fn transcript(domain: &str, hello: &Hello, challenge: &Challenge) -> Id {
    let versions = [hello.min_version, hello.max_version, challenge.version, hello.roles.0];
    let parts: [&[u8]; 6] = [
        challenge.network.as_bytes(),
        hello.account.as_bytes(),
        challenge.relay.as_bytes(),
        &hello.nonce,
        &challenge.nonce,
        &versions,
    ];
    Id::hash(domain, &parts)
}

/// What a witness signs of an account.
pub fn statement_message(network: &Id, account: &AccountId, epoch: u64, leaf: &[u8]) -> Id {
    Id::hash("edgenet/statement/v1", &[network.as_bytes(), account.as_bytes(), &epoch.to_le_bytes(), leaf])
}

impl Message {
    /// Lists and texts are no longer than they may be.
    pub(super) fn check(&self) -> Result<(), WireError> {
        let kind = self.kind();
        let at_most = |what: &'static str, found: usize, most: usize| {
            if found <= most { Ok(()) } else { Err(WireError::Many { kind, what, found, most }) }
        };
        match self {
            Message::Hello(m) => at_most("agent", m.agent.len(), 64),
            Message::Auth(m) => at_most("prekey", m.prekey.as_ref().map_or(0, Vec::len), 256),
            Message::Welcome(m) => at_most("heads", m.heads.len(), MAX_WITNESSES),
            Message::Heads(m) => at_most("heads", m.heads.len(), MAX_WITNESSES),
            Message::Refused(m) => at_most("detail", m.detail.len(), 200),
            Message::Records(m) => at_most("records", m.records.len(), Records::MOST),
            Message::Submit(m) => at_most("avoid", m.avoid.len(), 64),
            Message::Assigned(m) => {
                at_most("reveals", m.reveals.len(), MAX_WITNESSES)?;
                at_most("workers", m.workers.len(), 16)
            }
            Message::Keys(m) => at_most("keys", m.keys.len(), 16),
            Message::Part(m) => at_most("bytes", m.bytes.len(), Part::MAX_BYTES),
            Message::Settled(m) => at_most("agreed", m.agreed.len(), 16),
            Message::Offer(m) => {
                at_most("stakes", m.claim.value.stakes.len(), 64)?;
                at_most("groups", m.claim.value.groups.len(), 16)?;
                at_most("prekey", m.prekey.as_ref().map_or(0, Vec::len), 256)?;
                at_most("models", m.claim.value.capability.models.len(), MAX_MODELS)
            }
            Message::Leased(m) => {
                at_most("tasks", m.lease.value.tasks.len(), Lease::MAX_TASKS)?;
                at_most("envelopes", m.envelopes.len(), Lease::MAX_TASKS)
            }
            Message::HandBack(m) => at_most("tasks", m.tasks.len(), Lease::MAX_TASKS),
            Message::Committed(m) => at_most("commits", m.batch.value.commits.len(), Lease::MAX_TASKS),
            Message::Open(m) => at_most("tasks", m.tasks.len(), Lease::MAX_TASKS),
            Message::Revealed(m) => at_most("reveals", m.batch.value.reveals.len(), Lease::MAX_TASKS),
            Message::Challenge(_)
            | Message::Grant(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Goodbye(_)
            | Message::AskAccount(_)
            | Message::AccountIs(_)
            | Message::Propose(_)
            | Message::VoteIs(_)
            | Message::Accepted(_)
            | Message::Heartbeat(_)
            | Message::Cancel(_) => Ok(()),
        }
    }
}
