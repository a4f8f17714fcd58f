// The best rows of a table of i8 codes by their dot product d with each query:
//
//   score = d,   floor((d << shift) * multiplier / 2^16),   or   2 d - norm
//
// Keys are scores with the sign bit flipped. The walk is that of `scan.wgsl`.

// 0: d. 1: scaled. 2: Euclidean order.
override SCORE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
// [queries][words]: i8 quads.
@group(0) @binding(1) var<storage, read> queries: array<u32>;
// [rows / 32][words][8]: i8 quads of four rows.
@group(0) @binding(2) var<storage, read> vectors: array<vec4<u32>>;
// [rows / 4]: multipliers or norms of four rows.
@group(0) @binding(3) var<storage, read> terms: array<vec4<i32>>;
// [rows / 32]: bits.
@group(0) @binding(4) var<storage, read> mask: array<u32>;
// [queries][lists][k].
@group(0) @binding(5) var<storage, read_write> result: array<vec2<u32>>;

alias Sum = vec4<i32>;

fn add(sum: Sum, rows: vec4<u32>, query: u32) -> Sum {
    return sum + vec4<i32>(
        dot4I8Packed(query, rows.x),
        dot4I8Packed(query, rows.y),
        dot4I8Packed(query, rows.z),
        dot4I8Packed(query, rows.w),
    );
}

fn keys(sum: Sum, row: u32) -> vec4<u32> {
    var score = sum;
    if SCORE == 1u {
        let d = sum << vec4<u32>(params.shift & 31u);
        let multiplier = vec4<u32>(terms[row / 4u]);
        score = vec4<i32>(
            ms16_unsigned(d.x, multiplier.x),
            ms16_unsigned(d.y, multiplier.y),
            ms16_unsigned(d.z, multiplier.z),
            ms16_unsigned(d.w, multiplier.w),
        );
    } else if SCORE == 2u {
        score = 2 * sum - terms[row / 4u];
    }
    return vec4<u32>(score) ^ vec4<u32>(0x80000000u);
}
