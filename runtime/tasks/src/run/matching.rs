//! Queries to agents, by the cosine of their sentence vectors.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{RunError, embedding::embed, missing};
use crate::{
    host::Host,
    outcome::{Matched, Ranked},
    task::SemanticMatch,
    values::Hash,
};

pub(super) async fn run<H: Host>(task: &SemanticMatch, host: &mut H) -> Result<Matched, RunError> {
    let model = host.text_model(&task.model).map_err(|e| missing("model", e))?.0.hash;
    let agents = agent_vectors(task, model, host).await?;
    let loan = host.text_model(&task.model).map_err(|e| missing("model", e))?;
    let queries = embed(&task.queries, loan).await?;
    let threshold = (f64::from(task.threshold) * f64::from(1 << 30)) as i64;
    let ranked = queries.vectors.chunks_exact(queries.width as usize).map(|query| {
        let scores = agents.iter().map(|agent| dot(query, agent));
        let mut best: Vec<(i64, usize)> = scores.zip(0..).filter(|(score, _)| *score >= threshold).collect();
        best.sort_by_key(|&(score, agent)| (-score, agent));
        best.truncate(task.k as usize);
        let ranked = |(score, agent): (i64, usize)| Ranked {
            id: task.agents[agent].id.clone(),
            score: i32::try_from(score).unwrap_or(i32::MAX),
        };
        best.into_iter().map(ranked).collect()
    });
    Ok(Matched { model, agents: ranked.collect() })
}

/// A vector for every agent: those the host remembers, and the others embedded and remembered.
async fn agent_vectors<H: Host>(
    task: &SemanticMatch,
    model: Hash,
    host: &mut H,
) -> Result<Vec<Vec<i16>>, RunError> {
    let keys: Vec<Hash> = task.agents.iter().map(|a| key(model, &a.description)).collect();
    let mut vectors: Vec<Option<Vec<i16>>> = keys.iter().map(|&key| host.recall(key)).collect();
    let width = host.text_model(&task.model).map_err(|e| missing("model", e))?.0.bert.config().hidden_size;
    vectors.iter_mut().for_each(|v| drop(v.take_if(|v| v.len() != width)));
    // One agent for each text that is to be embedded.
    let mut first: BTreeMap<Hash, usize> = BTreeMap::new();
    for i in (0..keys.len()).filter(|&i| vectors[i].is_none()) {
        first.entry(keys[i]).or_insert(i);
    }
    let absent: Vec<usize> = first.values().copied().collect();
    let texts: Vec<&str> = absent.iter().map(|&i| task.agents[i].description.as_str()).collect();
    if !texts.is_empty() {
        let loan = host.text_model(&task.model).map_err(|e| missing("model", e))?;
        let embedded = embed(&texts, loan).await?;
        for (&i, vector) in absent.iter().zip(embedded.vectors.chunks_exact(embedded.width as usize)) {
            host.remember(keys[i], vector);
            vectors[i] = Some(vector.to_vec());
        }
    }
    for i in 0..keys.len() {
        if vectors[i].is_none() {
            vectors[i] = first.get(&keys[i]).and_then(|&of| vectors[of].clone());
        }
    }
    Ok(vectors.into_iter().flatten().collect())
}

/// What a description's vector is remembered by.
fn key(model: Hash, description: &str) -> Hash {
    let digest = Sha256::new().chain_update(b"agent vector").chain_update(model.0).chain_update(description);
    Hash(digest.finalize().into())
}

/// Q15 times Q15 gives Q30. Vectors of length one keep it within 2^30, give or take their rounding.
fn dot(a: &[i16], b: &[i16]) -> i64 {
    a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
}
