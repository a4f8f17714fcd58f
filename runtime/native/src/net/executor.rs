//! A thread that owns this machine's devices and runs tasks of strangers, one at a time, under a throttle.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ledger::Id;
use network::{capability::TaskType, reason::Reason, scheduler::Signal};
use tasks::{Outcome, RunError, Task, Tier};

use super::request::kind;
use crate::{
    Backend,
    host::LocalHost,
    machine::MachineOptions,
    model::{Observer, Store},
    throttle::Throttle,
};

/// A task to run.
#[derive(Debug)]
pub struct Job {
    /// Names it; its answer has the same name.
    pub assignment: Id,
    /// What the envelope says it is.
    pub kind: TaskType,
    /// SHA-256 of the model file the envelope names, zeros for none.
    pub model: Id,
    /// [`Task::to_bytes`].
    pub payload: Vec<u8>,
    /// Who may see it.
    pub tier: Tier,
}

/// What became of a task: the canonical bytes of its result ([`Outcome::to_bytes`]), or why there is none.
#[derive(Debug)]
pub struct Finished {
    /// Which.
    pub assignment: Id,
    /// What.
    pub result: Result<Vec<u8>, Failed>,
}

/// A task that gave no result.
#[derive(Debug)]
pub struct Failed {
    /// By number.
    pub reason: Reason,
    /// For people.
    pub detail: String,
}

/// The thread. It ends when this is dropped, after the slice that runs.
pub struct Executor {
    jobs: Option<Sender<Job>>,
    desk: Arc<Mutex<Desk>>,
    throttle: Arc<Throttle>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// The backend in use.
    pub backend: Backend,
}

/// What both threads know.
#[derive(Default)]
struct Desk {
    queued: BTreeSet<Id>,
    running: Option<Id>,
    /// The running one was given up.
    cut: bool,
}

impl Executor {
    /// Opens the devices and waits until they are proved. `finished` hears what became of each task.
    ///
    /// # Errors
    /// If a device asked for by name cannot be used.
    pub fn start(
        options: MachineOptions,
        store: Store,
        observer: Box<dyn Observer + Send>,
        throttle: Arc<Throttle>,
        finished: impl FnMut(Finished) + Send + 'static,
    ) -> Result<Self, engine::EngineError> {
        let (jobs, queue) = channel();
        let (opened, wait) = channel();
        let desk = Arc::new(Mutex::new(Desk::default()));
        let work = Work { throttle: throttle.clone(), desk: desk.clone(), finished };
        let thread = thread::spawn(move || match LocalHost::open(&options, store, observer) {
            Ok(mut host) => {
                host.machine().set_pace(work.throttle.clone());
                drop(opened.send(Ok((host.status().backend, host.stop()))));
                work.run(&mut host, &queue);
            }
            Err(error) => drop(opened.send(Err(error))),
        });
        let (backend, stop) = wait.recv().expect("the thread answers before it does anything else")?;
        Ok(Executor { jobs: Some(jobs), desk, throttle, stop, thread: Some(thread), backend })
    }

    /// Queues a task.
    pub fn run(&self, job: Job) {
        lock(&self.desk).queued.insert(job.assignment);
        if let Some(jobs) = &self.jobs {
            drop(jobs.send(job));
        }
    }

    /// Gives a task up: it never starts, or ends within a slice. It is not heard of again.
    pub fn abort(&self, assignment: Id) {
        let mut desk = lock(&self.desk);
        desk.queued.remove(&assignment);
        if desk.running == Some(assignment) {
            desk.cut = true;
            self.throttle.stop(true);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        drop(self.jobs.take());
        self.throttle.stop(true);
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Work<F> {
    throttle: Arc<Throttle>,
    desk: Arc<Mutex<Desk>>,
    finished: F,
}

impl<F: FnMut(Finished)> Work<F> {
    fn run(mut self, host: &mut LocalHost, queue: &Receiver<Job>) {
        loop {
            match queue.recv_timeout(PROBE_EVERY) {
                Ok(job) => self.job(host, job),
                Err(RecvTimeoutError::Timeout) => self.probe(host),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn job(&mut self, host: &mut LocalHost, job: Job) {
        let (assignment, stop) = (job.assignment, host.stop());
        {
            let mut desk = lock(&self.desk);
            if !desk.queued.remove(&assignment) {
                return;
            }
            desk.running = Some(assignment);
        }
        // What no plan runs is not cut in slices: it is paid afterwards.
        let (unsliced, began) = (!is_planned(job.kind), Instant::now());
        let result = run(host, job);
        if unsliced {
            self.throttle.charge(0, began.elapsed());
        }
        let cut = {
            let mut desk = lock(&self.desk);
            desk.running = None;
            if desk.cut {
                self.throttle.stop(false);
                stop.store(false, Ordering::Relaxed);
            }
            std::mem::take(&mut desk.cut)
        };
        if !cut {
            (self.finished)(Finished { assignment, result });
        }
    }

    /// On a quiet GPU of ours, a tiny dispatch shows whether others use it.
    fn probe(&self, host: &mut LocalHost) {
        if !matches!(host.status().backend, Backend::Gpu(_)) || self.throttle.decision().duty_permille == 0 {
            return;
        }
        if let Ok(latency) = pollster::block_on(host.machine().probe()) {
            self.throttle.signal([Signal::Probe { latency_ms: latency.as_secs_f64() * 1000.0 }]);
        }
    }
}

/// Reads, checks and runs a task.
fn run(host: &mut LocalHost, job: Job) -> Result<Vec<u8>, Failed> {
    let refused = |e: tasks::Refusal| Failed { reason: Reason::TaskRefused, detail: e.to_string() };
    let task = Task::from_bytes(&job.payload).map_err(refused)?;
    if kind(&task) != job.kind {
        let detail = format!("the envelope says {:?}, the payload is {}", job.kind, task.name());
        return Err(Failed { reason: Reason::TaskRefused, detail });
    }
    let task = task.check(job.tier).map_err(refused)?;
    let outcome = host.run(&task).map_err(|error| match error {
        RunError::Refused(refusal) => refused(refusal),
        error => Failed { reason: Reason::TaskFailed, detail: error.to_string() },
    })?;
    match model(&outcome) {
        Some(found) if found != job.model => Err(Failed {
            reason: Reason::TaskFailed,
            detail: format!("the envelope names the model {}, this machine has {found}", job.model),
        }),
        _ => Ok(outcome.to_bytes()),
    }
}

/// Whether plans do the work of a kind, which the engine cuts in slices.
fn is_planned(kind: TaskType) -> bool {
    matches!(
        kind,
        TaskType::VectorSearch | TaskType::Embedding | TaskType::SemanticMatch | TaskType::NeuralInference
    )
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SHA-256 of the model file that a result comes from.
fn model(outcome: &Outcome) -> Option<Id> {
    match outcome {
        Outcome::Embedding(done) => Some(Id::from_bytes(done.model.0)),
        Outcome::SemanticMatch(done) => Some(Id::from_bytes(done.model.0)),
        _ => None,
    }
}

const PROBE_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use network::scheduler::{Device, Place, RawSettings};
    use serde_json::json;

    use super::*;

    fn throttle() -> Arc<Throttle> {
        let raw = RawSettings { contribution: 1.0, ..RawSettings::new(Place::Native) };
        Arc::new(Throttle::new(raw.check().expect("good settings"), Device::Cpu))
    }

    fn start(throttle: Arc<Throttle>) -> (Executor, mpsc::Receiver<Finished>) {
        let (tell, told) = mpsc::channel();
        let options = MachineOptions { device: crate::Device::Cpu, ..MachineOptions::default() };
        let store = Store::from_env().expect("folders").with_cache(std::env::temp_dir());
        let finished = move |finished| tell.send(finished).expect("the test listens");
        let executor = Executor::start(options, store, Box::new(()), throttle, finished).expect("a CPU");
        (executor, told)
    }

    fn job(number: u8, kind: TaskType, task: &Task) -> Job {
        let assignment = Id::from_bytes([number; 32]);
        Job { assignment, kind, model: Id::ZERO, payload: task.to_bytes(), tier: Tier::Public }
    }

    fn search() -> Task {
        let vectors = json!({ "queries": [[1.0, 0.0]], "vectors": [[0.0, 1.0], [1.0, 0.1]], "k": 1, "metric": "cosine" });
        Task::from_json("vector_search", vectors).expect("a good task")
    }

    #[test]
    fn a_task_is_run_and_one_that_lies_about_itself_is_not() {
        let (executor, told) = start(throttle());
        executor.run(job(1, TaskType::VectorSearch, &search()));
        executor.run(job(2, TaskType::Embedding, &search()));
        executor.run(Job { payload: vec![9; 40], ..job(3, TaskType::VectorSearch, &search()) });
        let done = told.recv().expect("an answer");
        let outcome = Outcome::from_bytes(&done.result.expect("a result")).expect("canonical");
        assert!(matches!(&outcome, Outcome::VectorSearch(_)), "{outcome:?}");
        for number in [2, 3] {
            let done = told.recv().expect("an answer");
            assert_eq!(done.assignment, Id::from_bytes([number; 32]));
            assert_eq!(done.result.expect_err("it is not what it says").reason, Reason::TaskRefused);
        }
    }

    #[test]
    fn what_is_given_up_is_not_heard_of_again_and_the_next_runs() {
        let throttle = throttle();
        throttle.signal([Signal::Pause(true)]);
        let (executor, told) = start(throttle.clone());
        // The first waits in the pause for its turn, the second in the queue.
        executor.run(job(1, TaskType::VectorSearch, &search()));
        executor.run(job(2, TaskType::VectorSearch, &search()));
        executor.run(job(3, TaskType::VectorSearch, &search()));
        while lock(&executor.desk).running.is_none() {
            thread::yield_now();
        }
        executor.abort(Id::from_bytes([2; 32]));
        executor.abort(Id::from_bytes([1; 32]));
        throttle.signal([Signal::Pause(false)]);
        let done = told.recv().expect("an answer");
        assert_eq!(done.assignment, Id::from_bytes([3; 32]));
        assert!(done.result.is_ok(), "{:?}", done.result);
    }
}
