//! One file of compressed vectors, the same bytes on every target.
//!
//! ```text
//! magic "ENVECTOR" | version u16 | codec u8 | bits u8 | width u32 | subspaces u32 | rows u32      header, 24 bytes
//! int8     steps f32 [rows], codes i8 [rows][width]
//! int4     amplitudes f32 [rows], multipliers u8 [rows][blocks of 32], codes [rows], two to a byte
//! binary   means f32 [rows], bits u32 [rows][width / 32, rounded up]
//! product  scale f32, centroids f32 [subspaces][slice][2^bits], codes [rows][subspaces], one or two to a byte
//! SHA-256 of all before                                                                           32 bytes
//! ```
//!
//! All little-endian. `bits` and `subspaces` are 0 but for product codes. Every file that is read has the one form
//! that would be written: padding is zero, and no code is one that no encoder writes.

use plan::MAX_WIDTH;
use sha2::{Digest, Sha256};

use super::{
    Codec, Codes, Compressed, ContainerError, binary::Binary, int4, int4::Int4, int8::Int8, product,
    product::Product,
};

impl Compressed {
    /// The container.
    pub fn to_bytes(&self) -> Vec<u8> {
        let codec = self.codec();
        let (number, bits, subspaces) = header_fields(codec);
        let mut out = Writer(Vec::with_capacity(codec.container_bytes(self.width, self.rows) as usize));
        out.bytes(MAGIC);
        out.bytes(&VERSION.to_le_bytes());
        out.bytes(&[number, bits]);
        for field in [self.width as u32, subspaces, self.rows as u32] {
            out.bytes(&field.to_le_bytes());
        }
        match &self.codes {
            Codes::Int8(c) => c.write(&mut out),
            Codes::Int4(c) => c.write(&mut out),
            Codes::Binary(c) => c.write(&mut out),
            Codes::Product(c) => c.write(&mut out),
        }
        let digest = Sha256::digest(&out.0);
        out.bytes(&digest);
        out.0
    }

    /// Reads a container. Lengths are checked before anything is allocated.
    ///
    /// # Errors
    /// Names the field or entry at fault.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContainerError> {
        let header = Header::read(bytes)?;
        let (body, digest) = bytes.split_at(bytes.len() - DIGEST_BYTES);
        if Sha256::digest(body)[..] != *digest {
            return Err(ContainerError::Checksum);
        }
        let (width, rows) = (header.width, header.rows);
        let mut reader = Reader { rest: &body[HEADER_BYTES..] };
        let codes = match header.codec {
            Codec::Int8 => Codes::Int8(Int8::read(&mut reader, width, rows)?),
            Codec::Int4 => Codes::Int4(Int4::read(&mut reader, width, rows)?),
            Codec::Binary => Codes::Binary(Binary::read(&mut reader, width, rows)?),
            Codec::Product { subspaces, bits } => {
                let shape = product::Shape::new(width, subspaces, bits);
                let shape = shape.map_err(|_| field("subspaces", subspaces as u64))?;
                Codes::Product(Product::read(&mut reader, shape, rows)?)
            }
        };
        Ok(Compressed { width, rows, codes })
    }
}

/// Bytes of a file; saturates where there can be none so large.
pub(super) fn file_bytes(codec: Codec, width: u64, rows: u64) -> u64 {
    let (fixed, row) = match codec {
        Codec::Int8 => (0, 4 + width),
        Codec::Int4 => (0, 4 + width.div_ceil(int4::BLOCK as u64) + int4::row_bytes(width)),
        Codec::Binary => (0, 4 + width.div_ceil(32) * 4),
        Codec::Product { subspaces, bits } => {
            ((4 + 4 * (width << bits.min(8))), (subspaces as u64 * u64::from(bits)).div_ceil(8))
        }
    };
    rows.saturating_mul(row).saturating_add(fixed + (HEADER_BYTES + DIGEST_BYTES) as u64)
}

struct Header {
    codec: Codec,
    width: usize,
    rows: usize,
}

impl Header {
    /// Checks every field, and that the file has the length they call for.
    fn read(bytes: &[u8]) -> Result<Self, ContainerError> {
        let least = HEADER_BYTES + DIGEST_BYTES;
        if !bytes.starts_with(MAGIC) {
            return Err(ContainerError::Magic);
        }
        if bytes.len() < least {
            return Err(ContainerError::Length { found: bytes.len() as u64, wanted: least as u64 });
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(ContainerError::Version { found: version, wanted: VERSION });
        }
        let mut words = Reader { rest: &bytes[12..HEADER_BYTES] }.words(3);
        let [width, subspaces, rows] = [(); 3].map(|()| words.next().expect("three words"));
        if width == 0 || width as usize > MAX_WIDTH {
            return Err(field("width", width.into()));
        }
        if rows == 0 {
            return Err(field("rows", 0));
        }
        let bits = u32::from(bytes[11]);
        let codec = match bytes[10] {
            0 => Codec::Int8,
            1 => Codec::Int4,
            2 => Codec::Binary,
            3 => Codec::Product { subspaces: subspaces as usize, bits },
            other => return Err(field("codec", other.into())),
        };
        let product = matches!(codec, Codec::Product { .. });
        if bits != 0 && !product || product && bits != 4 && bits != 8 {
            return Err(field("bits", bits.into()));
        }
        if subspaces != 0 && !product || product && (subspaces == 0 || !width.is_multiple_of(subspaces)) {
            return Err(field("subspaces", subspaces.into()));
        }
        let (found, wanted) = (bytes.len() as u64, file_bytes(codec, width.into(), rows.into()));
        if found != wanted {
            return Err(ContainerError::Length { found, wanted });
        }
        Ok(Header { codec, width: width as usize, rows: rows as usize })
    }
}

fn header_fields(codec: Codec) -> (u8, u8, u32) {
    match codec {
        Codec::Int8 => (0, 0, 0),
        Codec::Int4 => (1, 0, 0),
        Codec::Binary => (2, 0, 0),
        Codec::Product { subspaces, bits } => (3, bits as u8, subspaces as u32),
    }
}

fn field(field: &'static str, found: u64) -> ContainerError {
    ContainerError::Field { field, found }
}

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn floats(&mut self, values: &[f32]) {
        values.iter().for_each(|v| self.bytes(&v.to_le_bytes()));
    }
}

/// Takes parts off bytes whose length the header has vouched for.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        head
    }

    pub(super) fn words(&mut self, count: usize) -> impl Iterator<Item = u32> + use<'a> {
        self.bytes(4 * count).as_chunks().0.iter().map(|&word| u32::from_le_bytes(word))
    }

    pub(super) fn floats(&mut self, count: usize) -> Vec<f32> {
        self.words(count).map(f32::from_bits).collect()
    }

    /// Steps of rows: 0, or between what the smallest row that is coded has and `most`.
    pub(super) fn steps(&mut self, count: usize, most: f32) -> Result<Vec<f32>, ContainerError> {
        let steps = self.floats(count);
        let good = |s: &f32| s.to_bits() == 0 || (SMALLEST_STEP..=most).contains(s);
        match steps.iter().position(|s| !good(s)) {
            Some(index) => Err(ContainerError::Payload { part: "steps", index }),
            None => Ok(steps),
        }
    }
}

const MAGIC: &[u8; 8] = b"ENVECTOR";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 24;
const DIGEST_BYTES: usize = 32;
/// A row of one value of 2^-100 among zeros has a mean of at least 2^-112.
const SMALLEST_STEP: f32 = f32::from_bits((127 - 113) << 23);
