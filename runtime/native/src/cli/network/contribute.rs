//! `edge-net contribute`.

use std::sync::mpsc::channel;

use edge_net::{
    model::Store,
    net::{
        address::find_all,
        contributor::{Contributor, ContributorOptions, NETWORK_TYPES},
    },
};
use network::{
    capability::{TaskType, TaskTypes},
    edge::Event,
    scheduler::{Place, RawSettings},
};

use super::{edge_store, failed, wait_for_end};
use crate::cli::{
    args::network::Contribute, economy::text::shown, failure::Failure, print, terminal::Terminal,
};

/// Lends this machine until it is told to end; what runs then ends first.
pub(crate) fn run(args: &Contribute, terminal: &mut Terminal) -> Result<(), Failure> {
    let wallet = args.key.open()?;
    let relays = find_all(&args.relays.relays).map_err(failed)?;
    let store = Store::from_env()?;
    let settings = RawSettings {
        contribution: args.max_duty,
        respect_battery: !args.on_battery,
        hours: args.hours,
        ..RawSettings::new(Place::Native)
    };
    let types = if args.tasks.is_empty() { NETWORK_TYPES.to_vec() } else { args.tasks.clone() };
    let embeds = types.iter().any(|kind| matches!(kind, TaskType::Embedding | TaskType::SemanticMatch));
    let models = if embeds { ready(args, &store, terminal)? } else { Vec::new() };
    let options = ContributorOptions {
        relays,
        store: edge_store(args.edge_store.as_ref(), &wallet.account())?,
        machine: args.devices.machine(),
        settings: settings.check().map_err(|e| Failure::Usage(e.to_string()))?,
        types: TaskTypes::of(&types),
        models,
        slots: args.slots,
        least_price_ucredits: 0,
        yields: !args.ignore_load,
        lies: args.lie,
    };
    let (drained, wait) = channel();
    let mut watcher = terminal.another();
    let observer = Box::new(terminal.another());
    let contributor = Contributor::start(options, &wallet, store, observer, move |event| {
        tell(&mut watcher, event);
        if *event == Event::Drained {
            drained.send(()).ok();
        }
    })
    .map_err(failed)?;
    print(&format!("contributing as {} on {}\n", wallet.account(), contributor.backend))?;
    wait_for_end()?;
    contributor.drain();
    wait.recv_timeout(DRAIN_IN).ok();
    let work = contributor.work();
    print(&format!("{} tasks verified, {} credits earned\n", work.verified, shown(work.earned_ucredits)))
}

/// The models that were asked for, made ready before anybody may rely on them.
fn ready(args: &Contribute, store: &Store, terminal: &mut Terminal) -> Result<Vec<&'static str>, Failure> {
    let mut names = Vec::new();
    for name in &args.models {
        let manifest = Store::manifest(name)?;
        store.open(manifest, terminal)?;
        names.push(manifest.name);
    }
    Ok(names)
}

fn tell(terminal: &mut Terminal, event: &Event) {
    match event {
        Event::Opened { relay } => terminal.detail(&format!("connected to {relay}")),
        Event::Closed { relay, reason } => terminal.warn(&format!("{relay} is gone: {}", reason.text())),
        Event::Worked { task, reason, price_ucredits, .. } => {
            terminal.detail(&format!("{task}: {}, {} credits", reason.name(), shown(*price_ucredits)));
        }
        Event::HandedBack { task, reason, .. } => {
            terminal.detail(&format!("{task}: handed back, {}", reason.text()));
        }
        Event::ClaimRefused { reason, detail, .. } | Event::StakeRefused { reason, detail, .. } => {
            terminal.warn(&format!("{} {detail}", reason.text()));
        }
        Event::OperationRefused { detail, .. } | Event::AccountUnclear { detail, .. } => {
            terminal.warn(detail)
        }
        _ => {}
    }
}

const DRAIN_IN: std::time::Duration = std::time::Duration::from_secs(10);
