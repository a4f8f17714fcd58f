//! A flood of a hundred times the honest load from a thousand free identities, in simulated time.

use super::*;

const SLOTS: usize = 32;
const STEP_MS: u64 = 10;
const HONEST: u64 = 20;
const SYBILS: u64 = 1_000;
const RUN_MS: u64 = 300_000;

struct Lcg(u64);

impl Lcg {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Honest submitters' times from sending to result, ascending, in milliseconds. A unit takes a millisecond of a slot.
fn honest_times(flood: bool, sybil_share: impl Fn(u64) -> Share) -> Vec<u64> {
    let mut queue = Queue::new(Settings { max_open: 8_000, ..Settings::default() });
    let (mut honest, mut sybils) = (Lcg(1), Lcg(2));
    let mut free_ms = [0u64; SLOTS];
    let (mut sent_ms, mut times) = (BTreeMap::new(), Vec::new());
    let mut names = 0;
    for now_ms in (0..RUN_MS).step_by(STEP_MS as usize) {
        queue.tick(now_ms);
        // 16.4 a second of 1,167 ms on average: 60 % of the slots.
        if honest.draw() % 1_000 < 164 {
            names += 1;
            let units = [500, 1_000, 2_000][honest.draw() as usize % 3];
            let task = Task { units, ttl_ms: RUN_MS, ..task(names, honest.draw() % HONEST, 1) };
            sent_ms.insert(task.id, now_ms);
            // One that finds no room stays in `sent_ms`.
            let _ = queue.submit(task, now_ms);
        }
        for n in 0..if flood { 16 } else { 0 } {
            let sybil = HONEST + sybils.draw() % SYBILS;
            let share = sybil_share(sybil);
            // They pay for the fast lane, too.
            let priority = Priority::ALL[sybils.draw() as usize % 3];
            let name = (1 << 40) + now_ms * 100 + n;
            let units = 500 + sybils.draw() % 1_500;
            let _ =
                queue.submit(Task { share, priority, units, ttl_ms: RUN_MS, ..task(name, sybil, 0) }, now_ms);
        }
        let free: Vec<usize> = (0..SLOTS).filter(|&slot| free_ms[slot] <= now_ms).collect();
        for (taken, slot) in free.iter().enumerate() {
            let slots = Slots { free: (free.len() - taken) as u32, total: SLOTS as u32 };
            let Some((id, units)) = queue.next(slots).map(|task| (task.id, task.units)) else { break };
            free_ms[*slot] = now_ms + units;
            queue.finish(id).expect("open");
            times.extend(sent_ms.remove(&id).map(|sent| free_ms[*slot] - sent));
        }
    }
    // What was never served took all the time there was.
    times.extend(sent_ms.into_values().filter(|sent| sent + 10_000 < RUN_MS).map(|_| RUN_MS));
    times.sort_unstable();
    times
}

fn p99(times: &[u64]) -> u64 {
    times[times.len() * 99 / 100]
}

#[test]
fn a_flood_from_a_thousand_sybils_hardly_touches_the_honest() {
    let calm = honest_times(false, |_| unreachable!("nobody floods"));
    // Each from a block of its own: the strongest that costs no stake.
    let flooded = honest_times(true, |n| Share::Block(block(n)));
    assert!(calm.len() > 4_000 && flooded.len() > 4_000);
    let (before, after) = (p99(&calm), p99(&flooded));
    assert!(after * 100 <= before * 120, "p99 {before} ms, under the flood {after} ms");
}

/// A queue that is fair over identities, as if each had stake.
#[test]
fn a_queue_fair_over_identities_is_caught() {
    let calm = honest_times(false, |_| unreachable!("nobody floods"));
    let flooded = honest_times(true, |n| Share::Stake { account: account(n), turns: 1 });
    assert!(p99(&flooded) > 10 * p99(&calm));
}
