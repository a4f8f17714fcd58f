//! Merkle trees by RFC 6962 section 2.1, and inclusion proofs checked by RFC 9162 section 2.1.3.2.
//!
//! ```text
//! tree of nothing    SHA-256("")
//! leaf               SHA-256(0x00 || bytes)
//! node               SHA-256(0x01 || left || right), left being the largest full tree that leaves something over
//! ```
//!
//! The two prefixes keep a node from passing as a leaf. An odd node moves up as it is; it is never doubled, so two
//! different lists have two different roots. Order counts: who compares roots sorts the leaves first.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Most hashes in a proof: enough for 2^64 leaves.
pub const MAX_PROOF_HASHES: usize = 64;

/// The hash of a leaf's bytes.
pub fn leaf(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([LEAF]).chain_update(bytes).finalize().into()
}

/// The root over leaf hashes, in the order given.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().copied().unwrap_or_else(|| Sha256::digest([]).into())
}

/// The hashes beside the way from a leaf up to the root, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(Vec<[u8; 32]>);

/// Why bytes are no proof.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// Nothing at all.
    #[error("a proof has at least its count of hashes")]
    Empty,
    /// More than any tree needs.
    #[error("{found} hashes, at most {MAX_PROOF_HASHES} in a proof")]
    TooMany {
        /// The count in the first byte.
        found: u8,
    },
    /// Fewer or more bytes than the count says.
    #[error("a proof of {found} bytes, must have {wanted}")]
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes that the count asks for.
        wanted: usize,
    },
}

impl Proof {
    /// The hashes, lowest first.
    pub fn hashes(&self) -> &[[u8; 32]] {
        &self.0
    }

    /// A proof of at most [`MAX_PROOF_HASHES`].
    pub(crate) fn of(hashes: Vec<[u8; 32]>) -> Self {
        Self(hashes)
    }

    /// One byte that counts the hashes, then the hashes. There is no other encoding of a proof.
    pub fn encode(&self) -> Vec<u8> {
        // At most MAX_PROOF_HASHES, so it fits.
        let mut bytes = vec![self.0.len() as u8];
        bytes.extend(self.0.iter().flatten());
        bytes
    }

    /// Reads what [`Proof::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        let (&count, hashes) = bytes.split_first().ok_or(ProofError::Empty)?;
        if usize::from(count) > MAX_PROOF_HASHES {
            return Err(ProofError::TooMany { found: count });
        }
        let (whole, rest) = hashes.as_chunks();
        if whole.len() != usize::from(count) || !rest.is_empty() {
            return Err(ProofError::Length { found: bytes.len(), wanted: 1 + 32 * usize::from(count) });
        }
        Ok(Self(whole.to_vec()))
    }
}

/// The proof that the leaf at `index` is in the tree; none if there is no such leaf.
pub fn prove(leaves: &[[u8; 32]], index: usize) -> Option<Proof> {
    Tree::new(leaves.to_vec()).prove(index)
}

/// A whole tree, for who makes many proofs.
pub(crate) struct Tree(Vec<Vec<[u8; 32]>>);

impl Tree {
    pub(crate) fn new(leaves: Vec<[u8; 32]>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(above(level));
        }
        Tree(levels)
    }

    pub(crate) fn root(&self) -> [u8; 32] {
        self.0.last().map_or_else(|| root(&[]), |top| root(top))
    }

    pub(crate) fn prove(&self, index: usize) -> Option<Proof> {
        self.0.first()?.get(index)?;
        // The last node of an odd level has nothing beside it.
        let beside = self.0.iter().enumerate().filter_map(|(up, level)| level.get((index >> up) ^ 1));
        Some(Proof(beside.copied().collect()))
    }
}

/// Whether a leaf hash is at `index` in the tree of `size` leaves that has this root.
///
/// The size is the verifier's knowledge, like the root, and must come with the root from a source it trusts: a root
/// alone does not fix the size, and a size from the prover would let it choose how the proof is read.
pub fn verify(root: &[u8; 32], leaf: &[u8; 32], index: u64, size: u64, proof: &Proof) -> bool {
    if index >= size {
        return false;
    }
    // The names of the RFC: fn, sn and r.
    let (mut first, mut second, mut hash) = (index, size - 1, *leaf);
    for beside in &proof.0 {
        if second == 0 {
            return false;
        }
        if first & 1 == 1 || first == second {
            hash = node(beside, &hash);
            // A last node that moved up as it was, until something stood beside it.
            while first & 1 == 0 && first != 0 {
                (first, second) = (first >> 1, second >> 1);
            }
        } else {
            hash = node(&hash, beside);
        }
        (first, second) = (first >> 1, second >> 1);
    }
    second == 0 && hash == *root
}

fn above(level: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let (pairs, odd) = level.as_chunks::<2>();
    pairs.iter().map(|[left, right]| node(left, right)).chain(odd.iter().copied()).collect()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize().into()
}

const LEAF: u8 = 0;
const NODE: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The reference data of Certificate Transparency: eight leaves, and the root of the first n of them.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    /// Index, size and path, from the same data.
    const PATHS: &[(u64, u64, &[&str])] = &[
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn hash(hex: &str) -> [u8; 32] {
        bytes(hex).try_into().unwrap()
    }

    fn reference_leaves() -> Vec<[u8; 32]> {
        LEAVES.iter().map(|hex| leaf(&bytes(hex))).collect()
    }

    #[test]
    fn the_reference_vectors() {
        let leaves = reference_leaves();
        for (size, wanted) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves[..size]), hash(wanted), "{size} leaves");
        }
        for &(index, size, path) in PATHS {
            let proof = Proof(path.iter().map(|hex| hash(hex)).collect());
            assert_eq!(prove(&leaves[..size as usize], index as usize), Some(proof.clone()));
            assert!(verify(&hash(ROOTS[size as usize]), &leaves[index as usize], index, size, &proof));
        }
        assert_eq!(prove(&leaves, 8), None);
        assert_eq!(prove(&[], 0), None);
    }

    /// The definition of RFC 6962, word for word.
    fn by_the_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [only] => *only,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                let joined = [&[1][..], &by_the_definition(left), &by_the_definition(right)].concat();
                Sha256::digest(joined).into()
            }
        }
    }

    fn leaves_of(size: usize) -> Vec<[u8; 32]> {
        (0..size).map(|i| leaf(&i.to_be_bytes())).collect()
    }

    type Root = fn(&[[u8; 32]]) -> [u8; 32];
    type Verify = fn(&[u8; 32], &[u8; 32], u64, u64, &Proof) -> bool;

    /// What a root and a check of proofs get wrong, over all trees of up to 17 leaves.
    fn faults(root: Root, verify: Verify) -> Vec<&'static str> {
        let mut found = Vec::new();
        for size in 1..=17 {
            let leaves = leaves_of(size);
            let top = by_the_definition(&leaves);
            let doubled: Vec<_> = leaves.iter().chain(leaves.last()).copied().collect();
            if root(&leaves) != top {
                found.push("another root");
            }
            if root(&doubled) == root(&leaves) {
                found.push("two lists, one root");
            }
            for index in 0..size {
                let proof = prove(&leaves, index).unwrap();
                let passes =
                    |i: usize, proof: &Proof| verify(&top, &leaves[index], i as u64, size as u64, proof);
                if !passes(index, &proof) {
                    found.push("a good proof fails");
                }
                if (0..size + 3).any(|other| other != index && passes(other, &proof)) {
                    found.push("a proof passes at another place");
                }
                let longer = Proof([proof.hashes(), &[top]].concat());
                let shorter = Proof(proof.hashes().iter().skip(1).copied().collect());
                if passes(index, &longer) || (size > 1 && shorter != proof && passes(index, &shorter)) {
                    found.push("a proof of another length passes");
                }
            }
        }
        found.dedup();
        found
    }

    #[test]
    fn no_faults() {
        assert_eq!(faults(root, verify), Vec::<&str>::new());
    }

    #[test]
    fn planted_faults_are_caught() {
        // An odd node is paired with itself, as in CVE-2012-2459.
        fn doubling(leaves: &[[u8; 32]]) -> [u8; 32] {
            let mut level = leaves.to_vec();
            while level.len() > 1 {
                level.extend_from_within(level.len() - level.len() % 2..);
                level = above(&level);
            }
            level[0]
        }
        assert_eq!(faults(doubling, verify)[..2], ["another root", "two lists, one root"]);
        // Looks at the hashes only, and tries both sides of each.
        fn either_side(top: &[u8; 32], leaf: &[u8; 32], _: u64, _: u64, proof: &Proof) -> bool {
            match proof.hashes().split_last() {
                None => top == leaf,
                Some(_) => (0..1u32 << proof.hashes().len()).any(|sides| {
                    let fold = |h: [u8; 32], (i, p): (usize, &[u8; 32])| {
                        if sides >> i & 1 == 1 { node(p, &h) } else { node(&h, p) }
                    };
                    proof.hashes().iter().enumerate().fold(*leaf, fold) == *top
                }),
            }
        }
        assert!(faults(root, either_side).contains(&"a proof passes at another place"));
        // Stops as soon as it has met the root.
        fn hasty(top: &[u8; 32], leaf: &[u8; 32], index: u64, size: u64, proof: &Proof) -> bool {
            (0..=proof.hashes().len())
                .any(|n| verify(top, leaf, index, size, &Proof(proof.hashes()[..n].to_vec())))
        }
        assert!(faults(root, hasty).contains(&"a proof of another length passes"));
    }

    /// Without the prefixes the two leaves' node would be a leaf of a smaller tree.
    #[test]
    fn a_node_is_no_leaf() {
        let leaves = leaves_of(4);
        let inner = [node(&leaves[0], &leaves[1]), node(&leaves[2], &leaves[3])];
        assert_eq!(root(&inner), root(&leaves));
        let joined = [leaves[0], leaves[1]].concat();
        assert_ne!(leaf(&joined), inner[0]);
    }

    /// The last leaf of a full tree, offered as the last of a half or a quarter of it.
    #[test]
    fn a_proof_is_no_longer_than_the_size_allows() {
        let leaves = leaves_of(8);
        let (top, proof) = (root(&leaves), prove(&leaves, 7).unwrap());
        assert!(verify(&top, &leaves[7], 7, 8, &proof));
        for size in [1, 2, 4] {
            assert!(!verify(&top, &leaves[7], size - 1, size, &proof), "{size} leaves");
        }
    }

    #[test]
    fn every_changed_bit_fails() {
        for size in [1, 2, 3, 6, 7, 8, 11, 17] {
            let leaves = leaves_of(size);
            let top = root(&leaves);
            for index in 0..size {
                let (here, of) = (index as u64, size as u64);
                let proof = prove(&leaves, index).unwrap();
                for bit in 0..proof.encode().len() * 8 {
                    let mut encoded = proof.encode();
                    encoded[bit / 8] ^= 1 << (bit % 8);
                    let passes =
                        Proof::decode(&encoded).is_ok_and(|p| verify(&top, &leaves[index], here, of, &p));
                    assert!(!passes, "bit {bit} of the proof for {index} of {size}");
                }
                for bit in 0..256 {
                    let flip = |mut hash: [u8; 32]| (hash[bit / 8] ^= 1 << (bit % 8), hash).1;
                    assert!(!verify(&flip(top), &leaves[index], here, of, &proof));
                    assert!(!verify(&top, &flip(leaves[index]), here, of, &proof));
                }
            }
        }
    }

    #[test]
    fn one_encoding() {
        let proof = prove(&reference_leaves()[..3], 2).unwrap();
        let encoded = [&[1][..], &hash(ROOTS[2])].concat();
        assert_eq!(proof.encode(), encoded);
        assert_eq!(Proof::decode(&encoded), Ok(proof));
        assert_eq!(Proof::decode(&[0]).unwrap().hashes(), &[[0; 32]; 0]);
        assert_eq!(Proof::decode(&[]), Err(ProofError::Empty));
        assert_eq!(Proof::decode(&[65]), Err(ProofError::TooMany { found: 65 }));
        assert_eq!(Proof::decode(&encoded[..32]), Err(ProofError::Length { found: 32, wanted: 33 }));
        assert_eq!(Proof::decode(&[0, 0]), Err(ProofError::Length { found: 2, wanted: 1 }));
        let longest = [&[64][..], &[7; 64 * 32]].concat();
        assert_eq!(Proof::decode(&longest).unwrap().encode(), longest);
    }

    #[test]
    fn the_largest_trees_end() {
        let longest = Proof(vec![[7; 32]; 64]);
        assert!(!verify(&[0; 32], &[1; 32], u64::MAX - 1, u64::MAX, &longest));
        assert!(!verify(&[0; 32], &[1; 32], 0, u64::MAX, &longest));
        assert!(!verify(&[0; 32], &[1; 32], 0, 0, &longest));
        assert!(!verify(&[0; 32], &[1; 32], u64::MAX, u64::MAX, &longest));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn proofs_of_larger_trees(size in 1usize..400, at: prop::sample::Index) {
            let (leaves, index) = (leaves_of(size), at.index(size));
            let top = by_the_definition(&leaves);
            prop_assert_eq!(root(&leaves), top);
            let proof = prove(&leaves, index).unwrap();
            prop_assert!(proof.hashes().len() <= size.next_power_of_two().ilog2() as usize);
            prop_assert!(verify(&top, &leaves[index], index as u64, size as u64, &proof));
            prop_assert_eq!(Proof::decode(&proof.encode()), Ok(proof));
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_proof(
            hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70),
            (more, cut) in (0usize..3, 0usize..3),
            (index, size) in any::<(u64, u64)>(),
        ) {
            let mut bytes = vec![hashes.len() as u8];
            bytes.extend(hashes.iter().flatten());
            bytes.extend(vec![0; more]);
            bytes.truncate(bytes.len().saturating_sub(cut));
            match Proof::decode(&bytes) {
                Ok(proof) => {
                    prop_assert!(proof.encode() == bytes && hashes.len() <= 64 && more == cut);
                    prop_assert!(!verify(&[0; 32], &[1; 32], index, size, &proof));
                }
                Err(_) => prop_assert!(hashes.len() > 64 || more != cut),
            }
        }
    }
}
