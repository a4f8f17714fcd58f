//! Why a payload is refused, before any work.

use std::fmt;

use thiserror::Error;

/// A payload that cannot be run: which field, and what is wrong with it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field}: {message}")]
pub struct Refusal {
    /// What kind of defect it is.
    pub code: Code,
    /// The field, as the payload names it, with indices: `vectors[3]`.
    pub field: String,
    /// What is wrong, for a reader.
    pub message: String,
}

/// Kinds of defects. Their names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The payload does not parse, or has unknown or missing fields.
    Malformed,
    /// The bytes parse, but are not the one encoding of what they say.
    NotCanonical,
    /// A list or text that must hold something holds nothing.
    Empty,
    /// More than a named limit allows.
    TooLarge,
    /// A number outside its range.
    OutOfRange,
    /// Infinity or not a number.
    NotFinite,
    /// Rows of different lengths, or a query of another width than the vectors.
    Shape,
    /// Two items carry one id.
    Duplicate,
    /// A model, index, network or module that is not here.
    Unknown,
    /// Not allowed on this privacy tier.
    Tier,
    /// Two fields of which only one may be given, or none of two of which one must.
    Choice,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 11] = [
        Code::Malformed,
        Code::NotCanonical,
        Code::Empty,
        Code::TooLarge,
        Code::OutOfRange,
        Code::NotFinite,
        Code::Shape,
        Code::Duplicate,
        Code::Unknown,
        Code::Tier,
        Code::Choice,
    ];

    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::NotCanonical => "not-canonical",
            Code::Empty => "empty",
            Code::TooLarge => "too-large",
            Code::OutOfRange => "out-of-range",
            Code::NotFinite => "not-finite",
            Code::Shape => "shape",
            Code::Duplicate => "duplicate",
            Code::Unknown => "unknown",
            Code::Tier => "tier",
            Code::Choice => "choice",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Refuses a field.
pub(crate) fn refuse<T>(
    code: Code,
    field: impl Into<String>,
    message: impl Into<String>,
) -> Result<T, Refusal> {
    Err(Refusal { code, field: field.into(), message: message.into() })
}

/// Refuses a count of 0 or beyond a limit.
pub(crate) fn count(field: &str, found: usize, most: usize) -> Result<(), Refusal> {
    match found {
        0 => refuse(Code::Empty, field, "must not be empty"),
        n if n > most => refuse(Code::TooLarge, field, format!("{n}, at most {most} are taken")),
        _ => Ok(()),
    }
}

/// Refuses a number outside `low..=high`.
pub(crate) fn within<N: PartialOrd + fmt::Display>(
    field: &str,
    n: N,
    low: N,
    high: N,
) -> Result<(), Refusal> {
    if n >= low && n <= high {
        return Ok(());
    }
    refuse(Code::OutOfRange, field, format!("is {n}, must be {low} to {high}"))
}
