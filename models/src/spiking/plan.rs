//! One forward pass as a plan, and its output words as spikes or potentials.

use plan::{Agreement, BufferId, Lif, Plan, Step, Upload, WeightId};

use super::{
    Spikes, SpikesError, SpikingNet,
    file::{Layer, padded},
    spikes::word_count,
};

/// What of the last layer a plan gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readout {
    /// Every spike: bits `[batch][steps][outputs padded to 32 / 32]`, read by [`SpikingNet::spikes`].
    Spikes,
    /// The potential after the last step: i32 `[batch][outputs padded to 32]`, read by [`SpikingNet::potentials`].
    Potential,
}

impl SpikingNet {
    /// Writes the forward pass of a batch of runs, layer by layer, each with all its time steps.
    ///
    /// # Errors
    /// When the spikes are not of the network's inputs, or a layer's are too many for one plan.
    pub fn plan(&self, spikes: &Spikes, readout: Readout) -> Result<Plan, SpikesError> {
        let (batch, steps) = (spikes.batch(), spikes.steps());
        if spikes.neurons() != self.inputs() {
            return Err(SpikesError::Inputs { found: spikes.neurons(), wanted: self.inputs() });
        }
        let mut buffers = vec![spikes.words().len()];
        let mut buffer = |words: usize| {
            buffers.push(words);
            BufferId(buffers.len() - 1)
        };
        let bits = |layer: &Layer| word_count(batch, steps, layer.outputs);
        let hidden = &self.layers[..self.layers.len() - 1];
        let widest = hidden.iter().map(bits).try_fold(0, |most, words| words.map(|w| w.max(most)))?;
        let potentials = hidden.iter().map(|l| batch * padded(l.outputs)).max();
        // Hidden layers write two buffers in turn, so that no step writes what it reads.
        let turns: Vec<BufferId> = (0..hidden.len().min(2)).map(|_| buffer(widest)).collect();
        let scratch = potentials.map(&mut buffer);
        let out = buffer(bits(self.last())?);
        let potential = buffer(batch * padded(self.outputs()));
        let mut from = BufferId(0);
        let mut plan_steps = Vec::with_capacity(self.layers.len());
        for (n, layer) in self.layers.iter().enumerate() {
            let to = if n < hidden.len() { turns[n % turns.len()] } else { out };
            plan_steps.push(Step::Lif(Lif {
                batch,
                steps,
                inputs: padded(layer.inputs),
                outputs: padded(layer.outputs),
                spikes: from,
                layer: WeightId(n),
                out: to,
                potential: scratch.filter(|_| n < hidden.len()).unwrap_or(potential),
            }));
            from = to;
        }
        let output = match readout {
            Readout::Spikes => out,
            Readout::Potential => potential,
        };
        let uploads = vec![Upload { buffer: BufferId(0), words: spikes.words().to_vec() }];
        Ok(Plan { buffers, uploads, steps: plan_steps, output, agreement: Agreement::Exact })
    }

    /// The last layer's spikes out of the words of a plan with [`Readout::Spikes`].
    ///
    /// # Errors
    /// When the words are not those of such a plan.
    pub fn spikes(&self, batch: usize, steps: usize, words: Vec<u32>) -> Result<Spikes, SpikesError> {
        Spikes::from_words(batch, steps, self.outputs(), words)
    }

    /// The last layer's potentials `[batch][outputs]` out of the words of a plan with [`Readout::Potential`].
    ///
    /// # Errors
    /// When the words are not those of such a plan.
    pub fn potentials(&self, batch: usize, words: &[u32]) -> Result<Vec<i32>, SpikesError> {
        let row = padded(self.outputs());
        if words.len() != batch * row {
            return Err(SpikesError::Length { what: "words", found: words.len(), wanted: batch * row });
        }
        let rows = words.chunks_exact(row);
        Ok(rows.flat_map(|row| &row[..self.outputs()]).map(|&v| v.cast_signed()).collect())
    }

    /// Potentials in the float network's units: neurons count in steps of their own, so only these compare.
    ///
    /// # Panics
    /// If `potentials` are not those of whole runs: a bug of the caller.
    pub fn potential_values(&self, potentials: &[i32]) -> Vec<f32> {
        let runs = potentials.chunks_exact(self.outputs());
        assert!(runs.remainder().is_empty(), "{} potentials of {} neurons", potentials.len(), self.outputs());
        runs.flat_map(|run| run.iter().zip(&self.last().unit)).map(|(&v, &unit)| v as f32 * unit).collect()
    }
}
