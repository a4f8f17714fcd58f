use std::fs;

use super::{
    World,
    common::{Sandbox, run},
};
use edge_net::wallet::Wallet;

#[test]
fn a_key_file_is_made_once_and_for_its_owner() {
    let sandbox = Sandbox::new("wallet_create");
    let said = run(sandbox.edge_net().args(["wallet", "create"]), b"").expect(0);
    let path = sandbox.root.join(".local/share/edge-net/wallet.key");
    let wallet = Wallet::open(&path).unwrap();
    assert_eq!(said.out, format!("{}\n", wallet.account()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let text = fs::read_to_string(&path).unwrap();
    run(sandbox.edge_net().args(["wallet", "create"]), b"").expect(1).says(&["wallet.key", "not replaced"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let second = sandbox.root.join("second");
    let account = wallet.account().to_string();
    let mut create = sandbox.edge_net();
    create.args([
        "wallet",
        "create",
        "--json",
        "--site",
        "example.org",
        "--referrer",
        &account,
        "--key-file",
    ]);
    let json = run(create.arg(&second), b"").expect(0).json();
    assert_eq!((&json["referrer"], &json["site"]), (&account.into(), &"example.org".into()));
    let made = Wallet::open(&second).unwrap();
    assert_eq!(json["account"], made.account().to_string());
    assert_eq!((made.referrer, made.site.as_deref()), (Some(wallet.account()), Some("example.org")));
    // The seed is nowhere but in its file.
    let seed: String = made.key.seed().iter().map(|b| format!("{b:02x}")).collect();
    assert!(fs::read_to_string(&second).unwrap().contains(&seed) && !json.to_string().contains(&seed));
    let shown = run(sandbox.edge_net().args(["wallet", "show", "--key-file"]).arg(&second), b"").expect(0);
    assert!(!shown.out.contains(&seed) && shown.out.contains("site       example.org"), "{}", shown.out);
    shown.says(&["no store"]);
}

#[test]
fn wrong_registrations_are_usage_errors() {
    let sandbox = Sandbox::new("wallet_register");
    let key = sandbox.root.join("key");
    let create = |flags: &[&str]| {
        run(sandbox.edge_net().args(["wallet", "create", "--key-file"]).arg(&key).args(flags), b"")
    };
    let account = create(&[]).expect(0).out.trim().to_owned();
    create(&["--referrer", &account]).expect(2).says(&["--referrer", "this very key file"]);
    fs::remove_file(&key).unwrap();
    create(&["--referrer", "edge1qqqq"]).expect(2).says(&["--referrer"]);
    let mut typo = account.clone();
    typo.replace_range(20..21, if &account[20..21] == "q" { "p" } else { "q" });
    create(&["--referrer", &typo]).expect(2).says(&["--referrer", "mistyped"]);
    let weak = weak().to_string();
    create(&["--referrer", &weak]).expect(2).says(&["--referrer", "no key can hold"]);
    for label in ["", "Example", "a b", "\u{1b}[31mred", "\u{202e}gro", &"a".repeat(254)] {
        let said = create(&["--site", label]).expect(2);
        assert!(!said.err.contains('\u{1b}') && !said.err.contains('\u{202e}'), "{:?}", said.err);
        said.says(&["--site: a label has 1 to 253 characters"]);
    }
    assert!(!key.exists(), "a refused key leaves a file");
}

/// The point of order 1.
pub(super) fn weak() -> identity::AccountId {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    identity::AccountId::from_bytes(bytes)
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new("wallet_modes");
    for name in ["alice", "home.operator.key"] {
        for mode in [0o644, 0o640, 0o604] {
            fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
            let to = world.bob.account().to_string();
            let said = world.ask("alice", &["wallet", "send", &to, "1"]).expect(1);
            said.says(&[name, &format!("mode {mode:o}"), "chmod 600"]);
        }
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(world.json("alice", &["wallet", "show"])["available_ucredits"], 100_000_000);
}

#[test]
fn a_damaged_key_file_is_named_with_its_damage() {
    let world = World::new("wallet_damaged");
    let good = fs::read_to_string(world.path("alice")).unwrap();
    let other = fs::read_to_string(world.path("bob")).unwrap();
    let line = |text: &str, at: usize| text.lines().nth(at).unwrap().to_owned();
    let digit = good.rfind(|c: char| c.is_ascii_hexdigit()).unwrap();
    let mut flipped = good.clone();
    flipped.replace_range(digit..=digit, if &good[digit..=digit] == "0" { "1" } else { "0" });
    let cases: [(&str, String, &str); 11] = [
        ("a digit", flipped, "one of them is damaged"),
        ("another account", good.replace(&line(&good, 1), &line(&other, 1)), "one of them is damaged"),
        ("no account", good.replace(&line(&good, 1), ""), "names no account"),
        ("no seed", good.replace(&line(&good, 2), ""), "has no seed"),
        ("cut", good[..good.len() - 9].to_owned(), "the seed is damaged"),
        ("no digits", good.replace("seed ", "seed g"), "the seed is damaged"),
        ("two seeds", format!("{good}{}\n", line(&good, 2)), "there twice"),
        ("a site of bad characters", format!("{good}site a b\n"), "the site is damaged"),
        ("its own referrer", format!("{good}referrer {}\n", world.alice.account()), "refers itself"),
        ("another version", good.replace("key 1", "key 10"), "not a key file"),
        ("far too long", format!("{good}site {}\n", "a".repeat(2000)), "longer than any"),
    ];
    for (what, text, problem) in cases {
        fs::write(world.path("alice"), text).unwrap();
        let said = world.ask("alice", &["wallet", "show"]).expect(1);
        assert_eq!(said.out, "", "{what}");
        said.says(&["/alice: ", problem]);
    }
    fs::write(world.path("alice"), [0xff, 0xfe]).unwrap();
    world.ask("alice", &["wallet", "show"]).expect(1).says(&["/alice: ", "not a key file"]);
    fs::write(world.path("alice"), &good).unwrap();
    world.ask("alice", &["wallet", "show"]).expect(0);
    world.ask("absent", &["wallet", "show"]).expect(1).says(&["absent", "wallet create"]);
}
