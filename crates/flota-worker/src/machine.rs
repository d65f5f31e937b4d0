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

#[cfg(test)]
mod tests {
    use super::*;

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
