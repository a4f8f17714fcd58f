//! Who a node is, and how it speaks in private: Ed25519 accounts, signed X25519 prekeys, sealing, key backup.
//!
//! Pure: randomness, time and bytes are arguments; nothing here reads a clock, a file or an entropy source.
