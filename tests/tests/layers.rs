//! The house's arrows only go down: which crate may know which, read from `cargo metadata`.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Crates and the crates of ours they may depend on. A crate that is not listed fails the test, so that a
/// newcomer decides where it belongs.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("identity", &[]),
    ("ledger", &["identity"]),
    ("network", &["identity", "ledger"]),
    ("kernels-cpu", &["plan"]),
    ("shaders", &["plan"]),
    ("models", &["plan"]),
    ("engine", &["plan", "kernels-cpu", "shaders"]),
    ("sandbox", &[]),
    ("tasks", &["plan", "identity", "models", "sandbox"]),
    (
        "edge-net",
        &["plan", "identity", "ledger", "network", "kernels-cpu", "models", "engine", "sandbox", "tasks"],
    ),
    (
        "bench",
        &[
            "plan",
            "identity",
            "ledger",
            "network",
            "kernels-cpu",
            "shaders",
            "models",
            "engine",
            "sandbox",
            "tasks",
            "edge-net",
        ],
    ),
    ("economy", &["identity", "ledger"]),
    ("purity", &["plan", "identity", "ledger", "network", "kernels-cpu", "models", "sandbox", "tasks"]),
    (
        "edge-net-tests",
        &[
            "plan",
            "identity",
            "ledger",
            "network",
            "kernels-cpu",
            "shaders",
            "models",
            "engine",
            "sandbox",
            "tasks",
            "edge-net",
        ],
    ),
];

/// Crates of others that a crate of ours must never reach, by any path of normal dependencies.
const MUST_NOT_REACH: &[(&str, &[&str])] = &[
    ("plan", &["wgpu", "tokio", "getrandom"]),
    ("identity", &["wgpu", "tokio", "getrandom"]),
    ("ledger", &["wgpu", "tokio", "getrandom", "engine", "models"]),
    ("network", &["wgpu", "tokio", "getrandom", "engine", "models"]),
    ("kernels-cpu", &["wgpu", "tokio", "getrandom"]),
    ("shaders", &["wgpu", "tokio", "getrandom"]),
    ("models", &["wgpu", "tokio", "getrandom", "tokenizers", "candle-core"]),
    ("sandbox", &["wgpu", "tokio", "getrandom"]),
    ("tasks", &["wgpu", "tokio", "getrandom", "tokenizers", "candle-core", "engine"]),
];

#[test]
fn arrows_only_go_down() {
    assert_eq!(violations(&Graph::of_the_workspace()), Vec::<String>::new());
}

/// An arrow that goes up is caught.
#[test]
fn a_planted_fault_is_caught() {
    let mut graph = Graph::of_the_workspace();
    graph.edges.get_mut("plan").expect("a crate").push("engine".into());
    let caught = violations(&graph);
    assert!(caught.contains(&"plan must not know engine".to_owned()), "{caught:?}");
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for member in &graph.members {
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| name == member) else {
            found.push(format!("{member} has no place in the layers"));
            continue;
        };
        let ours = graph.edges[member].iter().filter(|d| graph.members.contains(d));
        found.extend(
            ours.filter(|d| !allowed.contains(&d.as_str())).map(|d| format!("{member} must not know {d}")),
        );
    }
    for (name, forbidden) in MUST_NOT_REACH {
        let reached = graph.reachable(name);
        found.extend(
            forbidden
                .iter()
                .filter(|f| reached.iter().any(|r| r.split(' ').next() == Some(f)))
                .map(|f| format!("{name} reaches {f}")),
        );
    }
    found
}

/// Normal dependencies. Crates of ours by name, others by name and version: two versions of one crate have
/// dependencies of their own.
struct Graph {
    members: Vec<String>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn of_the_workspace() -> Graph {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let args = ["metadata", "--format-version=1", "--locked", "--manifest-path", manifest];
        let output = Command::new(env!("CARGO")).args(args).output().expect("cargo metadata runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
        let ids: Vec<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
        let name = |package: &Value| {
            let (id, name) = (text(&package["id"]), text(&package["name"]));
            let named = if ids.contains(&id) { name } else { name + " " + &text(&package["version"]) };
            (id, named)
        };
        let name_of: BTreeMap<String, String> = list(&metadata["packages"]).iter().map(name).collect();
        let members = ids.iter().map(|id| name_of[id].clone()).collect();
        let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|k| k["kind"].is_null());
            let deps = list(&node["deps"]);
            let names = deps.iter().filter(normal).map(|dep| name_of[&text(&dep["pkg"])].clone());
            edges.entry(name_of[&text(&node["id"])].clone()).or_default().extend(names);
        }
        Graph { members, edges }
    }

    fn reachable(&self, from: &str) -> Vec<String> {
        let mut seen = vec![from.to_owned()];
        let mut next = 0;
        while let Some(name) = seen.get(next).cloned() {
            let deps = self.edges.get(&name).into_iter().flatten();
            let unseen: Vec<String> = deps.filter(|d| !seen.contains(d)).cloned().collect();
            seen.extend(unseen);
            next += 1;
        }
        seen
    }
}
