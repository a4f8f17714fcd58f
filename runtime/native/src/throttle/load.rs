//! What a Linux system says of its processors and its battery. Elsewhere nothing is known, and nothing is claimed.

use std::{fs, path::Path};

use network::scheduler::Battery;

/// Processor time since the system started, in ticks: all of it, what is free for the taking, and this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTimes {
    total: u64,
    /// Idle, or used by processes that give way to all others.
    free: u64,
    own: u64,
}

impl CpuTimes {
    /// Reads them; `None` where the system does not tell.
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&stat, &own)
    }

    fn parse(stat: &str, own: &str) -> Option<Self> {
        let cpu = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = cpu.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal: what guests use is in user already.
        let (total, free) = (ticks.iter().take(8).sum(), *ticks.get(1)? + *ticks.get(3)? + *ticks.get(4)?);
        // The name in parentheses may hold anything; the fields after it are counted from the third.
        let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
        let used = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        // A process that gives way itself is among the free.
        let gives_way = fields.get(16)?.parse::<i64>().ok()? > 0;
        Some(CpuTimes { total, free, own: if gives_way { 0 } else { used } })
    }

    /// Share of all processors that other processes, but for those that give way, used since an earlier reading, 0 to 1; `None` if no time went by.
    pub fn others_since(&self, earlier: &CpuTimes) -> Option<f64> {
        let total = self.total.checked_sub(earlier.total).filter(|&total| total > 0)?;
        let free = self.free.saturating_sub(earlier.free);
        let own = self.own.saturating_sub(earlier.own);
        Some(total.saturating_sub(free).saturating_sub(own) as f64 / total as f64)
    }
}

/// The battery, if the system has one.
pub fn battery() -> Option<Battery> {
    battery_in(Path::new("/sys/class/power_supply"))
}

fn battery_in(folder: &Path) -> Option<Battery> {
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).ok();
    let mut supplies: Vec<_> = fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    supplies.sort();
    let battery = supplies.iter().find(|path| {
        let is = |name, wanted| read(path, name).is_some_and(|text: String| text.trim() == wanted);
        // A mouse's battery says "Device".
        is("type", "Battery") && !is("scope", "Device")
    })?;
    let level = read(battery, "capacity")?.trim().parse::<f64>().ok()? / 100.0;
    let charging = read(battery, "status")?.trim() != "Discharging";
    Some(Battery { level, charging })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3";

    #[test]
    fn others_are_what_is_neither_free_nor_ours() {
        let own = |user: u32| format!("7 (a (b) c) S 1 1 1 0 -1 0 0 0 0 0 {user} 5 0 0 20 0 1 0 5");
        let before = CpuTimes::parse(STAT, &own(10)).expect("well formed");
        assert_eq!(before, CpuTimes { total: 1000, free: 850, own: 15 });
        let after = CpuTimes::parse("cpu  160 0 60 1020 60 0 0 0 0 0", &own(40)).expect("well formed");
        // 300 ticks, 230 of them idle, 30 ours.
        assert_eq!(after.others_since(&before), Some(40.0 / 300.0));
        let low = CpuTimes::parse("cpu  160 40 60 980 60 0 0 0 0 0", &own(40)).expect("well formed");
        assert_eq!(low.others_since(&before), Some(40.0 / 300.0), "a process of low priority is no load");
        let lowly = own(40).replace("20 0 1 0 5", "30 10 1 0 5");
        let lowly = CpuTimes::parse("cpu  100 60 50 1020 70 0 0 0 0 0", &lowly).expect("well formed");
        assert_eq!(lowly.own, 0, "it is among the free");
        assert_eq!(before.others_since(&before), None);
        assert_eq!(before.others_since(&after), None, "counters that went back");
    }

    #[test]
    fn what_is_no_statistic_is_none() {
        for (stat, own) in [("", "1 (x) S"), ("cpu 1 2", "1 (x) S"), (STAT, "1 (x) S 1 2"), (STAT, "x")] {
            assert_eq!(CpuTimes::parse(stat, own), None, "{stat} {own}");
        }
    }

    #[test]
    fn a_mouse_is_no_battery() {
        let folder = std::env::temp_dir().join(format!("edge-net-power-{}", std::process::id()));
        let write = |supply: &str, files: &[(&str, &str)]| {
            let path = folder.join(supply);
            fs::create_dir_all(&path).expect("temporary folder");
            files.iter().for_each(|(name, text)| fs::write(path.join(name), text).expect("written"));
        };
        let mouse =
            [("type", "Battery\n"), ("scope", "Device\n"), ("capacity", "3\n"), ("status", "Discharging\n")];
        write("a-mouse", &mouse);
        write("b-mains", &[("type", "Mains\n")]);
        assert_eq!(battery_in(&folder), None);
        write("c-own", &[("type", "Battery\n"), ("capacity", "42\n"), ("status", "Discharging\n")]);
        assert_eq!(battery_in(&folder), Some(Battery { level: 0.42, charging: false }));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
