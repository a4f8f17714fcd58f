//! The committed MNIST network: what it classifies in float and in integers.

use std::{io::Read, path::Path};

use models::spiking::{
    FloatNet, Readout, Spikes,
    import::{SnnTorch, from_snntorch},
    quantise,
};

use crate::{
    reference,
    support::{load, sha256},
};

/// The script's split: the first 8,000 images train, the rest test.
const FIRST: usize = 8000;
const STEPS: usize = 25;
const PIXELS: usize = 28 * 28;

#[test]
fn integers_classify_as_the_float_network_does() {
    let net = quantise(&float()).unwrap();
    let Some((images, labels)) = test_set() else { return };
    let input = Spikes::rate_code(&images, PIXELS, STEPS, 0, FIRST as u32).unwrap();
    let float = float().forward(&input).unwrap().spikes;
    let plan = net.plan(&input, Readout::Spikes).unwrap();
    let words = reference::output(&plan, &net);
    let digest = sha256(&words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>());
    let int = net.spikes(labels.len(), STEPS, words).unwrap();
    let accuracy = |out: &Spikes| {
        let right = out.most_active().iter().zip(&labels).filter(|(a, b)| **a == usize::from(**b)).count();
        right as f64 / labels.len() as f64
    };
    let same = float.most_active().iter().zip(int.most_active()).filter(|(a, b)| **a == *b).count();
    report(&format!(
        "MNIST, {} images: float {:.4}, integer {:.4}, equal answers {same}; input density {:.3}; {} bytes",
        labels.len(),
        accuracy(&float),
        accuracy(&int),
        input.density(),
        net.file().len(),
    ));
    assert!(accuracy(&float) >= 0.93);
    assert!((accuracy(&int) - accuracy(&float)).abs() <= 0.005);
    assert_eq!(digest, SPIKES_SHA256);

    // Canary: the same network reading its images upside down is no classifier.
    let mut turned = images;
    turned.chunks_exact_mut(PIXELS).take(300).for_each(<[u8]>::reverse);
    let input = Spikes::rate_code(&turned[..300 * PIXELS], PIXELS, STEPS, 0, FIRST as u32).unwrap();
    let plan = net.plan(&input, Readout::Spikes).unwrap();
    let out = net.spikes(300, STEPS, reference::output(&plan, &net)).unwrap();
    let right = out.most_active().iter().zip(&labels).filter(|(a, b)| **a == usize::from(**b)).count();
    assert!(right < 200, "{right} of 300 digits upside down");
}

#[test]
fn the_integer_file_is_pinned() {
    let net = quantise(&float()).unwrap();
    assert_eq!(sha256(net.file()), NET_SHA256);
    assert_eq!((net.inputs(), net.outputs(), net.steps()), (PIXELS, 10, Some(STEPS as u32)));
    assert!(load(net.file()).is_ok());
}

/// Of the integer file that the quantiser makes of the committed network.
const NET_SHA256: &str = "80e4a4afab963b22d94d7fe949c0f1c45438cf6805c184df8a4a8ba1e04d3d1e";
/// Of the spikes it answers the 2,000 test images with: the same on every device.
const SPIKES_SHA256: &str = "72788efb2d03f7d711a342f2ea5cb4b388746bebd2db0d3e74dc65a7f738db42";

fn float() -> FloatNet {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("training/mnist_lif.safetensors");
    from_snntorch(&read(&path).expect("the committed network"), SnnTorch::default()).unwrap()
}

/// Images `[2000][784]` and labels, where the data is there.
fn test_set() -> Option<(Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ann");
    let unpacked = |name: &str, header: usize| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&read(&folder.join(name))?[..]).read_to_end(&mut bytes).expect("gzip");
        Some(bytes.split_off(header))
    };
    let images = unpacked("mnist-t10k-images-idx3-ubyte.gz", 16);
    let labels = unpacked("mnist-t10k-labels-idx1-ubyte.gz", 8);
    let Some((mut images, mut labels)) = images.zip(labels) else {
        assert!(std::env::var_os("EDGENET_TEST_SHARED").is_none(), "no ../shared/data/ann");
        report("not run: no ../shared/data/ann");
        return None;
    };
    Some((images.split_off(FIRST * PIXELS), labels.split_off(FIRST)))
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files its pure crate is handed")]
fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

#[expect(
    clippy::print_stderr,
    reason = "what did not run, and what was measured, is for the reader of the test log"
)]
fn report(text: &str) {
    eprintln!("{text}");
}
