use std::fs;

use super::common::{Sandbox, run};

/// What stands in the README under "Credits" is pasted into a shell as it is.
#[test]
fn the_session_of_the_readme_works() {
    let sandbox = Sandbox::new("wallet_readme");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let section = text.split("\n## Credits\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let session = section.split("```sh\n").nth(1).unwrap().split("\n```").next().unwrap();
    sandbox.script("edge-net", &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_edge-net")));
    let mut shell = sandbox.isolated("/bin/bash");
    let said = run(shell.current_dir(&sandbox.root).args(["-eu", "-o", "pipefail", "-c", session]), b"");
    let out = said.expect(0).out;
    for part in [
        "paid                       2.500000  to edge1",
        "received                   2.500000",
        "available                 97.500000",
        "  opened referred by edge1",
        " 1000000000.000000  all there are, exactly",
        "(payment)",
        ".receipt\n",
        "\n0:0000",
    ] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    let commands = ["wallet create", "ledger found", "wallet send", "wallet receive", "wallet show"];
    let more = ["wallet history", "ledger founding", "receipts", "--check", "ledger verify", "audit verify"];
    for command in commands.iter().chain(&more) {
        assert!(session.contains(command), "the session leaves out {command}");
    }
}
