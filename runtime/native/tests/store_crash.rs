//! Crashes: processes killed while they write, and a disk whose power is cut. What was acknowledged is there, nothing is
//! torn, and no vote ever changes.
//!
//! A killed process loses what it had not yet handed to the operating system, and no more: killing tests that answers
//! come after commits, and that whatever state the file is in opens again. That the writes are synced before the
//! answer, and in an order that survives losing any of the others, only cutting the power can test; that is done on a
//! simulated disk, which keeps what was synced and of the rest sectors as chance has it.
//!
//! `EDGENET_TEST_SEED` sets the seed.

#[path = "common/disk.rs"]
mod disk;
#[path = "common/promise.rs"]
mod promise;

use std::{
    collections::VecDeque,
    env, fs,
    io::{self, BufRead, BufReader, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use disk::{Disk, Event, Fault, PowerCut};
use edge_net::store::RedbStore;
use ledger::store::{Batch, Store, StoreError, Table};
use promise::{Lots, NETWORK, Promise, batch, second_vote};

#[test]
fn killed_processes_keep_their_promise() {
    // Side by side, since a life mostly waits.
    let files = ["first", "second", "third", "fourth"]
        .map(|file| thread::spawn(move || Lives::new(file, false).run()));
    let acknowledged: usize = files
        .into_iter()
        .map(|file| file.join().expect("no panic").unwrap_or_else(|loss| panic!("{loss}")))
        .sum();
    // Otherwise the processes died before they did anything, and nothing was tested.
    assert!(acknowledged > 1000, "only {acknowledged} batches were acknowledged");
}

/// A process that acknowledges before it commits is found out.
#[test]
fn a_process_that_answers_early_is_caught() {
    let loss = Lives::new("early", true).run().expect_err("a loss");
    assert!(loss.contains("is lost"), "{loss}");
}

#[test]
fn a_store_is_open_in_one_process_at_a_time() {
    let lives = Lives::new("shared", false);
    RedbStore::create(&lives.path, &NETWORK).expect("made");
    let (mut child, lines) = lives.start(0);
    lines.recv_timeout(PATIENCE).expect("the child opens the store");
    let refused = RedbStore::open(&lives.path, &NETWORK).map(|_| ()).expect_err("in use");
    assert_eq!(refused.error, StoreError::InUse);
    child.kill().and_then(|()| child.wait()).expect("killed");
    RedbStore::open(&lives.path, &NETWORK).expect("its lock died with it");
}

/// What the other tests start, kill and start again: not a test of its own.
#[test]
#[ignore = "the child of the other tests"]
fn child() {
    let Ok(path) = env::var(CHILD_PATH) else { return };
    let life = env::var(CHILD_LIFE).expect("a life").parse::<u64>().expect("a number");
    let early = env::var(CHILD_EARLY).is_ok();
    let store = RedbStore::open(Path::new(&path), &NETWORK).unwrap_or_else(|error| panic!("{error}"));
    say("open");
    tempt(&store);
    // Nobody may survive a parent that was killed itself.
    let end = Instant::now() + Duration::from_secs(5);
    thread::scope(|scope| {
        for worker in 0..4 {
            let numbers =
                (0..).map(move |n| life << 32 | worker << 24 | n).take_while(|_| Instant::now() < end);
            let store = &store;
            scope.spawn(move || match worker {
                _ if early => numbers.for_each(|number| answer_early(store, number)),
                0 | 1 => numbers.for_each(|number| {
                    store.commit(batch(number)).expect("committed");
                    say(&format!("ack {number}"));
                }),
                _ => keep_in_flight(store, numbers),
            });
        }
    });
}

#[test]
fn power_cuts_keep_the_promise() {
    let lots = Lots(seed());
    let cuts = power_cuts(lots, None).unwrap_or_else(|loss| panic!("{loss}"));
    assert!(cuts > 400, "only {cuts} cuts");
}

/// A disk that does not do what it is told is found out, so a store that did not tell it would be.
#[test]
fn a_disk_that_lies_is_caught() {
    let loss = power_cuts(Lots(seed()), Some(Fault::Liar)).expect_err("a loss");
    assert!(loss.contains("is lost") || loss.contains("does not open"), "{loss}");
}

/// Lives of one process after another, on one file, each ended by SIGKILL.
struct Lives {
    path: PathBuf,
    early: bool,
}

impl Lives {
    fn new(test: &str, early: bool) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store_crash");
        fs::create_dir_all(&folder).expect("made");
        let path = folder.join(test);
        drop(fs::remove_file(&path));
        Lives { path, early }
    }

    /// Returns how many batches were acknowledged, or what was lost.
    fn run(&self) -> Result<usize, String> {
        let name = self.path.display();
        let mut lots = Lots(
            self.path
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .fold(seed(), |seed, byte| seed.rotate_left(8) ^ u64::from(*byte)),
        );
        let mut promise = Promise::default();
        let mut acknowledged = 0;
        RedbStore::create(&self.path, &NETWORK).expect("made");
        for life in 0..LIVES {
            let told = |what| format!("seed {}, {name}, life {life}: {what}", seed());
            let acks = self.live(life, &mut lots).map_err(told)?;
            acknowledged += acks.len();
            promise.kept.extend(acks);
            let store = RedbStore::open(&self.path, &NETWORK).map_err(|error| told(error.to_string()))?;
            promise.check(&store).map_err(told)?;
        }
        Ok(acknowledged)
    }

    /// One life; returns what it acknowledged.
    fn live(&self, life: u64, lots: &mut Lots) -> Result<Vec<u64>, String> {
        let (mut child, lines) = self.start(life);
        let mut seen = Vec::new();
        // One in four may die before it has opened the store, while it repairs what the last one left. The others get
        // as far as so many lines, however busy the machine is.
        if lots.below(4) > 0 {
            seen.extend((0..1 + lots.below(40)).map_while(|_| lines.recv_timeout(PATIENCE).ok()));
        }
        thread::sleep(Duration::from_micros(lots.below(20_000) as u64));
        child.kill().and_then(|()| child.wait()).expect("killed");
        seen.extend(lines);
        let mut acks = Vec::new();
        for line in &seen {
            match line.split_once(' ') {
                Some(("ack", number)) => acks.push(number.parse().expect("a number")),
                Some(("broken", what)) => return Err(what.to_owned()),
                _ => {}
            }
        }
        Ok(acks)
    }

    /// Starts a child; its whole lines arrive until it is dead.
    fn start(&self, life: u64) -> (Child, mpsc::Receiver<String>) {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["child", "--exact", "--ignored", "--nocapture", "--quiet"]);
        command.env(CHILD_PATH, &self.path).env(CHILD_LIFE, life.to_string());
        if self.early {
            command.env(CHILD_EARLY, "1");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // A line that the kill cut off was not said.
            while output.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
                if ["open", "ack ", "broken "].iter().any(|word| line.starts_with(word))
                    && sender.send(line.trim_end().to_owned()).is_err()
                {
                    break;
                }
                line.clear();
            }
        });
        (child, lines)
    }
}

/// Tries to vote again, differently, on what earlier lives voted on.
fn tempt(store: &RedbStore) {
    let mut votes = Vec::new();
    let scanned = store.scan(Table::Votes, b"", &mut |key, _| {
        votes.push(u64::from_be_bytes(key[8..].try_into().expect("a number")));
        if votes.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    scanned.expect("readable");
    for number in votes {
        let answer = store.commit(second_vote(number));
        if !matches!(answer, Err(StoreError::Conflict { table: Table::Votes, .. })) {
            say(&format!("broken a second vote was answered {answer:?}"));
        }
    }
}

/// Acknowledges in the order of the answers, eight batches behind the last one it began.
fn keep_in_flight(store: &RedbStore, numbers: impl Iterator<Item = u64>) {
    let mut flying = VecDeque::new();
    for number in numbers {
        flying.push_back((number, store.begin(batch(number))));
        if flying.len() == 8 {
            let (number, ticket) = flying.pop_front().expect("eight");
            ticket.wait().expect("committed");
            say(&format!("ack {number}"));
        }
    }
}

fn answer_early(store: &RedbStore, number: u64) {
    say(&format!("ack {number}"));
    thread::sleep(Duration::from_millis(2));
    drop(store.begin(batch(number)));
}

/// One write for the whole line, past the test harness's own buffer.
fn say(line: &str) {
    let mut output = io::stdout().lock();
    output
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| output.flush())
        .expect("the parent listens");
}

/// Writes on a recording disk, then cuts its power at many points of the record. After some of the cuts the store goes on
/// writing, and is cut again, also while it repairs itself. Returns how many cuts there were, or what was lost.
fn power_cuts(mut lots: Lots, fault: Option<Fault>) -> Result<usize, String> {
    let disk = Disk::default();
    drop(RedbStore::on(disk.clone(), &NETWORK).expect("made"));
    let life = Life::record(disk.bytes(), fault, 0..150, &mut lots);
    let mut cuts = 0;
    let mut power = PowerCut::new(life.before.clone(), &life.log);
    for at in points(life.log.len(), 300, &mut lots) {
        let image = power.at(at, &mut lots);
        let mut promise = life.promised(at);
        survive(&image, &mut promise, at)?;
        cuts += 1;
        if lots.below(8) > 0 {
            continue;
        }
        let second = Life::record(image, fault, 1000..1010, &mut lots);
        let mut power = PowerCut::new(second.before.clone(), &second.log);
        for again in points(second.log.len(), 8, &mut lots) {
            let mut promise = Promise { kept: &promise.kept | &second.promised(again).kept };
            survive(&power.at(again, &mut lots), &mut promise, again)?;
            cuts += 1;
        }
    }
    Ok(cuts)
}

fn survive(image: &[u8], promise: &mut Promise, at: usize) -> Result<(), String> {
    let told = |what| format!("seed {}, cut after {at} events: {what}", seed());
    let store = RedbStore::on(Disk::holding(image.to_vec()), &NETWORK)
        .map_err(|error| told(format!("the store does not open: {error}")))?;
    promise.check(&store).map_err(told)
}

/// What a store did on a disk, from opening it on.
struct Life {
    /// What the disk held, safely, at the beginning.
    before: Vec<u8>,
    log: Vec<Event>,
    /// After how many events each batch was acknowledged.
    acks: Vec<(usize, u64)>,
}

impl Life {
    fn record(before: Vec<u8>, fault: Option<Fault>, numbers: std::ops::Range<u64>, lots: &mut Lots) -> Self {
        let disk = Disk::holding(before.clone());
        let acks = Arc::new(Mutex::new(Vec::new()));
        let store = RedbStore::on(disk.clone(), &NETWORK).expect("opened");
        if let Some(fault) = fault {
            disk.breaks(fault);
        }
        for number in numbers {
            let (disk, acks) = (disk.clone(), acks.clone());
            store.submit(
                batch(number),
                Box::new(move |result| {
                    result.expect("committed");
                    // On the writer's thread: nothing else happens to the disk meanwhile.
                    acks.lock().expect("no panic holds it").push((disk.events(), number));
                }),
            );
            if lots.below(3) == 0 {
                // Groups of many sizes.
                store.commit(Batch::new()).expect("committed");
            }
        }
        drop(store);
        let acks = acks.lock().expect("no panic holds it").clone();
        Life { before, log: disk.log(), acks }
    }

    /// What was acknowledged within so many events.
    fn promised(&self, at: usize) -> Promise {
        Promise {
            kept: self.acks.iter().filter(|(when, _)| *when <= at).map(|(_, number)| *number).collect(),
        }
    }
}

/// Points of a log, in rising order, about `count` of them.
fn points(events: usize, count: usize, lots: &mut Lots) -> Vec<usize> {
    let mut points: Vec<usize> = (0..count).map(|_| lots.below(events + 1)).collect();
    points.sort_unstable();
    points
}

fn seed() -> u64 {
    env::var("EDGENET_TEST_SEED").map_or(20_261_125, |seed| seed.parse().expect("a number"))
}

/// Processes killed on one file. Opening reads all of it, so it should not grow without end.
const LIVES: u64 = 50;
/// How long a child may take for a line.
const PATIENCE: Duration = Duration::from_secs(30);
const CHILD_PATH: &str = "EDGENET_STORE_CRASH_PATH";
const CHILD_LIFE: &str = "EDGENET_STORE_CRASH_LIFE";
const CHILD_EARLY: &str = "EDGENET_STORE_CRASH_EARLY";
