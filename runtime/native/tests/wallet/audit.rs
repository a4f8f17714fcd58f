use std::fs;

use edge_net::solo::audit_entries;
use ledger::{
    audit::EventKind,
    store::{Table, audit_key},
};

use super::World;

/// A log of five events.
fn logged(test: &str) -> World {
    let world = World::new(test);
    let mut solo = world.solo();
    for n in 0..5 {
        solo.log(n, EventKind::SettingsChanged, &world.alice.account(), &format!("setting {n}")).unwrap();
    }
    world
}

#[test]
fn what_was_done_to_the_log_is_named() {
    let world = logged("wallet_audit");
    let head = world.ask("alice", &["audit", "verify"]).expect(0).out.trim().to_owned();
    assert!(head.starts_with("5:") && head.len() == 66, "{head}");
    assert_eq!(world.json("alice", &["audit", "verify", "--head", &head])["entries"], 5);
    let key = |n: u64| audit_key(n).to_vec();
    type Change = Box<dyn Fn(&mut Vec<u8>, &mut Vec<u8>) -> bool>;
    let cases: [(&str, &str, Change); 4] = [
        (
            "changed",
            "entry 3 is not linked",
            Box::new(move |k, v| {
                if *k == key(2) {
                    *v.last_mut().unwrap() ^= 1;
                }
                true
            }),
        ),
        ("dropped", "entry 2 says that it is entry 3", Box::new(move |k, _| *k != key(2))),
        (
            "undecodable",
            "entry 4",
            Box::new(move |k, v| {
                if *k == key(4) {
                    v[0] = 9;
                }
                true
            }),
        ),
        (
            "moved",
            "entry 1 says that it is entry 2",
            Box::new(move |k, _| {
                match k[7] {
                    1 => k[7] = 2,
                    2 => k[7] = 1,
                    _ => {}
                }
                true
            }),
        ),
    ];
    for (name, problem, change) in cases {
        let store =
            world.altered(name, |table, k, v| if table == Table::Audit { change(k, v) } else { true });
        world.on(&store, &["audit", "verify"]).expect(1).says(&[name, "the audit log", problem]);
        // What can be read is shown all the same; nobody goes on writing behind a broken link.
        let shown = world.on(&store, &["audit", "show"]).expect(1);
        assert!(shown.out.contains("setting 0") && shown.out.lines().count() >= 4, "{}", shown.out);
        world.on(&store, &["wallet", "receive"]).expect(1).says(&["the audit log"]);
    }
}

/// A cut and a rewritten end leave a chain that holds in itself: only a head from elsewhere shows them.
#[test]
fn a_head_kept_elsewhere_shows_what_the_chain_cannot() {
    let world = logged("wallet_audit_head");
    let head = world.ask("alice", &["audit", "verify"]).expect(0).out.trim().to_owned();
    let cut = world.altered("cut", |table, k, _| table != Table::Audit || *k != audit_key(4));
    world.on(&cut, &["audit", "verify"]).expect(0);
    world
        .on(&cut, &["audit", "verify", "--head", &head])
        .expect(1)
        .says(&["ends after 4 entries, and had 5"]);
    let rewritten = world.altered("rewritten", |table, k, v| {
        if table == Table::Audit && *k == audit_key(4) {
            *v.last_mut().unwrap() ^= 1;
        }
        true
    });
    world.on(&rewritten, &["audit", "verify"]).expect(0);
    let said = world.on(&rewritten, &["audit", "verify", "--head", &head]).expect(1);
    said.says(&["the first 5 entries are not those"]);
    // A log that goes on from the head is fine.
    world.solo().log(9, EventKind::RateLimited, &world.bob.account(), "").unwrap();
    world.ask("alice", &["audit", "verify", "--head", &head]).expect(0);
    for wrong in ["5", "5:ab", "x", &format!("5:{}", "g".repeat(64))] {
        world.ask("alice", &["audit", "verify", "--head", wrong]).expect(2).says(&["--head"]);
    }
}

#[test]
fn events_are_listed_by_kind_and_never_steer_the_terminal() {
    let world = logged("wallet_audit_show");
    let mut solo = world.solo();
    let hostile = "\u{1b}[2J\u{202e}evil\n".repeat(60);
    solo.log(7, EventKind::RateLimited, &world.bob.account(), &hostile).unwrap();
    let entries = audit_entries(solo.store()).unwrap();
    assert!(entries.iter().all(|entry| entry.len() <= ledger::audit::MAX_ENTRY_BYTES));
    drop(solo);
    let rows = world.lines("alice", &["audit", "show", "--kind", "rate-limited"]);
    assert_eq!((rows.len(), &rows[0]["entry"]), (1, &5.into()));
    assert_eq!(rows[0]["subject"], world.bob.account().to_string());
    let text = world.ask("alice", &["audit", "show"]).expect(0).out;
    assert!(text.lines().count() == 6 && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    world.ask("alice", &["audit", "show", "--kind", "nothing"]).expect(2).says(&["--kind", "fork-proof"]);
    world.ask("alice", &["audit", "show", "/nowhere"]).expect(1).says(&["/nowhere", "there is no store"]);
    fs::write(world.path("junk"), b"junk").unwrap();
    let junk = world.path("junk");
    world.on(&junk, &["audit", "show"]).expect(1).says(&["junk"]);
    assert_eq!(fs::read(&junk).unwrap(), b"junk");
}
