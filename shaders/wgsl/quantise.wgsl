// A row becomes i8 codes with one mantissa and one exponent per group of columns.
//
//   A = max(1, amax of the last group, ceil(amax_g / 2^exponent_max) of the others)
//   n = lg A, M = mantissa of A, r = (127 * 2^24) / M
//   e_g = least e >= 0 with amax_g <= A * 2^e
//   code = rsh(ms16(x << (29 - n - e_g), r), 22), for the offset signal rsh(.., 21) - 127, within +-127
//
// `per_row` gives a row to an invocation; `per_workgroup` gives it to 64, whose maxima and sums meet in
// workgroup atomics.

struct Params {
    // Where each group ends, in quads of columns; groups not in use end where the last one does.
    ends: vec4<u32>,
    groups: u32,
    tokens: u32,
    width: u32,
    exponent_max: u32,
}

// 0: i32 of either sign. 1: u16 pairs, never negative.
override SIGNAL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<u32>;
// [tokens][width / 4]: i8 quads.
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
// [tokens][2]: (log2, mantissa, exponents, 0), four sums.
@group(0) @binding(3) var<storage, read_write> scales: array<vec4<u32>>;

const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

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
    var amax = vec4<u32>(0u);
    for (var quad = 0u; quad < params.width / 4u; quad++) {
        amax = max(amax, in_group(group_of(quad), largest(load(row, quad))));
    }
    let scale = scale_of(amax);
    var sums = vec4<i32>(0);
    for (var quad = 0u; quad < params.width / 4u; quad++) {
        let g = group_of(quad);
        let code = encode(load(row, quad), scale, g);
        codes[row * (params.width / 4u) + quad] = pack(code);
        sums += vec4<i32>(in_group(g, u32(code.x + code.y + code.z + code.w)));
    }
    store_scale(row, scale, sums);
}

var<workgroup> shared_amax: array<atomic<u32>, 4>;
var<workgroup> shared_sums: array<atomic<i32>, 4>;

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
    if lane < 4u {
        atomicStore(&shared_amax[lane], 0u);
        atomicStore(&shared_sums[lane], 0);
    }
    workgroupBarrier();
    var own = vec4<u32>(0u);
    for (var quad = lane; quad < params.width / 4u; quad += 64u) {
        own = max(own, in_group(group_of(quad), largest(load(row, quad))));
    }
    atomicMax(&shared_amax[0], own.x);
    atomicMax(&shared_amax[1], own.y);
    atomicMax(&shared_amax[2], own.z);
    atomicMax(&shared_amax[3], own.w);
    workgroupBarrier();
    let scale = scale_of(vec4<u32>(
        atomicLoad(&shared_amax[0]),
        atomicLoad(&shared_amax[1]),
        atomicLoad(&shared_amax[2]),
        atomicLoad(&shared_amax[3]),
    ));
    var sums = vec4<i32>(0);
    for (var quad = lane; quad < params.width / 4u; quad += 64u) {
        let g = group_of(quad);
        let code = encode(load(row, quad), scale, g);
        codes[row * (params.width / 4u) + quad] = pack(code);
        sums += vec4<i32>(in_group(g, u32(code.x + code.y + code.z + code.w)));
    }
    atomicAdd(&shared_sums[0], sums.x);
    atomicAdd(&shared_sums[1], sums.y);
    atomicAdd(&shared_sums[2], sums.z);
    atomicAdd(&shared_sums[3], sums.w);
    workgroupBarrier();
    if lane == 0u {
        store_scale(row, scale, vec4<i32>(
            atomicLoad(&shared_sums[0]),
            atomicLoad(&shared_sums[1]),
            atomicLoad(&shared_sums[2]),
            atomicLoad(&shared_sums[3]),
        ));
    }
}

struct Scale {
    n: u32,
    mantissa: u32,
    r: u32,
    exponents: vec4<u32>,
}

fn load(row: u32, quad: u32) -> vec4<i32> {
    if SIGNAL == 0u {
        let at = row * params.width + quad * 4u;
        return vec4<i32>(vec4<u32>(input[at], input[at + 1u], input[at + 2u], input[at + 3u]));
    }
    let at = row * (params.width / 2u) + quad * 2u;
    let a = input[at];
    let b = input[at + 1u];
    return vec4<i32>(vec4<u32>(a & 0xffffu, a >> 16u, b & 0xffffu, b >> 16u));
}

fn largest(x: vec4<i32>) -> u32 {
    return max(max(magnitude(x.x), magnitude(x.y)), max(magnitude(x.z), magnitude(x.w)));
}

// Number of groups that end at or before the quad.
fn group_of(quad: u32) -> u32 {
    let passed = select(vec3<u32>(0u), vec3<u32>(1u), vec3<u32>(quad) >= params.ends.xyz);
    return passed.x + passed.y + passed.z;
}

// The value in the lane of its group, 0 in the others.
fn in_group(group: u32, value: u32) -> vec4<u32> {
    return select(vec4<u32>(0u), vec4<u32>(value), LANES == vec4<u32>(group));
}

// Lanes are groups; those not in use hold 0 and come out with exponent 0, as the last one does.
fn scale_of(amax: vec4<u32>) -> Scale {
    let e_max = params.exponent_max & 31u;
    let reduced = (amax + vec4<u32>((1u << e_max) - 1u)) >> vec4<u32>(e_max);
    let bounds = select(amax, reduced, LANES < vec4<u32>(params.groups - 1u));
    let amplitude = max(1u, max(max(bounds.x, bounds.y), max(bounds.z, bounds.w)));
    let n = lg(amplitude);
    let m = mantissa(amplitude, n);
    let bits = vec4<u32>(lg(amax.x), lg(amax.y), lg(amax.z), lg(amax.w));
    let e = max(bits, vec4<u32>(n)) - vec4<u32>(n);
    let short = amax > (vec4<u32>(amplitude) << (e & vec4<u32>(31u)));
    return Scale(n, m, (127u << 24u) / m, e + select(vec4<u32>(0u), vec4<u32>(1u), short));
}

fn encode(x: vec4<i32>, scale: Scale, group: u32) -> vec4<i32> {
    // A lane chosen by a mask: indexing by a variable would go through memory.
    let masked = select(vec4<u32>(0u), scale.exponents, LANES == vec4<u32>(group));
    let exponent = masked.x + masked.y + masked.z + masked.w;
    let shift = (29u - scale.n - exponent) & 31u;
    return vec4<i32>(
        code(x.x << shift, scale.r),
        code(x.y << shift, scale.r),
        code(x.z << shift, scale.r),
        code(x.w << shift, scale.r),
    );
}

fn code(shifted: i32, r: u32) -> i32 {
    let high = ms16_unsigned(shifted, r);
    return clamp(select(rsh(high, 22u), rsh(high, 21u) - 127, SIGNAL != 0u), -127, 127);
}

fn pack(code: vec4<i32>) -> u32 {
    let bytes = (vec4<u32>(code) & vec4<u32>(0xffu)) << vec4<u32>(0u, 8u, 16u, 24u);
    return bytes.x | bytes.y | bytes.z | bytes.w;
}

fn store_scale(row: u32, scale: Scale, sums: vec4<i32>) {
    let bytes = scale.exponents << vec4<u32>(0u, 8u, 16u, 24u);
    let exponents = bytes.x | bytes.y | bytes.z | bytes.w;
    scales[row * 2u] = vec4<u32>(scale.n, scale.mantissa, exponents, 0u);
    scales[row * 2u + 1u] = vec4<u32>(sums);
}
