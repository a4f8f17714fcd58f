//! Credits end to end: keys, payments, receipts, backups and the audit log through the command, and the network of one
//! machine behind it.

mod audit;
mod backup;
#[path = "../common/mod.rs"]
mod common;
mod keys;
mod payments;
mod readme;
mod receipts;
mod site;
mod solo;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use common::{Said, Sandbox, run};
use edge_net::{solo::Solo, store::RedbStore, wallet::Wallet};
use ledger::{
    MICRO,
    op::{Action, Out, Reason},
    store::{Batch, META_NETWORK, META_SCHEMA, Store, Table},
};

/// A network of one machine in which Alice starts with 100 credits.
struct World {
    sandbox: Sandbox,
    store: PathBuf,
    alice: Wallet,
    bob: Wallet,
}

impl World {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let make = |name: &str| {
            let path = sandbox.root.join(name);
            run(sandbox.edge_net().args(["wallet", "create", "--key-file"]).arg(&path), b"").expect(0);
            Wallet::open(&path).expect("a key file")
        };
        let (alice, bob) = (make("alice"), make("bob"));
        let store = sandbox.root.join("home");
        let grant = format!("{}=100", alice.account());
        let mut found = sandbox.edge_net();
        found.args(["ledger", "found", "--name", "home", "--grant", &grant]).arg(&store);
        run(&mut found, b"").expect(0);
        World { sandbox, store, alice, bob }
    }

    /// The command with a key and the store.
    fn command(&self, who: &str, args: &[&str]) -> Command {
        let mut command = self.sandbox.edge_net();
        command.env("EDGENET_KEY_FILE", self.path(who)).env("EDGENET_STORE", &self.store).args(args);
        command
    }

    fn ask(&self, who: &str, args: &[&str]) -> Said {
        run(&mut self.command(who, args), b"")
    }

    fn json(&self, who: &str, args: &[&str]) -> serde_json::Value {
        let mut command = self.command(who, args);
        run(command.arg("--json"), b"").expect(0).json()
    }

    fn lines(&self, who: &str, args: &[&str]) -> Vec<serde_json::Value> {
        let mut command = self.command(who, args);
        run(command.arg("--json"), b"").expect(0).lines()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.root.join(name)
    }

    fn operator(&self) -> Wallet {
        Wallet::open(&self.path("home.operator.key")).expect("the operator's key")
    }

    fn solo(&self) -> Solo {
        Solo::open(&self.store, &self.operator(), now()).expect("the network")
    }

    /// Another store of the same network with what `change` leaves of the entries.
    fn altered(
        &self,
        name: &str,
        mut change: impl FnMut(Table, &mut Vec<u8>, &mut Vec<u8>) -> bool,
    ) -> PathBuf {
        let (path, from) = (self.path(name), RedbStore::open_any(&self.store).expect("the store"));
        let id = from.get(Table::Meta, META_NETWORK).expect("readable").expect("a network");
        let to = RedbStore::create(&path, &id.try_into().expect("an id")).expect("made");
        for table in Table::ALL {
            let mut batch = Batch::new();
            let copy = &mut |key: &[u8], value: &[u8]| {
                let (mut key, mut value) = (key.to_vec(), value.to_vec());
                let fixed = table == Table::Meta && (key == META_SCHEMA || key == META_NETWORK);
                if !fixed && change(table, &mut key, &mut value) {
                    batch.put(table, key, value).expect("fits");
                }
                std::ops::ControlFlow::Continue(())
            };
            from.scan(table, b"", copy).expect("readable");
            to.commit(batch).expect("written");
        }
        for key in [".operator.key", ".treasury.key"] {
            fs::copy(self.path(&format!("home{key}")), self.path(&format!("{name}{key}"))).expect("a copy");
        }
        path
    }

    /// The same command on another store.
    fn on(&self, store: &Path, args: &[&str]) -> Said {
        run(self.command("alice", args).env("EDGENET_STORE", store), b"")
    }
}

/// The epoch the command takes from the clock.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 60
}

fn pays(to: &Wallet, credits: u64) -> Action {
    let (reason, reference) = (Reason::Payment, ledger::Id::ZERO);
    Action::Transfer {
        outs: vec![Out { to: to.account(), amount_ucredits: credits * MICRO, reason, reference }],
    }
}
