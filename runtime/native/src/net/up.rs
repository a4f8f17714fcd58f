//! A whole network in one process: a relay, contributors on this machine, and a client.
//!
//! Everything lies in one folder: the store of the ledger, a key for each part, and what each part remembers. The network is
//! founded where there is none; one that is there goes on.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use identity::AccountId;
use ledger::{
    NetworkError, keep,
    store::{Batch, Store as _, StoreError},
};
use network::{
    capability::TaskTypes,
    relay::{Config, Event, Verification},
    scheduler::{Place, RawSettings, Settings, SettingsError},
    wire::Verify,
};
use thiserror::Error;

use super::{
    address::{FoundRelay, RelayAddress},
    client::{Client, ClientError},
    contributor::{Contributor, ContributorError, ContributorOptions, NETWORK_TYPES},
    relay::{RelayError, RelayServer},
};
use crate::{
    machine::MachineOptions,
    model::{Observer, Store},
    solo::{GRANT_UCREDITS, Solo},
    store::{OpenError, RedbStore},
    wallet::{Wallet, WalletError},
};

/// What runs.
pub struct UpOptions {
    /// Where everything lies.
    pub folder: PathBuf,
    /// Where the relay listens.
    pub listen: SocketAddr,
    /// Devices of each contributor: one contributor an entry.
    pub honest: Vec<MachineOptions>,
    /// Contributors on the CPU that answer with wrong bytes. The relay is not told.
    pub liars: usize,
    /// How much of a device a contributor may use, 0 to 1.
    pub contribution: f64,
    /// Whether contributors make room for other processes of this machine.
    pub yields: bool,
    /// Models that contributors hold ready.
    pub models: Vec<&'static str>,
    /// Whether results are verified.
    pub verification: Verification,
}

/// A network that runs. Dropping it ends it; [`Up::stop`] first lets open tasks end.
pub struct Up {
    /// The client of the folder's own account.
    pub client: Arc<Client>,
    /// Who lends what, in the order of the options; liars last.
    pub contributors: Vec<Member>,
    /// What the relay did to workers.
    pub verdicts: Verdicts,
    /// The relay.
    pub relay: RelayServer,
}

/// A contributor with its name.
pub struct Member {
    /// For people.
    pub name: String,
    /// The contributor.
    pub contributor: Contributor,
    /// Whether it was told to lie.
    pub lies: bool,
}

/// Why there is no network.
#[derive(Debug, Error)]
pub enum UpError {
    /// The folder.
    #[error("{}: {error}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A key file.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The founding.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store, while in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// A contributor.
    #[error(transparent)]
    Contributor(#[from] ContributorError),
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The share of devices.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// More contributors than a network of one machine is founded for.
    #[error("{}: a network of one machine has at most {founded} contributors, {wanted} are wanted", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
        /// How many there may be.
        founded: usize,
        /// How many are wanted.
        wanted: usize,
    },
}

impl Up {
    /// Founds the network if need be, and starts all of it. `observe` makes an observer for each contributor's models; `seen` hears
    /// what the relay does.
    ///
    /// # Errors
    /// [`UpError`].
    pub fn start(
        options: &UpOptions,
        models: &Store,
        mut observe: impl FnMut() -> Box<dyn Observer + Send>,
        seen: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Self, UpError> {
        let settings = settings(options.contribution)?;
        let place = Folder::open(options)?;
        let verdicts = Verdicts::default();
        let relay = start_relay(options, &place, &verdicts, seen)?;
        let found = FoundRelay {
            address: RelayAddress::plain(relay.address),
            account: place.operator.account(),
            network: relay.network.clone(),
        };
        let (mut contributors, yields) = (Vec::new(), options.yields);
        let honest = options.honest.iter().map(|machine| (machine.clone(), false));
        let cpu = MachineOptions { device: crate::Device::Cpu, ..MachineOptions::default() };
        let liars = std::iter::repeat_n((cpu, true), options.liars);
        for (index, (machine, lies)) in honest.chain(liars).enumerate() {
            let options = ContributorOptions {
                relays: vec![found.clone()],
                store: place.path(&format!("worker-{}.store", index + 1)),
                machine,
                settings: settings.clone(),
                types: TaskTypes::of(&NETWORK_TYPES),
                models: options.models.clone(),
                slots: SLOTS,
                least_price_ucredits: 0,
                yields,
                lies,
            };
            let contributor =
                Contributor::start(options, &place.workers[index], models.clone(), observe(), |_| {})?;
            contributors.push(Member { name: format!("worker {}", index + 1), contributor, lies });
        }
        let client = Arc::new(Client::on(&[found], &place.wallet, &place.path("client.store"))?);
        // One contributor has nobody to be compared with, and is this machine.
        let alone = contributors.len() == 1;
        relay.gateway().open(client.clone(), if alone { Verify::Redundant(1) } else { Verify::Adaptive });
        Ok(Up { client, contributors, verdicts, relay })
    }

    /// Waits until the relay knows all contributors; whether it did in time.
    pub fn wait_ready(&self, most: Duration) -> bool {
        let until = std::time::Instant::now() + most;
        while self.relay.status().workers < self.contributors.len() {
            if std::time::Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.client.wait_open(until.saturating_duration_since(std::time::Instant::now()))
    }

    /// Lets open tasks end, at most so long, and ends. Whether all of them did.
    pub fn stop(self, most: Duration) -> bool {
        self.relay.drain(most)
    }
}

/// What the relay did to workers, as it happens. Cheap to clone.
#[derive(Clone, Default)]
pub struct Verdicts(Arc<Mutex<Vec<Slashed>>>);

/// A stake that was burned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slashed {
    /// Whose.
    pub worker: AccountId,
    /// How much, in micro-credits.
    pub amount_ucredits: u64,
}

impl Verdicts {
    /// Everyone slashed so far, in order.
    pub fn slashed(&self) -> Vec<Slashed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hear(&self, event: &Event) {
        if let Event::Slashed { worker, amount_ucredits, .. } = event {
            let slashed = Slashed { worker: *worker, amount_ucredits: *amount_ucredits };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(slashed);
        }
    }
}

fn start_relay(
    options: &UpOptions,
    place: &Folder,
    verdicts: &Verdicts,
    mut seen: impl FnMut(&Event) + Send + 'static,
) -> Result<RelayServer, UpError> {
    let config = Config {
        verification: options.verification,
        round_ms: ROUND_MS,
        redraw_ms: REDRAW_MS,
        // One operator, who has no reason to grind keys against itself.
        head_start_epochs: network::draw::STAKED_EPOCHS,
        gateways: [place.wallet.account()].into(),
        ..Config::default()
    };
    let verdicts = verdicts.clone();
    let hear = move |event: &Event| {
        verdicts.hear(event);
        seen(event);
    };
    let blocks = super::relay::Blocks::OnePerConnection;
    Ok(RelayServer::start(options.listen, &place.store(), &place.operator, config, blocks, hear)?)
}

/// The folder and the keys in it.
struct Folder {
    path: PathBuf,
    operator: Wallet,
    wallet: Wallet,
    workers: Vec<Wallet>,
}

impl Folder {
    fn open(options: &UpOptions) -> Result<Self, UpError> {
        let path = options.folder.clone();
        fs::create_dir_all(&path).map_err(|error| UpError::Folder { path: path.clone(), error })?;
        let (wanted, founded) = (options.honest.len() + options.liars, FOUNDED_WORKERS);
        if wanted > founded {
            return Err(UpError::TooMany { folder: path, founded, wanted });
        }
        let home = path.clone();
        let key = |name: &str| open_or_create(&home.join(name));
        let operator = key("operator.key")?;
        let wallet = key("wallet.key")?;
        let workers: Result<Vec<Wallet>, _> =
            (1..=founded).map(|number| key(&format!("worker-{number}.key"))).collect();
        let folder = Folder { operator, wallet, workers: workers?, path };
        if !folder.store().exists() {
            folder.found(&key("treasury.key")?)?;
        }
        Ok(folder)
    }

    /// The operator witnesses and settles; contributors start with the base stake, the client with a grant.
    fn found(&self, treasury: &Wallet) -> Result<(), UpError> {
        let staked: Vec<AccountId> = self.workers.iter().map(Wallet::account).collect();
        let granted = [(self.wallet.account(), GRANT_UCREDITS)];
        let operator = self.operator.account();
        let network = Solo::network("this machine", &operator, &treasury.account(), &granted, &staked)?;
        let store = RedbStore::create(&self.store(), network.id().as_bytes())?;
        let mut batch = Batch::new();
        keep::put_founding(&mut batch, network.founding())?;
        Ok(store.commit(batch)?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("ledger.store")
    }
}

fn open_or_create(path: &Path) -> Result<Wallet, WalletError> {
    if path.exists() {
        return Wallet::open(path);
    }
    let wallet = Wallet::generate();
    wallet.create(path).map(|()| wallet)
}

fn settings(contribution: f64) -> Result<Settings, SettingsError> {
    RawSettings { contribution, ..RawSettings::new(Place::Native) }.check()
}

/// Quicker than between strangers: nobody waits for a beacon that only this machine makes.
const ROUND_MS: u64 = 50;
/// Whoever is not here by then does not come: all contributors are started with the network.
const REDRAW_MS: u64 = 1_000;
/// Contributors that a network is founded for.
const FOUNDED_WORKERS: usize = 8;
/// Tasks at a contributor's hand.
const SLOTS: u16 = 4;
