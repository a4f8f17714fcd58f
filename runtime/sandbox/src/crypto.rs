//! The two functions that a module may import where the policy allows it: verifying is the one thing that
//! strangers' programs need and that an interpreter is slow at.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use wasmi::{Caller, Error, Extern, Func, FuncType, Memory, Store, TrapCode, ValType};

use crate::{
    ModuleError,
    engine::{State, charge_caller, range},
    error::shown,
};

/// Checks that `module.name` may be imported as `ty`.
///
/// # Errors
///
/// The import is unknown, or known by another type.
pub(crate) fn check(module: &str, name: &str, ty: Option<&FuncType>) -> Result<(), ModuleError> {
    let (module, name) = (shown(module), shown(name));
    let (params, results, expected): (_, &[ValType], _) = match (module.as_str(), name.as_str()) {
        (MODULE, SHA256) => (3, &[], "a function (i32, i32, i32)"),
        (MODULE, ED25519_VERIFY) => (4, &[ValType::I32], "a function (i32, i32, i32, i32) -> i32"),
        _ => return Err(ModuleError::UnknownImport { module, name }),
    };
    let fits = ty.is_some_and(|ty| ty.params() == vec![ValType::I32; params] && ty.results() == results);
    match fits {
        true => Ok(()),
        false => Err(ModuleError::ImportType { module, name, expected }),
    }
}

/// The function behind the import `name`, which [`check`] let pass.
pub(crate) fn import(store: &mut Store<State>, name: &str) -> Extern {
    let func = match name {
        SHA256 => Func::wrap(store, sha256),
        _ => Func::wrap(store, ed25519_verify),
    };
    Extern::Func(func)
}

/// `sha256(start, length, out)`: the SHA-256 of `length` bytes at `start`, 32 bytes to `out`.
fn sha256(mut caller: Caller<'_, State>, start: u32, length: u32, out: u32) -> Result<(), Error> {
    charge_caller(&mut caller, SHA256_FUEL + SHA256_FUEL_PER_BYTE * u64::from(length))?;
    let memory = memory(&caller)?;
    let hash = Sha256::digest(bytes(memory.data(&caller), start, length)?);
    let data = memory.data_mut(&mut caller);
    let to = range(out, hash.len()).and_then(|range| data.get_mut(range));
    to.ok_or(TrapCode::MemoryOutOfBounds)?.copy_from_slice(&hash);
    Ok(())
}

/// `ed25519_verify(key, signature, start, length) -> i32`: 1 if the 64 bytes at `signature` sign the `length`
/// bytes at `start` for the public key of 32 bytes at `key`, by the strict rules (RFC 8032 without the cofactor,
/// no key or commitment of small order, nothing that is not canonical); else 0.
fn ed25519_verify(
    mut caller: Caller<'_, State>,
    key: u32,
    signature: u32,
    start: u32,
    length: u32,
) -> Result<i32, Error> {
    charge_caller(&mut caller, VERIFY_FUEL + VERIFY_FUEL_PER_BYTE * u64::from(length))?;
    let data = memory(&caller)?.data(&caller);
    let key: &[u8; 32] = bytes(data, key, 32)?.try_into().expect("32 bytes");
    let signature: &[u8; 64] = bytes(data, signature, 64)?.try_into().expect("64 bytes");
    let message = bytes(data, start, length)?;
    let valid = VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok());
    Ok(i32::from(valid))
}

fn memory(caller: &Caller<'_, State>) -> Result<Memory, Error> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    memory.ok_or_else(|| TrapCode::MemoryOutOfBounds.into())
}

fn bytes(data: &[u8], start: u32, length: u32) -> Result<&[u8], TrapCode> {
    range(start, length as usize).and_then(|range| data.get(range)).ok_or(TrapCode::MemoryOutOfBounds)
}

const MODULE: &str = "edgenet";
const SHA256: &str = "sha256";
const ED25519_VERIFY: &str = "ed25519_verify";

// Prices: about what the same time buys in instructions, rounded up, on machines without hash instructions.
const SHA256_FUEL: u64 = 200;
const SHA256_FUEL_PER_BYTE: u64 = 2;
const VERIFY_FUEL: u64 = 50_000;
const VERIFY_FUEL_PER_BYTE: u64 = 2;
