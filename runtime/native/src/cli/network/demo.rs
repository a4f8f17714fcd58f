//! `edge-net up --demo`: real tasks among honest and lying contributors.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use edge_net::{
    Device,
    aead::random,
    host::LocalHost,
    machine::MachineOptions,
    model::Store,
    net::{
        client::Delivered,
        demo::tasks,
        request::SubmitOptions,
        up::{Member, Up, UpOptions},
    },
};
use identity::AccountId;
use network::{relay::Verification, wire::Verify};
use serde::Serialize;
use tasks::{Task, Tier};

use super::{
    failed, tell,
    up::{MODEL, READY_IN},
};
use crate::cli::{
    args::network::Up as Args, economy::text::shown, failure::Failure, model::print_json, print,
    terminal::Terminal,
};

/// What the demonstration came to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    seed: u64,
    verification: bool,
    tasks: Vec<Line>,
    contributors: Vec<Standing>,
    spent_ucredits: u64,
    burned_ucredits: u128,
    /// Results whose bytes are not those of this machine alone.
    wrong: usize,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    kind: &'static str,
    verdict: &'static str,
    workers: u16,
    agreed: usize,
    cost_ucredits: u64,
    milliseconds: u64,
    /// Whether the bytes are those that this machine computes alone.
    equal_to_local: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    name: String,
    account: String,
    backend: String,
    lies: bool,
    slashed_ucredits: u64,
}

/// Runs it in a folder of its own, which is gone afterwards.
pub(super) fn run(args: &Args, models: &Store, terminal: &mut Terminal) -> Result<(), Failure> {
    let began = Instant::now();
    let folder = Temporary::new()?;
    let mut seed = [0; 8];
    random(&mut seed);
    let seed = u64::from_le_bytes(seed);
    let verification = if args.unverified { Verification::Off } else { Verification::On };
    let cpu = MachineOptions { device: Device::Cpu, ..args.devices.machine() };
    let options = UpOptions {
        folder: folder.0.clone(),
        listen: ([127, 0, 0, 1], 0).into(),
        honest: [vec![args.devices.machine()], vec![cpu.clone(); HONEST - 1]].concat(),
        liars: LIARS,
        contribution: args.max_duty.unwrap_or(1.0),
        // Whoever asks for a demonstration wants it there and then.
        yields: false,
        models: vec![MODEL],
        verification,
    };
    let (watcher, mut listener) = (terminal.another(), terminal.another());
    let observe = move || Box::new(watcher.another()) as _;
    let up = Up::start(&options, models, observe, move |event| tell(&mut listener, event)).map_err(failed)?;
    if !up.wait_ready(READY_IN) {
        return Err(Failure::Failed("the contributors did not find to the relay in time".into()));
    }
    if !args.json {
        introduce(&up)?;
    }
    let observer = Box::new(terminal.another());
    let mut alone = LocalHost::open(&cpu, models.clone(), observer).map_err(failed)?;
    let mut lines = Vec::new();
    for round in 0..MOST_ROUNDS {
        for (kind, task) in tasks(seed.wrapping_add(round)) {
            let line = submit(&up, &mut alone, kind, task, args.unverified)?;
            if !args.json {
                print(&line.text())?;
            }
            lines.push(line);
        }
        if round + 1 >= LEAST_ROUNDS && (args.unverified || all_caught(&up)) {
            break;
        }
    }
    let report = Report::new(seed, &up, lines, began);
    match args.json {
        true => print_json(&report)?,
        false => print(&report.text())?,
    }
    drop(up);
    report.verdict(args.unverified)
}

fn introduce(up: &Up) -> Result<(), Failure> {
    print(&format!("relay      ws://{}\n", up.relay.address))?;
    for Member { name, contributor, lies } in &up.contributors {
        let honesty = if *lies { "   lies" } else { "" };
        print(&format!("{name:10} {} on {}{honesty}\n", contributor.account(), contributor.backend))?;
    }
    let account = up.client.account();
    print(&format!("client     {account}\n\n{}\n", Line::HEAD))
}

/// One task through the network, and on this machine alone.
fn submit(
    up: &Up,
    alone: &mut LocalHost,
    kind: &'static str,
    task: Task,
    unverified: bool,
) -> Result<Line, Failure> {
    let replicas = if unverified { 1 } else { REPLICAS };
    let options = SubmitOptions { verify: Verify::Redundant(replicas), ..SubmitOptions::default() };
    let checked = task.clone().check(Tier::Public).map_err(failed)?;
    let began = Instant::now();
    let delivered = up.client.submit(task, &options);
    let milliseconds = began.elapsed().as_millis() as u64;
    let own = alone.run(&checked).map_err(failed)?;
    let line = |verdict, workers, agreed, cost_ucredits, equal_to_local| Line {
        kind,
        verdict,
        workers,
        agreed,
        cost_ucredits,
        milliseconds,
        equal_to_local,
    };
    match delivered {
        Ok(Delivered { outcome, cost_ucredits, workers, agreed, verified, .. }) => {
            let verdict = if verified { "verified" } else { "unverified" };
            Ok(line(verdict, workers, agreed, cost_ucredits, outcome == own))
        }
        // A liar's bytes may be no result at all.
        Err(edge_net::net::client::ClientError::NoResult) => Ok(line("no result", 1, 1, 0, false)),
        Err(error) => Err(failed(error)),
    }
}

/// Whether each liar lost stake.
fn all_caught(up: &Up) -> bool {
    let slashed = slashed(up);
    let mut liars = up.contributors.iter().filter(|member| member.lies);
    liars.all(|member| slashed.contains_key(&member.contributor.account()))
}

fn slashed(up: &Up) -> BTreeMap<AccountId, u64> {
    let mut sums = BTreeMap::new();
    for slashed in up.verdicts.slashed() {
        *sums.entry(slashed.worker).or_default() += slashed.amount_ucredits;
    }
    sums
}

impl Line {
    const HEAD: &'static str =
        "task               verdict     workers  agreed     credits      ms  as on this machine alone";

    fn text(&self) -> String {
        let equal = if self.equal_to_local { "equal bits" } else { "WRONG" };
        let Line { kind, verdict, workers, agreed, milliseconds, .. } = self;
        let cost = shown(self.cost_ucredits);
        format!("{kind:18} {verdict:10} {workers:>8} {agreed:>7} {cost:>11} {milliseconds:>7}  {equal}\n")
    }
}

impl Report {
    fn new(seed: u64, up: &Up, tasks: Vec<Line>, began: Instant) -> Self {
        let slashed = slashed(up);
        let standing = |Member { name, contributor, lies }: &Member| Standing {
            name: name.clone(),
            account: contributor.account().to_string(),
            backend: contributor.backend.to_string(),
            lies: *lies,
            slashed_ucredits: slashed.get(&contributor.account()).copied().unwrap_or(0),
        };
        Report {
            seed,
            verification: tasks.iter().any(|line| line.verdict == "verified"),
            contributors: up.contributors.iter().map(standing).collect(),
            spent_ucredits: tasks.iter().map(|line| line.cost_ucredits).sum(),
            burned_ucredits: slashed.values().map(|&amount| u128::from(amount)).sum(),
            wrong: tasks.iter().filter(|line| !line.equal_to_local).count(),
            tasks,
            seconds: began.elapsed().as_secs_f64(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::from("\n");
        for Standing { name, account, lies, slashed_ucredits, .. } in &self.contributors {
            let what = match (lies, slashed_ucredits) {
                (_, 0) => "nothing to blame".to_owned(),
                (_, amount) => format!("slashed, {} credits burned", shown(*amount)),
            };
            text += &format!("{name:10} {account}  {what}\n");
        }
        let (spent, burned) = (shown(self.spent_ucredits), shown(self.burned_ucredits as u64));
        text += &format!("\n{spent} credits spent, {burned} burned; ");
        text += &format!("{} of {} results wrong; {:.1} s\n", self.wrong, self.tasks.len(), self.seconds);
        text
    }

    /// With verification every result is right, every liar was caught and nobody else was.
    fn verdict(&self, unverified: bool) -> Result<(), Failure> {
        if unverified {
            return Ok(());
        }
        let blamed =
            |lies| self.contributors.iter().filter(move |c| c.lies == lies && c.slashed_ucredits > 0);
        let (caught, innocent) = (blamed(true).count(), blamed(false).count());
        match (self.wrong, caught, innocent) {
            (0, LIARS, 0) => Ok(()),
            (wrong, caught, innocent) => Err(Failure::Failed(format!(
                "{wrong} wrong results, {caught} of {LIARS} liars caught, {innocent} innocent slashed (seed {})",
                self.seed
            ))),
        }
    }
}

/// A folder that is removed with what is in it.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, Failure> {
        let mut name = [0; 8];
        random(&mut name);
        let folder = std::env::temp_dir().join(format!("edge-net-demo-{:016x}", u64::from_le_bytes(name)));
        std::fs::create_dir(&folder).map_err(|e| Failure::Failed(format!("{}: {e}", folder.display())))?;
        Ok(Temporary(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const HONEST: usize = 5;
const LIARS: usize = 2;
/// All of them: nobody on a network this young is known well enough for fewer to convict anyone.
const REPLICAS: u8 = (HONEST + LIARS) as u8;
const LEAST_ROUNDS: u64 = 2;
const MOST_ROUNDS: u64 = 12;
