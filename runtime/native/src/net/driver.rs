//! A thread that owns a state machine.
//!
//! Everything that happens to the machine comes through one queue, so a step is never disturbed, and what a step puts out is
//! carried out before the next one. Cryptography makes steps long; sockets wait elsewhere.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ledger::EPOCH_SECONDS;
use network::node::{Context, Now};

use crate::aead::random;

/// What a driver runs.
pub trait Machine: Send + 'static {
    /// What happens to it.
    type Input: Send + 'static;
    /// What it wants done.
    type Output;

    /// Takes what happened.
    fn step(&mut self, context: &mut Context<'_>, input: Self::Input, out: &mut Vec<Self::Output>);

    /// When it wants to be called though nothing happens.
    fn next_deadline_ms(&self) -> Option<u64>;

    /// Time goes by.
    fn tick() -> Self::Input;
}

/// Carries out what a machine wants done.
pub trait Shell<M: Machine>: Send + 'static {
    /// Does it, or sees to it that it is done. Must not wait for anything.
    fn perform(&mut self, output: M::Output, inputs: &Inputs<M>);

    /// All outputs of one step were performed.
    fn flush(&mut self, _: &M) {}
}

/// Where a machine's inputs go. Cheap to clone.
pub struct Inputs<M: Machine>(Sender<Option<M::Input>>);

impl<M: Machine> Clone for Inputs<M> {
    fn clone(&self) -> Self {
        Inputs(self.0.clone())
    }
}

impl<M: Machine> Inputs<M> {
    /// Queues an input; whether anybody is there to take it.
    pub fn send(&self, input: M::Input) -> bool {
        self.0.send(Some(input)).is_ok()
    }
}

/// A running machine.
pub struct Driver<M: Machine> {
    inputs: Inputs<M>,
    thread: Option<JoinHandle<M>>,
}

impl<M: Machine> Driver<M> {
    /// Starts a machine. The shell is made once its inputs have a name.
    pub fn start<S: Shell<M>>(machine: M, clock: Clock, shell: impl FnOnce(&Inputs<M>) -> S) -> Self {
        let (sender, receiver) = channel();
        let inputs = Inputs(sender);
        let shell = shell(&inputs);
        let own = inputs.clone();
        let thread = thread::spawn(move || run(machine, shell, clock, &own, &receiver));
        Driver { inputs, thread: Some(thread) }
    }

    /// Where its inputs go.
    pub fn inputs(&self) -> &Inputs<M> {
        &self.inputs
    }

    /// Ends it behind what is queued, and gives the machine back.
    ///
    /// # Panics
    /// If a step panicked: its own invariants are broken.
    pub fn stop(mut self) -> M {
        drop(self.inputs.0.send(None));
        let thread = self.thread.take().expect("taken here alone");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<M: Machine> Drop for Driver<M> {
    fn drop(&mut self) {
        drop(self.inputs.0.send(None));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run<M: Machine, S: Shell<M>>(
    mut machine: M,
    mut shell: S,
    clock: Clock,
    inputs: &Inputs<M>,
    receiver: &Receiver<Option<M::Input>>,
) -> M {
    let mut out = Vec::new();
    loop {
        let wait_ms = machine.next_deadline_ms().map(|at| at.saturating_sub(clock.now().ms));
        let wait = wait_ms.map_or(LOOK_EVERY, |ms| Duration::from_millis(ms).min(LOOK_EVERY));
        let input = match receiver.recv_timeout(wait) {
            Ok(Some(input)) => input,
            Err(RecvTimeoutError::Timeout) => M::tick(),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return machine,
        };
        let mut random = random;
        machine.step(&mut Context { now: clock.now(), random: &mut random }, input, &mut out);
        out.drain(..).for_each(|output| shell.perform(output, inputs));
        shell.flush(&machine);
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock whose milliseconds begin here.
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    /// The time.
    pub fn now(&self) -> Now {
        Now { ms: self.0.elapsed().as_millis() as u64, epoch: epoch() }
    }
}

/// The ledger's epoch by the wall clock; 0 before 1970.
pub fn epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / EPOCH_SECONDS)
}

/// An idle machine is looked after this often: an epoch may have begun.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Counts what it hears; wants to be called 20 ms after each input.
    struct Counter {
        heard: u32,
        ticked: u32,
        deadline_ms: Option<u64>,
    }

    enum Heard {
        Word,
        Tick,
    }

    impl Machine for Counter {
        type Input = Heard;
        type Output = (u32, u32);

        fn step(&mut self, context: &mut Context<'_>, input: Heard, out: &mut Vec<(u32, u32)>) {
            match input {
                Heard::Word => {
                    self.heard += 1;
                    self.deadline_ms = Some(context.now.ms + 20);
                }
                Heard::Tick if self.deadline_ms.is_some_and(|at| at <= context.now.ms) => {
                    self.ticked += 1;
                    self.deadline_ms = None;
                }
                Heard::Tick => return,
            }
            out.push((self.heard, self.ticked));
        }

        fn next_deadline_ms(&self) -> Option<u64> {
            self.deadline_ms
        }

        fn tick() -> Heard {
            Heard::Tick
        }
    }

    struct Tell(mpsc::Sender<(u32, u32)>);

    impl Shell<Counter> for Tell {
        fn perform(&mut self, output: (u32, u32), _: &Inputs<Counter>) {
            self.0.send(output).expect("the test listens");
        }
    }

    #[test]
    fn inputs_are_heard_in_order_and_deadlines_are_kept() {
        let (tell, told) = mpsc::channel();
        let machine = Counter { heard: 0, ticked: 0, deadline_ms: None };
        let driver = Driver::start(machine, Clock::start(), |_| Tell(tell));
        assert!(driver.inputs().send(Heard::Word) && driver.inputs().send(Heard::Word));
        assert_eq!(told.recv(), Ok((1, 0)));
        assert_eq!(told.recv(), Ok((2, 0)));
        assert_eq!(told.recv(), Ok((2, 1)), "nobody said anything, and its deadline came");
        let inputs = driver.inputs().clone();
        let machine = driver.stop();
        assert_eq!((machine.heard, machine.ticked), (2, 1));
        assert!(!inputs.send(Heard::Word), "nobody is there");
    }
}
