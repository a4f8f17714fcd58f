//! Importers: what snnTorch and NIR write comes out as the network it describes, anything else is refused by name.

use models::spiking::{
    FloatLif, FloatNet,
    import::{SnnTorch, from_nir_json, from_snntorch},
};
use plan::Reset;
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::support::{Parts, dyadic, spikes};

/// The state dict snnTorch would save of a network of `Leaky` and `RLeaky` with settings for all neurons.
fn state_dict(net: &FloatNet, name: fn(usize, bool) -> String) -> Parts {
    let mut parts = Parts::default();
    parts.metadata.insert("steps".into(), "8".into());
    for (n, l) in net.layers.iter().enumerate() {
        let (linear, lif) = (name(n, false), name(n, true));
        parts.f32(&format!("{linear}.weight"), &[l.outputs, l.inputs], &l.weight);
        parts.f32(&format!("{linear}.bias"), &[l.outputs], &l.bias);
        parts.f32(&format!("{lif}.beta"), &[], &l.beta[..1]);
        parts.f32(&format!("{lif}.threshold"), &[l.outputs], &l.threshold);
        parts.f32(&format!("{lif}.graded_spikes_factor"), &[], &[1.0]);
        parts.f32(&format!("{lif}.mem"), &[1], &[0.0]);
        let kind = i64::from(!matches!(l.reset, Reset::Subtract | Reset::SubtractNext));
        let kind = (Dtype::I64, vec![], kind.to_le_bytes().to_vec());
        parts.tensors.insert(format!("{lif}.reset_mechanism_val"), kind);
        if let Some(recurrent) = &l.recurrent {
            parts.f32(&format!("{lif}.recurrent.weight"), &[l.outputs; 2], recurrent);
            parts.f32(&format!("{lif}.recurrent.bias"), &[l.outputs], &vec![0.0; l.outputs]);
            parts.f32(&format!("{lif}.spk"), &[1], &[0.0]);
        }
    }
    parts
}

fn net(recurrent: bool, reset: Reset) -> FloatNet {
    let mut net = dyadic(&[5, 4, 3], recurrent, reset, 1);
    net.layers.iter_mut().for_each(|l| l.beta.fill(0.5));
    net
}

fn named(n: usize, neuron: bool) -> String {
    format!("{}{}", if neuron { "lif" } else { "fc" }, n + 1)
}

/// `Sequential(Flatten, Linear, Leaky, Linear, Leaky)`, ten modules further on.
fn numbered(n: usize, neuron: bool) -> String {
    (8 + 2 * n + usize::from(neuron)).to_string()
}

#[test]
fn state_dicts_come_out_as_their_networks() {
    let direct = SnnTorch { reset_delay: false };
    let cases = [
        (false, Reset::SubtractNext, SnnTorch::default()),
        (true, Reset::SubtractNext, SnnTorch::default()),
        (true, Reset::ZeroNext, SnnTorch::default()),
        // A delayed zero of Leaky lets the next input in, as the reset at once does.
        (false, Reset::Zero, SnnTorch::default()),
        (false, Reset::Zero, direct),
        (true, Reset::Zero, direct),
        (true, Reset::Subtract, direct),
    ];
    for (recurrent, reset, options) in cases {
        let net = net(recurrent, reset);
        for name in [named, numbered] {
            let imported = from_snntorch(&state_dict(&net, name).bytes(), options).unwrap();
            assert_eq!(imported, net, "{reset:?}, recurrent {recurrent}");
        }
    }
}

#[test]
fn one_to_one_recurrence_is_a_diagonal() {
    let net = net(false, Reset::SubtractNext);
    let mut parts = state_dict(&net, named);
    parts.f32("lif1.V", &[], &[0.25]);
    parts.f32("lif1.recurrent.V", &[4], &[1.0, 2.0, 3.0, 4.0]);
    let imported = from_snntorch(&parts.bytes(), SnnTorch::default()).unwrap();
    let wanted: Vec<f32> = (0..16).map(|at| if at % 5 == 0 { 1.0 + (at / 5) as f32 } else { 0.0 }).collect();
    assert_eq!(imported.layers[0].recurrent, Some(wanted));
    assert_eq!(imported.layers[1], net.layers[1]);
}

type Damage = (&'static str, fn(&mut Parts));

#[test]
fn state_dicts_beyond_the_format_are_refused() {
    let good = state_dict(&net(false, Reset::SubtractNext), named);
    let cases: [Damage; 13] = [
        ("lif1: alpha is not supported", |p| p.f32("lif1.alpha", &[], &[0.9])),
        ("fc2: running_mean is not supported", |p| p.f32("fc2.running_mean", &[3], &[0.0; 3])),
        ("lif2: graded_spikes_factor 0.5 is not supported", |p| {
            p.f32("lif2.graded_spikes_factor", &[], &[0.5])
        }),
        ("lif1: reset_mechanism \"none\" is not supported", |p| {
            p.f32("lif1.reset_mechanism_val", &[], &[2.0])
        }),
        ("lif1: reset_mechanism_val is 7", |p| p.f32("lif1.reset_mechanism_val", &[], &[7.0])),
        ("fc1: a weight of 4 axes is not supported", |p| p.f32("fc1.weight", &[4, 5, 1, 1], &[0.0; 20])),
        ("lif1: beta has 3 values for 4 neurons", |p| p.f32("lif1.beta", &[3], &[0.5; 3])),
        ("no tensor lif1.threshold", |p| drop(p.tensors.remove("lif1.threshold"))),
        ("fc3: weights and neurons must take turns", |p| p.f32("fc3.weight", &[2, 3], &[0.0; 6])),
        ("encoder: the name does not end", |p| p.f32("encoder.weight", &[2, 3], &[0.0; 6])),
        ("scale: is a parameter of no module", |p| p.f32("scale", &[], &[0.0])),
        ("layer.0.threshold[0] is -1", |p| p.f32("lif1.threshold", &[], &[-1.0])),
        ("metadata steps: is many", |p| drop(p.metadata.insert("steps".into(), "many".into()))),
    ];
    for (wanted, damage) in cases {
        let mut parts = good.clone();
        damage(&mut parts);
        let error = from_snntorch(&parts.bytes(), SnnTorch::default()).err();
        let error = error.unwrap_or_else(|| panic!("accepted: {wanted}")).to_string();
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }
}

/// A graph of every supported node, with a time step of half the membranes' time constant.
fn graph() -> Value {
    json!({
        "version": 1,
        "dt": 0.5,
        "steps": 8,
        "nodes": {
            "input": {"type": "Input", "shape": [1, 2]},
            "flat": {"type": "Flatten", "start_dim": 0},
            "a": {"type": "Affine", "weight": [[1, 2], [3, 4], [5, 6]], "bias": [1, 0, -1]},
            "lif": {"type": "LIF", "tau": [1, 2, 1], "r": 2, "v_leak": [0, 0, 0.5], "v_threshold": [1, 1, 2],
                    "v_reset": [0, 0, 0.25]},
            "back": {"type": "Linear", "weight": {"shape": [3, 3], "f32": BACK}},
            "b": {"type": "Linear", "weight": [[1, -1, 0.5]]},
            "if": {"type": "IF", "r": [3], "v_threshold": [2]},
            "c": {"type": "Linear", "weight": [[0.5], [-0.5]]},
            "li": {"type": "LI", "tau": 1, "r": 1, "v_leak": 0},
            "output": {"type": "Output", "shape": [2]},
        },
        "edges": [["input", "flat"], ["flat", "a"], ["a", "lif"], ["lif", "back"], ["back", "lif"], ["lif", "b"],
                  ["b", "if"], ["if", "c"], ["c", "li"], ["li", "output"]],
    })
}

/// 1 to 9 as little-endian f32.
const BACK: &str = "AACAPwAAAEAAAEBAAACAQAAAoEAAAMBAAADgQAAAAEEAABBB";

fn import(graph: &Value) -> Result<FloatNet, String> {
    from_nir_json(graph.to_string().as_bytes()).map_err(|e| e.to_string())
}

#[test]
fn graphs_come_out_as_their_networks() {
    let net = import(&graph()).unwrap();
    let lif = FloatLif {
        inputs: 2,
        outputs: 3,
        // Gains r dt / tau: 1, 0.5, 1.
        weight: vec![1.0, 2.0, 1.5, 2.0, 5.0, 6.0],
        recurrent: Some(vec![1.0, 2.0, 3.0, 2.0, 2.5, 3.0, 7.0, 8.0, 9.0]),
        // The third also leaks towards v_leak - v_reset, by half.
        bias: vec![1.0, 0.0, -1.0 + 0.125],
        beta: vec![0.5, 0.75, 0.5],
        threshold: vec![1.0, 1.0, 1.75],
        reset: Reset::Zero,
    };
    let integrate = FloatLif {
        inputs: 3,
        outputs: 1,
        weight: vec![3.0, -3.0, 1.5],
        recurrent: None,
        bias: vec![0.0],
        beta: vec![1.0],
        threshold: vec![2.0],
        reset: Reset::Zero,
    };
    let readout = FloatLif {
        inputs: 1,
        outputs: 2,
        weight: vec![0.25, -0.25],
        recurrent: None,
        bias: vec![0.0; 2],
        beta: vec![0.5; 2],
        threshold: vec![f32::INFINITY; 2],
        reset: Reset::Zero,
    };
    assert_eq!(net, FloatNet { steps: Some(8), layers: vec![lif, integrate, readout] });
    let mut subtract = graph();
    subtract["reset"] = json!("subtract");
    subtract["nodes"]["lif"].as_object_mut().unwrap().remove("v_reset");
    assert!(import(&subtract).unwrap().layers.iter().all(|l| l.reset == Reset::Subtract));
}

/// What the snippet of the documentation makes of a file that nir 1.0.8 wrote.
const NIR_JSON: &str = r#"{"version": 1, "dt": 0.0001, "nodes": {
    "fc": {"type": "Affine", "weight": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "bias": [0.0, 0.0, 0.0]},
    "fc2": {"type": "Linear", "weight": [[1.0, 1.0, 1.0]]},
    "if": {"type": "IF", "r": [1.0], "v_threshold": [1.0], "v_reset": [0.0]}, "input": {"type": "Input"},
    "lif": {"type": "LIF", "tau": [0.001, 0.001, 0.001], "r": [10.0, 10.0, 10.0], "v_leak": [0.0, 0.0, 0.0],
    "v_threshold": [1.0, 1.0, 1.0], "v_reset": [0.0, 0.0, 0.0]}, "output": {"type": "Output"},
    "w": {"type": "Linear", "weight": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}},
    "edges": [["input", "fc"], ["fc", "lif"], ["lif", "w"], ["w", "lif"], ["lif", "fc2"], ["fc2", "if"],
    ["if", "output"]]}"#;

#[test]
fn files_of_the_nir_package_come_in() {
    let net = from_nir_json(NIR_JSON.as_bytes()).unwrap();
    let [lif, integrate] = &net.layers[..] else { panic!("{net:?}") };
    assert_eq!((&lif.weight[..], &lif.beta[..]), (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], &[0.9; 3][..]));
    assert_eq!(lif.recurrent.as_deref(), Some(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0][..]));
    assert_eq!((integrate.inputs, integrate.outputs, integrate.beta[0]), (3, 1, 1.0));
}

/// The membrane equation of the documentation, stepped by itself.
#[test]
fn membranes_follow_the_euler_steps() {
    let (dt, tau, r, leak, threshold, reset) = (0.1, 0.7, 1.5, 0.4, 1.1, 0.2);
    let node = json!({"type": "LIF", "tau": tau, "r": r, "v_leak": leak, "v_threshold": threshold, "v_reset": reset});
    let graph = json!({
        "version": 1, "dt": dt,
        "nodes": {"i": {"type": "Input"}, "w": {"type": "Linear", "weight": [[7.0]]}, "n": node, "o": {"type": "Output"}},
        "edges": [["i", "w"], ["w", "n"], ["n", "o"]],
    });
    let input = spikes(1, 200, 1, 500, 3);
    let found = import(&graph).unwrap().forward(&input).unwrap().spikes;
    let mut v = reset;
    for step in 0..200 {
        let current = if input.get(0, step, 0) { 7.0 } else { 0.0 };
        v += dt / tau * (leak - v + r * current);
        assert_eq!(found.get(0, step, 0), v > threshold, "step {step}");
        v = if v > threshold { reset } else { v };
    }
    assert!((30..170).contains(&found.counts()[0]));
}

#[test]
fn graphs_beyond_the_format_are_refused() {
    let cases: [(&str, &str, Value); 27] = [
        ("if: the type CubaLIF is not supported", "/nodes/if/type", json!("CubaLIF")),
        ("a: the type Conv2d is not supported", "/nodes/a/type", json!("Conv2d")),
        ("if: type is missing", "/nodes/if/type", json!(3)),
        ("lif: the parameter w_in is not supported", "/nodes/lif/w_in", json!(1)),
        ("b: the parameter bias is not supported", "/nodes/b/bias", json!([1])),
        ("input: the parameter delay is not supported", "/nodes/input/delay", json!(1)),
        ("lif: tau of neuron 1 is 0.4, must be at least dt", "/nodes/lif/tau", json!([1, 0.4, 1])),
        ("lif: tau of neuron 0 is -1", "/nodes/lif/tau", json!(-1)),
        ("lif: tau of neuron 0 is 0,", "/nodes/lif/tau", json!(0)),
        ("lif: tau has 2 values for 3 neurons", "/nodes/lif/tau", json!([1, 1])),
        (
            "lif: v_threshold of neuron 2 is 0.1, must be above v_reset",
            "/nodes/lif/v_threshold",
            json!([1, 1, 0.1]),
        ),
        ("a: bias is neither a number nor", "/nodes/a/bias", json!([1, [2], 3])),
        ("a: weight has 1 axes", "/nodes/a/weight", json!([1, 2])),
        ("a: weight is empty", "/nodes/a/weight", json!([[], []])),
        ("back: weight has the shape [1, 1] among 3", "/nodes/back/weight", json!([[1]])),
        ("back: weight is not base64", "/nodes/back/weight/f32", json!("?")),
        ("layer 1 takes 1 inputs, the layer before has 3", "/nodes/b/weight", json!([[1]])),
        ("output: shape is [3], the layer beside it has 2", "/nodes/output/shape", json!([3])),
        ("lif: v_reset 0.25 with a reset by subtraction", "/reset", json!("subtract")),
        ("second: is in an edge, but no node", "/edges/9", json!(["li", "second"])),
        ("li: feeds 0 nodes, must feed one", "/edges/9", json!(["c", "li"])),
        ("b: feeds 2 nodes, must feed one", "/edges/10", json!(["b", "li"])),
        ("extra: is not on the way", "/nodes/extra", json!({"type": "IF"})),
        ("input: is a second node of type Input", "/nodes/extra", json!({"type": "Input"})),
        ("NIR: dt is 0, must be above 0", "/dt", json!(0)),
        ("NIR: version 2", "/version", json!(2)),
        ("NIR: unknown field `units`", "/units", json!("V")),
    ];
    for (wanted, pointer, value) in cases {
        let mut graph = graph();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match graph.pointer_mut(parent).unwrap() {
            Value::Object(object) => drop(object.insert(key.into(), value)),
            list => {
                let (list, at) = (list.as_array_mut().unwrap(), key.parse::<usize>().unwrap());
                list.resize(list.len().max(at + 1), Value::Null);
                list[at] = value;
            }
        }
        let error = import(&graph).err().unwrap_or_else(|| panic!("accepted: {wanted}"));
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }
}

#[test]
fn chains_that_are_none_are_refused() {
    let chain = |nodes: &[(&str, &str)], edges: Value| {
        let node = |kind: &str| match kind {
            "Linear" => json!({"type": kind, "weight": [[1]]}),
            "LIF" => json!({"type": kind, "tau": 1, "r": 1, "v_leak": 0, "v_threshold": 1}),
            "LI" => json!({"type": kind, "tau": 1, "r": 1, "v_leak": 0}),
            _ => json!({"type": kind}),
        };
        let nodes: serde_json::Map<String, Value> =
            nodes.iter().map(|(name, kind)| ((*name).to_owned(), node(kind))).collect();
        import(&json!({"version": 1, "dt": 1, "nodes": nodes, "edges": edges}))
    };
    let (i, o, w, n) = (("i", "Input"), ("o", "Output"), ("w", "Linear"), ("n", "LIF"));
    assert!(chain(&[i, w, n, o], json!([["i", "w"], ["w", "n"], ["n", "o"]])).is_ok());
    let cases = [
        (chain(&[i, o], json!([["i", "o"]])), "o: comes before any neurons"),
        (chain(&[i, n, o], json!([["i", "n"], ["n", "o"]])), "n: is of type LIF, where weights must be"),
        (chain(&[i, w, o], json!([["i", "w"], ["w", "o"]])), "o: comes after weights, but is no neuron"),
        (chain(&[i, w, n, o], json!([["i", "w"], ["w", "n"], ["n", "n"], ["n", "o"]])), "n: "),
        (
            chain(&[i, w, n, o], json!([["i", "w"], ["w", "n"], ["n", "w"], ["n", "o"]])),
            "w: is fed by n as well as i",
        ),
        (chain(&[w, n, o], json!([["w", "n"], ["n", "o"]])), "Input: is missing"),
        (
            chain(
                &[i, w, ("l", "LI"), ("x", "Linear"), n, o],
                json!([["i", "w"], ["w", "l"], ["l", "x"], ["x", "n"], ["n", "o"]]),
            ),
            "l: an LI that does not feed the output",
        ),
        (
            chain(
                &[i, w, n, ("r", "Linear"), ("s", "Linear"), o],
                json!([["i", "w"], ["w", "n"], ["n", "r"], ["r", "n"], ["n", "s"], ["s", "n"], ["n", "o"]]),
            ),
            "n: has recurrent weights twice",
        ),
    ];
    for (found, wanted) in cases {
        let error = found.err().unwrap_or_else(|| panic!("accepted: {wanted}"));
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Texts a stranger sends are refused or give a network that passes its own checks.
    #[test]
    fn hostile_graphs_do_not_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0x20u8..0x7f), 1..4),
        names in (0usize..10, 0usize..10, 0usize..10),
    ) {
        let mut text = graph().to_string().into_bytes();
        for (index, value) in changes {
            let at = index.index(text.len());
            text[at] = value;
        }
        if let Ok(net) = from_nir_json(&text) {
            prop_assert!(net.validate().is_ok());
        }
        // The structure intact, an edge moved.
        let mut moved = graph();
        let nodes = ["input", "flat", "a", "lif", "back", "b", "if", "c", "li", "output"];
        moved["edges"][names.0] = json!([nodes[names.1], nodes[names.2]]);
        if let Ok(net) = import(&moved) {
            prop_assert!(net.validate().is_ok());
        }
    }

    #[test]
    fn hostile_state_dicts_do_not_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut file = state_dict(&net(true, Reset::SubtractNext), named).bytes();
        for (index, value) in changes {
            let at = index.index(file.len());
            file[at] = value;
        }
        if let Ok(net) = from_snntorch(&file, SnnTorch::default()) {
            prop_assert!(net.validate().is_ok());
        }
    }
}
