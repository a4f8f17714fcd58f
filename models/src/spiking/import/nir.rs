//! Graphs of the Neuromorphic Intermediate Representation (Pedersen et al., 2024) in a JSON form.
//!
//! NIR's own files are HDF5, which its Python package turns into this form by
//!
//! ```python
//! import json, nir
//!
//! keys = {"Affine": ["weight", "bias"], "Linear": ["weight"], "LI": ["tau", "r", "v_leak"],
//!         "LIF": ["tau", "r", "v_leak", "v_threshold", "v_reset"], "IF": ["r", "v_threshold", "v_reset"]}
//! graph = nir.read("net.nir")
//! nodes = {name: {"type": type(node).__name__} | {key: getattr(node, key).tolist()
//!          for key in keys.get(type(node).__name__, [])} for name, node in graph.nodes.items()}
//! json.dump({"version": 1, "dt": 1e-4, "nodes": nodes, "edges": graph.edges}, open("net.json", "w"))
//! ```
//!
//! - `dt`: seconds of a time step. `steps` (optional): time steps the network was trained for. `reset` (optional):
//!   `"zero"`, NIR's definition, or `"subtract"`.
//! - Parameters are numbers, nested lists, or `{"shape": [2, 3], "f32": "<base64 of little-endian f32>"}`. One number
//!   stands for all neurons.
//! - Nodes form one chain from `Input` to `Output`: `Affine` or `Linear`, then `LIF` or `IF`, in turn; before the output
//!   `LI` may stand, read by its potential. A neuron may also feed an `Affine` or `Linear` that feeds only it, which acts
//!   one step later. `Flatten` changes nothing here.
//!
//! Membranes are integrated by Euler steps, as snnTorch, Norse and Sinabs do:
//! `v += dt / tau * (v_leak - v + r * i)`, and for `IF` `v += r * i`. Potentials count from `v_reset`, where runs start.

use std::collections::{BTreeMap, BTreeSet};

use plan::Reset;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    ImportError,
    array::{Array, shape_from_json},
};
use crate::spiking::{FloatLif, FloatNet};

/// Reads a NIR graph in the JSON form that the [module](self) describes.
///
/// # Errors
/// Names the node and the parameter that is missing, malformed or not supported.
pub fn from_nir_json(text: &[u8]) -> Result<FloatNet, ImportError> {
    let graph: Graph = serde_json::from_slice(text).map_err(|e| ImportError::Json(e.to_string()))?;
    if graph.version != 1 {
        return Err(ImportError::Json(format!("version {}, this build reads version 1", graph.version)));
    }
    if !(graph.dt.is_finite() && graph.dt > 0.0) {
        return Err(ImportError::Json(format!("dt is {}, must be above 0", graph.dt)));
    }
    let chain = Chain::of(&graph)?;
    let layers = chain.layers.iter().map(|place| graph.layer(place)).collect::<Result<Vec<_>, _>>()?;
    graph.check_ports(&chain, &layers)?;
    let net = FloatNet { steps: graph.steps, layers };
    net.validate()?;
    Ok(net)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    version: u32,
    dt: f64,
    steps: Option<u32>,
    #[serde(default)]
    reset: GraphReset,
    nodes: BTreeMap<String, Map<String, Value>>,
    edges: BTreeSet<(String, String)>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum GraphReset {
    #[default]
    Zero,
    Subtract,
}

/// The nodes in the order spikes pass them.
struct Chain<'a> {
    input: &'a str,
    layers: Vec<Place<'a>>,
    output: &'a str,
}

/// The nodes of one layer.
struct Place<'a> {
    weight: &'a str,
    neurons: &'a str,
    recurrent: Option<&'a str>,
}

impl<'a> Chain<'a> {
    fn of(graph: &'a Graph) -> Result<Self, ImportError> {
        for name in graph.edges.iter().flat_map(|(from, to)| [from, to]) {
            if !graph.nodes.contains_key(name) {
                return Err(chain(name, "is in an edge, but no node"));
            }
        }
        let input = graph.sole("Input")?;
        let output = graph.sole("Output")?;
        let mut seen = BTreeSet::from([input]);
        let mut layers = Vec::new();
        let (mut at, mut recurrent) = (input, None);
        loop {
            let next = graph.next(at, recurrent, &mut seen)?;
            match graph.kind(next)? {
                "Output" if layers.is_empty() => return Err(chain(next, "comes before any neurons")),
                "Output" => break,
                _ if at != input && graph.kind(at)? == "LI" => {
                    let what = "an LI that does not feed the output".to_owned();
                    return Err(ImportError::Unsupported { node: at.into(), what });
                }
                "Affine" | "Linear" => {}
                kind => return Err(chain(next, &format!("is of type {kind}, where weights must be"))),
            }
            let neurons = graph.next(next, None, &mut seen)?;
            if !matches!(graph.kind(neurons)?, "LIF" | "IF" | "LI") {
                return Err(chain(neurons, "comes after weights, but is no neuron"));
            }
            recurrent = graph.recurrent(neurons)?;
            seen.extend(recurrent);
            layers.push(Place { weight: next, neurons, recurrent });
            at = neurons;
        }
        match graph.nodes.keys().find(|name| !seen.contains(name.as_str())) {
            Some(stray) => Err(chain(stray, "is not on the way from input to output")),
            None => Ok(Chain { input, layers, output }),
        }
    }
}

impl Graph {
    fn kind(&self, node: &str) -> Result<&str, ImportError> {
        let kind = self.nodes[node].get("type").and_then(Value::as_str);
        match kind.ok_or_else(|| parameter(node, "type", "is missing"))? {
            kind @ ("Input" | "Output" | "Affine" | "Linear" | "LIF" | "IF" | "LI" | "Flatten") => Ok(kind),
            other => Err(ImportError::Unsupported { node: node.into(), what: format!("the type {other}") }),
        }
    }

    fn sole(&self, wanted: &str) -> Result<&str, ImportError> {
        let mut found = None;
        for name in self.nodes.keys() {
            if self.kind(name)? == wanted && found.replace(name).is_some() {
                return Err(chain(name, &format!("is a second node of type {wanted}")));
            }
        }
        found.map(String::as_str).ok_or_else(|| chain(wanted, "is missing"))
    }

    fn successors<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a str> {
        self.edges.iter().filter(move |(from, _)| from == node).map(|(_, to)| to.as_str())
    }

    fn predecessors<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a str> {
        self.edges.iter().filter(move |(_, to)| to == node).map(|(from, _)| from.as_str())
    }

    /// The one node that follows, apart from the recurrent weights; it may follow nothing else but its own.
    fn next<'a>(
        &'a self,
        at: &'a str,
        recurrent: Option<&str>,
        seen: &mut BTreeSet<&'a str>,
    ) -> Result<&'a str, ImportError> {
        let mut at = at;
        loop {
            let followers: Vec<&str> = self.successors(at).filter(|&s| Some(s) != recurrent).collect();
            let &[next] = followers.as_slice() else {
                return Err(chain(at, &format!("feeds {} nodes, must feed one", followers.len())));
            };
            if !seen.insert(next) {
                return Err(chain(next, "is fed from further on"));
            }
            let own = self.recurrent(next)?;
            if let Some(other) = self.predecessors(next).find(|&p| p != at && Some(p) != own) {
                return Err(chain(next, &format!("is fed by {other} as well as {at}")));
            }
            match self.kind(next)? {
                "Flatten" => at = next,
                _ => return Ok(next),
            }
        }
    }

    /// The weights a neuron feeds that feed nothing but it.
    fn recurrent<'a>(&'a self, neurons: &'a str) -> Result<Option<&'a str>, ImportError> {
        if !matches!(self.kind(neurons)?, "LIF" | "IF") {
            return Ok(None);
        }
        let mut found = None;
        for weight in self.successors(neurons) {
            let returns = self.successors(weight).eq([neurons]) && self.predecessors(weight).eq([neurons]);
            if returns && matches!(self.kind(weight)?, "Affine" | "Linear") && found.replace(weight).is_some()
            {
                return Err(chain(neurons, "has recurrent weights twice"));
            }
        }
        Ok(found)
    }

    fn layer(&self, place: &Place<'_>) -> Result<FloatLif, ImportError> {
        let Affine { shape: [outputs, inputs], weight, mut bias } = self.weight(place.weight)?;
        let mut recurrent = None;
        if let Some(node) = place.recurrent {
            let Affine { shape, weight, bias: more } = self.weight(node)?;
            if shape != [outputs; 2] {
                let problem = format!("has the shape {shape:?} among {outputs} neurons");
                return Err(parameter(node, "weight", &problem));
            }
            bias.iter_mut().zip(more).for_each(|(bias, more)| *bias += more);
            recurrent = Some(weight);
        }
        let neurons = self.neurons(place.neurons, outputs)?;
        let scaled = |weight: Vec<f64>, width: usize| {
            let rows = weight.chunks_exact(width).zip(&neurons);
            rows.flat_map(|(row, n)| row.iter().map(|&w| (w * n.gain) as f32)).collect()
        };
        Ok(FloatLif {
            inputs,
            outputs,
            weight: scaled(weight, inputs),
            recurrent: recurrent.map(|r| scaled(r, outputs)),
            bias: bias.iter().zip(&neurons).map(|(b, n)| (b * n.gain + n.bias) as f32).collect(),
            beta: neurons.iter().map(|n| n.beta as f32).collect(),
            threshold: neurons.iter().map(|n| n.threshold as f32).collect(),
            reset: if self.reset == GraphReset::Zero { Reset::Zero } else { Reset::Subtract },
        })
    }

    fn weight(&self, node: &str) -> Result<Affine, ImportError> {
        let biased = self.kind(node)? == "Affine";
        self.only(node, if biased { &["weight", "bias"] } else { &["weight"] })?;
        let weight = self.array(node, "weight")?;
        let Ok(shape @ [outputs, inputs]) = <[usize; 2]>::try_from(weight.shape.as_slice()) else {
            let problem = format!("has {} axes, must have 2", weight.shape.len());
            return Err(parameter(node, "weight", &problem));
        };
        if outputs == 0 || inputs == 0 {
            return Err(parameter(node, "weight", "is empty"));
        }
        let bias = if biased { self.each(node, "bias", outputs, None)? } else { vec![0.0; outputs] };
        Ok(Affine { shape, weight: weight.values, bias })
    }

    fn neurons(&self, node: &str, outputs: usize) -> Result<Vec<Neuron>, ImportError> {
        let kind = self.kind(node)?;
        let (leaks, spikes) = (kind != "IF", kind != "LI");
        let known = match kind {
            "IF" => &["r", "v_threshold", "v_reset"][..],
            "LI" => &["tau", "r", "v_leak"],
            _ => &["tau", "r", "v_leak", "v_threshold", "v_reset"],
        };
        self.only(node, known)?;
        let each = |key: &str, used: bool, default| match used {
            true => self.each(node, key, outputs, default),
            false => Ok(vec![default.unwrap_or(0.0); outputs]),
        };
        let (tau, r, leak) =
            (each("tau", leaks, None)?, each("r", true, None)?, each("v_leak", leaks, None)?);
        let threshold = each("v_threshold", spikes, None)?;
        let reset = each("v_reset", spikes, Some(0.0))?;
        let neuron = |o: usize| {
            let share = if leaks { self.dt / tau[o] } else { 0.0 };
            if !(0.0..=1.0).contains(&share) {
                let problem = format!("of neuron {o} is {}, must be at least dt, {}", tau[o], self.dt);
                return Err(parameter(node, "tau", &problem));
            }
            if reset[o] != 0.0 && self.reset == GraphReset::Subtract {
                let what = format!("v_reset {} with a reset by subtraction", reset[o]);
                return Err(ImportError::Unsupported { node: node.into(), what });
            }
            if spikes && threshold[o] <= reset[o] {
                let problem =
                    format!("of neuron {o} is {}, must be above v_reset, {}", threshold[o], reset[o]);
                return Err(parameter(node, "v_threshold", &problem));
            }
            Ok(Neuron {
                beta: 1.0 - share,
                gain: if leaks { r[o] * share } else { r[o] },
                bias: share * (leak[o] - reset[o]),
                threshold: if spikes { threshold[o] - reset[o] } else { f64::INFINITY },
            })
        };
        (0..outputs).map(neuron).collect()
    }

    /// `Input` and `Output` may state a shape, which must be that of the layers beside them.
    fn check_ports(&self, chain: &Chain<'_>, layers: &[FloatLif]) -> Result<(), ImportError> {
        let (Some(first), Some(last)) = (layers.first(), layers.last()) else { return Ok(()) };
        for (node, wanted) in [(chain.input, first.inputs), (chain.output, last.outputs)] {
            self.only(node, &["shape"])?;
            let Some(value) = self.nodes[node].get("shape") else { continue };
            let shape =
                shape_from_json(value).ok_or_else(|| parameter(node, "shape", "is no list of lengths"))?;
            if shape.iter().fold(1, |n: usize, &axis| n.saturating_mul(axis)) != wanted {
                return Err(parameter(
                    node,
                    "shape",
                    &format!("is {shape:?}, the layer beside it has {wanted}"),
                ));
            }
        }
        Ok(())
    }

    fn only(&self, node: &str, known: &[&str]) -> Result<(), ImportError> {
        // What NIR's own dictionaries carry along, derived from the rest.
        let derived = ["type", "name", "metadata", "input_type", "output_type"];
        let unknown = |key: &&String| !known.contains(&key.as_str()) && !derived.contains(&key.as_str());
        match self.nodes[node].keys().find(unknown) {
            Some(what) => {
                Err(ImportError::Unsupported { node: node.into(), what: format!("the parameter {what}") })
            }
            None => Ok(()),
        }
    }

    fn array(&self, node: &str, key: &str) -> Result<Array, ImportError> {
        let value = self.nodes[node].get(key).ok_or_else(|| parameter(node, key, "is missing"))?;
        Array::from_json(value).map_err(|problem| parameter(node, key, &problem))
    }

    /// A parameter of every neuron.
    fn each(
        &self,
        node: &str,
        key: &str,
        neurons: usize,
        default: Option<f64>,
    ) -> Result<Vec<f64>, ImportError> {
        if let (Some(default), None) = (default, self.nodes[node].get(key)) {
            return Ok(vec![default; neurons]);
        }
        let values = self.array(node, key)?.values;
        match values.len() {
            1 => Ok(vec![values[0]; neurons]),
            n if n == neurons => Ok(values),
            n => Err(parameter(node, key, &format!("has {n} values for {neurons} neurons"))),
        }
    }
}

/// An `Affine` or `Linear`.
struct Affine {
    /// Outputs and inputs.
    shape: [usize; 2],
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// A neuron of one time step: `v = beta * v + gain * i + bias`.
struct Neuron {
    beta: f64,
    gain: f64,
    bias: f64,
    threshold: f64,
}

fn chain(node: &str, problem: &str) -> ImportError {
    ImportError::Chain { node: node.into(), problem: problem.into() }
}

fn parameter(node: &str, parameter: &str, problem: &str) -> ImportError {
    ImportError::Parameter { node: node.into(), parameter: parameter.into(), problem: problem.into() }
}
