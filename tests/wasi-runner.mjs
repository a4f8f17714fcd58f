#!/usr/bin/env -S node --no-warnings
// Runs a test binary built for wasm32-wasip1 under Node's WASI; cargo passes its path and the arguments.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [, , module, ...args] = process.argv;
const wasi = new WASI({ version: "preview1", args: [module, ...args], env: process.env, preopens: { "/": "/" } });
const { instance } = await WebAssembly.instantiate(await readFile(module), wasi.getImportObject());
process.exitCode = wasi.start(instance);
