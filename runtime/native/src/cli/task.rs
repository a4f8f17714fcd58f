//! What the task commands share: a host for them, tasks checked and run, files or the standard streams.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use edge_net::{Device, host::LocalHost, machine::MachineOptions, model::Store};
use tasks::{Code, Outcome, Refusal, RunError, Task, Tier};

use super::{failure::Failure, selftest::ABSENT, terminal::Terminal};

/// Opens the devices and tells of those that were wanted and are not used.
pub(crate) fn host(options: &MachineOptions, terminal: &mut Terminal) -> Result<LocalHost, Failure> {
    let observer = Box::new(terminal.another());
    let host = LocalHost::open(options, Store::from_env()?, observer);
    let host = host.map_err(|e| Failure::Failed(e.to_string()))?;
    for fallback in host.status().fallbacks {
        let text = format!("not used: {fallback}");
        match ABSENT.contains(&fallback.code) {
            true => terminal.detail(&text),
            false => terminal.warn(&text),
        }
    }
    Ok(host)
}

/// The same without a GPU: for work that never runs on one.
pub(crate) fn without_gpu(options: MachineOptions) -> MachineOptions {
    MachineOptions { device: Device::Cpu, ..options }
}

/// Checks and runs a task of the user's own.
pub(crate) fn run(host: &mut LocalHost, task: Task) -> Result<Outcome, Failure> {
    let checked = task.check(Tier::Own).map_err(|e| refused(&e))?;
    host.run(&checked).map_err(|e| failed(&e))
}

/// A number that a flag gives is wrong usage; whatever else is refused lies in files.
pub(crate) fn refused(refusal: &Refusal) -> Failure {
    let Refusal { code, field, message } = refusal;
    if *code != Code::OutOfRange || field.contains('[') {
        return Failure::Failed(format!("{refusal} ({code})"));
    }
    // Limits of the sandbox name themselves: one field is checked for both.
    let (field, message) = match message.split_once(' ') {
        Some((word, rest)) if rest.starts_with("is ") => (word, rest),
        _ => (field.as_str(), message.as_str()),
    };
    let name = field.rsplit('.').next().unwrap_or(field);
    let dashes = if name.len() == 1 { "-" } else { "--" };
    let kebab = |c: char| match c.is_ascii_uppercase() {
        true => format!("-{}", c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    let flag: String = name.chars().map(kebab).collect();
    Failure::Usage(format!("{dashes}{flag}: {message}"))
}

/// What a task's run failed of.
pub(crate) fn failed(error: &RunError) -> Failure {
    match error {
        RunError::Refused(refusal) => refused(refusal),
        RunError::Module { error: refused } if refused.to_string().starts_with("module") => {
            Failure::Failed(format!("{refused} ({})", error.code()))
        }
        _ => Failure::Failed(format!("{error} ({})", error.code())),
    }
}

/// How messages name a file.
pub(crate) fn place(path: &Path) -> String {
    if is_stream(path) { "stdin".into() } else { path.display().to_string() }
}

/// Whether a path stands for stdin or stdout.
pub(crate) fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// A file's bytes, or all of stdin.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if is_stream(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(|e| at(path, &e))?;
        return Ok(bytes);
    }
    fs::read(path).map_err(|e| at(path, &e))
}

/// A file's text, or all of stdin.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read(path)?;
    let line = |e: std::string::FromUtf8Error| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..valid].iter().filter(|&&b| b == b'\n').count() + 1;
        Failure::Failed(format!("{}: line {line}: invalid UTF-8", place(path)))
    };
    let text = String::from_utf8(bytes).map_err(line)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// A file's new contents, or bytes for stdout.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_stream(path) {
        let mut out = io::stdout().lock();
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::output);
    }
    fs::write(path, bytes).map_err(|e| at(path, &e))
}

/// Whether two paths lead to one file that is there.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        // A file that is not there yet may be named twice.
        _ => a == b && !is_stream(a),
    }
}

/// Refuses to write over what is read.
pub(crate) fn not_over(input: &Path, out: &Path) -> Result<(), Failure> {
    match !is_stream(out) && same_file(input, out) && input.is_file() {
        true => Err(Failure::Usage(format!("{}: is the input, which would be lost", out.display()))),
        false => Ok(()),
    }
}

/// What is wrong with a file, or with stdin.
pub(crate) fn at(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", place(path)))
}

/// What is wrong with a line of JSON, without the line number that counts from its own beginning.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// A count in words: `1 vector`, `2 vectors`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
