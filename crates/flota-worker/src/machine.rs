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
    let name = said().into_iter().find(|(key, _)| key == NAME).map(|(_, name)| name);
    format!("{}, {cores} cores", name.unwrap_or_else(|| ARCH.to_owned()))
}

/// The same for processors that run the same instructions, whatever their name.
pub(crate) fn instructions() -> Sha256 {
    let abilities = said().into_iter().filter(|(key, _)| ABILITIES.contains(&key.as_str()));
    Sha256::of(format!("{ARCH} {:?}", abilities.collect::<Vec<_>>()).as_bytes())
}

/// What the system says of the first processor, if anything.
fn said() -> Vec<(String, String)> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let pairs = first.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_the_same_each_time_it_is_asked() {
        assert_eq!((name(), instructions()), (name(), instructions()));
        assert!(name().ends_with("cores"));
    }
}
