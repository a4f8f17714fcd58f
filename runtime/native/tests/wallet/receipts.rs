use std::{fs, path::PathBuf};

use ledger::{Founding, Network, Record};

use super::{
    World,
    common::{Sandbox, run},
};

/// Two payments to Bob with their receipts, and the founding.
fn saved(test: &str) -> (World, Vec<PathBuf>) {
    let world = World::new(test);
    let bob = world.bob.account().to_string();
    for amount in ["2.5", "0.25"] {
        world.ask("alice", &["wallet", "send", &bob, amount]).expect(0);
    }
    let (folder, network) = (world.path("receipts"), world.path("network").display().to_string());
    let save = ["wallet", "receipts", "--save", &folder.display().to_string()];
    let listed = world.lines("bob", &save);
    let amounts: Vec<u64> = listed.iter().map(|row| row["amount_ucredits"].as_u64().unwrap()).collect();
    assert_eq!(amounts.iter().sum::<u64>(), 2_750_000);
    world.ask("alice", &["ledger", "founding", "--out", &network]).expect(0);
    // Saving them again changes nothing.
    assert_eq!(world.lines("bob", &save), listed);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    (world, files)
}

#[test]
fn receipts_convince_elsewhere_without_a_store() {
    let (world, files) = saved("wallet_receipts");
    fs::remove_file(&world.store).unwrap();
    let elsewhere = Sandbox::new("wallet_receipts_elsewhere");
    let mut check = elsewhere.edge_net();
    check.args(["wallet", "receipts", "--json", "--network"]).arg(world.path("network")).arg("--check");
    let rows = run(check.args(&files), b"").expect(0).lines();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row["valid"], true);
        assert_eq!(row["from"], world.alice.account().to_string());
        assert_eq!(row["to"], world.bob.account().to_string());
    }
    let mut check = elsewhere.edge_net();
    check.args(["wallet", "receipts", "--network"]).arg(world.path("network")).arg("--check");
    let text = run(check.args(&files), b"").expect(0).out;
    assert!(text.contains("          2.500000  payment     from edge1"), "{text}");
    assert!(!elsewhere.root.join(".local").exists(), "checking makes nothing");
}

#[test]
fn every_changed_receipt_is_refused_by_name() {
    let (world, files) = saved("wallet_receipts_changed");
    let network = world.path("network").display().to_string();
    let check = |paths: &[&str]| {
        let check = [&["wallet", "receipts", "--network", &network, "--check"], paths].concat();
        world.ask("alice", &check)
    };
    let good = fs::read(&files[0]).unwrap();
    let (fine, bad) = (files[1].display().to_string(), world.path("bad").display().to_string());
    let founding = Founding::decode(&fs::read(world.path("network")).unwrap()).unwrap();
    let Ok(Record::Op(record)) = Record::decode(&good[1..], &Network::new(founding).unwrap()) else {
        panic!("a receipt of an operation")
    };
    // Every byte counts (the place, the operation, the certificate) but those of the owner's signature: which key holds
    // an account at which seq, only the ledger can tell, and the witnesses checked it.
    let signature = record.value.signature.to_bytes();
    let signed = good.windows(64).position(|window| window == signature).unwrap();
    let mut refused = 0;
    for at in (0..good.len()).step_by(5).chain([good.len() - 1]) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&bad, bytes).unwrap();
        let said = check(&[&bad, &fine]);
        if (signed..signed + 64).contains(&at) {
            assert_eq!(said.expect(0).out.matches(" payment  ").count(), 2);
            continue;
        }
        let said = said.expect(1);
        assert!(said.out.contains("NOT A RECEIPT"), "byte {at}: {}", said.out);
        said.says(&["1 of 2 receipts", "/bad"]);
        refused += 1;
    }
    assert!(refused > 50, "{refused} of {} bytes", good.len());
    for bytes in [Vec::new(), good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), vec![0; 2 << 20]] {
        fs::write(&bad, bytes).unwrap();
        check(&[&bad]).expect(1).says(&["/bad"]);
    }
    fs::write(&bad, &good).unwrap();
    check(&[&bad, &fine]).expect(0);
    check(&[&fine, "/nowhere"]).expect(1).says(&["1 of 2", "/nowhere"]);

    // Of another network, and of none.
    let other = World::new("wallet_receipts_other");
    let founding = other.path("network").display().to_string();
    other.ask("alice", &["ledger", "founding", "--out", &founding]).expect(0);
    let on =
        |network: &str| world.ask("alice", &["wallet", "receipts", "--check", &fine, "--network", network]);
    let said = on(&founding).expect(1);
    assert!(said.out.contains("not certified by the witnesses of this network"), "{}", said.out);
    on(&fine).expect(1).says(&[&fine]);
    on("/nowhere").expect(1).says(&["/nowhere"]);
    world.ask("alice", &["wallet", "receipts", "--check", &fine]).expect(2).says(&["--network"]);
    let said = world.ask("alice", &["ledger", "founding", "--out", &network]).expect(1);
    said.says(&["network", "not replaced"]);
}
