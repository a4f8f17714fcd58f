//! Sites that embed the script: a label bound to an account, and how rewards earned there are split.

use identity::{AccountId, PublicKey, SecretKey, Signature};
use thiserror::Error;

use crate::{
    Id,
    wire::{DecodeError, Reader, Writer},
};

/// Most bytes of a label, an origin or a relay's address.
pub const MAX_TEXT_BYTES: usize = 253;
/// Most origins, and most relays, of a site.
pub const MAX_ENTRIES: usize = 16;

/// What a site's owner signs: who is paid, where the script may run, which relays it speaks to.
///
/// Served at a well-known path or embedded in the script tag. A record with a higher version replaces one with a lower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    /// What the site calls itself.
    pub label: String,
    /// Whose account receives the site's part.
    pub account: AccountId,
    /// Where pages of the site live, such as `https://example.org`, ascending.
    pub origins: Vec<String>,
    /// The site's part of a reward, in millionths.
    pub share_ppm: u32,
    /// Relays, such as `wss://relay.example.org`, ascending.
    pub relays: Vec<String>,
    /// Counts up with every change.
    pub version: u64,
    /// When it was signed.
    pub epoch: u64,
    /// By the account's key.
    pub signature: Signature,
}

/// Why a record of a site is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SiteError {
    /// The bytes are not canonical.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The label has characters that are not allowed, or none.
    #[error("a label has 1 to {MAX_TEXT_BYTES} characters out of a-z, 0-9, '.', '-' and '_'")]
    Label,
    /// More than all of the reward.
    #[error("a site's share is at most 1000000 ppm, not {found}")]
    Share {
        /// The share.
        found: u32,
    },
    /// Origins or relays out of order, twice, or not of the form wanted.
    #[error("{what}: at most {MAX_ENTRIES}, ascending, each once, each {form}")]
    Entries {
        /// Origins or relays.
        what: &'static str,
        /// What each must be.
        form: &'static str,
    },
    /// The account's key did not sign it.
    #[error("the account did not sign this record of a site")]
    Signature,
}

impl SiteRecord {
    /// Signs a record for its account; the signature it has is replaced.
    ///
    /// # Errors
    /// What is wrong with its fields.
    pub fn sign(self, key: &SecretKey) -> Result<Self, SiteError> {
        self.check_fields()?;
        let signature = key.sign(self.id().as_bytes());
        Ok(SiteRecord { signature, ..self })
    }

    /// Checks fields and signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), SiteError> {
        self.check_fields()?;
        let key: PublicKey = self.account.public_key().map_err(|_| SiteError::Signature)?;
        key.verify(self.id().as_bytes(), &self.signature).map_err(|_| SiteError::Signature)
    }

    /// The name under which accounts register with a site: SHA-256 of its label.
    pub fn site(&self) -> Id {
        site(&self.label)
    }

    /// The name of this record.
    pub fn id(&self) -> Id {
        Id::hash("edgenet/site/v1", &[&self.unsigned().0])
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.unsigned();
        out.signature(&self.signature);
        out.0
    }

    /// Reads what [`SiteRecord::encode`] wrote and checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, SiteError> {
        let record = Reader::whole(bytes, |reader| {
            crate::op::read_version(reader, "site version")?;
            let label = reader.text(MAX_TEXT_BYTES, "label")?.to_owned();
            let account = reader.account("account")?;
            let mut texts = |what: &'static str| {
                reader.list(MAX_ENTRIES, what, |reader| Ok(reader.text(MAX_TEXT_BYTES, what)?.to_owned()))
            };
            let (origins, relays) = (texts("origins")?, texts("relays")?);
            Ok(SiteRecord {
                label,
                account,
                origins,
                relays,
                share_ppm: reader.u32("share")?,
                version: reader.u64("version")?,
                epoch: reader.u64("epoch")?,
                signature: reader.signature("signature")?,
            })
        })?;
        record.check()?;
        Ok(record)
    }

    fn check_fields(&self) -> Result<(), SiteError> {
        check_label(&self.label)?;
        if self.share_ppm > 1_000_000 {
            return Err(SiteError::Share { found: self.share_ppm });
        }
        check_entries(&self.origins, "origins", &["https://", "http://"], "a web origin")?;
        check_entries(&self.relays, "relays", &["wss://", "ws://"], "a WebSocket address")
    }

    fn unsigned(&self) -> Writer {
        let mut out = Writer::default();
        out.u8(crate::op::VERSION).text(&self.label).account(&self.account);
        for texts in [&self.origins, &self.relays] {
            out.u8(texts.len() as u8);
            for text in texts {
                out.text(text);
            }
        }
        out.u32(self.share_ppm).u64(self.version).u64(self.epoch);
        out
    }
}

/// The name of a site by its label.
pub fn site(label: &str) -> Id {
    Id::hash("edgenet/label/v1", &[label.as_bytes()])
}

/// Checks the characters of a label.
///
/// # Errors
/// [`SiteError::Label`].
pub fn check_label(label: &str) -> Result<(), SiteError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    let fine = (1..=MAX_TEXT_BYTES).contains(&label.len()) && label.bytes().all(allowed);
    if fine { Ok(()) } else { Err(SiteError::Label) }
}

fn check_entries(
    entries: &[String],
    what: &'static str,
    schemes: &[&str],
    form: &'static str,
) -> Result<(), SiteError> {
    let fits = |entry: &String| {
        entry.len() <= MAX_TEXT_BYTES
            && entry.bytes().all(|b| b.is_ascii_graphic())
            && schemes.iter().any(|s| entry.strip_prefix(s).is_some_and(|rest| !rest.is_empty()))
    };
    let fine = entries.len() <= MAX_ENTRIES && entries.is_sorted_by(|a, b| a < b) && entries.iter().all(fits);
    if fine { Ok(()) } else { Err(SiteError::Entries { what, form }) }
}
