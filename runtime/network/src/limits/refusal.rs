use std::fmt;

use thiserror::Error;

/// Why a frame goes no further, and when it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{code}{}", retry(*.retry_after_ms))]
pub struct Refusal {
    /// The reason.
    pub code: Code,
    /// Sooner it will be refused again; `None`: it never passes as it is.
    pub retry_after_ms: Option<u64>,
}

/// Reasons. Their names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// More bytes than its kind may have.
    FrameSize,
    /// Accepted already in the last 120 seconds.
    Replayed,
    /// It costs more than a full bucket holds: split it, or stake.
    CostAboveBurst,
    /// The identity has used its units.
    IdentityRate,
    /// The connection has used its units.
    ConnectionRate,
    /// The address block has used its units.
    BlockRate,
    /// Devices that look the same have used their units.
    FingerprintRate,
    /// Too many signatures to verify.
    VerificationRate,
    /// The signature is wrong.
    BadSignature,
    /// The answer is too long for a peer that proved nothing.
    ReplySize,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 10] = [
        Code::FrameSize,
        Code::Replayed,
        Code::CostAboveBurst,
        Code::IdentityRate,
        Code::ConnectionRate,
        Code::BlockRate,
        Code::FingerprintRate,
        Code::VerificationRate,
        Code::BadSignature,
        Code::ReplySize,
    ];

    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Code::FrameSize => "frame-size",
            Code::Replayed => "replayed",
            Code::CostAboveBurst => "cost-above-burst",
            Code::IdentityRate => "identity-rate",
            Code::ConnectionRate => "connection-rate",
            Code::BlockRate => "block-rate",
            Code::FingerprintRate => "fingerprint-rate",
            Code::VerificationRate => "verification-rate",
            Code::BadSignature => "bad-signature",
            Code::ReplySize => "reply-size",
        }
    }

    pub(super) fn final_refusal(self) -> Refusal {
        Refusal { code: self, retry_after_ms: None }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn retry(after_ms: Option<u64>) -> String {
    after_ms.map_or_else(String::new, |ms| format!(", again in {ms} ms"))
}
