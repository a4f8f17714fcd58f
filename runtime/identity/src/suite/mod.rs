//! The one HPKE suite (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode.
//!
//! The crate refuses an all-zero shared secret (section 7.1.4) on both sides.

#[cfg(test)]
mod rfc9180;
#[cfg(test)]
mod wycheproof;

use std::convert::Infallible;

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AeadCtxS, AesGcm256},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
};
use zeroize::{Zeroize, Zeroizing};

use crate::Random;

pub(crate) type Kem = X25519HkdfSha256;
pub(crate) type Secret = <Kem as hpke::Kem>::PrivateKey;
pub(crate) type Sender = AeadCtxS<AesGcm256, HkdfSha256, Kem>;
pub(crate) type Receiver = AeadCtxR<AesGcm256, HkdfSha256, Kem>;

/// Why no context comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuiteError {
    /// The shared secret is all zeros: the public key is of low order.
    ZeroShared,
    /// The source of randomness gave nothing, or was asked for more than was drawn.
    Randomness,
}

/// The key pair of 32 unpredictable bytes (`DeriveKeyPair`).
pub(crate) fn key_pair(random: &mut Random<'_>) -> Result<(Secret, [u8; 32]), SuiteError> {
    let (secret, public) = Kem::derive_keypair(&draw(random)?[..]);
    Ok((secret, public.to_bytes().into()))
}

/// The public key of a secret.
pub(crate) fn public_of(secret: &Secret) -> [u8; 32] {
    Kem::sk_to_pk(secret).to_bytes().into()
}

/// The secret of its bytes.
pub(crate) fn secret_of(bytes: &[u8; 32]) -> Secret {
    Secret::from_bytes(bytes).expect("32 bytes are a secret")
}

/// The bytes of a secret.
pub(crate) fn bytes_of(secret: &Secret) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    secret.write_exact(&mut *bytes);
    bytes
}

/// The sender's context for the holder of `public`, and the encapsulated key.
pub(crate) fn sender(
    public: &[u8; 32],
    info: &[u8],
    random: &mut Random<'_>,
) -> Result<([u8; 32], Sender), SuiteError> {
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(public).expect("32 bytes are a public key");
    let mut drawn = Drawn { bytes: draw(random)?, spent: false, failed: false };
    let set_up = hpke::setup_sender_with_rng::<_, _, Kem>(&OpModeS::Base, &public, info, &mut drawn);
    if drawn.failed {
        return Err(SuiteError::Randomness);
    }
    let (encapsulated, context): (_, Sender) = set_up.map_err(|_| SuiteError::ZeroShared)?;
    Ok((encapsulated.to_bytes().into(), context))
}

/// The receiver's context.
pub(crate) fn receiver(
    secret: &Secret,
    encapsulated: &[u8; 32],
    info: &[u8],
) -> Result<Receiver, SuiteError> {
    let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).expect("32 bytes are a key");
    hpke::setup_receiver(&OpModeR::Base, secret, &encapsulated, info).map_err(|_| SuiteError::ZeroShared)
}

/// A source that gave only zeros gave nothing: a key of them would be everybody's.
pub(crate) fn draw(random: &mut Random<'_>) -> Result<Zeroizing<[u8; 32]>, SuiteError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(&mut *bytes);
    if *bytes == [0; 32] { Err(SuiteError::Randomness) } else { Ok(bytes) }
}

/// Key material drawn beforehand, for one encapsulation. Its trait cannot fail, so whoever set it up asks whether it did.
struct Drawn {
    bytes: Zeroizing<[u8; 32]>,
    spent: bool,
    failed: bool,
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.failed = true;
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.failed = true;
        Ok(0)
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        if self.spent || to.len() != self.bytes.len() {
            self.failed = true;
        } else {
            to.copy_from_slice(&*self.bytes);
            self.bytes.zeroize();
            self.spent = true;
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}
