//! What can go wrong on a GPU, and where a device keeps the reason it was lost for.

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

/// Why the GPU could not do its work. Every one of them means: use the CPU.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GpuError {
    /// No adapter, or none of the name asked for.
    #[error("no GPU adapter{}", wanted.as_ref().map(|w| format!(" named like \"{w}\"")).unwrap_or_default())]
    NoAdapter {
        /// The part of a name the options asked for.
        wanted: Option<String>,
    },
    /// Only adapters that are CPU programs, and the options do not allow them.
    #[error("the only GPU adapter is software: {names}")]
    SoftwareOnly {
        /// Their names.
        names: String,
    },
    /// The adapter would not open.
    #[error("GPU device not opened: {message}")]
    Open {
        /// What the driver said.
        message: String,
    },
    /// The device is gone: unplugged, reset by its driver, or destroyed.
    #[error("GPU device lost: {reason}")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// A plan's buffers do not fit the pool's cap.
    #[error("GPU out of memory: {wanted} bytes wanted, {in_use} in use, {cap} allowed")]
    OutOfMemory {
        /// Bytes of the buffer that did not fit.
        wanted: u64,
        /// Bytes this plan and others hold already.
        in_use: u64,
        /// The cap.
        cap: u64,
    },
    /// The driver has no memory left.
    #[error("GPU driver out of memory: {wanted} bytes wanted")]
    DriverOutOfMemory {
        /// Bytes of the allocation that failed.
        wanted: u64,
    },
    /// The device cannot do something of this size at all.
    #[error("GPU limit: {what} is {wanted}, the device allows {max}")]
    Limit {
        /// What is too large.
        what: String,
        /// Its size.
        wanted: u64,
        /// The largest size.
        max: u64,
    },
    /// A shader does not compile on this device.
    #[error("GPU shader {stem}: {message}")]
    Shader {
        /// Stem of the stage.
        stem: &'static str,
        /// What the compiler said.
        message: String,
    },
    /// A plan names a weight that is missing, of another kind, or malformed.
    #[error("weight {index} is not {wanted}")]
    Weight {
        /// The id.
        index: usize,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The device refused a command.
    #[error("GPU refused a command: {message}")]
    Refused {
        /// What the driver said.
        message: String,
    },
    /// The result could not be read back.
    #[error("GPU readback failed: {message}")]
    Readback {
        /// What the driver said.
        message: String,
    },
    /// The device gives other bits than the model's golden self-test.
    #[error("wrong result in the model's golden self-test")]
    SelfTest,
}

impl GpuError {
    /// A stable reason code for status lines and logs.
    pub fn code(&self) -> &'static str {
        match self {
            GpuError::NoAdapter { .. } => "no-adapter",
            GpuError::SoftwareOnly { .. } => "software-adapter",
            GpuError::DeviceLost { .. } => "device-lost",
            GpuError::OutOfMemory { .. } | GpuError::DriverOutOfMemory { .. } => "out-of-memory",
            GpuError::Limit { .. } => "limit",
            GpuError::Shader { .. } => "shader",
            GpuError::SelfTest => "self-test",
            GpuError::Open { .. }
            | GpuError::Weight { .. }
            | GpuError::Refused { .. }
            | GpuError::Readback { .. } => "device-error",
        }
    }
}

/// What the device reported outside of any call. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    first: Arc<Mutex<Option<GpuError>>>,
}

impl Faults {
    /// Listens to the device. Errors that no scope catches would otherwise end the process.
    pub(super) fn listen(device: &wgpu::Device) -> Self {
        let faults = Faults::default();
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            let reason = format!("{reason:?} {message}").trim().to_owned();
            lost.note(GpuError::DeviceLost { reason });
        });
        let uncaught = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            uncaught.note(GpuError::Refused { message: error.to_string() });
        }));
        faults
    }

    /// The first fault, if there was one. A device that had one is not used again.
    pub(super) fn first(&self) -> Option<GpuError> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: GpuError) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}
