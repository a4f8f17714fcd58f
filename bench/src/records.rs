//! What was found, on which machine, when, and what else the machine was doing.

use std::{
    fs, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kernels_cpu::Level;
use serde::Serialize;

use crate::{Error, engines::root};

/// The machine a record is of.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) level: String,
    pub(crate) system: String,
}

impl Machine {
    pub(crate) fn describe() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown CPU").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib(&read("/proc/meminfo"), "MemTotal").unwrap_or(0) / 1024,
            level: Level::detect().to_string(),
            system: format!("{} {} {}", std::env::consts::OS, std::env::consts::ARCH, release.trim()),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { cpu, cores, memory_mib, level, system } = self;
        write!(f, "{cpu}, {cores} cores, {memory_mib} MiB, level {level}, {system}")
    }
}

/// A process by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Most memory it ever had resident, in MiB; `None` where the system does not say, or it has ended.
    pub(crate) fn peak_rss_mib(self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        Some(kib(&status, "VmHWM")? as f64 / 1024.0)
    }

    /// Ticks of CPU time it has used.
    fn ticks(self) -> Option<u64> {
        process_ticks(&fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?)
    }
}

/// Seconds this thread was on a core, from any start: a clock that stands still while other processes have the core.
#[cfg(target_os = "linux")]
pub(crate) fn thread_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// Seconds from any start.
#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_seconds() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64()
}

/// Measures how many cores processes other than one use.
pub(crate) struct Others {
    process: Process,
    ticks: Option<(u64, u64)>,
    start: Instant,
}

impl Others {
    pub(crate) fn start(process: Process) -> Others {
        Others { process, ticks: ticks(process), start: Instant::now() }
    }

    /// Cores in use elsewhere since the start; `None` where the system does not say.
    pub(crate) fn cores(&self) -> Option<f64> {
        let ((all, own), (all_then, own_then)) = (ticks(self.process)?, self.ticks?);
        let others = (all - all_then) as f64 - (own - own_then) as f64;
        Some((others / TICKS_PER_SECOND / self.start.elapsed().as_secs_f64()).max(0.0))
    }
}

/// Waits, at most for `patience`, until processes other than this one leave the machine mostly alone.
pub(crate) fn wait_for_rest(patience: Duration) {
    let start = Instant::now();
    while start.elapsed() < patience {
        let others = Others::start(Process(std::process::id()));
        thread::sleep(LOOK);
        if others.cores().is_none_or(|cores| cores < REST_CORES) {
            return;
        }
    }
}

/// Writes `bench/records/<date>-<name>.json` and returns its path in the project.
pub(crate) fn write(name: &str, record: &impl Serialize) -> Result<String, Error> {
    let path = format!("bench/records/{}-{name}.json", today());
    let mut text =
        serde_json::to_string_pretty(record).map_err(|error| Error::Json { what: path.clone(), error })?;
    text.push('\n');
    let file = root().join(&path);
    let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(&file, text)).map_err(Error::io(&path))?;
    Ok(path)
}

/// Writes a bench's record, table and chart: as `bench/records/<date>-<name>.*`, or below `target/bench` where they are
/// not to be kept. Returns the path in the project without an ending.
pub(crate) fn publish(
    name: &str,
    record: &impl Serialize,
    table: &str,
    chart: &str,
    keep: bool,
) -> Result<String, Error> {
    let stem =
        if keep { format!("bench/records/{}-{name}", today()) } else { format!("target/bench/{name}") };
    let mut json =
        serde_json::to_string_pretty(record).map_err(|error| Error::Json { what: stem.clone(), error })?;
    json.push('\n');
    for (ending, text) in [("json", json.as_str()), ("md", table), ("svg", chart)] {
        let path = format!("{stem}.{ending}");
        let file = root().join(&path);
        let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| fs::write(&file, text)).map_err(Error::io(&path))?;
    }
    Ok(stem)
}

/// The date in UTC, as `2026-11-20`.
pub(crate) fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    date(seconds / 86_400)
}

/// Days since 1970-01-01 as a date (H. Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> String {
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", year_of_era + era * 400 + next)
}

/// Busy ticks of the machine and of one process.
fn ticks(process: Process) -> Option<(u64, u64)> {
    Some((busy_ticks(&fs::read_to_string("/proc/stat").ok()?)?, process.ticks()?))
}

/// user, nice, system, irq and softirq of the first line of /proc/stat.
fn busy_ticks(stat: &str) -> Option<u64> {
    let numbers: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().map(|&i| numbers.get(i)).sum()
}

/// utime and stime of /proc/PID/stat. The name before them may hold anything but ends with the last parenthesis.
fn process_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// The value of a line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.trim_start().strip_prefix(':');
    text.lines().find_map(value).map(str::trim)
}

/// The number of a line `name: 123 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.split_whitespace().next()?.parse().ok()
}

const LOOK: Duration = Duration::from_millis(500);
/// Other processes' cores below which a machine counts as at rest.
const REST_CORES: f64 = 0.3;
/// `USER_HZ`, which every Linux of the last decades shows to user space.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let known = [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_777, "2026-11-20")];
        for (days, expected) in known {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn fields_of_proc() {
        let status = "Name:\tbench\nVmHWM:\t  204800 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(kib(status, "VmHWM"), Some(204_800));
        assert_eq!(kib(status, "VmPeak"), None);
        assert_eq!(field("model name\t: AMD EPYC\n", "model name"), Some("AMD EPYC"));
        assert_eq!(busy_ticks("cpu  1 2 4 100 100 8 16 100 0 0\ncpu0 1\n"), Some(31));
        assert_eq!(busy_ticks("cpu 1 2\n"), None);
        assert_eq!(process_ticks("7 (a) b) S 1 1 1 0 -1 4 5 0 0 0 30 12 0 0 20 0 1"), Some(42));
        assert_eq!(process_ticks("garbage"), None);
    }
}
