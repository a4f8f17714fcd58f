//! Relays that prove nothing, credit, and silence.

use super::*;
use crate::{
    session::PING_MS,
    wire::{Flow, Part, Refused},
};

const NOW: Now = Now { ms: 1_000, epoch: 500 };

fn me() -> Me {
    Me {
        key: SecretKey::from_seed([1; 32]),
        network: Id::from_bytes([0xee; 32]),
        roles: Roles::WORKER,
        agent: "test".into(),
    }
}

fn relay() -> SecretKey {
    SecretKey::from_seed([100; 32])
}

fn opening() -> (Session, Hello) {
    let mut random = |bytes: &mut [u8]| bytes.fill(7);
    let mut context = Context { now: NOW, random: &mut random };
    let (session, hello) = Session::open(&me(), relay().account(), &mut context);
    let Message::Hello(hello) = hello else { panic!("{hello:?}") };
    (session, hello)
}

fn challenge(hello: &Hello, signer: &SecretKey, change: impl FnOnce(&mut Challenge)) -> Challenge {
    let mut challenge = Challenge {
        version: VERSION,
        relay: relay().account(),
        network: me().network,
        epoch: 700,
        nonce: [9; 32],
        signature: identity::Signature::from_bytes([0; 64]),
    };
    change(&mut challenge);
    challenge.signature = signer.sign(challenge_message(hello, &challenge).as_bytes());
    challenge
}

fn tell(
    session: &mut Session,
    now: Now,
    message: impl Into<Message>,
) -> (Result<Heard, Reason>, Vec<Message>) {
    let mut out = Vec::new();
    let frame = message.into().encode().unwrap();
    (session.receive(&me(), Some(vec![1, 2]), now, &frame, &mut out), out)
}

fn welcome(grant_bytes: u32) -> Welcome {
    Welcome { grant_bytes, ping_ms: PING_MS, staked_ucredits: 5, heads: vec![] }
}

fn opened(grant_bytes: u32) -> Session {
    let (mut session, hello) = opening();
    let (heard, out) = tell(&mut session, NOW, challenge(&hello, &relay(), |_| {}));
    assert_eq!(heard, Ok(Heard::Nothing));
    let [Message::Auth(auth)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(auth.prekey, Some(vec![1, 2]));
    let challenge = challenge(&hello, &relay(), |_| {});
    let message = auth_message(&hello, &challenge);
    me().key.public().verify(message.as_bytes(), &auth.signature).expect("the edge's proof");
    assert!(!session.is_open());
    assert_eq!(tell(&mut session, NOW, welcome(grant_bytes)), (Ok(Heard::Opened), vec![]));
    session
}

fn part(bytes: usize) -> Message {
    Part { task: Id::ZERO, flow: Flow::Payload, offset: 0, total: 9, bytes: vec![1; bytes] }.into()
}

#[test]
fn a_session_opens_and_knows_the_relays_time() {
    let session = opened(0);
    assert!(session.is_open());
    assert_eq!(session.staked_ucredits(), 5);
    assert_eq!(session.epoch(Now { ms: 1_000 + 59_999, ..NOW }), 700);
    assert_eq!(session.epoch(Now { ms: 1_000 + 60_000, ..NOW }), 701);
    assert_eq!(session.epoch(Now { ms: 0, ..NOW }), 700);
}

#[test]
fn relays_that_prove_nothing() {
    let stranger = SecretKey::from_seed([101; 32]);
    type Spoil = fn(&mut Challenge);
    let cases: [(&SecretKey, Spoil, Reason); 5] = [
        (&stranger, |_| {}, Reason::NotProved),
        (&stranger, |c| c.relay = SecretKey::from_seed([101; 32]).account(), Reason::NotProved),
        (&relay(), |c| c.network = Id::ZERO, Reason::NotProved),
        (&relay(), |c| c.version = 2, Reason::VersionUnknown),
        (&relay(), |c| c.version = 0, Reason::VersionUnknown),
    ];
    for (signer, change, reason) in cases {
        let (mut session, hello) = opening();
        let (heard, out) = tell(&mut session, NOW, challenge(&hello, signer, change));
        assert_eq!((heard, out), (Err(reason), vec![]));
    }
    // The proof of another connection.
    let (mut session, hello) = opening();
    let other = Hello { nonce: [8; 32], ..hello };
    let (heard, _) = tell(&mut session, NOW, challenge(&other, &relay(), |_| {}));
    assert_eq!(heard, Err(Reason::NotProved));
}

#[test]
fn messages_out_of_their_order_end_it() {
    let (mut session, hello) = opening();
    assert_eq!(tell(&mut session, NOW, welcome(0)).0, Err(Reason::MessageUnexpected));
    let (mut session, _) = opening();
    assert_eq!(tell(&mut session, NOW, Ping { token: 1 }).0, Err(Reason::MessageUnexpected));
    let (mut session, _) = opening();
    let first = challenge(&hello, &relay(), |_| {});
    tell(&mut session, NOW, first.clone()).0.unwrap();
    assert_eq!(tell(&mut session, NOW, first).0, Err(Reason::MessageUnexpected));
    let mut out = Vec::new();
    let heard = opened(0).receive(&me(), None, NOW, &[1, 2, 3], &mut out);
    assert_eq!(heard, Err(Reason::FrameInvalid));
    // A relay says why it does not let one in, or goes.
    let (mut session, _) = opening();
    let refused = Refused { about: Id::ZERO, reason: 201, retry_after_ms: 5, detail: "full".into() };
    assert_eq!(tell(&mut session, NOW, refused).0, Ok(Heard::Ended { reason: 201, retry_after_ms: 5 }));
    let goodbye = Goodbye { reason: 108, retry_after_ms: 9 };
    assert_eq!(tell(&mut opened(0), NOW, goodbye).0, Ok(Heard::Ended { reason: 108, retry_after_ms: 9 }));
}

#[test]
fn data_waits_for_credit_and_control_does_not() {
    let one = part(100).encode().unwrap().len();
    let mut session = opened(2 * one as u32 + 1);
    let mut out = Vec::new();
    for _ in 0..4 {
        session.send(part(100), &mut out).unwrap();
    }
    assert_eq!(out.len(), 2);
    session.send(Ping { token: 3 }.into(), &mut out).unwrap();
    assert_eq!(out.len(), 3);
    assert_eq!(tell(&mut session, NOW, Grant { bytes: one as u32 - 2 }).1, []);
    assert_eq!(tell(&mut session, NOW, Grant { bytes: 1 }).1, [part(100)]);
    assert_eq!(tell(&mut session, NOW, Grant { bytes: u32::MAX }).1, [part(100)]);
}

#[test]
fn what_waits_is_bounded() {
    let mut session = opened(0);
    let mut out = Vec::new();
    let bytes = part(Part::MAX_BYTES).encode().unwrap().len();
    for _ in 0..MAX_WAITING_BYTES / bytes {
        session.send(part(Part::MAX_BYTES), &mut out).unwrap();
    }
    assert_eq!(session.send(part(Part::MAX_BYTES), &mut out), Err(Reason::RelayFull));
    assert_eq!(session.send(part(Part::MAX_BYTES + 1), &mut out), Err(Reason::FrameInvalid));
    assert_eq!(out, []);
}

#[test]
fn data_that_came_is_granted_again_and_no_more_is_taken() {
    let mut session = opened(0);
    let one = part(Part::MAX_BYTES).encode().unwrap().len() as u32;
    let mut granted = 0;
    for _ in 0..100 {
        let (heard, out) = tell(&mut session, NOW, part(Part::MAX_BYTES));
        assert!(matches!(heard, Ok(Heard::Message(Message::Part(_)))));
        for message in out {
            let Message::Grant(grant) = message else { panic!("{message:?}") };
            granted += grant.bytes;
        }
    }
    assert!(granted > 95 * one && granted <= 100 * one);
}

#[test]
fn silence_is_asked_about_and_then_the_end() {
    let (mut session, _) = opening();
    let at = |ms| Now { ms, ..NOW };
    assert_eq!(session.check(at(1_000 + OPENING_MS - 1)), Ok(None));
    assert_eq!(session.check(at(1_000 + OPENING_MS)), Err(Reason::Silent));
    let mut session = opened(0);
    let ping_ms = u64::from(PING_MS);
    assert_eq!(session.deadline_ms(), 1_000 + 2 * ping_ms);
    assert_eq!(session.check(at(1_000 + 2 * ping_ms - 1)), Ok(None));
    assert!(matches!(session.check(at(1_000 + 2 * ping_ms)), Ok(Some(Message::Ping(_)))));
    assert_eq!(session.check(at(1_001 + 2 * ping_ms)), Ok(None), "once");
    assert_eq!(session.deadline_ms(), 1_000 + SILENT_PINGS * ping_ms);
    let heard_ms = 5_000 + 2 * ping_ms;
    assert_eq!(tell(&mut session, at(heard_ms), Pong { token: 1 }).0, Ok(Heard::Nothing));
    assert_eq!(session.deadline_ms(), heard_ms + 2 * ping_ms);
    assert_eq!(session.check(at(heard_ms + SILENT_PINGS * ping_ms)), Err(Reason::Silent));
    // A ping is answered.
    let pong: Message = Pong { token: 77 }.into();
    assert_eq!(tell(&mut opened(0), NOW, Ping { token: 77 }).1, [pong]);
}

#[test]
fn heads_are_kept_with_those_before() {
    let head = |round| Head { witness: relay().account(), first_round: round, rounds: 1, value: [1; 32] };
    let mut session = opened(0);
    assert_eq!(session.heads().count(), 0);
    for round in 1..4 {
        tell(&mut session, NOW, crate::wire::Heads { heads: vec![head(round)] }).0.unwrap();
    }
    let heads: Vec<u64> = session.heads().map(|heads| heads[0].first_round).collect();
    assert_eq!(heads, [3, 2]);
}
