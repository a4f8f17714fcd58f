//! What one task may ask for.

/// Bytes of a payload's canonical encoding.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// Queries of a search or a match.
pub const MAX_QUERIES: usize = 10_000;
/// Vectors of a payload.
pub const MAX_VECTORS: usize = 1_000_000;
/// Texts of an embedding task.
pub const MAX_TEXTS: usize = 2_048;
/// Bytes of one text; the models read some 1,500 of them at most.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Agents of a match.
pub const MAX_AGENTS: usize = 10_000;
/// Agents returned for all queries of a match together.
pub const MAX_MATCHES: usize = 1 << 20;
/// Spike counts of all runs of a spiking task together.
pub const MAX_COUNTS: usize = 1 << 24;
/// Bytes of a name.
pub const MAX_NAME_BYTES: usize = 256;
/// Candidates a walk of an index keeps.
pub const MAX_EF: u32 = 10_000;
/// Runs of a spiking network.
pub const MAX_RUNS: usize = 65_536;
/// Time steps of a spiking network.
pub const MAX_STEPS: u32 = 10_000;
/// Spike words of a task's input, and of any layer.
pub const MAX_SPIKE_WORDS: usize = 1 << 24;
/// Bytes of a spiking network's file.
pub const MAX_NETWORK_BYTES: usize = 64 << 20;
/// Fuel of a module.
pub use sandbox::MAX_FUEL;
