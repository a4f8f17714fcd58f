//! Generated networks and spikes, and files taken apart and put together again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use models::spiking::{FloatLif, FloatNet, Spikes, SpikingError, SpikingNet};
use plan::Reset;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

pub(crate) const RESETS: [Reset; 4] = [Reset::Subtract, Reset::Zero, Reset::SubtractNext, Reset::ZeroNext];

/// Numerical Recipes' 64-bit generator.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    pub(crate) fn signed_unit(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }
}

/// A network of these widths whose numbers and potentials are all multiples of 2^-15: exact in f32 and, over at most
/// eight steps, in the integers that the quantiser makes.
pub(crate) fn dyadic(widths: &[usize], recurrent: bool, reset: Reset, seed: u64) -> FloatNet {
    let mut random = Lcg(seed);
    let layers = widths.windows(2).map(|w| {
        let (inputs, outputs) = (w[0], w[1]);
        let mut code = || random.below(255) as f32 / 128.0 - 127.0 / 128.0;
        let mut weight: Vec<f32> = (0..inputs * outputs).map(|_| code()).collect();
        // The largest weight of every neuron is 127 steps of 1 / 128.
        weight.chunks_exact_mut(inputs).enumerate().for_each(|(o, row)| row[o % inputs] = 127.0 / 128.0);
        let recurrent = recurrent.then(|| (0..outputs * outputs).map(|_| code()).collect());
        let beta = (0..outputs).map(|_| [0.0, 0.5, 1.0][random.below(3)]).collect();
        let threshold = (0..outputs).map(|_| (1 + random.below(512)) as f32 / 256.0).collect();
        let bias = (0..outputs).map(|_| (random.below(65) as f32 - 32.0) / 256.0).collect();
        FloatLif { inputs, outputs, weight, recurrent, bias, beta, threshold, reset }
    });
    FloatNet { steps: Some(8), layers: layers.collect() }
}

/// Spikes with this share of the neurons active.
pub(crate) fn spikes(batch: usize, steps: usize, neurons: usize, per_mille: usize, seed: u64) -> Spikes {
    let mut random = Lcg(seed);
    let mut spikes = Spikes::silent(batch, steps, neurons).unwrap();
    for run in 0..batch {
        for step in 0..steps {
            for neuron in (0..neurons).filter(|_| random.below(1000) < per_mille) {
                spikes.set(run, step, neuron);
            }
        }
    }
    spikes
}

pub(crate) fn load(bytes: &[u8]) -> Result<SpikingNet, SpikingError> {
    SpikingNet::from_bytes(Arc::new(bytes.to_vec()))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A safetensors file in its parts.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Parts {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let file = SafeTensors::deserialize(bytes).unwrap();
        let part = |(name, view): (&str, TensorView<'_>)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        Self { metadata, tensors: file.iter().map(part).collect() }
    }

    pub(crate) fn f32(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.insert(name.into(), (Dtype::F32, shape.to_vec(), bytes));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        let views: Vec<_> = views.collect();
        safetensors::serialize(views, Some(self.metadata.clone().into_iter().collect())).unwrap()
    }
}
