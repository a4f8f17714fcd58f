use zeroize::{Zeroize, Zeroizing};

use super::{Aead256, EncryptionError, NONCE_BYTES, Random, TAG_BYTES};

/// Bytes of plaintext in every chunk but the last.
pub const CHUNK_BYTES: usize = 1 << CHUNK_LOG2;
/// Bytes before the first chunk.
pub const HEADER_BYTES: usize = MAGIC.len() + 2 + PREFIX_BYTES;
/// Most associated data of a stream: it is authenticated with every chunk.
pub const MAX_AAD_BYTES: usize = 1 << 16;

/// Seals data of any size, piece by piece.
///
/// ```text
/// magic "ENSEALED" | version 1 | log2(chunk) 16 | prefix (7)      header
/// ciphertext (65,536) | tag (16)                                  every chunk but the last
/// ciphertext (1 to 65,536; 0 only in an empty stream) | tag (16)  the last
/// ```
///
/// The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, *Online Authenticated-Encryption and its Nonce-Reuse
/// Misuse-Resistance*, CRYPTO 2015): a chunk's nonce is `prefix || counter (u32, big-endian) || last (0 or 1)`, its
/// associated data `header || aad`. So chunks that are changed, swapped, dropped or added do not open. The bytes do
/// not depend on how the data was cut into pushes.
///
/// Prefixes are random and have 56 bits: at 2^20 streams under one key two share a prefix with probability 2^-17.
/// Seal no more, and prefer a key for each stream.
pub struct Sealer<'a> {
    aead: &'a dyn Aead256,
    nonces: Nonces,
    context: Vec<u8>,
    pending: Zeroizing<Vec<u8>>,
}

impl<'a> Sealer<'a> {
    /// Starts a stream and appends its header to `out`.
    ///
    /// # Errors
    /// [`EncryptionError::AadTooLong`].
    pub fn new(
        aead: &'a dyn Aead256,
        random: &mut Random<'_>,
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, EncryptionError> {
        check_aad(aad)?;
        let mut prefix = [0; PREFIX_BYTES];
        random(&mut prefix);
        let nonces = Nonces { prefix, counter: 0 };
        let header = nonces.header();
        out.extend_from_slice(&header);
        let pending = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES));
        Ok(Sealer { aead, nonces, context: [&header, aad].concat(), pending })
    }

    /// Takes more plaintext and appends the chunks that are complete to `out`.
    ///
    /// # Errors
    /// [`EncryptionError::TooLong`] after 2^32 chunks.
    pub fn push(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        while !data.is_empty() {
            if self.pending.len() == CHUNK_BYTES {
                seal_chunk(self.aead, &mut self.nonces, &self.context, &self.pending, false, out)?;
                self.pending.clear();
            }
            // A whole chunk with more behind it needs no copy of its own.
            if self.pending.is_empty() && data.len() > CHUNK_BYTES {
                let (chunk, rest) = data.split_at(CHUNK_BYTES);
                seal_chunk(self.aead, &mut self.nonces, &self.context, chunk, false, out)?;
                data = rest;
            } else {
                let (head, rest) = data.split_at(data.len().min(CHUNK_BYTES - self.pending.len()));
                self.pending.extend_from_slice(head);
                data = rest;
            }
        }
        Ok(())
    }

    /// Appends the last chunk.
    ///
    /// # Errors
    /// Only those of the cipher.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        seal_chunk(self.aead, &mut self.nonces, &self.context, &self.pending, true, out)
    }
}

/// Opens a stream of [`Sealer`], piece by piece.
///
/// Plaintext comes out chunk by chunk, each authenticated with its place. Only [`Opener::finish`] proves that the
/// stream is whole: on any error discard all that came before it. After an error the opener gives nothing more.
pub struct Opener<'a> {
    aead: &'a dyn Aead256,
    aad: Vec<u8>,
    state: State,
    pending: Vec<u8>,
}

enum State {
    Header,
    Chunks { nonces: Nonces, context: Vec<u8> },
    Failed(EncryptionError),
}

impl<'a> Opener<'a> {
    /// Waits for a stream's header.
    ///
    /// # Errors
    /// [`EncryptionError::AadTooLong`].
    pub fn new(aead: &'a dyn Aead256, aad: &[u8]) -> Result<Self, EncryptionError> {
        check_aad(aad)?;
        let pending = Vec::with_capacity(SEALED_BYTES);
        Ok(Opener { aead, aad: aad.to_vec(), state: State::Header, pending })
    }

    /// Takes more sealed bytes and appends the plaintext of the chunks that are complete to `out`.
    ///
    /// # Errors
    /// A header that is not of this format, or [`EncryptionError::Authentication`].
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        let result = self.try_push(data, out);
        self.keep(result)
    }

    /// Appends the plaintext of the last chunk. With no error the stream was whole.
    ///
    /// # Errors
    /// [`EncryptionError::TooShort`] or [`EncryptionError::Authentication`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        let found = self.pending.len();
        let (nonces, context) = match &mut self.state {
            State::Header => return Err(EncryptionError::TooShort { found, wanted: HEADER_BYTES }),
            State::Failed(error) => return Err(*error),
            State::Chunks { nonces, context } => (nonces, context),
        };
        let wanted = TAG_BYTES + usize::from(nonces.counter > 0);
        if found < wanted {
            return Err(EncryptionError::TooShort { found, wanted });
        }
        open_chunk(self.aead, nonces, context, &self.pending, true, out)
    }

    fn keep(&mut self, result: Result<(), EncryptionError>) -> Result<(), EncryptionError> {
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    fn try_push(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        while !data.is_empty() {
            let (nonces, context) = match &mut self.state {
                State::Failed(error) => return Err(*error),
                State::Header => {
                    data = take(data, &mut self.pending, HEADER_BYTES);
                    if self.pending.len() == HEADER_BYTES {
                        let nonces = Nonces::from_header(&self.pending)?;
                        let context = [&nonces.header()[..], &self.aad].concat();
                        self.state = State::Chunks { nonces, context };
                        self.pending.clear();
                    }
                    continue;
                }
                State::Chunks { nonces, context } => (nonces, context),
            };
            if self.pending.len() == SEALED_BYTES {
                open_chunk(self.aead, nonces, context, &self.pending, false, out)?;
                self.pending.clear();
            }
            if self.pending.is_empty() && data.len() > SEALED_BYTES {
                let (chunk, rest) = data.split_at(SEALED_BYTES);
                open_chunk(self.aead, nonces, context, chunk, false, out)?;
                data = rest;
            } else {
                data = take(data, &mut self.pending, SEALED_BYTES);
            }
        }
        Ok(())
    }
}

/// Seals a stream that is in memory whole.
///
/// # Errors
/// Those of [`Sealer`].
pub fn seal_stream(
    aead: &dyn Aead256,
    random: &mut Random<'_>,
    aad: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, EncryptionError> {
    let chunks = plain.len().div_ceil(CHUNK_BYTES).max(1);
    let mut out = Vec::with_capacity(HEADER_BYTES + plain.len() + chunks * TAG_BYTES);
    let mut sealer = Sealer::new(aead, random, aad, &mut out)?;
    sealer.push(plain, &mut out)?;
    sealer.finish(&mut out)?;
    Ok(out)
}

/// Opens a stream that is in memory whole; gives all of it or nothing.
///
/// # Errors
/// Those of [`Opener`].
pub fn open_stream(aead: &dyn Aead256, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    // Room for all of it, so that no plaintext is left behind by a growing buffer.
    let mut out = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let mut opener = Opener::new(aead, aad)?;
    opener.push(sealed, &mut out)?;
    opener.finish(&mut out)?;
    Ok(std::mem::take(&mut *out))
}

struct Nonces {
    prefix: [u8; PREFIX_BYTES],
    counter: u32,
}

impl Nonces {
    /// The counter's last value is the last chunk's, so no nonce comes twice.
    fn next(&mut self, last: bool) -> Result<[u8; NONCE_BYTES], EncryptionError> {
        let counter = self.counter;
        if !last {
            self.counter = counter.checked_add(1).ok_or(EncryptionError::TooLong)?;
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.prefix);
        nonce[PREFIX_BYTES..NONCE_BYTES - 1].copy_from_slice(&counter.to_be_bytes());
        nonce[NONCE_BYTES - 1] = last.into();
        Ok(nonce)
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()] = VERSION;
        header[MAGIC.len() + 1] = CHUNK_LOG2;
        header[MAGIC.len() + 2..].copy_from_slice(&self.prefix);
        header
    }

    /// `header` has [`HEADER_BYTES`] bytes.
    fn from_header(header: &[u8]) -> Result<Self, EncryptionError> {
        let (magic, rest) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(EncryptionError::Magic);
        }
        // Version 1 has one size of chunk.
        if rest[0] != VERSION || rest[1] != CHUNK_LOG2 {
            return Err(EncryptionError::Version { found: rest[0], wanted: VERSION });
        }
        let mut prefix = [0; PREFIX_BYTES];
        prefix.copy_from_slice(&rest[2..]);
        Ok(Nonces { prefix, counter: 0 })
    }
}

fn seal_chunk(
    aead: &dyn Aead256,
    nonces: &mut Nonces,
    context: &[u8],
    plain: &[u8],
    last: bool,
    out: &mut Vec<u8>,
) -> Result<(), EncryptionError> {
    let nonce = nonces.next(last)?;
    let start = out.len();
    out.reserve(plain.len() + TAG_BYTES);
    out.extend_from_slice(plain);
    let tag = aead.seal_in_place(&nonce, context, &mut out[start..]).inspect_err(|_| erase(out, start))?;
    out.extend_from_slice(&tag);
    Ok(())
}

fn open_chunk(
    aead: &dyn Aead256,
    nonces: &mut Nonces,
    context: &[u8],
    sealed: &[u8],
    last: bool,
    out: &mut Vec<u8>,
) -> Result<(), EncryptionError> {
    let (data, tag) = sealed.split_last_chunk().ok_or(EncryptionError::Authentication)?;
    let nonce = nonces.next(last)?;
    let start = out.len();
    out.extend_from_slice(data);
    aead.open_in_place(&nonce, context, &mut out[start..], tag).inspect_err(|_| erase(out, start))
}

fn erase(out: &mut Vec<u8>, start: usize) {
    out[start..].zeroize();
    out.truncate(start);
}

/// Moves bytes from the front of `data` until `pending` has `full`; returns the rest.
fn take<'d>(data: &'d [u8], pending: &mut Vec<u8>, full: usize) -> &'d [u8] {
    let (head, rest) = data.split_at(data.len().min(full - pending.len()));
    pending.extend_from_slice(head);
    rest
}

fn check_aad(aad: &[u8]) -> Result<(), EncryptionError> {
    if aad.len() > MAX_AAD_BYTES { Err(EncryptionError::AadTooLong { found: aad.len() }) } else { Ok(()) }
}

const MAGIC: &[u8; 8] = b"ENSEALED";
const VERSION: u8 = 1;
const CHUNK_LOG2: u8 = 16;
const PREFIX_BYTES: usize = 7;
const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_before_a_nonce_comes_twice() {
        let mut nonces = Nonces { prefix: [7; PREFIX_BYTES], counter: u32::MAX };
        assert_eq!(nonces.next(false), Err(EncryptionError::TooLong));
        assert_eq!(nonces.next(true).unwrap()[PREFIX_BYTES..], [255, 255, 255, 255, 1]);
    }
}
