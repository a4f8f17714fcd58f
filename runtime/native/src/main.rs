//! The `edge-net` command.

mod cli;

fn main() -> std::process::ExitCode {
    quiet_vulkan();
    cli::main()
}

/// Without a desktop session, Mesa's device-select layer complains on stderr each time Vulkan is opened. It
/// only reorders devices, which the engine does itself.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "the variable must be set inside this process, before the Vulkan loader reads it"
)]
fn quiet_vulkan() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: called first in `main`, while this is the only thread.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

#[cfg(not(target_os = "linux"))]
fn quiet_vulkan() {}
