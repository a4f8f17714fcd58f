use crate::EncodeArgs;

/// Codes and steps of rows; every operation is one IEEE f32 operation.
pub fn encode(args: EncodeArgs<'_>) {
    let rows = args.input.chunks_exact(args.width).zip(args.codes.chunks_exact_mut(args.width));
    for ((input, codes), out_step) in rows.zip(args.steps) {
        let most = input.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let (multiplier, step) = args.range.multiplier_and_step(most);
        *out_step = step;
        for (x, code) in input.iter().zip(codes) {
            *code = (x * multiplier).round_ties_even().clamp(-127.0, 127.0) as i8;
        }
    }
}
