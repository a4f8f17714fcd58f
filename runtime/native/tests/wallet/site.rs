use std::fs;

use super::World;

#[test]
fn a_site_record_says_what_was_signed() {
    let world = World::new("wallet_site");
    let out = world.path("site").display().to_string();
    let sign = |flags: &[&str], out: &str| {
        world.ask("alice", &[&["ledger", "site", "sign", "--out", out], flags].concat())
    };
    let flags = [
        "--label",
        "example.org",
        "--origin",
        "https://www.example.org",
        "--origin",
        "https://example.org",
        "--relay",
        "wss://relay.example.org",
        "--share-ppm",
        "250000",
        "--version",
        "3",
    ];
    sign(&flags, &out).expect(0);
    let json = world.json("bob", &["ledger", "site", "check", &out]);
    assert_eq!(json["origins"], serde_json::json!(["https://example.org", "https://www.example.org"]));
    assert_eq!(
        (&json["label"], &json["share_ppm"], &json["version"]),
        (&"example.org".into(), &250_000.into(), &3.into())
    );
    assert_eq!(json["account"], world.alice.account().to_string());
    let text = world.ask("bob", &["ledger", "site", "check", &out]).expect(0).out;
    assert!(text.contains("share    25.0000 % for the site\n"), "{text}");
    sign(&flags, &out).expect(1).says(&["site", "not replaced"]);

    let good = fs::read(&out).unwrap();
    let bad = world.path("bad").display().to_string();
    for at in (0..good.len()).step_by(5) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&bad, bytes).unwrap();
        assert_eq!(world.ask("bob", &["ledger", "site", "check", &bad]).expect(1).says(&["/bad: "]).out, "");
    }
}

#[test]
fn what_no_record_may_say_is_a_usage_error() {
    let world = World::new("wallet_site_bad");
    let out = world.path("site").display().to_string();
    let cases: [(&[&str], &str); 8] = [
        (&["--label", "\u{1b}[31mred"], "--label: a label has 1 to 253 characters"),
        (&["--label", ""], "--label: a label"),
        (&["--label", "a", "--origin", "ftp://a"], "--origin: origins"),
        (&["--label", "a", "--origin", "https://a\u{202e}"], "--origin: origins"),
        (&["--label", "a", "--origin", "https://a", "--origin", "https://a"], "--origin: origins"),
        (&["--label", "a", "--relay", "https://a"], "--relay: relays"),
        (&["--label", "a", "--share-ppm", "1000001"], "--share-ppm: a site's share"),
        (&["--label", "a", "--share-ppm", "half"], "--share-ppm"),
    ];
    for (flags, problem) in cases {
        let said =
            world.ask("alice", &[&["ledger", "site", "sign", "--out", &out], flags].concat()).expect(2);
        assert!(!said.err.contains(['\u{1b}', '\u{202e}']), "{:?}", said.err);
        said.says(&[problem]);
    }
    assert!(!world.path("site").exists());
    world.ask("alice", &["ledger", "site", "check", "/nowhere"]).expect(1).says(&["/nowhere"]);
}
