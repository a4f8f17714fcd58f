//! A simulated GPU: one queue, served in order, never preempted; a page that draws with it, a node that the scheduler rules, and
//! a stranger. Time goes in steps of 50 us, so that nothing needs to be clever.

use std::collections::VecDeque;

use network::scheduler::{
    Decision, Device, Focus, Pacer, Place, RawSettings, Reason, Scheduler, Signal, Turn, Visibility,
};

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// Where the node runs.
    pub(crate) place: Place,
    /// The page's or the desktop's refresh rate.
    pub(crate) refresh_hz: u64,
    /// GPU time of one frame.
    pub(crate) frame_us: u64,
    /// Every so many frames, one takes three refreshes of the page's own doing; 0 for never.
    pub(crate) own_jank_every: u64,
    /// Another program's work: job length, pause between jobs, begin and end.
    pub(crate) stranger: Option<Stranger>,
    /// Whether the node does as it is told.
    pub(crate) obedient: bool,
    /// How long to look.
    pub(crate) lasts_us: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stranger {
    pub(crate) job_us: u64,
    pub(crate) every_us: u64,
    pub(crate) from_us: u64,
    pub(crate) until_us: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// When each frame was begun.
    pub(crate) frames_us: Vec<u64>,
    /// Every decision and when it was made.
    pub(crate) decisions: Vec<(u64, Decision)>,
    /// When the node's jobs ended, and how long they ran.
    pub(crate) jobs: Vec<(u64, u64)>,
}

impl Seen {
    /// Thousandths of the frames of a stretch of time that were shown.
    pub(crate) fn shown_permille(&self, scene: &Scene, from_us: u64, until_us: u64) -> u64 {
        let count = self.frames_us.iter().filter(|&&at| (from_us..until_us).contains(&at)).count() as u64;
        count * 1000 * 1_000_000 / (scene.refresh_hz * (until_us - from_us))
    }

    /// Thousandths of a stretch of time that the node kept the device busy.
    pub(crate) fn used_permille(&self, from_us: u64, until_us: u64) -> u64 {
        let within = self.jobs.iter().filter(|&&(at, _)| (from_us..until_us).contains(&at));
        within.map(|(_, ran_us)| ran_us).sum::<u64>() * 1000 / (until_us - from_us)
    }

    /// The decision in force at a time.
    pub(crate) fn at(&self, at_us: u64) -> Decision {
        let after = self.decisions.partition_point(|&(made_us, _)| made_us <= at_us);
        self.decisions[after - 1].1
    }

    /// When a decision first was as wanted, from a time on.
    pub(crate) fn first(&self, from_us: u64, wanted: impl Fn(&Decision) -> bool) -> Option<u64> {
        self.decisions.iter().find(|(at, decision)| *at >= from_us && wanted(decision)).map(|(at, _)| *at)
    }
}

/// Lets a scene play.
pub(crate) fn play(scene: Scene) -> Seen {
    let mut world = World::new(scene);
    while world.now_us < scene.lasts_us {
        world.step();
    }
    world.seen
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Page,
    Node,
    Probe,
    Stranger,
}

struct Job {
    owner: Owner,
    queued_us: u64,
    ran_us: u64,
    left_us: u64,
}

struct World {
    scene: Scene,
    now_us: u64,
    queue: VecDeque<Job>,
    scheduler: Scheduler,
    pacer: Pacer,
    /// The page draws from a refresh until its job is done.
    drawing: bool,
    drawn: u64,
    refreshes: u64,
    last_frame_us: Option<u64>,
    /// Until when the page is busy with itself.
    busy_until_us: u64,
    node_waits_until_us: u64,
    node_busy: bool,
    seen: Seen,
}

impl World {
    fn new(scene: Scene) -> Self {
        let settings = RawSettings::new(scene.place).check().expect("defaults are good");
        let mut scheduler = Scheduler::new(settings, Device::Gpu, 0);
        scheduler.signal(0, Signal::Visibility(Visibility::Visible));
        scheduler.signal(0, Signal::Focus(Focus::Focused));
        World {
            scene,
            now_us: 0,
            queue: VecDeque::new(),
            scheduler,
            pacer: Pacer::new(0),
            drawing: false,
            drawn: 0,
            refreshes: 0,
            last_frame_us: None,
            busy_until_us: 0,
            node_waits_until_us: 0,
            node_busy: false,
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        self.page();
        self.stranger();
        self.node();
        self.device();
        self.now_us += STEP_US;
    }

    fn submit(&mut self, owner: Owner, length_us: u64) {
        self.queue.push_back(Job { owner, queued_us: self.now_us, ran_us: 0, left_us: length_us });
    }

    /// At a refresh, the page begins a frame if it has finished the last one.
    fn page(&mut self) {
        if self.now_us < self.refreshes * 1_000_000 / self.scene.refresh_hz {
            return;
        }
        let refresh_us = self.refreshes * 1_000_000 / self.scene.refresh_hz;
        self.refreshes += 1;
        if self.drawing || refresh_us < self.busy_until_us {
            return;
        }
        // Callbacks carry the time of their refresh.
        if let Some(last_us) = self.last_frame_us.filter(|_| self.scene.place == Place::Page) {
            let interval_ms = (refresh_us - last_us) as f64 / 1000.0;
            self.scheduler.signal(self.now_us, Signal::Frame { interval_ms });
        }
        self.last_frame_us = Some(refresh_us);
        self.seen.frames_us.push(self.now_us);
        self.drawn += 1;
        if self.scene.own_jank_every > 0 && self.drawn.is_multiple_of(self.scene.own_jank_every) {
            self.busy_until_us = refresh_us + 2_500_000 / self.scene.refresh_hz;
        }
        self.drawing = true;
        self.submit(Owner::Page, self.scene.frame_us);
    }

    fn stranger(&mut self) {
        let Some(stranger) = self.scene.stranger else { return };
        let active = (stranger.from_us..stranger.until_us).contains(&self.now_us);
        if active && (self.now_us - stranger.from_us).is_multiple_of(stranger.every_us) {
            self.submit(Owner::Stranger, stranger.job_us);
        }
    }

    /// Four times a second the node probes and asks; in between it runs what it may.
    fn node(&mut self) {
        if self.now_us.is_multiple_of(ASK_US) {
            let decision = self.scheduler.decide(self.now_us);
            self.seen.decisions.push((self.now_us, decision));
            self.pacer.set(self.now_us, &decision);
            self.node_waits_until_us = self.now_us;
            let share = f64::from(self.pacer.occupancy_permille(self.now_us)) / 1000.0;
            self.scheduler.signal(self.now_us, Signal::Occupancy { share });
        }
        let probing = self.queue.iter().any(|job| job.owner == Owner::Probe);
        if self.now_us % ASK_US == ASK_US / 2 && !self.node_busy && !probing {
            self.submit(Owner::Probe, PROBE_US);
        }
        if self.node_busy || self.now_us < self.node_waits_until_us {
            return;
        }
        if !self.scene.obedient {
            self.node_busy = true;
            return self.submit(Owner::Node, 30_000);
        }
        match self.pacer.next(self.now_us) {
            Turn::Run(slice_us) => {
                self.node_busy = true;
                self.submit(Owner::Node, u64::from(slice_us));
            }
            Turn::Wait(wait_us) => self.node_waits_until_us = self.now_us + wait_us,
            Turn::Paused => self.node_waits_until_us = self.now_us + ASK_US,
        }
    }

    /// The first job of the queue runs for a step.
    fn device(&mut self) {
        let Some(job) = self.queue.front_mut() else { return };
        let ran_us = job.left_us.min(STEP_US);
        job.ran_us += ran_us;
        job.left_us -= ran_us;
        if job.left_us > 0 {
            return;
        }
        let Some(job) = self.queue.pop_front() else { return };
        let end_us = self.now_us + STEP_US;
        // Without timestamps, a node knows only from submission to completion.
        let latency_us = end_us - job.queued_us;
        match job.owner {
            Owner::Page => self.drawing = false,
            Owner::Stranger => {}
            Owner::Probe => {
                let latency_ms = (latency_us + DRIVER_US) as f64 / 1000.0;
                self.scheduler.signal(end_us, Signal::Probe { latency_ms });
            }
            Owner::Node => {
                self.node_busy = false;
                self.pacer.done(end_us, latency_us);
                self.seen.jobs.push((end_us, job.ran_us));
            }
        }
    }
}

/// A pause or what it is called.
pub(crate) fn is(reason: Reason) -> impl Fn(&Decision) -> bool {
    move |decision| decision.reason == reason
}

const STEP_US: u64 = 50;
const ASK_US: u64 = 250_000;
const PROBE_US: u64 = 50;
const DRIVER_US: u64 = 200;
