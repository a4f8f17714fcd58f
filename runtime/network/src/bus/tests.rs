//! Golden bytes, bytes of strangers, and the bus in memory.

use identity::Signature;
use proptest::prelude::*;

use super::*;
use crate::wire::Proposal;

fn account(seed: u8) -> AccountId {
    AccountId::from_bytes([seed; 32])
}

fn samples() -> Vec<Message> {
    let (value, signature) = (Id::from_bytes([4; 32]), Signature::from_bytes([5; 64]));
    vec![
        Message::Propose(Propose { proposal: Proposal::Checkpoint(vec![1, 2, 3]) }),
        Message::VoteIs(VoteIs { value, witness: account(1), signature }),
        Message::Refused(NoVote { value, rule: "lock-open".into(), decided: Some(vec![7]) }),
        Message::Records(Records { records: vec![vec![1], vec![2, 3]] }),
        Message::Capacity(Capacity { workers: 3, free_slots: 300, open_tasks: 7 }),
    ]
}

#[test]
fn every_message_comes_back_as_it_went() {
    let mut all = Vec::new();
    for message in samples() {
        let frame = message.encode().expect("a frame");
        assert_eq!(Message::decode(&frame), Ok(message));
        all.push(format!("{:02x} {} {:?}", frame[1], frame.len(), Id::hash("", &[&frame])));
    }
    assert_eq!(all.join("\n"), GOLDEN.trim());
}

#[test]
fn frames_that_are_none() {
    let frame = samples()[4].encode().expect("a frame");
    let changed = |at: usize, to: u8| {
        let mut frame = frame.clone();
        frame[at] = to;
        Message::decode(&frame)
    };
    assert_eq!(Message::decode(&[1]), Err(WireError::Short { found: 1, wanted: HEADER_BYTES }));
    assert_eq!(changed(0, 2), Err(WireError::Version(2)));
    assert_eq!(changed(1, 0x50), Err(WireError::Kind(0x50)));
    assert_eq!(changed(2, 1), Err(WireError::Flags(1)));
    assert_eq!(changed(4, 99), Err(WireError::Bus(CAPACITY)));
    let many = Message::Records(Records { records: vec![vec![]; Records::MOST + 1] });
    assert!(matches!(many.encode(), Err(WireError::Many { .. })));
    let long = Message::Records(Records { records: vec![vec![0; MAX_DATA_BYTES]] });
    assert_eq!(long.encode(), Err(WireError::Bus(RECORDS)));
}

#[test]
fn a_topic_is_heard_by_those_who_subscribed_and_not_by_oneself() {
    let hub = Hub::default();
    let mut ends: Vec<Memory> = (1..=3).map(|n| hub.join(account(n))).collect();
    let topic = Topic::of(&samples()[0]);
    assert_eq!(topic.name(), "edge/v1/ledger/0");
    ends[0].subscribe(topic);
    ends[1].subscribe(topic);
    ends[0].publish(topic, vec![1]);
    assert_eq!(ends[0].next(), None);
    assert_eq!(ends[1].next(), Some(Delivery { from: account(1), frame: vec![1] }));
    assert_eq!(ends[2].next(), None);
    ends[0].request(account(3), vec![2]);
    assert_eq!(ends[2].next(), Some(Delivery { from: account(1), frame: vec![2] }));
    assert_eq!(ends[0].peers(), [account(2), account(3)]);
    hub.leave(&account(2));
    assert_eq!(ends[0].peers(), [account(3)]);
    ends[0].request(account(2), vec![3]);
    assert_eq!(ends[1].next(), None);
}

proptest! {
    #[test]
    fn bytes_of_strangers(
        which in 0..samples().len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut frame = samples()[which].encode().expect("a frame");
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(message) = Message::decode(&frame) {
            let again = message.encode().expect("what was read can be written");
            prop_assert_eq!(Message::decode(&again), Ok(message));
        }
    }
}

const GOLDEN: &str = "
12 13 2d59c0c9ec5e
13 136 a9ba30012279
08 53 ab416ef7131a
14 14 82852eab2ca6
40 12 8e018fc9f71e
";
