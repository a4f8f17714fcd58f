//! `edge-net up`.

use std::time::Duration;

use edge_net::{
    model::Store,
    net::up::{Up, UpOptions},
};
use network::relay::Verification;

use super::{demo, failed, tell, wait_for_end};
use crate::cli::{
    args::network::Up as Args, economy::or_data, economy::text::shown, failure::Failure, print,
    terminal::Terminal,
};

/// Runs a network on this machine until it is told to end.
pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let models = Store::from_env()?;
    // Fetched and made ready first, with progress: contributors then find it.
    models.open(Store::manifest(MODEL)?, terminal)?;
    if args.demo {
        return demo::run(args, &models, terminal);
    }
    let options = UpOptions {
        folder: or_data(args.folder.as_deref(), "up", "--folder")?,
        listen: args.listen,
        honest: vec![args.devices.machine()],
        liars: 0,
        contribution: args.max_duty.unwrap_or(CONTRIBUTION),
        yields: !args.ignore_load,
        models: vec![MODEL],
        verification: Verification::On,
    };
    let (watcher, mut listener) = (terminal.another(), terminal.another());
    let observe = move || Box::new(watcher.another()) as _;
    let up =
        Up::start(&options, &models, observe, move |event| tell(&mut listener, event)).map_err(failed)?;
    print(&format!("relay        ws://{}\n", up.relay.address))?;
    print(&format!("embeddings   http://{}/v1/embeddings\n", up.relay.address))?;
    for member in &up.contributors {
        let (name, backend) = (&member.name, &member.contributor.backend);
        print(&format!("{name:12} {} on {backend}\n", member.contributor.account()))?;
    }
    print(&format!("account      {}\n", up.client.account()))?;
    if up.client.wait_open(READY_IN)
        && let Some(balance) = up.client.balance()
    {
        print(&format!("balance      {} credits\n", shown(balance.available)))?;
    }
    wait_for_end()?;
    match up.stop(DRAIN_IN) {
        true => Ok(()),
        false => {
            Err(Failure::Failed("some tasks did not end in time; they are refunded at the next start".into()))
        }
    }
}

pub(super) const MODEL: &str = "minilm";
pub(super) const READY_IN: Duration = Duration::from_secs(20);
const DRAIN_IN: Duration = Duration::from_secs(35);
/// A machine whose owner buys from it may use it well.
const CONTRIBUTION: f64 = 0.8;
