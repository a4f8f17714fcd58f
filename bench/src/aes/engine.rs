//! Engines that seal.
//!
//! Requests: `load` has no fields; `run` has `bytes` and `times`: that many messages of so many bytes are sealed;
//! `answers` has `bytes`: `{"tag": in hex}` of one message of known text under nonce 1.

use std::hint::black_box;

use edge_net::aead;
use serde_json::{Value, json};
use tasks::encryption::{Aead256, Key, Portable};

use super::PORTABLE;
use crate::{
    Error,
    engines::{Fields, Loaded, OURS},
    serve::{Serve, number},
};

/// The engine of this name.
pub(crate) fn open(name: &str) -> Result<Box<dyn Serve>, Error> {
    let ours = |cipher: Box<dyn Aead256>| -> Box<Seal> {
        Box::new(move |nonce, text| cipher.seal_in_place(nonce, b"", text).ok())
    };
    let (seal, version) = match name {
        OURS => (ours(aead::cipher(&Key::new(KEY))), env!("CARGO_PKG_VERSION")),
        PORTABLE => (ours(Box::new(Portable::new(&Key::new(KEY)))), env!("CARGO_PKG_VERSION")),
        #[cfg(feature = "peers")]
        "aws-lc-rs" => (peers::aws_lc(), PINNED),
        #[cfg(feature = "peers")]
        "ring" => (peers::ring(), PINNED),
        #[cfg(feature = "peers")]
        "aes-gcm" => (peers::rust_crypto(), PINNED),
        _ => return Err(Error::engine(name, "does not seal")),
    };
    let setting = match name {
        OURS if cfg!(feature = "peers") => "AWS-LC, as with the feature aws-lc; in place",
        OURS | PORTABLE => "the aes-gcm crate, as in a default build; in place",
        _ => "in place",
    };
    Ok(Box::new(Engine { seal, version: format!("{name} {version}"), setting, buffer: Vec::new(), nonce: 0 }))
}

/// Seals a buffer in place and returns the tag; `None` if the crate refuses.
type Seal = dyn FnMut(&[u8; 12], &mut [u8]) -> Option<[u8; 16]>;

struct Engine {
    seal: Box<Seal>,
    version: String,
    setting: &'static str,
    buffer: Vec<u8>,
    nonce: u64,
}

impl Serve for Engine {
    fn load(&mut self, _: &Fields) -> Result<Loaded, Error> {
        Ok(Loaded { version: self.version.clone(), setting: self.setting.into(), absent: None })
    }

    fn run(&mut self, case: &Fields) -> Result<(), Error> {
        let (bytes, times) = (number(case, "bytes")?, number(case, "times")?);
        self.buffer.resize(bytes, 7);
        for _ in 0..times {
            self.nonce += 1;
            let tag = (self.seal)(&nonce(self.nonce), black_box(&mut self.buffer));
            black_box(tag.ok_or_else(|| Error::engine(&self.version, "refuses to seal"))?);
        }
        Ok(())
    }

    fn answers(&mut self, case: &Fields) -> Result<Value, Error> {
        let mut text: Vec<u8> = (0..number(case, "bytes")?).map(|i| (i * 7) as u8).collect();
        let tag = (self.seal)(&nonce(1), &mut text);
        let tag = tag.ok_or_else(|| Error::engine(&self.version, "refuses to seal"))?;
        Ok(json!({"tag": tag.iter().map(|b| format!("{b:02x}")).collect::<String>()}))
    }
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

const KEY: [u8; 32] = [42; 32];
#[cfg(feature = "peers")]
const PINNED: &str = "as Cargo.lock pins it";

#[cfg(feature = "peers")]
mod peers {
    use super::{KEY, Seal};

    pub(super) fn aws_lc() -> Box<Seal> {
        use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let key = UnboundKey::new(&AES_256_GCM, &KEY).ok().map(LessSafeKey::new);
        Box::new(move |nonce, text| {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let tag = key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::empty(), text).ok()?;
            tag.as_ref().try_into().ok()
        })
    }

    pub(super) fn ring() -> Box<Seal> {
        use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let key = UnboundKey::new(&AES_256_GCM, &KEY).ok().map(LessSafeKey::new);
        Box::new(move |nonce, text| {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let tag = key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::empty(), text).ok()?;
            tag.as_ref().try_into().ok()
        })
    }

    pub(super) fn rust_crypto() -> Box<Seal> {
        use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
        let cipher = Aes256Gcm::new(&KEY.into());
        Box::new(move |nonce, text| {
            let tag = cipher.encrypt_inout_detached(&(*nonce).into(), b"", text.into()).ok()?;
            Some(tag.into())
        })
    }
}
