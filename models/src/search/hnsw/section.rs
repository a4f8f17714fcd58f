//! A flat array that is either owned or lies in a file's bytes.

use std::{fmt, marker::PhantomData, ops::Range, sync::Arc};

use bytemuck::{Pod, Zeroable};

/// Bytes that outlive the index: a memory map, a vector, a static.
pub type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// An array of `T` that begins on a cache line, so that a row of codes touches no line more than it must.
pub(super) struct Section<T> {
    data: Data,
    len: usize,
    of: PhantomData<T>,
}

#[derive(Clone)]
enum Data {
    Own(Vec<Line>),
    /// Checked when made: in range and aligned.
    Borrowed {
        owner: Owner,
        range: Range<usize>,
    },
}

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

pub(super) const LINE: usize = 64;

impl<T: Pod> Section<T> {
    /// The elements in `range` bytes of `owner`, copied only where the bytes are not aligned for `T`. None when the
    /// range is not within the bytes or not a whole number of elements.
    pub(super) fn borrow(owner: &Owner, range: Range<usize>) -> Option<Section<T>> {
        let bytes = (**owner).as_ref().get(range.clone())?;
        let len = bytes.len() / size_of::<T>();
        if len * size_of::<T>() != bytes.len() {
            return None;
        }
        if bytemuck::try_cast_slice::<u8, T>(bytes).is_ok() {
            return Some(Section {
                data: Data::Borrowed { owner: owner.clone(), range },
                len,
                of: PhantomData,
            });
        }
        let mut own = Section::default();
        own.grow(len);
        bytemuck::cast_slice_mut(own.make_mut()).copy_from_slice(bytes);
        Some(own)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self) -> &[T] {
        match &self.data {
            Data::Own(lines) => &bytemuck::cast_slice(lines)[..self.len],
            Data::Borrowed { owner, range } => bytemuck::cast_slice(&(**owner).as_ref()[range.clone()]),
        }
    }

    /// The elements to be changed; borrowed ones are copied first.
    pub(super) fn make_mut(&mut self) -> &mut [T] {
        let len = self.len;
        &mut bytemuck::cast_slice_mut(self.lines())[..len]
    }

    /// Appends `count` zeros.
    pub(super) fn grow(&mut self, count: usize) {
        let len = self.len + count;
        let old = self.len;
        let lines = self.lines();
        lines.resize((len * size_of::<T>()).div_ceil(LINE), Line::zeroed());
        let all: &mut [T] = bytemuck::cast_slice_mut(lines);
        all[old..len].fill(T::zeroed());
        self.len = len;
    }

    pub(super) fn extend(&mut self, more: &[T]) {
        let old = self.len;
        self.grow(more.len());
        self.make_mut()[old..].copy_from_slice(more);
    }

    fn lines(&mut self) -> &mut Vec<Line> {
        if let Data::Borrowed { .. } = self.data {
            let bytes: &[u8] = bytemuck::cast_slice(self.get());
            let mut lines = vec![Line::zeroed(); bytes.len().div_ceil(LINE)];
            bytemuck::cast_slice_mut(&mut lines)[..bytes.len()].copy_from_slice(bytes);
            self.data = Data::Own(lines);
        }
        match &mut self.data {
            Data::Own(lines) => lines,
            Data::Borrowed { .. } => unreachable!("owned above"),
        }
    }
}

impl<T> Default for Section<T> {
    fn default() -> Self {
        Section { data: Data::Own(Vec::new()), len: 0, of: PhantomData }
    }
}

impl<T> Clone for Section<T> {
    fn clone(&self) -> Self {
        Section { data: self.data.clone(), len: self.len, of: PhantomData }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Section<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
