// The walk over a table of rows that `distance`, `distance_f32` and `hamming` share, put before them.
//
// A list keeps the best k of `group` consecutive rows for one query. The stage brings the bindings `queries`,
// `vectors`, `mask` and `result`, the type Sum of four rows' unfinished scores, `add`, which takes one word of four
// rows and of a query into them, and `keys`, which finishes them.
//
// Rows lie in panels of 32, word by word, so that lanes read consecutive addresses. `direct` gives a list to an
// invocation, which takes four rows at a time. `tiled` gives the lists of 8 queries to 64 invocations, each with
// 4 queries x 4 rows of a tile of 128; queries come through workgroup memory.

struct Params {
    queries: u32,
    // Words of a row.
    words: u32,
    k: u32,
    first: u32,
    // After the last row.
    end: u32,
    group: u32,
    lists: u32,
    // 1: rows whose bit in `mask` is 0 are passed over.
    filtered: u32,
    // Left shift of a dot product before it is scaled.
    shift: u32,
}

const QUERIES: u32 = 8u;
// Words of the queries in workgroup memory at a time.
const SLAB: u32 = 128u;
const PANEL: u32 = 32u;

@compute @workgroup_size(32)
fn direct(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = linear_workgroup(group, groups) * 32u + lane;
    if index >= params.queries * params.lists {
        return;
    }
    let query = index % params.queries;
    let list = index / params.queries;
    let out = (query * params.lists + list) * params.k;
    for (var i = 0u; i < params.k; i++) {
        result[out + i] = NOTHING;
    }
    let start = params.first + list * params.group;
    let end = start + min(params.group, params.end - start);
    var least = 0u;
    for (var row = start / 4u * 4u; row < end; row += 4u) {
        let open = open_rows(row, start, end);
        if open == 0u {
            continue;
        }
        let at = first_word(row);
        let sum = sum_of(at, query * params.words);
        // Later rows lose to kept ones of the same key.
        let found = select(vec4<u32>(0u), keys(sum, row), open_lanes(open));
        if any(found > vec4<u32>(least)) {
            insert(out, vec2<u32>(found.x, select(row, 0xffffffffu, found.x == 0u)));
            insert(out, vec2<u32>(found.y, select(row + 1u, 0xffffffffu, found.y == 0u)));
            insert(out, vec2<u32>(found.z, select(row + 2u, 0xffffffffu, found.z == 0u)));
            insert(out, vec2<u32>(found.w, select(row + 3u, 0xffffffffu, found.w == 0u)));
            least = result[out + params.k - 1u].x;
        }
    }
}

// Four words at a time, since software adapters count iterations.
fn sum_of(at: u32, query: u32) -> Sum {
    var sum: Sum;
    var w = 0u;
    for (; w + 4u <= params.words; w += 4u) {
        sum = add(sum, vectors[at + w * 8u], queries[query + w]);
        sum = add(sum, vectors[at + w * 8u + 8u], queries[query + w + 1u]);
        sum = add(sum, vectors[at + w * 8u + 16u], queries[query + w + 2u]);
        sum = add(sum, vectors[at + w * 8u + 24u], queries[query + w + 3u]);
    }
    for (; w < params.words; w++) {
        sum = add(sum, vectors[at + w * 8u], queries[query + w]);
    }
    return sum;
}

// [word][query / 4].
var<workgroup> slab: array<vec4<u32>, SLAB * 2u>;

// Unfinished scores of four queries.
struct Sums {
    q0: Sum,
    q1: Sum,
    q2: Sum,
    q3: Sum,
}

@compute @workgroup_size(64)
fn tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let bands = (params.queries + QUERIES - 1u) / QUERIES;
    let index = linear_workgroup(group, groups);
    let list = index / bands;
    if list >= params.lists {
        return;
    }
    let first_query = index % bands * QUERIES;
    let used = min(QUERIES, params.queries - first_query);
    let stride = params.lists * params.k;
    let out = first_query * stride + list * params.k;
    begin(out, stride, used, lane);
    let start = params.first + list * params.group;
    let end = start + min(params.group, params.end - start);
    let first_tile = start / PANEL * PANEL;
    let half = lane / 32u;
    let all_at_once = params.words <= SLAB;
    for (var tile = first_tile; tile < end; tile += TILE) {
        let row = tile + lane % 32u * 4u;
        // A lane past the end reads the last row and offers nothing.
        let at = first_word(min(row, end - 1u));
        var sums: Sums;
        for (var w = 0u; w < params.words; w += SLAB) {
            let depth = min(SLAB, params.words - w);
            if tile == first_tile || !all_at_once {
                workgroupBarrier();
                load_slab(first_query, w, depth, lane);
                workgroupBarrier();
            }
            if half * 4u < used {
                multiply(&sums, at + w * 8u, depth, half);
            }
        }
        let open = open_rows(row, start, end);
        offer_rows(half * 4u, keys(sums.q0, row), row, open);
        offer_rows(half * 4u + 1u, keys(sums.q1, row), row, open);
        offer_rows(half * 4u + 2u, keys(sums.q2, row), row, open);
        offer_rows(half * 4u + 3u, keys(sums.q3, row), row, open);
        settle(out, stride, lane);
    }
}

fn load_slab(first_query: u32, first: u32, depth: u32, lane: u32) {
    let words = params.words;
    let last = params.queries - 1u;
    for (var i = lane; i < depth * 2u; i += LANES) {
        let query = first_query + i % 2u * 4u;
        let word = first + i / 2u;
        slab[i] = vec4<u32>(
            queries[min(query, last) * words + word],
            queries[min(query + 1u, last) * words + word],
            queries[min(query + 2u, last) * words + word],
            queries[min(query + 3u, last) * words + word],
        );
    }
}

fn multiply(sums: ptr<function, Sums>, at: u32, depth: u32, half: u32) {
    for (var w = 0u; w < depth; w++) {
        let rows = vectors[at + w * 8u];
        let query = slab[w * 2u + half];
        (*sums).q0 = add((*sums).q0, rows, query.x);
        (*sums).q1 = add((*sums).q1, rows, query.y);
        (*sums).q2 = add((*sums).q2, rows, query.z);
        (*sums).q3 = add((*sums).q3, rows, query.w);
    }
}

fn offer_rows(query: u32, found: vec4<u32>, row: u32, open: u32) {
    if (open & 1u) != 0u {
        offer(query, vec2<u32>(found.x, row));
    }
    if (open & 2u) != 0u {
        offer(query, vec2<u32>(found.y, row + 1u));
    }
    if (open & 4u) != 0u {
        offer(query, vec2<u32>(found.z, row + 2u));
    }
    if (open & 8u) != 0u {
        offer(query, vec2<u32>(found.w, row + 3u));
    }
}

// The four rows from `row`, a multiple of 4, in units of four rows.
fn first_word(row: u32) -> u32 {
    return row / PANEL * params.words * (PANEL / 4u) + row % PANEL / 4u;
}

// A bit for each of four rows that is looked at.
fn open_rows(row: u32, start: u32, end: u32) -> u32 {
    let rows = vec4<u32>(row, row + 1u, row + 2u, row + 3u);
    let within = (rows >= vec4<u32>(start)) & (rows < vec4<u32>(end));
    let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), within);
    var open = bits.x | bits.y | bits.z | bits.w;
    if params.filtered != 0u && open != 0u {
        open &= mask[row / 32u] >> (row % 32u);
    }
    return open;
}

fn open_lanes(open: u32) -> vec4<bool> {
    return (vec4<u32>(open) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
}
