//! Stand-in.
pub struct Proof;
pub fn leaf(_: &[u8]) -> [u8; 32] {
    [0; 32]
}
pub fn root(_: &[[u8; 32]]) -> [u8; 32] {
    [0; 32]
}
pub fn prove(_: &[[u8; 32]], _: usize) -> Option<Proof> {
    None
}
