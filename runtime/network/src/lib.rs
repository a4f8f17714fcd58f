//! The node as state machines without I/O.
//!
//! Pure: time, randomness and bytes are arguments. A shell (native, browser, simulator) owns the sockets, the clock and the
//! store, and holds no policy.
//!
//! | room | what |
//! |---|---|
//! | [`wire`] | messages, their frames and caps, what is signed |
//! | [`capability`] | what workers can do, what tasks need |
//! | [`limits`] | what a stranger may cost: sizes, replays, rates, verifications |
//! | [`queue`] | which task comes next: lanes, fairness, deadlines, backoff |
//! | [`draw`] | who gets it: standing claims, the beacon, the lottery |
//! | [`verify`] | whose result counts: credibility, policy, the work unit |
//! | [`sealed`] | how a payload and a result are sealed, and what a tag is |
//! | [`terms`] | what a task may cost, and how long its escrow has to last |
//! | [`session`] | a connection: its opening, its silence, its backpressure |
//! | [`edge`] | whoever connects to relays: a [`wallet`], a [`submitter`], a [`worker`] |
//! | [`relay`] | whoever edges connect to: a witness, a market |
//! | [`bus`] | how relays speak to each other |
//! | [`scheduler`] | how much of the machine a worker may use |
//! | [`node`] | what every role takes and gives: time, randomness, what is to be stored |
//! | [`reason`] | why, by stable numbers and names |

pub mod bus;
pub mod capability;
pub mod draw;
pub mod edge;
pub mod limits;
pub mod node;
pub mod queue;
pub mod reason;
pub mod relay;
pub mod scheduler;
pub mod sealed;
pub mod session;
pub mod submitter;
pub mod terms;
pub mod verify;
pub mod wallet;
pub mod wire;
pub mod worker;
