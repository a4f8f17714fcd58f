use sha2::{Digest, Sha256};

/// What a device looks like, salted by the relay: two relays cannot compare notes, and it cannot be turned back.
///
/// Browsers send it only after consent. It is a name for one bucket more, which everybody who looks the same shares; a
/// further bucket can refuse and can never allow, so it lowers a rate and proves nothing. 32 bits are few on purpose:
/// some devices share one by chance, and it cannot tell a person from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 4]);

impl Fingerprint {
    /// The relay's own form of a device's hash.
    pub fn salted(relay_salt: &[u8; 32], device_hash: &[u8; 32]) -> Self {
        let hash: [u8; 32] = Sha256::new_with_prefix(DOMAIN)
            .chain_update(relay_salt)
            .chain_update(device_hash)
            .finalize()
            .into();
        Fingerprint([hash[0], hash[1], hash[2], hash[3]])
    }
}

const DOMAIN: &[u8] = b"edgenet/fingerprint/v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_see_different_names() {
        let device = [7; 32];
        assert_eq!(Fingerprint::salted(&[1; 32], &device), Fingerprint::salted(&[1; 32], &device));
        assert_ne!(Fingerprint::salted(&[1; 32], &device), Fingerprint::salted(&[2; 32], &device));
    }
}
