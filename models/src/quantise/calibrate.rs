//! Calibration: what real texts say about which channels are large and which rounding errors matter.

use std::collections::BTreeMap;

use super::build::{self, Op, Rounding, Scaled, Site};
use super::dense::gram;
use super::error::QuantiseError;
use super::float::FloatBert;
use super::forward::{Encoder, Input, Observe, check_tokens};
use super::layout::{Layout, raise, relative_to_median};
use super::tensors::IntTensors;
use super::{Progress, gptq, hex};

/// The calibrated integer model of these weights, without `vocab`: layout and GEMM rounding fitted to the token
/// sequences (numerics.md section 3, steps 1 and 12). Every text counts the same. Takes minutes; floats decide, so
/// the result may differ between machines: keep it as a [`Recipe`](super::Recipe).
pub fn calibrate(
    float: &FloatBert,
    texts: &[Vec<u32>],
    progress: &mut dyn FnMut(Progress),
) -> Result<IntTensors, QuantiseError> {
    check_tokens(float.config(), texts)?;
    let statistics = collect(float, texts, progress);
    let layout = statistics.layout(float);
    let mut rounding = Fitted { statistics: &statistics, layout: &layout };
    let mut model = build::build(float, &layout, &mut rounding, progress)?;
    model.set("source_sha256", hex(&float.sha256()));
    model.validate()?;
    Ok(model)
}

/// Second moments and largest magnitudes of every GEMM input.
#[derive(Default)]
struct Statistics {
    sites: BTreeMap<(usize, Input), SiteStatistics>,
    /// Weight of each token of the batch being run: 1 over the length of its text.
    weights: Vec<f32>,
}

struct SiteStatistics {
    /// Weighted sum of x x^T, lower triangle, `[width, width]`.
    moment: Vec<f64>,
    /// `[width]`
    largest: Vec<f64>,
}

fn collect(float: &FloatBert, texts: &[Vec<u32>], progress: &mut dyn FnMut(Progress)) -> Statistics {
    let encoder = Encoder::new(float);
    let mut statistics = Statistics::default();
    let mut rest = texts;
    while !rest.is_empty() {
        let mut tokens = 0;
        let fits = |ids: &&Vec<u32>| {
            tokens += ids.len();
            tokens <= BATCH_TOKENS
        };
        let (batch, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        let weight = |ids: &Vec<u32>| std::iter::repeat_n(1.0 / ids.len() as f32, ids.len());
        statistics.weights = batch.iter().flat_map(weight).collect();
        encoder.forward(&batch.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut statistics);
        rest = after;
        progress(Progress { step: "texts", done: texts.len() - rest.len(), total: texts.len() });
    }
    statistics
}

impl Observe for Statistics {
    fn see(&mut self, layer: usize, input: Input, values: &[f32], spread: Option<&[f32]>) {
        let width = values.len() / self.weights.len();
        let mut weighted = values.to_vec();
        for (t, (row, weight)) in weighted.chunks_exact_mut(width).zip(&self.weights).enumerate() {
            // An error counts relative to the spread of what the following LayerNorm divides by.
            let root = spread.map_or(*weight, |s| weight / s[t].max(f32::MIN_POSITIVE)).sqrt();
            row.iter_mut().for_each(|x| *x *= root);
        }
        let empty = || SiteStatistics { moment: vec![0.0; width * width], largest: vec![0.0; width] };
        let site = self.sites.entry((layer, input)).or_insert_with(empty);
        for (sum, x) in site.moment.iter_mut().zip(gram(&weighted, width)) {
            *sum += f64::from(x);
        }
        for row in values.chunks_exact(width) {
            site.largest.iter_mut().zip(row).for_each(|(a, x)| *a = a.max(f64::from(x.abs())));
        }
    }
}

impl Statistics {
    fn layout(&self, float: &FloatBert) -> Layout {
        let mut score = vec![0.0; float.config.hidden_size];
        let mut unit_size = vec![vec![0.0; float.config.intermediate_size]; float.config.num_hidden_layers];
        for ((layer, input), site) in &self.sites {
            match input {
                Input::Qkv | Input::Up => raise(&mut score, &relative_to_median(&site.largest)),
                Input::Down => unit_size[*layer].clone_from(&site.largest),
                Input::Output => {}
            }
        }
        Layout::by_size(float, &score, &unit_size)
    }
}

/// Rounds by GPTQ in the metric of the statistics.
struct Fitted<'a> {
    statistics: &'a Statistics,
    layout: &'a Layout,
}

impl Rounding for Fitted<'_> {
    fn round(&mut self, site: Site, matrix: &Scaled) -> Result<Vec<i32>, QuantiseError> {
        let fail = |problem: &str| {
            let name = site.op.name();
            QuantiseError::Calibration(format!("layer {} {name}: {problem}", site.layer))
        };
        let (input, permuted) = match site.op {
            Op::Query | Op::Key | Op::Value => (Input::Qkv, true),
            Op::Output => (Input::Output, false),
            Op::Up => (Input::Up, true),
            Op::Down => (Input::Down, false),
        };
        let moment =
            &self.statistics.sites.get(&(site.layer, input)).ok_or_else(|| fail("no texts given"))?.moment;
        let n = matrix.cols;
        let channel = |i: usize| if permuted { usize::from(self.layout.perm[i]) } else { i };
        let mut ordered = Vec::with_capacity(n * n);
        for row in (0..n).map(channel) {
            ordered.extend((0..n).map(channel).map(|column| moment[row.max(column) * n + row.min(column)]));
        }
        gptq::round(matrix, &ordered).ok_or_else(|| fail("the inputs are all zero or not finite"))
    }
}

/// Tokens run at once, unless a single text has more: enough for the products to be efficient.
const BATCH_TOKENS: usize = 1024;
