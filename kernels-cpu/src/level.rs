//! Which instruction set the kernels use: detected once, forced by name, passed down as a value.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{Kernels, arch, oracle::Oracle};

/// An instruction set the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The oracle itself: obviously right, slow.
    Scalar,
    /// Plain Rust, compiled for the target's baseline.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX2, FMA and AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL, DQ, VNNI, VBMI and VPOPCNTDQ.
    Avx512,
    /// AArch64, whose baseline it is.
    Neon,
    /// AArch64 with the dot product extension.
    Dotprod,
    /// WebAssembly built with `simd128`.
    Simd128,
}

/// Why a level cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LevelError {
    /// No level has this name.
    #[error("unknown CPU level \"{0}\": known are {known}", known = Level::names())]
    Unknown(String),
    /// The processor, or the target of this build, lacks it.
    #[error("CPU level {0} cannot run on this processor")]
    Unsupported(Level),
}

impl Level {
    /// Every level this build knows, slowest first.
    #[cfg(target_arch = "x86_64")]
    pub const ALL: &'static [Level] =
        &[Level::Scalar, Level::Portable, Level::Avx2, Level::AvxVnni, Level::Avx512];
    /// Every level this build knows, slowest first.
    #[cfg(target_arch = "aarch64")]
    pub const ALL: &'static [Level] = &[Level::Scalar, Level::Portable, Level::Neon, Level::Dotprod];
    /// Every level this build knows, slowest first.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    pub const ALL: &'static [Level] = &[Level::Scalar, Level::Portable, Level::Simd128];
    /// Every level this build knows, slowest first.
    #[cfg(not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        all(target_arch = "wasm32", target_feature = "simd128")
    )))]
    pub const ALL: &'static [Level] = &[Level::Scalar, Level::Portable];

    /// The fastest level this processor runs.
    pub fn detect() -> Level {
        *Self::ALL.iter().rev().find(|l| l.is_supported()).unwrap_or(&Level::Scalar)
    }

    /// Whether this processor runs the level.
    pub fn is_supported(self) -> bool {
        self.kernels().is_ok()
    }

    /// The kernels of this level.
    ///
    /// # Errors
    /// [`LevelError::Unsupported`] if the processor or the target of this build lacks it.
    pub fn kernels(self) -> Result<&'static dyn Kernels, LevelError> {
        match self {
            Level::Scalar => Ok(&Oracle),
            Level::Portable => Ok(&arch::portable::Portable),
            _ => arch::kernels(self).ok_or(LevelError::Unsupported(self)),
        }
    }

    /// The name `EDGENET_LEVEL` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::AvxVnni => "avxvnni",
            Level::Avx512 => "avx512",
            Level::Neon => "neon",
            Level::Dotprod => "dotprod",
            Level::Simd128 => "simd128",
        }
    }

    fn names() -> String {
        Self::ALL.iter().map(|l| l.name()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(name: &str) -> Result<Self, LevelError> {
        let found = EVERY.iter().find(|l| l.name() == name);
        found.copied().ok_or_else(|| LevelError::Unknown(name.to_owned()))
    }
}

/// The levels of all builds: asking for another machine's gives "cannot run", not "unknown".
const EVERY: [Level; 8] = [
    Level::Scalar,
    Level::Portable,
    Level::Avx2,
    Level::AvxVnni,
    Level::Avx512,
    Level::Neon,
    Level::Dotprod,
    Level::Simd128,
];
