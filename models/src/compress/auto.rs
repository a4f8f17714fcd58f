//! The smallest codec that is good enough, by measurement.

use super::{
    ChoiceError, Codec, Codes, CompressError, Compressed, Machine, Metric, Vectors, product::Book, sample,
    search,
};

/// What the chosen codec must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At least this share of the ten nearest, 0 to 1: the smallest codec is chosen.
    Recall(f64),
    /// At most this many bytes a vector, codebook and header included: the best recall is chosen.
    BytesPerVector(f64),
}

/// One codec, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The codec.
    pub codec: Codec,
    /// Bytes of the container of all vectors over their number.
    pub bytes_per_vector: f64,
    /// Share of the ten nearest that was found on the sample; a row as near as the true tenth counts.
    pub recall: f64,
    /// Relative L2 error on the sample.
    pub relative_l2: f64,
}

/// Compressed vectors and what led to their codec.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The vectors.
    pub compressed: Compressed,
    /// The codec's measurement.
    pub chosen: Measured,
    /// Everything measured, smallest first.
    pub measured: Vec<Measured>,
}

/// Fewest vectors a recall is measured on.
pub const MIN_ROWS: usize = 32;

/// Compresses with the codec that meets `target`, measured for `metric`.
///
/// The sample is up to 4,096 rows drawn by a hash and up to 64 more as queries, which are not among them; the truth is
/// an exact scan. Among 4,096 rows neighbours lie farther apart than among millions, so a recall here is an upper
/// estimate for a larger table.
///
/// # Errors
/// When vectors are too few or at fault, or nothing measured meets the target; the error then holds the nearest miss.
pub fn choose(
    vectors: Vectors<'_>,
    target: Target,
    metric: Metric,
    machine: Machine<'_>,
) -> Result<Choice, ChoiceError> {
    check_target(target)?;
    if vectors.rows() < MIN_ROWS {
        return Err(ChoiceError::TooFew { found: vectors.rows() });
    }
    vectors.check_finite()?;
    let mut codecs = candidates(vectors.width);
    let bytes =
        |codec: Codec| codec.container_bytes(vectors.width, vectors.rows()) as f64 / vectors.rows() as f64;
    codecs.sort_by(|a, b| bytes(*a).total_cmp(&bytes(*b)));
    if let Target::BytesPerVector(wanted) = target {
        let smallest = codecs[0];
        codecs.retain(|&codec| bytes(codec) <= wanted);
        if codecs.is_empty() {
            return Err(ChoiceError::Bytes { wanted, smallest, bytes: bytes(smallest) });
        }
    }
    let sample = Sample::draw(vectors, metric);
    let mut trials = Vec::with_capacity(codecs.len());
    for codec in codecs {
        let compressed = Compressed::encode(sample.vectors(), codec, machine)?;
        trials.push((sample.measure(&compressed, bytes(codec))?, compressed));
    }
    let measured: Vec<Measured> = trials.iter().map(|(m, _)| *m).collect();
    // Of equals the first, which is the smallest.
    let best = (0..measured.len()).rev().max_by(|&a, &b| measured[a].recall.total_cmp(&measured[b].recall));
    let best = best.expect("something was measured");
    let chosen = match target {
        Target::BytesPerVector(_) => best,
        Target::Recall(wanted) => match measured.iter().position(|m| m.recall >= wanted) {
            Some(first) => first,
            None => return Err(ChoiceError::Recall { wanted, best: measured[best], measured }),
        },
    };
    let compressed = finish(vectors, trials.swap_remove(chosen).1, machine)?;
    Ok(Choice { compressed, chosen: measured[chosen], measured })
}

/// Codes all vectors as the sample was coded: with the codebook that was measured.
fn finish(
    vectors: Vectors<'_>,
    trial: Compressed,
    machine: Machine<'_>,
) -> Result<Compressed, CompressError> {
    match trial.codes {
        Codes::Product(product) => Ok(Compressed {
            width: vectors.width,
            rows: vectors.rows(),
            codes: Codes::Product(Book::encode(product.book, vectors, machine.parallel)),
        }),
        _ => Compressed::encode(vectors, trial.codec(), machine),
    }
}

fn candidates(width: usize) -> Vec<Codec> {
    let product = |(slice, bits): (usize, u32)| {
        let fits = slice <= width && width.is_multiple_of(slice);
        fits.then(|| Codec::Product { subspaces: width / slice, bits })
    };
    let products = [(2, 4), (4, 4), (4, 8), (8, 8), (16, 8)].into_iter().filter_map(product);
    [Codec::Int8, Codec::Int4, Codec::Binary].into_iter().chain(products).collect()
}

fn check_target(target: Target) -> Result<(), ChoiceError> {
    let (field, found, good, wanted) = match target {
        Target::Recall(r) => ("recall", r, (0.0..=1.0).contains(&r), "0 to 1"),
        Target::BytesPerVector(b) => ("bytes", b, b > 0.0 && b.is_finite(), "above 0"),
    };
    if good { Ok(()) } else { Err(ChoiceError::Target { field, found: found.to_string(), wanted }) }
}

/// Rows, queries that are not among them, and the truth.
struct Sample {
    width: usize,
    metric: Metric,
    base: Vec<f32>,
    queries: Vec<f32>,
    truth: Vec<Vec<search::Hit>>,
}

impl Sample {
    fn draw(vectors: Vectors<'_>, metric: Metric) -> Self {
        let queries = (vectors.rows() / 8).min(MOST_QUERIES);
        let drawn = sample::rows(vectors.rows(), sample::MOST_ROWS + queries);
        // Every nth is a query, so that they lie among all others.
        let every = drawn.len() / queries;
        let is_query = |i: &usize| i.is_multiple_of(every) && i / every < queries;
        let part = |queries: bool| -> Vec<usize> {
            (0..drawn.len()).filter(|i| is_query(i) == queries).map(|i| drawn[i]).collect()
        };
        let (base, queries) = (sample::gather(vectors, &part(false)), sample::gather(vectors, &part(true)));
        let table = Vectors { values: &base, width: vectors.width };
        let truth = queries.chunks_exact(vectors.width).map(|q| search::exact(table, q, K, metric)).collect();
        Sample { width: vectors.width, metric, base, queries, truth }
    }

    fn vectors(&self) -> Vectors<'_> {
        Vectors { values: &self.base, width: self.width }
    }

    fn measure(&self, trial: &Compressed, bytes_per_vector: f64) -> Result<Measured, CompressError> {
        let (mut hits, mut all) = (0, 0);
        for (query, truth) in self.queries.chunks_exact(self.width).zip(&self.truth) {
            let found = trial.nearest(query, K, self.metric);
            hits += search::count_hits(self.vectors(), query, &found, truth, self.metric);
            all += truth.len();
        }
        let relative_l2 = trial.loss(self.vectors())?.relative_l2;
        Ok(Measured { codec: trial.codec(), bytes_per_vector, recall: hits as f64 / all as f64, relative_l2 })
    }
}

const MOST_QUERIES: usize = 64;
const K: usize = 10;
