//! `edge-net encrypt` and `edge-net decrypt`: streams of any length in constant memory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use edge_net::{
    aead,
    model::{Observer, Unit, Work},
};
use serde::Serialize;
use tasks::encryption::{EncryptionError, KEY_BYTES, Key, Opener, Sealer};

use super::{
    args::tasks::{Crypt, Encrypt},
    failure::Failure,
    model::print_json,
    task::{at, is_stream, same_file},
    terminal::Terminal,
};

#[derive(Serialize)]
struct Done {
    bytes_in: u64,
    bytes_out: u64,
}

/// Encrypts.
pub(crate) fn encrypt(args: &Encrypt, terminal: &mut Terminal) -> Result<(), Failure> {
    let Encrypt { crypt: args, new_key } = args;
    check(args)?;
    let key = match *new_key && !args.key_file.exists() {
        true => make_key(&args.key_file, terminal)?,
        false => read_key(&args.key_file)?,
    };
    let cipher = aead::cipher(&key);
    let mut random = |bytes: &mut [u8]| aead::random(bytes);
    convert(args, terminal, "encrypting", |input, write| {
        let mut out = Vec::new();
        let mut sealer = Sealer::new(&*cipher, &mut random, args.aad.as_bytes(), &mut out).map_err(failed)?;
        input(&mut |data| {
            sealer.push(data, &mut out).map_err(failed)?;
            write(&mut out)
        })?;
        sealer.finish(&mut out).map_err(failed)?;
        write(&mut out)
    })
}

/// Decrypts. What was written before a fault was found is removed.
pub(crate) fn decrypt(args: &Crypt, terminal: &mut Terminal) -> Result<(), Failure> {
    check(args)?;
    let cipher = aead::cipher(&read_key(&args.key_file)?);
    convert(args, terminal, "decrypting", |input, write| {
        let mut out = Vec::new();
        let mut opener = Opener::new(&*cipher, args.aad.as_bytes()).map_err(failed)?;
        input(&mut |data| {
            opener.push(data, &mut out).map_err(failed)?;
            write(&mut out)
        })?;
        opener.finish(&mut out).map_err(failed)?;
        write(&mut out)
    })
}

/// The result and a report of it cannot share stdout, and the key is not to be written over.
fn check(args: &Crypt) -> Result<(), Failure> {
    if same_file(&args.out, &args.key_file) {
        return Err(Failure::Usage(format!(
            "{}: is the key file, not a place for the result",
            args.out.display()
        )));
    }
    match args.json && is_stream(&args.out) {
        true => {
            Err(Failure::Usage("--json and the result cannot both go to stdout: give --out a file".into()))
        }
        false => Ok(()),
    }
}

fn failed(error: EncryptionError) -> Failure {
    Failure::Failed(error.to_string())
}

/// Gives each piece of the input to a function.
type Input<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure>;

/// Runs a conversion from the input to the output. A file is written beside its place and moved there when it is
/// whole.
fn convert(
    args: &Crypt,
    terminal: &mut Terminal,
    step: &'static str,
    body: impl FnOnce(Input<'_>, &mut dyn FnMut(&mut Vec<u8>) -> Result<(), Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut reader, total): (Box<dyn Read>, Option<u64>) = match is_stream(&args.input) {
        true => (Box::new(io::stdin().lock()), None),
        false => {
            let file = File::open(&args.input).map_err(|e| at(&args.input, &e))?;
            let total = file.metadata().ok().map(|m| m.len());
            (Box::new(file), total)
        }
    };
    let mut target = Target::open(&args.out)?;
    let (mut bytes_in, mut bytes_out) = (0u64, 0u64);
    let mut buffer = vec![0; PIECE];
    let mut input = |push: &mut dyn FnMut(&[u8]) -> Result<(), Failure>| loop {
        let n = reader.read(&mut buffer).map_err(|e| at(&args.input, &e))?;
        if n == 0 {
            return Ok(());
        }
        bytes_in += n as u64;
        terminal.progress(Work { step, done: bytes_in, total, unit: Unit::Bytes });
        push(&buffer[..n])?;
    };
    let mut write = |out: &mut Vec<u8>| {
        bytes_out += out.len() as u64;
        target.write(out)?;
        out.clear();
        Ok(())
    };
    let done = body(&mut input, &mut write);
    target.close(done)?;
    if args.json { print_json(&Done { bytes_in, bytes_out }) } else { Ok(()) }
}

/// stdout, a device or pipe that is written as it is, or a file that appears when it is whole.
enum Target {
    Stdout(io::StdoutLock<'static>),
    Device { file: File, path: std::path::PathBuf },
    File { file: File, temporary: std::path::PathBuf, path: std::path::PathBuf },
}

impl Target {
    fn open(path: &Path) -> Result<Self, Failure> {
        if is_stream(path) {
            return Ok(Target::Stdout(io::stdout().lock()));
        }
        if fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            let file = OpenOptions::new().write(true).open(path).map_err(|e| at(path, &e))?;
            return Ok(Target::Device { file, path: path.to_owned() });
        }
        // A link is followed: what it leads to is replaced, the link stays.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = path.file_name().unwrap_or_default().to_owned();
        let mut suffix = [0; 8];
        aead::random(&mut suffix);
        name.push(format!(".partial-{:016x}", u64::from_le_bytes(suffix)));
        let temporary = path.with_file_name(name);
        let file = private(&temporary).map_err(|e| at(path, &e))?;
        Ok(Target::File { file, temporary, path: path.to_owned() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            // Nobody may take what came before a closed pipe for the whole, or for authentic.
            Target::Stdout(out) => out.write_all(bytes).map_err(|e| Failure::Failed(format!("stdout: {e}"))),
            Target::Device { file, path } => file.write_all(bytes).map_err(|e| at(path, &e)),
            Target::File { file, path, .. } => file.write_all(bytes).map_err(|e| at(path, &e)),
        }
    }

    fn close(self, done: Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Target::Stdout(mut out) => {
                done.and_then(|()| out.flush().map_err(|e| Failure::Failed(format!("stdout: {e}"))))
            }
            Target::Device { .. } => done,
            Target::File { temporary, path, .. } => {
                let moved = done.and_then(|()| fs::rename(&temporary, &path).map_err(|e| at(&path, &e)));
                if moved.is_err() {
                    // What cannot be removed is said nowhere: the failure itself is the news.
                    drop(fs::remove_file(&temporary));
                }
                moved
            }
        }
    }
}

fn make_key(path: &Path, terminal: &mut Terminal) -> Result<Key, Failure> {
    let key = Key::generate(&mut |bytes: &mut [u8]| aead::random(bytes));
    let digits: String = key.bytes().iter().map(|b| format!("{b:02x}")).collect();
    private(path).and_then(|mut file| writeln!(file, "{digits}")).map_err(|e| at(path, &e))?;
    terminal.note(&format!("{}: a new key; without it nothing can be decrypted", path.display()));
    Ok(key)
}

fn read_key(path: &Path) -> Result<Key, Failure> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let message = "no such key file: encrypt makes one with --new-key";
            return Err(Failure::Failed(format!("{}: {message}", path.display())));
        }
        file => file.map_err(|e| at(path, &e))?,
    };
    others_cannot_read(path, &file)?;
    let mut text = String::new();
    // What is longer than a key file and what is no text are both no key.
    let read = file.take(MOST_KEY_FILE_BYTES + 1).read_to_string(&mut text);
    let read = read.ok().filter(|&bytes| bytes as u64 <= MOST_KEY_FILE_BYTES);
    let key = read.and_then(|_| tasks::Hash::from_hex(text.trim()));
    let key = key.ok_or_else(|| {
        Failure::Failed(format!("{}: a key file holds {} hexadecimal digits", path.display(), 2 * KEY_BYTES))
    })?;
    Ok(Key::new(key.0))
}

#[cfg(unix)]
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn others_cannot_read(path: &Path, file: &File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|e| at(path, &e))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(Failure::Failed(format!(
            "{path}: mode {mode:o} lets others read the key: chmod 600 {path}"
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn others_cannot_read(_: &Path, _: &File) -> Result<(), Failure> {
    Ok(())
}

const PIECE: usize = 1 << 20;
const MOST_KEY_FILE_BYTES: u64 = 4096;
