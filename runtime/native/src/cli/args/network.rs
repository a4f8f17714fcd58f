//! What can be asked of the network's commands.

use std::{net::SocketAddr, path::PathBuf};

use clap::ValueEnum;
use edge_net::net::address::RelayAddress;
use network::{
    capability::TaskType,
    wire::{Assurance, Priority, Verify},
};

use super::{
    Devices,
    economy::{KeyFile, Operator, StoreFlag},
};
use crate::cli::economy::text::credits;

/// A whole network on this machine: relay, contributors and client in one process
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Submit tasks of every kind among honest and lying contributors, show who was caught, and end
    ///
    /// The network is founded anew in a temporary folder; the relay is not told who lies.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Take the first result there is, whatever it is: shows what verification is for
    #[arg(long, requires = "demo")]
    pub(crate) unverified: bool,
    /// Where the relay listens
    #[arg(long, env = "EDGENET_LISTEN", default_value = "127.0.0.1:8788", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where keys and stores lie [default: edge-net/up in the platform's data folder]
    #[arg(long, env = "EDGENET_UP_FOLDER", value_name = "DIR", conflicts_with = "demo")]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) devices: Devices,
    /// Most of the device's time that may be used, 0 to 1
    #[arg(long, env = "EDGENET_MAX_DUTY", value_name = "SHARE", value_parser = share)]
    pub(crate) max_duty: Option<f64>,
    /// Work whatever other processes use
    #[arg(long)]
    pub(crate) ignore_load: bool,
    /// Print JSON
    #[arg(long, requires = "demo")]
    pub(crate) json: bool,
}

/// Connect edges, draw workers, compare their results, settle
#[derive(Debug, clap::Args)]
pub(crate) struct Relay {
    /// Where it listens
    #[arg(long, env = "EDGENET_LISTEN", default_value = "127.0.0.1:8788", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) store: StoreFlag,
    #[command(flatten)]
    pub(crate) operator: Operator,
    /// Every connection counts as a network block of its own: for a network that is one machine
    #[arg(long)]
    pub(crate) one_machine: bool,
    /// Claims count as staked from their first epoch on: for a network of one operator
    #[arg(long)]
    pub(crate) no_probation_of_claims: bool,
}

/// Where relays are.
#[derive(Debug, clap::Args)]
pub(crate) struct Relays {
    /// A relay, as ws://host:port or wss://host; up to three
    #[arg(long = "relay", env = "EDGENET_RELAY", value_name = "URL", value_delimiter = ',', required = true)]
    pub(crate) relays: Vec<RelayAddress>,
}

/// Lend this machine's devices
#[derive(Debug, clap::Args)]
pub(crate) struct Contribute {
    #[command(flatten)]
    pub(crate) relays: Relays,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    #[command(flatten)]
    pub(crate) devices: Devices,
    /// Most of the device's time that may be used, 0 to 1
    #[arg(long, env = "EDGENET_MAX_DUTY", default_value = "0.3", value_name = "SHARE", value_parser = share)]
    pub(crate) max_duty: f64,
    /// Kinds of tasks it takes [default: all that need nothing else of this machine]
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = task_type)]
    pub(crate) tasks: Vec<TaskType>,
    /// Models it holds ready, where tasks need any
    #[arg(long, env = "EDGENET_MODEL", default_value = "minilm", value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    /// Tasks at hand at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) slots: u16,
    /// Hours in which it works, as 22:00-06:00 [default: always]
    #[arg(long, value_name = "FROM-UNTIL", value_parser = hours)]
    pub(crate) hours: Option<(u16, u16)>,
    /// Work on battery power too
    #[arg(long)]
    pub(crate) on_battery: bool,
    /// Work whatever other processes use
    #[arg(long)]
    pub(crate) ignore_load: bool,
    /// Where it remembers what it signed and opened [default: edge-net/edge-ACCOUNT.store in the platform's data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) edge_store: Option<PathBuf>,
    /// Answer wrong, for those who want to see what happens to liars; costs the stake
    #[arg(long, hide = true)]
    pub(crate) lie: bool,
}

/// Have the network do a task
#[derive(Debug, clap::Args)]
pub(crate) struct Submit {
    /// The task: its type and payload, as {"type": "embedding", "payload": {"texts": ["..."]}}; - for stdin
    #[arg(value_name = "FILE")]
    pub(crate) task: PathBuf,
    #[command(flatten)]
    pub(crate) relays: Relays,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// Replicas that must agree, 1 to 7 [default: as few as suffice]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub(crate) redundancy: Option<u8>,
    /// How sure the verdict has to be
    #[arg(long, default_value = "normal")]
    pub(crate) assurance: Sure,
    /// The lane
    #[arg(long, default_value = "normal")]
    pub(crate) priority: Lane,
    /// Spend no more than this, in credits
    #[arg(long, value_name = "CREDITS", value_parser = credits)]
    pub(crate) max_credits: Option<u64>,
    /// Seconds until it is given up
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) timeout: u32,
    /// Say what it may cost, and spend nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where the client remembers what it signed [default: edge-net/edge-ACCOUNT.store in the platform's data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) edge_store: Option<PathBuf>,
}

/// How sure a verdict has to be.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Sure {
    /// 99 %
    Normal,
    /// 99.9 %
    High,
}

/// A lane.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Lane {
    /// Half the price
    Low,
    /// The price
    Normal,
    /// Twice the price, and first
    High,
}

impl Submit {
    pub(crate) fn verify(&self) -> Verify {
        self.redundancy.map_or(Verify::Adaptive, Verify::Redundant)
    }

    pub(crate) fn assurance(&self) -> Assurance {
        match self.assurance {
            Sure::Normal => Assurance::Normal,
            Sure::High => Assurance::High,
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        match self.priority {
            Lane::Low => Priority::Low,
            Lane::Normal => Priority::Normal,
            Lane::High => Priority::High,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().map_err(|e| e.to_string())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is 0 to 1".into()) }
}

fn task_type(name: &str) -> Result<TaskType, String> {
    let types = edge_net::net::contributor::NETWORK_TYPES;
    let exact = tasks::Task::canonical_name(name);
    types.into_iter().find(|kind| Some(edge_net::net::contributor::type_name(*kind)) == exact).ok_or_else(
        || {
            let names: Vec<&str> = types.into_iter().map(edge_net::net::contributor::type_name).collect();
            format!("the network's types are {}", names.join(", "))
        },
    )
}

/// Minutes of the day.
fn hours(text: &str) -> Result<(u16, u16), String> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (hour <= 24 && minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
    };
    let both = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
    both.ok_or_else(|| "hours are written as 22:00-06:00".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_minutes_of_the_day() {
        assert_eq!(hours("22:00-06:30"), Ok((1320, 390)));
        assert_eq!(hours("8-24"), Ok((480, 1440)));
        for wrong in ["", "8", "25-3", "8:60-9", "a-b", "8-24:01"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn types_have_their_other_names() {
        assert_eq!(task_type("embeddings"), Ok(TaskType::Embedding));
        assert_eq!(task_type("custom_wasm"), Ok(TaskType::CustomWasm));
        assert!(task_type("vector_insert").is_err() && task_type("nothing").is_err());
    }
}
