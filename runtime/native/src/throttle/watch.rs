//! A thread that looks at the machine every second and tells a throttle what it sees.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use network::scheduler::{Decision, Signal};

use super::{CpuTimes, Throttle, battery};

/// The thread; it ends when this is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches this machine for a throttle, and whether other processes use it if it `yields` to them. `seen` hears the decision after every look, with the share of the last second that
    /// was used, in thousandths.
    pub fn start(
        throttle: Arc<Throttle>,
        yields: bool,
        mut seen: impl FnMut(Decision, u16) + Send + 'static,
    ) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut before = CpuTimes::read();
            loop {
                let now = CpuTimes::read().filter(|_| yields);
                throttle.signal(look(&throttle, before, now));
                before = now;
                seen(throttle.decision(), throttle.occupancy_permille());
                match stopped.recv_timeout(LOOK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
            }
        });
        Watch { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What can be seen of the machine at this moment.
fn look(throttle: &Throttle, before: Option<CpuTimes>, now: Option<CpuTimes>) -> Vec<Signal> {
    let others = before.zip(now).and_then(|(before, now)| now.others_since(&before));
    let time = jiff::ZonedDateTime::now().time();
    let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).ok();
    let mut signals = vec![
        Signal::Minute(minute),
        Signal::Battery(battery()),
        Signal::Occupancy { share: f64::from(throttle.occupancy_permille()) / 1000.0 },
    ];
    signals.extend(others.map(|share| Signal::OtherLoad { share }));
    signals
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
