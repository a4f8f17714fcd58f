//! Buying: tasks in, results out.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use edge_net::{net::client::Client, wallet::Wallet};
//! let wallet = Wallet::open("me.key".as_ref())?;
//! let client = Client::connect(&["wss://relay.example".parse()?], &wallet, "me.redb".as_ref())?;
//! let texts = ["what runs everywhere".to_owned()];
//! let embeddings = client.embed(&texts)?;
//! # Ok(()) }
//! ```
//! Everything is checked and priced before anything is spent, results are opened and their tags compared here, and what was
//! not paid comes back to the account.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use identity::{AccountId, SecretKey};
use ledger::{Balance, Id, Network};
use network::{
    edge::{Config, Event, Input},
    reason::Reason,
    submitter::{RequestError, TaskResult},
    wire::Verify,
};
use tasks::{Embedding, Embeddings, Outcome, Refusal, Task};
use thiserror::Error;

use super::{
    address::{FindError, FoundRelay, RelayAddress, find_all},
    edge::{EdgeError, EdgeInputs, EdgeNode, Owner, Run},
    request::{SubmitOptions, UnfitError, request},
};
use crate::{
    store::{OpenError, RedbStore},
    wallet::Wallet,
};

/// A submitter. Tasks may be submitted from many threads at once.
pub struct Client {
    node: EdgeNode,
    desk: Arc<Desk>,
    account: AccountId,
    network: Arc<Network>,
}

/// A result that was paid for.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The task's name.
    pub task: Id,
    /// The result.
    pub outcome: Outcome,
    /// What it cost, in micro-credits.
    pub cost_ucredits: u64,
    /// Workers that were asked.
    pub workers: u16,
    /// Workers that agreed.
    pub agreed: usize,
    /// Whether enough believed workers agreed. One replica that was asked for by number proves nothing.
    pub verified: bool,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No relay can be used.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The edge does not start.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// Its store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The task is not in order.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The network cannot do it.
    #[error(transparent)]
    Unfit(#[from] UnfitError),
    /// It contradicts itself.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It may cost more than was allowed; nothing was spent.
    #[error("it may cost {most_ucredits} micro-credits, {allowed_ucredits} are allowed")]
    TooDear {
        /// The most it can cost.
        most_ucredits: u64,
        /// What was allowed.
        allowed_ucredits: u64,
    },
    /// The network did not do it.
    #[error("{}: {} ({cost_ucredits} micro-credits spent)", reason.name(), reason.text())]
    Failed {
        /// Why.
        reason: Reason,
        /// The most it may have cost.
        cost_ucredits: u64,
    },
    /// Workers agreed on bytes that are no result of this task.
    #[error("what the workers agreed on is no result of this task")]
    NoResult,
    /// The edge is gone.
    #[error("the client was closed")]
    Closed,
}

impl Client {
    /// Connects to relays of one network. The store remembers what the account signed; it is made where there is none.
    ///
    /// # Errors
    /// [`ClientError`]. A relay that answers now and is away later on is no error: the client connects again.
    pub fn connect(relays: &[RelayAddress], wallet: &Wallet, store: &Path) -> Result<Self, ClientError> {
        Self::on(&find_all(relays)?, wallet, store)
    }

    /// The same with relays that were found already.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn on(relays: &[FoundRelay], wallet: &Wallet, store: &Path) -> Result<Self, ClientError> {
        let first =
            relays.first().ok_or(EdgeError::Config(network::edge::ConfigError::Relays { found: 0 }))?;
        let network = first.network.clone();
        let store = Arc::new(RedbStore::open_or_create(store, network.id().as_bytes())?);
        let config = Config {
            relays: relays.iter().map(|relay| relay.account).collect(),
            agent: AGENT.to_owned(),
            submits: true,
            work: None,
        };
        let desk = Arc::new(Desk::default());
        let key = SecretKey::from_seed(*wallet.key.seed());
        let clerk = Clerk(desk.clone());
        let node = EdgeNode::start(config, relays, network.clone(), key, store, |_| clerk)?;
        Ok(Client { node, desk, account: wallet.account(), network })
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What the account holds, as the relay said last.
    pub fn balance(&self) -> Option<Balance> {
        self.desk.lock().balance
    }

    /// The most a task can cost, in micro-credits. Spends nothing.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn quote(&self, task: Task, options: &SubmitOptions) -> Result<u64, ClientError> {
        Ok(request(&task.check(tier(options))?, options)?.most_ucredits()?)
    }

    /// Submits a task and waits for its result.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn submit(&self, task: Task, options: &SubmitOptions) -> Result<Delivered, ClientError> {
        self.begin(task, options)?.wait()
    }

    /// Submits a task.
    ///
    /// # Errors
    /// [`ClientError`], if nothing was sent.
    pub fn begin(&self, task: Task, options: &SubmitOptions) -> Result<Pending, ClientError> {
        let request = request(&task.check(tier(options))?, options)?;
        let most_ucredits = request.most_ucredits()?;
        if let Some(allowed_ucredits) = options.max_ucredits.filter(|&allowed| allowed < most_ucredits) {
            return Err(ClientError::TooDear { most_ucredits, allowed_ucredits });
        }
        let (tell, told) = channel();
        let job = self.desk.next_job.fetch_add(1, Ordering::Relaxed);
        self.desk.lock().jobs.insert(job, tell);
        let inputs = self.node.inputs();
        if !inputs.send(Input::Submit { job, request }) {
            return Err(ClientError::Closed);
        }
        let alone = options.verify == Verify::Redundant(1);
        Ok(Pending { job, told, inputs, alone, over: false })
    }

    /// Sentence vectors of MiniLM for texts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn embed(&self, texts: &[String]) -> Result<Embeddings, ClientError> {
        let task =
            Task::Embedding(Embedding { texts: texts.to_vec(), model: "minilm".into(), normalize: true });
        match self.submit(task, &SubmitOptions::default())?.outcome {
            Outcome::Embedding(embeddings) => Ok(embeddings),
            _ => Err(ClientError::NoResult),
        }
    }

    /// Waits until a relay lets the client in; whether one did in time.
    pub fn wait_open(&self, most: Duration) -> bool {
        let waited = self.desk.opened.wait_timeout_while(self.desk.lock(), most, |state| !state.open);
        waited.unwrap_or_else(PoisonError::into_inner).0.open
    }
}

/// A task that was submitted. Dropping it gives the task up.
pub struct Pending {
    job: u64,
    told: Receiver<Answer>,
    inputs: EdgeInputs,
    /// One replica was asked for: there is nothing to compare it with.
    alone: bool,
    over: bool,
}

impl Pending {
    /// Waits for the result.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn wait(mut self) -> Result<Delivered, ClientError> {
        let answer = self.told.recv().map_err(|_| ClientError::Closed)?;
        self.over = true;
        let found =
            answer.map_err(|(reason, cost_ucredits)| ClientError::Failed { reason, cost_ucredits })?;
        let outcome = Outcome::from_bytes(&found.bytes).ok_or(ClientError::NoResult)?;
        let TaskResult { task, cost_ucredits, workers, agreed, verified, .. } = found;
        let verified = verified && !self.alone;
        Ok(Delivered { task, outcome, cost_ucredits, workers, agreed, verified })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.over {
            self.inputs.send(Input::Cancel { job: self.job });
        }
    }
}

type Answer = Result<TaskResult, (Reason, u64)>;

/// What the client's threads and the edge's share.
#[derive(Default)]
struct Desk {
    next_job: AtomicU64,
    state: Mutex<State>,
    opened: std::sync::Condvar,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<u64, Sender<Answer>>,
    balance: Option<Balance>,
    open: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, job: u64, answer: Answer) {
        if let Some(tell) = self.lock().jobs.remove(&job) {
            // Whoever asked may be gone.
            drop(tell.send(answer));
        }
    }
}

/// Hands answers to whoever waits for them.
struct Clerk(Arc<Desk>);

impl Owner for Clerk {
    fn event(&mut self, event: Event) {
        match event {
            Event::Result { job, result } => self.0.answer(job, Ok(result)),
            Event::Failed { job, reason, cost_ucredits, .. } => {
                self.0.answer(job, Err((reason, cost_ucredits)));
            }
            Event::Balance(balance) => self.0.lock().balance = Some(balance),
            Event::Opened { .. } => {
                self.0.lock().open = true;
                self.0.opened.notify_all();
            }
            _ => {}
        }
    }

    /// A submitter is given nothing to run.
    fn run(&mut self, _: Run, _: &EdgeInputs) {}

    fn abort(&mut self, _: Id) {}
}

fn tier(options: &SubmitOptions) -> tasks::Tier {
    match options.tier {
        network::wire::Tier::Own => tasks::Tier::Own,
        network::wire::Tier::Group => tasks::Tier::Group,
        network::wire::Tier::Public => tasks::Tier::Public,
    }
}

/// How programs of this crate name themselves.
pub const AGENT: &str = concat!("edge-net/", env!("CARGO_PKG_VERSION"));
