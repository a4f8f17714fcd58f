//! Workers, draws and the loop that drives a unit.

use identity::AccountId;
use ledger::{
    Id,
    exposure::{BASE_STAKE_UCREDITS, Standing, TASK_STAKE_UCREDITS},
    reputation::{Outcome, Reputation, Seen},
};

use super::{Fault, Liars, Report, World};
use crate::verify::{
    check::{KnownRow, Source, Verdict, compare},
    credibility::Credibility,
    policy::{CHECK_RATE_PPM, Exposure, Options, Place, Rules, Strategy, Worker, is_check},
    unit::{Action, Decision, Event, Judgement, Reveal, Tag, Unit},
    weather::Weather,
};

pub(super) fn run(world: &World) -> Report {
    let mut run = Run::new(*world);
    for task in 0..world.tasks {
        run.epoch = task / TASKS_OF_AN_EPOCH;
        run.counting = task >= world.tasks - world.tasks / 5;
        run.task();
    }
    run.finish()
}

struct Run {
    world: World,
    random: Random,
    workers: Vec<Simulated>,
    /// Indices of those that are still there.
    there: Vec<usize>,
    weather: Weather,
    /// Earlier tasks with an accepted result: their number, and whether that is wrong.
    earlier: Vec<(u64, bool)>,
    /// Tasks so far, checks so far, and outcomes so far: for ids.
    tasks: u64,
    units: u64,
    outcomes: u64,
    epoch: u64,
    counting: bool,
    report: Report,
    /// Wrong results of each two-hundredth.
    wrong: Vec<u64>,
}

struct Simulated {
    account: AccountId,
    lies: bool,
    base_stake_ucredits: u64,
    outcomes: Vec<Seen>,
    reputation: Reputation,
}

/// An assignment of the unit at hand.
struct Drawn {
    id: Id,
    index: usize,
    worker: Worker,
    lied: bool,
}

impl Run {
    fn new(world: World) -> Self {
        let mut run = Run {
            world,
            random: Random(world.seed),
            workers: vec![],
            there: vec![],
            weather: Weather::default(),
            earlier: vec![],
            tasks: 0,
            units: 0,
            outcomes: 0,
            epoch: 0,
            counting: false,
            report: Report::default(),
            wrong: vec![0; STEPS],
        };
        for number in 0..world.workers as u64 {
            // The exact number of liars; who is who does not matter, since draws are even.
            let lies = number * 1_000_000 < u64::from(world.liars_ppm) * world.workers as u64;
            run.join(lies);
        }
        run
    }

    fn join(&mut self, lies: bool) {
        let number = self.workers.len() as u64;
        let account =
            AccountId::from_bytes(*Id::hash("frontier/worker", &[&number.to_be_bytes()]).as_bytes());
        self.there.push(self.workers.len());
        self.workers.push(Simulated {
            account,
            lies,
            base_stake_ucredits: BASE_STAKE_UCREDITS,
            outcomes: vec![],
            reputation: Reputation::default(),
        });
    }

    fn task(&mut self) {
        let number = self.tasks;
        self.tasks += 1;
        let options = self.world.options;
        let (decision, drawn) = self.unit(options, number, number);
        self.weather.decided();
        self.learn(&decision.judged, &drawn);
        let accepted = decision.end.tag();
        let wrong = accepted.is_some_and(|tag| tag == answer(number, true));
        let step = (number * STEPS as u64 / self.world.tasks) as usize;
        self.wrong[step] += u64::from(wrong);
        self.report.wrong_in_all += u64::from(wrong);
        self.report.undecided_in_all += u64::from(accepted.is_none());
        self.report.work_in_all += drawn.len() as u64;
        self.report.lies += drawn.iter().filter(|d| d.lied).count() as u64;
        if self.counting {
            self.report.counted += 1;
            self.report.wrong += u64::from(wrong);
            self.report.undecided += u64::from(accepted.is_none());
            self.report.executions += drawn.len() as u64;
        }
        if accepted.is_some() {
            let slot = self.random.below(EARLIER as u64) as usize;
            match self.earlier.get_mut(slot) {
                Some(earlier) => *earlier = (number, wrong),
                None => self.earlier.push((number, wrong)),
            }
        }
    }

    /// Drives a real unit to its decision. `content` decides who lies.
    fn unit(&mut self, options: Options, content: u64, task_number: u64) -> (Decision, Vec<Drawn>) {
        self.units += 1;
        let task = Id::hash("frontier/task", &[&self.units.to_be_bytes(), &task_number.to_be_bytes()]);
        let rules = self.rules(options);
        let known_answer = options.strategy == Strategy::KnownAnswer;
        let (mut unit, mut actions) = Unit::open(task, rules);
        let mut drawn: Vec<Drawn> = vec![];
        loop {
            let mut next = vec![];
            for action in actions {
                match action {
                    Action::Draw { established } => {
                        next.extend(self.draw(&mut unit, &task, content, established, &mut drawn));
                    }
                    Action::OpenReveals(ids) => {
                        for id in ids {
                            let d = drawn.iter().find(|d| d.id == id).expect("its own");
                            let reveal = reveal(content, d.lied);
                            next.extend(step(&mut unit, Event::Revealed { assignment: id, reveal }));
                        }
                    }
                    Action::Check(id) => {
                        let d = drawn.iter().find(|d| d.id == id).expect("its own");
                        let right = !self.rows_show(d.lied);
                        next.extend(step(&mut unit, Event::Checked { assignment: id, right }));
                    }
                    Action::Decided(decision) => return (decision, drawn),
                    Action::Judged(_) => unreachable!("nobody is late here"),
                }
            }
            assert!(!next.is_empty() && !known_answer, "a unit goes on until it is decided");
            actions = next;
        }
    }

    fn rules(&self, options: Options) -> Rules {
        let calm = Weather::default();
        let weather = if self.world.fault == Some(Fault::NoWeather) { &calm } else { &self.weather };
        let mut rules = Rules::of(options, weather).expect("options that a task can have");
        match self.world.fault {
            Some(Fault::ThetaIgnored) => rules.theta = Credibility::NONE,
            Some(Fault::SlashesAtOnce) => rules.slash_first_at = Credibility::NONE,
            _ => {}
        }
        rules
    }

    /// Draws until somebody takes the assignment itself and not a hidden check, and binds it to its answer.
    fn draw(
        &mut self,
        unit: &mut Unit,
        task: &Id,
        content: u64,
        established: bool,
        drawn: &mut Vec<Drawn>,
    ) -> Vec<Action> {
        for _ in 0..MOST_DRAWS {
            let index = self.there[self.random.below(self.there.len() as u64) as usize];
            let worker = self.worker(index);
            let free = drawn.iter().all(|d| d.index != index);
            let suits = !established || worker.standing.may_settle_alone();
            let exposure = Exposure {
                at_risk_ucredits: self.workers[index].base_stake_ucredits,
                open_ucredits: 0,
                price_ucredits: ledger::MICRO,
            };
            if !free || !suits || worker.may_take(exposure, CHECK_RATE_PPM).is_err() {
                continue;
            }
            let assignment = Id::hash("frontier/assignment", &[task.as_bytes(), worker.account.as_bytes()]);
            let rate = worker.check_rate_ppm(CHECK_RATE_PPM);
            let beacon = self.random.bytes();
            let checks = self.world.fault != Some(Fault::NoChecks);
            if checks && is_check(&beacon, task, &assignment, &worker.account, rate) {
                self.check(index, worker);
                continue;
            }
            let lied = self.lies(index, content);
            self.report.honest_results += u64::from(!self.workers[index].lies);
            let commit = reveal(content, lied).commit(task, &assignment, &worker.account);
            let mut actions = step(unit, Event::Assigned { assignment, worker });
            drawn.push(Drawn { id: assignment, index, worker, lied });
            actions.extend(step(unit, Event::Committed { assignment, commit }));
            return actions;
        }
        step(unit, Event::NobodyDrawn)
    }

    /// Gives a worker an earlier task again, as a unit of its own, and judges it.
    fn check(&mut self, index: usize, worker: Worker) {
        let (content, known_is_wrong) = match self.earlier.len() as u64 {
            0 => (u64::MAX, false),
            count => self.earlier[self.random.below(count) as usize],
        };
        self.units += 1;
        let task = Id::hash("frontier/check", &[&self.units.to_be_bytes()]);
        let assignment = Id::hash("frontier/assignment", &[task.as_bytes(), worker.account.as_bytes()]);
        let options = Options { strategy: Strategy::KnownAnswer, hidden_rows: false, ..self.world.options };
        let (mut unit, _) = Unit::open(task, self.rules(options));
        let lied = self.lies(index, content);
        let shown = reveal(content, lied);
        let commit = shown.commit(&task, &assignment, &worker.account);
        step(&mut unit, Event::Assigned { assignment, worker });
        step(&mut unit, Event::Committed { assignment, commit });
        step(&mut unit, Event::Revealed { assignment, reveal: shown });
        let known = [KnownRow { row: 0, tag: answer(content, known_is_wrong) }];
        let mut work = 1;
        let verdict = match compare(&known, Source::Accepted, |_| Some(shown.tag)) {
            Verdict::Compute => {
                work += 1;
                let computed = [KnownRow { row: 0, tag: answer(content, false) }];
                compare(&computed, Source::Computed, |_| Some(shown.tag))
            }
            verdict => verdict,
        };
        let mut actions = step(&mut unit, Event::Checked { assignment, right: verdict == Verdict::Right });
        let Some(Action::Decided(decision)) = actions.pop() else {
            unreachable!("a check is judged at once")
        };
        self.report.honest_results += u64::from(!self.workers[index].lies);
        self.report.work_in_all += work;
        self.report.checks += if self.counting { work } else { 0 };
        self.learn(&decision.judged, &[Drawn { id: assignment, index, worker, lied }]);
    }

    /// What judgements do to reputation, stake and weather, and who leaves.
    fn learn(&mut self, judged: &[Judgement], drawn: &[Drawn]) {
        for judgement in judged {
            let d = drawn.iter().find(|d| d.id == judgement.assignment).expect("its own");
            if judgement.outcome == Some(Outcome::Invalid) && d.worker.is_trusted() {
                self.weather.caught_trusted();
            }
            let simulated = &mut self.workers[d.index];
            if let Some(outcome) = judgement.outcome {
                self.outcomes += 1;
                let mut id = [0; 32];
                id[..8].copy_from_slice(&self.outcomes.to_be_bytes());
                simulated.outcomes.push(Seen { epoch: self.epoch, id, outcome });
                simulated.reputation =
                    Reputation::fold(simulated.outcomes.iter().copied()).expect("in order");
            }
            if judgement.stake_burned {
                simulated.base_stake_ucredits =
                    simulated.base_stake_ucredits.saturating_sub(TASK_STAKE_UCREDITS);
                let lies = simulated.lies;
                self.report.honest_slashed += u64::from(!lies);
                self.report.liars_slashed += u64::from(lies);
                if lies {
                    self.there.retain(|&there| there != d.index);
                    if self.world.liars == Liars::AlwaysRejoining {
                        self.join(true);
                    }
                }
            }
        }
    }

    fn worker(&self, index: usize) -> Worker {
        let simulated = &self.workers[index];
        let place = Place { site: None, block: (index as u64).to_be_bytes() };
        let standing = Standing::of(simulated.base_stake_ucredits);
        Worker::new(simulated.account, place, standing, &simulated.reputation, self.epoch)
    }

    fn lies(&self, index: usize, content: u64) -> bool {
        let simulated = &self.workers[index];
        simulated.lies
            && match self.world.liars {
                Liars::Always | Liars::AlwaysRejoining => true,
                Liars::SameTasks(ppm) => Random(self.world.seed ^ content).below(1_000_000) < u64::from(ppm),
                Liars::FromTask(task) => self.tasks > task,
                Liars::AfterChecks(k) => simulated.reputation.survived_checks(self.epoch) >= k,
            }
    }

    /// Whether hidden rows show a lie: each of them is touched with the share of rows that the lie touches.
    fn rows_show(&mut self, lied: bool) -> bool {
        let (rows, share_ppm) = self.world.rows.unwrap_or_default();
        lied && (0..rows).any(|_| self.random.below(1_000_000) < u64::from(share_ppm))
    }

    fn finish(mut self) -> Report {
        let worst = self.wrong.windows(STEPS / 20).map(|steps| steps.iter().sum()).max();
        self.report.wrong_in_worst_twentieth = worst.unwrap_or(0);
        self.report
    }
}

fn step(unit: &mut Unit, event: Event) -> Vec<Action> {
    unit.step(0, event).expect("events of a world without faults are taken")
}

/// The tag of an answer: there is one right one, and one wrong one on which liars agree.
fn answer(content: u64, wrong: bool) -> Tag {
    let mut bytes = [u8::from(wrong); 32];
    bytes[..8].copy_from_slice(&content.to_be_bytes());
    Tag::from_bytes(bytes)
}

fn reveal(content: u64, lied: bool) -> Reveal {
    Reveal { tag: answer(content, lied), ciphertext: [3; 32], nonce: [5; 32] }
}

/// SplitMix64 (G. Steele, D. Lea, C. Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound, evenly but for one part in 2^64 / bound.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_be_bytes()));
        bytes
    }
}

/// 200,000 tasks are 33 hours then: no reputation halves.
const TASKS_OF_AN_EPOCH: u64 = 100;
/// Earlier tasks that checks are taken from.
const EARLIER: usize = 1_000;
/// Whoever finds nobody so often finds nobody.
const MOST_DRAWS: usize = 10_000;
/// Parts of a run in which wrong results are counted.
const STEPS: usize = 200;
