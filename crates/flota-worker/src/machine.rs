//! What tells this machine from others, as far as engines see it.

use std::{env::consts::ARCH, fs, thread};

use flota_core::Sha256;

/// The line of `/proc/cpuinfo` that names a processor.
const NAME: &str = "model name";
/// Those that say what it can do, on x86 and on ARM.
const ABILITIES: [&str; 4] = ["flags", "Features", "CPU implementer", "CPU part"];

/// The processor and how many of its cores, in words.
pub(crate) fn name() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let text = cpuinfo();
    let name = said(&text).find(|(key, _)| *key == NAME).map(|(_, name)| name);
    format!("{}, {cores} cores", name.unwrap_or(ARCH))
}

/// The same for processors that run the same instructions, whatever their name.
pub(crate) fn instructions() -> Sha256 {
    instructions_in(&cpuinfo())
}

fn instructions_in(cpuinfo: &str) -> Sha256 {
    let abilities: Vec<_> = said(cpuinfo).filter(|(key, _)| ABILITIES.contains(key)).collect();
    Sha256::of(format!("{ARCH} {abilities:?}").as_bytes())
}

/// Nothing where the system does not say.
fn cpuinfo() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

/// What is said of the first processor.
fn said(cpuinfo: &str) -> impl Iterator<Item = (&str, &str)> {
    let first = cpuinfo.split("\n\n").next().unwrap_or_default();
    let pairs = first.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim(), value.trim()))
}

/// CPU time in ticks since the machine and this process started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    /// Of all cores, idle or not.
    all: u64,
    /// Of all processes.
    busy: u64,
    /// Of this one.
    own: u64,
}

impl CpuTime {
    /// As of now; `None` where the system does not say.
    pub(crate) fn now() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        Self::parse(&read("/proc/stat")?, &read("/proc/self/stat")?)
    }

    /// See proc(5): of the first line of `stat` user, nice, system, idle, iowait, irq, softirq and steal;
    /// of a process, behind its name, the 12th and 13th.
    fn parse(stat: &str, own: &str) -> Option<Self> {
        let ticks = stat.lines().next()?.split_whitespace().skip(1).take(8);
        let ticks = ticks.map(|field| field.parse().ok()).collect::<Option<Vec<u64>>>()?;
        let (_, own) = own.rsplit_once(')')?;
        let own = own.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().ok());
        let all = ticks.iter().sum();
        let idle: u64 = ticks.get(3..5)?.iter().sum();
        Some(Self { all, busy: all - idle, own: own.sum::<Option<u64>>()? })
    }

    /// The share of all cores that other processes have had since `earlier`.
    pub(crate) fn others_share(&self, earlier: &Self) -> f64 {
        let since = |now: u64, then: u64| now.saturating_sub(then) as f64;
        let (busy, own) = (since(self.busy, earlier.busy), since(self.own, earlier.own));
        (busy - own).max(0.0) / since(self.all, earlier.all).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_processes_have_of_the_cores_is_told_from_ones_own() {
        let at = |user, idle, own| {
            let stat = format!("cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n");
            let own = format!("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 {own} 5 0 0");
            CpuTime::parse(&stat, &own).unwrap()
        };
        let before = at(1_000, 1_000, 50);
        assert_eq!(at(1_150, 1_050, 150).others_share(&before), 0.25);
        assert_eq!(at(1_100, 1_100, 150).others_share(&before), 0.0);
        assert_eq!(before.others_share(&before), 0.0);
        assert!(CpuTime::now().is_some() || cpuinfo().is_empty());
    }

    #[test]
    fn processors_with_the_same_instructions_are_alike_whatever_their_name_and_clock() {
        let one = "model name\t: A\ncpu MHz\t\t: 2100\nflags\t\t: avx2\n\nflags\t\t: sse2\n";
        let like = "model name\t: B\ncpu MHz\t\t: 3000\nflags\t\t: avx2\n";
        let other = "model name\t: A\nflags\t\t: avx2 avx512f\n";
        assert_eq!(instructions_in(one), instructions_in(like));
        assert_ne!(instructions_in(one), instructions_in(other));
        assert!(name().ends_with("cores"));
    }
}
