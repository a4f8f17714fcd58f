#!/usr/bin/env bash
# Installs what the tests need, then runs every test: this machine, AArch64 under qemu, wasm under node.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "system packages"
packages=()
need() { command -v "$1" >/dev/null || packages+=("${@:2}"); }
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need cc gcc libc6-dev
need c++ g++
need node nodejs
need pip3 python3-pip
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1 || packages+=(mesa-vulkan-drivers)
ldconfig -p | grep -q libvulkan.so.1 || packages+=(libvulkan1)
if [ ${#packages[@]} -gt 0 ]; then
  as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

step "Rust targets"
installed=$(rustup target list --installed)
for target in wasm32-unknown-unknown wasm32-wasip1 aarch64-unknown-linux-gnu; do
  grep -qx "$target" <<<"$installed" || rustup target add "$target"
done

# One selection of packages and features throughout, so that nothing is built twice. The published f32 model comes with it.
all=(--workspace --features edge-net/reference --locked)

step "style"
cargo fmt --all --check
cargo clippy "${all[@]}" --all-targets -- -D warnings
cargo clippy -p engine --no-default-features --locked -- -D warnings

step "tests on this machine: build"
cargo test "${all[@]}" --no-run

step "the model, from its official weights"
target=${CARGO_TARGET_DIR:-$PWD/target}
"$target/debug/edge-net" model fetch minilm
mkdir -p "$target/models"
"$target/debug/edge-net" model quantize minilm --out "$target/models/minilm-int.safetensors"
export EDGENET_TEST_MINILM="$target/models/minilm-int.safetensors"

step "the official client of the OpenAI API"
export EDGENET_TEST_PYTHON="$target/openai/bin/python"
if ! "$EDGENET_TEST_PYTHON" -c 'import openai' 2>/dev/null; then
  python3 -m venv "$target/openai"
  "$target/openai/bin/pip" install --quiet openai
fi
# From here on nothing may be skipped for want of a GPU, a model or the reference data that lies beside the project.
export EDGENET_TEST_ALL=1
[ ! -d ../shared/data ] || export EDGENET_TEST_SHARED=1

step "tests on this machine"
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run "${all[@]}"
else
  cargo test "${all[@]}"
fi

step "AES by AWS-LC"
cargo test "${all[@]}" --features edge-net/aws-lc --lib aead

step "fuzzing"
(cd tests/fuzz && cargo test --lib --locked)
bash tests/fuzz/run.sh 4

step "NEON under qemu"
cross=(-p kernels-cpu -p edge-net-tests --no-default-features --locked)
exact=(--test levels --test twin --test golden_search --test hnsw --test mnist --test tasks)
cargo test --target aarch64-unknown-linux-gnu "${cross[@]}" "${exact[@]}"
cargo test --target aarch64-unknown-linux-gnu "${cross[@]}" --test whole_model reference

step "simd128 under node"
cargo test --target wasm32-wasip1 "${cross[@]}" "${exact[@]}"
cargo test --target wasm32-wasip1 "${cross[@]}" --test whole_model reference

step "pure crates import nothing"
cargo build -p purity --target wasm32-unknown-unknown --locked
node -e '
  const bytes = require("fs").readFileSync("target/wasm32-unknown-unknown/debug/purity.wasm");
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
  console.log(`${imports.length} imports`, imports);
  process.exit(imports.length === 0 ? 0 : 1);'
