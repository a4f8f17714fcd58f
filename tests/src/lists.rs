//! The rule for lists of a float scan, whose results hold within a tolerance.

use plan::{
    BufferId, FloatScore, FloatVectors, NOTHING, Plan, Scan, Step, Weight, Weights, float_key, float_score,
    float_tolerance,
};

/// Whether `found` is what the only step of `plan`, a float scan, may give: sorted lists of distinct rows of their
/// groups, each key within the tolerance of its row's score, and no row left out that beats the last key by more.
///
/// # Errors
/// What is wrong, and where.
pub fn agree(plan: &Plan, weights: &dyn Weights, found: &[u32]) -> Result<(), String> {
    let [Step::DistanceF32(scan)] = plan.steps[..] else { panic!("not a float scan") };
    let Weight::FloatVectors(table) = weights.get(scan.vectors) else { panic!("not a table of floats") };
    let words =
        |buffer: BufferId| &plan.uploads.iter().find(|u| u.buffer == buffer).expect("an upload").words;
    let allowed = |row: usize| scan.filter.is_none_or(|f| words(f)[row / 32] >> (row % 32) & 1 == 1);
    let queries: Vec<f32> = words(scan.input).iter().map(|&bits| f32::from_bits(bits)).collect();
    let pairs: Vec<[u32; 2]> = found.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
    for (list, pairs) in pairs.chunks_exact(scan.k).enumerate() {
        let query = &queries[list / scan.lists() * scan.width..][..scan.width];
        let first = scan.first + list % scan.lists() * scan.group;
        let rows = first..(first + scan.group).min(scan.first + scan.rows);
        let scores = rows.filter(|&row| allowed(row)).map(|row| Scored::new(&table, query, row)).collect();
        one(&scan, pairs, scores).map_err(|what| format!("list {list}: {what}"))?;
    }
    Ok(())
}

/// The score of a row, and how far off another sum may be.
struct Scored {
    row: u32,
    score: f32,
    tolerance: f32,
}

impl Scored {
    fn new(table: &FloatVectors<'_>, query: &[f32], row: usize) -> Self {
        let values = &table.values[row * table.width..][..table.width];
        let product =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let dot = product(query, values) as f32;
        let norms = (product(query, query) * product(values, values)).sqrt() as f32;
        let score = table.score_of(row, dot);
        let tolerance = float_tolerance(table.width, norms);
        // What comes after the dot product is rounded too.
        let (factor, term) = match &table.score {
            FloatScore::Dot => (1.0, 0.0),
            FloatScore::Scaled(multiplier) => (multiplier[row].abs(), 0.0),
            FloatScore::Euclid(norm) => (2.0, norm[row].abs()),
        };
        let rounding = f32::EPSILON * (factor * dot.abs() + term);
        Scored { row: row as u32, score, tolerance: factor * tolerance + rounding }
    }
}

fn one(scan: &Scan, pairs: &[[u32; 2]], mut scores: Vec<Scored>) -> Result<(), String> {
    let full = scores.len().min(scan.k);
    if let Some(at) = pairs[full..].iter().position(|&pair| pair != NOTHING) {
        return Err(format!("pair {} is {:x?}, past the last row", full + at, pairs[full + at]));
    }
    let pairs = &pairs[..full];
    if let Some(at) = pairs.windows(2).position(|w| (w[0][0], w[1][1]) < (w[1][0], w[0][1])) {
        return Err(format!("pairs {:x?} after {:x?}", pairs[at + 1], pairs[at]));
    }
    for &[key, row] in pairs {
        let at =
            scores.iter().position(|s| s.row == row).ok_or(format!("row {row} twice or not looked at"))?;
        let Scored { score, tolerance, .. } = scores.swap_remove(at);
        // A difference that is no number is no agreement.
        let near = (float_score(key) - score).abs() <= tolerance;
        if !near {
            return Err(format!("row {row} scores {}, not {score} +- {tolerance}", float_score(key)));
        }
    }
    let Some(&[last, _]) = pairs.last() else { return Ok(()) };
    let beaten = |s: &&Scored| s.score - s.tolerance > float_score(last) && float_key(s.score) > last;
    match scores.iter().find(beaten) {
        Some(s) => {
            Err(format!("row {} of score {} is missing, last is {}", s.row, s.score, float_score(last)))
        }
        None => Ok(()),
    }
}
