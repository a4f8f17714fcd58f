use ledger::{
    MICRO,
    op::{Action, LockKind, LockTerms, Out, Policy, Reason},
    reputation::Outcome,
    resolve::{Judged, Payout, Resolve},
};

use super::{World, keys::weak, now};

fn shown(world: &World, who: &str) -> [u64; 4] {
    let json = world.json(who, &["wallet", "show"]);
    ["available", "staked", "locked", "pending"]
        .map(|name| json[format!("{name}_ucredits")].as_u64().unwrap())
}

/// Whether a history's amounts add up to what each line and the account say.
fn adds_up(world: &World, who: &str) -> Result<(), String> {
    let (mut available, mut staked) = (0, 0);
    for line in world.lines(who, &["wallet", "history"]) {
        available += line["amount_ucredits"].as_i64().unwrap();
        staked += line["stake_ucredits"].as_i64().unwrap();
        if line["balance_ucredits"] != available {
            return Err(format!("{available} at {line}"));
        }
    }
    let own = shown(world, who);
    match (own[0] as i64, own[1] as i64) == (available, staked) {
        true => Ok(()),
        false => Err(format!("{available} and {staked}, not {own:?}")),
    }
}

#[test]
fn what_one_pays_the_other_receives() {
    let world = World::new("wallet_pay");
    let (alice, bob) = (world.alice.account().to_string(), world.bob.account().to_string());
    let paid = world.json("alice", &["wallet", "send", &bob, "2.5"]);
    assert_eq!(
        (&paid["paid_ucredits"], &paid["available_ucredits"]),
        (&2_500_000.into(), &97_500_000.into())
    );
    assert_eq!((shown(&world, "alice"), shown(&world, "bob")), ([97_500_000, 0, 0, 0], [0, 0, 0, 2_500_000]));
    let text = world.ask("bob", &["wallet", "show"]).expect(0).out;
    assert!(text.contains("pending                    2.500000\n"), "{text}");
    assert!(text.contains(&format!("payment                  2.500000  from {alice}")), "{text}");

    // Sending receives first: Bob has nothing but what was paid to him.
    let back = world.json("bob", &["wallet", "send", &alice, "0.000001"]);
    assert_eq!(back["received_ucredits"], 2_500_000);
    assert_eq!((shown(&world, "alice"), shown(&world, "bob")), ([97_500_000, 0, 0, 1], [2_499_999, 0, 0, 0]));
    let received = world.ask("alice", &["wallet", "receive"]).expect(0).out;
    assert_eq!(received, "received                   0.000001\navailable                 97.500001\n");
    let again = world.ask("alice", &["wallet", "receive"]).expect(0);
    assert_eq!(
        again.says(&["nothing is ready"]).out.lines().next(),
        Some("received                   0.000000")
    );

    let lines = world.lines("alice", &["wallet", "history"]);
    let what: Vec<_> = lines.iter().map(|l| (l["what"].as_str().unwrap(), l["seq"].as_u64())).collect();
    assert_eq!(what, [("founded", None), ("sent", Some(0)), ("received", Some(1))]);
    assert_eq!((&lines[1]["counterpart"], &lines[2]["counterpart"]), (&bob.clone().into(), &bob.into()));
    assert!(now() - lines[1]["epoch"].as_u64().unwrap() < 10);
    adds_up(&world, "alice").unwrap();
    adds_up(&world, "bob").unwrap();
    let text = world.ask("alice", &["wallet", "history"]).expect(0).out;
    assert!(text.contains("-2.500000           97.500000  sent to edge1"), "{text}");
    assert_eq!(world.ask("alice", &["ledger", "verify"]).expect(0).code, Some(0));
}

#[test]
fn more_than_one_operation_holds_is_received_and_spent_at_once() {
    let world = World::new("wallet_many");
    let mut solo = world.solo();
    let (reason, reference) = (Reason::Payment, ledger::Id::ZERO);
    let out = Out { to: world.bob.account(), amount_ucredits: MICRO, reason, reference };
    for _ in 0..5 {
        solo.act(&world.alice, Action::Transfer { outs: vec![out; 16] }, now()).unwrap();
    }
    drop(solo);
    let paid = world.json("bob", &["wallet", "send", &world.alice.account().to_string(), "80"]);
    assert_eq!((&paid["received_ucredits"], &paid["available_ucredits"]), (&80_000_000.into(), &0.into()));
    assert_eq!(paid["operations"].as_array().unwrap().len(), 2);
    adds_up(&world, "bob").unwrap();
}

#[test]
fn what_is_locked_and_until_when_is_shown() {
    let world = World::new("wallet_locks");
    let (alice, bob) = (world.alice.account(), world.bob.account());
    let mut solo = world.solo();
    let authority = world.operator().account();
    let escrow = |amount: u64, epoch: u64| {
        Action::Lock(LockTerms {
            kind: LockKind::TaskEscrow,
            task: ledger::Id::hash("test", &[]),
            amount_ucredits: amount * MICRO,
            policy: Policy { authority, redundancy: 1, priority_halves: 2 },
            expiry_epoch: epoch + 10,
        })
    };
    let pay = |lock: ledger::Id, epoch: u64, paid: u64, refund: u64| Resolve {
        owner: alice,
        lock,
        epoch,
        payouts: vec![Payout { to: bob, amount_ucredits: paid * MICRO, reason: Reason::Reward }],
        refund_ucredits: refund * MICRO,
        slash_ucredits: 0,
        judged: vec![Judged { worker: bob, task_type: 0, outcome: Outcome::Valid }],
        drawn: false,
        evidence: ledger::Id::ZERO,
    };
    // One long ago, whose hour is over; one just paid; one open.
    let (past, present) = (now() - 200, now());
    let first = solo.act(&world.alice, escrow(10, past), past).unwrap().id();
    solo.decide(pay(first, past, 4, 6), past).unwrap();
    let second = solo.act(&world.alice, escrow(5, present), present).unwrap().id();
    solo.decide(pay(second, present, 5, 0), present).unwrap();
    solo.act(&world.alice, escrow(7, present), present).unwrap();
    drop(solo);

    // The refund of the first came in with the second.
    assert_eq!(shown(&world, "alice"), [84_000_000, 0, 7_000_000, 0]);
    assert_eq!(shown(&world, "bob"), [0, 0, 9_000_000, 0]);
    let json = world.json("bob", &["wallet", "show"]);
    let locks = json["locks"].as_array().unwrap();
    let lock = |state: &str| locks.iter().find(|lock| lock["state"] == state).unwrap();
    assert_eq!(
        (&lock("over")["amount_ucredits"], &lock("over")["until_epoch"]),
        (&4_000_000.into(), &(past + 60).into())
    );
    assert_eq!(
        (&lock("open")["kind"], &lock("open")["until_epoch"]),
        (&"payout-lock".into(), &(present + 60).into())
    );
    let text = world.ask("alice", &["wallet", "show"]).expect(0).out;
    assert!(text.contains("task-escrow              7.000000  open   until "), "{text}");

    // The first reward becomes stake.
    world.ask("bob", &["wallet", "receive"]).expect(0);
    assert_eq!(shown(&world, "bob"), [0, 4_000_000, 5_000_000, 0]);
    assert_eq!(world.json("bob", &["wallet", "show"])["standing"], "probation");
    let lines = world.lines("bob", &["wallet", "history"]);
    let what: Vec<&str> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["received", "staked"]);
    assert_eq!((&lines[0]["reason"], &lines[1]["stake_ucredits"]), (&"reward".into(), &4_000_000.into()));
    let returned = world.lines("alice", &["wallet", "history"]);
    let returned = returned.iter().find(|line| line["what"] == "returned").unwrap().clone();
    assert_eq!((&returned["lock"], &returned["amount_ucredits"]), (&"task-escrow".into(), &6_000_000.into()));
    for who in ["alice", "bob"] {
        adds_up(&world, who).unwrap();
    }
    assert_eq!(world.json("home.operator.key", &["wallet", "show"])["standing"], "established");
    let verified = world.json("alice", &["ledger", "verify"]);
    assert_eq!((&verified["resolves"], &verified["conserved"]), (&2.into(), &true.into()));
    assert_eq!(verified["totals"]["sum_ucredits"], 1_000_000_000_000_000u64);
}

/// Stakes set aside, taken back, unbonded: every line still adds up, and a history with a line less does not.
#[test]
fn a_planted_fault_is_caught() {
    let world = World::new("wallet_stakes");
    let mut solo = world.solo();
    let lock = |kind: LockKind, amount: u64, epoch: u64, life: u64| {
        let policy = Policy { authority: world.operator().account(), redundancy: 1, priority_halves: 2 };
        let (task, amount_ucredits) = (ledger::Id::ZERO, amount * MICRO);
        Action::Lock(LockTerms { kind, task, amount_ucredits, policy, expiry_epoch: epoch + life })
    };
    let past = now() - 2_000;
    solo.act(&world.alice, lock(LockKind::BaseStake, 50, past, 0), past).unwrap();
    let claim = solo.act(&world.alice, lock(LockKind::TaskStake, 10, past, 20), past).unwrap().id();
    solo.act(&world.alice, lock(LockKind::TaskStake, 10, past, 5), past).unwrap();
    solo.act(&world.alice, lock(LockKind::Unbond, 20, past, 1_440), past).unwrap();
    let slash = Resolve {
        owner: world.alice.account(),
        lock: claim,
        epoch: past,
        payouts: Vec::new(),
        refund_ucredits: 3 * MICRO,
        slash_ucredits: 7 * MICRO,
        judged: Vec::new(),
        drawn: false,
        evidence: ledger::Id::ZERO,
    };
    solo.decide(slash, past).unwrap();
    solo.receive(&world.alice, past + 10).unwrap();
    solo.receive(&world.alice, now()).unwrap();
    drop(solo);
    // 50 staked, 20 unbonded, 7 slashed.
    assert_eq!(shown(&world, "alice"), [70_000_000, 23_000_000, 0, 0]);
    adds_up(&world, "alice").unwrap();
    let rows = world.lines("alice", &["audit", "show", "--kind", "slashed"]);
    assert!(rows.len() == 1 && rows[0]["detail"].as_str().unwrap().starts_with("7000000 micro-credits"));

    // The fault: one record less, as a store would have it from which somebody took it.
    let last = world.solo().ledger().account(&world.alice.account()).unwrap().head;
    let network = world.solo().ledger().network().clone();
    let store = world.altered("less", |table, _, value| {
        table != ledger::store::Table::Records
            || ledger::Record::decode(value, &network).unwrap().id() != last
    });
    world.on(&store, &["ledger", "verify"]).expect(1).says(&[&last.to_string(), "its record is missing"]);
    world.on(&world.altered("same", |_, _, _| true), &["ledger", "verify"]).expect(0);
}

#[test]
fn payments_that_cannot_be_are_refused_with_the_rule_or_the_flag() {
    let world = World::new("wallet_refused");
    let bob = world.bob.account().to_string();
    let send = |args: &[&str]| world.ask("alice", &[&["wallet", "send"], args].concat());
    for amount in ["0", "0.0000001", "1e3", "ten", "1.", "2000000000", ""] {
        send(&[&bob, amount]).expect(2).says(&["<AMOUNT>"]);
    }
    send(&["edge1xyz", "1"]).expect(2).says(&["<TO>"]);
    send(&[&world.alice.account().to_string(), "1"]).expect(2).says(&["TO: is the account itself"]);
    send(&[&bob, "100.000001"]).expect(1).says(&["refused: balance-covers"]);
    send(&[&bob]).expect(2).says(&["AMOUNT"]);
    send(&[&bob, "1", "--store", "/nowhere"]).expect(1).says(&["/nowhere.operator.key"]);
    let operator = world.path("alice").display().to_string();
    send(&[&bob, "1", "--operator", &operator]).expect(1).says(&["is not a witness of this network"]);
    // A key that nobody can hold: what is paid to it is lost.
    send(&[&weak().to_string(), "1"]).expect(2).says(&["TO: no key can hold this account"]);
    assert_eq!(world.lines("alice", &["audit", "show", "--kind", "weak-key-refused"]).len(), 1);
    // None of it cost anything, or was left to be finished.
    assert_eq!(shown(&world, "alice"), [100_000_000, 0, 0, 0]);
    let said = send(&[&bob, "1"]).expect(0);
    assert!(said.err.is_empty(), "{}", said.err);

    let found = |args: &[&str]| {
        let store = world.path("other").display().to_string();
        world.ask("alice", &[&["ledger", "found", store.as_str(), "--name", "x"], args].concat())
    };
    found(&["--grant", "edge1"]).expect(2).says(&["--grant"]);
    found(&["--grant", &format!("{bob}=0")]).expect(2).says(&["--grant", "above 0"]);
    found(&["--grant", &bob, "--grant", &bob]).expect(2).says(&["--grant", "twice"]);
    found(&["--grant", &weak().to_string()]).expect(2).says(&["--grant", "no key can hold"]);
    let too_much = format!("{bob}=1000000000");
    found(&["--grant", &too_much]).expect(2).says(&["--grant: the allocations exceed"]);
    let home = world.store.display().to_string();
    world.ask("alice", &["ledger", "found", &home, "--name", ""]).expect(2).says(&["--name"]);
    world
        .ask("alice", &["ledger", "found", &home, "--name", "x"])
        .expect(1)
        .says(&["home: is there already"]);
    assert!(!world.path("other.operator.key").exists() && !world.path("other").exists());
}

#[test]
fn names_from_elsewhere_do_not_steer_the_terminal() {
    let world = World::new("wallet_hostile");
    let store = world.path("evil").display().to_string();
    let name = "\u{1b}[31mred\u{202e}\u{7}";
    let founded = world.ask("alice", &["ledger", "found", &store, "--name", name]).expect(0);
    let founding = world.path("evil.network").display().to_string();
    let commands: [&[&str]; 4] = [
        &["wallet", "show", "--store", &store],
        &["ledger", "verify", &store],
        &["ledger", "founding", &store, "--out", &founding],
        &["wallet", "receipts", "--check", &store, "--network", &founding],
    ];
    let steers = |text: &str| text.contains(['\u{1b}', '\u{202e}', '\u{7}']);
    assert!(!steers(&founded.out) && !steers(&founded.err));
    let mut quoted = 0;
    for command in commands {
        let said = world.ask("alice", command);
        assert!(!steers(&said.out) && !steers(&said.err), "{command:?}");
        quoted += usize::from(format!("{}{}", said.out, said.err).contains("\\u{1b}[31mred"));
    }
    assert_eq!(quoted, 4, "each names the network");
    let json = world.json("alice", &["wallet", "show", "--store", &store]);
    assert_eq!(json["network"], name);
}
