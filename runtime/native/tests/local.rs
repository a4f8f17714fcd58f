//! The Rust API for programs that want one thing.

use std::{fs, num::NonZeroUsize};

use edge_net::{
    Device, Level,
    local::{Index, IndexError, Spiking, SpikingRunError},
    machine::{KernelEncoder, MachineOptions, Threads},
};
use models::{
    compress::{Encoder, Plain},
    search::{Metric, hnsw::Params},
    spiking::{
        Spikes,
        import::{SnnTorch, from_snntorch},
        quantise,
    },
};
use plan::Parallel;

const CPU: MachineOptions =
    MachineOptions { device: Device::Cpu, level: None, threads: NonZeroUsize::MIN, adapter: None };

#[test]
fn an_index_is_built_saved_opened_and_searched() {
    let folder = folder("index");
    let path = folder.join("index");
    let mix = |i: u32| (i.wrapping_mul(2_654_435_761) >> 20) as f32;
    let vectors: Vec<f32> = (0..300 * 8).map(mix).collect();
    let ids: Vec<u64> = (0..300).map(|i| 7 * i).collect();
    let mut index = Index::new(Params::new(8, Metric::L2)).unwrap();
    index.insert(&ids, &vectors).unwrap();
    assert!(index.insert(&ids[..1], &vectors[..8]).is_err(), "the id is there");
    index.save(&path).unwrap();
    let mut opened = Index::open(&path).unwrap();
    for row in [0, 13, 299] {
        let query = &vectors[row * 8..][..8];
        assert_eq!(opened.search(query, 1, 32).unwrap()[0].0, ids[row]);
        assert_eq!(index.search(query, 5, 32).unwrap(), opened.search(query, 5, 32).unwrap());
    }
    assert!(opened.search(&[1.0], 1, 8).is_err(), "another width");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Index::open(&path), Err(IndexError::File { .. })));
    assert!(matches!(Index::open(&folder.join("none")), Err(IndexError::Read { .. })));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_spiking_network_is_opened_and_run() {
    let folder = folder("spiking");
    let path = folder.join("net");
    let float = include_bytes!("../../../models/training/mnist_lif.safetensors");
    let net = quantise(&from_snntorch(float, SnnTorch::default()).unwrap()).unwrap();
    fs::write(&path, net.file()).unwrap();
    let mut network = Spiking::open(&path, &CPU).unwrap();
    let loud = Spikes::rate_code(&[200; 784], 784, 25, 1, 0).unwrap();
    let out = network.run(&loud).unwrap();
    assert_eq!((out.batch(), out.steps(), out.neurons()), (1, 25, 10));
    assert!(out.counts().iter().sum::<u32>() > 0, "every input spikes most of the time");
    let silent = network.run(&Spikes::silent(1, 25, 784).unwrap()).unwrap();
    assert_ne!(silent.counts(), out.counts());
    let narrow = Spikes::silent(1, 25, 32).unwrap();
    assert!(matches!(network.run(&narrow), Err(SpikingRunError::Spikes(_))));
    fs::write(&path, b"no network").unwrap();
    assert!(matches!(Spiking::open(&path, &CPU), Err(SpikingRunError::File(_))));
    fs::remove_dir_all(folder).unwrap();
}

/// Compression codes vectors of any width; kernels are tested on those of plans, which are multiples of 4.
#[test]
fn every_level_encodes_as_the_plain_encoder_does() {
    for &level in Level::ALL {
        let Ok(kernels) = level.kernels() else { continue };
        for width in [1, 3, 7, 31, 33, 65, 100, 385] {
            let ugly = |i: usize| match i % 13 {
                0 => 0.0,
                1 => 3e38,
                2 => 1e-42,
                n => (i as f32 * 0.37).sin() * 10f32.powi(n as i32 - 6),
            };
            let rows: Vec<f32> = (0..9 * width).map(ugly).collect();
            let encode = |encoder: &dyn Encoder| {
                let (mut codes, mut steps) = (vec![0; rows.len()], vec![0.0; 9]);
                encoder.encode(width, &rows, &mut codes, &mut steps);
                (codes, steps)
            };
            assert_eq!(encode(&KernelEncoder(kernels)), encode(&Plain), "{level}, width {width}");
        }
    }
}

#[test]
fn threads_do_every_piece_of_work_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for threads in [1, 2, 5] {
        for count in [0, 1, 2, 100] {
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let work = |i: usize| {
                done[i].fetch_add(1, Ordering::Relaxed);
            };
            Threads(NonZeroUsize::new(threads).unwrap()).run(count, &work);
            assert!(done.iter().all(|d| d.load(Ordering::Relaxed) == 1), "{threads} threads, {count} pieces");
        }
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("edge-net-local-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}
