// Turns its input round and appends the sum of its bytes, as a sandbox module in AssemblyScript.
//
// asc reverse.ts --runtime stub --exportStart _initialize --use abort= --optimize --textFile reverse.ts.wat

/** A place for the input. */
export function alloc(length: i32): usize {
  return heap.alloc(length);
}

/** The output's place and length as one number. */
export function execute(start: usize, length: i32): u64 {
  const output = heap.alloc(length + 8);
  let sum: u64 = 0;
  for (let i: i32 = 0; i < length; i++) {
    const byte = load<u8>(start + i);
    sum += byte;
    store<u8>(output + length - 1 - i, byte);
  }
  store<u64>(output + length, sum);
  return ((output as u64) << 32) | (length + 8);
}
