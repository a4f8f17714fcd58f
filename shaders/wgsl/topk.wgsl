// The sorted lists of each query merged into one of the same length.
//
// A workgroup of 64 owns a query and takes 128 pairs at a time, whatever list they are of.

struct Params {
    queries: u32,
    lists: u32,
    k: u32,
}

const QUERIES: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
// [queries][lists][k].
@group(0) @binding(1) var<storage, read> input: array<vec2<u32>>;
// [queries][k].
@group(0) @binding(2) var<storage, read_write> result: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let query = linear_workgroup(group, groups);
    if query >= params.queries {
        return;
    }
    let out = query * params.k;
    begin(out, 0u, 1u, lane);
    let pairs = params.lists * params.k;
    for (var tile = 0u; tile < pairs; tile += TILE) {
        for (var i = tile + lane; i < min(tile + TILE, pairs); i += LANES) {
            offer(0u, input[query * pairs + i]);
        }
        settle(out, 0u, lane);
    }
}
