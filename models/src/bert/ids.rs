//! Where each weight lies in an [`super::IntBert`]'s list.

use plan::WeightId;

pub(crate) const EMBEDDING: WeightId = WeightId(0);
pub(crate) const NORM_IN: WeightId = WeightId(1);
pub(crate) const EXP: WeightId = WeightId(2);
pub(crate) const GELU: WeightId = WeightId(3);
pub(crate) const PERMUTATION: WeightId = WeightId(4);
const FIRST_LAYER: usize = 5;

/// The weights of one layer, in the order of a forward pass.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Qkv,
    AttentionOut,
    NormAttention,
    Up,
    Down,
    NormOut,
}

pub(crate) fn layer(layer: usize, of: Of) -> WeightId {
    WeightId(FIRST_LAYER + 6 * layer + of as usize)
}
