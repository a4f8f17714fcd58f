(module
 (type $0 (func))
 (type $1 (func (param i32 i32) (result i64)))
 (type $2 (func (param i32) (result i32)))
 (global $~lib/rt/stub/offset (mut i32) (i32.const 0))
 (global $~started (mut i32) (i32.const 0))
 (memory $0 0)
 (export "alloc" (func $reverse/alloc))
 (export "execute" (func $reverse/execute))
 (export "memory" (memory $0))
 (export "_initialize" (func $~start))
 (func $~start
  global.get $~started
  if
   return
  end
  i32.const 1
  global.set $~started
  i32.const 1036
  global.set $~lib/rt/stub/offset
 )
 (func $reverse/execute (param $0 i32) (param $1 i32) (result i64)
  (local $2 i32)
  (local $3 i32)
  (local $4 i64)
  (local $5 i32)
  (local $6 i32)
  (local $7 i32)
  (local $8 i32)
  local.get $1
  i32.const 8
  i32.add
  local.tee $5
  i32.const 1073741820
  i32.gt_u
  if
   unreachable
  end
  global.get $~lib/rt/stub/offset
  i32.const 4
  i32.add
  local.tee $3
  local.get $5
  i32.const 19
  i32.add
  i32.const -16
  i32.and
  i32.const 4
  i32.sub
  local.tee $5
  i32.add
  local.tee $6
  memory.size
  local.tee $7
  i32.const 16
  i32.shl
  i32.const 15
  i32.add
  i32.const -16
  i32.and
  local.tee $8
  i32.gt_u
  if
   local.get $7
   local.get $6
   local.get $8
   i32.sub
   i32.const 65535
   i32.add
   i32.const -65536
   i32.and
   i32.const 16
   i32.shr_u
   local.tee $8
   local.get $7
   local.get $8
   i32.gt_s
   select
   memory.grow
   i32.const 0
   i32.lt_s
   if
    local.get $8
    memory.grow
    i32.const 0
    i32.lt_s
    if
     unreachable
    end
   end
  end
  global.get $~lib/rt/stub/offset
  local.get $6
  global.set $~lib/rt/stub/offset
  local.get $5
  i32.store
  loop $for-loop|0
   local.get $1
   local.get $2
   i32.gt_s
   if
    local.get $4
    local.get $0
    local.get $2
    i32.add
    i32.load8_u
    local.tee $5
    i64.extend_i32_u
    i64.add
    local.set $4
    local.get $1
    local.get $3
    i32.add
    i32.const 1
    i32.sub
    local.get $2
    i32.sub
    local.get $5
    i32.store8
    local.get $2
    i32.const 1
    i32.add
    local.set $2
    br $for-loop|0
   end
  end
  local.get $1
  local.get $3
  i32.add
  local.get $4
  i64.store
  local.get $1
  i32.const 8
  i32.add
  i64.extend_i32_s
  local.get $3
  i64.extend_i32_u
  i64.const 32
  i64.shl
  i64.or
 )
 (func $reverse/alloc (param $0 i32) (result i32)
  (local $1 i32)
  (local $2 i32)
  (local $3 i32)
  (local $4 i32)
  local.get $0
  i32.const 1073741820
  i32.gt_u
  if
   unreachable
  end
  global.get $~lib/rt/stub/offset
  i32.const 4
  i32.add
  local.tee $1
  local.get $0
  i32.const 19
  i32.add
  i32.const -16
  i32.and
  i32.const 4
  i32.sub
  local.tee $0
  i32.add
  local.tee $2
  memory.size
  local.tee $3
  i32.const 16
  i32.shl
  i32.const 15
  i32.add
  i32.const -16
  i32.and
  local.tee $4
  i32.gt_u
  if
   local.get $3
   local.get $2
   local.get $4
   i32.sub
   i32.const 65535
   i32.add
   i32.const -65536
   i32.and
   i32.const 16
   i32.shr_u
   local.tee $4
   local.get $3
   local.get $4
   i32.gt_s
   select
   memory.grow
   i32.const 0
   i32.lt_s
   if
    local.get $4
    memory.grow
    i32.const 0
    i32.lt_s
    if
     unreachable
    end
   end
  end
  global.get $~lib/rt/stub/offset
  local.get $2
  global.set $~lib/rt/stub/offset
  local.get $0
  i32.store
  local.get $1
 )
)
