//! The door: what a frame costs before anything is done for it.
//!
//! Size, replay, buckets, then its bytes are read and its signatures checked, in this order; see [`crate::limits`].

use ledger::Id;

use super::port::Me;
use crate::{
    limits::{Admission, Code, Frame, FrameKind, Once, Peer, Refusal, UNITS_PER_TASK},
    node::{Link, Now},
    reason::Reason,
    session::{
        is_data,
        relay::{Edge, Session},
    },
    wire::{Kind, Message, header},
};

/// A frame that came in.
pub(super) struct Passed {
    pub(super) message: Message,
    /// The name of what it carries signed; zeros where it carries nothing signed.
    pub(super) id: Id,
    /// Who proved to be at the other end, by this frame.
    pub(super) edge: Option<Edge>,
}

/// Why a frame goes no further.
pub(super) enum Stop {
    /// The connection goes on.
    Refuse { reason: Reason, retry_after_ms: u64, detail: &'static str },
    /// It is over.
    End(Reason),
}

/// Lets a frame in, or says why not.
pub(super) fn pass(
    admission: &mut Admission,
    (link, session, peer): (Link, &Session, Option<Peer>),
    bytes: &[u8],
    me: &Me,
    now: Now,
) -> Result<Passed, Stop> {
    let Ok((kind, _)) = header(bytes) else { return Err(Stop::End(Reason::FrameInvalid)) };
    let frame = Frame {
        connection: link,
        block: session.block(),
        peer,
        kind: if is_data(kind) { FrameKind::Data } else { FrameKind::Control },
        bytes,
        once: once(kind),
        units: units(kind, bytes.len()),
        signatures: signatures(kind),
        fingerprint: None,
    };
    let mut read = Err(Stop::End(Reason::FrameInvalid));
    let admitted = admission.admit(&frame, now.ms, || {
        read = open(session, bytes, me, now);
        read.is_ok()
    });
    match admitted {
        Ok(()) => read,
        Err(Refusal { code: Code::BadSignature, .. }) => read,
        Err(Refusal { code, retry_after_ms }) => {
            let reason = match code {
                Code::Replayed => Reason::Replayed,
                Code::FrameSize => return Err(Stop::End(Reason::FrameInvalid)),
                _ => Reason::RateExceeded,
            };
            Err(Stop::Refuse { reason, retry_after_ms: retry_after_ms.unwrap_or(0), detail: code.name() })
        }
    }
}

/// Reads a frame and checks what it carries signed.
fn open(session: &Session, bytes: &[u8], me: &Me, now: Now) -> Result<Passed, Stop> {
    let message = Message::decode(bytes).map_err(|_| Stop::End(Reason::FrameInvalid))?;
    let network = me.network_id();
    let unsigned = |reason| Stop::Refuse { reason, retry_after_ms: 0, detail: "" };
    let (mut id, mut edge) = (Id::ZERO, None);
    match &message {
        Message::Auth(auth) => edge = Some(session.check(auth, now.epoch).map_err(Stop::End)?),
        Message::Submit(m) => {
            id = m.envelope.check(network).map_err(|_| unsigned(Reason::EnvelopeUnsigned))?;
        }
        Message::Offer(m) => {
            id = m.claim.check(network).map_err(|_| unsigned(Reason::ClaimUnsigned))?;
        }
        Message::Committed(m) => {
            id = m.batch.check(network).map_err(|_| unsigned(Reason::NotProved))?;
        }
        Message::Revealed(m) => {
            id = m.batch.check(network).map_err(|_| unsigned(Reason::NotProved))?;
        }
        _ => {}
    }
    Ok(Passed { message, id, edge })
}

/// What is sent twice on one connection was sent by mistake where it is signed; the rest repeats itself by nature. A task that
/// was refused for a moment comes again as it was.
fn once(kind: Kind) -> Once {
    match kind {
        Kind::Hello | Kind::Auth => Once::Anywhere,
        Kind::Offer | Kind::Committed | Kind::Revealed => Once::OnConnection,
        _ => Once::Never,
    }
}

/// What a frame costs, in cost units. A worker's part is small: it was asked for.
fn units(kind: Kind, bytes: usize) -> u64 {
    match kind {
        Kind::Submit => UNITS_PER_TASK,
        Kind::Propose => 100,
        Kind::AskAccount => 20,
        Kind::Offer => 50,
        Kind::Part => 1 + bytes as u64 / BYTES_PER_UNIT,
        Kind::Hello | Kind::Auth | Kind::Cancel => 10,
        Kind::Committed | Kind::Revealed => 5,
        _ => 1,
    }
}

/// Signatures that a frame of a kind has checked.
fn signatures(kind: Kind) -> u64 {
    match kind {
        Kind::Auth => 2,
        Kind::Hello | Kind::Submit | Kind::Offer | Kind::Propose | Kind::Committed | Kind::Revealed => 1,
        _ => 0,
    }
}

/// Data that costs one unit.
const BYTES_PER_UNIT: u64 = 64 * 1024;
