//! Buffers kept between runs, under a cap.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::GpuError;

/// Lends buffers by size class and takes them back. Clones share the buffers.
#[derive(Clone)]
pub(super) struct Pool {
    state: Arc<Mutex<State>>,
}

/// What a buffer may be used for. Buffers of different use never stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Use {
    Storage,
    Uniform,
    Readback,
}

/// The buffers of one run, in the order they were asked for. They go back to the pool if the run calls
/// [`Lease::give_back`], and are freed if it fails or is dropped half-way, when a map may still be pending.
pub(super) struct Lease {
    pool: Pool,
    pub(super) buffers: Vec<wgpu::Buffer>,
    classes: Vec<Class>,
}

impl Pool {
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "wgpu objects stay on their thread in a browser")
    )]
    pub(super) fn new(cap: u64) -> Self {
        Pool { state: Arc::new(Mutex::new(State { cap, free: HashMap::new(), lent: 0, pooled: 0, peak: 0 })) }
    }

    /// Lends a buffer for each wanted (use, bytes). Nothing is lent if one does not fit.
    pub(super) fn lend(&self, device: &wgpu::Device, wanted: &[(Use, u64)]) -> Result<Lease, GpuError> {
        let mut lease = Lease { pool: self.clone(), buffers: Vec::new(), classes: Vec::new() };
        for &(kind, bytes) in wanted {
            let class = Class { kind, bytes: class_bytes(bytes) };
            let buffer = self.state().take(device, class)?;
            lease.buffers.push(buffer);
            lease.classes.push(class);
        }
        Ok(lease)
    }

    /// Bytes held, lent or not, and the most there ever were.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let state = self.state();
        (state.lent + state.pooled, state.peak)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Keeps the buffers for later runs.
    pub(super) fn give_back(mut self) {
        let pool = self.pool.clone();
        let mut state = pool.state();
        for (class, buffer) in self.classes.drain(..).zip(self.buffers.drain(..)) {
            state.lent -= class.bytes;
            state.pooled += class.bytes;
            state.free.entry(class).or_default().push(buffer);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.state().lent -= self.classes.iter().map(|c| c.bytes).sum::<u64>();
    }
}

struct State {
    cap: u64,
    free: HashMap<Class, Vec<wgpu::Buffer>>,
    lent: u64,
    pooled: u64,
    peak: u64,
}

impl State {
    fn take(&mut self, device: &wgpu::Device, class: Class) -> Result<wgpu::Buffer, GpuError> {
        if let Some(buffer) = self.free.get_mut(&class).and_then(Vec::pop) {
            self.pooled -= class.bytes;
            self.lent += class.bytes;
            return Ok(buffer);
        }
        if self.lent + class.bytes > self.cap {
            return Err(GpuError::OutOfMemory { wanted: class.bytes, in_use: self.lent, cap: self.cap });
        }
        if self.lent + self.pooled + class.bytes > self.cap {
            self.free.clear();
            self.pooled = 0;
        }
        let usage = match class.kind {
            Use::Storage => {
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST
            }
            Use::Uniform => wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            Use::Readback => wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        };
        let size = class.bytes;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        self.lent += class.bytes;
        self.peak = self.peak.max(self.lent + self.pooled);
        Ok(device.create_buffer(&descriptor))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Class {
    kind: Use,
    bytes: u64,
}

/// Four classes per power of two, so that at most a quarter of a buffer lies idle.
fn class_bytes(bytes: u64) -> u64 {
    let step = (bytes.max(1).next_power_of_two() / 8).max(LEAST_BYTES);
    bytes.max(1).div_ceil(step) * step
}

const LEAST_BYTES: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_was_asked_for_and_waste_little() {
        for bytes in (0..40).flat_map(|p| [(1u64 << p) - 1, 1 << p, (1 << p) + 1, 3 << p]) {
            let class = class_bytes(bytes);
            assert!(class >= bytes && class % 16 == 0, "{bytes} -> {class}");
            assert!(class <= LEAST_BYTES || class <= bytes + bytes / 4 + LEAST_BYTES, "{bytes} -> {class}");
            assert_eq!(class_bytes(class), class);
        }
    }
}
