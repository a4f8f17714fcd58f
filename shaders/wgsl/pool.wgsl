// Rows of a sequence summed (or its first row), L2-normalised to Q15, channels in the model's order.
//
//   y14 = y * 2^(13 - n), rounded, n = lg(max |y|)
//   low = sum (y14^2 mod 2^16), high = sum (y14^2 / 2^16)
//   V = max((high + (low >> 16)) << 8 | (low & 0xffff) >> 8, 2^18), (z, r) = inverse root of V
//   out = clamp(rsh(y14 * r, 20 - z), +-32767)
//
// A workgroup of 64 owns a sequence; maxima and sums meet in workgroup atomics.

struct Params {
    sequences: u32,
    width: u32,
}

// 0: sum. 1: first row.
override KIND: u32 = 0u;

const MAX_WIDTH: u32 = 2048u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<i32>;
// [sequences]: first row and length.
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>;
// [width]: the column that holds each channel of the output.
@group(0) @binding(3) var<storage, read> columns: array<u32>;
// [sequences][width / 2]: i16 pairs.
@group(0) @binding(4) var<storage, read_write> result: array<u32>;

var<workgroup> pooled: array<i32, MAX_WIDTH>;
var<workgroup> shared_most: atomic<u32>;
var<workgroup> shared_low: atomic<u32>;
var<workgroup> shared_high: atomic<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let sequence = linear_workgroup(group, groups);
    if sequence >= params.sequences {
        return;
    }
    if lane == 0u {
        atomicStore(&shared_most, 0u);
        atomicStore(&shared_low, 0u);
        atomicStore(&shared_high, 0u);
    }
    workgroupBarrier();
    let span = spans[sequence];
    let rows = select(span.y, 1u, KIND == 1u);
    var most = 0u;
    for (var c = lane; c < params.width; c += 64u) {
        var y = 0;
        for (var row = span.x; row < span.x + rows; row++) {
            y += input[row * params.width + c];
        }
        pooled[c] = y;
        most = max(most, magnitude(y));
    }
    atomicMax(&shared_most, most);
    workgroupBarrier();
    let n = lg(atomicLoad(&shared_most));
    var low = 0u;
    var high = 0u;
    for (var c = lane; c < params.width; c += 64u) {
        let y14 = scaled(pooled[c], n);
        let square = u32(y14 * y14);
        low += square & 0xffffu;
        high += square >> 16u;
        pooled[c] = y14;
    }
    atomicAdd(&shared_low, low);
    atomicAdd(&shared_high, high);
    workgroupBarrier();
    let sum_low = atomicLoad(&shared_low);
    let sum_high = atomicLoad(&shared_high) + (sum_low >> 16u);
    let root = inverse_root(max((sum_high << 8u) | ((sum_low & 0xffffu) >> 8u), 0x40000u));
    for (var pair = lane; pair < params.width / 2u; pair += 64u) {
        let even = finish(pooled[columns[pair * 2u]], root);
        let odd = finish(pooled[columns[pair * 2u + 1u]], root);
        result[sequence * (params.width / 2u) + pair] = (even & 0xffffu) | (odd << 16u);
    }
}

fn scaled(y: i32, n: u32) -> i32 {
    if n <= 13u {
        return y << ((13u - n) & 31u);
    }
    return rsh(y, n - 13u);
}

fn finish(y14: i32, root: InverseRoot) -> u32 {
    return u32(clamp(rsh(y14 * i32(root.r), 20u - root.z), -32767, 32767));
}
