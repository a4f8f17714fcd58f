;; Two loops that interpreters are slow at: one writes memory, one only computes. Each is exported for engines that
;; call functions, and reached through `execute` by the sandbox: input byte 0 chooses, bytes 4..8 are the argument.
(module
  (memory (export "memory") 64)

  ;; Primes below n, at most 2^22.
  (func $sieve (export "sieve") (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $count i32)
    (memory.fill (i32.const 0) (i32.const 1) (local.get $n))
    (local.set $i (i32.const 2))
    (block $done
      (loop $candidates
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (if (i32.load8_u (local.get $i))
          (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $j (i32.shl (local.get $i) (i32.const 1)))
            (block $crossed
              (loop $multiples
                (br_if $crossed (i32.ge_u (local.get $j) (local.get $n)))
                (i32.store8 (local.get $j) (i32.const 0))
                (local.set $j (i32.add (local.get $j) (local.get $i)))
                (br $multiples)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $candidates)))
    (local.get $count))

  ;; n rounds of additions, rotations and exclusive ors, as stream ciphers do them.
  (func $mix (export "mix") (param $n i32) (result i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $a (i32.const 0x12345678))
    (local.set $b (i32.const 0x9abcdef0))
    (local.set $c (i32.const 0x0fedcba9))
    (local.set $d (i32.const 0x87654321))
    (loop $rounds
      (local.set $a (i32.add (local.get $a) (local.get $b)))
      (local.set $d (i32.rotl (i32.xor (local.get $d) (local.get $a)) (i32.const 16)))
      (local.set $c (i32.add (local.get $c) (local.get $d)))
      (local.set $b (i32.rotl (i32.xor (local.get $b) (local.get $c)) (i32.const 12)))
      (local.set $a (i32.add (local.get $a) (local.get $b)))
      (local.set $d (i32.rotl (i32.xor (local.get $d) (local.get $a)) (i32.const 8)))
      (local.set $c (i32.add (local.get $c) (local.get $d)))
      (local.set $b (i32.rotl (i32.xor (local.get $b) (local.get $c)) (i32.const 7)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $rounds (local.get $n)))
    (i32.xor (i32.xor (local.get $a) (local.get $b)) (i32.xor (local.get $c) (local.get $d))))

  (func (export "execute") (param $input i32) (param $length i32) (result i64)
    (local $n i32) (local $choice i32)
    (local.set $choice (i32.load8_u (local.get $input)))
    (local.set $n (i32.load offset=4 (local.get $input)))
    (i32.store (i32.const 0)
      (if (result i32) (local.get $choice)
        (then (call $mix (local.get $n)))
        (else (call $sieve (local.get $n)))))
    (i64.const 4)))
