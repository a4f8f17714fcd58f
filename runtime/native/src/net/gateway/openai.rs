//! Requests and answers of the OpenAI embeddings API, and our extras beside them.
//!
//! ```text
//! { "input": "text" or ["text", ...], "model": "minilm", "encoding_format": "float" or "base64", "dimensions": 384,
//!   "user": "...", "edgenet": { "redundancy": 2, "priority": "high", "max_credits": 1.5, "timeout_ms": 30000 } }
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use models::manifest::{MODELS, Manifest};
use network::wire::Priority;
use serde::Deserialize;
use serde_json::{Value, json};
use tasks::Embeddings;

/// A request in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Texts, at most [`MOST_INPUTS`].
    pub texts: Vec<String>,
    /// Name of the model, as tasks name it.
    pub model: &'static str,
    /// Whether vectors go as text in base64.
    pub base64: bool,
    /// What goes beyond the API.
    pub extras: Extras,
}

/// What our network can be told besides.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Extras {
    /// Replicas, 1 to 7; as few as suffice if not given.
    pub redundancy: Option<u8>,
    /// `low`, `normal` or `high`.
    pub priority: Option<Lane>,
    /// More than this is not spent: in credits.
    pub max_credits: Option<f64>,
    /// How long the answer is waited for.
    pub timeout_ms: Option<u32>,
}

/// A lane by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Half the price.
    Low,
    /// The price.
    Normal,
    /// Twice the price, and first.
    High,
}

impl From<Lane> for Priority {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Low => Priority::Low,
            Lane::Normal => Priority::Normal,
            Lane::High => Priority::High,
        }
    }
}

/// An error in the API's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// For people.
    pub message: String,
    /// `invalid_request_error`, `insufficient_quota`, `server_error`, ...
    pub kind: &'static str,
    /// The field that is wrong.
    pub param: Option<&'static str>,
    /// Stable.
    pub code: &'static str,
}

impl ApiError {
    /// A request that cannot be answered whatever happens.
    pub fn invalid(param: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        let param = Some(param);
        ApiError { status: 400, message: message.into(), kind: "invalid_request_error", param, code }
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.param, "code": self.code } })
    }
}

impl Request {
    /// Reads a request's body.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|e| ApiError::invalid("body", "invalid_json", format!("the body is no JSON: {e}")))?;
        let Value::Object(mut fields) = body else {
            return Err(ApiError::invalid("body", "invalid_json", "the body is no JSON object"));
        };
        let texts = texts(fields.remove("input"))?;
        let manifest = model(fields.remove("model"))?;
        let base64 = match fields.remove("encoding_format").as_ref().map(|v| v.as_str()) {
            None | Some(Some("float")) => false,
            Some(Some("base64")) => true,
            _ => {
                let message = "encoding_format is \"float\" or \"base64\"";
                return Err(ApiError::invalid("encoding_format", "invalid_value", message));
            }
        };
        let width = u64::from(manifest.config.hidden_size as u32);
        match fields.remove("dimensions") {
            None | Some(Value::Null) => {}
            Some(asked) if asked.as_u64() == Some(width) => {}
            Some(asked) => {
                let message = format!("{} gives vectors of {width} dimensions, not {asked}", manifest.name);
                return Err(ApiError::invalid("dimensions", "unsupported_value", message));
            }
        }
        let extras = match fields.remove("edgenet") {
            None | Some(Value::Null) => Extras::default(),
            Some(extras) => serde_json::from_value(extras)
                .map_err(|e| ApiError::invalid("edgenet", "invalid_value", format!("edgenet: {e}")))?,
        };
        extras.check()?;
        fields.remove("user");
        match fields.keys().next() {
            None => Ok(Request { texts, model: manifest.name, base64, extras }),
            Some(unknown) => {
                Err(ApiError::invalid("body", "unknown_parameter", format!("unknown parameter: {unknown}")))
            }
        }
    }
}

impl Extras {
    fn check(&self) -> Result<(), ApiError> {
        let wrong = |message: &str| Err(ApiError::invalid("edgenet", "invalid_value", message));
        match self {
            Extras { redundancy: Some(0 | 8..), .. } => wrong("edgenet.redundancy is 1 to 7"),
            Extras { max_credits: Some(most), .. } if !(0.0..=1e9).contains(most) => {
                wrong("edgenet.max_credits is no amount of credits")
            }
            Extras { timeout_ms: Some(0), .. } => wrong("edgenet.timeout_ms is no time at all"),
            _ => Ok(()),
        }
    }
}

fn texts(input: Option<Value>) -> Result<Vec<String>, ApiError> {
    let wrong = |message: String| Err(ApiError::invalid("input", "invalid_value", message));
    let texts = match input {
        None | Some(Value::Null) => {
            return Err(ApiError::invalid("input", "missing_required_parameter", "input is missing"));
        }
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => {
            let mut texts = Vec::with_capacity(items.len().min(MOST_INPUTS));
            for (index, item) in items.into_iter().enumerate() {
                match item {
                    Value::String(text) => texts.push(text),
                    Value::Number(_) | Value::Array(_) => {
                        let message = "input holds token ids: their vocabulary is not ours, send texts";
                        return Err(ApiError::invalid("input", "token_ids", message));
                    }
                    other => return wrong(format!("input[{index}] is no text: {other}")),
                }
            }
            texts
        }
        Some(other) => return wrong(format!("input is neither a text nor a list of texts: {other}")),
    };
    match texts.len() {
        0 => wrong("input is an empty list".into()),
        count if count > MOST_INPUTS => wrong(format!("{count} inputs, at most {MOST_INPUTS} are taken")),
        _ => match texts.iter().position(String::is_empty) {
            Some(index) => wrong(format!("input[{index}] is empty")),
            None => Ok(texts),
        },
    }
}

fn model(name: Option<Value>) -> Result<&'static Manifest, ApiError> {
    let name = match &name {
        Some(Value::String(name)) => name.as_str(),
        None | Some(Value::Null) => {
            return Err(ApiError::invalid("model", "missing_required_parameter", "model is missing"));
        }
        Some(_) => return Err(ApiError::invalid("model", "invalid_value", "model is no text")),
    };
    served().find(|manifest| manifest.name == name || manifest.repo == name).ok_or_else(|| {
        let known: Vec<&str> = served().map(|manifest| manifest.name).collect();
        let message = format!("the model {name:?} is not here: there is {}", known.join(", "));
        ApiError { status: 404, ..ApiError::invalid("model", "model_not_found", message) }
    })
}

/// Models that can be bought: those whose file has one hash everywhere.
pub fn served() -> impl Iterator<Item = &'static Manifest> {
    MODELS.iter().filter(|manifest| manifest.integer_sha256.is_some())
}

/// The list of models.
pub fn models() -> Value {
    let entry =
        |m: &Manifest| json!({ "id": m.name, "object": "model", "created": 0, "owned_by": "edge-net" });
    json!({ "object": "list", "data": served().map(entry).collect::<Vec<_>>() })
}

/// The answer to a request.
pub fn answer(request: &Request, found: &Embeddings) -> Value {
    let vectors = found.vectors.chunks(found.width.max(1) as usize);
    let data: Vec<Value> = vectors.enumerate().map(|(index, v)| datum(index, v, request.base64)).collect();
    let tokens: u64 = found.tokens.iter().map(|&count| u64::from(count)).sum();
    json!({
        "object": "list",
        "data": data,
        "model": request.model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}

/// Q15 codes are exact in f32.
fn datum(index: usize, codes: &[i16], base64: bool) -> Value {
    let values = codes.iter().map(|&code| f32::from(code) / 32768.0);
    let embedding = if base64 {
        Value::String(STANDARD.encode(values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()))
    } else {
        Value::Array(values.map(Value::from).collect())
    };
    json!({ "object": "embedding", "index": index, "embedding": embedding })
}

/// Most texts of a request.
pub const MOST_INPUTS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: Value) -> (u16, Option<&'static str>, &'static str) {
        let error = Request::read(body.to_string().as_bytes()).expect_err("it is wrong");
        (error.status, error.param, error.code)
    }

    #[test]
    fn what_clients_send_is_read() {
        let body = json!({ "input": ["a", "b"], "model": "minilm", "encoding_format": "base64", "user": "u", "dimensions": 384,
            "edgenet": { "redundancy": 2, "priority": "high", "max_credits": 0.5, "timeout_ms": 1000 } });
        let request = Request::read(body.to_string().as_bytes()).expect("a good request");
        assert_eq!((request.texts.len(), request.model, request.base64), (2, "minilm", true));
        assert_eq!(request.extras.priority, Some(Lane::High));
        let short = json!({ "input": "one", "model": "sentence-transformers/all-MiniLM-L6-v2" });
        let request = Request::read(short.to_string().as_bytes()).expect("the published name will do");
        assert_eq!((request.texts, request.model, request.base64), (vec!["one".into()], "minilm", false));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |field: &str, value: Value| {
            let mut body = json!({ "input": "a", "model": "minilm" });
            body[field] = value;
            refused(body)
        };
        assert_eq!(refused(json!([])), (400, Some("body"), "invalid_json"));
        assert_eq!(refused(json!({ "model": "minilm" })), (400, Some("input"), "missing_required_parameter"));
        assert_eq!(refused(json!({ "input": "a" })), (400, Some("model"), "missing_required_parameter"));
        for input in [json!([]), json!([""]), json!(["a", null]), json!(7), json!(vec!["a"; 2049])] {
            assert_eq!(with("input", input), (400, Some("input"), "invalid_value"));
        }
        assert_eq!(with("input", json!([[1, 2]])), (400, Some("input"), "token_ids"));
        assert_eq!(with("model", json!("gpt")), (404, Some("model"), "model_not_found"));
        assert_eq!(with("encoding_format", json!("hex")), (400, Some("encoding_format"), "invalid_value"));
        assert_eq!(with("dimensions", json!(256)), (400, Some("dimensions"), "unsupported_value"));
        assert_eq!(with("temperature", json!(0)), (400, Some("body"), "unknown_parameter"));
        let extras = [
            json!({ "redundancy": 8 }),
            json!({ "priority": "now" }),
            json!({ "max_credits": -1 }),
            json!({ "x": 1 }),
        ];
        for extra in extras {
            assert_eq!(with("edgenet", extra), (400, Some("edgenet"), "invalid_value"));
        }
    }

    #[test]
    fn vectors_are_exact_in_both_forms() {
        let request = |base64| Request { texts: vec![], model: "minilm", base64, extras: Extras::default() };
        let found = Embeddings {
            model: tasks::Hash([0; 32]),
            width: 2,
            vectors: vec![16384, -1, 32767, 0],
            tokens: vec![3, 4],
            truncated: vec![],
        };
        let floats = answer(&request(false), &found);
        assert_eq!(floats["data"][0]["embedding"], json!([0.5, -1.0 / 32768.0]));
        assert_eq!(floats["data"][1]["index"], 1);
        assert_eq!(floats["usage"], json!({ "prompt_tokens": 7, "total_tokens": 7 }));
        let text = answer(&request(true), &found);
        let bytes = STANDARD.decode(text["data"][0]["embedding"].as_str().expect("text")).expect("base64");
        assert_eq!(bytes, [0.5f32.to_le_bytes(), (-1.0f32 / 32768.0).to_le_bytes()].concat());
    }

    #[test]
    fn models_that_are_served_have_one_file() {
        let list = models();
        assert_eq!(list["data"][0]["id"], "minilm");
    }
}
