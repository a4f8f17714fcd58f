//! A spiking network and the devices it runs on.

use std::{fs, io, path::Path, sync::Arc};

use engine::{EngineError, Status};
use models::spiking::{Readout, Spikes, SpikesError, SpikingError, SpikingNet};
use tasks::{Execute, ExecuteError};
use thiserror::Error;

use crate::machine::{Machine, MachineOptions};

/// A spiking network on this machine's devices.
pub struct Spiking {
    net: Arc<SpikingNet>,
    machine: Machine,
    model: engine::Model,
}

/// Why a network cannot be opened or run.
#[derive(Debug, Error)]
pub enum SpikingRunError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file is no integer network.
    #[error(transparent)]
    File(#[from] SpikingError),
    /// The spikes are not of the network's inputs.
    #[error(transparent)]
    Spikes(#[from] SpikesError),
    /// The device that was asked for cannot be had.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The device failed, and no other could take over.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl Spiking {
    /// Opens an integer network's file and the devices.
    ///
    /// # Errors
    /// If it cannot be read or is none, or a device asked for by name cannot be used.
    pub fn open(path: &Path, options: &MachineOptions) -> Result<Self, SpikingRunError> {
        let read = |error| SpikingRunError::Read { path: path.display().to_string(), error };
        let net = SpikingNet::from_bytes(Arc::new(fs::read(path).map_err(read)?))?;
        Self::new(net, options)
    }

    /// A network that is in memory.
    ///
    /// # Errors
    /// If a device asked for by name cannot be used.
    pub fn new(net: SpikingNet, options: &MachineOptions) -> Result<Self, SpikingRunError> {
        let net = Arc::new(net);
        let mut machine = Machine::open(options)?;
        let model = pollster::block_on(machine.add(net.clone(), None))?;
        Ok(Spiking { net, machine, model })
    }

    /// The output layer's spikes for a batch of runs: the same on every device.
    ///
    /// # Errors
    /// If the spikes are not of the network's inputs, or the device fails and no other can take over.
    pub fn run(&mut self, input: &Spikes) -> Result<Spikes, SpikingRunError> {
        let plan = self.net.plan(input, Readout::Spikes)?;
        let outputs = pollster::block_on(self.machine.run(&mut self.model, &[plan]))?;
        Ok(self.net.spikes(input.batch(), input.steps(), outputs.concat())?)
    }

    /// The network.
    pub fn net(&self) -> &SpikingNet {
        &self.net
    }

    /// The backend in use and what was tried before it.
    pub fn status(&self) -> Status {
        self.machine.status()
    }
}
