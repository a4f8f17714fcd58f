//! The OpenAI embeddings API of `edge-net up`, asked by the official Python client where it is installed.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    Running, address,
    common::{Sandbox, not_run, run},
    minilm,
};

/// Asks through the client in both encodings, and prints what came and which errors it understood.
const SCRIPT: &str = r#"
import base64, json, struct, sys, urllib.request
from openai import OpenAI, BadRequestError, NotFoundError
base = sys.argv[1]
client = OpenAI(base_url=base + "/v1", api_key="none", max_retries=0)
texts = ["a cat sleeps", "every vote counts"]
asked = client.embeddings.create(model="minilm", input=texts)
floats = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
one = client.embeddings.create(model="minilm", input="a cat sleeps", dimensions=384)
errors = []
for bad in [dict(model="minilm", input=""), dict(model="minilm", input="x", dimensions=5), dict(model="gpt", input="x")]:
    try:
        client.embeddings.create(**bad)
    except (BadRequestError, NotFoundError) as error:
        errors.append([error.status_code, error.code, error.param])
raw = client.embeddings.with_raw_response.create(model="minilm", input=texts)
print(json.dumps({
    "vectors": [d.embedding for d in asked.data],
    "same": [d.embedding for d in asked.data] == [d.embedding for d in floats.data],
    "one": one.data[0].embedding == asked.data[0].embedding,
    "order": [d.index for d in asked.data],
    "tokens": asked.usage.total_tokens,
    "models": [m.id for m in client.models.list().data],
    "errors": errors,
    "cost": raw.headers["x-edgenet-cost"],
    "verified": raw.headers["x-edgenet-verified"],
}))
"#;

#[test]
fn the_official_client_gets_the_bits_of_this_machine() {
    let sandbox = Sandbox::new("gateway");
    let Some(model) = minilm(&sandbox) else { return };
    let python = std::env::var_os("EDGENET_TEST_PYTHON").unwrap_or("python3".into());
    let installed = Command::new(&python).args(["-c", "import openai"]).output();
    if !installed.is_ok_and(|said| said.status.success()) {
        return not_run("EDGENET_TEST_ALL", "EDGENET_TEST_PYTHON names no Python with the package openai");
    }
    let mut up = sandbox.edge_net();
    up.env("EDGENET_MODEL_DIR", &model).args([
        "up",
        "--listen",
        "127.0.0.1:0",
        "--device",
        "cpu",
        "--max-duty",
        "1",
        "--ignore-load",
    ]);
    let mut up = Running::start(&mut up);
    let base = address(&up.line()).replace("ws://", "http://");
    while !up.line().starts_with("account") {}
    let script = sandbox.root.join("ask.py");
    fs::write(&script, SCRIPT).expect("written");
    let said = run(Command::new(&python).arg(&script).arg(&base).env_remove("OPENAI_BASE_URL"), b"")
        .expect(0)
        .json();
    let mut embed = sandbox.edge_net();
    embed.env("EDGENET_MODEL_DIR", &model).args([
        "embed",
        "--json",
        "--device",
        "cpu",
        "a cat sleeps",
        "every vote counts",
    ]);
    let own = run(&mut embed, b"").expect(0).json();
    let vector = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).expect("a vector") };
    let asked: Vec<Vec<f64>> = said["vectors"].as_array().expect("a list").iter().map(vector).collect();
    let local = own["embeddings"].as_array().expect("a list");
    let local: Vec<Vec<f64>> = local.iter().map(|row| vector(&row["embedding"])).collect();
    assert_eq!(asked, local, "bit for bit");
    assert_eq!((&said["same"], &said["one"]), (&Value::from(true), &Value::from(true)));
    assert_eq!(said["order"], serde_json::json!([0, 1]));
    assert_eq!(said["models"][0], "minilm");
    let wrong = serde_json::json!([
        [400, "invalid_value", "input"],
        [400, "unsupported_value", "dimensions"],
        [404, "model_not_found", "model"],
    ]);
    assert_eq!(said["errors"], wrong);
    // One contributor, and it is this machine: nothing was compared, and nothing is claimed.
    assert_eq!((&said["cost"], &said["verified"]), (&Value::from("0.100000"), &Value::from("false")));
    assert_eq!(up.end(), Some(0));
}
