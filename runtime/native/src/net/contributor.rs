//! Lending: this machine's devices to strangers, within its owner's limits.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use identity::{AccountId, SecretKey};
use ledger::Id;
use network::{
    capability::{Backend as Kind, TaskType, TaskTypes},
    edge::{Config, Event, Input},
    reason::Reason,
    scheduler::{Decision, Device, Settings},
    worker::Preferences,
};
use tasks::NUMERICS_VERSION;
use thiserror::Error;

use super::{
    address::FoundRelay,
    client::AGENT,
    edge::{EdgeError, EdgeInputs, EdgeNode, Owner, Run},
    executor::{Executor, Finished, Job},
    request::model_id,
};
use crate::{
    Backend,
    machine::MachineOptions,
    model::{Observer, Store},
    store::{OpenError, RedbStore},
    throttle::{Throttle, Watch},
    wallet::Wallet,
};

/// What a contributor lends, and where.
pub struct ContributorOptions {
    /// Relays of one network.
    pub relays: Vec<FoundRelay>,
    /// Where it remembers what it signed and opened.
    pub store: PathBuf,
    /// Which devices.
    pub machine: MachineOptions,
    /// How much of them.
    pub settings: Settings,
    /// Kinds of tasks it takes.
    pub types: TaskTypes,
    /// Models it holds ready.
    pub models: Vec<&'static str>,
    /// Tasks at once: one runs, the others wait at hand.
    pub slots: u16,
    /// It works for no less, in micro-credits.
    pub least_price_ucredits: u64,
    /// Whether it makes room for other processes of this machine.
    pub yields: bool,
    /// Answers with other bytes than were computed. For demonstrations of what happens to liars; never for anything else.
    pub lies: bool,
}

/// A contributor that runs. Dropping it ends the task that runs, within a slice, and closes its connections.
pub struct Contributor {
    // In this order: whoever watches and works speaks to the node.
    _watch: Watch,
    node: EdgeNode,
    desk: Arc<Desk>,
    throttle: Arc<Throttle>,
    /// What runs its tasks.
    pub backend: Backend,
    account: AccountId,
}

/// Why a contributor does not start.
#[derive(Debug, Error)]
pub enum ContributorError {
    /// A device.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// Its edge.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// Its store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No relays.
    #[error("no relay to connect to")]
    NoRelay,
    /// A model that it cannot be trusted to share.
    #[error(transparent)]
    Model(#[from] super::request::UnfitError),
}

/// What it did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Tasks that were settled in its favour.
    pub verified: u64,
    /// Tasks that were settled against it.
    pub slashed: u64,
    /// Tasks that ended otherwise.
    pub other: u64,
    /// Micro-credits that its settled tasks paid.
    pub earned_ucredits: u64,
}

#[derive(Default)]
struct Desk {
    work: Mutex<Work>,
    running: AtomicU64,
}

impl Contributor {
    /// Opens the devices, proves them, and connects. `seen` hears what happens.
    ///
    /// # Errors
    /// [`ContributorError`].
    pub fn start(
        options: ContributorOptions,
        wallet: &Wallet,
        models: Store,
        observer: Box<dyn Observer + Send>,
        seen: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Self, ContributorError> {
        let network = options.relays.first().ok_or(ContributorError::NoRelay)?.network.clone();
        let store = Arc::new(RedbStore::open_or_create(&options.store, network.id().as_bytes())?);
        let device = if options.machine.device == crate::Device::Cpu { Device::Cpu } else { Device::Gpu };
        let throttle = Arc::new(Throttle::new(options.settings.clone(), device));
        let node_inputs: Arc<OnceLock<EdgeInputs>> = Arc::default();
        let (tell, liar) = (node_inputs.clone(), options.lies.then(|| wallet.account()));
        let finished = move |finished: Finished| {
            if let Some(inputs) = tell.get() {
                let result =
                    finished.result.map(|bytes| answered(bytes, liar)).map_err(|failed| failed.reason);
                inputs.send(Input::Done { assignment: finished.assignment, result });
            }
        };
        let executor =
            Executor::start(options.machine.clone(), models, observer, throttle.clone(), finished)?;
        let (backend, account) = (executor.backend.clone(), wallet.account());
        let config = Config {
            relays: options.relays.iter().map(|relay| relay.account).collect(),
            agent: AGENT.to_owned(),
            submits: false,
            work: Some(preferences(&options, &backend)?),
        };
        let desk = Arc::new(Desk::default());
        let foreman = Foreman { executor, desk: desk.clone(), seen };
        let key = SecretKey::from_seed(*wallet.key.seed());
        let node = EdgeNode::start(config, &options.relays, network, key, store, |inputs| {
            drop(node_inputs.set(inputs.clone()));
            foreman
        })?;
        let inputs = node.inputs();
        let watch = Watch::start(throttle.clone(), options.yields, move |decision, _| {
            inputs.send(load(&decision));
        });
        Ok(Contributor { _watch: watch, node, desk, throttle, backend, account })
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What it did so far.
    pub fn work(&self) -> Work {
        *self.desk.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it may use at present, and why.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Takes no more work: what runs ends, and the connections are closed behind it. [`Event::Drained`] says when.
    pub fn drain(&self) {
        self.node.inputs().send(Input::Drain);
    }
}

/// Between the edge and the executor.
struct Foreman<F> {
    executor: Executor,
    desk: Arc<Desk>,
    seen: F,
}

impl<F: FnMut(&Event) + Send + 'static> Owner for Foreman<F> {
    fn event(&mut self, event: Event) {
        if let Event::Worked { reason, price_ucredits, .. } = &event {
            let mut work = self.desk.work.lock().unwrap_or_else(PoisonError::into_inner);
            match reason {
                Reason::Verified | Reason::Unverified => work.verified += 1,
                Reason::Slashed => work.slashed += 1,
                _ => work.other += 1,
            }
            work.earned_ucredits += price_ucredits;
        }
        (self.seen)(&event);
    }

    fn run(&mut self, task: Run, _: &EdgeInputs) {
        self.desk.running.fetch_add(1, Ordering::Relaxed);
        let Run { assignment, kind, model, payload } = task;
        let model = model.unwrap_or(Id::ZERO);
        self.executor.run(Job { assignment, kind, model, payload, tier: tasks::Tier::Public });
    }

    fn abort(&mut self, assignment: Id) {
        self.executor.abort(assignment);
    }
}

/// A decision as the edge takes it.
fn load(decision: &Decision) -> Input {
    let duty_permille = decision.duty_permille;
    Input::Load { duty_permille, paused: (duty_permille == 0).then_some(Reason::Busy) }
}

/// An honest worker's bytes are its result. A liar's are its own: no two liars agree.
fn answered(mut bytes: Vec<u8>, liar: Option<AccountId>) -> Vec<u8> {
    if let Some(account) = liar {
        let marks = account.to_bytes();
        bytes.iter_mut().rev().zip(marks).for_each(|(byte, mark)| *byte ^= mark | 1);
    }
    bytes
}

fn preferences(options: &ContributorOptions, backend: &Backend) -> Result<Preferences, ContributorError> {
    let models: Result<BTreeSet<Id>, _> = options.models.iter().map(|name| model_id(name)).collect();
    Ok(Preferences {
        types: options.types,
        models: models?,
        numerics: NUMERICS_VERSION,
        memory_mib: MEMORY_MIB,
        backend: match backend {
            Backend::Gpu(_) => Kind::Gpu,
            Backend::Cpu(_) => Kind::Cpu,
        },
        slots: options.slots,
        max_payload_bytes: MOST_PAYLOAD_BYTES,
        max_result_bytes: MOST_RESULT_BYTES,
        least_price_ucredits: options.least_price_ucredits,
        groups: Vec::new(),
        public: true,
        site: None,
        region: None,
    })
}

/// Kinds that need nothing of this machine but its devices.
pub const NETWORK_TYPES: [TaskType; 6] = [
    TaskType::VectorSearch,
    TaskType::Embedding,
    TaskType::SemanticMatch,
    TaskType::NeuralInference,
    TaskType::Compression,
    TaskType::CustomWasm,
];
const MEMORY_MIB: u32 = 512;
const MOST_PAYLOAD_BYTES: u32 = 64 << 20;
const MOST_RESULT_BYTES: u32 = 32 << 20;

/// The name of a kind of task.
pub fn type_name(kind: TaskType) -> &'static str {
    match kind {
        TaskType::VectorSearch => "vector_search",
        TaskType::VectorInsert => "vector_insert",
        TaskType::Embedding => "embedding",
        TaskType::SemanticMatch => "semantic_match",
        TaskType::NeuralInference => "neural_inference",
        TaskType::Encryption => "encryption",
        TaskType::Compression => "compression",
        TaskType::CustomWasm => "custom_wasm",
    }
}
