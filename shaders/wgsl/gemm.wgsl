// out[t][o] = epilogue(rsh(ms16(acc, m), S - log2) + bias[o])
//
//   acc = (sum_g (sum_{k in g} code * weight + correction_g[o]) << e_g) << accumulator_shift
//   m   = (M * mc[o] + 2^15) >> 16
//
// M, log2 and e_g are the row's, S and accumulator_shift the panel's. A left shift distributes over a sum,
// so each group adds its shifted products to one accumulator, and the last group, whose exponent is 0,
// adds them as they are.
//
// Either entry point gives an invocation 8 rows x 4 outputs: whole words of every output form. `direct`
// reads everything from storage; its 32 invocations share their rows, so codes load once per workgroup.
// `tiled` brings 64 rows x 64 outputs x 16 quads at a time into workgroup memory.

struct Params {
    // Where each group ends, in quads of k; groups not in use end where the last one does.
    ends: vec4<u32>,
    groups: u32,
    tokens: u32,
    outputs: u32,
    // 1: corrections are added.
    corrected: u32,
    // Clamp: largest magnitude kept. Gelu: the offset.
    bound: i32,
}

// 0: i32. 1: clamped i16 pairs. 2: GELU in u16 pairs.
override EPILOGUE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
// [tokens][k / 4]: i8 quads.
@group(0) @binding(1) var<storage, read> codes: array<u32>;
// [tokens][2]: (log2, mantissa, exponents, 0), four sums.
@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;
// [outputs / 16][k / 4][4]: i8 quads of four outputs.
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;
// By four outputs: mc, bias, corrections of four groups; by panel: (accumulator_shift, S, 0, 0).
@group(0) @binding(4) var<storage, read> constants: array<vec4<i32>>;
// [1280]: u8 quads.
@group(0) @binding(5) var<storage, read> gelu: array<u32>;
@group(0) @binding(6) var<storage, read_write> result: array<u32>;

@compute @workgroup_size(32)
fn direct(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (params.outputs + 127u) / 128u;
    let index = linear_workgroup(group, groups);
    let first_row = index / across * 8u;
    let column = (index % across * 32u) + lane;
    if first_row >= params.tokens || column * 4u >= params.outputs {
        return;
    }
    let quads = params.ends.w;
    let weight = (column / 4u * quads * 4u) + column % 4u;
    let rows = row_starts(first_row, quads);
    var acc: Acc;
    var quad = 0u;
    for (var g = 0u; g < params.groups; g++) {
        let end = params.ends[g];
        if g + 1u < params.groups {
            let shift = Shifts(
                exponent(first_row, g), exponent(first_row + 1u, g),
                exponent(first_row + 2u, g), exponent(first_row + 3u, g),
                exponent(first_row + 4u, g), exponent(first_row + 5u, g),
                exponent(first_row + 6u, g), exponent(first_row + 7u, g),
            );
            for (; quad < end; quad++) {
                let w = weights[weight + quad * 4u];
                acc.r0 += dot4(codes[rows.r0 + quad], w) << shift.r0;
                acc.r1 += dot4(codes[rows.r1 + quad], w) << shift.r1;
                acc.r2 += dot4(codes[rows.r2 + quad], w) << shift.r2;
                acc.r3 += dot4(codes[rows.r3 + quad], w) << shift.r3;
                acc.r4 += dot4(codes[rows.r4 + quad], w) << shift.r4;
                acc.r5 += dot4(codes[rows.r5 + quad], w) << shift.r5;
                acc.r6 += dot4(codes[rows.r6 + quad], w) << shift.r6;
                acc.r7 += dot4(codes[rows.r7 + quad], w) << shift.r7;
            }
        } else {
            for (; quad < end; quad++) {
                let w = weights[weight + quad * 4u];
                acc.r0 += dot4(codes[rows.r0 + quad], w);
                acc.r1 += dot4(codes[rows.r1 + quad], w);
                acc.r2 += dot4(codes[rows.r2 + quad], w);
                acc.r3 += dot4(codes[rows.r3 + quad], w);
                acc.r4 += dot4(codes[rows.r4 + quad], w);
                acc.r5 += dot4(codes[rows.r5 + quad], w);
                acc.r6 += dot4(codes[rows.r6 + quad], w);
                acc.r7 += dot4(codes[rows.r7 + quad], w);
            }
        }
    }
    finish(acc, first_row, column);
}

const TILE_QUADS: u32 = 16u;

// [quad][row / 4] and [quad][output / 4]: four rows, four outputs.
var<workgroup> tile_codes: array<vec4<u32>, 256>;
var<workgroup> tile_weights: array<vec4<u32>, 256>;

@compute @workgroup_size(128)
fn tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (params.outputs + 63u) / 64u;
    let index = linear_workgroup(group, groups);
    let tile_row = index / across * 64u;
    let tile_column = index % across * 16u;
    if tile_row >= params.tokens {
        return;
    }
    let first_row = tile_row + lane / 16u * 8u;
    let column = tile_column + lane % 16u;
    var acc: Acc;
    var start = 0u;
    for (var g = 0u; g < params.groups; g++) {
        let end = params.ends[g];
        let last = g + 1u == params.groups;
        for (var slab = start; slab < end; slab += TILE_QUADS) {
            let depth = min(TILE_QUADS, end - slab);
            load_tile(tile_row, tile_column, slab, depth, lane);
            workgroupBarrier();
            if last {
                multiply(&acc, depth, lane);
            } else {
                multiply_shifted(&acc, depth, lane, first_row, g);
            }
            workgroupBarrier();
        }
        start = end;
    }
    if first_row < params.tokens && column * 4u < params.outputs {
        finish(acc, first_row, column);
    }
}

// Two elements of each tile per invocation; neighbours read neighbouring quads.
fn load_tile(tile_row: u32, tile_column: u32, slab: u32, depth: u32, lane: u32) {
    let quads = params.ends.w;
    let last_column = params.outputs / 4u - 1u;
    for (var i = lane; i < 256u; i += 128u) {
        let quad = slab + min(i % 16u, depth - 1u);
        let row = tile_row + i / 16u * 4u;
        tile_codes[(i % 16u) * 16u + i / 16u] =
            vec4<u32>(code(row, quad), code(row + 1u, quad), code(row + 2u, quad), code(row + 3u, quad));
    }
    for (var i = lane; i < 256u; i += 128u) {
        // i runs over [panel of 4][quad of 16][lanes / 4 of 4], the order of the weights in memory.
        let quad = i / 4u % 16u;
        let local = i / 64u * 4u + i % 4u;
        let column = min(tile_column + local, last_column);
        let at = (column / 4u * quads + slab + min(quad, depth - 1u)) * 4u + column % 4u;
        tile_weights[quad * 16u + local] = weights[at];
    }
}

fn multiply(acc: ptr<function, Acc>, depth: u32, lane: u32) {
    for (var quad = 0u; quad < depth; quad++) {
        let w = tile_weights[quad * 16u + lane % 16u];
        let a = tile_codes[quad * 16u + lane / 16u * 2u];
        let b = tile_codes[quad * 16u + lane / 16u * 2u + 1u];
        (*acc).r0 += dot4(a.x, w);
        (*acc).r1 += dot4(a.y, w);
        (*acc).r2 += dot4(a.z, w);
        (*acc).r3 += dot4(a.w, w);
        (*acc).r4 += dot4(b.x, w);
        (*acc).r5 += dot4(b.y, w);
        (*acc).r6 += dot4(b.z, w);
        (*acc).r7 += dot4(b.w, w);
    }
}

fn multiply_shifted(acc: ptr<function, Acc>, depth: u32, lane: u32, first_row: u32, group: u32) {
    var part: Acc;
    multiply(&part, depth, lane);
    (*acc).r0 += part.r0 << exponent(first_row, group);
    (*acc).r1 += part.r1 << exponent(first_row + 1u, group);
    (*acc).r2 += part.r2 << exponent(first_row + 2u, group);
    (*acc).r3 += part.r3 << exponent(first_row + 3u, group);
    (*acc).r4 += part.r4 << exponent(first_row + 4u, group);
    (*acc).r5 += part.r5 << exponent(first_row + 5u, group);
    (*acc).r6 += part.r6 << exponent(first_row + 6u, group);
    (*acc).r7 += part.r7 << exponent(first_row + 7u, group);
}

// Accumulators of eight rows. Fields, since arrays under a loop variable do not stay in registers.
struct Acc {
    r0: vec4<i32>,
    r1: vec4<i32>,
    r2: vec4<i32>,
    r3: vec4<i32>,
    r4: vec4<i32>,
    r5: vec4<i32>,
    r6: vec4<i32>,
    r7: vec4<i32>,
}

struct Shifts {
    r0: vec4<u32>,
    r1: vec4<u32>,
    r2: vec4<u32>,
    r3: vec4<u32>,
    r4: vec4<u32>,
    r5: vec4<u32>,
    r6: vec4<u32>,
    r7: vec4<u32>,
}

// First words of eight rows.
struct RowStarts {
    r0: u32,
    r1: u32,
    r2: u32,
    r3: u32,
    r4: u32,
    r5: u32,
    r6: u32,
    r7: u32,
}

// Rows past the batch read its last row and are not stored.
fn row_starts(row: u32, quads: u32) -> RowStarts {
    let last = params.tokens - 1u;
    return RowStarts(
        min(row, last) * quads, min(row + 1u, last) * quads,
        min(row + 2u, last) * quads, min(row + 3u, last) * quads,
        min(row + 4u, last) * quads, min(row + 5u, last) * quads,
        min(row + 6u, last) * quads, min(row + 7u, last) * quads,
    );
}

fn code(row: u32, quad: u32) -> u32 {
    return codes[min(row, params.tokens - 1u) * params.ends.w + quad];
}

fn exponent(row: u32, group: u32) -> vec4<u32> {
    return vec4<u32>((scales[min(row, params.tokens - 1u) * 2u].z >> (8u * group)) & 31u);
}

// Dot products of one quad with four.
fn dot4(quad: u32, w: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(quad, w.x), dot4I8Packed(quad, w.y), dot4I8Packed(quad, w.z), dot4I8Packed(quad, w.w),
    );
}

fn finish(acc: Acc, first_row: u32, column: u32) {
    store(first_row, column, acc.r0);
    store(first_row + 1u, column, acc.r1);
    store(first_row + 2u, column, acc.r2);
    store(first_row + 3u, column, acc.r3);
    store(first_row + 4u, column, acc.r4);
    store(first_row + 5u, column, acc.r5);
    store(first_row + 6u, column, acc.r6);
    store(first_row + 7u, column, acc.r7);
}

// Scales four outputs of a row and stores them; `column` counts fours of outputs.
fn store(row: u32, column: u32, products: vec4<i32>) {
    if row >= params.tokens {
        return;
    }
    let scale = scales[row * 2u];
    let columns = params.outputs / 4u;
    let shifts = constants[columns * 6u + column / 4u];
    var acc = products;
    if params.corrected != 0u {
        for (var g = 0u; g < params.groups; g++) {
            acc += constants[columns * (2u + g) + column] << exponent(row, g);
        }
    }
    acc = acc << vec4<u32>(u32(shifts.x) & 31u);
    let m = (scale.y * vec4<u32>(constants[column]) + vec4<u32>(32768u)) >> vec4<u32>(16u);
    let v = vec4<i32>(
        ms16_unsigned(acc.x, m.x),
        ms16_unsigned(acc.y, m.y),
        ms16_unsigned(acc.z, m.z),
        ms16_unsigned(acc.w, m.w),
    );
    let y = shifted(v, shifts.y - i32(scale.x)) + constants[columns + column];
    let at = row * columns + column;
    if EPILOGUE == 0u {
        let words = vec4<u32>(y);
        result[at * 4u] = words.x;
        result[at * 4u + 1u] = words.y;
        result[at * 4u + 2u] = words.z;
        result[at * 4u + 3u] = words.w;
    } else if EPILOGUE == 1u {
        store_halves(at, vec4<u32>(clamp(y, vec4<i32>(-params.bound), vec4<i32>(params.bound))));
    } else {
        let h = clamp(y, vec4<i32>(-32767), vec4<i32>(32767));
        let tail = vec4<i32>(gelu_tail(h.x), gelu_tail(h.y), gelu_tail(h.z), gelu_tail(h.w));
        store_halves(at, vec4<u32>(max(h, vec4<i32>(0)) - tail + params.bound));
    }
}

// Right by n rounded where n >= 1, else left.
fn shifted(v: vec4<i32>, n: i32) -> vec4<i32> {
    if n < 1 {
        return v << vec4<u32>(u32(-n) & 31u);
    }
    let s = u32(n);
    return vec4<i32>(rsh(v.x, s), rsh(v.y, s), rsh(v.z, s), rsh(v.w, s));
}

fn gelu_tail(h: i32) -> i32 {
    let index = min(magnitude(h) >> 2u, 1279u);
    return i32((gelu[index / 4u] >> (8u * (index % 4u))) & 0xffu);
}

fn store_halves(at: u32, x: vec4<u32>) {
    result[at * 2u] = (x.x & 0xffffu) | (x.y << 16u);
    result[at * 2u + 1u] = (x.z & 0xffffu) | (x.w << 16u);
}
