//! Spiking networks, written once for all levels.

pub(crate) mod lif;
