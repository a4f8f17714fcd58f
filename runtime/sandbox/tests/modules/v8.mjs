// Runs the modules that differential.rs lists in this process's engine and prints what they gave.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const view = new DataView(new ArrayBuffer(8));

const parse = (text) => {
  const [type, number] = text.split(":");
  if (type === "i32") return Number(number);
  if (type === "i64") return BigInt(number);
  if (type === "f32") {
    view.setUint32(0, Number(number));
    return view.getFloat32(0);
  }
  view.setBigUint64(0, BigInt(number));
  return view.getFloat64(0);
};

const show = (type, value) => {
  if (type === "i32" || type === "i64") return `${type}:${value}`;
  if (Number.isNaN(value)) return `${type}:nan`;
  if (type === "f32") {
    view.setFloat32(0, value);
    return `f32:${view.getUint32(0)}`;
  }
  view.setFloat64(0, value);
  return `f64:${view.getBigUint64(0)}`;
};

// The engine's messages, in the words of the specification as the other side has them.
const TRAPS = [
  [/^unreachable/, "unreachable"],
  [/memory access out of bounds|^data segment .* out of bounds|data segment \d+ is out of bounds/, "memory access out of bounds"],
  [/table (index|access|initializer)?.*out of bounds|table index is out of bounds/, "table access out of bounds"],
  [/null function or function signature mismatch|indirect call/, "indirect call"],
  [/divide by zero|remainder by zero/, "integer division by zero"],
  [/divide result unrepresentable|float unrepresentable in integer range/, "unrepresentable"],
  [/Maximum call stack size exceeded/, "stack overflow"],
];

const trap = (error) => {
  const message = error.message.replace(/^WebAssembly\.\w+\(\): /, "");
  for (const [pattern, name] of TRAPS) if (pattern.test(message)) return name;
  return `${error.name}: ${message}`;
};

// The types of functions and globals are not part of the JavaScript interface: they are read from the module.
const leb = (bytes, at) => {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at.i++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
};

const NAMES = { 0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64" };

const skipConstant = (bytes, at) => {
  for (;;) {
    const op = bytes[at.i++];
    if (op === 0x0b) return;
    if (op === 0x43) at.i += 4;
    else if (op === 0x44) at.i += 8;
    else leb(bytes, at);
  }
};

const types = (bytes) => {
  const found = { types: [], funcs: [], globals: [], results: new Map(), kinds: new Map() };
  for (const at = { i: 8 }; at.i < bytes.length; ) {
    const id = bytes[at.i++];
    const end = leb(bytes, at) + at.i;
    const count = id === 0 ? 0 : leb(bytes, at);
    for (let n = 0; n < count; n++) {
      if (id === 1) {
        at.i++;
        const list = () => Array.from({ length: leb(bytes, at) }, () => NAMES[bytes[at.i++]]);
        list();
        found.types.push(list());
      } else if (id === 3) found.funcs.push(leb(bytes, at));
      else if (id === 6) {
        found.globals.push(NAMES[bytes[at.i]]);
        at.i += 2;
        skipConstant(bytes, at);
      } else if (id === 7) {
        const length = leb(bytes, at);
        const name = bytes.subarray(at.i, at.i + length).toString();
        at.i += length;
        const kind = bytes[at.i++];
        const index = leb(bytes, at);
        if (kind === 0) found.results.set(name, found.types[found.funcs[index]]);
        if (kind === 3) found.kinds.set(name, found.globals[index]);
      }
    }
    at.i = end;
  }
  return found;
};

const left = (instance, kinds) => {
  const found = [];
  for (const [name, value] of Object.entries(instance.exports)) {
    if (value instanceof WebAssembly.Global) found.push([name, show(kinds.get(name), value.value)]);
    if (value instanceof WebAssembly.Memory) {
      found.push([name, createHash("sha256").update(new Uint8Array(value.buffer)).digest("hex")]);
    }
  }
  return found.sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])));
};

const run = ({ file, calls }) => {
  const bytes = readFileSync(file);
  const module = new WebAssembly.Module(bytes);
  const { results, kinds } = types(bytes);
  try {
    new WebAssembly.Instance(module);
  } catch (error) {
    return { instantiation: trap(error), calls: [] };
  }
  const said = calls.map(({ name, params }) => {
    const instance = new WebAssembly.Instance(module);
    let outcome;
    try {
      const value = instance.exports[name](...params.map(parse));
      const result = results.get(name);
      const values = result.length === 0 ? [] : result.length === 1 ? [value] : [...value];
      outcome = values.map((v, i) => show(result[i], v));
    } catch (error) {
      outcome = trap(error);
    }
    return { outcome, left: left(instance, kinds) };
  });
  return { instantiation: "done", calls: said };
};

const work = JSON.parse(readFileSync(process.argv[2], "utf8"));
process.stdout.write(JSON.stringify(work.map(run)));
