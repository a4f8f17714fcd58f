use edge_net::solo::SoloError;
use ledger::{
    Fault, Lacking, Rule, keep,
    op::{Action, LockKind, LockTerms, Policy},
    resolve::{Payout, Resolve},
    store::{Batch, Store, StoreError},
};

use super::{World, now, pays};

#[test]
fn a_double_spend_is_refused_proved_logged_and_costs_the_stake() {
    let world = World::new("solo_double");
    let mut solo = world.solo();
    let alice = world.alice.account();
    let stake = LockTerms {
        kind: LockKind::BaseStake,
        task: ledger::Id::ZERO,
        amount_ucredits: 20_000_000,
        policy: Policy { authority: alice, redundancy: 1, priority_halves: 2 },
        expiry_epoch: now(),
    };
    solo.act(&world.alice, Action::Lock(stake), stake.expiry_epoch).unwrap();
    let network = *solo.ledger().network().id();
    // Both signed before either is sent.
    let draft = |to, amount| {
        solo.ledger().draft(&alice, pays(to, amount), now()).unwrap().sign(&network, &world.alice.key)
    };
    let (one, other) = (draft(&world.bob, 30), draft(&world.operator(), 30));
    solo.certify(&one, now()).unwrap();
    for _ in 0..2 {
        let refused = solo.certify(&other, now()).unwrap_err();
        assert!(matches!(refused, SoloError::Refusal(r) if r.rule == Rule::OneVotePerSequence), "{refused}");
        assert!(solo.ledger().is_frozen(&alice));
        assert!(matches!(solo.ledger().faults().next(), Some((a, Fault::Forked(_))) if *a == alice));
    }
    drop(solo);

    // The proof outlives the process. What was paid once stays paid.
    let json = world.json("alice", &["wallet", "show"]);
    assert_eq!(
        (&json["frozen"], &json["staked_ucredits"], &json["available_ucredits"]),
        (&true.into(), &0.into(), &50_000_000.into())
    );
    assert!(json["fault"].as_str().unwrap().contains("its stakes are burned (proof "));
    let text = world.ask("alice", &["wallet", "show"]).expect(0).out;
    assert!(text.contains("\nfrozen     signed two values where only one can be"), "{text}");
    world.ask("alice", &["wallet", "history"]).expect(0).says(&["warning: the account signed two values"]);
    let rows = world.lines("alice", &["audit", "show"]);
    let kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["fork-proof", "account-frozen", "slashed"], "each once");
    assert!(rows[2]["detail"].as_str().unwrap().starts_with("20000000 micro-credits of stake"));
    let verified = world.json("alice", &["ledger", "verify"]);
    assert_eq!((&verified["proofs"], &verified["frozen"]), (&1.into(), &1.into()));
    assert_eq!(verified["totals"]["burned_ucredits"], 20_000_000);

    let bob = world.bob.account().to_string();
    for _ in 0..2 {
        world.ask("alice", &["wallet", "send", &bob, "1"]).expect(1).says(&["refused: not-frozen"]);
    }
    world.ask("bob", &["wallet", "send", &world.operator().account().to_string(), "30"]).expect(0);
    world.ask("alice", &["ledger", "verify"]).expect(0);
}

/// What the owner signed and stored, and a crash kept from the witness.
fn crashed(test: &str, credits: u64) -> (World, ledger::Id) {
    let world = World::new(test);
    let solo = world.solo();
    let network = *solo.ledger().network().id();
    let op = solo.ledger().draft(&world.alice.account(), pays(&world.bob, credits), now() - 3).unwrap();
    let signed = op.sign(&network, &world.alice.key);
    let mut batch = Batch::new();
    keep::put_own(&mut batch, &signed).unwrap();
    solo.store().commit(batch).unwrap();
    (world, signed.op.id(&network))
}

#[test]
fn what_a_crash_interrupted_is_finished_unchanged() {
    let (world, id) = crashed("solo_crash", 5);
    // Another operation in its place would be a fork: the store does not take one.
    let solo = world.solo();
    let draft = solo.ledger().draft(&world.alice.account(), pays(&world.bob, 6), now()).unwrap();
    let mut batch = Batch::new();
    keep::put_own(&mut batch, &draft.sign(solo.ledger().network().id(), &world.alice.key)).unwrap();
    assert!(matches!(solo.store().commit(batch), Err(StoreError::Conflict { .. })));
    drop(solo);

    let mut solo = world.solo();
    let resumed = solo.resume(&world.alice, now()).unwrap().expect("an operation");
    assert_eq!(resumed.id(), id);
    assert!(solo.resume(&world.alice, now()).unwrap().is_none());
    let account = solo.ledger().account(&world.alice.account()).unwrap();
    assert_eq!((account.next_seq, account.available_ucredits), (1, 95_000_000));
    assert_eq!(solo.ledger().faults().count(), 0);
}

#[test]
fn a_payment_that_a_crash_interrupted_is_made_once() {
    let (world, id) = crashed("solo_crash_same", 5);
    let bob = world.bob.account().to_string();
    let mut send = world.command("alice", &["wallet", "send", &bob, "5", "--json"]);
    let said = super::run(&mut send, b"").expect(0);
    let json = said.json();
    assert_eq!(
        (&json["operations"][0], &json["available_ucredits"]),
        (&id.to_string().into(), &95_000_000.into())
    );
    said.says(&["was signed before", "made once"]);

    let (world, id) = crashed("solo_crash_other", 5);
    let bob = world.bob.account().to_string();
    let said = world.ask("alice", &["wallet", "send", &bob, "7"]).expect(0);
    said.says(&[&id.to_string()]);
    assert_eq!(world.json("alice", &["wallet", "show"])["available_ucredits"], 88_000_000);
    world.ask("alice", &["ledger", "verify"]).expect(0);
}

/// Nothing is written of what the witness refuses, so that nothing refused has to be finished first.
#[test]
fn a_refused_operation_leaves_no_trace() {
    let world = World::new("solo_refused");
    let mut solo = world.solo();
    let treasury = edge_net::wallet::Wallet::open(&world.path("home.treasury.key")).unwrap();
    let out = ledger::op::Out {
        to: world.bob.account(),
        amount_ucredits: 1,
        reason: ledger::op::Reason::Bonus,
        reference: ledger::Id::ZERO,
    };
    for _ in 0..2 {
        let bonus = Action::Transfer { outs: vec![out] };
        let refused = solo.act(&treasury, bonus, now()).unwrap_err();
        assert!(matches!(refused, SoloError::Lacking(Lacking::Resolve { .. })), "{refused}");
    }
    solo.act(&treasury, Action::Noop, now()).unwrap();
    drop(solo);
    world.ask("alice", &["ledger", "verify"]).expect(0);
}

/// What shows where accounts came from is in the store when the state has gone on and the process has ended.
#[test]
fn the_treasury_pays_after_a_restart() {
    let world = World::new("solo_bonus");
    let mut solo = world.solo();
    let past = now() - 200;
    let (alice, bob) = (world.alice.account(), world.bob.account());
    let escrow = LockTerms {
        kind: LockKind::TaskEscrow,
        task: ledger::Id::ZERO,
        amount_ucredits: 4_000_000,
        policy: Policy { authority: world.operator().account(), redundancy: 1, priority_halves: 2 },
        expiry_epoch: past + 5,
    };
    let lock = solo.act(&world.alice, Action::Lock(escrow), past).unwrap().id();
    let reward = Payout { to: bob, amount_ucredits: 4_000_000, reason: ledger::op::Reason::Reward };
    let decision = Resolve {
        owner: alice,
        lock,
        epoch: past,
        payouts: vec![reward],
        refund_ucredits: 0,
        slash_ucredits: 0,
        judged: Vec::new(),
        drawn: true,
        evidence: ledger::Id::ZERO,
    };
    let reference = solo.decide(decision, past).unwrap().id();
    solo.checkpoint(past + 61).unwrap();
    solo.act(&world.bob, Action::Noop, past + 63).unwrap();
    drop(solo);
    let mut solo = world.solo();
    let treasury = edge_net::wallet::Wallet::open(&world.path("home.treasury.key")).unwrap();
    let reason = ledger::op::Reason::Bonus;
    let out = |amount_ucredits| ledger::op::Out { to: bob, amount_ucredits, reason, reference };
    let pays = |out| Action::Transfer { outs: vec![out] };
    let refused = solo.act(&treasury, pays(out(36_000_001)), past + 64).unwrap_err();
    assert!(matches!(refused, SoloError::Refusal(r) if r.rule == Rule::TreasuryJustified), "{refused}");
    solo.act(&treasury, pays(out(36_000_000)), past + 64).unwrap();
    assert_eq!(solo.ledger().balance(&bob).pending, 36_000_000);
    drop(solo);
    world.ask("alice", &["ledger", "verify"]).expect(0);
}

#[test]
fn the_store_of_another_is_not_opened() {
    let world = World::new("solo_other");
    let refused = edge_net::solo::Solo::open(&world.store, &world.alice, now()).err();
    assert!(matches!(refused, Some(SoloError::NotWitness { account }) if account == world.alice.account()));
    let solo = world.solo();
    world.ask("alice", &["wallet", "show"]).expect(1).says(&["in use by another process"]);
    drop(solo);
    world.ask("alice", &["wallet", "show"]).expect(0);
}
