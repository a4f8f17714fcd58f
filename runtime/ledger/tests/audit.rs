//! The audit log from outside: golden bytes, every kind of tampering, hostile bytes.

use ledger::audit::{
    AuditError, Entry, EntryError, Event, EventKind, Head, Log, MAX_DETAIL_BYTES, MAX_ENTRY_BYTES, verify,
    verify_against,
};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn log(length: usize) -> (Vec<Vec<u8>>, Head) {
    let mut log = Log::new();
    let entries = (0..length).map(|i| {
        let kind = EventKind::ALL[i % EventKind::ALL.len()];
        let event = Event::new(100 + i as u64 / 3, kind, [i as u8; 32], &format!("event {i}")).unwrap();
        log.append(event).unwrap().encode()
    });
    (entries.collect(), log.head())
}

#[test]
fn golden_bytes() {
    let mut log = Log::new();
    let first = Event::new(7, EventKind::ForkProof, [0xaa; 32], "seq 3 signed twice").unwrap();
    let first = log.append(first).unwrap();
    let second = log.append(Event::new(0x0102, EventKind::BackupExported, [0; 32], "").unwrap()).unwrap();
    assert_eq!(hex(&first.encode()), FIRST);
    assert_eq!(hex(&first.id()), FIRST_ID);
    assert_eq!(hex(&second.encode()), SECOND);
    assert_eq!(hex(&second.id()), SECOND_ID);
    assert_eq!(log.head(), Head { entries: 2, id: second.id() });
    assert_eq!(second.previous, first.id());
    assert_eq!(Entry::decode(&first.encode()), Ok(first));
}

#[test]
fn codes_and_names_are_stable() {
    let listed: Vec<_> = EventKind::ALL.iter().map(|kind| (kind.code(), kind.name())).collect();
    assert_eq!(listed, KINDS);
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_code(kind.code()), Some(kind));
        assert_eq!(EventKind::from_name(kind.name()), Some(kind));
    }
    assert_eq!(EventKind::from_code(0), None);
    assert_eq!(EventKind::from_code(19), None);
    assert_eq!(EventKind::from_name("Slashed"), None);
}

#[test]
fn details_are_short_lines() {
    let detail = |text: &str| Event::new(0, EventKind::Slashed, [0; 32], text).map(|e| e.detail().to_owned());
    let longest = "é".repeat(128);
    assert_eq!(detail(&longest), Ok(longest.clone()));
    assert_eq!(detail(&format!("{longest}x")), Err(EntryError::DetailTooLong { found: 257 }));
    assert_eq!(detail("a\u{1b}[2J"), Err(EntryError::ControlCharacter { position: 1 }));
    assert_eq!(detail("two\nlines"), Err(EntryError::ControlCharacter { position: 3 }));
    assert_eq!(detail("\u{85}"), Err(EntryError::ControlCharacter { position: 0 }));
    for turner in
        ['\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{200e}', '\u{200f}']
    {
        assert_eq!(detail(&format!("ab{turner}")), Err(EntryError::ControlCharacter { position: 2 }));
    }
    let event = Event::new(3, EventKind::Slashed, [4; 32], "x").unwrap();
    assert_eq!((event.epoch(), event.kind(), event.subject()), (3, EventKind::Slashed, &[4; 32]));
}

#[test]
fn what_is_no_entry() {
    let entry = log(1).0.remove(0);
    let decode = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = entry.clone();
        change(&mut bytes);
        Entry::decode(&bytes).unwrap_err()
    };
    let length = entry.len();
    assert_eq!(decode(&|b| b.clear()), EntryError::Length { found: 0, wanted: 84 });
    assert_eq!(decode(&|b| b.truncate(83)), EntryError::Length { found: 83, wanted: 84 });
    assert_eq!(decode(&|b| b.truncate(length - 1)), EntryError::Length { found: length - 1, wanted: length });
    assert_eq!(decode(&|b| b.push(0)), EntryError::Length { found: length + 1, wanted: length });
    assert_eq!(decode(&|b| b[0] = 2), EntryError::Version { found: 2 });
    assert_eq!(decode(&|b| b[49] = 0), EntryError::Kind { found: 0 });
    assert_eq!(decode(&|b| b[82] = 2), EntryError::DetailTooLong { found: 519 });
    assert_eq!(decode(&|b| b[84] = 0xff), EntryError::NotText);
    assert_eq!(decode(&|b| b[85] = 7), EntryError::ControlCharacter { position: 1 });
}

#[test]
fn a_log_that_is_whole() {
    assert_eq!(verify::<&[u8]>([]), Ok(Head::default()));
    let (entries, head) = log(40);
    assert_eq!(verify(&entries), Ok(head));
    // Written in two sittings it is the same log.
    let mut resumed = Log::resume(verify(&entries[..39]).unwrap());
    let last = Entry::decode(&entries[39]).unwrap();
    assert_eq!(resumed.append(last.event.clone()), Ok(last));
    assert_eq!(resumed.head(), head);
    let mut full = Log::resume(Head { entries: u64::MAX, id: [1; 32] });
    let event = Event::new(0, EventKind::Slashed, [0; 32], "").unwrap();
    assert_eq!(full.append(event), Err(AuditError::Full));
    assert_eq!(full.head().entries, u64::MAX);
}

/// Faults planted at every place of a log, and the entry that must be named. `check` stands for `verify`.
fn missed_faults(check: impl Fn(&[Vec<u8>]) -> Option<u64>) -> Vec<String> {
    let (entries, _) = log(12);
    let stranger = log(13).0.remove(12);
    let mut missed = Vec::new();
    let mut plant = |what: &str, at: usize, names: usize, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut bad = entries.clone();
        change(&mut bad);
        if check(&bad) != Some(names as u64) {
            missed.push(format!("{what} {at}"));
        }
    };
    for at in 0..11 {
        plant("dropped", at, at, &|e| drop(e.remove(at)));
        plant("swapped", at, at, &|e| e.swap(at, at + 1));
        plant("repeated", at, at + 1, &|e| e.insert(at, entries[at].clone()));
        plant("inserted", at, at, &|e| e.insert(at, stranger.clone()));
        // A change shows where the next entry points back to it.
        plant("changed subject", at, at + 1, &|e| e[at][60] ^= 1);
        plant("changed epoch", at, at + 1, &|e| e[at][48] ^= 1);
        plant("changed link", at, at, &|e| e[at][20] ^= 1);
        plant("changed number", at, at, &|e| e[at][8] ^= 1);
        plant("cut", at, at, &|e| e[at].truncate(90));
        plant("inserted in form", at, at + 1, &|e| {
            let mut forged = Entry::decode(&e[at]).unwrap();
            forged.event = Event::new(0, EventKind::StoreRestored, [0; 32], "all is well").unwrap();
            e.insert(at, forged.encode());
        });
        plant("replaced in form", at, at + 1, &|e| {
            let mut forged = Entry::decode(&e[at]).unwrap();
            forged.event = Event::new(0, EventKind::StoreRestored, [0; 32], "all is well").unwrap();
            e[at] = forged.encode();
        });
    }
    missed
}

fn first_bad(entries: &[Vec<u8>]) -> Option<u64> {
    match verify(entries).err()? {
        AuditError::Undecodable { at, .. } | AuditError::Gap { at, .. } | AuditError::Link { at } => Some(at),
        other => panic!("{other}"),
    }
}

#[test]
fn tampering_is_found_and_named() {
    assert_eq!(missed_faults(first_bad), Vec::<String>::new());
    let (entries, _) = log(3);
    assert_eq!(verify(&entries[1..]), Err(AuditError::Gap { at: 0, found: 1 }));
    assert_eq!(verify([&entries[0], &entries[2]]), Err(AuditError::Gap { at: 1, found: 2 }));
    let other = log(4).0;
    let mut changed = other.clone();
    changed[1][60] ^= 1;
    assert_eq!(verify(&changed), Err(AuditError::Link { at: 2 }));
}

/// A check that looks at numbers only lets every change of content through.
#[test]
fn a_planted_fault_is_caught() {
    let numbers_only = |entries: &[Vec<u8>]| {
        let wrong =
            |(at, bytes): (usize, &Vec<u8>)| Entry::decode(bytes).map_or(true, |e| e.sequence != at as u64);
        entries.iter().enumerate().position(wrong).map(|at| at as u64)
    };
    let missed = missed_faults(numbers_only);
    assert!(missed.contains(&"changed subject 3".to_owned()), "{missed:?}");
    assert!(missed.contains(&"replaced in form 3".to_owned()), "{missed:?}");
    assert!(missed.contains(&"changed link 3".to_owned()), "{missed:?}");
}

#[test]
fn a_cut_end_shows_against_a_known_head_only() {
    let (entries, head) = log(10);
    for length in 0..10 {
        let cut = &entries[..length];
        // The cut log is a good log, which the documentation of verify says.
        let kept = verify(cut).unwrap();
        let truncated = Err(AuditError::Truncated { found: length as u64, wanted: 10 });
        assert_eq!(verify_against(&head, cut), truncated);
        // A log that has grown since its head was taken is in order.
        assert_eq!(verify_against(&kept, &entries), Ok(head));
    }
}

#[test]
fn a_rewritten_log_shows_against_a_known_head_only() {
    let (entries, head) = log(10);
    let mut log = Log::new();
    let rewritten = entries.iter().enumerate().map(|(i, bytes)| {
        let event = Entry::decode(bytes).unwrap().event;
        let other =
            Event::new(event.epoch(), EventKind::StoreRestored, *event.subject(), "all is well").unwrap();
        log.append(if i == 4 { other } else { event }).unwrap().encode()
    });
    let rewritten: Vec<_> = rewritten.collect();
    assert_eq!(verify(&rewritten), Ok(log.head()));
    assert_eq!(verify_against(&head, &rewritten), Err(AuditError::Rewritten { entries: 10 }));
    // In the last entry nothing points back to the change, so one entry is enough to rewrite.
    let mut last = entries.clone();
    last[9][60] ^= 1;
    assert!(verify(&last).is_ok());
    assert_eq!(verify_against(&head, &last), Err(AuditError::Rewritten { entries: 10 }));
    let early = verify(&entries[..4]).unwrap();
    assert_eq!(verify_against(&early, &rewritten), Ok(log.head()));
    let forged = Head { entries: 0, id: [1; 32] };
    assert_eq!(verify_against(&forged, &entries), Err(AuditError::Rewritten { entries: 0 }));
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(&EventKind::ALL[..]);
    (any::<u64>(), kind, any::<[u8; 32]>(), "[^\\pC\\p{Zl}\\p{Zp}]{0,64}").prop_map(
        |(epoch, kind, subject, detail)| Event::new(epoch, kind, subject, &detail).expect("a short line"),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn entries_come_back(event in event(), sequence: u64, previous: [u8; 32]) {
        let entry = Entry { sequence, previous, event };
        let bytes = entry.encode();
        prop_assert!(bytes.len() <= MAX_ENTRY_BYTES && entry.event.detail().len() <= MAX_DETAIL_BYTES);
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn bytes_are_an_entry_in_one_way(event in event(), at: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = Log::new().append(event).unwrap().encode();
        let before = Entry::decode(&bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // A changed bit is an error or another entry with another id, never the same one.
        if let Ok(after) = Entry::decode(&bytes) {
            prop_assert_eq!(after.encode(), bytes);
            prop_assert_ne!(after.id(), before.id());
        }
    }

    #[test]
    fn hostile_bytes_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), form in any::<bool>()) {
        if form && bytes.len() >= 84 {
            let length = (bytes.len() - 84).min(256);
            (bytes[0], bytes[49], bytes[82], bytes[83]) = (1, 1 + bytes[49] % 18, (length >> 8) as u8, length as u8);
            bytes.truncate(84 + length);
            bytes[84..].iter_mut().for_each(|b| *b = 32 + *b % 95);
            prop_assert!(Entry::decode(&bytes).is_ok());
        }
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode(), bytes);
        }
    }

    #[test]
    fn any_history_verifies_and_no_changed_one(
        events in prop::collection::vec(event(), 1..12),
        (entry, byte) in any::<(prop::sample::Index, prop::sample::Index)>(),
        bit in 0u8..8,
    ) {
        let mut log = Log::new();
        let mut entries: Vec<_> = events.into_iter().map(|e| log.append(e).unwrap().encode()).collect();
        prop_assert_eq!(verify_against(&log.head(), &entries), Ok(log.head()));
        let entry = entry.index(entries.len());
        let byte = byte.index(entries[entry].len());
        entries[entry][byte] ^= 1 << bit;
        prop_assert!(verify_against(&log.head(), &entries).is_err());
    }
}

/// By a separate program, from the description of the encoding; a field a line.
const FIRST: &str = concat!(
    "01",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000007",
    "01",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "0012",
    "7365712033207369676e6564207477696365",
);
const FIRST_ID: &str = "76c1b83f1778fd8f34f493a722f4aca1ac879625b3f6e122f270af32cf8c2649";
const SECOND: &str = concat!(
    "01",
    "0000000000000001",
    "76c1b83f1778fd8f34f493a722f4aca1ac879625b3f6e122f270af32cf8c2649",
    "0000000000000102",
    "0e",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000",
);
const SECOND_ID: &str = "a6ed5a8342f43e1911d919750942931fab1faf5be1b1660114108bd2363b1b9b";

const KINDS: [(u8, &str); 18] = [
    (1, "fork-proof"),
    (2, "conflicting-certificates"),
    (3, "conflicting-decisions"),
    (4, "slashed"),
    (5, "account-frozen"),
    (6, "certificate-refused"),
    (7, "signature-flood"),
    (8, "rate-limited"),
    (9, "weak-key-refused"),
    (10, "key-rotated"),
    (11, "witness-rejoined"),
    (12, "store-damaged"),
    (13, "store-restored"),
    (14, "backup-exported"),
    (15, "backup-imported"),
    (16, "check-failed"),
    (17, "module-refused"),
    (18, "settings-changed"),
];
