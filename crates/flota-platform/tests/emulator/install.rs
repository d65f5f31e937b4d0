//! Puts the emulator under `target/`, once for all test binaries.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGE: &str = "ministack==1.5.33";
/// What is in the folder once it is whole.
const MARK: &str = "installed";

/// A Python that can import the emulator.
pub struct Python {
    pub program: PathBuf,
    /// Where it finds packages besides its own.
    pub packages: PathBuf,
}

/// Installs the emulator unless that was done before. Other processes wait meanwhile.
pub fn install() -> Python {
    let target = target_dir();
    let lock = File::create(target.join("emulator.lock")).expect("target/ can be written");
    lock.lock().expect("target/ has locks");
    let folder = target.join(format!("emulator-{}", PACKAGE.replace("==", "-")));
    if !folder.join(MARK).exists() {
        let _ = fs::remove_dir_all(&folder);
        if let Err(why) = install_with_venv(&folder) {
            let _ = fs::remove_dir_all(&folder);
            if let Err(also) = install_with_pip(&folder) {
                panic!(
                    "the tests need an emulator of AWS, {PACKAGE}: install Python 3.10 or later \
                     with its module `venv` or `pip` (python3-venv, python3-pip), and let pip \
                     reach a package index once.\n{why}\n{also}"
                );
            }
        }
        fs::write(folder.join(MARK), PACKAGE).expect("target/ can be written");
    }
    let own = folder.join("bin/python");
    let program = if own.exists() { own } else { "python3".into() };
    Python { program, packages: folder.join("packages") }
}

/// `target/`, in which `debug/deps/` has the test binary.
fn target_dir() -> PathBuf {
    let binary = env::current_exe().expect("a running test has a path");
    binary.ancestors().nth(3).expect("cargo puts tests into target/debug/deps").to_owned()
}

fn install_with_venv(folder: &Path) -> Result<(), String> {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    run(pip(&folder.join("bin/python")).arg(PACKAGE))
}

fn install_with_pip(folder: &Path) -> Result<(), String> {
    let packages = folder.join("packages");
    fs::create_dir_all(&packages).map_err(|error| error.to_string())?;
    run(pip(Path::new("python3")).arg("--target").arg(packages).arg(PACKAGE))
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {}\n{said}", output.status))
}
