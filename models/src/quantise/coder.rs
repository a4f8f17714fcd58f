//! An adaptive binary range coder: the carry-propagating coder of LZMA with finer probabilities.

/// The probability that a bit is 1, learnt at two speeds.
#[derive(Clone, Copy)]
pub(super) struct Bit {
    fast: u16,
    slow: u16,
}

impl Bit {
    pub(super) const NEW: Self = Self { fast: 1 << 15, slow: 1 << 15 };

    /// In 1..=65535 of 65536: the updates below stop short of both ends.
    fn one(self) -> u32 {
        (u32::from(self.fast) + u32::from(self.slow)) / 2
    }

    fn learn(&mut self, bit: bool) {
        for (p, rate) in [(&mut self.fast, 5), (&mut self.slow, 8)] {
            if bit {
                *p += (u16::MAX - *p) >> rate;
            } else {
                *p -= *p >> rate;
            }
        }
    }
}

/// Codes a bit, and returns it: the same code drives the encoder and the decoder.
pub(super) trait Coder {
    /// Writes `bit`, or reads one and ignores the argument.
    fn code(&mut self, bit: bool, model: &mut Bit) -> bool;
}

pub(super) struct Encoder {
    low: u64,
    range: u32,
    cache: u8,
    pending: u64,
    out: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { low: 0, range: u32::MAX, cache: 0, pending: 1, out: Vec::new() }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        self.out
    }

    /// Moves the top byte out; bytes of 0xff wait until it is known whether a carry runs through them.
    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > u64::from(u32::MAX) {
            let carry = (self.low >> 32) as u8;
            for _ in 0..self.pending {
                self.out.push(self.cache.wrapping_add(carry));
                self.cache = 0xff;
            }
            self.pending = 0;
            self.cache = (self.low >> 24) as u8;
        }
        self.pending += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }
}

impl Coder for Encoder {
    fn code(&mut self, bit: bool, model: &mut Bit) -> bool {
        let bound = (self.range >> 16) * model.one();
        if bit {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        model.learn(bit);
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

pub(super) struct Decoder<'a> {
    code: u32,
    range: u32,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { code: 0, range: u32::MAX, bytes, at: 0 };
        for _ in 0..5 {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        decoder
    }

    /// Whether exactly all bytes were used, as they are after what was encoded is decoded.
    pub(super) fn is_finished(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Past the end come zeros; `is_finished` then says so.
    fn next(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte.into()
    }
}

impl Coder for Decoder<'_> {
    fn code(&mut self, _: bool, model: &mut Bit) -> bool {
        let bound = (self.range >> 16) * model.one();
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code = self.code.wrapping_sub(bound);
            self.range -= bound;
        }
        model.learn(bit);
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits with long runs of both kinds, so that carries and extreme probabilities occur.
    fn bits() -> impl Iterator<Item = (usize, bool)> {
        let mut state = 1u32;
        (0..200_000).map(move |i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let context = (state >> 16) as usize % 3;
            (context, (state >> 24) < [1, 128, 255][context] || i % 50_000 < 9_000)
        })
    }

    #[test]
    fn decodes_what_was_encoded() {
        let (mut encoder, mut model) = (Encoder::new(), [Bit::NEW; 3]);
        for (context, bit) in bits() {
            encoder.code(bit, &mut model[context]);
        }
        let bytes = encoder.finish();
        let (mut decoder, mut model) = (Decoder::new(&bytes), [Bit::NEW; 3]);
        for (context, bit) in bits() {
            assert_eq!(decoder.code(false, &mut model[context]), bit);
        }
        assert!(decoder.is_finished());
        assert!(bytes.len() < 12_500, "{}", bytes.len());
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let (mut encoder, mut model) = (Encoder::new(), [Bit::NEW; 3]);
        for (context, bit) in bits() {
            encoder.code(bit, &mut model[context]);
        }
        let mut bytes = encoder.finish();
        bytes[1000] ^= 4;
        let (mut decoder, mut model) = (Decoder::new(&bytes), [Bit::NEW; 3]);
        assert!(bits().any(|(context, bit)| decoder.code(false, &mut model[context]) != bit));
    }
}
