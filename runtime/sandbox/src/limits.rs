//! What a run may use, and what a module may have.

use crate::SandboxError;

/// What one run may use, checked when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_fuel: u64,
    max_memory_bytes: u64,
}

impl Limits {
    /// `max_fuel` units (1 to [`MAX_FUEL`]) and a memory of at most `max_memory_bytes` ([`PAGE_BYTES`] to
    /// [`MAX_MEMORY_BYTES`]; [`DEFAULT_MEMORY_BYTES`] where none is given).
    ///
    /// # Errors
    ///
    /// [`SandboxError::Limit`] names what is out of range.
    pub fn new(max_fuel: u64, max_memory_bytes: Option<u64>) -> Result<Self, SandboxError> {
        let max_memory_bytes = max_memory_bytes.unwrap_or(DEFAULT_MEMORY_BYTES);
        in_range("maxFuel", max_fuel, 1, MAX_FUEL)?;
        in_range("maxMemory", max_memory_bytes, PAGE_BYTES, MAX_MEMORY_BYTES)?;
        Ok(Self { max_fuel, max_memory_bytes })
    }

    /// Units of fuel.
    pub fn max_fuel(&self) -> u64 {
        self.max_fuel
    }

    /// Bytes of linear memory.
    pub fn max_memory_bytes(&self) -> u64 {
        self.max_memory_bytes
    }
}

/// What a module may do beyond computing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// It may import `edgenet.sha256` and `edgenet.ed25519_verify`.
    pub allow_crypto: bool,
}

fn in_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), SandboxError> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(SandboxError::Limit { name, value, min, max }),
    }
}

/// Longest module.
pub const MAX_MODULE_BYTES: usize = 1 << 20;
/// Longest output.
pub const MAX_OUTPUT_BYTES: u32 = 4 << 20;
/// Memory of a run that names no limit.
pub const DEFAULT_MEMORY_BYTES: u64 = 64 << 20;
/// Largest memory a run may ask for.
pub const MAX_MEMORY_BYTES: u64 = 256 << 20;
/// A page of linear memory.
pub const PAGE_BYTES: u64 = 1 << 16;
/// Largest budget: minutes on any machine, beyond every wall-clock guard.
pub const MAX_FUEL: u64 = 100_000_000_000;
/// Bytes that are set up, copied, filled or grown for one unit of fuel.
pub const BYTES_PER_FUEL: u64 = 64;

/// Elements of one table.
pub const MAX_TABLE_ELEMENTS: u64 = 10_000;
/// Calls nested in each other.
pub const MAX_CALL_DEPTH: usize = 1_000;
/// Bytes of values, all nested calls together.
pub const MAX_STACK_BYTES: usize = 1_000_000;

pub(crate) const MAX_TYPES: u64 = 1_000;
pub(crate) const MAX_PARAMS: u64 = 32;
pub(crate) const MAX_RESULTS: u64 = 32;
pub(crate) const MAX_IMPORTS: u64 = 100;
pub(crate) const MAX_FUNCTIONS: u64 = 10_000;
pub(crate) const MAX_TABLES: u64 = 100;
pub(crate) const MAX_MEMORIES: u64 = 1;
pub(crate) const MAX_GLOBALS: u64 = 1_000;
pub(crate) const MAX_EXPORTS: u64 = 1_000;
pub(crate) const MAX_SEGMENTS: u64 = 1_000;
pub(crate) const MAX_ELEMENTS: u64 = 20_000;
pub(crate) const MAX_CUSTOM_SECTIONS: u64 = 1_000;
/// A call sets its locals to zero without asking for fuel, so they are few.
pub(crate) const MAX_LOCALS: u64 = 1_000;
pub(crate) const MAX_NESTING: u64 = 10_000;
/// More than one for every four bytes of the longest module.
pub(crate) const MAX_BRANCH_VALUES: u64 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_when_made() {
        let limits = Limits::new(1, None).expect("the smallest budget");
        assert_eq!((limits.max_fuel(), limits.max_memory_bytes()), (1, 64 << 20));
        assert!(Limits::new(MAX_FUEL, Some(MAX_MEMORY_BYTES)).is_ok());
        for (fuel, memory, name) in [
            (0, None, "maxFuel"),
            (MAX_FUEL + 1, None, "maxFuel"),
            (1, Some(PAGE_BYTES - 1), "maxMemory"),
            (1, Some(MAX_MEMORY_BYTES + 1), "maxMemory"),
        ] {
            let error = Limits::new(fuel, memory).expect_err(name);
            assert_eq!(error.code(), "limit-out-of-range");
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }
}
