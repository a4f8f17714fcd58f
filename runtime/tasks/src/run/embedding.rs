//! Texts to sentence vectors.

use models::bert::cut;

use super::{RunError, missing};
use crate::{
    host::{Execute, Host, Loan},
    outcome::Embeddings,
    refusal::{Code, refuse},
    task::Embedding,
};

pub(super) async fn run<H: Host>(task: &Embedding, host: &mut H) -> Result<Embeddings, RunError> {
    let loan = host.text_model(&task.model).map_err(|e| missing("model", e))?;
    embed(&task.texts, loan).await
}

/// One vector a text, in order.
pub(super) async fn embed<E: Execute>(
    texts: &[impl AsRef<str>],
    (text_model, devices): Loan<'_, E>,
) -> Result<Embeddings, RunError> {
    let (bert, shape) = (&text_model.bert, devices.shape());
    let mut out = Embeddings {
        model: text_model.hash,
        width: bert.config().hidden_size as u32,
        vectors: Vec::new(),
        tokens: Vec::new(),
        truncated: Vec::new(),
    };
    let mut sequences = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        let mut ids = Vec::new();
        if text_model.pieces.encode(text.as_ref(), bert.config().max_tokens, &mut ids).truncated {
            out.truncated.push(i as u32);
        }
        out.tokens.push(ids.len() as u32);
        sequences.push(ids);
    }
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let plans = cut(&lengths, shape.parallel_plans, shape.slice_tokens).into_iter().map(|slice| {
        let ids: Vec<&[u32]> = sequences[slice].iter().map(Vec::as_slice).collect();
        bert.plan(&ids)
    });
    let plans = match plans.collect::<Result<Vec<_>, _>>() {
        Ok(plans) => plans,
        Err(error) => return Ok(refuse(Code::Malformed, "model", error.to_string())?),
    };
    for words in devices.run(&mut text_model.model, &plans).await? {
        bert.vectors(&words).for_each(|vector| out.vectors.extend(vector));
    }
    Ok(out)
}
