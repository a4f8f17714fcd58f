#!/usr/bin/env bash
# Prepares the peers under target/peers: a Python environment with pinned packages, MiniLM as ONNX files.
# usage: setup.sh [embed|knn|spiking|sandbox ...]   all of them where none is named; what is there already is kept
#
#   embed    onnxruntime, 0.4 GB. MINILM_DIR names a folder with the official model.safetensors and vocab.txt; without
#            it they are fetched as the command fetches them
#   knn      faiss, usearch, hnswlib, 0.2 GB; for knn, hnsw and quant. hnswlib is compiled: needs g++
#   spiking  torch, snnTorch, Norse, SpikingJelly, 5.5 GB: the package of torch brings its GPU libraries along
#   sandbox  wasmtime, 0.1 GB
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=target/peers
python=$peers/venv/bin/python
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

install() {
  "$python" -m pip install --quiet "$@"
}

prepare() {
  local group=$1 list=bench/peers/requirements/$1.txt
  if [ "$group" = embed ] && [ bench/peers/build_onnx.py -nt "$peers/onnx/model_int8.onnx" ]; then
    rm -f "$peers/embed.txt"
  fi
  if cmp -s "$list" "$peers/$group.txt"; then
    return
  fi
  echo "preparing $group"
  if [ "$group" = spiking ]; then
    # The libraries on top of torch ask for vision and audio packages they do not use here.
    install "$(grep '^torch==' "$list")"
    install --no-deps -r "$list"
  else
    install -r "$list"
  fi
  if [ "$group" = embed ]; then
    folder=${MINILM_DIR:-$(cargo run --release --quiet --locked -p bench -- weights)}
    "$python" bench/peers/build_onnx.py "$folder" "$peers/onnx" ../shared/data/minilm_reference/reference.json
  fi
  cp "$list" "$peers/$group.txt"
}

groups=("$@")
[ $# -gt 0 ] || groups=(embed knn spiking sandbox)
for group in "${groups[@]}"; do
  [ -f "bench/peers/requirements/$group.txt" ] || { echo "unknown: $group" >&2; exit 2; }
done
[ -x "$python" ] || "${PYTHON:-python3}" -m venv "$peers/venv"
for group in "${groups[@]}"; do
  prepare "$group"
done
echo "peers are ready in $peers: ${groups[*]}"
