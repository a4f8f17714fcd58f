//! Whoever edges connect to: a witness, a market.
