//! Every state can be reached, and says its name.

use std::collections::BTreeMap;

use network::scheduler::{
    Again, Battery, Decision, Device, Focus, Place, Pressure, RawSettings, Reason, Scheduler, Signal,
    Visibility,
};

#[test]
fn every_reason_is_reached() {
    let mut reached = BTreeMap::new();
    for (expected, node) in pages().into_iter().chain(workers()) {
        let mut node = node;
        let decision = node.decide();
        assert_eq!(decision.reason, expected, "{decision:?}");
        assert_eq!(decision.duty_permille == 0, expected.is_pause(), "{decision:?}");
        reached.insert(expected, decision);
    }
    let missing: Vec<&str> =
        Reason::ALL.iter().filter(|r| !reached.contains_key(r)).map(|r| r.code()).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn slices_follow_the_display_and_the_place() {
    let slice_us = |mut node: Node| node.decide().slice_us;
    assert_eq!(slice_us(Node::page(|_| {}).idle()), 4000);
    assert_eq!(slice_us(Node::page(|_| {}).frames(200, 6.9444)), 6944 / 4);
    let hidden = Node::page(|raw| raw.allow_hidden = true).with(Signal::Visibility(Visibility::Hidden));
    assert_eq!(slice_us(hidden.clone()), 8000);
    assert_eq!(hidden.clone().decide().again, Again::OnMessage, "a hidden page's timers sleep");
    assert_eq!(slice_us(Node::native(|_| {})), 10_000);
}

#[test]
fn a_threshold_crossed_to_and_fro_does_not_flap() {
    let level = |level| Signal::Battery(Some(Battery { level, charging: false }));
    let mut node = Node::native(|_| {}).with(level(0.49));
    let (mut flips, mut paused) = (0, true);
    assert_eq!(node.decide().reason, Reason::BatteryLow);
    for step in 0..100 {
        node.now_us += 100_000;
        node = node.with(level(if step % 2 == 0 { 0.51 } else { 0.49 }));
        let now_paused = node.decide().reason == Reason::BatteryLow;
        flips += u32::from(now_paused != paused);
        paused = now_paused;
    }
    assert_eq!((flips, paused), (0, true));
    node = node.with(level(0.56));
    assert_eq!(node.decide().reason, Reason::BatteryLow, "for a second more");
    node.now_us += 1_000_000;
    assert_eq!(node.decide().reason, Reason::OnBattery);
}

#[test]
fn a_pause_looks_again_when_its_second_ends() {
    let mut node = Node::page(|_| {}).with(Signal::Visibility(Visibility::Hidden));
    assert_eq!(node.decide().again, Again::After(30_000_000));
    node.now_us += 400_000;
    node = node.with(Signal::Visibility(Visibility::Visible));
    assert_eq!(node.decide().again, Again::After(600_000));
}

#[test]
fn stopping_is_at_once_and_so_is_going_on() {
    let mut node = Node::page(|_| {}).idle().with(Signal::Pause(true));
    assert_eq!(node.decide().reason, Reason::UserPaused);
    node = node.with(Signal::Pause(false));
    assert_eq!(node.decide().reason, Reason::Idle);
}

fn pages() -> Vec<(Reason, Node)> {
    let page = || Node::page(|_| {});
    let battery = |level| Signal::Battery(Some(Battery { level, charging: false }));
    vec![
        (Reason::UserPaused, page().with(Signal::Pause(true))),
        (Reason::LimitZero, Node::page(|raw| raw.contribution = 0.0)),
        (Reason::PrivacySignal, page().with(Signal::Privacy(true))),
        (Reason::Active, Node::page(|raw| raw.privacy_opt_in = true).with(Signal::Privacy(true))),
        (Reason::SaveData, page().with(Signal::SaveData(true))),
        (Reason::Hidden, page().with(Signal::Visibility(Visibility::Hidden))),
        (
            Reason::FocusRequired,
            Node::page(|raw| raw.focus_required = true).with(Signal::Focus(Focus::Unknown)),
        ),
        (Reason::BatteryLow, page().with(battery(0.3))),
        (Reason::CpuPressure, page().with(Signal::Pressure(Pressure::Serious))),
        (Reason::Measuring, Node::unmeasured(RawSettings::new(Place::Page))),
        (Reason::PageStalled, page().later(600_000)),
        (Reason::LongFrame, page().with(Signal::LongFrame { duration_ms: 80.0 })),
        (Reason::PageStruggling, page().silent().frames(30, 50.0)),
        (Reason::PageModerate, page().silent().frames(8, 16.6667).frames(15, 33.3333)),
        (Reason::OnBattery, page().idle().with(battery(0.9))),
        (Reason::OnBattery, page().with(battery(f64::NAN))),
        (Reason::OnBattery, Node::page(|raw| raw.mobile = true).idle()),
        (Reason::CpuPressureFair, page().idle().with(Signal::Pressure(Pressure::Fair))),
        (Reason::Unfocused, page().with(Signal::Focus(Focus::Unfocused)).idle()),
        (Reason::Active, page()),
        (Reason::Idle, page().idle()),
        (
            Reason::HiddenAllowed,
            Node::page(|raw| raw.allow_hidden = true).with(Signal::Visibility(Visibility::Hidden)),
        ),
        (Reason::FramesMissed, {
            // The first miss is listened to; the second comes soon after.
            let mut page = page().idle();
            page.decide();
            page = page.frames(8, 50.0);
            assert_eq!(page.decide().reason, Reason::Measuring);
            let mut page = page.frames(120, 16.6667);
            page.decide();
            page.frames(4, 33.3333).frames(30, 16.6667)
        }),
    ]
}

fn workers() -> Vec<(Reason, Node)> {
    let native = || Node::native(|_| {});
    let probes = |node: Node, count: usize, latency_ms: f64| {
        (0..count).fold(node, |node, _| node.with(Signal::Probe { latency_ms }))
    };
    let night = |raw: &mut RawSettings| raw.hours = Some((1320, 360));
    vec![
        (Reason::OutsideHours, Node::native(night).with(Signal::Minute(Some(720)))),
        (Reason::OutsideHours, Node::native(night)),
        (Reason::Idle, Node::native(night).with(Signal::Minute(Some(30)))),
        (Reason::MachineBusy, native().with(Signal::OtherLoad { share: 0.9 })),
        (Reason::MachineLoad, native().with(Signal::OtherLoad { share: 0.75 })),
        (Reason::Active, native().with(Signal::Input)),
        (Reason::GpuBusy, probes(probes(native(), 8, 0.3), 8, 9.0)),
        (Reason::GpuContended, probes(probes(native(), 8, 0.3), 8, 1.2)),
    ]
}

#[derive(Clone)]
struct Node {
    scheduler: Scheduler,
    now_us: u64,
}

impl Node {
    /// A visible page at 60 Hz that has the focus, measured, its user active.
    fn page(change: impl Fn(&mut RawSettings)) -> Self {
        let mut raw = RawSettings::new(Place::Page);
        change(&mut raw);
        Node::unmeasured(raw).frames(80, 16.6667).with(Signal::Input)
    }

    fn unmeasured(raw: RawSettings) -> Self {
        let scheduler = Scheduler::new(raw.check().expect("good settings"), Device::Gpu, 0);
        let node = Node { scheduler, now_us: 0 };
        node.with(Signal::Visibility(Visibility::Visible)).with(Signal::Focus(Focus::Focused))
    }

    fn native(change: impl Fn(&mut RawSettings)) -> Self {
        let mut raw = RawSettings::new(Place::Native);
        // Above what other load leaves.
        raw.contribution = 0.5;
        change(&mut raw);
        Node { scheduler: Scheduler::new(raw.check().expect("good settings"), Device::Gpu, 0), now_us: 0 }
    }

    fn with(mut self, signal: Signal) -> Self {
        self.scheduler.signal(self.now_us, signal);
        self
    }

    fn frames(mut self, count: usize, interval_ms: f64) -> Self {
        for _ in 0..count {
            self.now_us += (interval_ms * 1000.0) as u64;
            self.scheduler.signal(self.now_us, Signal::Frame { interval_ms });
        }
        self
    }

    /// Six seconds without input.
    fn idle(self) -> Self {
        self.frames(360, 16.6667)
    }

    /// The device is reported unused, so that missed frames are the page's own.
    fn silent(self) -> Self {
        self.with(Signal::Occupancy { share: 0.0 })
    }

    fn later(mut self, us: u64) -> Self {
        self.now_us += us;
        self
    }

    fn decide(&mut self) -> Decision {
        self.scheduler.decide(self.now_us)
    }
}
