#!/usr/bin/env bash
# Prepares the peers under target/peers: a Python environment with pinned packages, MiniLM as ONNX files.
# What is there already is kept. MINILM_DIR names a folder with the official model.safetensors and vocab.txt;
# without it they are fetched as the command fetches them.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=target/peers
python=$peers/venv/bin/python
export PYTHONDONTWRITEBYTECODE=1

if ! cmp -s bench/peers/requirements.txt "$peers/installed.txt"; then
  "${PYTHON:-python3}" -m venv "$peers/venv"
  "$python" -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
  cp bench/peers/requirements.txt "$peers/installed.txt"
fi

if [ ! -f "$peers/onnx/model_int8.onnx" ] || [ bench/peers/build_onnx.py -nt "$peers/onnx/model_int8.onnx" ]; then
  folder=${MINILM_DIR:-$(cargo run --release --quiet --locked -p bench -- weights)}
  "$python" bench/peers/build_onnx.py "$folder" "$peers/onnx" ../shared/data/minilm_reference/reference.json
fi
echo "peers are ready in $peers"
