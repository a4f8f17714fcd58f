//! The network's state machines with sockets, a clock and a store around them. No policy lives here.
//!
//! | room | what |
//! |---|---|
//! | [`up`] | a whole network in one process |
//! | [`client`] | buying: tasks in, results out |
//! | [`contributor`] | lending: this machine's devices, within its owner's limits |
//! | [`relay`] | a relay that listens, and what it serves |
//! | [`gateway`] | the OpenAI embeddings API over the network |
//! | [`edge`], [`address`] | an edge's connections, its store, and where relays are |
//! | [`request`], [`demo`] | what the network is asked for; tasks to watch it by |
//! | [`driver`] | a thread that owns a machine: inputs in, deadlines kept, outputs carried out |
//! | [`links`] | WebSocket connections as numbered links with bounded queues |
//! | [`executor`] | a thread that owns this machine's devices and runs tasks under a throttle |

pub mod address;
pub mod client;
pub mod contributor;
pub mod demo;
pub mod driver;
pub mod edge;
pub mod executor;
pub mod gateway;
pub mod links;
pub mod relay;
pub mod request;
pub mod up;
