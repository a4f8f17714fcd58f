// out[t][c] = word[ids[t]][c] * word_scale[ids[t]] + (position[t - first][c] << position_shift), Q20.
//
// One invocation makes four columns of one token.

struct Params {
    tokens: u32,
    width: u32,
    position_shift: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
// [tokens][2]: first row and length of the token's sequence.
@group(0) @binding(2) var<storage, read> spans: array<u32>;
// [vocab][ceil(width / 4)]: i8 quads.
@group(0) @binding(3) var<storage, read> word: array<u32>;
// [vocab]
@group(0) @binding(4) var<storage, read> word_scale: array<i32>;
// [positions][ceil(width / 4)][2]: i16 pairs.
@group(0) @binding(5) var<storage, read> position: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> result: array<i32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = (params.width + 3u) / 4u;
    let index = linear_workgroup(group, groups) * 64u + lane;
    let row = index / quads;
    if row >= params.tokens {
        return;
    }
    let quad = index % quads;
    let id = ids[row];
    let codes = i32(word[id * quads + quad]);
    let step = word_scale[id];
    let pairs = vec2<i32>(position[(row - spans[2u * row]) * quads + quad]);
    let low = (pairs << vec2<u32>(16u)) >> vec2<u32>(16u);
    let high = pairs >> vec2<u32>(16u);
    let positions = vec4<i32>(low.x, high.x, low.y, high.y);
    let words = (vec4<i32>(codes) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
    let sum = words * step + (positions << vec4<u32>(params.position_shift & 31u));
    let first = row * params.width + quad * 4u;
    for (var c = 0u; c < min(4u, params.width - quad * 4u); c++) {
        result[first + c] = sum[c];
    }
}
