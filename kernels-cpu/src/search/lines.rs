//! Memory that begins with a cache line: a load as wide as a line that crosses into the next takes twice as long.

/// Elements from the beginning of a cache line on.
pub(crate) struct Lines<T> {
    memory: Vec<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Lines<T> {
    /// `len` elements of the default value.
    pub(crate) fn new(len: usize) -> Self {
        let memory = vec![T::default(); len + LINE / size_of::<T>()];
        let first = memory.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        Lines { memory, first, len }
    }

    pub(crate) fn get(&self) -> &[T] {
        &self.memory[self.first..][..self.len]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.first..][..self.len]
    }
}

const LINE: usize = 64;
