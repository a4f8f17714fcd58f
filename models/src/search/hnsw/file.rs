//! One checksummed file, the same bytes on every target, read in place.
//!
//! Little-endian. A header of 64 bytes, then the sections, each padded with zeros to a multiple of 64 bytes, then the
//! SHA-256 of everything before it (32 bytes).
//!
//! | at | bytes | header |
//! |---|---|---|
//! | 0 | 8 | `EDGEHNSW` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | metric: 0 cosine, 1 L2, 2 dot |
//! | 16 | 4 | width |
//! | 20 | 4 | m |
//! | 24 | 4 | ef_construction |
//! | 28 | 4 | flags: 1 = floats are kept |
//! | 32 | 8 | seed |
//! | 40 | 8 | rows |
//! | 48 | 8 | upper lists |
//! | 56 | 4 | scale, f32; 0 where none is settled |
//! | 60 | 4 | 0 |
//!
//! | section | type | shape |
//! |---|---|---|
//! | ids | u64 | `[rows]` |
//! | dead | u64 | one bit a row |
//! | codes | i8 | `[rows][width]`, within +-127 |
//! | links | u32 | `[rows][2 m]`, unused ends `u32::MAX` |
//! | upper | u32 | `[upper lists][m]`: every row's layers from 1 up, rows in order |
//! | floats | f32 | `[rows][width]` or nothing |
//!
//! Levels, and so the shape of `upper` and the entry, follow from the ids and the seed and are not stored: nothing in
//! a file can contradict them. Every other word is checked before use, so a file that was made to deceive, checksum
//! and all, is a typed error or a poor graph, never a panic.

use std::ops::Range;

use bytemuck::Pod;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    Derived, Hnsw, MAX_ROWS, Metric, Params, ParamsError,
    codes::norm,
    graph::NONE,
    level::level,
    section::{LINE, Section},
};

pub use super::section::Owner;

/// Why bytes are not an index.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FileError {
    /// They do not begin as an index file does.
    #[error("not an index file")]
    Magic,
    /// Another version of the format.
    #[error("format version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// They are shorter or longer than their header says.
    #[error("the file has {found} bytes, its header calls for {wanted}")]
    Length {
        /// Bytes found.
        found: u64,
        /// Bytes the header calls for, or the least a file has.
        wanted: u64,
    },
    /// The SHA-256 at the end is not that of the rest.
    #[error("the checksum does not match: the file is damaged")]
    Checksum,
    /// A parameter is out of range.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// A header word has no meaning.
    #[error("header: {field} is {value}")]
    Header {
        /// Its name.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// A section is padded with something else than zeros.
    #[error("section {0}: padding is not zero")]
    Padding(&'static str),
    /// Two rows that are not deleted have one id.
    #[error("id {0} has two rows")]
    DuplicateId(u64),
    /// A code is -128.
    #[error("row {row} has a code of -128")]
    Code {
        /// The row.
        row: usize,
    },
    /// A float is not finite.
    #[error("row {row} has a value that is not finite")]
    NotFinite {
        /// The row.
        row: usize,
    },
    /// A link leads nowhere, to its own row, twice to one row, to a row that is not on its layer, or comes after an
    /// unused place.
    #[error("row {row}, layer {layer}: bad link {link:#x}")]
    Link {
        /// The row that links.
        row: usize,
        /// The layer of the list.
        layer: usize,
        /// What stands in the list.
        link: u32,
    },
}

impl Hnsw {
    /// Gives the file in pieces, in order.
    pub fn save(&self, sink: &mut dyn FnMut(&[u8])) {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            sink(bytes);
        };
        put(&self.header());
        for bytes in self.sections() {
            put(bytes);
            put(&[0; LINE][..bytes.len().next_multiple_of(LINE) - bytes.len()]);
        }
        sink(&hash.finalize());
    }

    /// The whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes() + 8 * LINE);
        self.save(&mut |piece| bytes.extend(piece));
        bytes
    }

    /// Reads a file; its tables stay in `owner`'s bytes until they are changed, or are copied at once where those are
    /// not aligned.
    ///
    /// # Errors
    /// Names the first thing that is wrong. The checksum and every structural rule are checked.
    ///
    /// # Panics
    /// Later, if the owner's bytes change while it is held.
    pub fn load(owner: Owner) -> Result<Hnsw, FileError> {
        let bytes = (*owner).as_ref();
        let head = check_frame(bytes)?;
        let places = head.places(bytes)?;
        let Head { params, rows, upper } = head;
        let mut index = Hnsw {
            ids: section(&owner, &places[0]),
            dead: section(&owner, &places[1]),
            codes: section(&owner, &places[2]),
            links: section(&owner, &places[3]),
            upper: section(&owner, &places[4]),
            floats: section(&owner, &places[5]),
            derived: Derived::default(),
            params,
        };
        check_dead(index.dead.get(), rows)?;
        index.derive(upper)?;
        index.check_values()?;
        index.check_links()?;
        Ok(index)
    }

    fn header(&self) -> [u8; LINE] {
        let params = &self.params;
        let metric = METRICS.iter().position(|&m| m == params.metric).expect("every metric has a number");
        let mut header = [0; LINE];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            header[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(MAGIC);
        let words =
            [VERSION, metric as u32, params.width as u32, params.m as u32, params.ef_construction as u32];
        words.iter().for_each(|w| put(&w.to_le_bytes()));
        put(&u32::from(params.keep_floats).to_le_bytes());
        put(&params.seed.to_le_bytes());
        put(&(self.rows() as u64).to_le_bytes());
        put(&((self.upper.len() / params.m) as u64).to_le_bytes());
        put(&params.scale.unwrap_or(0.0).to_le_bytes());
        header
    }

    fn sections(&self) -> [&[u8]; 6] {
        [
            bytemuck::cast_slice(self.ids.get()),
            bytemuck::cast_slice(self.dead.get()),
            bytemuck::cast_slice(self.codes.get()),
            bytemuck::cast_slice(self.links.get()),
            bytemuck::cast_slice(self.upper.get()),
            bytemuck::cast_slice(self.floats.get()),
        ]
    }

    /// Fills what is not stored.
    fn derive(&mut self, upper: u64) -> Result<(), FileError> {
        let mut derived = Derived::default();
        let mut lists = 0u32;
        let mut live = Vec::new();
        for (row, &id) in self.ids.get().iter().enumerate() {
            let level = level(id, self.params.seed, self.params.m);
            derived.upper_at.push(lists);
            derived.levels.push(level);
            lists += u32::from(level);
            if !self.is_dead(row as u32) {
                live.push((id, row as u32));
            }
        }
        if u64::from(lists) != upper {
            return Err(FileError::Header { field: "upper lists", value: upper });
        }
        live.sort_unstable();
        if let Some(pair) = live.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(FileError::DuplicateId(pair[0].0));
        }
        derived.rows_by_id = live.into_iter().collect();
        if self.params.metric == Metric::L2 {
            derived.norms = self.codes.get().chunks_exact(self.params.width).map(norm).collect();
        }
        let highest = derived.levels.iter().max();
        derived.entry = derived.levels.iter().position(|level| Some(level) == highest).map(|row| row as u32);
        self.derived = derived;
        Ok(())
    }

    fn check_values(&self) -> Result<(), FileError> {
        let width = self.params.width;
        if let Some(at) = self.codes.get().iter().position(|&c| c == i8::MIN) {
            return Err(FileError::Code { row: at / width });
        }
        match self.floats.get().iter().position(|v| !v.is_finite()) {
            Some(at) => Err(FileError::NotFinite { row: at / width }),
            None => Ok(()),
        }
    }

    fn check_links(&self) -> Result<(), FileError> {
        let graph = self.graph();
        let mut sorted = Vec::new();
        for row in 0..self.rows() as u32 {
            for layer in 0..=graph.level(row) {
                let held = graph.neighbours(row, layer);
                let unused = &graph.list(row, layer)[held.len()..];
                let stray = unused.iter().find(|&&link| link != NONE);
                let leads_nowhere =
                    |link: u32| link as usize >= self.rows() || link == row || graph.level(link) < layer;
                let bad = stray.or_else(|| held.iter().find(|&&link| leads_nowhere(link)));
                sorted.clear();
                sorted.extend(held);
                sorted.sort_unstable();
                let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &pair[0]);
                if let Some(&link) = bad.or(twice) {
                    return Err(FileError::Link { row: row as usize, layer: layer.into(), link });
                }
            }
        }
        Ok(())
    }
}

/// What a header says, in range.
struct Head {
    params: Params,
    rows: usize,
    upper: u64,
}

/// Checks everything that does not depend on the sections.
fn check_frame(bytes: &[u8]) -> Result<Head, FileError> {
    if !bytes.starts_with(MAGIC) {
        return Err(FileError::Magic);
    }
    let least = LINE + DIGEST;
    if bytes.len() < least {
        return Err(FileError::Length { found: bytes.len() as u64, wanted: least as u64 });
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let wide = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if word(8) != VERSION {
        return Err(FileError::Version(word(8)));
    }
    let (body, digest) = bytes.split_at(bytes.len() - DIGEST);
    if Sha256::digest(body)[..] != *digest {
        return Err(FileError::Checksum);
    }
    let bad = |field, value: u64| FileError::Header { field, value };
    let metric = *METRICS.get(word(12) as usize).ok_or(bad("metric", word(12).into()))?;
    if word(28) > 1 {
        return Err(bad("flags", word(28).into()));
    }
    if word(60) != 0 {
        return Err(bad("the last word", word(60).into()));
    }
    let rows =
        usize::try_from(wide(40)).ok().filter(|&rows| rows <= MAX_ROWS).ok_or(bad("rows", wide(40)))?;
    let scale = (word(56) != 0).then(|| f32::from_bits(word(56)));
    if scale.is_none() && rows > 0 {
        return Err(bad("scale", 0));
    }
    let params = Params {
        width: word(16) as usize,
        metric,
        m: word(20) as usize,
        ef_construction: word(24) as usize,
        seed: wide(32),
        keep_floats: word(28) == 1,
        scale,
    };
    params.validate()?;
    Ok(Head { params, rows, upper: wide(48) })
}

impl Head {
    /// The bytes of every section.
    fn places(&self, bytes: &[u8]) -> Result<[Range<usize>; 6], FileError> {
        if self.upper > u64::from(u32::MAX) {
            return Err(FileError::Header { field: "upper lists", value: self.upper });
        }
        // No product leaves 64 bits: rows and lists are below 2^32, a row below 2^15 bytes.
        let (rows, width, m) = (self.rows as u64, self.params.width as u64, self.params.m as u64);
        let floats = if self.params.keep_floats { 4 * rows * width } else { 0 };
        let lens = [8 * rows, 8 * rows.div_ceil(64), rows * width, 8 * rows * m, 4 * self.upper * m, floats];
        let padded = lens.iter().map(|len| len.next_multiple_of(LINE as u64)).sum::<u64>();
        let (found, wanted) = (bytes.len() as u64, (LINE + DIGEST) as u64 + padded);
        if found != wanted {
            return Err(FileError::Length { found, wanted });
        }
        let mut at = LINE;
        let mut places = [const { 0..0 }; 6];
        for ((place, len), name) in places.iter_mut().zip(lens).zip(SECTIONS) {
            // Within the file, so within an address.
            *place = at..at + len as usize;
            at = place.end.next_multiple_of(LINE);
            if bytes[place.end..at].iter().any(|&b| b != 0) {
                return Err(FileError::Padding(name));
            }
        }
        Ok(places)
    }
}

fn section<T: Pod>(owner: &Owner, place: &Range<usize>) -> Section<T> {
    Section::borrow(owner, place.clone()).expect("places lie in the file and hold whole elements")
}

fn check_dead(dead: &[u64], rows: usize) -> Result<(), FileError> {
    match dead.last() {
        Some(&last) if !rows.is_multiple_of(64) && last >> (rows % 64) != 0 => {
            Err(FileError::Padding("dead"))
        }
        _ => Ok(()),
    }
}

const MAGIC: &[u8; 8] = b"EDGEHNSW";
const VERSION: u32 = 1;
const METRICS: [Metric; 3] = [Metric::Cosine, Metric::L2, Metric::Dot];
const SECTIONS: [&str; 6] = ["ids", "dead", "codes", "links", "upper", "floats"];
const DIGEST: usize = 32;
