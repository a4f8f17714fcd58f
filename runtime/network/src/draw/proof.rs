use std::collections::BTreeSet;

use identity::AccountId;
use thiserror::Error;

use super::{BeaconError, Claims, Head, Lot, MAX_SEATS, Reveals, draw};

/// A draw as a relay publishes it with the assignment: with the heads and the claims, anybody can do it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What was drawn.
    pub lot: Lot,
    /// The round in which the task was accepted, which its beacon must be later than.
    pub accepted_round: u64,
    /// The round's reveals.
    pub reveals: Reveals,
    /// Digest of the claims as they stood.
    pub claims: [u8; 32],
    /// Who won, in the order of winning.
    pub winners: Vec<AccountId>,
}

/// Why a published draw is not what the rule gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// Its reveals make no beacon.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// The beacon is not that of the first round after the task was accepted that was not void.
    #[error("drawn by round {found}, due was {due}")]
    Round {
        /// The round of its beacon.
        found: u64,
        /// The round that was due.
        due: u64,
    },
    /// Drawn from other claims.
    #[error("drawn from claims of another digest")]
    Claims,
    /// No lot has so many seats, or so few.
    #[error("{found} seats, a lot has 1 to {MAX_SEATS}")]
    Seats {
        /// The seats.
        found: u8,
    },
    /// Others won.
    #[error("the rule gives other winners")]
    Winners,
}

/// Draws again and compares.
///
/// `heads` and `absent` are the witnesses and those of them suspended in the round; `due_round` is the first one after the
/// task's that was not void, as the published rounds tell: a relay must not wait for a beacon that it likes. `claims` are
/// those of the published digest.
///
/// # Errors
/// The first thing that does not fit.
pub fn check_draw(
    published: &Published,
    heads: &[Head],
    absent: &BTreeSet<AccountId>,
    due_round: u64,
    claims: &Claims,
) -> Result<(), CheckError> {
    let Published { lot, accepted_round, reveals, .. } = published;
    if reveals.round != due_round || due_round <= *accepted_round {
        return Err(CheckError::Round { found: reveals.round, due: due_round });
    }
    if !(1..=MAX_SEATS).contains(&lot.seats) {
        return Err(CheckError::Seats { found: lot.seats });
    }
    let beacon = reveals.check(heads, absent)?;
    if claims.digest() != published.claims {
        return Err(CheckError::Claims);
    }
    if draw(&beacon, lot, claims) != published.winners {
        return Err(CheckError::Winners);
    }
    Ok(())
}
