//! What travels between nodes, and how it lies in bytes.
//!
//! ```text
//! version (u8) | kind (u8) | flags (u16) | length of the body (u32) | body (postcard)        little-endian
//! ```
//! A frame is one WebSocket message of subprotocol [`SUBPROTOCOL`]. Control frames hold at most [`MAX_CONTROL_BYTES`], data
//! frames at most [`MAX_DATA_BYTES`]: the length is looked at before anything is allocated or read. Flags are zero.
//!
//! | conversation | messages |
//! |---|---|
//! | opening | [`Hello`] -> [`Challenge`] -> [`Auth`] -> [`Welcome`] |
//! | keeping | [`Ping`], [`Pong`], [`Grant`], [`Heads`], [`Refused`], [`Goodbye`] |
//! | ledger | [`AskAccount`] -> [`AccountIs`]; [`Propose`] -> [`VoteIs`]; [`Records`] |
//! | work, submitter | [`Submit`] -> [`Accepted`] -> [`Assigned`] -> [`Keys`], [`Part`] ...; [`Settled`]; [`Cancel`] |
//! | work, worker | [`Offer`]; [`Leased`] -> [`Keys`], [`Part`]; [`Heartbeat`], [`HandBack`]; [`Committed`] -> [`Open`] -> [`Revealed`] |
//!
//! What somebody may have to prove to a third party is [`Signed`]: the task's [`Envelope`], the [`Claim`], the [`Lease`],
//! commits and reveals. The rest is vouched for by the connection, whose two ends proved their keys when it was opened.

pub(crate) mod fields;
mod message;
mod signed;
#[cfg(test)]
mod tests;
mod work;

use thiserror::Error;

#[cfg(test)]
pub(crate) use tests::samples as samples_for_test;

pub use message::{
    AccountIs, AskAccount, Auth, Challenge, Goodbye, Grant, Heads, Hello, Kind, Message, Ping, Pong,
    Proposal, Propose, Records, Refused, Roles, VoteIs, Welcome, auth_message, challenge_message,
    statement_message,
};
pub use signed::{NotSigned, Signable, Signed};
pub use work::{
    Accepted, Assigned, Assignee, Assurance, Cancel, Claim, Commit, CommitBatch, Committed, Envelope, Flow,
    HandBack, Heartbeat, Keys, Lease, Leased, LeasedTask, Offer, Open, Part, Priority, Reveal, RevealBatch,
    Revealed, Settled, Submit, Tier, Verify, WrappedFor, assignment_id,
};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "edge-net.v1";
/// The version this code speaks.
pub const VERSION: u8 = 1;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 8;
/// Most bytes of a control frame, header included.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// Most bytes of a data frame, header included.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Fewer bytes than a header has, or than the header announces.
    #[error("a frame of {found} bytes, {wanted} are announced")]
    Short {
        /// Bytes there.
        found: usize,
        /// Bytes there should be.
        wanted: usize,
    },
    /// More bytes than the header announces.
    #[error("{0} bytes after the frame")]
    Trailing(usize),
    /// Another version of the protocol.
    #[error("version {0}, this is version {VERSION}")]
    Version(u8),
    /// No such kind of message.
    #[error("no message has the kind {0}")]
    Kind(u8),
    /// Flags that mean nothing.
    #[error("flags {0:#06x} mean nothing")]
    Flags(u16),
    /// Longer than its kind may be.
    #[error("{kind:?} of {found} bytes, at most {most}")]
    Long {
        /// Which kind.
        kind: Kind,
        /// Bytes there or announced.
        found: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// The body is not what its kind says.
    #[error("{0:?}: the body does not parse")]
    Body(Kind),
    /// What one relay says to another is longer than it may be, or is not what its kind says.
    #[error("kind {0:#04x} between relays: the body is too long or does not parse")]
    Bus(u8),
    /// A list or text of the body is longer than it may be.
    #[error("{kind:?}: {what} of {found}, at most {most}")]
    Many {
        /// Which kind.
        kind: Kind,
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

impl Message {
    /// The frame.
    ///
    /// # Errors
    /// [`WireError::Long`] and [`WireError::Many`]: more than a frame of its kind may hold.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let kind = self.kind();
        self.check()?;
        let mut frame = vec![VERSION, kind as u8, 0, 0, 0, 0, 0, 0];
        frame = self.write_body(frame).map_err(|_| WireError::Body(kind))?;
        let (found, most) = (frame.len(), kind.most_bytes());
        if found > most {
            return Err(WireError::Long { kind, found, most });
        }
        let length = (found - HEADER_BYTES) as u32;
        frame[4..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        Ok(frame)
    }

    /// Reads a frame, whole and nothing but.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(frame: &[u8]) -> Result<Message, WireError> {
        let (kind, length) = header(frame)?;
        let body = &frame[HEADER_BYTES..];
        if body.len() < length {
            return Err(WireError::Short { found: frame.len(), wanted: HEADER_BYTES + length });
        }
        if body.len() > length {
            return Err(WireError::Trailing(body.len() - length));
        }
        let (message, rest) = Message::read_body(kind, body).map_err(|_| WireError::Body(kind))?;
        if !rest.is_empty() {
            return Err(WireError::Body(kind));
        }
        message.check()?;
        Ok(message)
    }
}

/// Kind and body length that a frame announces, from its first [`HEADER_BYTES`]: a stream that announces too much is
/// refused before it is read.
///
/// # Errors
/// What is wrong with it.
pub fn header(frame: &[u8]) -> Result<(Kind, usize), WireError> {
    let Some(&[version, kind, flags_low, flags_high, a, b, c, d]) = frame.first_chunk::<HEADER_BYTES>()
    else {
        return Err(WireError::Short { found: frame.len(), wanted: HEADER_BYTES });
    };
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    let kind = Kind::from_code(kind).ok_or(WireError::Kind(kind))?;
    let flags = u16::from_le_bytes([flags_low, flags_high]);
    if flags != 0 {
        return Err(WireError::Flags(flags));
    }
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let (found, most) = (length.saturating_add(HEADER_BYTES), kind.most_bytes());
    if found > most {
        return Err(WireError::Long { kind, found, most });
    }
    Ok((kind, length))
}
