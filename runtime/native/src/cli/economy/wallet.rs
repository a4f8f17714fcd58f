//! `edge-net wallet`: keys, balances, history, payments.

use edge_net::{
    history::{Line, What, history},
    solo::Solo,
    wallet::Wallet,
};
use identity::AccountId;
use ledger::{
    Account, Fault, Ledger, Record,
    audit::EventKind,
    expiry::RESOLVE_GRACE_EPOCHS,
    exposure::Standing,
    op::{Action, Out, Reason},
    site,
};
use serde::Serialize;

use super::{
    backup, failed, note, print_lines, read_ledger, receipts,
    text::{now, shown, signed, time, when},
};
use crate::cli::{
    args::economy::{Look, Wallet as Command, WalletCreate, WalletReceive, WalletSend},
    failure::Failure,
    model::print_json,
    print,
    terminal::{Terminal, printable},
};

/// Runs one of the wallet commands.
pub(crate) fn run(command: &Command, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(args, terminal),
        Command::Show(args) => show(args, terminal),
        Command::History(args) => print_history(args, terminal),
        Command::Receipts(args) => receipts::run(args, terminal),
        Command::Export(args) => backup::export(args, terminal),
        Command::Import(args) => backup::import(args, terminal),
        Command::Send(args) => send(args, terminal),
        Command::Receive(args) => receive(args, terminal),
    }
}

#[derive(Serialize)]
pub(super) struct Made {
    pub(super) account: String,
    pub(super) key_file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) referrer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<String>,
}

impl Made {
    pub(super) fn new(wallet: &Wallet, path: &std::path::Path) -> Self {
        Made {
            account: wallet.account().to_string(),
            key_file: path.display().to_string(),
            referrer: wallet.referrer.map(|referrer| referrer.to_string()),
            site: wallet.site.clone(),
        }
    }
}

fn create(args: &WalletCreate, terminal: &mut Terminal) -> Result<(), Failure> {
    if let Some(label) = &args.site {
        site::check_label(label).map_err(|error| Failure::Usage(format!("--site: {error}")))?;
    }
    if args.referrer.is_some_and(|referrer| referrer.public_key().is_err()) {
        return Err(Failure::Usage("--referrer: no key can hold this account".into()));
    }
    let path = args.key.path()?;
    if let Some(referrer) = args.referrer.filter(|_| path.exists()) {
        // The file stays in any case; that it names the referrer itself is the better news.
        if Wallet::open(&path).is_ok_and(|own| own.account() == referrer) {
            return Err(Failure::Usage("--referrer: is the account of this very key file".into()));
        }
    }
    let mut wallet = Wallet::generate();
    wallet.referrer = args.referrer;
    wallet.site = args.site.clone();
    wallet.create(&path).map_err(failed)?;
    note(
        terminal,
        &format!(
            "{}: whoever has this file is the account, and without it the account is lost",
            path.display()
        ),
    );
    match args.json {
        true => print_json(&Made::new(&wallet, &path)),
        false => print(&format!("{}\n", wallet.account())),
    }
}

#[derive(Serialize)]
struct Shown {
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(flatten)]
    holds: Option<Holds>,
}

/// What an account holds in a ledger.
#[derive(Serialize)]
struct Holds {
    network: String,
    network_id: String,
    available_ucredits: u64,
    staked_ucredits: u64,
    locked_ucredits: u64,
    pending_ucredits: u64,
    standing: &'static str,
    frozen: bool,
    /// Why it is frozen, or what it is proved to have done.
    fault: Option<String>,
    locks: Vec<ShownLock>,
    pending: Vec<ShownOutput>,
}

#[derive(Serialize)]
struct ShownLock {
    lock: String,
    kind: &'static str,
    amount_ucredits: u64,
    until_epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    state: &'static str,
}

#[derive(Serialize)]
struct ShownOutput {
    source: String,
    index: u8,
    from: String,
    reason: &'static str,
    amount_ucredits: u64,
}

fn show(args: &Look, terminal: &mut Terminal) -> Result<(), Failure> {
    let (account, wallet) = args.account()?;
    let holds = match args.store.there() {
        Some(store) => Some(holds(&read_ledger(&store)?, &account)),
        None => {
            note(terminal, "no store of a ledger here: --store names one, `ledger found` makes one");
            None
        }
    };
    let referrer = wallet.as_ref().and_then(|w| w.referrer).map(|referrer| referrer.to_string());
    let shown = Shown { account: account.to_string(), referrer, site: wallet.and_then(|w| w.site), holds };
    if args.json { print_json(&shown) } else { print(&page(&shown)) }
}

fn holds(ledger: &Ledger, account: &AccountId) -> Holds {
    let (balance, unknown) = (ledger.balance(account), Account::default());
    let state = ledger.account(account).unwrap_or(&unknown);
    let fault = ledger.faults().find(|(culprit, _)| *culprit == account).map(|(_, fault)| fault);
    // Whatever is proved, all stakes are gone.
    let base = if fault.is_some() { balance.staked } else { state.base_stake_ucredits() };
    let now = now();
    let lock = |(id, lock): (&ledger::Id, &ledger::Lock)| {
        let until_epoch = lock.terms.expiry_epoch;
        let state = match () {
            () if lock.void.is_some() => "void",
            () if fault.is_some() && lock.terms.kind.is_stake() => "burned",
            () if now > until_epoch.saturating_add(RESOLVE_GRACE_EPOCHS) => "over",
            () => "open",
        };
        let (kind, amount_ucredits) = (lock.terms.kind.name(), lock.terms.amount_ucredits);
        ShownLock {
            lock: id.to_string(),
            kind,
            amount_ucredits,
            until_epoch,
            until: time(until_epoch),
            state,
        }
    };
    let pending = state.inbox.iter().filter(|(_, output)| output.void.is_none());
    let output = |(receive, output): (&ledger::op::Receive, &ledger::Output)| ShownOutput {
        source: receive.source.to_string(),
        index: receive.index,
        from: output.from.to_string(),
        reason: output.reason.name(),
        amount_ucredits: output.amount_ucredits,
    };
    Holds {
        network: ledger.network().founding().name.clone(),
        network_id: ledger.network().id().to_string(),
        available_ucredits: balance.available,
        staked_ucredits: balance.staked,
        locked_ucredits: balance.locked,
        pending_ucredits: balance.pending,
        standing: match Standing::of(base) {
            Standing::Probation => "probation",
            Standing::Established => "established",
        },
        frozen: ledger.is_frozen(account),
        fault: why(fault, ledger.is_frozen(account)),
        locks: state.locks.iter().map(lock).collect(),
        pending: pending.map(output).collect(),
    }
}

fn why(fault: Option<&Fault>, frozen: bool) -> Option<String> {
    match fault {
        Some(Fault::Forked(proof)) => {
            Some(format!("signed two values where only one can be: its stakes are burned (proof {proof})"))
        }
        Some(Fault::SignedBoth(one, other)) => {
            Some(format!("witnessed both {one} and {other}: its stakes are gone"))
        }
        None => frozen.then(|| "has two certified operations for one seq".to_owned()),
    }
}

fn page(shown_account: &Shown) -> String {
    let line = |name: &str, text: &str| format!("{name:<10} {}\n", printable(text));
    let mut out = line("account", &shown_account.account);
    for (name, value) in [("referrer", &shown_account.referrer), ("site", &shown_account.site)] {
        out.extend(value.iter().map(|value| line(name, value)));
    }
    let Some(holds) = &shown_account.holds else { return out };
    out += &line("network", &format!("{} ({})", holds.network, holds.network_id));
    for (name, amount) in [
        ("available", holds.available_ucredits),
        ("staked", holds.staked_ucredits),
        ("locked", holds.locked_ucredits),
        ("pending", holds.pending_ucredits),
    ] {
        out += &line(name, &format!("{:>24}", shown(amount)));
    }
    out += &line("standing", holds.standing);
    if let Some(fault) = &holds.fault {
        out += &line(if holds.frozen { "frozen" } else { "fault" }, fault);
    }
    if !holds.locks.is_empty() {
        out += "\nlocks\n";
    }
    for lock in &holds.locks {
        let (amount, until) = (shown(lock.amount_ucredits), when(lock.until_epoch));
        let (kind, state, id) = (lock.kind, lock.state, &lock.lock);
        out += &format!("  {kind:<12} {amount:>20}  {state:<6} until {until}  {id}\n");
    }
    if !holds.pending.is_empty() {
        out += "\npending\n";
    }
    for output in &holds.pending {
        let (reason, amount, from) = (output.reason, shown(output.amount_ucredits), &output.from);
        out += &format!("  {reason:<12} {amount:>20}  from {from}\n");
    }
    out
}

#[derive(Serialize)]
struct ShownLine {
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    seq: Option<u64>,
    id: String,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterpart: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    amount_ucredits: i64,
    stake_ucredits: i64,
    balance_ucredits: i64,
}

fn print_history(args: &Look, terminal: &mut Terminal) -> Result<(), Failure> {
    let (account, _) = args.account()?;
    let ledger = read_ledger(&args.store.path()?)?;
    let lines = history(&ledger, &account);
    if let Some(why) =
        why(ledger.faults().find(|(a, _)| **a == account).map(|f| f.1), ledger.is_frozen(&account))
    {
        terminal.warn(&format!("the account {why}"));
    }
    if args.json {
        // No sum of credits leaves 63 bits.
        let number = |amount: i128| i64::try_from(amount).unwrap_or(i64::MAX);
        return print_lines(lines.iter().map(|line| ShownLine {
            epoch: line.epoch,
            time: line.epoch.and_then(time),
            seq: line.seq,
            id: line.id.to_string(),
            what: line.what.name(),
            lock: line.what.lock().map(|kind| kind.name()),
            counterpart: line.counterpart.map(|account| account.to_string()),
            reason: line.reason.map(|reason| reason.name()),
            amount_ucredits: number(line.amount_ucredits),
            stake_ucredits: number(line.stake_ucredits),
            balance_ucredits: number(line.balance_ucredits),
        }));
    }
    print(&lines.iter().map(history_line).collect::<String>())
}

fn history_line(line: &Line) -> String {
    let when = line.epoch.map_or("-".into(), when);
    let seq = line.seq.map_or("-".into(), |seq| seq.to_string());
    let (amount, balance) = (signed(line.amount_ucredits), shown(line.balance_ucredits));
    let mut what = line.what.name().to_owned();
    if let Some(kind) = line.what.lock() {
        what += &format!(" {}", kind.name());
    }
    if let Some(account) = line.counterpart {
        let way = match line.what {
            What::Opened => "referred by",
            What::Sent | What::KeyRotated => "to",
            _ => "from",
        };
        what += &format!(" {way} {account}");
    }
    if let Some(reason) = line.reason {
        what += &format!(" ({})", reason.name());
    }
    if line.stake_ucredits != 0 {
        what += &format!(" (stake {})", signed(line.stake_ucredits));
    }
    format!("{when:<25}  {seq:>4}  {amount:>18}  {balance:>18}  {what}\n")
}

/// What a payment or receipt came to.
#[derive(Serialize)]
struct Done {
    /// The operations this took.
    operations: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_ucredits: Option<u64>,
    received_ucredits: i64,
    available_ucredits: u64,
}

fn send(args: &WalletSend, terminal: &mut Terminal) -> Result<(), Failure> {
    let WalletSend { to, amount_ucredits, receive: args } = args;
    let wallet = args.key.open()?;
    if *to == wallet.account() {
        return Err(Failure::Usage("TO: is the account itself".into()));
    }
    let mut solo = args.operator.open(&args.store.path()?)?;
    if to.public_key().is_err() {
        solo.log(now(), EventKind::WeakKeyRefused, to, "as the payee of a payment").map_err(failed)?;
        return Err(Failure::Usage("TO: no key can hold this account".into()));
    }
    let from_seq = next_seq(&solo, &wallet);
    let (reason, reference) = (Reason::Payment, ledger::Id::ZERO);
    let wanted = Out { to: *to, amount_ucredits: *amount_ucredits, reason, reference };
    let finished = finish(&mut solo, &wallet, terminal)?;
    match finished {
        Some(Action::Transfer { outs }) if outs == [wanted] => {
            terminal.warn("that was this very payment: it is made once");
        }
        _ => drop(solo.pay(&wallet, to, *amount_ucredits, now()).map_err(failed)?),
    }
    let done = done(&solo, &wallet, from_seq);
    report(args.json, Done { to: Some(to.to_string()), paid_ucredits: Some(*amount_ucredits), ..done })
}

fn receive(args: &WalletReceive, terminal: &mut Terminal) -> Result<(), Failure> {
    let wallet = args.key.open()?;
    let mut solo = args.operator.open(&args.store.path()?)?;
    let from_seq = next_seq(&solo, &wallet);
    finish(&mut solo, &wallet, terminal)?;
    solo.receive(&wallet, now()).map_err(failed)?;
    if next_seq(&solo, &wallet) == from_seq {
        note(terminal, "nothing is ready to be received");
    }
    report(args.json, done(&solo, &wallet, from_seq))
}

/// Certifies what an earlier command signed and did not get to, and tells of it.
fn finish(solo: &mut Solo, wallet: &Wallet, terminal: &mut Terminal) -> Result<Option<Action>, Failure> {
    let Some(Record::Op(record)) = solo.resume(wallet, now()).map_err(failed)? else { return Ok(None) };
    let op = &record.value.op;
    terminal.warn(&format!("operation {} was signed before and is finished: {}", op.seq, record.id));
    Ok(Some(op.action.clone()))
}

fn next_seq(solo: &Solo, wallet: &Wallet) -> u64 {
    solo.ledger().account(&wallet.account()).map_or(0, |account| account.next_seq)
}

/// What the operations from a seq on came to.
fn done(solo: &Solo, wallet: &Wallet, from_seq: u64) -> Done {
    let lines = history(solo.ledger(), &wallet.account());
    let own: Vec<&Line> = lines.iter().filter(|line| line.seq.is_some_and(|seq| seq >= from_seq)).collect();
    let mut operations: Vec<String> = own.iter().map(|line| line.id.to_string()).collect();
    operations.dedup();
    let received: i128 = own.iter().map(|line| line.amount_ucredits.max(0)).sum();
    Done {
        operations,
        to: None,
        paid_ucredits: None,
        received_ucredits: i64::try_from(received).unwrap_or(i64::MAX),
        available_ucredits: solo.ledger().balance(&wallet.account()).available,
    }
}

fn report(json: bool, done: Done) -> Result<(), Failure> {
    if json {
        return print_json(&done);
    }
    let mut text = String::new();
    if let (Some(to), Some(paid)) = (&done.to, done.paid_ucredits) {
        text += &format!("paid       {:>24}  to {to}\n", shown(paid));
    }
    text += &format!("received   {:>24}\n", shown(done.received_ucredits));
    text += &format!("available  {:>24}\n", shown(done.available_ucredits));
    print(&text)
}
