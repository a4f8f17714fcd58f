//! AES-256-GCM in chunks.

use super::RunError;
use crate::{
    encryption::{EncryptionError, Key, open_stream, seal_stream},
    host::Host,
    refusal::{Code, refuse},
    task::{Direction, Encryption},
    values::Bytes,
};

pub(super) fn run<H: Host>(task: &Encryption, host: &mut H) -> Result<Bytes, RunError> {
    let key = <[u8; 32]>::try_from(&task.key.0[..]).expect("a checked task has a key of 32 bytes");
    let aead = host.aead(&Key::new(key));
    let (aad, data) = (&task.aad.0[..], &task.data.0[..]);
    let done = match task.op {
        Direction::Encrypt => seal_stream(&*aead, &mut |bytes: &mut [u8]| host.random(bytes), aad, data),
        Direction::Decrypt => open_stream(&*aead, aad, data),
    };
    match done {
        Ok(bytes) => Ok(Bytes(bytes)),
        Err(EncryptionError::Authentication) => Err(RunError::Authentication),
        Err(error) => Ok(refuse(Code::Malformed, "data", error.to_string())?),
    }
}
