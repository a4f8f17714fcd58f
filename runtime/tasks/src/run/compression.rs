//! Vectors in fewer bytes.

use models::compress::{
    Choice, ChoiceError, Codec as Coding, CompressError, Compressed as Codes, Machine, Measured, Metric,
    Target, Vectors, choose,
};

use super::RunError;
use crate::{
    host::{Execute, Host},
    outcome::Compressed,
    refusal::{Code, Refusal},
    task::{Codec, Compression},
    values::Bytes,
};

pub(super) fn run<H: Host>(task: &Compression, host: &mut H) -> Result<Compressed, RunError> {
    let devices = host.execute();
    let (codes, _) = compress(task, Machine { parallel: devices.parallel(), encoder: devices.encoder() })?;
    Ok(Compressed { codec: codes.codec().name().into(), bytes: Bytes(codes.to_bytes()) })
}

/// The codes of a task's vectors, and what [`Codec::Auto`] measured to choose among codecs, smallest first; recalls are
/// of cosines.
///
/// # Errors
/// [`RunError::Target`] if nothing reaches the target, [`RunError::Refused`] if the vectors are at fault.
pub fn compress(task: &Compression, machine: Machine<'_>) -> Result<(Codes, Vec<Measured>), RunError> {
    let width = task.vectors.width;
    let vectors = Vectors::new(&task.vectors.values, width).map_err(at_fault)?;
    let coding = match task.codec {
        Codec::Auto => {
            let chosen = choose(vectors, target(task), Metric::Cosine, machine).map_err(unchosen)?;
            let Choice { compressed, measured, .. } = chosen;
            return Ok((compressed, measured));
        }
        Codec::Int8 => Coding::Int8,
        Codec::Int4 => Coding::Int4,
        Codec::Binary => Coding::Binary,
        Codec::Pq => Coding::product(width),
    };
    Ok((Codes::encode(vectors, coding, machine).map_err(at_fault)?, Vec::new()))
}

fn target(task: &Compression) -> Target {
    match (task.target.bytes, task.target.recall) {
        (Some(bytes), _) => Target::BytesPerVector(f64::from(bytes)),
        (None, Some(recall)) => Target::Recall(decimal(recall)),
        (None, None) => Target::Recall(DEFAULT_RECALL),
    }
}

/// The number that was meant: 0.95 is asked for, not the f32 beside it.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn unchosen(error: ChoiceError) -> RunError {
    match error {
        ChoiceError::Vectors(error) => at_fault(error),
        ChoiceError::TooFew { .. } => refused(Code::Shape, "vectors", error.to_string()),
        ChoiceError::Target { .. } => refused(Code::OutOfRange, "target", error.to_string()),
        ChoiceError::Recall { .. } | ChoiceError::Bytes { .. } => RunError::Target(error.to_string()),
    }
}

fn at_fault(error: CompressError) -> RunError {
    refused(Code::Shape, "vectors", error.to_string())
}

fn refused(code: Code, field: &str, message: String) -> RunError {
    Refusal { code, field: field.into(), message }.into()
}

const DEFAULT_RECALL: f64 = 0.95;
