use crate::EncodeArgs;

/// A float of this size has no fraction bits, and its lowest byte counts in units.
const UNITS: f32 = (3 << 22) as f32;

/// Two passes over a row, the second from the nearest cache.
///
/// The oracle rounds and then clamps. Clamping first gives the same, since rounding keeps order and +-127 are whole;
/// then adding [`UNITS`] rounds to whole numbers, half to even, as every f32 addition does, and leaves the code in
/// two's complement in the lowest byte.
#[inline(always)]
pub(crate) fn encode(args: EncodeArgs<'_>) {
    let rows = args.input.chunks_exact(args.width).zip(args.codes.chunks_exact_mut(args.width));
    for ((input, codes), out_step) in rows.zip(args.steps) {
        // Magnitudes are ordered as their bits are.
        let most = input.iter().fold(0, |most, x| most.max((x.to_bits() & 0x7fff_ffff) as i32));
        let (multiplier, step) = args.range.multiplier_and_step(f32::from_bits(most as u32));
        *out_step = step;
        for (x, code) in input.iter().zip(codes) {
            let x = x * multiplier;
            let x = if x > 127.0 { 127.0 } else { x };
            let x = if x < -127.0 { -127.0 } else { x };
            *code = (x + UNITS).to_bits() as i8;
        }
    }
}
