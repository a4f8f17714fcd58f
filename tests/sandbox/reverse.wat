;; Turns its input round and appends the sum of its bytes, as a sandbox module in the text format.
;;
;; There is no `alloc`: the host adds pages for the input at the end of the memory, and `execute` adds pages for
;; the output behind them.
(module
  (memory (export "memory") 0)
  (func (export "execute") (param $start i32) (param $length i32) (result i32 i32)
    (local $output i32) (local $i i32) (local $byte i32) (local $sum i64)
    (local.set $output
      (i32.shl
        (memory.grow (i32.add (i32.shr_u (i32.add (local.get $length) (i32.const 7)) (i32.const 16)) (i32.const 1)))
        (i32.const 16)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $i) (local.get $length)))
        (local.set $byte (i32.load8_u (i32.add (local.get $start) (local.get $i))))
        (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (local.get $byte))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (i32.store8
          (i32.add (local.get $output) (i32.sub (local.get $length) (local.get $i)))
          (local.get $byte))
        (br $next)))
    (i64.store (i32.add (local.get $output) (local.get $length)) (local.get $sum))
    (local.get $output)
    (i32.add (local.get $length) (i32.const 8))))
