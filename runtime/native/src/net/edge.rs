//! An edge on this machine: its machine in a thread, its store, its connections, and whatever runs its tasks.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use identity::{AccountId, SecretKey};
use ledger::{
    Id, Network,
    store::{Batch, Done, StoreError},
};
use network::{
    capability::TaskType,
    edge::{Config, ConfigError, Edge, Event, Input, Output, Saved, saved::SavedError},
    node::{Context, Link, Save},
    wire::{MAX_DATA_BYTES, SUBPROTOCOL},
};
use thiserror::Error;
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use super::{
    address::FoundRelay,
    driver::{Clock, Driver, Inputs, Machine, Shell},
    links::{self, Links, Piece, SOCKET_BUFFER_BYTES, Unheard},
};
use crate::store::{OpenError, RedbStore};

/// An edge that runs. Dropping it closes its connections; [`EdgeNode::drain`] first ends what is open.
pub struct EdgeNode {
    driver: Driver<EdgeMachine>,
    // Behind the driver: connections end once nobody listens to them.
    _sockets: tokio::runtime::Runtime,
}

/// Why an edge does not start.
#[derive(Debug, Error)]
pub enum EdgeError {
    /// What it should be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What its store holds.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The system gives no threads.
    #[error("no threads: {0}")]
    Threads(io::Error),
}

/// What an edge asks of whoever started it. All of it is called on the machine's thread and must not wait.
pub trait Owner: Send + 'static {
    /// Something to know.
    fn event(&mut self, event: Event);

    /// Run a task; [`Input::Done`] answers.
    fn run(&mut self, task: Run, inputs: &EdgeInputs);

    /// Stop it.
    fn abort(&mut self, assignment: Id);
}

/// A task to run.
#[derive(Debug)]
pub struct Run {
    /// Which assignment.
    pub assignment: Id,
    /// Its kind.
    pub kind: TaskType,
    /// SHA-256 of its model file, if it has one.
    pub model: Option<Id>,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Where an edge's inputs go.
#[derive(Clone)]
pub struct EdgeInputs(Inputs<EdgeMachine>);

impl EdgeInputs {
    /// Queues an input; whether anybody is there to take it.
    pub fn send(&self, input: Input) -> bool {
        self.0.send(Heard::Input(input))
    }
}

impl EdgeNode {
    /// Starts an edge with what it saved in a store.
    ///
    /// # Errors
    /// [`EdgeError`].
    pub fn start<O: Owner>(
        config: Config,
        relays: &[FoundRelay],
        network: Arc<Network>,
        key: SecretKey,
        store: Arc<RedbStore>,
        owner: impl FnOnce(&EdgeInputs) -> O,
    ) -> Result<Self, EdgeError> {
        let saved = Saved::read(&*store, &key)?;
        let machine = Edge::new(config, key, network, saved)?;
        let sockets = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(EdgeError::Threads)?;
        let urls = relays.iter().map(|relay| (relay.account, relay.address.socket())).collect();
        let dialer =
            Dialer { urls: Arc::new(urls), links: Arc::default(), next_link: Arc::new(AtomicU64::new(1)) };
        let handle = sockets.handle().clone();
        let driver = Driver::start(EdgeMachine(machine), Clock::start(), |inputs| Hands {
            owner: owner(&EdgeInputs(inputs.clone())),
            dialer,
            store,
            handle,
        });
        Ok(EdgeNode { driver, _sockets: sockets })
    }

    /// Where its inputs go.
    pub fn inputs(&self) -> EdgeInputs {
        EdgeInputs(self.driver.inputs().clone())
    }
}

/// What happens to an edge's machine here.
enum Heard {
    Input(Input),
    /// A frame, which holds its place in the socket's queue until it was heard.
    Frame(Link, Unheard),
}

struct EdgeMachine(Edge);

impl Machine for EdgeMachine {
    type Input = Heard;
    type Output = Output;

    fn step(&mut self, context: &mut Context<'_>, input: Heard, out: &mut Vec<Output>) {
        match input {
            Heard::Input(input) => self.0.step(context, input, out),
            Heard::Frame(link, Unheard { bytes, place }) => {
                self.0.step(context, Input::Frame { link, bytes }, out);
                drop(place);
            }
        }
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.0.next_deadline_ms()
    }

    fn tick() -> Heard {
        Heard::Input(Input::Tick)
    }
}

/// Carries out what the edge wants.
struct Hands<O> {
    owner: O,
    dialer: Dialer,
    store: Arc<RedbStore>,
    handle: tokio::runtime::Handle,
}

impl<O: Owner> Shell<EdgeMachine> for Hands<O> {
    fn perform(&mut self, output: Output, inputs: &Inputs<EdgeMachine>) {
        match output {
            Output::Connect { relay, after_ms } => {
                let dialing = self.dialer.clone().dial(relay, after_ms, inputs.clone());
                self.handle.spawn(dialing);
            }
            Output::Send { link, message } => {
                let frame = message.encode().expect("an edge keeps to the caps of the wire");
                if !self.dialer.links().send(link, frame) {
                    inputs.send(Heard::Input(Input::Closed { link }));
                }
            }
            Output::Close { link } => self.dialer.links().close(link),
            Output::Save(Save { ticket, batch }) => self.save(ticket, batch, inputs.clone()),
            Output::Run { assignment, kind, model, payload } => {
                let task = Run { assignment, kind, model, payload };
                self.owner.run(task, &EdgeInputs(inputs.clone()));
            }
            Output::Abort { assignment } => self.owner.abort(assignment),
            Output::Event(event) => self.owner.event(event),
        }
    }
}

impl<O> Hands<O> {
    fn save(&self, ticket: u64, batch: Batch, inputs: Inputs<EdgeMachine>) {
        let done: Done = Box::new(move |stored: Result<(), StoreError>| {
            let input = match stored {
                Ok(()) => Input::Stored { ticket },
                Err(_) => Input::NotStored { ticket },
            };
            inputs.send(Heard::Input(input));
        });
        ledger::store::Store::submit(&*self.store, batch, done);
    }
}

/// Makes connections.
#[derive(Clone)]
struct Dialer {
    urls: Arc<BTreeMap<AccountId, String>>,
    links: Arc<Mutex<Links>>,
    next_link: Arc<AtomicU64>,
}

impl Dialer {
    /// Connects after a while, and carries frames until the connection ends.
    async fn dial(self, relay: AccountId, after_ms: u64, inputs: Inputs<EdgeMachine>) {
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        let connecting = tokio::time::timeout(CONNECT_IN, self.connect(&relay)).await;
        let Ok(Some(socket)) = connecting else {
            inputs.send(Heard::Input(Input::Unreachable { relay }));
            return;
        };
        let (opening, queue) = links::open();
        let link = Link(self.next_link.fetch_add(1, Ordering::Relaxed));
        self.links().insert(link, opening);
        inputs.send(Heard::Input(Input::Connected { link, relay }));
        let heard = |unheard| inputs.send(Heard::Frame(link, unheard));
        links::pump(socket, queue, piece, |frame| Message::Binary(frame.into()), heard).await;
        self.links().close(link);
        inputs.send(Heard::Input(Input::Closed { link }));
    }

    async fn connect(&self, relay: &AccountId) -> Option<Socket> {
        let mut request = self.urls.get(relay)?.as_str().into_client_request().ok()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_BUFFER_BYTES)
            .write_buffer_size(SOCKET_BUFFER_BYTES)
            .max_message_size(Some(MAX_DATA_BYTES))
            .max_frame_size(Some(MAX_DATA_BYTES));
        connect_async_with_config(request, Some(config), true).await.ok().map(|(socket, _)| socket)
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

fn piece(message: Message) -> Piece {
    match message {
        Message::Binary(bytes) => Piece::Frame(bytes.into()),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Piece::Nothing,
        Message::Text(_) | Message::Close(_) => Piece::End,
    }
}

const CONNECT_IN: Duration = Duration::from_secs(10);
