//! Keeps ONNX Runtime from sending usage data to its maker.

use std::env;

/// ONNX Runtime 1.31 sends nothing where this is `1` when its library is loaded. What its API can disable
/// comes too late: by then the library has sent its first event and has written a device id into the cache
/// of the user.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
const DISABLED: &str = "1";

/// Sets the environment variable by which ONNX Runtime sends no usage data, in this process and its children,
/// whatever it was before. Call it before there are threads: [`OnnxRuntime::open`](super::OnnxRuntime::open)
/// does it too, for programs that do not.
#[expect(unsafe_code, reason = "a variable of the environment cannot be set without")]
pub fn disable_telemetry() {
    if env::var_os(VARIABLE).is_some_and(|value| value == DISABLED) {
        return;
    }
    // SAFETY: no thread reads the environment meanwhile but through the lock of the standard library: programs
    // call this before they start threads, and then it returns above wherever there are some.
    unsafe { env::set_var(VARIABLE, DISABLED) };
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{OnnxRuntime, Provider};

    #[test]
    fn no_library_is_loaded_before_telemetry_is_disabled() {
        let opened = OnnxRuntime::open(Path::new("/nowhere/libonnxruntime.so"), Provider::Cpu);
        assert!(opened.is_err());
        assert_eq!(env::var(VARIABLE).as_deref(), Ok("1"));
    }
}
