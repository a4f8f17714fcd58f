//! A relay, seven workers and three submitters, each a process of its own; one of the workers lies.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use edge_net::{Device, host::LocalHost, machine::MachineOptions, model::Store, net::demo::tasks};
use serde_json::{Value, json};
use tasks::{Task, Tier};

use crate::{
    Running, address,
    common::{Sandbox, run},
};

const WORKERS: usize = 7;
const SUBMITTERS: usize = 3;

struct Town {
    sandbox: Sandbox,
    store: PathBuf,
}

impl Town {
    /// Keys for everybody, and a network in which workers are staked and submitters have credits.
    fn found(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let store = sandbox.root.join("ledger.store");
        let town = Town { sandbox, store };
        let workers: Vec<String> = (0..WORKERS).map(|n| town.account(&format!("worker-{n}"))).collect();
        let submitters: Vec<String> =
            (0..SUBMITTERS).map(|n| town.account(&format!("submitter-{n}"))).collect();
        let mut found = town.command(&["ledger", "found", "--name", "town"]);
        found.arg(&town.store);
        workers.iter().for_each(|account| _ = found.args(["--stake", account]));
        submitters.iter().for_each(|account| _ = found.args(["--grant", &format!("{account}=1000")]));
        run(&mut found, b"").expect(0);
        town
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.edge_net();
        command.args(args);
        command
    }

    fn key(&self, name: &str) -> String {
        self.sandbox.root.join(format!("{name}.key")).display().to_string()
    }

    fn account(&self, name: &str) -> String {
        let made =
            run(&mut self.command(&["wallet", "create", "--json", "--key-file", &self.key(name)]), b"");
        made.expect(0).json()["account"].as_str().expect("an account").to_owned()
    }

    fn relay(&self) -> (Running, String) {
        let mut command = self.command(&["relay", "--listen", "127.0.0.1:0"]);
        command.args(["--one-machine", "--no-probation-of-claims", "--store"]).arg(&self.store);
        let mut relay = Running::start(&mut command);
        let relay_at = address(&relay.line());
        (relay, relay_at)
    }

    fn worker(&self, number: usize, relay: &str, more: &[&str]) -> Running {
        let key = self.key(&format!("worker-{number}"));
        let mut command = self.command(&["contribute", "--relay", relay, "--key-file", &key]);
        command
            .args([
                "--tasks",
                "vector_search,neural_inference,custom_wasm",
                "--max-duty",
                "1",
                "--ignore-load",
            ])
            .args(more);
        let mut worker = Running::start(&mut command);
        let said = worker.line();
        assert!(said.starts_with("contributing as "), "{said}");
        worker
    }

    /// Submits a task and gives what was printed.
    fn submit(&self, number: usize, relay: &str, name: &str, task: &Value) -> Value {
        let file = self.sandbox.root.join(format!("{number}-{name}.json"));
        std::fs::write(&file, task.to_string()).expect("written");
        let key = self.key(&format!("submitter-{number}"));
        let mut command = self.command(&["submit", "--relay", relay, "--key-file", &key]);
        command.args(["--redundancy", &WORKERS.to_string()]).arg(&file);
        run(&mut command, b"").expect(0).json()
    }
}

/// A task as `submit` reads it.
fn written(name: &str, task: &Task) -> Value {
    let payload = match task {
        Task::VectorSearch(task) => json!(task),
        Task::NeuralInference(task) => json!(task),
        Task::CustomWasm(task) => json!(task),
        _ => panic!("{name} needs a model"),
    };
    json!({ "type": name, "payload": payload })
}

fn alone(folder: &Path, task: Task) -> Value {
    let options = MachineOptions { device: Device::Cpu, ..MachineOptions::default() };
    let store = Store::from_env().expect("folders").with_cache(folder);
    let mut host = LocalHost::open(&options, store, Box::new(())).expect("a CPU");
    let outcome = host.run(&task.check(Tier::Public).expect("in order")).expect("a result");
    serde_json::to_value(outcome).expect("JSON")
}

#[test]
fn many_processes_agree_with_one_and_a_liar_pays() {
    let town = Town::found("processes");
    let (relay, at) = town.relay();
    let mut workers: Vec<Running> =
        (0..WORKERS - 1).map(|n| town.worker(n, &at, &["--device", "cpu"])).collect();
    workers.push(town.worker(WORKERS - 1, &at, &["--device", "cpu", "--lie"]));
    let (town, at) = (&town, &at);
    let buy = move |number: usize| {
        for (name, task) in tasks(number as u64).into_iter().filter(|(name, _)| *name != "embedding") {
            let answer = town.submit(number, at, name, &written(name, &task));
            assert_eq!(answer["verified"], true, "{name}: {answer}");
            assert_eq!(answer["result"], alone(&town.sandbox.cache(), task), "{name}");
        }
    };
    // A first lost vote costs the reputation, a second one the stake: the liar is known when the others come.
    buy(0);
    thread::scope(|scope| {
        (1..SUBMITTERS).for_each(|number| drop(scope.spawn(move || buy(number))));
    });
    workers.iter().for_each(Running::tell);
    for worker in workers {
        assert_eq!(worker.end(), Some(0));
    }
    assert_eq!(relay.end(), Some(0), "what was open ended, and the relay went in peace");
    let verified = run(town.command(&["ledger", "verify", "--json"]).arg(&town.store), b"").expect(0).json();
    assert_eq!(verified["conserved"], true, "{verified}");
    let burned = verified["totals"]["burned_ucredits"].as_u64().expect("a number");
    assert!(burned >= 10_000_000, "the liar's stake is burned: {verified}");
}
