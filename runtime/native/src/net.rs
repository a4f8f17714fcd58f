//! The network's state machines with sockets, a clock and a store around them. No policy lives here.
//!
//! | room | what |
//! |---|---|
//! | [`driver`] | a thread that owns a machine: inputs in, deadlines kept, outputs carried out |
//! | [`links`] | WebSocket connections as numbered links with bounded queues |
//! | [`executor`] | a thread that owns this machine's devices and runs tasks under a throttle |
//! | [`gateway`] | the OpenAI embeddings API over the network |

pub mod driver;
pub mod executor;
pub mod gateway;
pub mod links;
