//! Spike trains as bits, and the codes that make them out of values.

use super::SpikesError;

/// Spikes of a batch of runs: bits `[batch][steps][neurons]`, each step's bits in whole words, first neuron lowest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spikes {
    batch: usize,
    steps: usize,
    neurons: usize,
    words: Vec<u32>,
}

impl Spikes {
    /// Spike trains in which nothing spikes.
    ///
    /// # Errors
    /// When a number is 0 or there are too many words.
    pub fn silent(batch: usize, steps: usize, neurons: usize) -> Result<Self, SpikesError> {
        let words = word_count(batch, steps, neurons)?;
        Ok(Self { batch, steps, neurons, words: vec![0; words] })
    }

    /// Spike trains out of their words `[batch][steps][ceil(neurons / 32)]`.
    ///
    /// # Errors
    /// When the length is another than the shape's, or a bit beyond the last neuron is set.
    pub fn from_words(
        batch: usize,
        steps: usize,
        neurons: usize,
        words: Vec<u32>,
    ) -> Result<Self, SpikesError> {
        let wanted = word_count(batch, steps, neurons)?;
        if words.len() != wanted {
            return Err(SpikesError::Length { what: "words", found: words.len(), wanted });
        }
        let used = neurons % 32;
        let row = neurons.div_ceil(32);
        for (at, &word) in words.iter().enumerate().skip(row - 1).step_by(row) {
            if used != 0 && word >> used != 0 {
                let (row_index, neuron) = (at / row, neurons / 32 * 32 + 31 - word.leading_zeros() as usize);
                let (run, step) = (row_index / steps, row_index % steps);
                return Err(SpikesError::Padding { run, step, neuron, neurons });
            }
        }
        Ok(Self { batch, steps, neurons, words })
    }

    /// Rate code: in every step an input spikes with the probability `intensity / 256`.
    ///
    /// `intensities` are `[batch][inputs]`. The draw is the top byte of a hash of `seed`, the sample's number
    /// (`first_sample` and up), the step and the input: the same on every machine, and for a sample in every batch.
    ///
    /// # Errors
    /// When a number is 0, there are too many words, or `intensities` are no whole number of samples.
    pub fn rate_code(
        intensities: &[u8],
        inputs: usize,
        steps: usize,
        seed: u32,
        first_sample: u32,
    ) -> Result<Self, SpikesError> {
        let batch = intensities.len() / inputs.max(1);
        let mut spikes = Self::silent(batch, steps, inputs)?;
        if intensities.len() != batch * inputs {
            let (found, wanted) = (intensities.len(), batch * inputs);
            return Err(SpikesError::Length { what: "intensities", found, wanted });
        }
        for (run, sample) in intensities.chunks_exact(inputs).enumerate() {
            let sample_hash =
                mix(mix(seed ^ SEED_OFFSET).wrapping_add(first_sample.wrapping_add(run as u32)));
            for step in 0..steps {
                let step_hash = mix(sample_hash.wrapping_add(step as u32));
                for (input, &intensity) in sample.iter().enumerate().filter(|(_, i)| **i > 0) {
                    if mix(step_hash.wrapping_add(input as u32)) >> 24 < u32::from(intensity) {
                        spikes.set(run, step, input);
                    }
                }
            }
        }
        Ok(spikes)
    }

    /// Independent runs.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Time steps of a run.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Neurons.
    pub fn neurons(&self) -> usize {
        self.neurons
    }

    /// The bits, `[batch][steps][ceil(neurons / 32)]`.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Lets a neuron spike.
    ///
    /// # Panics
    /// When an index is not below its length: a bug of the caller.
    pub fn set(&mut self, run: usize, step: usize, neuron: usize) {
        let at = self.row(run, step) + self.column(neuron);
        self.words[at] |= 1 << (neuron % 32);
    }

    /// Whether a neuron spikes.
    ///
    /// # Panics
    /// When an index is not below its length: a bug of the caller.
    pub fn get(&self, run: usize, step: usize, neuron: usize) -> bool {
        self.words[self.row(run, step) + self.column(neuron)] >> (neuron % 32) & 1 == 1
    }

    /// The neurons that spike in one step of one run, in rising order.
    ///
    /// # Panics
    /// When an index is not below its length: a bug of the caller.
    pub fn active(&self, run: usize, step: usize) -> impl Iterator<Item = usize> + '_ {
        let row = &self.words[self.row(run, step)..][..self.neurons.div_ceil(32)];
        row.iter().enumerate().flat_map(|(at, &word)| {
            let rest = |w: &u32| Some(w & (w - 1)).filter(|&w| w != 0);
            let words = std::iter::successors(Some(word).filter(|&w| w != 0), rest);
            words.map(move |w| 32 * at + w.trailing_zeros() as usize)
        })
    }

    /// How often every neuron spiked in a run, `[batch][neurons]`.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.batch * self.neurons];
        for (run, counts) in counts.chunks_exact_mut(self.neurons).enumerate() {
            (0..self.steps).flat_map(|step| self.active(run, step)).for_each(|neuron| counts[neuron] += 1);
        }
        counts
    }

    /// The neuron of every run that spiked most often, the lowest of equals: how a classifier is read.
    pub fn most_active(&self) -> Vec<usize> {
        let most = |counts: &[u32]| (0..counts.len()).rev().max_by_key(|&neuron| counts[neuron]).unwrap_or(0);
        self.counts().chunks_exact(self.neurons).map(most).collect()
    }

    /// The share of all neurons and steps that spiked.
    pub fn density(&self) -> f64 {
        let spikes: u64 = self.words.iter().map(|w| u64::from(w.count_ones())).sum();
        spikes as f64 / (self.batch * self.steps) as f64 / self.neurons as f64
    }

    fn row(&self, run: usize, step: usize) -> usize {
        assert!(run < self.batch && step < self.steps, "run {run}, step {step} of {self:?}");
        (run * self.steps + step) * self.neurons.div_ceil(32)
    }

    fn column(&self, neuron: usize) -> usize {
        assert!(neuron < self.neurons, "neuron {neuron} of {}", self.neurons);
        neuron / 32
    }
}

/// Words of spike trains of this shape.
pub(super) fn word_count(batch: usize, steps: usize, neurons: usize) -> Result<usize, SpikesError> {
    if let Some((what, _)) =
        [("batch", batch), ("steps", steps), ("neurons", neurons)].iter().find(|n| n.1 == 0)
    {
        return Err(SpikesError::Empty { what });
    }
    let words = batch.checked_mul(steps).and_then(|rows| rows.checked_mul(neurons.div_ceil(32)));
    words.filter(|&words| words <= MAX_WORDS).ok_or(SpikesError::TooMany {
        batch,
        steps,
        neurons,
        limit: MAX_WORDS,
    })
}

/// A bijection of 32 bits with little bias (`lowbias32`; C. Wellons, "Prospecting for hash functions", 2018).
fn mix(mut h: u32) -> u32 {
    h = (h ^ h >> 16).wrapping_mul(0x7feb_352d);
    h = (h ^ h >> 15).wrapping_mul(0x846c_a68b);
    h ^ h >> 16
}

/// Keeps the all-zero input, which [`mix`] maps to itself, from being drawn as zero.
const SEED_OFFSET: u32 = 0x9e37_79b9;

/// Words of a batch of spike trains, 64 MiB: a larger batch is several.
const MAX_WORDS: usize = 1 << 24;
