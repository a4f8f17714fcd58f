//! The order of channels and feed-forward units in an integer model.
//!
//! Activations are quantised in groups that share one scale. Channels whose values are far larger than the rest
//! go into small groups at the front, so that they do not cost the others their precision; feed-forward units
//! that carry an outlying weight appear several times and share it.

use plan::MAX_GROUPS;

use super::build::{self, Op, Site};
use super::error::{LayoutError, QuantiseError};
use super::float::FloatBert;
use super::tensors::IntTensors;
use crate::bert::BertConfig;

/// Channel permutation, feed-forward unit order with copies, and the group sizes over both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) hidden_groups: Vec<usize>,
    /// Model channel at each position of the integer model.
    pub(super) perm: Vec<u16>,
    pub(super) ffn_groups: Vec<usize>,
    /// Per layer, the model's unit at each position; a unit that occurs n times has n - 1 copies.
    pub(super) units: Vec<Vec<u16>>,
}

/// Group sizes for a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// Hidden channels, outliers first; all but the last are small.
    pub hidden: Vec<usize>,
    /// Feed-forward units: outliers and copies, then the rest.
    pub ffn: Vec<usize>,
    /// How many outlier units come first.
    pub outliers: usize,
    /// How many copies follow them.
    pub copies: usize,
}

impl GroupRule {
    /// [4, 12, 48, 320] of 384 channels and [32 + 32 copies | 1504] of 1536 units (numerics.md step 1), other widths
    /// in proportion: hidden groups in multiples of 4, feed-forward groups in multiples of 16.
    pub fn of(config: &BertConfig) -> Self {
        let (h, f) = (config.hidden_size, config.intermediate_size);
        let small = [96, 32, 8].map(|share| (h / share / 4 * 4).max(4));
        let mut hidden = small.to_vec();
        hidden.push(h - small.iter().sum::<usize>());
        let copies = (f / 48 / 16 * 16).max(16);
        let outliers = if f > copies { copies } else { 0 };
        Self { hidden, ffn: vec![outliers + copies, f - outliers], outliers, copies }
    }
}

impl Layout {
    /// Checks a layout against a shape: groups cover the widths, `perm` is a permutation, every unit occurs.
    pub fn new(
        config: &BertConfig,
        hidden_groups: Vec<usize>,
        perm: Vec<u16>,
        ffn_groups: Vec<usize>,
        units: Vec<Vec<u16>>,
    ) -> Result<Self, LayoutError> {
        let fail = |text: String| Err(LayoutError(text));
        let h = config.hidden_size;
        if !covers(&hidden_groups, h, 4) {
            return fail(format!(
                "hidden groups {hidden_groups:?} do not cover {h} channels in multiples of 4"
            ));
        }
        if occurrences(&perm, h).is_none_or(|n| perm.len() != h || n.contains(&0)) {
            return fail(format!("the channel order is no permutation of 0..{h}"));
        }
        if units.len() != config.num_hidden_layers {
            return fail(format!("unit orders for {} layers, not {}", units.len(), config.num_hidden_layers));
        }
        for (layer, order) in units.iter().enumerate() {
            let width = order.len();
            if !covers(&ffn_groups, width, 16) {
                return fail(format!(
                    "layer {layer}: groups {ffn_groups:?} do not cover {width} units by 16"
                ));
            }
            let copies = occurrences(order, config.intermediate_size);
            if copies.is_none_or(|n| n.iter().any(|k| !(1..=MAX_COPIES).contains(k))) {
                return fail(format!("layer {layer}: some unit is missing, foreign or copied too often"));
            }
        }
        Ok(Self { hidden_groups, perm, ffn_groups, units })
    }

    /// A layout from the weights alone, for models nobody calibrated: the size of a LayerNorm's output is guessed
    /// from its gain and offset, that of a feed-forward unit from its row of weights.
    pub fn from_weights(float: &FloatBert) -> Self {
        let h = float.config.hidden_size;
        let mut score = vec![0.0; h];
        let norms = float.layers.iter().flat_map(|l| [&l.norm1, &l.norm2]);
        for norm in std::iter::once(&float.norm).chain(norms) {
            let pairs = norm.gamma.iter().zip(norm.beta.iter());
            let size: Vec<f64> =
                pairs.map(|(&g, &b)| 4.0 * f64::from(g.abs()) + f64::from(b.abs())).collect();
            raise(&mut score, &relative_to_median(&size));
        }
        let sizes = float.layers.iter().map(|layer| {
            let rows = layer.up.weight.chunks_exact(h);
            let unit = |(row, &bias): (&[f32], &f32)| {
                let weighted =
                    row.iter().zip(layer.norm1.gamma.iter()).map(|(&w, &g)| f64::from(w) * f64::from(g));
                weighted.map(|x| x * x).sum::<f64>().sqrt() + f64::from(bias.max(0.0))
            };
            rows.zip(layer.up.bias.iter()).map(unit).collect()
        });
        Self::by_size(float, &score, &sizes.collect::<Vec<Vec<f64>>>())
    }

    /// Channels by falling `channel_score`, units by falling `unit_size` per layer, copies by the weights.
    pub(super) fn by_size(float: &FloatBert, channel_score: &[f64], unit_size: &[Vec<f64>]) -> Self {
        let rule = GroupRule::of(&float.config);
        let unit_order = |(layer, size): (usize, &Vec<f64>)| {
            let order = falling(size);
            let copies = copies(float, layer, rule.copies);
            let repeated = (0u16..).zip(&copies).flat_map(|(unit, &k)| std::iter::repeat_n(unit, k - 1));
            order[..rule.outliers]
                .iter()
                .copied()
                .chain(repeated)
                .chain(order[rule.outliers..].iter().copied())
                .collect()
        };
        Self {
            hidden_groups: rule.hidden,
            perm: falling(channel_score),
            ffn_groups: rule.ffn,
            units: unit_size.iter().enumerate().map(unit_order).collect(),
        }
    }

    /// Finds the layout an integer model was built with. Units are recognised by their up-row: equal multiplier and
    /// bias by formula, nearest weights among those.
    pub(super) fn recover(float: &FloatBert, target: &IntTensors) -> Result<Self, QuantiseError> {
        let config = &float.config;
        let h = config.hidden_size;
        let perm = target.get::<u16>("perm", &[h])?.to_vec();
        let (hidden_groups, ffn_groups) = (target.groups("hidden_groups")?, target.groups("ffn_groups")?);
        let mut layout = Self { hidden_groups, perm, ffn_groups, units: Vec::new() };
        // The permutation must be sound before it indexes the weights.
        let single = vec![(0..config.intermediate_size as u16).collect(); config.num_hidden_layers];
        Self::new(
            config,
            layout.hidden_groups.clone(),
            layout.perm.clone(),
            vec![config.intermediate_size],
            single,
        )?;
        let width = layout.ffn_groups.iter().sum::<usize>();
        for layer in 0..config.num_hidden_layers {
            let name = |field: &str| format!("layer.{layer}.up.{field}");
            let q = target.get::<i8>(&name("q"), &[width, h])?;
            let (mc, b) =
                (target.get::<u16>(&name("mc"), &[width])?, target.get::<i32>(&name("b"), &[width])?);
            let up = build::prepare(float, &layout.perm, None, Site { layer, op: Op::Up });
            let bias = up.plain_bias();
            let distance = |unit: usize, codes: &[i8]| -> f64 {
                let row = up.scaled.row(unit).iter().zip(codes);
                row.map(|(w, &c)| (w / up.scaled.steps[unit] - f64::from(c)).abs()).sum()
            };
            let find = |position: usize| {
                let same: Vec<usize> = (0..bias.len())
                    .filter(|&u| up.multipliers[u] == mc[position] && bias[u] == b[position])
                    .collect();
                let candidates = if same.is_empty() { (0..bias.len()).collect() } else { same };
                if let [only] = candidates[..] {
                    return only as u16;
                }
                let codes = &q[position * h..][..h];
                let near = candidates.into_iter().map(|u| (distance(u, codes), u));
                near.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, u)| u as u16)
            };
            layout.units.push((0..width).map(find).collect());
        }
        Ok(Self::new(config, layout.hidden_groups, layout.perm, layout.ffn_groups, layout.units)?)
    }

    /// Occurrences of each unit of a layer.
    pub(super) fn copies(&self, layer: usize, units: usize) -> Vec<usize> {
        occurrences(&self.units[layer], units).expect("checked by Layout::new")
    }
}

/// Raises each element of `into` to that of `by`.
pub(super) fn raise(into: &mut [f64], by: &[f64]) {
    for (a, &b) in into.iter_mut().zip(by) {
        *a = a.max(b);
    }
}

/// Each value over the median of all; the median of an even count is the mean of the middle two.
pub(super) fn relative_to_median(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median =
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    values.iter().map(|v| v / median.max(f64::MIN_POSITIVE)).collect()
}

/// Copies go one by one to the largest weight of the row that is largest against its own spread.
fn copies(float: &FloatBert, layer: usize, count: usize) -> Vec<usize> {
    let width = float.config.intermediate_size;
    let weight = &float.layers[layer].down.weight;
    let mut copies = vec![1usize; width];
    let rms: Vec<f64> = weight
        .chunks_exact(width)
        .map(|row| (row.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>() / width as f64).sqrt())
        .collect();
    for _ in 0..count {
        let mut best = (f64::NEG_INFINITY, 0);
        for (row, &rms) in weight.chunks_exact(width).zip(&rms).filter(|(_, rms)| **rms > 0.0) {
            let mut largest = (f64::NEG_INFINITY, 0);
            for (unit, (&w, &k)) in row.iter().zip(&copies).enumerate() {
                let share = f64::from(w.abs()) / k as f64;
                if share > largest.0 && k < MAX_COPIES {
                    largest = (share, unit);
                }
            }
            if largest.0 / rms > best.0 {
                best = (largest.0 / rms, largest.1);
            }
        }
        copies[best.1] += 1;
    }
    copies
}

/// Indices by falling value, ties by index.
fn falling(values: &[f64]) -> Vec<u16> {
    let mut order: Vec<u16> = (0..values.len() as u16).collect();
    order.sort_by(|&a, &b| values[usize::from(b)].total_cmp(&values[usize::from(a)]));
    order
}

fn covers(groups: &[usize], width: usize, multiple: usize) -> bool {
    (1..=MAX_GROUPS).contains(&groups.len())
        && groups.iter().all(|&g| g > 0 && g <= width && g % multiple == 0)
        && groups.iter().sum::<usize>() == width
}

/// How often each of 0..n occurs; none when a foreign number does.
fn occurrences(numbers: &[u16], n: usize) -> Option<Vec<usize>> {
    let mut counts = vec![0; n];
    for &number in numbers {
        *counts.get_mut(usize::from(number))? += 1;
    }
    Some(counts)
}

/// Occurrences of one unit: its shared weight, up to 127 times this, stays within i16.
const MAX_COPIES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::Pooling;

    fn config(hidden: usize, ffn: usize) -> BertConfig {
        BertConfig {
            vocab_size: 100,
            hidden_size: hidden,
            num_hidden_layers: 1,
            num_attention_heads: hidden / 32,
            intermediate_size: ffn,
            max_tokens: 64,
            pooling: Pooling::Mean,
        }
    }

    #[test]
    fn group_rule_is_minilm_s_and_scales() {
        let rule = GroupRule::of(&config(384, 1536));
        assert_eq!((rule.hidden, rule.ffn), (vec![4, 12, 48, 320], vec![64, 1504]));
        for hidden in (32..=480).step_by(32) {
            for ffn in [16, 32, 48, 128, 1536, 8192] {
                let rule = GroupRule::of(&config(hidden, ffn));
                assert!(covers(&rule.hidden, hidden, 4), "{hidden}: {rule:?}");
                assert!(covers(&rule.ffn, ffn + rule.copies, 16), "{ffn}: {rule:?}");
            }
        }
    }

    #[test]
    fn bad_layouts_are_refused() {
        let config = config(32, 16);
        let perm: Vec<u16> = (0..32).collect();
        let units: Vec<u16> = (0..16).chain([3; 16]).collect();
        let new = |groups: &[usize], perm: &[u16], units: &[u16]| {
            Layout::new(&config, groups.to_vec(), perm.to_vec(), vec![16, 16], vec![units.to_vec()])
        };
        new(&[4, 28], &perm, &units).unwrap();
        let mut twice = perm.clone();
        twice[0] = 1;
        let missing: Vec<u16> = units.iter().map(|&u| if u == 7 { 8 } else { u }).collect();
        for bad in [
            new(&[2, 30], &perm, &units),
            new(&[4, 24], &perm, &units),
            new(&[4, 28], &twice, &units),
            new(&[4, 28], &perm[1..], &units),
            new(&[4, 28], &perm, &missing),
            new(&[4, 28], &perm, &units[1..]),
        ] {
            bad.unwrap_err();
        }
    }
}
