// The best rows of a table of bits by the number of bits each shares with a query.
//
// Keys are scores with the sign bit flipped. The walk is that of `scan.wgsl`.

@group(0) @binding(0) var<uniform> params: Params;
// [queries][words]: bits.
@group(0) @binding(1) var<storage, read> queries: array<u32>;
// [rows / 32][words][8]: bits of four rows.
@group(0) @binding(2) var<storage, read> vectors: array<vec4<u32>>;
// [rows / 32]: bits.
@group(0) @binding(3) var<storage, read> mask: array<u32>;
// [queries][lists][k].
@group(0) @binding(4) var<storage, read_write> result: array<vec2<u32>>;

alias Sum = vec4<u32>;

fn add(sum: Sum, rows: vec4<u32>, query: u32) -> Sum {
    return sum + countOneBits(~(rows ^ vec4<u32>(query)));
}

fn keys(sum: Sum, row: u32) -> vec4<u32> {
    return sum ^ vec4<u32>(0x80000000u);
}
