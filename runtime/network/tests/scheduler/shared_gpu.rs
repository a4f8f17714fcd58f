//! The closed loop: a page and strangers keep what is theirs, and the node gets what is left.

use network::scheduler::{Place, Reason};

use crate::world::{Scene, Seen, Stranger, is, play};

#[test]
fn a_page_keeps_its_frames_and_an_idle_users_limit_is_reached() {
    for (refresh_hz, frame_us) in [(60, 1000), (60, 6000), (120, 3000), (144, 2000)] {
        let scene = Scene { refresh_hz, frame_us, ..page() };
        let seen = play(scene);
        let shown = worst_shown(&seen, &scene);
        assert!(shown >= 950, "{refresh_hz} Hz, frames of {frame_us} us: {shown}");
        let decision = seen.at(scene.lasts_us);
        assert_eq!((decision.duty_permille, decision.reason), (300, Reason::Idle), "{refresh_hz} Hz");
        // The node charges itself for the time its jobs wait behind the page's.
        let used = seen.used_permille(20_000_000, 60_000_000);
        assert!((150..=300).contains(&used), "{refresh_hz} Hz, frames of {frame_us} us: {used}");
    }
}

/// A page that needs most of each frame has no room for a slice beside it: the node finds that out and keeps away.
#[test]
fn a_page_without_room_keeps_its_frames_too() {
    for (refresh_hz, frame_us) in [(60, 13_000), (60, 15_500), (120, 7000), (144, 5500)] {
        let scene = Scene { refresh_hz, frame_us, ..page() };
        let seen = play(scene);
        let shown = worst_shown(&seen, &scene);
        assert!(shown >= 950, "{refresh_hz} Hz, frames of {frame_us} us: {shown}");
    }
}

#[test]
fn a_page_that_stutters_by_itself_stutters_no_more_and_the_node_is_not_shut_out() {
    let alone = Scene { own_jank_every: 20, ..page() };
    let without = play(Scene { frame_us: 0, ..alone });
    let seen = play(alone);
    let (own, shared) = (
        without.shown_permille(&alone, 20_000_000, 60_000_000),
        seen.shown_permille(&alone, 20_000_000, 60_000_000),
    );
    assert!((850..950).contains(&own), "{own}");
    assert!(shared * 100 >= own * 95, "{shared} of {own}");
    let used = seen.used_permille(20_000_000, 60_000_000);
    assert!(used >= 100, "{used}");
}

/// A stranger takes 70 % of the device. Within three seconds the duty is halved, within ten nothing or next to nothing
/// runs; within fifteen of the stranger's end everything is back.
#[test]
fn a_stranger_on_the_gpu_is_noticed_and_its_end_too() {
    let (from_us, until_us) = (20_000_000, 40_000_000);
    let stranger = Some(Stranger { job_us: 14_000, every_us: 20_000, from_us, until_us });
    for place in [Place::Page, Place::Native] {
        let scene = Scene { place, stranger, ..page() };
        let seen = play(scene);
        let before = seen.at(from_us - 1).duty_permille;
        assert_eq!(before, 300, "{place:?}");
        let halved_us = seen.first(from_us, |d| d.duty_permille <= before / 2).expect("it is noticed");
        assert!(halved_us - from_us <= 3_000_000, "{place:?}: {halved_us}");
        let used = seen.used_permille(from_us + 10_000_000, until_us);
        assert!(used <= 50, "{place:?}: {used}");
        let back_us = seen.first(until_us, |d| d.duty_permille == before).expect("it comes back");
        assert!(back_us - until_us <= 15_000_000, "{place:?}: {back_us}");
    }
}

/// A game fills the device; a native worker stops and says why.
#[test]
fn a_game_pauses_a_native_worker() {
    let (from_us, until_us) = (20_000_000, 40_000_000);
    let stranger = Some(Stranger { job_us: 14_500, every_us: 15_000, from_us, until_us });
    let seen = play(Scene { place: Place::Native, frame_us: 200, stranger, ..page() });
    let paused_us = seen.first(from_us, is(Reason::GpuBusy)).expect("it is noticed");
    assert!(paused_us - from_us <= 4_000_000, "{paused_us}");
    assert!(seen.first(until_us, |d| d.duty_permille == 300).is_some());
}

/// A stranger with three fifths of the device delays a probe a little: no pause, but the node makes room, and takes it back.
#[test]
fn a_light_stranger_is_made_room_for() {
    let (from_us, until_us) = (20_000_000, 40_000_000);
    let stranger = Some(Stranger { job_us: 5900, every_us: 9700, from_us, until_us });
    let scene = Scene { place: Place::Native, frame_us: 200, stranger, ..page() };
    let seen = play(scene);
    let noticed_us = seen.first(from_us, is(Reason::GpuContended)).expect("it is noticed");
    assert!(noticed_us - from_us <= 3_000_000, "{noticed_us}");
    assert_eq!(seen.first(from_us, |d| d.reason.is_pause()), None);
    let room = seen.decisions.iter().filter(|(at, _)| (from_us + 10_000_000..until_us).contains(at));
    assert!(room.clone().count() > 30 && room.clone().all(|(_, d)| d.duty_permille <= 60));
    let back_us = seen.first(until_us, |d| d.duty_permille == 300).expect("it comes back");
    assert!(back_us - until_us <= 15_000_000, "{back_us}");
}

/// A node that does not listen is what the page would suffer from.
#[test]
fn a_planted_fault_is_caught() {
    let scene = Scene { obedient: false, ..page() };
    let shown = worst_shown(&play(scene), &scene);
    assert!(shown < 950, "{shown}");
}

/// The worst ten seconds after the first.
fn worst_shown(seen: &Seen, scene: &Scene) -> u64 {
    let shown = (1..scene.lasts_us / 1_000_000 - 10)
        .map(|second| seen.shown_permille(scene, second * 1_000_000, (second + 10) * 1_000_000));
    shown.min().expect("at least ten seconds")
}

fn page() -> Scene {
    Scene {
        place: Place::Page,
        refresh_hz: 60,
        frame_us: 4000,
        own_jank_every: 0,
        stranger: None,
        obedient: true,
        lasts_us: 60_000_000,
    }
}
