//! A file that is not touched until it is known to be ours.

use std::{
    io,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use redb::{BackendError, StorageBackend};

/// Keeps in memory what redb writes while it opens a file: repairs, marks of use, a clean shutdown. [`release`] hands it on
/// when the file has turned out to be a sound store of this network and of a known version; otherwise it is forgotten,
/// and a refused file is byte for byte what it was.
///
/// [`release`]: Held::release
#[derive(Debug)]
pub(super) struct Held<B>(Arc<Shared<B>>);

#[derive(Debug)]
struct Shared<B> {
    file: B,
    /// `None` once released.
    kept: RwLock<Option<Kept>>,
}

/// Writes in their order, and the length they lead to.
#[derive(Debug)]
struct Kept {
    events: Vec<Event>,
    len: u64,
}

#[derive(Debug)]
enum Event {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
}

impl<B: StorageBackend> Held<B> {
    pub(super) fn new(file: B) -> io::Result<Self> {
        let kept = RwLock::new(Some(Kept { events: Vec::new(), len: file.len()? }));
        Ok(Held(Arc::new(Shared { file, kept })))
    }

    /// Does what was kept, syncs and all, so that a crash meanwhile is like one without us; from here on, passes everything
    /// on at once.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut kept = self.0.kept.write().unwrap_or_else(PoisonError::into_inner);
        for event in kept.take().map(|kept| kept.events).unwrap_or_default() {
            match event {
                Event::Write(offset, data) => self.0.file.write(offset, &data)?,
                Event::Resize(len) => self.0.file.set_len(len)?,
                Event::Sync => self.0.file.sync_data()?,
            }
        }
        Ok(())
    }

    /// Keeps an event, or says that it must be done.
    fn keep(&self, event: impl FnOnce() -> Event) -> bool {
        // The common case takes no exclusive lock.
        if self.0.kept.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return false;
        }
        let mut kept = self.0.kept.write().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_mut() else { return false };
        let event = event();
        match &event {
            Event::Write(offset, data) => kept.len = kept.len.max(offset + data.len() as u64),
            Event::Resize(len) => kept.len = *len,
            Event::Sync => {}
        }
        kept.events.push(event);
        true
    }
}

impl Kept {
    /// What a file with these events done would read.
    fn read(&self, file: &impl StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.fill(0);
        let there = file.len()?.saturating_sub(offset).min(out.len() as u64) as usize;
        if there > 0 {
            file.read(offset, &mut out[..there])?;
        }
        for event in &self.events {
            match event {
                Event::Write(start, data) => {
                    let (from, to) =
                        (offset.max(*start), (offset + out.len() as u64).min(start + data.len() as u64));
                    if from < to {
                        let (here, there) = ((from - offset) as usize, (from - start) as usize);
                        let bytes = (to - from) as usize;
                        out[here..here + bytes].copy_from_slice(&data[there..there + bytes]);
                    }
                }
                // What was cut off reads as zero if the file grows again.
                Event::Resize(len) => {
                    let left = len.saturating_sub(offset).min(out.len() as u64) as usize;
                    out[left..].fill(0);
                }
                Event::Sync => {}
            }
        }
        Ok(())
    }
}

impl<B> Clone for Held<B> {
    fn clone(&self) -> Self {
        Held(self.0.clone())
    }
}

impl<B: StorageBackend> StorageBackend for Held<B> {
    fn len(&self) -> io::Result<u64> {
        match &*self.0.kept.read().unwrap_or_else(PoisonError::into_inner) {
            Some(kept) => Ok(kept.len),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.0.kept.read().unwrap_or_else(PoisonError::into_inner) {
            Some(kept) => kept.read(&self.0.file, offset, out),
            None => self.0.file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.keep(|| Event::Resize(len)) { Ok(()) } else { self.0.file.set_len(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.keep(|| Event::Sync) { Ok(()) } else { self.0.file.sync_data() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.keep(|| Event::Write(offset, data.to_vec())) {
            Ok(())
        } else {
            self.0.file.write(offset, data)
        }
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    fn content(backend: &impl StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0xee; backend.len().expect("readable") as usize];
        backend.read(0, &mut bytes).expect("readable");
        bytes
    }

    /// The same operations on a held file, on the file it was released to, and on a plain one.
    #[test]
    fn a_held_file_reads_as_if_it_were_written() {
        let (below, plain) = (Arc::new(InMemoryBackend::new()), InMemoryBackend::new());
        let start = |backend: &InMemoryBackend| {
            backend.set_len(40).and_then(|()| backend.write(0, &[7; 40])).expect("written");
        };
        start(&below);
        start(&plain);
        let held = Held::new(Below(below.clone())).expect("held");
        let mut state = 5_usize;
        for round in 0..300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = state >> 33;
            if word % 5 == 0 {
                let len = (word / 5 % 60) as u64;
                held.set_len(len).and_then(|()| plain.set_len(len)).expect("resized");
            } else {
                let len = plain.len().expect("readable") as usize;
                let offset = word / 5 % (len + 1);
                let data = vec![round as u8; (word / 300 % 20).min(len - offset)];
                held.write(offset as u64, &data)
                    .and_then(|()| plain.write(offset as u64, &data))
                    .expect("written");
            }
            let whole = content(&plain);
            assert_eq!(content(&held), whole, "round {round}");
            let from = word % (whole.len() + 1);
            let mut part = vec![0xee; (whole.len() - from).min(7)];
            held.read(from as u64, &mut part).expect("readable");
            assert_eq!(part, whole[from..from + part.len()], "round {round}");
            assert!(held.read(from as u64, &mut vec![0; whole.len() - from + 1]).is_err());
        }
        assert_eq!(content(&*below), [7; 40], "nothing may reach the file before it is released");
        held.release().expect("released");
        assert_eq!(content(&*below), content(&plain));
        held.write(0, b"")
            .and_then(|()| held.set_len(3))
            .and_then(|()| held.write(0, b"abc"))
            .expect("written");
        assert_eq!((content(&*below), content(&held)), (b"abc".to_vec(), b"abc".to_vec()));
    }

    #[derive(Debug)]
    struct Below(Arc<InMemoryBackend>);

    impl StorageBackend for Below {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write(offset, data)
        }
    }
}
