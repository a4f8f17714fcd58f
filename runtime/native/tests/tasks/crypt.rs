use std::{fs, path::Path, process::Command};

use super::{
    Raw,
    common::{Sandbox, run},
    raw,
};

fn command(sandbox: &Sandbox, way: &str, key: &Path) -> Command {
    let mut command = sandbox.edge_net();
    command.arg(way).arg("--key-file").arg(key);
    command
}

/// A sandbox and a key that `encrypt --new-key` made.
fn with_key(test: &str) -> (Sandbox, std::path::PathBuf) {
    let sandbox = Sandbox::new(test);
    let key = sandbox.root.join("key");
    let made = raw(command(&sandbox, "encrypt", &key).arg("--new-key"), b"");
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.err.contains("a new key"), "{}", made.err);
    (sandbox, key)
}

fn good(said: Raw) -> Vec<u8> {
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out
}

#[test]
fn data_of_every_size_comes_back() {
    let (sandbox, key) = with_key("crypt_sizes");
    for size in [0, 1, 65_536, 200_000] {
        let plain: Vec<u8> = (0..size).map(|i: usize| ((i * 31) >> 3) as u8).collect();
        let sealed = good(raw(&mut command(&sandbox, "encrypt", &key), &plain));
        assert!(sealed.len() > plain.len() && (size < 16 || !sealed.windows(16).any(|w| w == &plain[..16])));
        assert!(good(raw(&mut command(&sandbox, "decrypt", &key), &sealed)) == plain, "{size} by streams");

        let (input, sealed, back) =
            (sandbox.file("in", &plain), sandbox.root.join("s"), sandbox.root.join("b"));
        let said =
            run(command(&sandbox, "encrypt", &key).arg(&input).arg("--json").arg("--out").arg(&sealed), b"");
        let json = said.expect(0).json();
        assert_eq!(json["bytes_in"], size);
        assert_eq!(json["bytes_out"], fs::metadata(&sealed).unwrap().len());
        run(command(&sandbox, "decrypt", &key).arg(&sealed).arg("--out").arg(&back), b"").expect(0);
        assert!(fs::read(&back).unwrap() == plain, "{size} by files");
    }
}

#[test]
fn what_does_not_open_leaves_no_file() {
    let (sandbox, key) = with_key("crypt_damaged");
    let plain = vec![7; 200_000];
    let sealed = good(raw(command(&sandbox, "encrypt", &key).args(["--aad", "for you"]), &plain));
    let other = sandbox.root.join("other");
    good(raw(command(&sandbox, "encrypt", &other).arg("--new-key"), b""));
    let flipped = |at: usize| {
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases: [(&str, Vec<u8>, &Path, &str); 8] = [
        ("another key", sealed.clone(), &other, "for you"),
        ("other data beside it", sealed.clone(), &key, "for them"),
        ("cut in a chunk", sealed[..sealed.len() - 1].to_vec(), &key, "for you"),
        ("cut between chunks", sealed[..17 + 2 * (65_536 + 16)].to_vec(), &key, "for you"),
        ("a bit of the last chunk", flipped(sealed.len() - 20), &key, "for you"),
        ("a bit of the first chunk", flipped(100), &key, "for you"),
        ("no stream", b"hello".to_vec(), &key, "for you"),
        ("nothing", Vec::new(), &key, "for you"),
    ];
    for (what, bytes, key, aad) in cases {
        let input = sandbox.file("sealed", bytes);
        let folder = sandbox.root.join("out");
        fs::create_dir_all(&folder).unwrap();
        let mut decrypt = command(&sandbox, "decrypt", key);
        let said = run(decrypt.args(["--aad", aad]).arg(&input).arg("--out").arg(folder.join("plain")), b"");
        assert!(said.code == Some(1) && said.err.starts_with("error: "), "{what}: {}", said.err);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{what} leaves something behind");
    }
    // The harness can see a file: the undamaged stream leaves one.
    let input = sandbox.file("sealed", &sealed);
    let plain_file = sandbox.root.join("out/plain");
    let mut decrypt = command(&sandbox, "decrypt", &key);
    run(decrypt.args(["--aad", "for you"]).arg(&input).arg("--out").arg(&plain_file), b"").expect(0);
    assert!(fs::read(plain_file).unwrap() == plain);
}

#[cfg(unix)]
#[test]
fn a_key_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, key) = with_key("crypt_key");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    let text = fs::read_to_string(&key).unwrap();
    good(raw(command(&sandbox, "encrypt", &key).arg("--new-key"), b""));
    assert_eq!(fs::read_to_string(&key).unwrap(), text, "a key that is there is kept");
    for wrong in [0o644, 0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(wrong)).unwrap();
        let said = run(&mut command(&sandbox, "encrypt", &key), b"secret").expect(1);
        assert_eq!(said.says(&["others read the key", "chmod 600"]).out, "");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let (sandbox, key) = with_key("crypt_keys");
    for text in [&b""[..], b"abc\n", &[b'g'; 64], &[b'1'; 65], &[0xff; 64]] {
        fs::write(&key, text).unwrap();
        let said = run(&mut command(&sandbox, "encrypt", &key), b"x").expect(1);
        said.says(&["64 hexadecimal digits"]);
    }
    let absent = sandbox.root.join("absent");
    run(&mut command(&sandbox, "decrypt", &absent), b"").expect(1).says(&["absent", "--new-key"]);
    run(command(&sandbox, "decrypt", &key).arg("--new-key"), b"").expect(2).says(&["--new-key"]);
    run(command(&sandbox, "encrypt", &key).arg("--json"), b"").expect(2).says(&["--json"]);
    run(sandbox.edge_net().arg("encrypt"), b"").expect(2).says(&["--key-file"]);
    fs::write(&key, [b'1'; 64]).unwrap();
    run(command(&sandbox, "encrypt", &key).arg("/nowhere"), b"").expect(1).says(&["/nowhere"]);
    let long = "a".repeat(70_000);
    run(command(&sandbox, "encrypt", &key).args(["--aad", &long]), b"").expect(1).says(&["associated data"]);
}

#[test]
fn nothing_is_written_over_that_is_needed() {
    let (sandbox, key) = with_key("crypt_over");
    let secret = sandbox.file("secret", b"attack at dawn");
    let before = fs::read(&key).unwrap();
    for new_key in [false, true] {
        let mut over = command(&sandbox, "encrypt", &key);
        over.arg(&secret).arg("--out").arg(&key).args(new_key.then_some("--new-key"));
        let said = raw(&mut over, b"");
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("is the key file"), "{}", said.err);
    }
    assert_eq!(fs::read(&key).unwrap(), before);
}

/// A device is written to, not replaced; a link leads to the file that is replaced.
#[cfg(unix)]
#[test]
fn devices_and_links_stay_what_they_are() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    let (sandbox, key) = with_key("crypt_devices");
    let secret = sandbox.file("secret", b"attack at dawn");
    good(raw(command(&sandbox, "encrypt", &key).arg(&secret).args(["--out", "/dev/null"]), b""));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let (target, link) = (sandbox.file("target", b"old"), sandbox.root.join("link"));
    symlink(&target, &link).unwrap();
    good(raw(command(&sandbox, "encrypt", &key).arg(&secret).arg("--out").arg(&link), b""));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_ne!(fs::read(&target).unwrap(), b"old");
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}
