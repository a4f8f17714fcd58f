//! The cipher of encryption tasks on this machine, and its randomness.
//!
//! With the feature `aws-lc` it is AWS-LC's, else the portable one. Both give the same bytes.

use tasks::encryption::{Aead256, Key};

/// The fastest AES-256-GCM of this build.
pub fn cipher(key: &Key) -> Box<dyn Aead256> {
    #[cfg(feature = "aws-lc")]
    return Box::new(aws_lc::AwsLc::new(key));
    #[cfg(not(feature = "aws-lc"))]
    Box::new(tasks::encryption::Portable::new(key))
}

/// Bytes from the operating system, for keys and nonces.
///
/// # Panics
/// If the operating system has no randomness to give: sealing without it would be unsafe.
pub fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use tasks::encryption::{Aead256, EncryptionError, Key, NONCE_BYTES, TAG_BYTES, check_length};

    /// AES-256-GCM of AWS-LC, which erases its key schedule itself.
    pub(super) struct AwsLc(LessSafeKey);

    impl AwsLc {
        pub(super) fn new(key: &Key) -> Self {
            let key = UnboundKey::new(&AES_256_GCM, key.bytes()).expect("a key of 32 bytes");
            AwsLc(LessSafeKey::new(key))
        }
    }

    impl Aead256 for AwsLc {
        fn seal_in_place(
            &self,
            nonce: &[u8; NONCE_BYTES],
            aad: &[u8],
            data: &mut [u8],
        ) -> Result<[u8; TAG_BYTES], EncryptionError> {
            check_length(data)?;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), data);
            let tag = tag.map_err(|_| EncryptionError::TooLong)?;
            Ok(tag.as_ref().try_into().expect("a tag of 16 bytes"))
        }

        fn open_in_place(
            &self,
            nonce: &[u8; NONCE_BYTES],
            aad: &[u8],
            data: &mut [u8],
            tag: &[u8; TAG_BYTES],
        ) -> Result<(), EncryptionError> {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, data);
            opened.map(drop).map_err(|_| EncryptionError::Authentication)
        }
    }
}

// One body for every implementation of the trait.
#[cfg(test)]
#[path = "../../identity/src/aead/wycheproof.rs"]
mod wycheproof;

#[cfg(test)]
mod tests {
    use tasks::encryption::{Aead256, Key, Portable, open_stream, seal_stream};

    use super::{cipher, random, wycheproof};

    #[test]
    fn wycheproof_vectors_pass() {
        let wrong = wycheproof::failures(&|key| cipher(&key.try_into().expect("a key")));
        assert!(wrong.is_none_or(|ids| ids.is_empty()));
    }

    #[test]
    fn streams_are_those_of_the_portable_cipher() {
        let key = Key::generate(&mut random);
        let plain: Vec<u8> = (0..200_000).map(|i| i as u8).collect();
        let seal = |aead: &dyn Aead256| {
            seal_stream(aead, &mut |bytes| bytes.fill(5), b"aad", &plain).expect("short enough")
        };
        let (fast, portable) = (cipher(&key), Portable::new(&key));
        let sealed = seal(&*fast);
        assert!(sealed == seal(&portable));
        assert!(open_stream(&*fast, b"aad", &sealed).expect("opens") == plain);
    }

    #[test]
    fn randomness_is_fresh() {
        let [a, b] = [(); 2].map(|()| *Key::generate(&mut random).bytes());
        assert_ne!(a, b);
    }
}
