//! `edge-net match`.

use edge_net::model::Store;
use serde::Serialize;
use tasks::{Agent, Outcome, SemanticMatch, Task};

use super::{
    args::tasks::Match,
    failure::Failure,
    format::one_line,
    model::print_json,
    print,
    task::{self, host, json_problem, place, read_text},
    terminal::Terminal,
};

#[derive(Serialize)]
struct Routed<'a> {
    query: &'a str,
    agents: Vec<Scored<'a>>,
}

#[derive(Serialize)]
struct Scored<'a> {
    id: &'a str,
    score: f64,
}

/// Routes queries to agents.
pub(crate) fn run(args: &Match, terminal: &mut Terminal) -> Result<(), Failure> {
    Store::manifest(&args.run.model)?;
    let agents = agents(args)?;
    let mut host = host(&args.run.devices.machine(), terminal)?;
    let task = Task::SemanticMatch(SemanticMatch {
        queries: args.queries.clone(),
        agents,
        k: args.k,
        threshold: args.threshold,
        model: args.run.model.clone(),
    });
    let Outcome::SemanticMatch(matched) = task::run(&mut host, task)? else {
        unreachable!("a match gives agents")
    };
    let rows = args.queries.iter().zip(&matched.agents);
    let rows: Vec<Routed<'_>> =
        rows.map(|(query, ranked)| Routed { query, agents: ranked.iter().map(scored).collect() }).collect();
    if args.json { print_json(&rows) } else { show(&rows) }
}

/// Scores are Q30: two Q15 vectors multiplied.
fn scored(ranked: &tasks::Ranked) -> Scored<'_> {
    Scored { id: &ranked.id, score: f64::from(ranked.score) / f64::from(1 << 30) }
}

fn show(rows: &[Routed<'_>]) -> Result<(), Failure> {
    let mut text = String::new();
    for row in rows {
        text += &format!("\"{}\"\n", one_line(row.query));
        for agent in &row.agents {
            text += &format!("  {:>8.4}  {}\n", agent.score, one_line(agent.id));
        }
        if row.agents.is_empty() {
            text += "  no agent reaches the threshold\n";
        }
    }
    print(&text)
}

fn agents(args: &Match) -> Result<Vec<Agent>, Failure> {
    let text = read_text(&args.agents)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let agent = |(index, line): (usize, &str)| {
        let wanted = "expected {\"id\": \"...\", \"description\": \"...\"}";
        serde_json::from_str(line).map_err(|e| {
            let problem = json_problem(&e);
            Failure::Failed(format!("{}: line {}: {wanted}: {problem}", place(&args.agents), index + 1))
        })
    };
    let agents: Vec<Agent> = lines.map(agent).collect::<Result<_, _>>()?;
    match agents.is_empty() {
        true => Err(Failure::Failed(format!("{}: no agents", place(&args.agents)))),
        false => Ok(agents),
    }
}
