// A layer of leaky integrate-and-fire neurons over all time steps. In a step, with s the sum of the weights of the
// inputs that spike in it and of the neurons that spiked in the step before:
//
//   v     = clamp(floor(v * leak / 2^16) + (s << shift) + bias [- threshold | := 0 after a spike], +-2^29)
//   spike = v > threshold, and then v = v - threshold or 0 where a spike resets at once
//
// A leak of 2^16 is exact in ms16_unsigned too: its low product, at most 65535 * 2^16, fits u32, and its high one is
// a multiple of 2^16 no larger than v. Before the clamp |v| < 2^29 + 2^28 + 2^28 + 2^29.
//
// A workgroup of 128 owns 512 neurons of a run, or the whole run where neurons feed each other, and each invocation
// four of them at a time. Spikes meet in workgroup memory.

struct Params {
    batch: u32,
    steps: u32,
    inputs: u32,
    outputs: u32,
    shift: u32,
    reset: u32,
}

// 1: neurons feed each other.
override RECURRENT: u32 = 0u;

const SUBTRACT: u32 = 0u;
const ZERO: u32 = 1u;
const SUBTRACT_NEXT: u32 = 2u;
const ZERO_NEXT: u32 = 3u;
const POTENTIAL_MAX: i32 = 0x20000000;
const LANES: u32 = 128u;
// Words of spikes of one step, at most.
const MAX_WORDS: u32 = 512u;

@group(0) @binding(0) var<uniform> params: Params;
// [batch][steps][inputs / 32]: bits.
@group(0) @binding(1) var<storage, read> spikes: array<u32>;
// [inputs][outputs / 4]: i8 quads.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
// [outputs][outputs / 4]: i8 quads.
@group(0) @binding(3) var<storage, read> recurrent: array<u32>;
// By four neurons: leak, then threshold, then bias.
@group(0) @binding(4) var<storage, read> constants: array<vec4<i32>>;
// [batch][outputs / 4].
@group(0) @binding(5) var<storage, read_write> potential: array<vec4<i32>>;
// [batch][steps][outputs / 32]: bits.
@group(0) @binding(6) var<storage, read_write> result: array<u32>;

// Spikes of this step and of the one before, in turn.
var<workgroup> fired: array<atomic<u32>, MAX_WORDS * 2u>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let words = params.outputs / 32u;
    let owned = select(LANES / 8u, words, RECURRENT == 1u);
    let slices = (words + owned - 1u) / owned;
    let index = linear_workgroup(group, groups);
    let run = index / slices;
    if run >= params.batch {
        return;
    }
    let first = index % slices * owned;
    let last = min(first + owned, words);
    let state = run * words * 8u;
    for (var column = first * 8u + lane; column < last * 8u; column += LANES) {
        potential[state + column] = vec4<i32>(0);
    }
    for (var word = lane; word < last - first; word += LANES) {
        atomicStore(&fired[word], 0u);
        atomicStore(&fired[MAX_WORDS + word], 0u);
    }
    workgroupBarrier();
    for (var step = 0u; step < params.steps; step++) {
        let current = step % 2u * MAX_WORDS;
        let previous = MAX_WORDS - current;
        let at = run * params.steps + step;
        for (var column = first * 8u + lane; column < last * 8u; column += LANES) {
            let word = column / 8u - first;
            let bit = column % 8u * 4u;
            var sum = input_sum(at, column);
            if RECURRENT == 1u {
                for (var w = 0u; w < words; w++) {
                    sum += recurrent_sum(atomicLoad(&fired[previous + w]), w, column);
                }
            }
            let before = atomicLoad(&fired[previous + word]) >> bit;
            atomicOr(&fired[current + word], advance(state + column, column, sum, before) << bit);
        }
        workgroupBarrier();
        for (var word = lane; word < last - first; word += LANES) {
            result[at * words + first + word] = atomicLoad(&fired[current + word]);
            atomicStore(&fired[previous + word], 0u);
        }
        workgroupBarrier();
    }
}

// Weights from the inputs that spike to four neurons.
fn input_sum(at: u32, column: u32) -> vec4<i32> {
    let columns = params.outputs / 4u;
    let words = params.inputs / 32u;
    var sum = vec4<i32>(0);
    for (var word = 0u; word < words; word++) {
        var bits = spikes[at * words + word];
        let base = word * 32u * columns + column;
        // Two at a time: their loads do not wait for each other.
        while bits != 0u {
            sum += codes(weights[base + countTrailingZeros(bits) * columns]);
            bits &= bits - 1u;
            if bits == 0u {
                break;
            }
            sum += codes(weights[base + countTrailingZeros(bits) * columns]);
            bits &= bits - 1u;
        }
    }
    return sum;
}

// Weights from the neurons of one word of spikes to four neurons.
fn recurrent_sum(spiked: u32, word: u32, column: u32) -> vec4<i32> {
    let columns = params.outputs / 4u;
    let base = word * 32u * columns + column;
    var sum = vec4<i32>(0);
    var bits = spiked;
    while bits != 0u {
        sum += codes(recurrent[base + countTrailingZeros(bits) * columns]);
        bits &= bits - 1u;
        if bits == 0u {
            break;
        }
        sum += codes(recurrent[base + countTrailingZeros(bits) * columns]);
        bits &= bits - 1u;
    }
    return sum;
}

fn codes(quad: u32) -> vec4<i32> {
    return vec4<i32>(vec4<u32>(quad) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
}

// Takes four neurons one step on. `before` and the result have a bit for each that spiked.
fn advance(at: u32, column: u32, sum: vec4<i32>, before: u32) -> u32 {
    let columns = params.outputs / 4u;
    let leak = vec4<u32>(constants[column]);
    let threshold = constants[columns + column];
    let bits = vec4<u32>(1u, 2u, 4u, 8u);
    let had = (vec4<u32>(before) & bits) != vec4<u32>(0u);
    let zero = vec4<i32>(0);
    let v = potential[at];
    let kept = vec4<i32>(
        ms16_unsigned(v.x, leak.x),
        ms16_unsigned(v.y, leak.y),
        ms16_unsigned(v.z, leak.z),
        ms16_unsigned(v.w, leak.w),
    );
    var next = kept + (sum << vec4<u32>(params.shift & 31u)) + constants[columns * 2u + column];
    if params.reset == SUBTRACT_NEXT {
        next -= select(zero, threshold, had);
    } else if params.reset == ZERO_NEXT {
        next = select(next, zero, had);
    }
    next = clamp(next, vec4<i32>(-POTENTIAL_MAX), vec4<i32>(POTENTIAL_MAX));
    let spike = next > threshold;
    if params.reset == SUBTRACT {
        next -= select(zero, threshold, spike);
    } else if params.reset == ZERO {
        next = select(next, zero, spike);
    }
    potential[at] = next;
    let spiked = select(vec4<u32>(0u), bits, spike);
    return spiked.x | spiked.y | spiked.z | spiked.w;
}
