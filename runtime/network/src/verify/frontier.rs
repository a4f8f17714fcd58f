//! The frontier of verification: wrong results let through against work spent, for strategies of liars.
//!
//! A world of workers, some of which collude: all of them give the same wrong answer. Tasks go one after the other through the
//! real [`Unit`], [`Rules`], [`Weather`] and reputation; only workers and draws are made up. Everything follows from the seed.
//!
//! What the world takes for granted: workers are drawn evenly (equal stakes), all are established at the start, each is a place
//! of its own, nobody fails or is late, and a liar whose stake was burned leaves, or rejoins as somebody else where the
//! strategy says so. A liar cannot tell a check from a task. A check is an earlier accepted task, so its known answer can
//! itself be wrong; whoever differs from it is judged after the answer was computed, which counts as work.

mod world;

#[cfg(test)]
mod tests;

use super::policy::Options;

/// When colluding workers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liars {
    /// On every task.
    Always,
    /// On the same tasks, this many of a million.
    SameTasks(u32),
    /// From the time on at which they have survived this many checks.
    AfterChecks(u64),
    /// On every task, and whoever is caught comes back as a fresh identity with a stake.
    AlwaysRejoining,
    /// From this task on, all at once, and always: the worst burst there is. Not one of the document's strategies.
    FromTask(u64),
}

/// The strategies that every change is measured against, by name.
pub const STRATEGIES: [(&str, Liars); 7] = [
    ("always", Liars::Always),
    ("same 10 % of tasks", Liars::SameTasks(100_000)),
    ("same 3 % of tasks", Liars::SameTasks(30_000)),
    ("honest until k = 10", Liars::AfterChecks(10)),
    ("honest until k = 20", Liars::AfterChecks(20)),
    ("honest until k = 40", Liars::AfterChecks(40)),
    ("always, rejoins", Liars::AlwaysRejoining),
];

/// A part of the rules that is taken away, so that a harness can show that it would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Any group is believed.
    ThetaIgnored,
    /// No hidden checks.
    NoChecks,
    /// No storms.
    NoWeather,
    /// Whoever loses a vote pays, however thin the proof.
    SlashesAtOnce,
}

/// One world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// Workers at any time at the start.
    pub workers: usize,
    /// Tasks, one after the other.
    pub tasks: u64,
    /// Part of workers that collude.
    pub liars_ppm: u32,
    /// When these lie.
    pub liars: Liars,
    /// Of every task.
    pub options: Options,
    /// Rows hidden in every batch, and the part of rows that a lie touches, of a million.
    pub rows: Option<(u32, u32)>,
    /// What is broken.
    pub fault: Option<Fault>,
    /// All randomness.
    pub seed: u64,
}

/// What came of a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tasks in the last fifth.
    pub counted: u64,
    /// Wrong results that were accepted there.
    pub wrong: u64,
    /// Tasks that ended there without a result.
    pub undecided: u64,
    /// Executions of tasks there.
    pub executions: u64,
    /// Executions of hidden checks there, and of their answers where these were in doubt.
    pub checks: u64,
    /// Wrong results that were accepted in all.
    pub wrong_in_all: u64,
    /// Most wrong results in any twentieth of the tasks in a row, in steps of a two-hundredth.
    pub wrong_in_worst_twentieth: u64,
    /// Executions and checks in all.
    pub work_in_all: u64,
    /// Tasks that ended without a result in all.
    pub undecided_in_all: u64,
    /// Wrong results that liars gave to tasks, accepted or not: 0 says that the strategy never came to lying.
    pub lies: u64,
    /// Results of honest workers in all, to tasks and checks.
    pub honest_results: u64,
    /// Honest workers whose stake was burned, in all.
    pub honest_slashed: u64,
    /// Liars whose stake was burned, in all.
    pub liars_slashed: u64,
}

impl Report {
    /// Accepted-wrong results of the last fifth, of all its tasks, in parts of a million.
    pub fn wrong_ppm(&self) -> u64 {
        self.wrong * 1_000_000 / self.counted.max(1)
    }

    /// Executions and checks per task of the last fifth, in thousandths.
    pub fn work_thousandths(&self) -> u64 {
        (self.executions + self.checks) * 1_000 / self.counted.max(1)
    }
}

/// Lives through a world.
pub fn run(world: &World) -> Report {
    world::run(world)
}
