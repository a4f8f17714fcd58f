//! The committed MNIST network gives one set of spikes on every backend.

use std::{io::Read, path::Path, sync::Arc};

use edge_net_tests::backends;
use models::spiking::{
    Readout, Spikes,
    import::{SnnTorch, from_snntorch},
    quantise,
};
use plan::Weights;
use sha2::{Digest, Sha256};

/// The training script's split: the first 8,000 images train, the rest test.
const FIRST: usize = 8000;
const STEPS: usize = 25;
const PIXELS: usize = 28 * 28;
/// What `models/tests/spiking/mnist.rs` pins for its plain reference.
const SPIKES_SHA256: &str = "72788efb2d03f7d711a342f2ea5cb4b388746bebd2db0d3e74dc65a7f738db42";

#[test]
fn every_backend_gives_the_pinned_spikes() {
    let Some(images) = images() else { return };
    let float = include_bytes!("../../models/training/mnist_lif.safetensors");
    let float = from_snntorch(float, SnnTorch::default()).expect("the committed network");
    let net = Arc::new(quantise(&float).expect("the committed network quantises"));
    let weights: Arc<dyn Weights> = net.clone();
    let input = Spikes::rate_code(&images[FIRST * PIXELS..], PIXELS, STEPS, 0, FIRST as u32).expect("images");
    let plan = net.plan(&input, Readout::Spikes).expect("a plan");
    for (name, mut run) in backends::all() {
        let words = run(&weights, &plan);
        let digest: String = Sha256::digest(bytemuck::cast_slice::<u32, u8>(&words))
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(digest, SPIKES_SHA256, "{name}");
    }
}

/// All 10,000 images, after the header of their file.
fn images() -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ann/mnist-t10k-images-idx3-ubyte.gz");
    let file = match std::fs::File::open(Path::new(path)) {
        Ok(file) => file,
        Err(_) => {
            assert!(std::env::var_os("EDGENET_TEST_SHARED").is_none(), "{path} is missing");
            edge_net_tests::report("not run: no MNIST beside the project");
            return None;
        }
    };
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("a gzip file");
    Some(bytes.split_off(16))
}
