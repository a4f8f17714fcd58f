//! Both file formats: canonical bytes, every field checked, hostile bytes.

use models::spiking::{FloatNet, IntLif, Readout, SpikingNet, quantise};
use plan::Reset;
use proptest::prelude::*;

use crate::{
    reference,
    support::{Parts, RESETS, dyadic, load, sha256, spikes},
};

#[test]
fn files_read_back() {
    for (n, reset) in RESETS.into_iter().enumerate() {
        let float = dyadic(&[40, 33, 5], n % 2 == 1, reset, n as u64);
        let file = float.to_safetensors();
        assert_eq!(FloatNet::from_safetensors(&file).unwrap(), float);
        let int = quantise(&float).unwrap();
        let again = load(int.file()).unwrap();
        assert_eq!((again.inputs(), again.outputs(), again.steps()), (40, 5, Some(8)));
        assert_eq!(again.file(), int.file());
    }
}

#[test]
fn bytes_depend_on_contents_alone() {
    let float = dyadic(&[40, 33, 5], true, Reset::SubtractNext, 7);
    let int = quantise(&float).unwrap();
    assert_eq!(sha256(&float.to_safetensors()), FLOAT_SHA256);
    assert_eq!(sha256(int.file()), INT_SHA256);
    // Canary: one code's worth of one weight is another file.
    let mut planted = float;
    planted.layers[1].weight[3] += 1.0 / 128.0;
    assert_ne!(sha256(quantise(&planted).unwrap().file()), INT_SHA256);
}

#[test]
fn arrays_are_aligned_in_the_file() {
    let int = quantise(&dyadic(&[40, 33, 5], true, Reset::Zero, 7)).unwrap();
    let parsed = safetensors::SafeTensors::deserialize(int.file()).unwrap();
    for (name, view) in parsed.iter() {
        let offset = view.data().as_ptr() as usize - int.file().as_ptr() as usize;
        assert_eq!(offset % 32, 0, "{name}");
    }
}

const FLOAT_SHA256: &str = "0c227c6cd98b189a2374f2eacf3fe3aaa35288c004e373fea9724fc160fa73f5";
const INT_SHA256: &str = "ed2bf86e3ff01fd40cb405d1c7d33269378b35518200a752d3bce5b0b620a530";

/// What is done to a good file, and what the refusal must say.
type Damage = (&'static str, fn(&mut Parts));

#[test]
fn damaged_integer_files_are_refused() {
    let good = Parts::of(quantise(&dyadic(&[40, 33, 5], true, Reset::SubtractNext, 7)).unwrap().file());
    assert!(load(&good.bytes()).is_ok(), "another order of tensors is no damage");
    let cases: [Damage; 26] = [
        ("no tensor layer.1.bias", |p| drop(p.tensors.remove("layer.1.bias"))),
        ("layer.2.q is not a tensor", |p| copy(p, "layer.1.q", "layer.2.q")),
        ("layer.01.q is not a tensor", |p| copy(p, "layer.1.q", "layer.01.q")),
        ("layer.0.gain is not a tensor", |p| copy(p, "layer.0.bias", "layer.0.gain")),
        ("layer.0.q has shape [32, 64], wanted [64, 64]", |p| reshape(p, "layer.0.q", &[32, 64])),
        ("layer.0.leak has dtype F32", |p| {
            p.tensors.get_mut("layer.0.leak").unwrap().0 = safetensors::Dtype::F32
        }),
        ("layer.0.q[2560] is 1, must be 0", |p| byte(p, "layer.0.q", 40 * 64, 1)),
        ("layer.0.q[33] is -1, must be 0", |p| byte(p, "layer.0.q", 33, 255)),
        ("layer.0.recurrent[2112] is 1", |p| byte(p, "layer.0.recurrent", 33 * 64, 1)),
        ("layer.1.leak[5] is 1, must be 0", |p| byte(p, "layer.1.leak", 20, 1)),
        ("layer.1.bias[31] is 2, must be 0", |p| byte(p, "layer.1.bias", 124, 2)),
        ("layer.1.unit[5] is -0, must be 0", |p| byte(p, "layer.1.unit", 23, 128)),
        ("layer.1.threshold[6]", |p| byte(p, "layer.1.threshold", 27, 1)),
        ("layer.0.leak[2] is -", |p| byte(p, "layer.0.leak", 11, 255)),
        ("a leak out of range at neuron 2", |p| byte(p, "layer.0.leak", 10, 2)),
        ("a threshold out of range at neuron 0", |p| byte(p, "layer.0.threshold", 3, 255)),
        ("a bias out of range at neuron 1", |p| byte(p, "layer.0.bias", 7, 64)),
        ("layer.0.unit[0] is -", |p| byte(p, "layer.0.unit", 3, 0xbb)),
        ("a shift of 17", |p| replace(p, "\"shift\":8", "\"shift\":17")),
        ("layer 0 has no shift", |p| replace(p, ",\"shift\":8", "")),
        ("layer 1 takes 34 inputs, the layer before has 33", |p| {
            replace(p, "\"inputs\":33", "\"inputs\":34")
        }),
        ("neurons of layer 0 is 32769", |p| replace(p, "\"outputs\":33", "\"outputs\":32769")),
        ("the number of layers is 0", |p| drop(p.metadata.insert("spiking".into(), EMPTY.into()))),
        ("version 2", |p| replace(p, "\"version\":1", "\"version\":2")),
        ("unknown field `decay`", |p| replace(p, "\"shift\":8", "\"shift\":8,\"decay\":1")),
        ("format: is edge-net.int-bert", |p| {
            drop(p.metadata.insert("format".into(), "edge-net.int-bert".into()))
        }),
    ];
    for (wanted, damage) in cases {
        let mut parts = good.clone();
        damage(&mut parts);
        let error = load(&parts.bytes()).err().unwrap_or_else(|| panic!("accepted: {wanted}")).to_string();
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }
}

#[test]
fn damaged_float_files_are_refused() {
    let good = Parts::of(&dyadic(&[40, 33, 5], true, Reset::SubtractNext, 7).to_safetensors());
    let cases: [Damage; 9] = [
        ("no tensor layer.0.recurrent", |p| drop(p.tensors.remove("layer.0.recurrent"))),
        ("layer.0.q is not a tensor", |p| copy(p, "layer.0.bias", "layer.0.q")),
        ("layer.1.weight has shape [33, 5]", |p| reshape(p, "layer.1.weight", &[33, 5])),
        ("layer.1.weight has dtype I32", |p| {
            p.tensors.get_mut("layer.1.weight").unwrap().0 = safetensors::Dtype::I32
        }),
        ("layer.0.beta[0]", |p| p.f32("layer.0.beta", &[33], &[1.5; 33])),
        ("layer.0.threshold[0] is 0", |p| p.f32("layer.0.threshold", &[33], &[0.0; 33])),
        ("layer.1.bias[0] is NaN", |p| p.f32("layer.1.bias", &[5], &[f32::NAN; 5])),
        ("which integer networks have", |p| {
            replace(p, "\"recurrent\":true", "\"recurrent\":true,\"shift\":3")
        }),
        ("unknown variant", |p| replace(p, "subtract_next", "soft")),
    ];
    for (wanted, damage) in cases {
        let mut parts = good.clone();
        damage(&mut parts);
        let error = FloatNet::from_safetensors(&parts.bytes()).err();
        let error = error.unwrap_or_else(|| panic!("accepted: {wanted}")).to_string();
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }
}

const EMPTY: &str = r#"{"version":1,"layers":[]}"#;

fn byte(parts: &mut Parts, name: &str, at: usize, value: u8) {
    parts.tensors.get_mut(name).unwrap().2[at] = value;
}

fn copy(parts: &mut Parts, from: &str, to: &str) {
    let tensor = parts.tensors[from].clone();
    parts.tensors.insert(to.into(), tensor);
}

fn reshape(parts: &mut Parts, name: &str, shape: &[usize]) {
    let tensor = parts.tensors.get_mut(name).unwrap();
    tensor.1 = shape.to_vec();
    tensor
        .2
        .truncate(shape.iter().product::<usize>() * if tensor.0 == safetensors::Dtype::I8 { 1 } else { 4 });
}

fn replace(parts: &mut Parts, from: &str, to: &str) {
    let text = parts.metadata.get_mut("spiking").unwrap();
    assert!(text.contains(from), "{text} lacks {from}");
    *text = text.replacen(from, to, 1);
}

#[test]
fn cut_files_are_refused() {
    let int = quantise(&dyadic(&[40, 5], false, Reset::Zero, 1)).unwrap();
    for length in 0..int.file().len() {
        assert!(load(&int.file()[..length]).is_err(), "{length} bytes");
    }
    assert!(load(&[int.file(), &[0]].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Bytes a stranger sends are refused or give a network that runs within its bounds.
    #[test]
    fn hostile_files_are_refused_or_run(
        recurrent: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_header: bool,
    ) {
        let int = quantise(&dyadic(&[9, 6], recurrent, Reset::Subtract, 3)).unwrap();
        let mut file = int.file().to_vec();
        let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        for (index, value) in changes {
            let at = if in_header { index.index(header) } else { header + index.index(file.len() - header) };
            file[at] = value;
        }
        if let Ok(net) = load(&file) {
            let plan = net.plan(&spikes(1, 3, net.inputs(), 500, 1), Readout::Spikes).unwrap();
            let words = reference::output(&plan, &net);
            prop_assert!(net.spikes(1, 3, words).is_ok());
        }
        let _ = FloatNet::from_safetensors(&file);
    }

    /// As above, with the structure intact: numbers in the metadata.
    #[test]
    fn hostile_sizes_are_refused(inputs: u64, outputs in 0u64..70_000, layers in 0usize..300, shift: u32) {
        let mut parts = Parts::of(quantise(&dyadic(&[9, 6], false, Reset::Subtract, 3)).unwrap().file());
        let layer = format!(
            r#"{{"inputs":{inputs},"outputs":{outputs},"reset":"zero","recurrent":false,"shift":{shift}}}"#
        );
        let text = format!(r#"{{"version":1,"layers":[{}]}}"#, vec![layer; layers].join(","));
        parts.metadata.insert("spiking".into(), text);
        prop_assert!(load(&parts.bytes()).is_err());
    }
}

#[test]
fn written_layers_are_checked() {
    let layer = IntLif {
        inputs: 2,
        outputs: 1,
        q: vec![1, -128],
        recurrent: None,
        shift: 3,
        leak: vec![65536],
        threshold: vec![8],
        bias: vec![-1],
        unit: vec![0.5],
        reset: Reset::Zero,
    };
    let write = |layer: IntLif| SpikingNet::write(None, &[layer]).map_err(|e| e.to_string());
    assert!(load(&write(layer.clone()).unwrap()).is_ok());
    let short = IntLif { q: vec![1], ..layer.clone() };
    assert!(write(short).unwrap_err().contains("layer.0.q has shape [1], wanted [2, 1]"));
    let leaky = IntLif { leak: vec![65537], ..layer.clone() };
    assert!(write(leaky).unwrap_err().contains("a leak out of range at neuron 0"));
    let flat = IntLif { unit: vec![0.0], ..layer };
    assert!(write(flat).unwrap_err().contains("layer.0.unit[0] is 0, must be above 0 and finite"));
}
