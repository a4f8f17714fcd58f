//! HTTP for programs that know nothing of the network: the OpenAI embeddings API, answered by its workers.
//!
//! | path | answer |
//! |---|---|
//! | `POST /v1/embeddings` | vectors; what it cost and who agreed stands in headers `x-edgenet-cost`, `-workers`, `-verified` |
//! | `GET /v1/models` | the models whose vectors can be bought |
//!
//! Whoever asks spends the credits of this gateway's account. There are no keys for others yet, so only programs on this
//! machine are heard.

pub mod openai;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ledger::MICRO;
use network::{reason::Reason, wire::Verify};
use tasks::{Embedding, Embeddings, Outcome, Task};

use super::{
    client::{Client, ClientError, Delivered},
    request::SubmitOptions,
};
use openai::{ApiError, Request, answer, models};

/// Where requests find the client, once there is one.
#[derive(Clone, Default)]
pub struct Gateway(Arc<OnceLock<Open>>);

/// Who answers, and how unless the request says otherwise.
struct Open {
    client: Arc<Client>,
    verify: Verify,
}

impl Gateway {
    /// Answers requests by a client from here on; results are verified like this where a request does not say how.
    pub fn open(&self, client: Arc<Client>, verify: Verify) {
        // A second one changes nothing.
        drop(self.0.set(Open { client, verify }));
    }

    /// The gateway's paths.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/v1/embeddings", post(embeddings))
            .route("/v1/models", get(async || Json(models())))
            .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
            .with_state(self.clone())
    }
}

async fn embeddings(
    State(gateway): State<Gateway>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Response {
    let asked = async {
        if !from.ip().to_canonical().is_loopback() {
            return Err(unauthorised());
        }
        let Open { client, verify } = gateway.0.get().ok_or_else(not_open)?;
        let request = Request::read(&body)?;
        let (client, verify, asked) = (client.clone(), *verify, request.clone());
        // The client waits for its result; the sockets' thread must not.
        let found = tokio::task::spawn_blocking(move || embed(&client, verify, &asked)).await;
        let (delivered, found) = found.map_err(|_| not_open())??;
        Ok((headers(&delivered), Json(answer(&request, &found))))
    };
    match asked.await {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(error.body())).into_response()
        }
    }
}

fn embed(client: &Client, verify: Verify, request: &Request) -> Result<(Delivered, Embeddings), ApiError> {
    let extras = &request.extras;
    let defaults = SubmitOptions::default();
    let timeout_ms = extras.timeout_ms.unwrap_or(defaults.timeout_ms);
    let options = SubmitOptions {
        verify: extras.redundancy.map_or(verify, Verify::Redundant),
        priority: extras.priority.map_or(defaults.priority, Into::into),
        max_ucredits: extras.max_credits.map(|credits| (credits * MICRO as f64) as u64),
        ttl_ms: timeout_ms,
        timeout_ms,
        ..defaults
    };
    let task = Task::Embedding(Embedding {
        texts: request.texts.clone(),
        model: request.model.to_owned(),
        normalize: true,
    });
    let delivered = client.submit(task, &options).map_err(|error| told(&error))?;
    match &delivered.outcome {
        Outcome::Embedding(found) if found.tokens.len() == request.texts.len() => {
            let found = found.clone();
            Ok((delivered, found))
        }
        _ => Err(told(&ClientError::NoResult)),
    }
}

/// A failure of the network in the API's words.
fn told(error: &ClientError) -> ApiError {
    let message = error.to_string();
    let server =
        |status, code| ApiError { status, message: message.clone(), kind: "server_error", param: None, code };
    match error {
        ClientError::Refused(refusal) => ApiError::invalid("input", "invalid_value", refusal.to_string()),
        ClientError::Unfit(_) | ClientError::Request(_) => {
            ApiError::invalid("input", "invalid_value", message)
        }
        ClientError::TooDear { .. } => ApiError::invalid("edgenet", "max_credits_exceeded", message),
        ClientError::Failed { reason, .. } => match reason {
            Reason::EscrowShort | Reason::EscrowMissing => ApiError {
                status: 429,
                message,
                kind: "insufficient_quota",
                param: None,
                code: "insufficient_quota",
            },
            Reason::NobodyCapable | Reason::RelayFull | Reason::Draining => server(503, reason.name()),
            Reason::Expired => server(504, reason.name()),
            _ => server(500, reason.name()),
        },
        _ => server(503, "unavailable"),
    }
}

fn headers(delivered: &Delivered) -> HeaderMap {
    let number = |text: String| HeaderValue::from_str(&text).expect("digits and dots are a header's value");
    let (whole, micro) = (delivered.cost_ucredits / MICRO, delivered.cost_ucredits % MICRO);
    HeaderMap::from_iter([
        ("x-edgenet-cost".parse().expect("a name"), number(format!("{whole}.{micro:06}"))),
        ("x-edgenet-workers".parse().expect("a name"), number(delivered.workers.to_string())),
        ("x-edgenet-verified".parse().expect("a name"), number(delivered.verified.to_string())),
    ])
}

fn unauthorised() -> ApiError {
    ApiError {
        status: 401,
        message: "this gateway hears programs on its own machine only".to_owned(),
        kind: "invalid_request_error",
        param: None,
        code: "invalid_api_key",
    }
}

fn not_open() -> ApiError {
    ApiError {
        status: 503,
        message: "the gateway has no account to spend from".to_owned(),
        kind: "server_error",
        param: None,
        code: "unavailable",
    }
}

/// 2,048 texts of eight KiB.
const MOST_BODY_BYTES: usize = 16 << 20;
