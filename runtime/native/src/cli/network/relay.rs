//! `edge-net relay`.

use std::time::Duration;

use edge_net::{
    net::relay::{Blocks, RelayServer},
    wallet::Wallet,
};
use network::{draw::STAKED_EPOCHS, relay::Config};

use super::{failed, tell, wait_for_end};
use crate::cli::{args::network::Relay, failure::Failure, print, terminal::Terminal};

/// Runs a relay until it is told to end, and lets open tasks end first.
pub(crate) fn run(args: &Relay, terminal: &mut Terminal) -> Result<(), Failure> {
    let store = args.store.path()?;
    let operator = Wallet::open(&args.operator.path(&store)).map_err(failed)?;
    let head_start_epochs = if args.no_probation_of_claims { STAKED_EPOCHS } else { 0 };
    let config = Config { head_start_epochs, ..Config::default() };
    let blocks = if args.one_machine { Blocks::OnePerConnection } else { Blocks::OfAddress };
    let mut watcher = terminal.another();
    let relay = RelayServer::start(args.listen, &store, &operator, config, blocks, move |event| {
        tell(&mut watcher, event);
    })
    .map_err(failed)?;
    print(&format!("relay {} listens at ws://{}\n", operator.account(), relay.address))?;
    wait_for_end()?;
    terminal.detail("draining");
    match relay.drain(DRAIN_IN) {
        true => Ok(()),
        false => {
            Err(Failure::Failed("some tasks did not end in time; they are refunded at the next start".into()))
        }
    }
}

const DRAIN_IN: Duration = Duration::from_secs(35);
