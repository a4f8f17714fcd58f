// The scheme's scalar operations, put before every stage. Arithmetic is that of the oracle in 64 bits,
// rewritten so that every intermediate fits 32.

// floor(a * m / 2^16) for m in 0..2^16. The low product needs u32.
fn ms16_unsigned(a: i32, m: u32) -> i32 {
    return (a >> 16u) * i32(m) + i32(((u32(a) & 0xffffu) * m) >> 16u);
}

// floor(a * m / 2^16) for m in -2^15..2^15.
fn ms16_signed(a: i32, m: i32) -> i32 {
    return (a >> 16u) * m + (((a & 0xffff) * m) >> 16u);
}

// floor((a + 2^(n-1)) / 2^n), n >= 1. The added half is the bit below the cut, so nothing overflows.
fn rsh(a: i32, n: u32) -> i32 {
    let rounded = (a >> (n & 31u)) + ((a >> ((n - 1u) & 31u)) & 1);
    return select(rounded, 0, n > 31u);
}

// floor(log2 a); 0 for a <= 1.
fn lg(a: u32) -> u32 {
    return 31u - countLeadingZeros(max(a, 1u));
}

// |a|, also of the most negative number.
fn magnitude(a: i32) -> u32 {
    return u32(abs(a));
}

// a as a 16-bit mantissa in 2^15..2^16, for a > 0 and n = lg(a).
fn mantissa(a: u32, n: u32) -> u32 {
    return select(a >> ((n - 15u) & 31u), a << ((15u - n) & 31u), n <= 15u);
}

struct InverseRoot {
    z: u32,
    // floor((2^31 - 1) / floor(sqrt(v * 4^z)))
    r: u32,
}

// z = (31 - lg v) / 2 brings v * 4^z to 2^30..2^32; the root is then found bit by bit.
fn inverse_root(v: u32) -> InverseRoot {
    let z = (31u - lg(v)) >> 1u;
    let scaled = v << (2u * z);
    var root = 0u;
    for (var bit = 0x8000u; bit > 0u; bit >>= 1u) {
        let candidate = root | bit;
        if candidate * candidate <= scaled {
            root = candidate;
        }
    }
    return InverseRoot(z, 0x7fffffffu / root);
}

// The two signed halves of each word, low first.
fn low_halves(words: vec4<u32>) -> vec4<i32> {
    return (vec4<i32>(words) << vec4<u32>(16u)) >> vec4<u32>(16u);
}

fn high_halves(words: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(words) >> vec4<u32>(16u);
}

// Workgroups are numbered along x, then y: a dimension holds 65,535 at most.
fn linear_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
    return id.y * count.x + id.x;
}
