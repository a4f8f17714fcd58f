// Softmax attention in base 2 within each sequence, heads of 32 columns.
//
//   s = q . k                       top = max s over the sequence, d = top - s
//   p = rsh(EXP[(d >> 8) & 255], min(d >> 16, 20) + 4)
//   L = sum p, (n, M) = mantissa of L          acc = sum p * v
//   out = rsh(ms16(acc, (2^31 - 1) / M), n - 4), Q12
//
// An invocation owns one row of one head and walks its sequence twice: once for the top score, once for
// the sums. Neighbours own neighbouring rows of the same head, so they mostly read the same k and v.

struct Params {
    tokens: u32,
    heads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// [tokens][3][heads][4]: eight columns as i16 pairs.
@group(0) @binding(1) var<storage, read> qkv: array<vec4<u32>>;
// [tokens]: first row and length of the row's sequence.
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>;
// [256]
@group(0) @binding(3) var<storage, read> exp_table: array<i32>;
// [tokens][heads][8]: four columns.
@group(0) @binding(4) var<storage, read_write> result: array<vec4<i32>>;

@compute @workgroup_size(32)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = linear_workgroup(group, groups);
    let head = index % params.heads;
    let row = index / params.heads * 32u + lane;
    if row >= params.tokens {
        return;
    }
    let span = spans[row];
    let stride = params.heads * 12u;
    let query = halves(row * stride + head * 4u);
    let first_key = span.x * stride + (params.heads + head) * 4u;
    var top = score(query, first_key);
    for (var i = 1u; i < span.y; i++) {
        top = max(top, score(query, first_key + i * stride));
    }
    var total = 0;
    var acc: Halves;
    for (var i = 0u; i < span.y; i++) {
        let key = first_key + i * stride;
        let p = probability(u32(top - score(query, key)));
        let v = halves(key + params.heads * 4u);
        total += p;
        acc.low0 += p * v.low0;
        acc.low1 += p * v.low1;
        acc.low2 += p * v.low2;
        acc.low3 += p * v.low3;
        acc.high0 += p * v.high0;
        acc.high1 += p * v.high1;
        acc.high2 += p * v.high2;
        acc.high3 += p * v.high3;
    }
    let n = lg(u32(total));
    let inverse = 0x7fffffffu / mantissa(u32(total), n);
    let at = (row * params.heads + head) * 8u;
    store(at, acc.low0, acc.high0, inverse, n);
    store(at + 2u, acc.low1, acc.high1, inverse, n);
    store(at + 4u, acc.low2, acc.high2, inverse, n);
    store(at + 6u, acc.low3, acc.high3, inverse, n);
}

// The 32 columns of a head: even columns in the low fields, odd ones in the high fields.
struct Halves {
    low0: vec4<i32>,
    low1: vec4<i32>,
    low2: vec4<i32>,
    low3: vec4<i32>,
    high0: vec4<i32>,
    high1: vec4<i32>,
    high2: vec4<i32>,
    high3: vec4<i32>,
}

fn halves(at: u32) -> Halves {
    let a = qkv[at];
    let b = qkv[at + 1u];
    let c = qkv[at + 2u];
    let d = qkv[at + 3u];
    return Halves(
        low_halves(a), low_halves(b), low_halves(c), low_halves(d),
        high_halves(a), high_halves(b), high_halves(c), high_halves(d),
    );
}

fn score(q: Halves, at: u32) -> i32 {
    let k = halves(at);
    let even = q.low0 * k.low0 + q.low1 * k.low1 + q.low2 * k.low2 + q.low3 * k.low3;
    let odd = q.high0 * k.high0 + q.high1 * k.high1 + q.high2 * k.high2 + q.high3 * k.high3;
    let sums = even + odd;
    return sums.x + sums.y + sums.z + sums.w;
}

fn probability(d: u32) -> i32 {
    return rsh(exp_table[(d >> 8u) & 255u], min(d >> 16u, 20u) + 4u);
}

fn store(at: u32, even: vec4<i32>, odd: vec4<i32>, inverse: u32, n: u32) {
    result[at] = vec4<i32>(
        context(even.x, inverse, n), context(odd.x, inverse, n),
        context(even.y, inverse, n), context(odd.y, inverse, n),
    );
    result[at + 1u] = vec4<i32>(
        context(even.z, inverse, n), context(odd.z, inverse, n),
        context(even.w, inverse, n), context(odd.w, inverse, n),
    );
}

fn context(acc: i32, inverse: u32, n: u32) -> i32 {
    return rsh(ms16_unsigned(acc, inverse), n - 4u);
}
