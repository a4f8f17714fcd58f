//! Which backend runs, and why not the other: codes users can read.

use std::fmt;

use kernels_cpu::Level;

/// What runs plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A GPU, by the name its driver gives.
    Gpu(String),
    /// The CPU at a level.
    Cpu(Level),
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Gpu(name) => write!(f, "gpu ({name})"),
            Backend::Cpu(level) => write!(f, "cpu ({level})"),
        }
    }
}

/// Why a device was left for the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Stable reason code: `not-built`, `no-adapter`, `software-adapter`, `device-lost`, `out-of-memory`,
    /// `limit`, `shader`, `self-test` or `device-error`.
    pub code: &'static str,
    /// The device that was left.
    pub device: String,
    /// What happened.
    pub message: String,
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.device, self.message, self.code)
    }
}

/// The backend in use and what was tried before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What runs plans.
    pub backend: Backend,
    /// Whether the model's golden self-test passed on it; false only where the model carries none.
    pub proved: bool,
    /// Devices that were tried and left, in order.
    pub fallbacks: Vec<Fallback>,
}
