use std::{fs, path::Path};

use edge_net::wallet::Wallet;

use super::{World, common::run};

fn passphrase(world: &World, name: &str, text: &str) -> String {
    let path = world.path(name);
    fs::write(&path, text).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_backup_brings_back_the_key_and_its_registration() {
    let world = World::new("wallet_backup");
    let (out, own) =
        (text(&world.path("backup")), passphrase(&world, "pass", "correct horse\nsecond line\n"));
    let referrer = world.alice.account().to_string();
    let carol = text(&world.path("carol"));
    let create = ["wallet", "create", "--referrer", &referrer, "--site", "example.org", "--key-file", &carol];
    world.ask("carol", &create).expect(0);
    world.ask("carol", &["wallet", "export", "--out", &out, "--passphrase-file", &own]).expect(0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let seed = *Wallet::open(&world.path("carol")).unwrap().key.seed();
    assert!(!fs::read(&out).unwrap().windows(32).any(|w| w == seed), "the seed lies open in the backup");

    // Existing files are never replaced.
    world
        .ask("carol", &["wallet", "export", "--out", &out, "--passphrase-file", &own])
        .expect(1)
        .says(&["backup"]);
    let import = ["wallet", "import", &out, "--passphrase-file", &own];
    world.ask("carol", &import).expect(1).says(&["carol", "not replaced"]);
    let key_over = ["wallet", "export", "--out", &carol, "--passphrase-file", &own];
    world.ask("carol", &key_over).expect(2).says(&["--out", "key file"]);

    let back = world.ask("back", &import).expect(0);
    let wallet = Wallet::open(&world.path("back")).unwrap();
    assert_eq!(back.out, format!("{}\n", wallet.account()));
    assert_eq!(fs::read(world.path("back")).unwrap(), fs::read(&carol).unwrap());
    back.says(&["in use elsewhere"]);
    // The store's operator is here, so both are logged.
    let rows = world.lines("alice", &["audit", "show"]);
    let kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["backup-exported", "backup-imported"]);
    assert!(rows.iter().all(|row| row["subject"] == wallet.account().to_string()));
}

#[test]
fn the_operators_own_backup_is_logged_by_itself() {
    let world = World::new("wallet_backup_operator");
    let (out, own) = (text(&world.path("backup")), passphrase(&world, "pass", "correct horse"));
    let export = ["wallet", "export", "--out", &out, "--passphrase-file", &own];
    world.ask("home.operator.key", &export).expect(0);
    let key = fs::read(world.path("home.operator.key")).unwrap();
    fs::remove_file(world.path("home.operator.key")).unwrap();
    let import = ["wallet", "import", &out, "--passphrase-file", &own];
    world.ask("home.operator.key", &import).expect(0);
    assert_eq!(fs::read(world.path("home.operator.key")).unwrap(), key);
    assert_eq!(world.lines("alice", &["audit", "show", "--kind", "backup-imported"]).len(), 1);
    // Without the operator there is no place to log in, and no reason to refuse.
    fs::remove_file(world.path("home.operator.key")).unwrap();
    let other = text(&world.path("other"));
    world.ask("alice", &["wallet", "export", "--out", &other, "--passphrase-file", &own]).expect(0);
    assert_eq!(world.lines("alice", &["audit", "show"]).len(), 2);
}

#[test]
fn what_does_not_open_makes_no_key() {
    let world = World::new("wallet_backup_wrong");
    let (out, own) = (text(&world.path("backup")), passphrase(&world, "pass", "correct horse"));
    world.ask("alice", &["wallet", "export", "--out", &out, "--passphrase-file", &own]).expect(0);
    let good = fs::read(&out).unwrap();
    let other = passphrase(&world, "other", "battery staple");
    let import =
        |file: &str, with: &str| world.ask("back", &["wallet", "import", file, "--passphrase-file", with]);
    import(&out, &other)
        .expect(1)
        .says(&["backup", "the passphrase is wrong, or the backup has been changed"]);
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&out, changed).unwrap();
    import(&out, &own).expect(1).says(&["the passphrase is wrong, or the backup has been changed"]);
    fs::write(&out, b"hello").unwrap();
    import(&out, &own).expect(1).says(&["not a backup"]);
    fs::write(&out, vec![0; 3 << 20]).unwrap();
    import(&out, &own).expect(1).says(&["longer than any"]);
    fs::write(&out, &good).unwrap();
    import(&out, &passphrase(&world, "empty", "\n")).expect(1).says(&["empty: the passphrase is empty"]);
    import(&out, "/nowhere").expect(1).says(&["/nowhere"]);
    world.ask("back", &["wallet", "import", &out]).expect(2).says(&["--passphrase-file"]);
    world.ask("alice", &["wallet", "export", "--out", "x"]).expect(2).says(&["--passphrase-file"]);
    assert!(!world.path("back").exists());
    let open = passphrase(&world, "open", "correct horse");
    #[cfg(unix)]
    {
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        import(&out, &open).expect(1).says(&["mode 644 lets others read the secret"]);
    }
    import(&out, &own).expect(0);
    assert_eq!(Wallet::open(&world.path("back")).unwrap().account(), world.alice.account());
}

/// Typed at a terminal, twice for an export, and not echoed. `script` gives the command a terminal.
#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::print_stderr, reason = "what did not run is said")]
fn a_passphrase_is_typed_without_echo() {
    let script = Path::new("/usr/bin/script");
    if !script.exists() {
        eprintln!("not run: there is no {}", script.display());
        return;
    }
    let world = World::new("wallet_typed");
    let typed = |who: &str, command: String, input: &str| {
        let mut terminal = world.sandbox.isolated(script);
        terminal.env("EDGENET_KEY_FILE", world.path(who)).env("SHELL", "/bin/sh");
        let edge_net = env!("CARGO_BIN_EXE_edge-net");
        run(terminal.args(["-qec", &format!("{edge_net} {command}"), "/dev/null"]), input.as_bytes())
    };
    let out = text(&world.path("backup"));
    let said = typed("alice", format!("wallet export --out {out}"), "correct horse\ncorrect horsf\n");
    assert!(said.code == Some(1) && said.out.contains("the passphrases differ"), "{}", said.out);
    let said = typed("alice", format!("wallet export --out {out}"), "correct horse\ncorrect horse\n");
    assert!(said.code == Some(0) && said.out.contains("The same again: "), "{}", said.out);
    let said = typed("back", format!("wallet import {out}"), "correct horse\n");
    assert!(said.out.contains(&world.alice.account().to_string()), "{}", said.out);
    assert_eq!(fs::read(world.path("back")).unwrap(), fs::read(world.path("alice")).unwrap());
}
