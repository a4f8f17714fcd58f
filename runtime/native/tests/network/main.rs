//! The network's commands, over real sockets on this machine.

#[path = "../common/mod.rs"]
mod common;
mod demo;
mod gateway;
mod processes;

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use common::{Sandbox, not_run};

/// A command that runs until it is told to end.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped above"));
        Running { child, lines }
    }

    /// The next line of its output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("text");
        assert!(!line.is_empty(), "it ended without another word");
        line.trim_end().to_owned()
    }

    /// Asks it to end as a service manager does.
    fn tell(&self) {
        let pid = self.child.id().to_string();
        let told = Command::new("/bin/kill").args(["-TERM", &pid]).status();
        assert!(told.is_ok_and(|status| status.success()), "it was there to be told");
    }

    /// Asks it to end, and waits; its exit code.
    fn end(mut self) -> Option<i32> {
        self.tell();
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The relay's address in the line by which it says that it listens.
fn address(line: &str) -> String {
    let at = line.find("ws://").unwrap_or_else(|| panic!("no address in {line:?}"));
    line[at..].split_whitespace().next().expect("an address").to_owned()
}

/// A folder with the integer MiniLM, for `EDGENET_MODEL_DIR`.
fn minilm(sandbox: &Sandbox) -> Option<PathBuf> {
    let Some(file) = std::env::var_os("EDGENET_TEST_MINILM") else {
        not_run("EDGENET_TEST_ALL", "EDGENET_TEST_MINILM names no quantised model");
        return None;
    };
    let folder = sandbox.root.join("minilm");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = std::fs::canonicalize(file).expect("the model that was named is there");
    std::fs::copy(file, folder.join("minilm-int.safetensors")).expect("copied");
    Some(folder)
}
