// Lists of the best (key, row) pairs, put before the stages that keep them: keys fall, rows of one key rise.
// The stage brings `params.k`, `result`, which holds the lists, and QUERIES, the lists a workgroup keeps.
//
// An invocation by itself inserts pair after pair. A workgroup collects the pairs of a tile that may belong in a
// list, then gives every pair, kept or offered, the place that the number of better pairs is. That takes no sort,
// and nothing at all once few pairs are good enough.

const NOTHING: vec2<u32> = vec2<u32>(0u, 0xffffffffu);
const LANES: u32 = 64u;
// Pairs a tile offers to a list, and places in a list, at most.
const TILE: u32 = 128u;
const MAX_K: u32 = 256u;

fn beats(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}

// Puts a pair into the list that starts at `first` if it beats the last of it.
fn insert(first: u32, pair: vec2<u32>) {
    let place = kept_before(first, pair);
    if place == params.k {
        return;
    }
    var at = first + params.k - 1u;
    for (; at >= first + place + 4u; at -= 4u) {
        result[at] = result[at - 1u];
        result[at - 1u] = result[at - 2u];
        result[at - 2u] = result[at - 3u];
        result[at - 3u] = result[at - 4u];
    }
    for (; at > first + place; at -= 1u) {
        result[at] = result[at - 1u];
    }
    result[at] = pair;
}

var<workgroup> counts: array<atomic<u32>, QUERIES>;
// The last pair of each list: others must beat it.
var<workgroup> thresholds: array<vec2<u32>, QUERIES>;
var<workgroup> candidates: array<vec2<u32>, QUERIES * TILE>;
var<workgroup> staged: array<vec2<u32>, MAX_K>;
var<workgroup> pending: u32;

// Fills lists with nothing. Lists past `used` take no pairs.
fn begin(first: u32, stride: u32, used: u32, lane: u32) {
    for (var query = 0u; query < used; query++) {
        for (var i = lane; i < params.k; i += LANES) {
            result[first + query * stride + i] = NOTHING;
        }
    }
    if lane < QUERIES {
        thresholds[lane] = select(vec2<u32>(0xffffffffu, 0u), NOTHING, lane < used);
        atomicStore(&counts[lane], 0u);
    }
    storageBarrier();
    workgroupBarrier();
}

fn offer(query: u32, pair: vec2<u32>) {
    if beats(pair, thresholds[query]) {
        candidates[query * TILE + atomicAdd(&counts[query], 1u)] = pair;
    }
}

// Takes what was offered into the lists.
fn settle(first: u32, stride: u32, lane: u32) {
    workgroupBarrier();
    if lane == 0u {
        var offered = 0u;
        for (var query = 0u; query < QUERIES; query++) {
            let count = atomicLoad(&counts[query]);
            offered |= u32(count > 0u) << query;
            // Whole fours are compared. Nothing beats no pair.
            for (var i = count; i % 4u != 0u; i++) {
                candidates[query * TILE + i] = NOTHING;
            }
        }
        pending = offered;
    }
    let offered = workgroupUniformLoad(&pending);
    for (var query = 0u; query < QUERIES; query++) {
        if ((offered >> query) & 1u) != 0u {
            merge(query, first + query * stride, lane);
        }
    }
}

// Of equal pairs the kept stands before the offered, and the offered stand as they came.
fn merge(query: u32, first: u32, lane: u32) {
    let count = atomicLoad(&counts[query]);
    let base = query * TILE;
    for (var i = lane; i < params.k; i += LANES) {
        let pair = result[first + i];
        var place = i;
        for (var j = base; j < base + count; j += 4u) {
            place += u32(beats(candidates[j], pair))
                + u32(beats(candidates[j + 1u], pair))
                + u32(beats(candidates[j + 2u], pair))
                + u32(beats(candidates[j + 3u], pair));
        }
        if place < params.k {
            staged[place] = pair;
        }
    }
    for (var i = base + lane; i < base + count; i += LANES) {
        let pair = candidates[i];
        var place = kept_before(first, pair);
        for (var j = base; j < base + count; j += 4u) {
            place += u32(stands_before(j, i, pair))
                + u32(stands_before(j + 1u, i, pair))
                + u32(stands_before(j + 2u, i, pair))
                + u32(stands_before(j + 3u, i, pair));
        }
        if place < params.k {
            staged[place] = pair;
        }
    }
    workgroupBarrier();
    for (var i = lane; i < params.k; i += LANES) {
        result[first + i] = staged[i];
    }
    if lane == 0u {
        thresholds[query] = staged[params.k - 1u];
        atomicStore(&counts[query], 0u);
    }
    storageBarrier();
    workgroupBarrier();
}

fn stands_before(at: u32, other: u32, pair: vec2<u32>) -> bool {
    let offered = candidates[at];
    return beats(offered, pair) || (at < other && all(offered == pair));
}

// How many pairs of a list are not beaten: the list is sorted, so they are its first.
fn kept_before(first: u32, pair: vec2<u32>) -> u32 {
    var low = 0u;
    var high = params.k;
    while low < high {
        let middle = (low + high) / 2u;
        if beats(pair, result[first + middle]) {
            high = middle;
        } else {
            low = middle + 1u;
        }
    }
    return low;
}
