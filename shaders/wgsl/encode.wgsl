// code = clamp(round_half_even(x * multiplier), +-127), the product rounded to f32 first.
//
//   by row: A = max |x|; multiplier = 127 / A, step = A / 127; both 0 where A < 2^-100
//   fixed:  multiplier = 1 / step, given
//
// Bits as IEEE defines them, of operations WGSL does not define to the bit: all arithmetic is on integers. A float
// of exponent field e and mantissa m, 24 bits with the leading one, is m * 2^(e - 150).
//
// Subnormal x need no care: they are below 2^-126 and multipliers at most 127 * 2^100, so their codes are 0. So are
// those of subnormal products, however they round.
//
// `per_row` gives a row to an invocation; `per_workgroup` gives it to 64.

struct Params {
    rows: u32,
    width: u32,
    // 1: `multiplier` and `step`, bits of floats, hold for all rows.
    fixed_step: u32,
    multiplier: u32,
    step: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// [rows][width / 4]: bits of floats.
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>;
// [rows][width / 4]: i8 quads.
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
// [rows]: bits of floats.
@group(0) @binding(3) var<storage, read_write> steps: array<u32>;

@compute @workgroup_size(32)
fn per_row(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(group, groups) * 32u + lane;
    if row >= params.rows {
        return;
    }
    let quads = params.width / 4u;
    let first = row * quads;
    var most = 0u;
    for (var quad = 0u; quad < quads; quad++) {
        most = max(most, most_of(first + quad));
    }
    let scale = scale_of(most);
    for (var quad = 0u; quad < quads; quad++) {
        codes[first + quad] = code_quad(first + quad, scale.multiplier);
    }
    steps[row] = scale.step;
}

var<workgroup> shared_most: atomic<u32>;

@compute @workgroup_size(64)
fn per_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let quads = params.width / 4u;
    let first = row * quads;
    if lane == 0u {
        atomicStore(&shared_most, 0u);
    }
    workgroupBarrier();
    var most = 0u;
    for (var quad = lane; quad < quads; quad += 64u) {
        most = max(most, most_of(first + quad));
    }
    atomicMax(&shared_most, most);
    workgroupBarrier();
    let scale = scale_of(atomicLoad(&shared_most));
    for (var quad = lane; quad < quads; quad += 64u) {
        codes[first + quad] = code_quad(first + quad, scale.multiplier);
    }
    if lane == 0u {
        steps[row] = scale.step;
    }
}

// Bits of floats.
struct Scale {
    multiplier: u32,
    step: u32,
}

// 2^-100: below, a row is zero.
const LEAST: u32 = 27u << 23u;
// 127 is ONE_TWENTY_SEVEN * 2^-17.
const ONE_TWENTY_SEVEN: u32 = 0xfe0000u;

// Magnitudes of floats are in the order of their bits.
fn most_of(at: u32) -> u32 {
    let bits = input[at] & vec4<u32>(0x7fffffffu);
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

fn scale_of(most: u32) -> Scale {
    if params.fixed_step != 0u {
        return Scale(params.multiplier, params.step);
    }
    if most < LEAST {
        return Scale(0u, 0u);
    }
    let e = most >> 23u;
    let m = mantissa24(most);
    // Exponent fields are those of quotients from 1 to 2.
    return Scale(quotient(ONE_TWENTY_SEVEN, m, 260u - e), quotient(m, ONE_TWENTY_SEVEN, e - 6u));
}

fn mantissa24(bits: u32) -> u32 {
    return (bits & 0x7fffffu) | 0x800000u;
}

// Bits of a / b by long division, rounded to nearest, ties to even; a and b have 24 bits. A carry out of the
// mantissa raises the exponent field, as it should.
fn quotient(a: u32, b: u32, exponent: u32) -> u32 {
    let less = u32(a < b);
    var rest = (a << less) - b;
    var q = 1u;
    for (var bit = 0u; bit < 23u; bit++) {
        rest <<= 1u;
        let fits = rest >= b;
        q = (q << 1u) | u32(fits);
        rest -= select(0u, b, fits);
    }
    let twice = rest << 1u;
    let up = u32(twice > b || (twice == b && (q & 1u) == 1u));
    return ((exponent - less) << 23u) + (q & 0x7fffffu) + up;
}

fn code_quad(at: u32, multiplier: u32) -> u32 {
    let x = input[at];
    return (code(x.x, multiplier) & 0xffu)
        | ((code(x.y, multiplier) & 0xffu) << 8u)
        | ((code(x.z, multiplier) & 0xffu) << 16u)
        | (code(x.w, multiplier) << 24u);
}

// The code of a float in two's complement.
fn code(x: u32, multiplier: u32) -> u32 {
    let ex = (x >> 23u) & 0xffu;
    if ex == 0u || multiplier == 0u {
        return 0u;
    }
    let magnitude = rounded_product(mantissa24(x), mantissa24(multiplier), ex + (multiplier >> 23u));
    return select(magnitude, 0u - magnitude, (x >> 31u) == 1u);
}

// min(round_half_even(f32(a * b * 2^(e - 300))), 127) for a and b of 24 bits.
fn rounded_product(a: u32, b: u32, e: u32) -> u32 {
    // a * b = high * 2^24 + low, from 2^46 to 2^48.
    let middle = (a >> 12u) * (b & 0xfffu) + (a & 0xfffu) * (b >> 12u);
    let below = ((middle & 0xfffu) << 12u) + (a & 0xfffu) * (b & 0xfffu);
    let high = (a >> 12u) * (b >> 12u) + (middle >> 12u) + (below >> 24u);
    let low = below & 0xffffffu;
    // The 24 leading bits, and those after them as a fraction of 2^24.
    let short = u32(high < 0x800000u);
    var m = select(high, (high << 1u) | (low >> 23u), short == 1u);
    let rest = (low << short) & 0xffffffu;
    m += u32(rest > 0x800000u || (rest == 0x800000u && (m & 1u) == 1u));
    // The product is m * 2^-cut; a carry to 2^24 needs no care, since only whole numbers matter from here on.
    let cut = 276 + i32(short) - i32(e);
    if cut > 25 {
        return 0u;
    }
    if cut < 17 {
        return 127u;
    }
    let n = u32(cut);
    let whole = m >> n;
    let fraction = m & ((1u << n) - 1u);
    let tie = 1u << (n - 1u);
    return min(whole + u32(fraction > tie || (fraction == tie && (whole & 1u) == 1u)), 127u);
}
