//! `edge-net submit`.

use std::time::Duration;

use edge_net::net::{
    client::{Client, ClientError, Delivered},
    request::SubmitOptions,
};
use network::wire::Tier;
use serde::Deserialize;
use serde_json::{Value, json};
use tasks::Task;

use super::{edge_store, failed};
use crate::cli::{
    args::network::Submit,
    economy::text::shown,
    failure::Failure,
    model::print_json,
    task::{place, read, refused},
    terminal::Terminal,
};

/// A task as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "type")]
    kind: String,
    payload: Value,
}

/// Submits a task and prints its result.
pub(crate) fn run(args: &Submit, terminal: &mut Terminal) -> Result<(), Failure> {
    let bytes = read(&args.task)?;
    let written: Written =
        serde_json::from_slice(&bytes).map_err(|e| Failure::Failed(format!("{}: {e}", place(&args.task))))?;
    let task = Task::from_json(&written.kind, written.payload).map_err(|e| refused(&e))?;
    let wallet = args.key.open()?;
    let store = edge_store(args.edge_store.as_ref(), &wallet.account())?;
    let client = Client::connect(&args.relays.relays, &wallet, &store).map_err(failed)?;
    let options = SubmitOptions {
        verify: args.verify(),
        assurance: args.assurance(),
        priority: args.priority(),
        tier: Tier::Public,
        max_ucredits: args.max_credits,
        ttl_ms: args.timeout * 1000,
        timeout_ms: args.timeout * 1000,
    };
    if args.dry_run {
        let most_ucredits = client.quote(task, &options).map_err(told)?;
        return print_json(&json!({ "mostCredits": shown(most_ucredits), "mostUcredits": most_ucredits }));
    }
    if !client.wait_open(Duration::from_secs(args.timeout.into())) {
        return Err(Failure::Failed("no relay let us in".into()));
    }
    let delivered = client.submit(task, &options).map_err(told)?;
    terminal.detail(&format!("{} credits, {} workers", shown(delivered.cost_ucredits), delivered.workers));
    print_json(&answer(&delivered))
}

fn answer(delivered: &Delivered) -> Value {
    let Delivered { task, outcome, cost_ucredits, workers, agreed, verified } = delivered;
    json!({
        "task": task.to_string(),
        "result": outcome,
        "costUcredits": cost_ucredits,
        "workers": workers,
        "agreed": agreed,
        "verified": verified,
    })
}

fn told(error: ClientError) -> Failure {
    match error {
        ClientError::Refused(refusal) => refused(&refusal),
        error => failed(error),
    }
}
