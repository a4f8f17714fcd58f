//! Versions of the stored form: which one a store has, and what leads from it to this program's.

use super::{META_NETWORK, META_SCHEMA, NetworkId, StoreError, Table};

/// One change of the stored form. An adapter carries it out in one transaction with the version it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A table that earlier versions did not have, empty at first.
    AddTable(Table),
}

/// Step `n` leads from version `n` to version `n + 1`. Only ever appended to.
pub const STEPS: &[Step] = &[
    // Version 0 is from before the audit log.
    Step::AddTable(Table::Audit),
];

/// The version that this program writes.
pub const SCHEMA_VERSION: u32 = STEPS.len() as u32;

/// What there is to do before a store may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It knows neither version nor network: if it holds nothing at all, write both and make every table.
    Fresh,
    /// Carry out these steps, then write [`SCHEMA_VERSION`]. None: nothing is to be written.
    Migrate(&'static [Step]),
}

/// Decides from what `meta` holds under [`META_SCHEMA`] and [`META_NETWORK`] whether a store may be opened for a network.
///
/// # Errors
/// [`StoreError::LaterSchema`], [`StoreError::OtherNetwork`], and [`StoreError::Corrupt`] if one of the two is missing or
/// malformed.
pub fn admit(
    schema: Option<&[u8]>,
    network: Option<&[u8]>,
    asked: &NetworkId,
) -> Result<Admission, StoreError> {
    let (schema, network) = match (schema, network) {
        (None, None) => return Ok(Admission::Fresh),
        (Some(schema), Some(network)) => (schema, network),
        (None, Some(_)) => return Err(damaged(META_SCHEMA, "missing")),
        (Some(_), None) => return Err(damaged(META_NETWORK, "missing")),
    };
    let found = u32::from_be_bytes(schema.try_into().map_err(|_| damaged(META_SCHEMA, "not four bytes"))?);
    // The version first: what a later one keeps under the other name is not ours to judge.
    let Some(steps) = STEPS.get(found as usize..) else {
        return Err(StoreError::LaterSchema { found, known: SCHEMA_VERSION });
    };
    let found = network.try_into().map_err(|_| damaged(META_NETWORK, "not 32 bytes"))?;
    if found != *asked {
        return Err(StoreError::OtherNetwork { found, asked: *asked });
    }
    Ok(Admission::Migrate(steps))
}

/// The tables that stores of a version have.
pub fn tables(version: u32) -> impl Iterator<Item = Table> {
    let later = STEPS.get(version as usize..).unwrap_or_default();
    Table::ALL.into_iter().filter(|table| !later.contains(&Step::AddTable(*table)))
}

fn damaged(name: &[u8], what: &str) -> StoreError {
    StoreError::Corrupt(format!("{} in meta is {what}", name.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = [7; 32];

    #[test]
    fn every_version_has_its_steps() {
        for version in 0..=SCHEMA_VERSION {
            let admitted = admit(Some(&version.to_be_bytes()), Some(&NETWORK), &NETWORK);
            assert_eq!(admitted, Ok(Admission::Migrate(&STEPS[version as usize..])));
        }
        for found in [SCHEMA_VERSION + 1, u32::MAX] {
            // Even if its network looks wrong: the version says that we cannot read it.
            let admitted = admit(Some(&found.to_be_bytes()), Some(b"?"), &NETWORK);
            assert_eq!(admitted, Err(StoreError::LaterSchema { found, known: SCHEMA_VERSION }));
        }
        assert!(tables(SCHEMA_VERSION).eq(Table::ALL));
        assert!(tables(0).eq([Table::Records, Table::Votes, Table::Own, Table::Meta]));
    }

    #[test]
    fn half_a_store_is_damaged_and_a_strange_one_refused() {
        let version = SCHEMA_VERSION.to_be_bytes();
        assert_eq!(admit(None, None, &NETWORK), Ok(Admission::Fresh));
        for (schema, network) in [
            (None, Some(&NETWORK[..])),
            (Some(&version[..]), None),
            (Some(&version[..3]), Some(&NETWORK[..])),
            (Some(&version[..]), Some(&NETWORK[..31])),
        ] {
            let admitted = admit(schema, network, &NETWORK);
            assert!(matches!(admitted, Err(StoreError::Corrupt(_))), "{admitted:?}");
        }
        let other = admit(Some(&version), Some(&[8; 32]), &NETWORK);
        assert_eq!(other, Err(StoreError::OtherNetwork { found: [8; 32], asked: NETWORK }));
    }
}
