use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::OpenError;

/// Bytes of a padded content: the next power of two up to 1 KiB, above that the next multiple of an eighth of the power
/// of two below. So a length shows only its first three bits, and nothing grows by more than an eighth beyond 1 KiB.
pub const fn padded_bytes(content_bytes: usize) -> usize {
    if content_bytes <= LEAST_BYTES {
        LEAST_BYTES
    } else if content_bytes <= STEPS_FROM_BYTES {
        content_bytes.next_power_of_two()
    } else {
        let step = (1 << content_bytes.ilog2()) / 8;
        content_bytes.div_ceil(step) * step
    }
}

/// `head || length (u64) || plain || zeros`.
pub(super) fn pad(head: &[u8], plain: &[u8]) -> Zeroizing<Vec<u8>> {
    let total = padded_bytes(head.len() + LENGTH_BYTES + plain.len());
    let mut content = Zeroizing::new(Vec::with_capacity(total));
    content.extend_from_slice(head);
    content.extend_from_slice(&(plain.len() as u64).to_be_bytes());
    content.extend_from_slice(plain);
    content.resize(total, 0);
    content
}

/// A content that was unpadded; the plaintext stays where it is.
pub(super) struct Content {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Content {
    /// Reads what [`pad`] gives for a head of `head_bytes`, and nothing else.
    pub(super) fn new(bytes: Zeroizing<Vec<u8>>, head_bytes: usize) -> Result<Self, OpenError> {
        let start = head_bytes + LENGTH_BYTES;
        let length = bytes.get(head_bytes..start).ok_or(OpenError)?.try_into().expect("eight bytes");
        let length = usize::try_from(u64::from_be_bytes(length)).map_err(|_| OpenError)?;
        let end = start.checked_add(length).filter(|&end| end <= bytes.len()).ok_or(OpenError)?;
        let zeros = bytes[end..].iter().fold(0, |all, byte| all | byte).ct_eq(&0);
        if bytes.len() != padded_bytes(end) || !bool::from(zeros) {
            return Err(OpenError);
        }
        Ok(Content { bytes, start, end })
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.bytes[..self.start - LENGTH_BYTES]
    }

    pub(super) fn plain(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// Bytes of the true length.
pub(super) const LENGTH_BYTES: usize = 8;
/// Smallest padded content.
pub(super) const LEAST_BYTES: usize = 64;
const STEPS_FROM_BYTES: usize = 1_024;
