//! The engines that tests run networks in. ONNX Runtime is put under `target/`, once for all test
//! binaries.

use std::{
    env,
    fs::{self, File},
    process::Command,
    sync::OnceLock,
};

use flota_engine::{ONNX_RUNTIME_INSTALLER, ONNX_RUNTIME_LIBRARY, OnnxRuntime, Provider, Runtime};

/// All engines: ONNX Runtime by the ONNX file, and by the graph that it keeps of it.
pub fn runtimes() -> [Runtime; 3] {
    static LIBRARY: OnceLock<OnnxRuntime> = OnceLock::new();
    let binary = env::current_exe().expect("a running test has a path");
    let target =
        binary.ancestors().nth(3).expect("cargo puts tests into target/debug/deps").to_owned();
    let library = LIBRARY.get_or_init(|| {
        let lock = File::create(target.join("onnxruntime.lock")).expect("target/ can be written");
        lock.lock().expect("target/ has locks");
        let folder = target.join("onnxruntime");
        let (library, mark) = (folder.join(ONNX_RUNTIME_LIBRARY), folder.join("installed.py"));
        if fs::read_to_string(&mark).ok().as_deref() != Some(ONNX_RUNTIME_INSTALLER) {
            let mut install = Command::new("python3");
            let ran = install.args(["-c", ONNX_RUNTIME_INSTALLER]).arg(&folder).output();
            let ran = ran.expect("the tests need ONNX Runtime, which Python 3 fetches: install it");
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            fs::write(&mark, ONNX_RUNTIME_INSTALLER).expect("target/ can be written");
        }
        OnnxRuntime::open(&library, Provider::Cpu).expect("the pinned library fits")
    });
    let keeping = library.clone().caching_graphs(target.join("onnxruntime-graphs"));
    [Runtime::Tract, Runtime::OnnxRuntime(library.clone()), Runtime::OnnxRuntime(keeping)]
}
