//! What a relay serves: edges over WebSocket, and answers to questions over HTTP.
//!
//! | path | answer |
//! |---|---|
//! | `/v1/edge` | WebSocket, subprotocol `edge-net.v1` |
//! | `/v1/network` | the founding of the network, in its canonical bytes |
//! | `/v1/status` | links, open tasks, epoch, totals of the ledger |
//! | `/v1/leaderboard` | accounts by what they earned |
//! | `/v1/rank/{account}` | an account's place in it, and how it stands |
//! | `/healthz` | `ok` |

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{
        ConnectInfo, Path, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use identity::AccountId;
use network::wire::{MAX_DATA_BYTES, SUBPROTOCOL};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use super::{Desk, Heard, Inputs, RelayMachine};
use crate::net::{
    gateway::Gateway,
    links::{self, Piece, SOCKET_BUFFER_BYTES},
};

/// Everything that is served.
pub(super) fn app(desk: Arc<Desk>, inputs: Inputs<RelayMachine>, gateway: &Gateway) -> Router {
    Router::new()
        .route("/v1/edge", get(edge))
        .route("/v1/network", get(network))
        .route("/v1/status", get(status))
        .route("/v1/leaderboard", get(leaderboard))
        .route("/v1/rank/{account}", get(rank))
        .route("/healthz", get(async || "ok"))
        .with_state(Served { desk, inputs })
        .merge(gateway.routes())
}

/// Serves until it is told to stop.
pub(super) async fn serve(listener: TcpListener, app: Router, mut stopped: watch::Receiver<bool>) {
    let stop = async move {
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    drop(axum::serve(listener, app).with_graceful_shutdown(stop).await);
}

#[derive(Clone)]
struct Served {
    desk: Arc<Desk>,
    inputs: Inputs<RelayMachine>,
}

/// An edge connects. One that does not speak our subprotocol is told so before anything is spent on it.
async fn edge(
    State(served): State<Served>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .max_message_size(MAX_DATA_BYTES)
        .max_frame_size(MAX_DATA_BYTES);
    if upgrade.selected_protocol().is_none() {
        let said = format!("this endpoint speaks the WebSocket subprotocol {SUBPROTOCOL}\n");
        return (StatusCode::BAD_REQUEST, said).into_response();
    }
    upgrade.on_upgrade(move |socket| carry(served, address, socket))
}

async fn carry(served: Served, address: SocketAddr, socket: WebSocket) {
    let (opening, queue) = links::open();
    let link = served.desk.open(address, opening, &served.inputs);
    let inputs = &served.inputs;
    let heard = |unheard| inputs.send(Heard::Frame(link, unheard));
    links::pump(socket, queue, piece, |frame| Message::Binary(frame.into()), heard).await;
    served.desk.close(link, inputs);
}

fn piece(message: Message) -> Piece {
    match message {
        Message::Binary(bytes) => Piece::Frame(bytes.into()),
        Message::Ping(_) | Message::Pong(_) => Piece::Nothing,
        Message::Text(_) | Message::Close(_) => Piece::End,
    }
}

async fn network(State(served): State<Served>) -> impl IntoResponse {
    let founding = served.desk.network.founding().encode();
    ([(header::CONTENT_TYPE, "application/octet-stream")], founding)
}

async fn status(State(served): State<Served>) -> impl IntoResponse {
    let status = served.desk.status.borrow().clone();
    let (relay, network) = (served.desk.account.to_string(), served.desk.network().to_string());
    Json(json!({ "relay": relay, "network": network, "status": &*status }))
}

async fn leaderboard(State(served): State<Served>) -> impl IntoResponse {
    let status = served.desk.status.borrow().clone();
    Json(json!({ "epoch": status.epoch, "accounts": &status.leaders }))
}

async fn rank(State(served): State<Served>, Path(account): Path<String>) -> Response {
    let status = served.desk.status.borrow().clone();
    let Ok(account) = account.parse::<AccountId>() else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "no account id" }))).into_response();
    };
    match status.rank(&account) {
        Some(rank) => Json(json!({ "epoch": status.epoch, "rank": rank })).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "earned nothing yet" }))).into_response(),
    }
}
