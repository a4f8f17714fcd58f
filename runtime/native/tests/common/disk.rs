//! A disk in memory that can be slow, full or broken, and that remembers in which order it was written and synced, so
//! that its power can be cut at any point afterwards.

#![allow(dead_code, reason = "every test binary uses its own part")]

use std::{
    io::{self, ErrorKind},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use redb::StorageBackend;

use super::promise::Lots;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    log: Vec<Event>,
    syncs: usize,
    /// Syncs wait while it is set.
    held: bool,
    fault: Option<Fault>,
}

/// What a disk did.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
    Sync,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes and growth find no room.
    Full,
    /// Syncs fail.
    Sync,
    /// Syncs say that they are done, and are not.
    Liar,
}

impl Disk {
    /// A disk that holds a file.
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        let disk = Disk::default();
        disk.state().bytes = bytes;
        disk
    }

    /// The file as the operating system shows it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    /// What happened so far.
    pub(crate) fn log(&self) -> Vec<Event> {
        self.state().log.clone()
    }

    /// How much happened so far.
    pub(crate) fn events(&self) -> usize {
        self.state().log.len()
    }

    pub(crate) fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// Lets the next sync wait for [`release`](Disk::release).
    pub(crate) fn hold(&self) {
        self.state().held = true;
    }

    pub(crate) fn release(&self) {
        self.state().held = false;
        self.0.1.notify_all();
    }

    pub(crate) fn breaks(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("no panic holds it")
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let held = state.bytes.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(held.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.do_event(Event::Resize(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        while state.held {
            state = self.0.1.wait(state).expect("no panic holds it");
        }
        match state.fault {
            Some(Fault::Sync) => Err(io::Error::other("a sync failed")),
            Some(Fault::Liar) => Ok(()),
            _ => {
                state.log.push(Event::Sync);
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.do_event(Event::Write { offset: offset as usize, data: data.to_vec() })
    }
}

impl Disk {
    fn do_event(&self, event: Event) -> io::Result<()> {
        let mut state = self.state();
        if state.fault == Some(Fault::Full) {
            return Err(ErrorKind::StorageFull.into());
        }
        apply(&mut state.bytes, &event);
        state.log.push(event);
        Ok(())
    }
}

/// Cuts the power at points of a log, in rising order.
pub(crate) struct PowerCut<'a> {
    log: &'a [Event],
    /// What every sync so far has made safe.
    safe: Vec<u8>,
    /// Events that are in `safe`.
    done: usize,
}

impl<'a> PowerCut<'a> {
    /// `before` is what the disk held, safely, when the log began.
    pub(crate) fn new(before: Vec<u8>, log: &'a [Event]) -> Self {
        PowerCut { log, safe: before, done: 0 }
    }

    /// What the disk holds if the power goes after `at` events: all that a sync had followed by then, and of the rest
    /// sectors as chance has it.
    pub(crate) fn at(&mut self, at: usize, lots: &mut Lots) -> Vec<u8> {
        let synced =
            self.log[..at].iter().rposition(|event| matches!(event, Event::Sync)).map_or(0, |n| n + 1);
        if synced > self.done {
            self.log[self.done..synced].iter().for_each(|event| apply(&mut self.safe, event));
            self.done = synced;
        }
        let mut image = self.safe.clone();
        // All of it, nothing of it, or something between.
        let kept_percent = [0, 10, 50, 90, 100][lots.below(5)];
        for event in &self.log[self.done..at] {
            match event {
                Event::Write { offset, data } => {
                    for (n, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        if lots.below(100) < kept_percent {
                            let offset = offset + n * SECTOR_BYTES;
                            apply(&mut image, &Event::Write { offset, data: sector.to_vec() });
                        }
                    }
                }
                event if lots.below(100) < kept_percent => apply(&mut image, event),
                _ => {}
            }
        }
        image
    }
}

fn apply(bytes: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write { offset, data } => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Event::Resize(len) => bytes.resize(*len, 0),
        Event::Sync => {}
    }
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
