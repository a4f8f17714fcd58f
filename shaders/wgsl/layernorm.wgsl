// out = (x - mean) / spread * gain + bias in Q12, x = clamp(input [+ residual], +-(2^22 - 1)).
//
//   mean = floor(sum x / width + 1/2)           d = x - mean, n = lg(max |d|)
//   d15  = d * 2^(14 - n), rounded              V = max(sum ((d15 + 8) >> 4)^2, 2^20)
//   (z, r) = inverse root of V                  xn = rsh(d15 * r, 9 - z)
//   out  = rsh(ms16(xn, gain), exponent - 2) + bias
//
// `per_row` gives a row to an invocation; `per_workgroup` gives it to 64, whose sums meet in workgroup
// atomics: integers add and compare alike in any order.

struct Params {
    tokens: u32,
    width: u32,
    // exponent - 2
    shift: u32,
}

// 1: the residual is added.
override RESIDUAL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<i32>;
@group(0) @binding(2) var<storage, read> residual: array<i32>;
// [width] of (gain, bias).
@group(0) @binding(3) var<storage, read> norm: array<vec2<i32>>;
@group(0) @binding(4) var<storage, read_write> result: array<i32>;

const LIMIT: i32 = 0x3fffff;
const OFFSET: i32 = 0x400000;

@compute @workgroup_size(32)
fn per_row(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(group, groups) * 32u + lane;
    if row >= params.tokens {
        return;
    }
    let first = row * params.width;
    var sums = Sums(0u, 0u, LIMIT, -LIMIT);
    for (var c = 0u; c < params.width; c++) {
        sums = gather(sums, value(first + c));
    }
    let centre = centre_of(sums);
    var v = 0u;
    for (var c = 0u; c < params.width; c++) {
        v += square(scaled(first + c, centre));
    }
    let root = inverse_root(max(v, 0x100000u));
    for (var c = 0u; c < params.width; c++) {
        result[first + c] = finish(scaled(first + c, centre), root, c);
    }
}

var<workgroup> shared_high: atomic<u32>;
var<workgroup> shared_low: atomic<u32>;
var<workgroup> shared_least: atomic<i32>;
var<workgroup> shared_most: atomic<i32>;
var<workgroup> shared_v: atomic<u32>;

@compute @workgroup_size(64)
fn per_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(group, groups);
    if row >= params.tokens {
        return;
    }
    let first = row * params.width;
    if lane == 0u {
        atomicStore(&shared_high, 0u);
        atomicStore(&shared_low, 0u);
        atomicStore(&shared_least, LIMIT);
        atomicStore(&shared_most, -LIMIT);
        atomicStore(&shared_v, 0u);
    }
    workgroupBarrier();
    var own = Sums(0u, 0u, LIMIT, -LIMIT);
    for (var c = lane; c < params.width; c += 64u) {
        own = gather(own, value(first + c));
    }
    atomicAdd(&shared_high, own.high);
    atomicAdd(&shared_low, own.low);
    atomicMin(&shared_least, own.least);
    atomicMax(&shared_most, own.most);
    workgroupBarrier();
    let centre = centre_of(Sums(
        atomicLoad(&shared_high),
        atomicLoad(&shared_low),
        atomicLoad(&shared_least),
        atomicLoad(&shared_most),
    ));
    var v = 0u;
    for (var c = lane; c < params.width; c += 64u) {
        v += square(scaled(first + c, centre));
    }
    atomicAdd(&shared_v, v);
    workgroupBarrier();
    let root = inverse_root(max(atomicLoad(&shared_v), 0x100000u));
    for (var c = lane; c < params.width; c += 64u) {
        result[first + c] = finish(scaled(first + c, centre), root, c);
    }
}

// Sums of the high and low 12 bits of x + 2^22, so that no width overflows them; least and most x.
struct Sums {
    high: u32,
    low: u32,
    least: i32,
    most: i32,
}

struct Centre {
    mean: i32,
    n: u32,
}

// The sum saturates: the clamp would hide what wraps.
fn value(index: u32) -> i32 {
    var x = input[index];
    if RESIDUAL != 0u {
        let other = residual[index];
        let sum = x + other;
        let wrapped = ((x ^ sum) & (other ^ sum)) < 0;
        x = select(sum, select(LIMIT, -LIMIT, x < 0), wrapped);
    }
    return clamp(x, -LIMIT, LIMIT);
}

fn gather(sums: Sums, x: i32) -> Sums {
    let raised = u32(x + OFFSET);
    return Sums(
        sums.high + (raised >> 12u),
        sums.low + (raised & 0xfffu),
        min(sums.least, x),
        max(sums.most, x),
    );
}

// Long division of (high * 2^12 + low + width / 2) by the width.
fn centre_of(sums: Sums) -> Centre {
    let w = params.width;
    let quotient = sums.high / w;
    let rest = (sums.high - quotient * w) * 4096u + sums.low + w / 2u;
    let mean = i32(quotient * 4096u + rest / w) - OFFSET;
    return Centre(mean, lg(max(magnitude(sums.most - mean), magnitude(mean - sums.least))));
}

// d15 of one column.
fn scaled(index: u32, centre: Centre) -> i32 {
    let d = value(index) - centre.mean;
    if centre.n <= 14u {
        return clamp(d << ((14u - centre.n) & 31u), -32767, 32767);
    }
    return clamp(rsh(d, centre.n - 14u), -32767, 32767);
}

fn square(d15: i32) -> u32 {
    let d11 = (d15 + 8) >> 4u;
    return u32(d11 * d11);
}

fn finish(d15: i32, root: InverseRoot, column: u32) -> i32 {
    let xn = rsh(d15 * i32(root.r), 9u - root.z);
    let gain_and_bias = norm[column];
    return rsh(ms16_signed(xn, gain_and_bias.x), params.shift) + gain_and_bias.y;
}
