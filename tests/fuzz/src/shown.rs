//! What an operator shows of the treasury's causes, and what it keeps to show it.

use ledger::{Evidence, Record, Roll};

use crate::{
    public::story,
    town::{TOWNS, Town},
};

/// Evidence, or a roll.
pub(crate) fn evidence(input: &[u8]) -> bool {
    let evidence = Evidence::decode(input, &TOWNS[0].network);
    if let Ok(evidence) = &evidence {
        assert_eq!(evidence.encode(), input, "one evidence, one encoding");
    }
    let roll = Roll::decode(input);
    if let Ok(roll) = &roll {
        assert_eq!(roll.encode(), input, "one roll, one encoding");
    }
    evidence.is_ok() || roll.is_ok()
}

/// An hour's result, a reward with the checkpoint after it, and a roll.
pub(crate) fn evidence_seeds() -> Vec<Vec<u8>> {
    let town: &Town = &TOWNS[0];
    let records = story(town);
    let find = |tag: u8| {
        let mut bytes = records.iter().map(Record::encode);
        bytes.find(|bytes| bytes[0] == tag).expect("one of each kind")[1..].to_vec()
    };
    let Some(Record::Op(first)) = records.first() else { unreachable!("an operation came first") };
    let certificate_bytes = find(0).len() - first.value.encode().len();
    let (resolve, checkpoint) = (find(1), find(2));
    let (checkpoint, certificate) = checkpoint.split_at(checkpoint.len() - certificate_bytes);
    let earned = [&[1, 1], &resolve[..], &[0], certificate, &[1], checkpoint, &[0]].concat();
    let roll = town.empty.roll(&town.empty.draft_checkpoint(0)).expect("of this state");
    vec![vec![0], [&[1, 0], &resolve[..]].concat(), earned, roll.encode()]
}
