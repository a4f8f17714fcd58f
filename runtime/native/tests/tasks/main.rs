//! The commands that run tasks: what goes in, what comes out, what is refused and how.

#[path = "../common/mod.rs"]
mod common;
mod crypt;
mod infer;
mod matching;
mod quantize;
mod sandbox;
mod search;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::Sandbox;

/// What a finished command said, with whatever bytes it wrote.
struct Raw {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

fn raw(command: &mut Command, stdin: &[u8]) -> Raw {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let feed = std::thread::spawn(move || drop(input.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    Raw { code: output.status.code(), out: output.stdout, err: String::from_utf8(output.stderr).unwrap() }
}

impl Sandbox {
    /// Writes a file and gives its path.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Vectors around eight centres, the same on every run.
fn vectors(rows: usize, width: usize) -> Vec<Vec<f32>> {
    let mut state = 11u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..8 * width).map(|_| noise()).collect();
    let row = |r: usize, noise: &mut dyn FnMut() -> f32| {
        centres[r % 8 * width..][..width].iter().map(|c| c + 0.4 * noise()).collect()
    };
    (0..rows).map(|r| row(r, &mut noise)).collect()
}

fn json_lines(vectors: &[Vec<f32>]) -> String {
    vectors.iter().map(|v| serde_json::to_string(v).unwrap() + "\n").collect()
}

fn raw_f32(vectors: &[Vec<f32>]) -> Vec<u8> {
    vectors.iter().flatten().flat_map(|v| v.to_le_bytes()).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
