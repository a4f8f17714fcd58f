//! The integers beside the oracle, text by text.

use thiserror::Error;

use super::{
    oracle::{Reference, ReferenceError},
    statistics::{cosine, percentile, spearman},
    sts::Pair,
};
use crate::{
    files::hex,
    local::{self, Embedder},
    model::{Observer, Unit, Work},
};

/// How close the integers come to the oracle: cosines of the two vectors of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fidelity {
    /// Texts compared.
    pub texts: usize,
    /// Mean of the cosines.
    pub cosine_mean: f64,
    /// 1st percentile: one text in a hundred is further off.
    pub cosine_p1: f64,
    /// The text furthest off.
    pub cosine_min: f64,
}

/// How well cosines of sentences order pairs the way people do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StsCorrelation {
    /// Pairs compared.
    pub pairs: usize,
    /// Spearman's rank correlation of the oracle's cosines with the scores.
    pub spearman_float: f64,
    /// The same of the integers' cosines.
    pub spearman_integer: f64,
}

/// Why there is no comparison.
#[derive(Debug, Error)]
pub enum FidelityError {
    /// The oracle cannot be had, or has no answer.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The integer model fails.
    #[error(transparent)]
    Embedder(#[from] local::Error),
    /// The integers were made from other weights than the oracle's.
    #[error(
        "the integers were made from weights with SHA-256 {made_from}, the float weights have {reference}"
    )]
    OtherWeights {
        /// What the integer file says it was made from.
        made_from: String,
        /// The oracle's weights.
        reference: String,
    },
    /// The two models do not have one shape.
    #[error("the integer model and the float weights differ in shape")]
    OtherShape,
    /// There is nothing to compare.
    #[error("no texts to compare on")]
    NoTexts,
    /// Without two different scores, and two different cosines, no order is defined.
    #[error("{pairs} pairs of sentences give no rank correlation: scores or cosines are all equal")]
    NoOrder {
        /// Pairs given.
        pairs: usize,
    },
}

/// Compares the vectors of texts, tokenised once for both.
///
/// # Errors
/// [`FidelityError`]; a text the model shortens is shortened for both.
pub fn fidelity<T: AsRef<str> + Sync>(
    reference: &Reference,
    embedder: &mut Embedder,
    texts: &[T],
    observer: &mut dyn Observer,
) -> Result<Fidelity, FidelityError> {
    let vectors = vectors(reference, embedder, texts, observer)?;
    let cosines: Vec<f64> = vectors.float.iter().zip(&vectors.integer).map(|(f, i)| cosine(f, i)).collect();
    let quantile = |part| percentile(&cosines, part).ok_or(FidelityError::NoTexts);
    Ok(Fidelity {
        texts: cosines.len(),
        cosine_mean: cosines.iter().sum::<f64>() / cosines.len() as f64,
        cosine_p1: quantile(0.01)?,
        cosine_min: quantile(0.0)?,
    })
}

/// Correlates cosines of sentence pairs with human scores, for the oracle and for the integers.
///
/// # Errors
/// As [`fidelity`], and [`FidelityError::NoOrder`].
pub fn correlation(
    reference: &Reference,
    embedder: &mut Embedder,
    pairs: &[Pair<'_>],
    observer: &mut dyn Observer,
) -> Result<StsCorrelation, FidelityError> {
    let texts: Vec<&str> = pairs.iter().flat_map(|pair| pair.texts).collect();
    let vectors = vectors(reference, embedder, &texts, observer)?;
    let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    let with_scores = |vectors: &[Vec<f32>]| {
        let cosines: Vec<f64> = vectors.as_chunks().0.iter().map(|[a, b]| cosine(a, b)).collect();
        spearman(&cosines, &scores).ok_or(FidelityError::NoOrder { pairs: pairs.len() })
    };
    Ok(StsCorrelation {
        pairs: pairs.len(),
        spearman_float: with_scores(&vectors.float)?,
        spearman_integer: with_scores(&vectors.integer)?,
    })
}

/// Both vectors of every text, in order.
struct Vectors {
    float: Vec<Vec<f32>>,
    integer: Vec<Vec<f32>>,
}

fn vectors<T: AsRef<str> + Sync>(
    reference: &Reference,
    embedder: &mut Embedder,
    texts: &[T],
    observer: &mut dyn Observer,
) -> Result<Vectors, FidelityError> {
    check(reference, embedder)?;
    if texts.is_empty() {
        return Err(FidelityError::NoTexts);
    }
    let integer = embedder.embed(texts)?.iter().map(local::Embedding::to_f32).collect();
    let tokeniser = embedder.tokeniser();
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| tokeniser.encode(text.as_ref()).ids).collect();
    let mut report = |done: usize| {
        let (done, total) = (done as u64, Some(texts.len() as u64));
        observer.progress(Work { step: "float reference", done, total, unit: Unit::Steps });
    };
    Ok(Vectors { float: reference.embed_all(&ids, &mut report)?, integer })
}

/// A comparison with other weights would be a number about nothing.
fn check(reference: &Reference, embedder: &Embedder) -> Result<(), FidelityError> {
    let bert = embedder.bert();
    let (made_from, reference_sha256) = (bert.metadata().get("source_sha256"), hex(&reference.sha256()));
    match made_from {
        Some(made_from) if *made_from != reference_sha256 => {
            Err(FidelityError::OtherWeights { made_from: made_from.clone(), reference: reference_sha256 })
        }
        _ if bert.config() != reference.config() => Err(FidelityError::OtherShape),
        _ => Ok(()),
    }
}
