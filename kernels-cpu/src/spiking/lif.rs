//! Layers of leaky integrate-and-fire neurons, driven by events.
//!
//! ```text
//! for each chunk of time steps                 (of one run after another)
//!   list the inputs that spike in each step
//!   for each tile of neurons                   (its weights stay in a near cache)
//!     for each step
//!       sum = weights of the listed inputs
//!       potential = leak, sum, bias, reset; spikes out
//! ```
//!
//! The real version adds:
//!
//! - **Two neurons a word.** Weights are packed as `q + 128`, the bytes of neurons `l` and `l + 32` of a tile in one
//!   16-bit word `w`. `a = sum of w` and `b = sum of (w >> 8)` then hold both sums: the high one is `b`, the low one
//!   `a - 256 * b` modulo 2^16. That is three operations for two neurons on any vector unit, and nothing is widened.
//!   Each sum is at most 255 a row, so that [`FLUSH`] rows fit 16 bits: 256 * 255 < 2^16.
//! - **Silent inputs.** Where more than half of the inputs spike, those that do not are listed, and their sum is taken
//!   from that of all rows. No step adds more than half of the rows.
//! - **Dense steps.** From a density on that a level states, a byte for each input and the level's dot product are
//!   faster than lists. Four steps share the weights they load.
//! - **Recurrence as inputs.** The rows from the layer's own neurons follow those from its inputs. A step then needs
//!   all tiles of the step before, so that a chunk is one step of several runs.

use plan::{LIF_POTENTIAL_MAX, LifWeight, Reset};

use crate::LifArgs;

/// Neurons of a tile.
pub(crate) const TILE: usize = 64;
/// Rows added before 16-bit sums are emptied into 32 bits.
const FLUSH: usize = 256;
/// Lists are filled up to a multiple of this with a row of zeros.
const GROUP: usize = 8;
/// Listed rows of a chunk, roughly, and the least number of steps they suffice for: a tile's weights are fetched once a
/// chunk.
const CHUNK: usize = 1 << 14;
const CHUNK_STEPS: usize = 64;
/// Words of a row of a tile.
const ROW_WORDS: usize = TILE / 4;

/// Steps that are summed at once where they are dense.
pub(crate) const STEPS: usize = 4;

/// What a level brings to the layer.
pub(crate) trait Dense {
    /// Least percentage of spikes, and of silence, at which [`Dense::sums`] is faster than lists; `None` where it
    /// never is.
    const PERCENT: Option<usize> = None;

    /// Sums of rows, which are a multiple of 4, for `spikes` of 0 or 1 a row.
    #[inline(always)]
    fn sums(_: &[Row], _: [&[u8]; STEPS], _: &mut [[u32; TILE]; STEPS]) {
        unreachable!("a level without dense steps has no such sums");
    }
}

/// Weights from one input to a tile of neurons: neuron `l` in the low byte of word `l`, `l + 32` in the high one.
pub(crate) type Row = [u16; TILE / 2];

/// Lays a layer out: the place of the first row, then from there `[tiles][inputs + recurrent + 1]` rows of
/// `q + 128`, the last of each tile all zeros, then `[tiles][64]` sums of a tile's rows. The first row stands at a
/// multiple of 64 bytes, since a row that crosses a cache line costs two loads.
pub(crate) fn pack(layer: &LifWeight<'_>) -> Vec<u32> {
    let tiles = layer.outputs.div_ceil(TILE);
    let rows = rows(layer);
    let mut packed = vec![0; 1 + ROW_WORDS + tiles * (rows + 1) * ROW_WORDS + tiles * TILE];
    let first = 1 + packed[1..].as_ptr().align_offset(TILE).min(ROW_WORDS);
    packed[0] = first as u32;
    let (weights, sums) = packed[first..].split_at_mut(tiles * (rows + 1) * ROW_WORDS);
    let weights: &mut [u8] = bytemuck::cast_slice_mut(weights);
    let recurrent = layer.recurrent.as_deref().unwrap_or_default();
    let all = layer.q.chunks_exact(layer.outputs).chain(recurrent.chunks_exact(layer.outputs));
    for (i, row) in all.enumerate() {
        for (o, &q) in row.iter().enumerate() {
            let (tile, lane) = (o / TILE, o % TILE);
            let byte = lane % (TILE / 2) * 2 + lane / (TILE / 2);
            weights[(tile * (rows + 1) + i) * TILE + byte] = q as u8 ^ 0x80;
            sums[o] += u32::from(q as u8 ^ 0x80);
        }
    }
    packed
}

/// Rows from inputs and from neurons.
fn rows(layer: &LifWeight<'_>) -> usize {
    layer.inputs + layer.recurrent.as_ref().map_or(0, |_| layer.outputs)
}

#[inline(always)]
pub(crate) fn lif<D: Dense>(args: LifArgs<'_>) {
    let mut layer = Layer::new(args);
    let (batch, steps) = (layer.args.batch, layer.args.steps);
    layer.args.potential.fill(0);
    if layer.args.layer.recurrent.is_some() {
        for step in 0..steps {
            layer.run::<D>((0..batch).map(|run| (run, step)));
        }
    } else {
        layer.run::<D>((0..batch).flat_map(|run| (0..steps).map(move |step| (run, step))));
    }
}

/// What is listed of one time step of one run.
struct Events {
    run: usize,
    step: usize,
    /// Where its list ends; it starts where the one before ends.
    end: usize,
    /// Rows that spike.
    active: u32,
    form: Form,
}

/// What a list holds.
#[derive(Clone, Copy)]
enum Form {
    /// The rows that spike.
    Spiking,
    /// The rows that do not.
    Silent,
    /// A byte for each row, in the step of this number of [`STEPS`].
    Dense(usize),
}

/// Constants of a tile's neurons.
#[repr(align(64))]
struct Neurons {
    leak: [u32; TILE],
    threshold: [i32; TILE],
    bias: [i32; TILE],
    sums: [u32; TILE],
}

/// What a neuron takes from one step to the next.
#[repr(align(64))]
struct State {
    v: [i32; TILE],
    /// What a delayed reset takes off, or all ones where it sets to 0.
    pending: [i32; TILE],
}

/// A call's operands and its lists.
struct Layer<'a> {
    args: LifArgs<'a>,
    neurons: Vec<Neurons>,
    weights: &'a [Row],
    rows: usize,
    /// What is listed, and room for [`STEPS`] more when `chunk` rows are.
    list: Vec<u32>,
    listed: usize,
    chunk: usize,
    events: Vec<Events>,
}

impl<'a> Layer<'a> {
    fn new(args: LifArgs<'a>) -> Self {
        let layer = args.layer;
        let (tiles, rows) = (layer.outputs.div_ceil(TILE), rows(layer));
        let packed = &args.packed[args.packed[0] as usize..];
        let (weights, sums) = packed.split_at(tiles * (rows + 1) * ROW_WORDS);
        let chunk = CHUNK.max(CHUNK_STEPS * rows / 2).min(args.batch * args.steps * rows);
        let neurons = (0..tiles).map(|tile| Neurons::new(layer, sums, tile * TILE));
        Layer {
            neurons: neurons.collect(),
            weights: bytemuck::cast_slice(weights),
            rows,
            list: vec![0; chunk + STEPS * rows + 32],
            listed: 0,
            chunk,
            events: Vec::new(),
            args,
        }
    }

    /// Steps of runs, in an order in which each step's spikes are known when it is listed.
    #[inline(always)]
    fn run<D: Dense>(&mut self, mut places: impl Iterator<Item = (usize, usize)>) {
        loop {
            self.listed = 0;
            self.events.clear();
            while self.listed < self.chunk {
                let mut block = [(0, 0); STEPS];
                let count = block.iter_mut().zip(&mut places).map(|(to, place)| *to = place).count();
                if count == 0 {
                    break;
                }
                self.listen::<D>(&block[..count]);
            }
            if self.events.is_empty() {
                return;
            }
            for tile in 0..self.neurons.len() {
                match self.args.layer.reset {
                    Reset::Subtract => self.tile::<D, { Reset::Subtract as u8 }>(tile),
                    Reset::Zero => self.tile::<D, { Reset::Zero as u8 }>(tile),
                    Reset::SubtractNext => self.tile::<D, { Reset::SubtractNext as u8 }>(tile),
                    Reset::ZeroNext => self.tile::<D, { Reset::ZeroNext as u8 }>(tile),
                }
            }
        }
    }

    /// Chooses the form of a few steps and lists them.
    #[inline(always)]
    fn listen<D: Dense>(&mut self, block: &[(usize, usize)]) {
        let mut active = [0; STEPS];
        for (active, &(run, step)) in active.iter_mut().zip(block) {
            *active = words(&self.args, run, step).map(|w| w.count_ones()).sum();
        }
        let percent = 100 * active.iter().sum::<u32>() as usize / (STEPS * self.rows);
        let dense = D::PERCENT.is_some_and(|least| (least..=100 - least).contains(&percent));
        for (n, (&(run, step), active)) in block.iter().zip(active).enumerate() {
            let form = if dense && block.len() == STEPS {
                self.unpack(run, step);
                Form::Dense(n)
            } else {
                let silent = active as usize > self.rows / 2;
                self.list(run, step, if silent { u32::MAX } else { 0 });
                if silent { Form::Silent } else { Form::Spiking }
            };
            self.events.push(Events { run, step, end: self.listed, active, form });
        }
    }

    /// Lists the rows whose bits are 1 once `flip` is applied.
    #[inline(always)]
    fn list(&mut self, run: usize, step: usize, flip: u32) {
        for (i, word) in words(&self.args, run, step).enumerate() {
            self.listed += places(word ^ flip, i as u32 * 32, &mut self.list[self.listed..]);
        }
        let end = self.listed.next_multiple_of(GROUP);
        self.list[self.listed..end].fill(self.rows as u32);
        self.listed = end;
    }

    /// Writes a byte for each row.
    #[inline(always)]
    fn unpack(&mut self, run: usize, step: usize) {
        let end = self.listed + self.rows / 4;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.list[self.listed..end]);
        for (bytes, word) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(words(&self.args, run, step)) {
            for (bit, byte) in bytes.iter_mut().enumerate() {
                *byte = (word >> bit & 1) as u8;
            }
        }
        self.listed = end;
    }

    /// All listed steps of a tile.
    #[inline(always)]
    fn tile<D: Dense, const RESET: u8>(&mut self, tile: usize) {
        let (layer, steps) = (self.args.layer, self.args.steps);
        let (outputs, words) = (layer.outputs, layer.outputs / 32);
        let neurons = &self.neurons[tile];
        let rows = &self.weights[tile * (self.rows + 1)..][..self.rows + 1];
        let wide = TILE.min(outputs - tile * TILE);
        let mut state = State { v: [0; TILE], pending: [0; TILE] };
        let mut sums = [[0; TILE]; STEPS];
        let mut start = 0;
        let mut run = usize::MAX;
        for (n, e) in self.events.iter().enumerate() {
            let potential = &mut self.args.potential[e.run * outputs + tile * TILE..][..wide];
            let (before, out) = self.args.out.split_at_mut((e.run * steps + e.step) * words);
            if run != e.run {
                run = e.run;
                state.v[..wide].copy_from_slice(potential);
                let before = if e.step == 0 { &[] } else { &before[before.len() - words + tile * 2..] };
                state.resume::<RESET>(neurons, before);
            }
            let sums = match e.form {
                Form::Dense(n) => {
                    if n == 0 {
                        let list = &self.list[start..start + STEPS * self.rows / 4];
                        let mut steps = bytemuck::cast_slice(list).chunks_exact(self.rows);
                        let steps = std::array::from_fn(|_| steps.next().expect("steps are listed together"));
                        D::sums(&rows[..self.rows], steps, &mut sums);
                    }
                    &sums[n]
                }
                form => {
                    add(rows, self.list[start..e.end].as_chunks().0, &mut sums[0]);
                    if let Form::Silent = form {
                        for (sum, all) in sums[0].iter_mut().zip(&neurons.sums) {
                            *sum = all - *sum;
                        }
                    }
                    &sums[0]
                }
            };
            start = e.end;
            let spikes = state.step::<RESET>(neurons, sums, 128 * e.active, layer.shift);
            let out = &mut out[tile * 2..][..wide / 32];
            out.copy_from_slice(&spikes[..wide / 32]);
            if self.events.get(n + 1).is_none_or(|next| next.run != run) {
                potential.copy_from_slice(&state.v[..wide]);
            }
        }
    }
}

/// Spikes of a step's inputs, then those of the step before, which are none before the first.
#[inline(always)]
fn words(args: &LifArgs<'_>, run: usize, step: usize) -> impl Iterator<Item = u32> {
    let layer = args.layer;
    let (inputs, outputs) = (layer.inputs / 32, layer.outputs / 32);
    let at = run * args.steps + step;
    let own: &[u32] =
        if layer.recurrent.is_some() && step > 0 { &args.out[(at - 1) * outputs..][..outputs] } else { &[] };
    let none = if layer.recurrent.is_some() { outputs - own.len() } else { 0 };
    args.spikes[at * inputs..][..inputs].iter().chain(own).copied().chain(std::iter::repeat_n(0, none))
}

/// Writes the places of a word's bits, the first of which is `first`, and gives their number. What follows them is
/// overwritten too: up to eight bits, nearly all words have no more, are written without a branch that depends on them.
#[inline(always)]
fn places(mut word: u32, first: u32, out: &mut [u32]) -> usize {
    let count = word.count_ones() as usize;
    for group in out[..32].as_chunks_mut::<GROUP>().0 {
        for out in group {
            *out = first + word.trailing_zeros();
            word &= word.wrapping_sub(1);
        }
        if word == 0 {
            break;
        }
    }
    count
}

/// Sums the listed rows of a tile.
#[inline(always)]
fn add(rows: &[Row], list: &[[u32; GROUP]], sums: &mut [u32; TILE]) {
    *sums = [0; TILE];
    for list in list.chunks(FLUSH / GROUP) {
        let (mut both, mut high) = ([0u16; TILE / 2], [0u16; TILE / 2]);
        for group in list {
            let group = group.map(|i| &rows[i as usize]);
            for l in 0..TILE / 2 {
                for row in group {
                    both[l] = both[l].wrapping_add(row[l]);
                    high[l] = high[l].wrapping_add(row[l] >> 8);
                }
            }
        }
        for l in 0..TILE / 2 {
            sums[l] += u32::from(both[l].wrapping_sub(high[l] << 8));
            sums[l + TILE / 2] += u32::from(high[l]);
        }
    }
}

impl Neurons {
    /// Those from neuron `first` on; places past the last neuron stay at 0.
    fn new(layer: &LifWeight<'_>, sums: &[u32], first: usize) -> Self {
        fn of<T: Copy>(all: &[T], first: usize, fill: T) -> [T; TILE] {
            std::array::from_fn(|l| all.get(first + l).copied().unwrap_or(fill))
        }
        Neurons {
            leak: of(&layer.leak, first, 0),
            threshold: of(&layer.threshold, first, LIF_POTENTIAL_MAX),
            bias: of(&layer.bias, first, 0),
            sums: of(sums, first, 0),
        }
    }
}

impl State {
    /// Takes a run up again after the spikes `before`.
    #[inline(always)]
    fn resume<const RESET: u8>(&mut self, neurons: &Neurons, before: &[u32]) {
        for l in 0..TILE {
            let spiked = before.get(l / 32).is_some_and(|w| w >> (l % 32) & 1 == 1);
            self.pending[l] = pending::<RESET>(spiked, neurons.threshold[l]);
        }
    }

    /// One time step: `sums` are `excess` too large. Gives the spikes.
    ///
    /// The leaked potential is within 2^29, the rest within 2^28 each, a threshold within 2^29: 32 bits are enough.
    #[inline(always)]
    fn step<const RESET: u8>(
        &mut self,
        neurons: &Neurons,
        sums: &[u32; TILE],
        excess: u32,
        shift: u32,
    ) -> [u32; TILE / 32] {
        let mut spikes = [0; TILE / 32];
        for (half, spikes) in spikes.iter_mut().enumerate() {
            for bit in 0..32 {
                let l = half * 32 + bit;
                let input = (sums[l].wrapping_sub(excess) << shift) as i32;
                let mut next =
                    leak(self.v[l], neurons.leak[l]).wrapping_add(input).wrapping_add(neurons.bias[l]);
                if RESET == Reset::SubtractNext as u8 {
                    next = next.wrapping_sub(self.pending[l]);
                }
                if RESET == Reset::ZeroNext as u8 {
                    next &= !self.pending[l];
                }
                let next = next.clamp(-LIF_POTENTIAL_MAX, LIF_POTENTIAL_MAX);
                let threshold = neurons.threshold[l];
                let spiked = next > threshold;
                self.v[l] = match spiked {
                    true if RESET == Reset::Subtract as u8 => next - threshold,
                    true if RESET == Reset::Zero as u8 => 0,
                    _ => next,
                };
                self.pending[l] = pending::<RESET>(spiked, threshold);
                *spikes |= u32::from(spiked) << bit;
            }
        }
        spikes
    }
}

/// What a neuron's last spike, if it was one, takes off in the next step.
#[inline(always)]
fn pending<const RESET: u8>(spiked: bool, threshold: i32) -> i32 {
    match spiked {
        true if RESET == Reset::SubtractNext as u8 => threshold,
        true if RESET == Reset::ZeroNext as u8 => -1,
        _ => 0,
    }
}

/// `floor(v * leak / 2^16)` for a leak of up to 2^16: `0xffff * 2^16` fits 32 bits unsigned.
#[inline(always)]
fn leak(v: i32, leak: u32) -> i32 {
    (v >> 16).wrapping_mul(leak as i32).wrapping_add(((v as u32 & 0xffff).wrapping_mul(leak) >> 16) as i32)
}
