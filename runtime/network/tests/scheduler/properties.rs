//! What holds after every sequence of signals, however absurd.

use network::scheduler::{
    Again, Battery, Decision, Device, Focus, Place, Pressure, RawSettings, Reason, Scheduler, Signal,
    Visibility,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

#[test]
fn whatever_is_reported_the_rules_hold() {
    check(|decision| decision).expect("no rule is broken");
}

/// Each rule is broken once, and each time it is noticed.
#[test]
fn planted_faults_are_caught() {
    type Plant = fn(Decision) -> Decision;
    let plants: [(&str, Plant); 5] = [
        ("limit", |d| Decision {
            duty_permille: d.duty_permille + u16::from(d.duty_permille > 150) * 900,
            ..d
        }),
        ("pause", |d| Decision { duty_permille: 0, ..d }),
        ("slice", |d| Decision { slice_us: d.slice_us * 2, ..d }),
        ("jump", |d| Decision { duty_permille: d.ceiling_permille, ..d }),
        ("flap", |d| match d.reason {
            Reason::CpuPressure => {
                Decision { reason: Reason::Active, duty_permille: 1, ceiling_permille: 1, slice_us: 500, ..d }
            }
            _ => d,
        }),
    ];
    for (rule, plant) in plants {
        let error = check(plant).expect_err(rule);
        assert!(error.contains(rule), "{rule}: {error}");
    }
}

fn check(plant: impl Fn(Decision) -> Decision) -> Result<(), String> {
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 2000, failure_persistence: None, ..Config::default() },
        TestRunner::deterministic().new_rng(),
    );
    let world = (raw_settings(), any::<bool>(), prop::collection::vec((time(), signal()), 1..120));
    let run = |(raw, gpu, events): (RawSettings, bool, Vec<(Time, Signal)>)| {
        let device = if gpu { Device::Gpu } else { Device::Cpu };
        let mut scheduler = Scheduler::new(raw.check().expect("good settings"), device, 0);
        let mut watch = Watch::new(raw, device);
        let mut clock_us = 0u64;
        for (time, signal) in events {
            clock_us = match time {
                Time::Forward(us) => clock_us.saturating_add(us),
                Time::Backward(us) => clock_us.saturating_sub(us),
            };
            scheduler.signal(clock_us, signal);
            let decision = plant(scheduler.decide(clock_us));
            watch.see(clock_us, decision).map_err(TestCaseError::fail)?;
        }
        Ok(())
    };
    runner.run(&world, run).map_err(|error| error.to_string())
}

/// Watches decisions go by, and knows only what a caller knows.
struct Watch {
    raw: RawSettings,
    limit_permille: u16,
    now_us: u64,
    duty_permille: u16,
    /// The pause that is on, and when it was first seen.
    pause: Option<(Reason, u64)>,
}

impl Watch {
    fn new(raw: RawSettings, device: Device) -> Self {
        let limit_permille = raw.check().expect("good settings").limit_permille(device);
        Watch { raw, limit_permille, now_us: 0, duty_permille: 0, pause: None }
    }

    fn see(&mut self, clock_us: u64, decision: Decision) -> Result<(), String> {
        let Decision { duty_permille, ceiling_permille, slice_us, reason, again } = decision;
        let passed_us = clock_us.saturating_sub(self.now_us);
        self.now_us = self.now_us.max(clock_us);
        let ensure = |holds: bool, rule: &str| {
            if holds { Ok(()) } else { Err(format!("{rule}: {decision:?} at {}", self.now_us)) }
        };
        ensure(duty_permille <= self.limit_permille && ceiling_permille <= self.limit_permille, "limit")?;
        let stands = (duty_permille == 0, slice_us == 0) == (reason.is_pause(), reason.is_pause());
        ensure(stands, "pause")?;
        let longest_ms =
            self.raw.slice_visible_ms.max(self.raw.slice_hidden_ms).max(self.raw.slice_native_ms);
        ensure(f64::from(slice_us) <= longest_ms * 1000.0, "slice")?;
        // 50 a second, from a start of 20, rounded.
        let rise = 20 + passed_us.min(1_000_000) * 50 / 1_000_000 + 1;
        ensure(u64::from(duty_permille) <= u64::from(self.duty_permille) + rise, "jump")?;
        ensure(matches!(again, Again::OnMessage | Again::After(1..=30_000_000)), "again")?;
        if let Some((was, since_us)) = self.pause {
            let young = self.now_us - since_us < 1_000_000;
            let user = matches!(was, Reason::UserPaused | Reason::LimitZero | Reason::Measuring);
            let ended = reason != was && reason > was;
            ensure(!(young && ended && !user), "flap")?;
        }
        self.duty_permille = duty_permille;
        match self.pause {
            Some((was, _)) if was == reason => {}
            _ => self.pause = reason.is_pause().then_some((reason, self.now_us)),
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Time {
    Forward(u64),
    Backward(u64),
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        8 => (0u64..50_000).prop_map(Time::Forward),
        8 => (50_000u64..700_000).prop_map(Time::Forward),
        2 => (700_000u64..20_000_000).prop_map(Time::Forward),
        1 => prop_oneof![Just(Time::Forward(1 << 50)), Just(Time::Backward(1 << 20))],
    ]
}

fn number() -> impl Strategy<Value = f64> {
    let absurd = prop::sample::select(vec![
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        0.0,
        -0.0,
        1e300,
        f64::MIN_POSITIVE,
    ]);
    prop_oneof![6 => 0.0..1.0f64, 8 => 1.0..60.0f64, 1 => absurd, 1 => any::<f64>()]
}

fn signal() -> impl Strategy<Value = Signal> {
    let visibility = prop::sample::select(vec![Visibility::Visible, Visibility::Visible, Visibility::Hidden]);
    let focus = prop::sample::select(vec![Focus::Focused, Focus::Unfocused, Focus::Unknown]);
    let pressure =
        prop::sample::select(vec![Pressure::Nominal, Pressure::Fair, Pressure::Serious, Pressure::Critical]);
    let battery = prop::option::of((number(), any::<bool>()));
    let rarely = || prop::bool::weighted(0.1);
    prop_oneof![
        20 => number().prop_map(|interval_ms| Signal::Frame { interval_ms }),
        1 => number().prop_map(|duration_ms| Signal::LongFrame { duration_ms }),
        2 => visibility.prop_map(Signal::Visibility),
        2 => focus.prop_map(Signal::Focus),
        1 => Just(Signal::Input),
        2 => battery.prop_map(|b| Signal::Battery(b.map(|(level, charging)| Battery { level, charging }))),
        1 => rarely().prop_map(Signal::SaveData),
        1 => rarely().prop_map(Signal::Privacy),
        2 => pressure.prop_map(Signal::Pressure),
        2 => number().prop_map(|share| Signal::OtherLoad { share }),
        1 => prop::option::of(any::<u16>()).prop_map(Signal::Minute),
        2 => number().prop_map(|share| Signal::Occupancy { share }),
        8 => number().prop_map(|latency_ms| Signal::Probe { latency_ms }),
        1 => rarely().prop_map(Signal::Pause),
    ]
}

fn raw_settings() -> impl Strategy<Value = RawSettings> {
    let place = prop::sample::select(vec![Place::Page, Place::Native]);
    let flags = any::<[bool; 6]>();
    let hours = prop::option::weighted(0.2, (0u16..700, 700u16..1440));
    (place, 0.0..=1.0f64, prop::option::of(0.0..=1.0f64), 0.0..9000.0f64, flags, hours).prop_map(
        |(place, contribution, gpu_limit, min_idle_time_ms, flags, hours)| {
            let [allow_hidden, respect_battery, respect_save_data, privacy_opt_in, mobile, both] = flags;
            let focus_required = both && mobile;
            RawSettings {
                contribution,
                gpu_limit,
                min_idle_time_ms,
                focus_required,
                respect_battery,
                allow_hidden,
                respect_save_data,
                privacy_opt_in,
                mobile,
                hours,
                ..RawSettings::new(place)
            }
        },
    )
}
