//! A relay on this machine: its machine in a thread, its store, and its socket.

mod http;
mod status;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use identity::SecretKey;
use ledger::{
    Id, Network, keep,
    keep::KeepError,
    store::{Store as _, StoreError},
};
use network::{
    limits::Block,
    node::{Link, Save},
    relay::{self, Config, Event, Relay},
};
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch};

use super::{
    driver::{Clock, Driver, Inputs, Machine, Shell, epoch},
    gateway::Gateway,
    links::{Links, Opening, Unheard},
};
use crate::{
    aead::random,
    store::{OpenError, RedbStore},
    wallet::Wallet,
};

pub use status::{MOST_LEADERS, Rank, Status};

use status::Board;

/// A relay that listens.
pub struct RelayServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its network.
    pub network: Arc<Network>,
    runtime: Option<tokio::runtime::Runtime>,
    driver: Driver<RelayMachine>,
    desk: Arc<Desk>,
    gateway: Gateway,
    stop: watch::Sender<bool>,
}

/// What counts as one network block. Replicas of a task never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// The block of a connection's address.
    OfAddress,
    /// Every connection is one of its own: for a network that is one machine by intention, where the rule would stop all work.
    OnePerConnection,
}

/// Why a relay does not start.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store, while in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// What the relay kept in it.
    #[error(transparent)]
    Restore(#[from] relay::RestoreError),
    /// The socket.
    #[error("{address}: {error}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The key is not a witness of the network in the store.
    #[error("{0} is not a witness of the network in this store")]
    NotWitness(identity::AccountId),
    /// The system gives no threads.
    #[error("no threads: {0}")]
    Threads(io::Error),
}

/// What the socket's tasks and the machine's thread share.
pub(crate) struct Desk {
    links: Mutex<Links>,
    next_link: AtomicU64,
    status: watch::Sender<Arc<Status>>,
    network: Arc<Network>,
    account: identity::AccountId,
    blocks: Blocks,
    drained: watch::Sender<bool>,
}

impl RelayServer {
    /// Opens a store, restores the relay from it and listens. `seen` hears what happens.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn start(
        listen: SocketAddr,
        store: &Path,
        operator: &Wallet,
        config: Config,
        blocks: Blocks,
        seen: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Self, RelayError> {
        let store = Arc::new(RedbStore::open_any(store)?);
        let network = Arc::new(keep::network(&*store)?);
        let account = operator.account();
        if !network.committee(u64::MAX).members().iter().any(|member| member.account == account) {
            return Err(RelayError::NotWitness(account));
        }
        let machine = restore(&store, network.clone(), operator, config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SOCKET_THREADS)
            .enable_all()
            .build()
            .map_err(RelayError::Threads)?;
        let failed = |error| RelayError::Listen { address: listen, error };
        let listener = runtime.block_on(TcpListener::bind(listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let desk = Arc::new(Desk {
            links: Mutex::default(),
            next_link: AtomicU64::new(1),
            status: watch::Sender::new(Arc::default()),
            network: network.clone(),
            account,
            blocks,
            drained: watch::Sender::new(false),
        });
        let board = Board::of(machine.ledger());
        let hands = Hands { desk: desk.clone(), store, seen, board, settled: Vec::new(), looked: None };
        let driver = Driver::start(RelayMachine(machine), Clock::start(), |_| hands);
        let (stop, stopped) = watch::channel(false);
        let gateway = Gateway::default();
        let app = http::app(desk.clone(), driver.inputs().clone(), &gateway);
        let served = http::serve(listener, app, stopped);
        runtime.spawn(served);
        Ok(RelayServer { address, network, runtime: Some(runtime), driver, desk, gateway, stop })
    }

    /// How the relay stands, as of the last second.
    pub fn status(&self) -> Arc<Status> {
        self.desk.status.borrow().clone()
    }

    /// What answers programs that know nothing of the network.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Goes down gracefully: no more tasks, and at most so long for those that run. Whether all of them ended.
    pub fn drain(self, most: Duration) -> bool {
        self.driver.inputs().send(Heard::Input(relay::Input::Drain));
        let mut drained = self.desk.drained.subscribe();
        let runtime = self.runtime.as_ref().expect("taken when dropped alone");
        let waited = runtime.block_on(async {
            tokio::time::timeout(most, drained.wait_for(|drained| *drained)).await.is_ok()
        });
        drop(self);
        waited
    }
}

impl Drop for RelayServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// The relay as its store left it. The secret of its beacon is drawn anew at every start, so nobody can have seen it.
fn restore(
    store: &RedbStore,
    network: Arc<Network>,
    operator: &Wallet,
    config: Config,
) -> Result<Relay, RelayError> {
    let restored = relay::Restored::read(store, network)?;
    let key = SecretKey::from_seed(*operator.key.seed());
    let mut secret = [0; 32];
    random(&mut secret);
    Ok(Relay::new(config, key, restored, secret))
}

/// What happens to a relay's machine here.
pub(crate) enum Heard {
    /// As the machine takes it.
    Input(relay::Input),
    /// A frame, which holds its place in the socket's queue until it was heard.
    Frame(Link, Unheard),
}

pub(crate) struct RelayMachine(Relay);

impl Machine for RelayMachine {
    type Input = Heard;
    type Output = relay::Output;

    fn step(&mut self, context: &mut network::node::Context<'_>, input: Heard, out: &mut Vec<relay::Output>) {
        match input {
            Heard::Input(input) => self.0.step(context, input, out),
            Heard::Frame(link, Unheard { bytes, place }) => {
                self.0.step(context, relay::Input::Frame { link, bytes }, out);
                drop(place);
            }
        }
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.0.next_deadline_ms()
    }

    fn tick() -> Heard {
        Heard::Input(relay::Input::Tick)
    }
}

/// Carries out what the relay wants done.
struct Hands<F> {
    desk: Arc<Desk>,
    store: Arc<RedbStore>,
    seen: F,
    board: Board,
    /// Resolves of this step.
    settled: Vec<Id>,
    looked: Option<Instant>,
}

impl<F: FnMut(&Event) + Send + 'static> Shell<RelayMachine> for Hands<F> {
    fn perform(&mut self, output: relay::Output, inputs: &Inputs<RelayMachine>) {
        match output {
            relay::Output::Send { link, message } => match message.encode() {
                Ok(frame) => self.desk.send(link, frame, inputs),
                // It kept to no cap of its own: a bug that must not pass for a silent peer.
                Err(error) => panic!("the relay made a frame it may not send: {error}"),
            },
            relay::Output::Forward { link, frame } => self.desk.send(link, frame.to_vec(), inputs),
            relay::Output::Close { link } => self.desk.links().close(link),
            relay::Output::Save(Save { ticket, batch }) => {
                let inputs = inputs.clone();
                let answer = move |stored: Result<(), StoreError>| {
                    let input = match stored {
                        Ok(()) => relay::Input::Stored { ticket },
                        Err(_) => relay::Input::NotStored { ticket },
                    };
                    inputs.send(Heard::Input(input));
                };
                self.store.submit(batch, Box::new(answer));
            }
            // One relay alone has nobody to tell.
            relay::Output::Publish(_) | relay::Output::Tell { .. } => {}
            relay::Output::Event(event) => {
                if event == Event::Drained {
                    self.desk.drained.send_replace(true);
                }
                if let Event::Settled { resolve: Some(resolve), .. } = event {
                    self.settled.push(resolve);
                }
                (self.seen)(&event);
            }
        }
    }

    fn flush(&mut self, machine: &RelayMachine) {
        self.settled.drain(..).for_each(|resolve| self.board.settled(machine.0.ledger(), &resolve));
        if self.looked.is_none_or(|at| at.elapsed() >= STATUS_EVERY) {
            self.looked = Some(Instant::now());
            let links = self.desk.links().len();
            self.desk.status.send_replace(Arc::new(Status::of(&machine.0, links, epoch(), &self.board)));
        }
    }
}

impl Desk {
    /// A link for a connection from an address; the machine hears of it before any of its frames.
    fn open(&self, address: SocketAddr, opening: Opening, inputs: &Inputs<RelayMachine>) -> Link {
        let link = Link(self.next_link.fetch_add(1, Ordering::Relaxed));
        self.links().insert(link, opening);
        let block = match self.blocks {
            Blocks::OfAddress => Block::of(address.ip()),
            Blocks::OnePerConnection => Block::of(Ipv6Addr::from(u128::from(link.0) << 72).into()),
        };
        inputs.send(Heard::Input(relay::Input::Opened { link, block }));
        link
    }

    fn close(&self, link: Link, inputs: &Inputs<RelayMachine>) {
        self.links().close(link);
        inputs.send(Heard::Input(relay::Input::Closed { link }));
    }

    fn send(&self, link: Link, frame: Vec<u8>, inputs: &Inputs<RelayMachine>) {
        if !self.links().send(link, frame) {
            inputs.send(Heard::Input(relay::Input::Closed { link }));
        }
    }

    fn links(&self) -> std::sync::MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn network(&self) -> &Id {
        self.network.id()
    }
}

/// Sockets need little: the machine's thread does the work.
const SOCKET_THREADS: usize = 1;
const STATUS_EVERY: Duration = Duration::from_secs(1);
