//! How values of other crates lie in a body: as their bytes, without a length.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// Declares a module for `#[serde(with = "...")]` over a value of 32 bytes.
macro_rules! of_32_bytes {
    ($module:ident, $type:ty) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) fn serialize<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
                value.as_bytes().serialize(to)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                <[u8; 32]>::deserialize(from).map(<$type>::from_bytes)
            }
        }
    };
}

of_32_bytes!(account, identity::AccountId);
of_32_bytes!(id, ledger::Id);

pub(crate) mod signature {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &identity::Signature, to: S) -> Result<S::Ok, S::Error> {
        let [head, tail] = halves(value.as_bytes());
        (head, tail).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<identity::Signature, D::Error> {
        let (head, tail) = <([u8; 32], [u8; 32])>::deserialize(from)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&head);
        bytes[32..].copy_from_slice(&tail);
        Ok(identity::Signature::from_bytes(bytes))
    }

    fn halves(bytes: &[u8; 64]) -> [[u8; 32]; 2] {
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(&bytes[..32]);
        halves[1].copy_from_slice(&bytes[32..]);
        halves
    }
}

/// An optional id.
pub(crate) mod maybe_id {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &Option<ledger::Id>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ledger::Id::as_bytes).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ledger::Id>, D::Error> {
        Ok(<Option<[u8; 32]>>::deserialize(from)?.map(ledger::Id::from_bytes))
    }
}

/// Ids in a list.
pub(crate) mod ids {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &[ledger::Id], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(value.iter().map(ledger::Id::as_bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ledger::Id>, D::Error> {
        Ok(<Vec<[u8; 32]>>::deserialize(from)?.into_iter().map(ledger::Id::from_bytes).collect())
    }
}

/// Heads of beacon chains in a list.
pub(crate) mod heads {
    use super::*;
    use crate::draw::Head;

    type Fields = ([u8; 32], u64, u32, [u8; 32]);

    pub(crate) fn serialize<S: Serializer>(value: &[Head], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(value.iter().map(|h| (h.witness.as_bytes(), h.first_round, h.rounds, h.value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Head>, D::Error> {
        let head = |(witness, first_round, rounds, value): Fields| Head {
            witness: identity::AccountId::from_bytes(witness),
            first_round,
            rounds,
            value,
        };
        Ok(<Vec<Fields>>::deserialize(from)?.into_iter().map(head).collect())
    }
}

/// Reveals of witnesses in a list.
pub(crate) mod reveals {
    use identity::AccountId;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        value: &[(AccountId, [u8; 32])],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(value.iter().map(|(witness, reveal)| (witness.as_bytes(), reveal)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(AccountId, [u8; 32])>, D::Error> {
        let pairs = <Vec<([u8; 32], [u8; 32])>>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(witness, reveal)| (AccountId::from_bytes(witness), reveal)).collect())
    }
}

/// A list of at most `MOST` items, refused at the first above: items of one byte each grow to many times that in memory.
pub(super) fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct Few<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Few<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == MOST {
                    return Err(A::Error::custom("too many items"));
                }
                list.push(item);
            }
            Ok(list)
        }
    }

    from.deserialize_seq(Few::<T, MOST>(PhantomData))
}
