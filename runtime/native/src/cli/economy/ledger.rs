//! `edge-net ledger`: founding a network of one machine, replaying and listing a store.

use edge_net::{
    solo::{self, Solo, verify},
    store::RedbStore,
    wallet::Wallet,
};
use identity::AccountId;
use ledger::{
    Account, GENESIS, Ledger, MICRO, Record, Totals, curve,
    exposure::Standing,
    store::{Store, Table},
};
use serde::Serialize;

use super::{
    OPERATOR_KEY, TREASURY_KEY, beside, damaged, failed, not_both, note, read_ledger, site,
    text::{now, shown},
    write_new,
};
use crate::cli::{
    args::economy::{Ledger as Command, LedgerFound, LedgerFounding, LedgerLook},
    failure::Failure,
    model::print_json,
    print,
    terminal::{Terminal, printable},
};

/// Runs one of the ledger commands.
pub(crate) fn run(command: &Command, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Command::Found(args) => found(args, terminal),
        Command::Founding(args) => founding(args, terminal),
        Command::Verify(args) => replay(args),
        Command::Show(args) => show(args),
        Command::Curve { json } => print_curve(*json),
        Command::Site(command) => site::run(command, terminal),
    }
}

#[derive(Serialize)]
struct Founded {
    network: String,
    network_id: String,
    store: String,
    operator: String,
    operator_key_file: String,
    treasury: String,
    treasury_key_file: String,
}

fn found(args: &LedgerFound, terminal: &mut Terminal) -> Result<(), Failure> {
    let store = args.store.path()?;
    let (operator, treasury) = (Wallet::generate(), Wallet::generate());
    if let Some((twice, _)) = twice(&args.grant) {
        return Err(Failure::Usage(format!("--grant: {twice} twice")));
    }
    let (operator_account, treasury_account) = (operator.account(), treasury.account());
    let network = Solo::network(&args.name, &operator_account, &treasury_account, &args.grant, &args.stake);
    let network = network.map_err(|error| {
        let flag = if matches!(error, ledger::NetworkError::Name) { "--name" } else { "--grant" };
        Failure::Usage(format!("{flag}: {error}"))
    })?;
    if std::fs::symlink_metadata(&store).is_ok() {
        return Err(Failure::Failed(format!("{}: is there already, and is not replaced", store.display())));
    }
    let files = [(&operator, beside(&store, OPERATOR_KEY)), (&treasury, beside(&store, TREASURY_KEY))];
    let mut made = Vec::new();
    let founded = files
        .iter()
        .try_for_each(|(wallet, path)| {
            wallet.create(path).map_err(failed)?;
            made.push(path);
            Ok(())
        })
        .and_then(|()| Solo::found(&store, &network, &operator).map_err(failed));
    if let Err(failure) = founded {
        // Keys of a network that is not there; no file of anybody else's.
        made.into_iter().for_each(|path| drop(std::fs::remove_file(path)));
        return Err(failure);
    }
    let [(_, operator_key), (_, treasury_key)] = files;
    note(
        terminal,
        &format!(
            "{} certifies for this network: a trusted witness, which nobody can outvote",
            operator_key.display()
        ),
    );
    let done = Founded {
        network: args.name.clone(),
        network_id: network.id().to_string(),
        store: store.display().to_string(),
        operator: operator.account().to_string(),
        operator_key_file: operator_key.display().to_string(),
        treasury: treasury.account().to_string(),
        treasury_key_file: treasury_key.display().to_string(),
    };
    if args.json { print_json(&done) } else { print(&format!("{}\n", done.network_id)) }
}

fn twice(grants: &[(AccountId, u64)]) -> Option<&(AccountId, u64)> {
    grants.iter().enumerate().find(|(at, grant)| grants[..*at].iter().any(|g| g.0 == grant.0)).map(|f| f.1)
}

fn founding(args: &LedgerFounding, terminal: &mut Terminal) -> Result<(), Failure> {
    not_both(args.json, &args.out)?;
    let path = args.store.path()?;
    let store = RedbStore::open_any(&path).map_err(failed)?;
    let network = solo::network(&store).map_err(|damage| damaged(&path, &store, &damage))?;
    write_new(&args.out, &network.founding().encode())?;
    if network.committee(u64::MAX).from_epoch > 0 {
        terminal.warn("the witnesses changed since the founding: it checks no receipt of later ones");
    }
    let (name, id) = (&network.founding().name, network.id());
    match args.json {
        true => print_json(&serde_json::json!({ "network": name, "network_id": id.to_string() })),
        false => {
            note(terminal, &format!("{}: the founding of {name} ({id})", args.out.display()));
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct Verified {
    network: String,
    network_id: String,
    operations: usize,
    resolves: usize,
    checkpoints: usize,
    proofs: usize,
    expiries: usize,
    votes: u64,
    accounts: usize,
    frozen: usize,
    totals: ShownTotals,
    conserved: bool,
    root: String,
    witnesses: Vec<Witness>,
}

#[derive(Serialize)]
struct ShownTotals {
    available_ucredits: i128,
    staked_ucredits: i128,
    locked_ucredits: i128,
    in_flight_ucredits: i128,
    burned_ucredits: i128,
    treasury_ucredits: i128,
    bad_debt_ucredits: i128,
    sum_ucredits: i128,
}

#[derive(Serialize)]
struct Witness {
    account: String,
    weight: u32,
}

fn replay(args: &LedgerLook) -> Result<(), Failure> {
    let path = args.store.path()?;
    let store = RedbStore::open_any(&path).map_err(failed)?;
    let ledger = verify(&store).map_err(|damage| damaged(&path, &store, &damage))?;
    let verified = Verified::of(&ledger, store.len(Table::Votes).map_err(failed)?);
    if args.json {
        print_json(&verified)?
    } else {
        print(&verified.page())?
    };
    match verified.conserved {
        true => Ok(()),
        false => Err(Failure::Failed("credits were made or lost (conserved)".into())),
    }
}

impl Verified {
    fn of(ledger: &Ledger, votes: u64) -> Self {
        let network = ledger.network();
        let mut counts = [0; 5];
        for record in ledger.records() {
            counts[match record {
                Record::Op(_) => 0,
                Record::Resolve(_) => 1,
                Record::Checkpoint(_) => 2,
                Record::Proof(_) => 3,
                Record::Expiry(_) => 4,
            }] += 1;
        }
        let [operations, resolves, checkpoints, proofs, expiries] = counts;
        let totals = ledger.totals();
        let members = network.committee(now()).members();
        Verified {
            network: network.founding().name.clone(),
            network_id: network.id().to_string(),
            operations,
            resolves,
            checkpoints,
            proofs,
            expiries,
            votes,
            accounts: ledger.accounts().count(),
            frozen: ledger.accounts().filter(|(account, _)| ledger.is_frozen(account)).count(),
            totals: ShownTotals::of(&totals),
            conserved: totals.sum() == i128::from(GENESIS),
            root: ledger.root().to_string(),
            witnesses: members
                .iter()
                .map(|m| Witness { account: m.account.to_string(), weight: m.weight })
                .collect(),
        }
    }

    fn page(&self) -> String {
        let mut out = format!("network      {} ({})\n", printable(&self.network), self.network_id);
        for (name, count) in [
            ("operations", self.operations as u64),
            ("resolves", self.resolves as u64),
            ("checkpoints", self.checkpoints as u64),
            ("proofs", self.proofs as u64),
            ("expiries", self.expiries as u64),
            ("votes", self.votes),
            ("accounts", self.accounts as u64),
            ("frozen", self.frozen as u64),
        ] {
            out += &format!("{name:<12} {count:>24}\n");
        }
        out += "\n";
        for (name, amount) in self.totals.rows() {
            out += &format!("{name:<12} {:>24}\n", shown(amount));
        }
        let holds = if self.conserved { "all there are, exactly" } else { "NOT ALL THERE ARE" };
        out += &format!("{:<12} {:>24}  {holds}\n\n", "sum", shown(self.totals.sum_ucredits));
        out += &format!("root         {}\n", self.root);
        for witness in &self.witnesses {
            out += &format!("witness      {} (weight {})\n", witness.account, witness.weight);
        }
        out
    }
}

impl ShownTotals {
    fn of(totals: &Totals) -> Self {
        let number = |amount: u128| i128::try_from(amount).unwrap_or(i128::MAX);
        ShownTotals {
            available_ucredits: number(totals.available),
            staked_ucredits: number(totals.staked),
            locked_ucredits: number(totals.locked),
            in_flight_ucredits: number(totals.in_flight),
            burned_ucredits: number(totals.burned),
            treasury_ucredits: number(totals.treasury),
            bad_debt_ucredits: number(totals.bad_debt),
            sum_ucredits: totals.sum(),
        }
    }

    fn rows(&self) -> [(&'static str, i128); 7] {
        [
            ("available", self.available_ucredits),
            ("staked", self.staked_ucredits),
            ("locked", self.locked_ucredits),
            ("in flight", self.in_flight_ucredits),
            ("burned", self.burned_ucredits),
            ("treasury", self.treasury_ucredits),
            ("bad debt", -self.bad_debt_ucredits),
        ]
    }
}

#[derive(Serialize)]
struct Listed {
    account: String,
    available_ucredits: u64,
    staked_ucredits: u64,
    locked_ucredits: u64,
    pending_ucredits: u64,
    operations: u64,
    standing: &'static str,
    frozen: bool,
}

fn show(args: &LedgerLook) -> Result<(), Failure> {
    let ledger = read_ledger(&args.store.path()?)?;
    let treasury = *ledger.network().treasury();
    let listed = |(id, account): (&AccountId, &Account)| {
        let balance = ledger.balance(id);
        Listed {
            account: id.to_string(),
            available_ucredits: balance.available,
            staked_ucredits: balance.staked,
            locked_ucredits: balance.locked,
            pending_ucredits: balance.pending,
            operations: account.next_seq,
            standing: match Standing::of(account.base_stake_ucredits()) {
                _ if *id == treasury => "treasury",
                _ if ledger.is_frozen(id) => "frozen",
                Standing::Probation => "probation",
                Standing::Established => "established",
            },
            frozen: ledger.is_frozen(id),
        }
    };
    let rows: Vec<Listed> = ledger.accounts().map(listed).collect();
    if args.json {
        return super::print_lines(rows);
    }
    let mut out = format!(
        "{:<63} {:>20} {:>18} {:>18} {:>18}  standing\n",
        "account", "available", "staked", "locked", "pending"
    );
    for row in rows {
        let [available, staked, locked, pending] =
            [row.available_ucredits, row.staked_ucredits, row.locked_ucredits, row.pending_ucredits]
                .map(shown);
        let (account, standing) = (row.account, row.standing);
        out +=
            &format!("{account:<63} {available:>20} {staked:>18} {locked:>18} {pending:>18}  {standing}\n");
    }
    print(&out)
}

#[derive(Serialize)]
struct CurveRow {
    network_compute_hours: u64,
    /// In parts per 10^9.
    multiplier_ppb: u64,
    multiplier: String,
}

fn print_curve(json: bool) -> Result<(), Failure> {
    let rows = curve::table();
    if json {
        let row = |row: &curve::Row| CurveRow {
            network_compute_hours: row.hours,
            multiplier_ppb: row.multiplier.ppb(),
            multiplier: row.multiplier.to_string(),
        };
        return print_json(&rows.iter().map(row).collect::<Vec<_>>());
    }
    let mut out = format!("{:>14}  {:>13}  bonus on {} credit\n", "CPU-hours", "multiplier", 1);
    for row in rows {
        let bonus = shown(curve::bonus_ucredits(MICRO, row.multiplier));
        out += &format!("{:>14}  {:>13}  {bonus:>9}\n", row.hours, row.multiplier.to_string());
    }
    print(&format!("{out}\n{}", curve::plot(64, 16)))
}
