//! HTTP for programs that know nothing of the network.

pub mod openai;
