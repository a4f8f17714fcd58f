//! The audit log: security events in a chain that can only grow.
//!
//! Every entry names the id of the one before it, so an entry that is changed, dropped, moved or put in between breaks
//! the chain at that place, and [`verify`] says where. Two things a chain alone cannot show: that its end was cut off,
//! and that its end (the last entry, or all from some entry on) was written anew, for nothing points back to the end.
//! Against a head that somebody kept elsewhere, [`verify_against`] shows both.
//!
//! Pure: where the entries lie, and which epoch it is, is the shell's affair. An event's epoch is its writer's word.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Most bytes in an event's detail.
pub const MAX_DETAIL_BYTES: usize = 256;
/// Most bytes of an encoded entry.
pub const MAX_ENTRY_BYTES: usize = FIXED_BYTES + MAX_DETAIL_BYTES;

/// What happened. Codes and names never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// Two operations of one owner for one place in its chain; the subject is the owner.
    ForkProof = 1,
    /// Two certificates for one place; the subject is the account.
    ConflictingCertificates = 2,
    /// Two decisions of a settlement authority for one lock; the subject is the authority.
    ConflictingDecisions = 3,
    /// Stake was burned; the subject is the worker.
    Slashed = 4,
    /// An account was frozen.
    AccountFrozen = 5,
    /// Something uncertified or badly certified was offered; the subject is who offered it.
    CertificateRefused = 6,
    /// More bad signatures than a peer may send; the subject is the peer.
    SignatureFlood = 7,
    /// More than a rate limit allows; the subject is the peer.
    RateLimited = 8,
    /// A key of low order or in another than the canonical form was offered.
    WeakKeyRefused = 9,
    /// An account changed its key; the subject is the account.
    KeyRotated = 10,
    /// A witness started over with another key after it lost its votes.
    WitnessRejoined = 11,
    /// The store did not read back what was written to it.
    StoreDamaged = 12,
    /// A store was read again from a copy.
    StoreRestored = 13,
    /// The key was written to a backup.
    BackupExported = 14,
    /// The key was read from a backup.
    BackupImported = 15,
    /// A worker's answer to a check was wrong; the subject is the worker.
    CheckFailed = 16,
    /// A module tried to leave its sandbox or its limits; the subject is the module's hash.
    ModuleRefused = 17,
    /// Settings that matter for security changed.
    SettingsChanged = 18,
}

impl EventKind {
    /// All kinds, by code.
    pub const ALL: [Self; 18] = [
        Self::ForkProof,
        Self::ConflictingCertificates,
        Self::ConflictingDecisions,
        Self::Slashed,
        Self::AccountFrozen,
        Self::CertificateRefused,
        Self::SignatureFlood,
        Self::RateLimited,
        Self::WeakKeyRefused,
        Self::KeyRotated,
        Self::WitnessRejoined,
        Self::StoreDamaged,
        Self::StoreRestored,
        Self::BackupExported,
        Self::BackupImported,
        Self::CheckFailed,
        Self::ModuleRefused,
        Self::SettingsChanged,
    ];

    /// The code in encoded entries.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name in output and filters.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForkProof => "fork-proof",
            Self::ConflictingCertificates => "conflicting-certificates",
            Self::ConflictingDecisions => "conflicting-decisions",
            Self::Slashed => "slashed",
            Self::AccountFrozen => "account-frozen",
            Self::CertificateRefused => "certificate-refused",
            Self::SignatureFlood => "signature-flood",
            Self::RateLimited => "rate-limited",
            Self::WeakKeyRefused => "weak-key-refused",
            Self::KeyRotated => "key-rotated",
            Self::WitnessRejoined => "witness-rejoined",
            Self::StoreDamaged => "store-damaged",
            Self::StoreRestored => "store-restored",
            Self::BackupExported => "backup-exported",
            Self::BackupImported => "backup-imported",
            Self::CheckFailed => "check-failed",
            Self::ModuleRefused => "module-refused",
            Self::SettingsChanged => "settings-changed",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A security event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    epoch: u64,
    kind: EventKind,
    subject: [u8; 32],
    detail: String,
}

impl Event {
    /// An event. The detail is a short line for people: at most [`MAX_DETAIL_BYTES`] bytes of UTF-8, and no characters
    /// that control a terminal, end a line or turn the direction of text, since parts of it come from peers.
    ///
    /// # Errors
    /// A detail that is too long or has control characters.
    pub fn new(epoch: u64, kind: EventKind, subject: [u8; 32], detail: &str) -> Result<Self, EntryError> {
        if detail.len() > MAX_DETAIL_BYTES {
            return Err(EntryError::DetailTooLong { found: detail.len() });
        }
        if let Some(position) = detail.find(controls) {
            return Err(EntryError::ControlCharacter { position });
        }
        Ok(Self { epoch, kind, subject, detail: detail.to_owned() })
    }

    /// When.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Whom or what it is about: an account, a key, a hash; zeros where there is none.
    pub fn subject(&self) -> &[u8; 32] {
        &self.subject
    }

    /// A line for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How many entries come before it.
    pub sequence: u64,
    /// The id of the entry before it; zeros in the first.
    pub previous: [u8; 32],
    /// What happened.
    pub event: Event,
}

/// Why bytes are no entry, or a text no detail.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EntryError {
    /// Fewer bytes than it says, or than any entry has.
    #[error("an entry of {found} bytes, must have {wanted}")]
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes that it should have.
        wanted: usize,
    },
    /// Another version of the encoding.
    #[error("entry of version {found}, this build reads version {VERSION}")]
    Version {
        /// The version in the first byte.
        found: u8,
    },
    /// A code that no kind has.
    #[error("no kind of event has the code {found}")]
    Kind {
        /// The code.
        found: u8,
    },
    /// A detail over the limit.
    #[error("a detail of {found} bytes, at most {MAX_DETAIL_BYTES}")]
    DetailTooLong {
        /// Bytes given.
        found: usize,
    },
    /// A detail that is no text.
    #[error("the detail is not UTF-8")]
    NotText,
    /// A detail that could look like something else to who reads it.
    #[error("control character at byte {position} of the detail")]
    ControlCharacter {
        /// Where.
        position: usize,
    },
}

impl Entry {
    /// The canonical bytes, numbers big-endian.
    ///
    /// ```text
    /// version 1 | sequence u64 | previous 32 | epoch u64 | kind u8 | subject 32 | length u16 | detail
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let event = &self.event;
        let mut bytes = Vec::with_capacity(FIXED_BYTES + event.detail.len());
        bytes.push(VERSION);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.previous);
        bytes.extend(event.epoch.to_be_bytes());
        bytes.push(event.kind.code());
        bytes.extend(event.subject);
        // At most MAX_DETAIL_BYTES, so it fits.
        bytes.extend((event.detail.len() as u16).to_be_bytes());
        bytes.extend(event.detail.as_bytes());
        bytes
    }

    /// Reads what [`Entry::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let short = EntryError::Length { found: bytes.len(), wanted: FIXED_BYTES };
        let mut rest = bytes;
        let [version] = take(&mut rest).ok_or(short)?;
        if version != VERSION {
            return Err(EntryError::Version { found: version });
        }
        let sequence = u64::from_be_bytes(take(&mut rest).ok_or(short)?);
        let previous = take(&mut rest).ok_or(short)?;
        let epoch = u64::from_be_bytes(take(&mut rest).ok_or(short)?);
        let [code] = take(&mut rest).ok_or(short)?;
        let subject = take(&mut rest).ok_or(short)?;
        let length = usize::from(u16::from_be_bytes(take(&mut rest).ok_or(short)?));
        let kind = EventKind::from_code(code).ok_or(EntryError::Kind { found: code })?;
        if length > MAX_DETAIL_BYTES {
            return Err(EntryError::DetailTooLong { found: length });
        }
        if rest.len() != length {
            return Err(EntryError::Length { found: bytes.len(), wanted: FIXED_BYTES + length });
        }
        let detail = str::from_utf8(rest).map_err(|_| EntryError::NotText)?;
        Ok(Self { sequence, previous, event: Event::new(epoch, kind, subject, detail)? })
    }

    /// SHA-256 of the domain `edgenet/audit/v1` and the canonical bytes.
    pub fn id(&self) -> [u8; 32] {
        Sha256::new().chain_update(DOMAIN).chain_update(self.encode()).finalize().into()
    }
}

/// Where a log ends. Whoever keeps one elsewhere can tell later whether the log was cut or rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// Entries in the log.
    pub entries: u64,
    /// The id of the last one; zeros in an empty log.
    pub id: [u8; 32],
}

/// Why a log is not what it should be. Entries are counted from 0.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AuditError {
    /// Not an entry.
    #[error("entry {at}: {error}")]
    Undecodable {
        /// Which entry.
        at: u64,
        /// What is wrong with it.
        error: EntryError,
    },
    /// Another entry's number: something was dropped, put in between or moved.
    #[error("entry {at} says that it is entry {found}")]
    Gap {
        /// Which entry.
        at: u64,
        /// The number it has.
        found: u64,
    },
    /// Not linked to the entry before it: one of the two is not what was written.
    #[error("entry {at} is not linked to the one before it")]
    Link {
        /// Which entry.
        at: u64,
    },
    /// The log ends before the known head.
    #[error("the log ends after {found} entries, and had {wanted}")]
    Truncated {
        /// Entries there.
        found: u64,
        /// Entries of the known head.
        wanted: u64,
    },
    /// The log is whole in itself and not the one the head was taken from.
    #[error("the first {entries} entries are not those that the known head was taken from")]
    Rewritten {
        /// Entries of the known head.
        entries: u64,
    },
    /// No number is left.
    #[error("the log is full")]
    Full,
}

/// A log that is being written: all it needs to remember is its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log(Head);

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log that goes on after a head, which [`verify`] gives for the entries in a store.
    pub fn resume(head: Head) -> Self {
        Self(head)
    }

    /// Where the log ends.
    pub fn head(&self) -> Head {
        self.0
    }

    /// The next entry. The caller writes it down; the log has gone on already.
    ///
    /// # Errors
    /// [`AuditError::Full`].
    pub fn append(&mut self, event: Event) -> Result<Entry, AuditError> {
        let entries = self.0.entries.checked_add(1).ok_or(AuditError::Full)?;
        let entry = Entry { sequence: self.0.entries, previous: self.0.id, event };
        self.0 = Head { entries, id: entry.id() };
        Ok(entry)
    }
}

/// Checks encoded entries from the first on and gives the log's head.
///
/// Finds what was changed, dropped, moved or put in between, as long as an old entry stands behind it. An end that was
/// cut off leaves a good log, and so does an end that was written anew, the last entry included: compare with a known
/// head, by [`verify_against`].
///
/// # Errors
/// The first entry that is not what it should be.
pub fn verify<B: AsRef<[u8]>>(entries: impl IntoIterator<Item = B>) -> Result<Head, AuditError> {
    walk(entries, |_| Ok(()))
}

/// Checks encoded entries, and that they are those of a known head or go on from them.
///
/// # Errors
/// As [`verify`]; [`AuditError::Truncated`] or [`AuditError::Rewritten`] where the known head is not on the way.
pub fn verify_against<B: AsRef<[u8]>>(
    known: &Head,
    entries: impl IntoIterator<Item = B>,
) -> Result<Head, AuditError> {
    let compare = |head: &Head| {
        let rewritten = head.entries == known.entries && head.id != known.id;
        if rewritten { Err(AuditError::Rewritten { entries: known.entries }) } else { Ok(()) }
    };
    let head = walk(entries, compare)?;
    if head.entries < known.entries {
        return Err(AuditError::Truncated { found: head.entries, wanted: known.entries });
    }
    Ok(head)
}

/// Shows every head on the way, that of the empty log first.
fn walk<B: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = B>,
    mut look: impl FnMut(&Head) -> Result<(), AuditError>,
) -> Result<Head, AuditError> {
    let mut head = Head::default();
    look(&head)?;
    for bytes in entries {
        let at = head.entries;
        let entry = Entry::decode(bytes.as_ref()).map_err(|error| AuditError::Undecodable { at, error })?;
        if entry.sequence != at {
            return Err(AuditError::Gap { at, found: entry.sequence });
        }
        if entry.previous != head.id {
            return Err(AuditError::Link { at });
        }
        head = Head { entries: at.checked_add(1).ok_or(AuditError::Full)?, id: entry.id() };
        look(&head)?;
    }
    Ok(head)
}

/// Control characters, line and paragraph separators, and marks of direction (Unicode TR 9, Bidi_Control).
fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"edgenet/audit/v1";
const FIXED_BYTES: usize = 1 + 8 + 32 + 8 + 1 + 32 + 2;
