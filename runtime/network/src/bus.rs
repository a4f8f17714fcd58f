//! How relays speak to each other.
