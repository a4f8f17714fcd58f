//! Modules that mean harm: each ends with the expected error, within its fuel, and the host's memory stays small.
//!
//! A few of them are not stopped because nothing is wrong with them:
//! they must give exactly the expected bytes.

use std::fs;

use sandbox::{Limits, Module, Policy, SandboxError};

use cases::{Case, Expect};

mod cases;

const FUEL: u64 = 3_000_000;
const MEMORY_BYTES: u64 = 16 << 20;
/// The linear memory twice, as growing may copy it, and what translating takes.
const HOST_BYTES: u64 = 2 * MEMORY_BYTES + (16 << 20);

/// The host's peak memory is measured, so this test is alone in its process.
#[test]
fn hostile_modules_are_stopped() {
    let cases = cases::all();
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names, NAMES);
    let mut faults = Vec::new();
    for case in &cases {
        let before = Memory::start();
        let result = run(case);
        let grown = before.map(Memory::grown_bytes);
        faults.extend(judge(case, &result, grown).into_iter().map(|fault| format!("{}: {fault}", case.name)));
    }
    assert_eq!(faults, Vec::<String>::new());
    match Memory::start() {
        Some(_) => report(&format!("{} hostile modules, fuel and peak memory bounded", cases.len())),
        None => report("not run: peak memory of hostile modules (no /proc/self/status here)"),
    }
    a_planted_fault_is_caught(&cases[0]);
}

/// A module that gets away, one that uses too much fuel, and one that takes too much memory.
fn a_planted_fault_is_caught(case: &Case) {
    let escaped = Ok((Vec::new(), 1));
    assert_eq!(judge(case, &escaped, None), ["expected out-of-fuel, got 0 bytes"]);
    let (error, _) = run(case).expect_err("an endless loop");
    let wasteful = Err((error.clone(), FUEL + FUEL / 50));
    assert_eq!(judge(case, &wasteful, None), [format!("{} units of fuel", FUEL + FUEL / 50)]);
    let greedy = Err((error, FUEL));
    assert_eq!(
        judge(case, &greedy, Some(HOST_BYTES + 1)),
        [format!("{} bytes of host memory", HOST_BYTES + 1)]
    );
    let Some(before) = Memory::start() else { return };
    let taken = vec![1_u8; HOST_BYTES as usize * 2];
    assert!(taken.contains(&1));
    assert!(before.grown_bytes() > HOST_BYTES, "memory that was taken is measured");
}

type Ran = Result<(Vec<u8>, u64), (SandboxError, u64)>;

fn run(case: &Case) -> Ran {
    let limits = Limits::new(FUEL, Some(MEMORY_BYTES)).expect("limits in range");
    let input = cases::INPUT.to_vec();
    let outcome =
        Module::compile(&case.module, &Policy::default()).and_then(|module| module.execute(&input, &limits));
    assert_eq!(input, cases::INPUT, "{}: the caller's input changed", case.name);
    match outcome {
        Ok(outcome) => Ok((outcome.output, outcome.fuel_used)),
        Err(error) => Err((error.clone(), error.fuel_used())),
    }
}

fn judge(case: &Case, ran: &Ran, grown_bytes: Option<u64>) -> Vec<String> {
    let mut faults = Vec::new();
    let fuel = match ran {
        Ok((_, fuel)) | Err((_, fuel)) => *fuel,
    };
    let got = match ran {
        Ok((output, _)) => format!("{} bytes", output.len()),
        Err((error, _)) => error.code().to_owned(),
    };
    match (&case.expect, ran) {
        (Expect::Code(code), Err((error, _))) if error.code() == *code => {}
        (Expect::Code(code), _) => faults.push(format!("expected {code}, got {got}")),
        (Expect::Output(expected), Ok((output, _))) if output == expected => {}
        (Expect::Output(expected), _) => faults.push(format!("expected {expected:02x?}, got {ran:02x?}")),
    }
    if fuel > FUEL + FUEL / 100 {
        faults.push(format!("{fuel} units of fuel"));
    }
    if let Some(grown) = grown_bytes.filter(|&grown| grown > HOST_BYTES) {
        faults.push(format!("{grown} bytes of host memory"));
    }
    faults
}

/// This process's resident memory when something began, with the peak set back to it.
struct Memory {
    resident_kib: u64,
}

impl Memory {
    fn start() -> Option<Self> {
        // 5 sets the peak back; where that is not allowed the peak only overstates.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Some(Self { resident_kib: status("VmRSS:")? })
    }

    fn grown_bytes(self) -> u64 {
        status("VmHWM:").expect("the field was there").saturating_sub(self.resident_kib) * 1024
    }
}

fn status(field: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[expect(clippy::print_stderr, reason = "tests say what they measured and what was not run")]
fn report(line: &str) {
    eprintln!("{line}");
}

const NAMES: [&str; 33] = [
    "infinite loop",
    "loop with memory writes",
    "recursion",
    "mutual recursion",
    "indirect recursion",
    "memory.grow loop",
    "table.grow loop",
    "memory.fill bomb",
    "memory.copy bomb",
    "br_table bomb",
    "10^6 locals",
    "10^5 params",
    "deep block nesting",
    "huge data segment",
    "huge element segment",
    "10^5 functions",
    "10^5 types",
    "10^5 globals",
    "LEB overrun",
    "truncated sections",
    "duplicate exports",
    "wrong export types",
    "start-function loop",
    "start trap",
    "unknown import",
    "float NaN probe",
    "output pointer out of range",
    "output length overflow",
    "input overwrite",
    "unaligned access",
    "integer-divide trap",
    "unreachable",
    "custom-section bomb",
];
