//! The scale of one quantised row: eight words beside its i8 codes.

/// Most groups a row can be quantised in.
pub const MAX_GROUPS: usize = 4;

/// Words per row in a scales buffer.
pub const SCALE_WORDS: usize = 8;

/// Sums of a row's codes per group; engines whose dot product is unsigned undo their offset with them.
pub type GroupSums = [i32; MAX_GROUPS];

/// How a row's codes map back to fixed point: `value = code * mantissa * 2^(exponent[g]) * 2^(log2 - 15) / 127`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowScale {
    /// `floor(log2 A)` of the row's amplitude `A`, in 0..=30.
    pub log2: u32,
    /// `A` as a 16-bit mantissa, in 2^15..2^16.
    pub mantissa: u32,
    /// Extra left shift of each group; the last group in use has 0.
    pub exponents: [u8; MAX_GROUPS],
    /// Sum of the codes of each group.
    pub sums: GroupSums,
}

impl RowScale {
    /// Words as they lie in a scales buffer: log2, mantissa, exponents (low byte first), 0, four sums.
    pub fn to_words(self) -> [u32; SCALE_WORDS] {
        let [a, b, c, d] = self.sums.map(|s| s as u32);
        [self.log2, self.mantissa, u32::from_le_bytes(self.exponents), 0, a, b, c, d]
    }

    /// The inverse of [`RowScale::to_words`]. `words` holds [`SCALE_WORDS`] words.
    pub fn from_words(words: &[u32]) -> Self {
        RowScale {
            log2: words[0],
            mantissa: words[1],
            exponents: words[2].to_le_bytes(),
            sums: [words[4] as i32, words[5] as i32, words[6] as i32, words[7] as i32],
        }
    }
}
