//! The integer model file: named integer arrays and string metadata in one safetensors container.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use plan::MAX_GROUPS;
use safetensors::{Dtype, SafeTensors};

use crate::bert::IntModelError;
use crate::bert::{BertConfig, IntBert};

/// The elements of one tensor, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its element type")]
pub enum IntData {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
}

/// One integer array with its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntTensor {
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// The elements; as many as the product of `shape`.
    pub data: IntData,
}

/// A whole integer model: what `numerics.md` section 3 calls the file.
///
/// ```text
/// word  i8 [vocab, hidden]    word_s u16 [vocab]      pos  i16 [tokens, hidden]
/// perm  u16 [hidden]          exp2   u16 [256]        gelu u8 [1280]
/// ln0.g i16 [hidden]          ln0.b  i32 [hidden]     vocab u8 [bytes]
/// layer.N.{query, key, value, o, up, down}: .q i8 [out, in], .mc u16 [out], .b i32 [out]
/// layer.N.down.corr i32 [groups, hidden]
/// layer.N.{ln1, ln2}: .g i16 [hidden], .b i32 [hidden]
/// ```
///
/// Scalars (`pos_e`, `*.e`, `*.t`, `*.S`), group sizes and labels are strings in the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntTensors {
    /// Scalars and labels, by key.
    pub metadata: BTreeMap<String, String>,
    /// Arrays, by name.
    pub tensors: BTreeMap<String, IntTensor>,
}

/// An element type that a tensor can be read as.
pub trait Element: Copy + 'static {
    /// The safetensors name of the type.
    const DTYPE: &'static str;
    /// The elements, when they are of this type.
    fn of(data: &IntData) -> Option<&[Self]>;
}

impl IntTensors {
    /// Value of the metadata key `format`.
    pub const FORMAT: &'static str = "edge-net.int-bert";
    /// Version of the arithmetic, metadata key `numerics`.
    pub const NUMERICS: &'static str = "1";

    /// Checks that this is a model every device computes alike: shapes, ranges and overflow bounds, by loading
    /// it as an engine would. The contents of `vocab` are the tokenizer's to check.
    ///
    /// # Errors
    /// Names the tensor or metadata key at fault.
    pub fn validate(&self) -> Result<BertConfig, IntModelError> {
        IntBert::from_bytes(Arc::new(self.to_safetensors())).map(|model| model.config().clone())
    }

    /// Serialises to safetensors. The bytes depend on the contents alone: header and order are written here, not
    /// by the crate. The data starts at a multiple of 64 bytes; tensors go by falling alignment, those whose size
    /// is no multiple of 8 last, so that every tensor of more than one byte per element starts at a multiple of 8.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let mut order: Vec<(&String, &IntTensor)> = self.tensors.iter().collect();
        order.sort_by_key(|(_, t)| (t.byte_len() % 8 != 0, std::cmp::Reverse(t.data.element_bytes())));
        let mut header = String::from("{\"__metadata__\":");
        header += &json(&self.metadata);
        let mut at = 0;
        for (name, tensor) in &order {
            let end = at + tensor.byte_len();
            let (name, dtype, shape) = (json(name), tensor.data.dtype(), json(&tensor.shape));
            let entry = format_args!(
                ",{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{at},{end}]}}"
            );
            header.write_fmt(entry).expect("writing to a string cannot fail");
            at = end;
        }
        header.push('}');
        while (8 + header.len()) % HEADER_ALIGN != 0 {
            header.push(' ');
        }
        let mut bytes = Vec::with_capacity(8 + header.len() + at);
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        for (_, tensor) in &order {
            bytes.extend_from_slice(&tensor.data.le_bytes());
        }
        bytes
    }

    /// Parses a safetensors file of integer tensors. Structure only; [`IntTensors::validate`] checks the contents.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, IntModelError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(bytes)?.iter() {
            let data = IntData::from_le_bytes(view.dtype(), view.data()).ok_or_else(|| {
                IntModelError::Dtype { name: name.into(), found: format!("{:?}", view.dtype()) }
            })?;
            tensors.insert(name.to_owned(), IntTensor { shape: view.shape().to_vec(), data });
        }
        Ok(Self { metadata, tensors })
    }

    /// The elements of a tensor that must have this type and shape.
    pub fn get<T: Element>(&self, name: &str, shape: &[usize]) -> Result<&[T], IntModelError> {
        let tensor = self.tensor(name)?;
        if tensor.shape != shape {
            let (wanted, found) = (shape.to_vec(), tensor.shape.clone());
            return Err(IntModelError::Shape { name: name.into(), wanted, found });
        }
        self.flat(name)
    }

    /// The elements of a tensor that must have this type; any shape.
    pub fn flat<T: Element>(&self, name: &str) -> Result<&[T], IntModelError> {
        let data = &self.tensor(name)?.data;
        T::of(data).ok_or_else(|| IntModelError::Dtype { name: name.into(), found: data.dtype().into() })
    }

    /// A metadata scalar.
    pub fn number(&self, key: &str) -> Result<i32, IntModelError> {
        let value = self.text(key)?;
        value.parse().map_err(|_| IntModelError::Metadata { key: key.into(), value: value.into() })
    }

    /// A metadata list of group sizes: at most [`MAX_GROUPS`], each at most 65535.
    pub fn groups(&self, key: &str) -> Result<Vec<usize>, IntModelError> {
        let value = self.text(key)?;
        let groups: Option<Vec<u16>> = serde_json::from_str(value).ok();
        match groups.filter(|groups| groups.len() <= MAX_GROUPS) {
            Some(groups) => Ok(groups.into_iter().map(usize::from).collect()),
            None => Err(IntModelError::Metadata { key: key.into(), value: value.into() }),
        }
    }

    /// The encoder's shape, from the metadata.
    pub fn config(&self) -> Result<BertConfig, IntModelError> {
        let value = self.text("config")?;
        let config: BertConfig = serde_json::from_str(value)
            .map_err(|_| IntModelError::Metadata { key: "config".into(), value: value.into() })?;
        config.validate()?;
        Ok(config)
    }

    /// A metadata value.
    pub fn text(&self, key: &str) -> Result<&str, IntModelError> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| IntModelError::MissingMetadata { key: key.into() })
    }

    fn tensor(&self, name: &str) -> Result<&IntTensor, IntModelError> {
        self.tensors.get(name).ok_or_else(|| IntModelError::MissingTensor { name: name.into() })
    }

    pub(super) fn insert(&mut self, name: impl Into<String>, shape: &[usize], data: IntData) {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        self.tensors.insert(name.into(), IntTensor { shape: shape.to_vec(), data });
    }

    pub(super) fn set(&mut self, key: impl Into<String>, value: impl ToString) {
        self.metadata.insert(key.into(), value.to_string());
    }
}

impl IntTensor {
    fn byte_len(&self) -> usize {
        self.data.len() * self.data.element_bytes()
    }
}

/// Runs `$body` on the vector of whichever variant `$data` is.
macro_rules! each {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            IntData::I8($v) => $body,
            IntData::U8($v) => $body,
            IntData::I16($v) => $body,
            IntData::U16($v) => $body,
            IntData::I32($v) => $body,
        }
    };
}

impl IntData {
    /// Number of elements.
    #[expect(clippy::len_without_is_empty, reason = "no tensor of a model is empty")]
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// The element at `index`, which must be below [`IntData::len`].
    pub fn at(&self, index: usize) -> i64 {
        each!(self, v => i64::from(v[index]))
    }

    /// The safetensors name of the element type.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::I8(_) => i8::DTYPE,
            Self::U8(_) => u8::DTYPE,
            Self::I16(_) => i16::DTYPE,
            Self::U16(_) => u16::DTYPE,
            Self::I32(_) => i32::DTYPE,
        }
    }

    /// The elements as little-endian bytes.
    pub fn le_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::U8(v) => Cow::Borrowed(v),
            _ => Cow::Owned(each!(self, v => v.iter().flat_map(|x| x.to_le_bytes()).collect())),
        }
    }

    /// Replaces one element; false when `value` does not fit the type or `index` is past the end.
    #[must_use]
    pub(super) fn put(&mut self, index: usize, value: i64) -> bool {
        each!(self, v => match (v.get_mut(index), value.try_into()) {
            (Some(slot), Ok(value)) => {
                *slot = value;
                true
            }
            _ => false,
        })
    }

    fn element_bytes(&self) -> usize {
        match self {
            Self::I8(_) | Self::U8(_) => 1,
            Self::I16(_) | Self::U16(_) => 2,
            Self::I32(_) => 4,
        }
    }

    fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Self> {
        Some(match dtype {
            Dtype::I8 => Self::I8(bytes.iter().map(|&b| b.cast_signed()).collect()),
            Dtype::U8 => Self::U8(bytes.to_vec()),
            Dtype::I16 => Self::I16(bytes.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect()),
            Dtype::U16 => Self::U16(bytes.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b)).collect()),
            Dtype::I32 => Self::I32(bytes.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b)).collect()),
            _ => return None,
        })
    }
}

macro_rules! element {
    ($($type:ty, $variant:ident, $name:literal;)*) => {$(
        impl Element for $type {
            const DTYPE: &'static str = $name;
            fn of(data: &IntData) -> Option<&[Self]> {
                if let IntData::$variant(v) = data { Some(v) } else { None }
            }
        }
    )*};
}

element! { i8, I8, "I8"; u8, U8, "U8"; i16, I16, "I16"; u16, U16, "U16"; i32, I32, "I32"; }

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and lists of numbers always have a JSON form")
}

/// A cache line: mapped files and uploaded buffers then start aligned.
const HEADER_ALIGN: usize = 64;
