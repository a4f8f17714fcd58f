//! Where batches wait for the writer.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::{self, ThreadId},
};

use ledger::store::{Batch, Done, StoreError};

/// Most batches that one durable transaction takes.
pub const GROUP_BATCHES: usize = 1024;
/// Most bytes that one durable transaction takes, unless a single batch has more.
pub const GROUP_BYTES: usize = 1 << 20;
/// Most batches that wait; whoever comes later waits for room.
pub const QUEUE_BATCHES: usize = 4096;
/// Most bytes that wait, unless a single batch has more.
pub const QUEUE_BYTES: usize = 16 << 20;

/// A batch and who wants to hear of it.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) done: Done,
}

/// A bounded queue with many ends to push into and one to take groups from.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// Whoever finds the queue full waits here.
    room: Condvar,
    writer: OnceLock<ThreadId>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Waits for room, then queues a job; its `done` hears [`StoreError::Closed`] if the queue is closed. The writer's
    /// own thread does not wait, since nobody else makes room.
    pub(super) fn push(&self, job: Job) {
        let writer = self.writer.get() == Some(&thread::current().id());
        let mut state = self.state();
        while !state.closed && !writer && !state.has_room(job.batch.bytes()) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            drop(state);
            return (job.done)(Err(StoreError::Closed));
        }
        state.bytes += job.batch.bytes();
        state.waiting.push_back(job);
        drop(state);
        self.work.notify_one();
    }

    /// The next group, oldest first; waits while there is none. `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Job>> {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(job) = state.waiting.front() {
            bytes += job.batch.bytes();
            if !group.is_empty() && (group.len() == GROUP_BATCHES || bytes > GROUP_BYTES) {
                break;
            }
            state.bytes -= job.batch.bytes();
            group.extend(state.waiting.pop_front());
        }
        drop(state);
        self.room.notify_all();
        Some(group)
    }

    /// Takes no more jobs; those that wait are still served.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// Makes the calling thread the queue's writer until the returned value is dropped.
    pub(super) fn serve(&self) -> Serving<'_> {
        self.writer.set(thread::current().id()).expect("one writer");
        Serving(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing foreign runs while it is held, so it is never left half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        self.waiting.is_empty()
            || (self.waiting.len() < QUEUE_BATCHES && self.bytes.saturating_add(bytes) <= QUEUE_BYTES)
    }
}

/// While it lives there is a writer. When it is dropped, by a panic too, nobody is left waiting.
pub(super) struct Serving<'a>(&'a Queue);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.state().waiting);
        for job in left {
            (job.done)(Err(StoreError::Closed));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use ledger::store::Table;

    use super::*;

    fn job(bytes: usize, done: Done) -> Job {
        let mut batch = Batch::new();
        batch.put(Table::Votes, b"k", vec![0; bytes - 1]).expect("within the limits");
        Job { batch, done }
    }

    fn quiet(bytes: usize) -> Job {
        job(bytes, Box::new(|_| {}))
    }

    #[test]
    fn a_full_queue_waits_and_goes_on() {
        // Full by number, and full by bytes.
        for (fits, bytes) in [(QUEUE_BATCHES, 10), (QUEUE_BYTES / GROUP_BYTES, GROUP_BYTES)] {
            let queue = Arc::new(Queue::default());
            (0..fits).for_each(|_| queue.push(quiet(bytes)));
            let (pushed, more) = (Arc::new(AtomicUsize::new(0)), 3);
            let pushers: Vec<_> = (0..more)
                .map(|_| {
                    let (queue, pushed) = (queue.clone(), pushed.clone());
                    thread::spawn(move || {
                        queue.push(quiet(bytes));
                        pushed.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            thread::sleep(std::time::Duration::from_millis(30));
            assert_eq!(pushed.load(Ordering::SeqCst), 0, "a full queue took another one");
            let mut taken = 0;
            while taken < fits + more {
                let group = queue.take().expect("more to come");
                assert!(
                    group.len() == 1 || group.len() <= GROUP_BATCHES && group.len() * bytes <= GROUP_BYTES
                );
                taken += group.len();
            }
            pushers.into_iter().for_each(|pusher| pusher.join().expect("no panic"));
            assert_eq!(queue.state().bytes, 0);
        }
    }

    #[test]
    fn a_closed_queue_serves_what_waits_and_refuses_the_rest() {
        let (sender, heard) = mpsc::channel();
        let queue = Queue::default();
        queue.push(quiet(10));
        queue.close();
        queue.push(job(10, Box::new(move |result| sender.send(result).expect("someone listens"))));
        assert_eq!(heard.recv(), Ok(Err(StoreError::Closed)));
        assert_eq!(queue.take().map(|group| group.len()), Some(1));
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_writer_that_panics_leaves_nobody_waiting() {
        let queue = Arc::new(Queue::default());
        let (sender, heard) = mpsc::channel();
        for _ in 0..QUEUE_BATCHES {
            let sender = sender.clone();
            queue.push(job(10, Box::new(move |result| sender.send(result).expect("someone listens"))));
        }
        let pusher = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.push(job(10, Box::new(move |result| sender.send(result).expect("listens"))))
            })
        };
        let writer = {
            let queue = queue.clone();
            thread::spawn(move || {
                let _serving = queue.serve();
                panic!("a planted fault");
            })
        };
        assert!(writer.join().is_err());
        pusher.join().expect("it was let go");
        assert!(heard.iter().eq((0..=QUEUE_BATCHES).map(|_| Err(StoreError::Closed))));
    }
}
