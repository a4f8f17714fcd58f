//! Values of payloads that JSON and the canonical bytes write differently.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeSeq};

use crate::refusal::{Code, Refusal, refuse};

/// Bytes: base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.serialize_str(&STANDARD.encode(&self.0))
        } else {
            self.0.serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            return Vec::deserialize(from).map(Bytes);
        }
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Bytes).map_err(|e| D::Error::custom(format!("not base64: {e}")))
    }
}

/// Rows of floats of one length: a list of lists in JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// Columns.
    pub width: usize,
    /// `[rows][width]`.
    pub values: Vec<f32>,
}

impl Matrix {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// Refuses what no kernel takes: no rows, rows too wide or too many, numbers that are not finite.
    pub(crate) fn check(&self, field: &str, most_rows: usize) -> Result<(), Refusal> {
        if self.width == 0 || self.values.is_empty() {
            return refuse(Code::Empty, field, "must hold at least one vector of at least one value");
        }
        if self.width > plan::MAX_WIDTH {
            let message = format!("vectors of {} values, at most {} are taken", self.width, plan::MAX_WIDTH);
            return refuse(Code::TooLarge, field, message);
        }
        if !self.values.len().is_multiple_of(self.width) {
            return refuse(Code::Shape, field, "the last vector is short");
        }
        if self.rows() > most_rows {
            return refuse(
                Code::TooLarge,
                field,
                format!("{} vectors, at most {most_rows} are taken", self.rows()),
            );
        }
        match self.values.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let place = format!("{field}[{}][{}]", at / self.width, at % self.width);
                refuse(Code::NotFinite, place, "must be a finite number")
            }
        }
    }
}

/// The form of the canonical bytes.
#[derive(Serialize, Deserialize)]
struct Flat {
    width: u32,
    values: Vec<f32>,
}

impl Serialize for Matrix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            let width = u32::try_from(self.width).unwrap_or(u32::MAX);
            return Flat { width, values: self.values.clone() }.serialize(to);
        }
        let mut rows = to.serialize_seq(Some(self.rows()))?;
        (0..self.rows()).try_for_each(|row| rows.serialize_element(self.row(row)))?;
        rows.end()
    }
}

impl<'de> Deserialize<'de> for Matrix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let flat = Flat::deserialize(from)?;
            return Ok(Matrix { width: flat.width as usize, values: flat.values });
        }
        let rows = Vec::<Vec<f32>>::deserialize(from)?;
        let width = rows.first().map_or(0, Vec::len);
        if let Some(row) = rows.iter().position(|r| r.len() != width) {
            let message = format!("row {row} has {} values, row 0 has {width}", rows[row].len());
            return Err(D::Error::custom(message));
        }
        Ok(Matrix { width, values: rows.concat() })
    }
}

/// 32 bytes: 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// SHA-256 of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Hash(sha2::Sha256::digest(bytes).into())
    }

    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Hash(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_str(&self.hex()) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            return <[u8; 32]>::deserialize(from).map(Hash);
        }
        let text = String::deserialize(from)?;
        Hash::from_hex(&text).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))
    }
}
