//! What calibration decided, in about a tenth of a byte per weight.
//!
//! A recipe holds the layout and, for every GEMM weight, how far its integer lies from the nearest one (mostly 0,
//! else 1 toward the weight's other neighbour), range-coded. Everything else follows by formula; where a target
//! still differs, a patch says so. The file, all numbers little-endian:
//!
//! ```text
//! magic "ENRECIPE", version u16, SHA-256 of the weights [32], config JSON (u32 length),
//! hidden groups (u8 count, u16 each), perm (u16 each), ffn groups (u8 count, u16 each), units (u16 each, per layer),
//! coded differences (u32 length), patches (u32 count; each: name (u32 length), u32 count, (index u32, delta i64)),
//! metadata patches (u32 count; each: key (u32 length), value (u32 length)), SHA-256 of all of the above [32]
//! ```

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::build::{self, Rounding, Scaled, Site, nearest_code};
use super::coder::{Bit, Coder, Decoder, Encoder};
use super::error::{QuantiseError, RecipeError};
use super::float::FloatBert;
use super::layout::Layout;
use super::tensors::IntTensors;
use super::{Progress, hex};
use crate::bert::{BertConfig, IntModelError};

/// How a calibrated integer model differs from nearest rounding of the weights it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    source: [u8; 32],
    config: BertConfig,
    layout: Layout,
    differences: Vec<u8>,
    patches: Vec<Patch>,
    metadata: BTreeMap<String, String>,
}

/// Elements of one tensor that differ from the formula: (row-major index, target - formula).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patch {
    name: String,
    elements: Vec<(u32, i64)>,
}

impl Recipe {
    /// The recipe that leads from these weights to the target. Only the tensors and scalars the formulas produce
    /// are compared: `vocab` and labels in the target's metadata play no part.
    pub fn between(float: &FloatBert, target: &IntTensors) -> Result<Self, QuantiseError> {
        let layout = Layout::recover(float, target)?;
        let mut encode =
            Differences { target, layout: &layout, coder: Encoder::new(), models: Models::new() };
        let built = build::build(float, &layout, &mut encode, &mut |_| ())?;
        let differences = encode.coder.finish();
        let mut patches = Vec::new();
        for (name, formula) in &built.tensors {
            let wanted = target.tensors.get(name);
            let wanted = wanted.ok_or_else(|| IntModelError::MissingTensor { name: name.clone() })?;
            if wanted.shape != formula.shape {
                let (wanted, found) = (formula.shape.clone(), wanted.shape.clone());
                return Err(IntModelError::Shape { name: name.clone(), wanted, found }.into());
            }
            if wanted.data.dtype() != formula.data.dtype() {
                let found = wanted.data.dtype().into();
                return Err(IntModelError::Dtype { name: name.clone(), found }.into());
            }
            let delta = |i: usize| (i as u32, wanted.data.at(i) - formula.data.at(i));
            let elements: Vec<_> = (0..wanted.data.len()).map(delta).filter(|(_, d)| *d != 0).collect();
            if !elements.is_empty() {
                patches.push(Patch { name: name.clone(), elements });
            }
        }
        let mut metadata = BTreeMap::new();
        for (key, formula) in built.metadata.iter().filter(|(key, _)| !LABELS.contains(&key.as_str())) {
            let wanted = target.text(key)?;
            if wanted != formula {
                metadata.insert(key.clone(), wanted.to_owned());
            }
        }
        let (source, config) = (float.sha256(), float.config().clone());
        Ok(Self { source, config, layout, differences, patches, metadata })
    }

    /// The shape and pooling the recipe is for.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// SHA-256 of the weights file the recipe is for.
    pub fn source_sha256(&self) -> [u8; 32] {
        self.source
    }

    /// How many integers outside the coded differences deviate from the formulas.
    pub fn patched(&self) -> usize {
        self.patches.iter().map(|p| p.elements.len()).sum::<usize>() + self.metadata.len()
    }

    /// Serialises; see the module for the format.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.0.extend_from_slice(&VERSION.to_le_bytes());
        out.0.extend_from_slice(&self.source);
        out.block(serde_json::to_string(&self.config).expect("a plain struct has a JSON form").as_bytes());
        out.groups(&self.layout.hidden_groups);
        out.numbers(&self.layout.perm);
        out.groups(&self.layout.ffn_groups);
        self.layout.units.iter().for_each(|order| out.numbers(order));
        out.block(&self.differences);
        out.count(self.patches.len());
        for patch in &self.patches {
            out.block(patch.name.as_bytes());
            out.count(patch.elements.len());
            for (index, delta) in &patch.elements {
                out.0.extend_from_slice(&index.to_le_bytes());
                out.0.extend_from_slice(&delta.to_le_bytes());
            }
        }
        out.count(self.metadata.len());
        for (key, value) in &self.metadata {
            out.block(key.as_bytes());
            out.block(value.as_bytes());
        }
        let digest = Sha256::digest(&out.0);
        out.0.extend_from_slice(&digest);
        out.0
    }

    /// Parses and checks a recipe. No input panics or allocates more than a small multiple of its own length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecipeError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(RecipeError::Magic);
        }
        let mut input = Reader { bytes, at: MAGIC.len() };
        let found = input.u16("version")?;
        if found != VERSION {
            return Err(RecipeError::Version { found, wanted: VERSION });
        }
        let body =
            bytes.len().checked_sub(32).filter(|&body| body >= input.at).ok_or(RecipeError::Checksum)?;
        if Sha256::digest(&bytes[..body])[..] != bytes[body..] {
            return Err(RecipeError::Checksum);
        }
        input.bytes = &bytes[..body];
        let source = *input.array("source digest")?;
        let bad = |what, offset| RecipeError::Malformed { what, offset };
        let at = input.at;
        let config: BertConfig =
            serde_json::from_slice(input.block("config")?).map_err(|_| bad("config", at))?;
        config.validate().map_err(|_| bad("config", at))?;
        let layout = input.layout(&config)?;
        let differences = input.block("differences")?.to_vec();
        let patches = (0..input.u32("patch count")?).map(|_| input.patch()).collect::<Result<_, _>>()?;
        let mut metadata = BTreeMap::new();
        for _ in 0..input.u32("metadata count")? {
            metadata.insert(input.text("metadata key")?, input.text("metadata value")?);
        }
        if input.at != body {
            return Err(bad("length", input.at));
        }
        Ok(Self { source, config, layout, differences, patches, metadata })
    }

    pub(super) fn apply(
        &self,
        float: &FloatBert,
        source: &[u8; 32],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<IntTensors, QuantiseError> {
        if *source != self.source {
            return Err(QuantiseError::WrongWeights { wanted: hex(&self.source), found: hex(source) });
        }
        if *float.config() != self.config {
            let json = |c| serde_json::to_string(c).expect("a plain struct has a JSON form");
            return Err(QuantiseError::WrongConfig {
                wanted: json(&self.config),
                found: json(float.config()),
            });
        }
        let mut decode = Apply { coder: Decoder::new(&self.differences), models: Models::new() };
        let mut model = build::build(float, &self.layout, &mut decode, progress)?;
        let contents = |text: String| QuantiseError::Recipe(RecipeError::Contents(text));
        if !decode.coder.is_finished() {
            return Err(contents("the coded differences do not end with the last weight".into()));
        }
        for Patch { name, elements } in &self.patches {
            let tensor =
                model.tensors.get_mut(name).ok_or_else(|| contents(format!("patch of unknown {name}")))?;
            for &(index, delta) in elements {
                let at = index as usize;
                let old = if at < tensor.data.len() { tensor.data.at(at) } else { 0 };
                if !old.checked_add(delta).is_some_and(|new| tensor.data.put(at, new)) {
                    return Err(contents(format!("patch of {name}[{index}] by {delta} is out of range")));
                }
            }
        }
        for (key, value) in &self.metadata {
            let slot =
                model.metadata.get_mut(key).ok_or_else(|| contents(format!("patch of unknown {key}")))?;
            slot.clone_from(value);
        }
        Ok(model)
    }
}

/// Rounds as the target did, and records how that differs from the nearest code.
struct Differences<'a> {
    target: &'a IntTensors,
    layout: &'a Layout,
    coder: Encoder,
    models: Models,
}

impl Rounding for Differences<'_> {
    fn round(&mut self, site: Site, matrix: &Scaled) -> Result<Vec<i32>, QuantiseError> {
        let mut codes = self.target_codes(site, matrix)?;
        self.models.code(matrix, &mut codes, &mut self.coder);
        Ok(codes)
    }
}

impl Differences<'_> {
    /// The target's codes with copies of a unit gathered: one row of up, the sum of columns of down.
    fn target_codes(&self, site: Site, matrix: &Scaled) -> Result<Vec<i32>, IntModelError> {
        let name = format!("layer.{}.{}.q", site.layer, site.op.name());
        let (rows, cols) = (matrix.steps.len(), matrix.cols);
        let order = &self.layout.units[site.layer];
        let mut codes = vec![0; rows * cols];
        match site.op {
            build::Op::Up => {
                let q = self.target.get::<i8>(&name, &[order.len(), cols])?;
                for (row, &unit) in q.chunks_exact(cols).zip(order) {
                    let into = &mut codes[usize::from(unit) * cols..][..cols];
                    into.iter_mut().zip(row).for_each(|(code, &q)| *code = q.into());
                }
            }
            build::Op::Down => {
                let q = self.target.get::<i8>(&name, &[rows, order.len()])?;
                for (row, into) in q.chunks_exact(order.len()).zip(codes.chunks_exact_mut(cols)) {
                    row.iter().zip(order).for_each(|(&q, &unit)| into[usize::from(unit)] += i32::from(q));
                }
            }
            _ => {
                let q = self.target.get::<i8>(&name, &[rows, cols])?;
                codes.iter_mut().zip(q).for_each(|(code, &q)| *code = q.into());
            }
        }
        // A code past its limit cannot be coded; the patch corrects it.
        for row in codes.chunks_exact_mut(cols) {
            for (code, &limit) in row.iter_mut().zip(&matrix.limits) {
                *code = (*code).clamp(-(limit as i32), limit as i32);
            }
        }
        Ok(codes)
    }
}

/// Rounds as the recipe says.
struct Apply<'a> {
    coder: Decoder<'a>,
    models: Models,
}

impl Rounding for Apply<'_> {
    fn round(&mut self, site: Site, matrix: &Scaled) -> Result<Vec<i32>, QuantiseError> {
        let mut codes = vec![0; matrix.weights.len()];
        self.models.code(matrix, &mut codes, &mut self.coder);
        let beyond = codes
            .chunks_exact(matrix.cols)
            .any(|row| row.iter().zip(&matrix.limits).any(|(&code, &limit)| f64::from(code.abs()) > limit));
        if beyond {
            let text = format!("layer {} {}: a code is beyond its limit", site.layer, site.op.name());
            return Err(RecipeError::Contents(text).into());
        }
        Ok(codes)
    }
}

/// Adaptive probabilities of a difference. It is certain to be 0 for a weight on an integer and a coin toss for one
/// halfway between two, and GPTQ moves the columns it treats last more; so the context is the distance to the
/// nearest integer and how often this column has moved so far.
struct Models {
    zero: Vec<Bit>,
    outward: [Bit; DISTANCES],
    larger: [Bit; UNARY],
    raw: [Bit; RAW_BITS],
}

impl Models {
    fn new() -> Self {
        let zero = vec![Bit::NEW; DISTANCES * MOVES];
        Self { zero, outward: [Bit::NEW; DISTANCES], larger: [Bit::NEW; UNARY], raw: [Bit::NEW; RAW_BITS] }
    }

    /// Codes a matrix: with an encoder `codes` is read, with a decoder it is written.
    fn code(&mut self, matrix: &Scaled, codes: &mut [i32], coder: &mut impl Coder) {
        let mut moved = vec![1u32 << 14; matrix.cols];
        let rows = matrix.weights.chunks_exact(matrix.cols).zip(codes.chunks_exact_mut(matrix.cols));
        for ((row, codes), step) in rows.zip(&matrix.steps) {
            for (((w, code), limit), moved) in row.iter().zip(codes).zip(&matrix.limits).zip(&mut moved) {
                let scaled = w / step;
                let nearest = nearest_code(scaled, *limit);
                let rest = scaled - nearest;
                let distance = ((rest.abs() * (2 * DISTANCES) as f64) as usize).min(DISTANCES - 1);
                let sign = if rest < 0.0 { -1 } else { 1 };
                let class = (*moved as usize >> 12).min(MOVES - 1);
                let difference = (*code - nearest as i32) * sign;
                let difference = self.difference(difference, distance, class, coder);
                *code = nearest as i32 + difference * sign;
                *moved = *moved - (*moved >> 6) + (u32::from(difference != 0) << 10);
            }
        }
    }

    fn difference(&mut self, value: i32, distance: usize, class: usize, coder: &mut impl Coder) -> i32 {
        if coder.code(value == 0, &mut self.zero[class * DISTANCES + distance]) {
            return 0;
        }
        let toward = coder.code(value > 0, &mut self.outward[distance]);
        let mut size = 1;
        while size <= UNARY as i32 && coder.code(value.abs() > size, &mut self.larger[size as usize - 1]) {
            size += 1;
        }
        if size > UNARY as i32 {
            let rest = value.abs() - size;
            let bit = |(i, model): (usize, &mut Bit)| i32::from(coder.code(rest >> i & 1 == 1, model)) << i;
            size += self.raw.iter_mut().enumerate().map(bit).sum::<i32>();
        }
        if toward { size } else { -size }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, n: usize) {
        let n = u32::try_from(n).expect("a model has fewer than 2^32 of anything");
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn block(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn numbers(&mut self, numbers: &[u16]) {
        numbers.iter().for_each(|n| self.0.extend_from_slice(&n.to_le_bytes()));
    }

    fn groups(&mut self, groups: &[usize]) {
        self.0.push(groups.len() as u8);
        groups.iter().for_each(|&g| self.numbers(&[g as u16]));
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], RecipeError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or(RecipeError::Malformed { what, offset: self.at })?;
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<&'a [u8; N], RecipeError> {
        Ok(self.take(N, what)?.try_into().expect("take gives the length asked for"))
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, RecipeError> {
        Ok(u16::from_le_bytes(*self.array(what)?))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, RecipeError> {
        Ok(u32::from_le_bytes(*self.array(what)?))
    }

    fn block(&mut self, what: &'static str) -> Result<&'a [u8], RecipeError> {
        let length = self.u32(what)?;
        self.take(length as usize, what)
    }

    fn text(&mut self, what: &'static str) -> Result<String, RecipeError> {
        let offset = self.at;
        let text = std::str::from_utf8(self.block(what)?);
        text.map(str::to_owned).map_err(|_| RecipeError::Malformed { what, offset })
    }

    fn numbers(&mut self, n: usize, what: &'static str) -> Result<Vec<u16>, RecipeError> {
        Ok(self.take(2 * n, what)?.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b)).collect())
    }

    fn groups(&mut self, what: &'static str) -> Result<Vec<usize>, RecipeError> {
        let [count] = *self.array(what)?;
        Ok(self.numbers(count.into(), what)?.into_iter().map(usize::from).collect())
    }

    fn layout(&mut self, config: &BertConfig) -> Result<Layout, RecipeError> {
        let hidden_groups = self.groups("hidden groups")?;
        let perm = self.numbers(config.hidden_size, "channel order")?;
        let ffn_groups = self.groups("ffn groups")?;
        let width = ffn_groups.iter().sum();
        let units = (0..config.num_hidden_layers).map(|_| self.numbers(width, "unit order"));
        let units = units.collect::<Result<_, _>>()?;
        Layout::new(config, hidden_groups, perm, ffn_groups, units)
            .map_err(|e| RecipeError::Contents(e.to_string()))
    }

    fn patch(&mut self) -> Result<Patch, RecipeError> {
        let name = self.text("patch name")?;
        let count = self.u32("patch length")? as usize;
        let element = |b: &[u8; 12]| {
            let (index, delta) = b.split_at(4);
            let index = u32::from_le_bytes(index.try_into().expect("4 bytes"));
            (index, i64::from_le_bytes(delta.try_into().expect("8 bytes")))
        };
        let bytes =
            count.checked_mul(12).ok_or(RecipeError::Malformed { what: "patch length", offset: self.at })?;
        let elements = self.take(bytes, "patch")?.as_chunks().0.iter().map(element).collect();
        Ok(Patch { name, elements })
    }
}

const MAGIC: [u8; 8] = *b"ENRECIPE";
const VERSION: u16 = 1;
/// Metadata that names the model rather than counts; a target may lack it.
const LABELS: [&str; 3] = ["format", "numerics", "config"];
/// Classes of a weight's distance to its nearest integer, 0 to 1/2.
const DISTANCES: usize = 32;
/// Classes of how often a column has moved.
const MOVES: usize = 16;
/// Sizes coded one step at a time; larger ones follow in binary.
const UNARY: usize = 14;
const RAW_BITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_differences_survive_coding() {
        let (rows, cols) = (3000, 3);
        let weights: Vec<f64> = (0..rows * cols).map(|i| (i * 7919 % 2001) as f64 / 10.0 - 100.0).collect();
        let matrix = Scaled { cols, weights, steps: vec![1.0; rows], limits: vec![127.0, 30_000.0, 127.0] };
        // Column 0 always moves, column 1 jumps between the largest codes, column 2 never moves.
        let code = |i: usize, w: f64| match i % cols {
            0 => (w + 0.5).floor() as i32 + 1,
            1 => [30_000, -30_000, 15, -14][i / cols % 4],
            _ => (w + 0.5).floor() as i32,
        };
        let wanted: Vec<i32> = matrix.weights.iter().enumerate().map(|(i, &w)| code(i, w)).collect();
        let mut encoder = Encoder::new();
        Models::new().code(&matrix, &mut wanted.clone(), &mut encoder);
        let bytes = encoder.finish();
        let (mut found, mut decoder) = (vec![0; wanted.len()], Decoder::new(&bytes));
        Models::new().code(&matrix, &mut found, &mut decoder);
        assert_eq!(found, wanted);
        assert!(decoder.is_finished());
    }
}
