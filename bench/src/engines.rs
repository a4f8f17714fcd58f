//! Engines are child processes that speak one JSON object a line, ours like the peers: the same clock, the same
//! accounting of memory, and no engine's idle threads in another's process.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Error, records};

/// What a request carries beside its `op`: each bench and its engines agree on it.
pub(crate) type Fields = Map<String, Value>;

/// What every engine is asked. `bench/peers/protocol.py` documents the answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Request {
    /// Answered by [`Loaded`].
    Load(Fields),
    /// Answered by [`Ran`].
    Run(Fields),
    /// What the same case answers, for the bench to check.
    Answers(Fields),
}

/// Data and parameters are in place.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Loaded {
    pub(crate) version: String,
    /// What the engine chose for itself: a level, a batch size.
    pub(crate) setting: String,
    /// Why this machine cannot run the engine. It is then reported as not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) absent: Option<String>,
}

/// One case was done once.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Ran {
    pub(crate) seconds: f64,
}

/// A running engine.
pub(crate) struct Engine {
    pub(crate) name: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts `edge-net`, `edge-net-LEVEL`, `edge-net-gpu`, or one of [`peers`] for a bench.
    pub(crate) fn start(bench: &str, name: &str, threads: usize) -> Result<Engine, Error> {
        let mut command = command(bench, name, threads)?;
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| Error::engine(name, e))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::engine(name, "the child has no pipes"));
        };
        Ok(Engine { name: name.to_owned(), child, requests, answers: BufReader::new(answers) })
    }

    /// One request, one answer.
    pub(crate) fn ask<A: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<A, Error> {
        let mut line = serde_json::to_string(request).map_err(|e| Error::engine(&self.name, e))?;
        line.push('\n');
        // An engine that has ended says why on stderr; here its answer is missing, whichever pipe tells first.
        drop(self.requests.write_all(line.as_bytes()).and_then(|()| self.requests.flush()));
        line.clear();
        match self.answers.read_line(&mut line).map_err(|e| Error::engine(&self.name, e))? {
            0 => Err(Error::engine(&self.name, "ended before it answered")),
            _ => serde_json::from_str(&line)
                .map_err(|e| Error::engine(&self.name, format!("{e} in its answer"))),
        }
    }

    pub(crate) fn process(&self) -> records::Process {
        records::Process(self.child.id())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It has nothing to lose, and if it cannot be killed it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Prefix of our own engines' names.
pub(crate) const OURS: &str = "edge-net";

/// Whether an engine of this name is one of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// Names of the engines that can run beside ours in a bench, built or not.
pub(crate) fn peers(bench: &str) -> impl Iterator<Item = &'static str> {
    PEERS.iter().filter(move |p| p.bench == bench).flat_map(|p| p.engines.iter().copied())
}

/// Why a peer cannot run here.
pub(crate) fn missing(bench: &str, name: &str) -> Option<String> {
    let engine = name.split('@').next().unwrap_or(name);
    let Some(peer) = PEERS.iter().find(|p| p.bench == bench && p.engines.contains(&engine)) else {
        let known: Vec<&str> = peers(bench).collect();
        return Some(format!("unknown: known are {OURS}, {OURS}-LEVEL, {}", known.join(", ")));
    };
    match peer.program {
        Program::Script { group, .. } => {
            let wanted = fs::read(root().join(format!("bench/peers/requirements/{group}.txt"))).ok();
            let built = fs::read(root().join(format!("target/peers/{group}.txt"))).ok();
            let ready = wanted.is_some() && wanted == built;
            (!ready).then(|| format!("is not built: run bench/peers/setup.sh {group}"))
        }
        Program::Feature => (!cfg!(feature = "peers")).then(|| "needs the feature `peers`".to_owned()),
    }
}

fn command(bench: &str, name: &str, threads: usize) -> Result<Command, Error> {
    if !is_ours(name)
        && let Some(why) = missing(bench, name)
    {
        return Err(Error::engine(name, why));
    }
    let (engine, batch) = name.split_once('@').unwrap_or((name, ""));
    let script = PEERS.iter().find(|p| p.bench == bench && p.engines.contains(&engine)).map(|p| p.program);
    let Some(Program::Script { file, .. }) = script else {
        let mut command = Command::new(std::env::current_exe().map_err(|e| Error::engine(name, e))?);
        command.args(["serve", bench, name, &threads.to_string()]);
        return Ok(command);
    };
    let built = root().join("target/peers");
    let mut command = Command::new(built.join("venv/bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONWARNINGS", "ignore");
    command.arg(root().join("bench/peers").join(file)).args([engine, &threads.to_string()]);
    if bench == "embed" {
        command.arg(built.join("onnx")).arg(if batch.is_empty() { "auto" } else { batch });
    }
    Ok(command)
}

/// Root of the project.
pub(crate) fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.map_or_else(PathBuf::new, Path::to_owned)
}

/// One program that is several engines.
struct Peer {
    bench: &'static str,
    engines: &'static [&'static str],
    program: Program,
}

#[derive(Clone, Copy)]
enum Program {
    /// Below `bench/peers`, and the list of packages it needs.
    Script { file: &'static str, group: &'static str },
    /// Compiled into this command.
    Feature,
}

const PEERS: &[Peer] = &[
    Peer {
        bench: "embed",
        engines: &["ort-f32", "ort-int8"],
        program: Program::Script { file: "ort_peer.py", group: "embed" },
    },
    Peer {
        bench: "knn",
        engines: &[
            "faiss-flat",
            "faiss-sq8",
            "faiss-sq8-uniform",
            "faiss-binary",
            "usearch-f32",
            "usearch-i8",
            "usearch-b1",
            "numpy",
        ],
        program: Program::Script { file: "knn_peer.py", group: "knn" },
    },
    Peer {
        bench: "hnsw",
        engines: &["hnswlib", "faiss-hnsw", "usearch-hnsw", "usearch-hnsw-i8"],
        program: Program::Script { file: "hnsw_peer.py", group: "knn" },
    },
    Peer {
        bench: "quant",
        engines: &["faiss-sq8", "faiss-sq8-uniform", "faiss-sq4", "numpy", "memcpy"],
        program: Program::Script { file: "quant_peer.py", group: "knn" },
    },
    Peer {
        bench: "spiking",
        engines: &["torch", "snntorch", "norse", "spikingjelly"],
        program: Program::Script { file: "spiking_peer.py", group: "spiking" },
    },
    Peer {
        bench: "sandbox",
        engines: &["wasmtime", "wasmtime-fuel"],
        program: Program::Script { file: "sandbox_peer.py", group: "sandbox" },
    },
    Peer { bench: "aes", engines: &["aws-lc-rs", "ring", "aes-gcm"], program: Program::Feature },
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_what_the_peers_read() {
        let Value::Object(fields) = json!({"calls": 2}) else { unreachable!() };
        let line = serde_json::to_string(&Request::Run(fields)).unwrap();
        assert_eq!(line, r#"{"op":"run","calls":2}"#);
        assert_eq!(serde_json::to_string(&Request::Run(Fields::new())).unwrap(), r#"{"op":"run"}"#);
        assert!(matches!(serde_json::from_str(&line), Ok(Request::Run(f)) if f["calls"] == 2));
    }

    #[test]
    fn an_unknown_engine_is_named() {
        let error = Engine::start("embed", "torch", 2).err().unwrap().to_string();
        assert!(error.starts_with("torch: unknown: known are edge-net, edge-net-LEVEL, ort-f32"), "{error}");
    }

    #[test]
    fn every_script_knows_the_engines_listed_for_it() {
        for peer in PEERS {
            if let Program::Script { file, group } = peer.program {
                let text = fs::read_to_string(root().join("bench/peers").join(file)).unwrap();
                assert!(root().join(format!("bench/peers/requirements/{group}.txt")).exists(), "{group}");
                for engine in peer.engines {
                    assert!(text.contains(&format!("\"{engine}\": ")), "{file} does not know {engine}");
                }
            }
        }
    }
}
