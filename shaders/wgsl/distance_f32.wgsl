// The best rows of a table of floats by their dot product d with each query:
//
//   score = d,   d * multiplier,   or   2 d - norm
//
// Results hold within a tolerance: WGSL fixes neither the order of a sum nor its rounding. A key has the order of
// the score as an unsigned number. The walk is that of `scan.wgsl`.

// 0: d. 1: scaled. 2: Euclidean order.
override SCORE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
// [queries][words]: bits of floats.
@group(0) @binding(1) var<storage, read> queries: array<u32>;
// [rows / 32][words][8]: bits of floats of four rows.
@group(0) @binding(2) var<storage, read> vectors: array<vec4<u32>>;
// [rows / 4]: multipliers or norms of four rows.
@group(0) @binding(3) var<storage, read> terms: array<vec4<f32>>;
// [rows / 32]: bits.
@group(0) @binding(4) var<storage, read> mask: array<u32>;
// [queries][lists][k].
@group(0) @binding(5) var<storage, read_write> result: array<vec2<u32>>;

alias Sum = vec4<f32>;

fn add(sum: Sum, rows: vec4<u32>, query: u32) -> Sum {
    return sum + bitcast<vec4<f32>>(rows) * bitcast<f32>(query);
}

fn keys(sum: Sum, row: u32) -> vec4<u32> {
    var score = sum;
    if SCORE == 1u {
        score = sum * terms[row / 4u];
    } else if SCORE == 2u {
        score = 2.0 * sum - terms[row / 4u];
    }
    let bits = bitcast<vec4<u32>>(score);
    return select(bits | vec4<u32>(0x80000000u), ~bits, (bits >> vec4<u32>(31u)) == vec4<u32>(1u));
}
