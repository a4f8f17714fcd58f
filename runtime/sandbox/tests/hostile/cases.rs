//! The hostile modules, from text where they are valid and from bytes where no assembler would write them.

use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, ElementSection, Elements, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, MemorySection, MemoryType, Module, RefType,
    TableSection, TableType, TypeSection, ValType,
};

/// A module and what must become of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) module: Vec<u8>,
    pub(crate) expect: Expect,
}

/// What must become of a module.
pub(crate) enum Expect {
    /// An error of this code.
    Code(&'static str),
    /// These bytes.
    Output(Vec<u8>),
}

/// What every module gets.
pub(crate) const INPUT: &[u8] = b"what every module gets";

/// Loops and bombs, shapes, broken bytes, exports and starts, results.
pub(crate) fn all() -> Vec<Case> {
    [running(), shapes(), bytes(), exports_and_start(), results()].into_iter().flatten().collect()
}

/// They run until something ends them.
fn running() -> Vec<Case> {
    let grow = "(loop (drop (memory.grow (i32.const 1))) (br 0)) (i64.const 0)";
    let fill = "(loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x100000)) (br 0)) (i64.const 0)";
    let copy = "(loop (memory.copy (i32.const 1) (i32.const 0) (i32.const 0xfffff)) (br 0)) (i64.const 0)";
    let writes = "(local i32) (loop
        (i64.store (i32.and (local.get 2) (i32.const 0xffff8)) (i64.extend_i32_u (local.get 2)))
        (local.set 2 (i32.add (local.get 2) (i32.const 8))) (br 0)) (i64.const 0)";
    let mutual = "(func $even (param i32 i32) (result i64) (call $odd (local.get 0) (local.get 1)))
        (func $odd (param i32 i32) (result i64) (call $even (local.get 0) (local.get 1)))
        (export \"execute\" (func $even))";
    let indirect = "(type $t (func (param i32 i32) (result i64))) (table funcref (elem $f))
        (func $f (export \"execute\") (type $t)
            (call_indirect (type $t) (local.get 0) (local.get 1) (i32.const 0)))";
    let tables = "(table $t 1 funcref)
        (func (export \"execute\") (param i32 i32) (result i64)
            (loop (drop (table.grow $t (ref.null func) (i32.const 1000))) (br 0)) (i64.const 0))";
    vec![
        code("infinite loop", body("(loop (br 0)) (i64.const 0)"), "out-of-fuel"),
        code("loop with memory writes", body(writes), "out-of-fuel"),
        code("recursion", body("(call 0 (local.get 0) (local.get 1))"), "trap-stack-overflow"),
        code("mutual recursion", text(mutual), "trap-stack-overflow"),
        code("indirect recursion", text(indirect), "trap-stack-overflow"),
        code("memory.grow loop", body(grow), "memory-limit"),
        code("table.grow loop", text(tables), "instruction-not-allowed"),
        code("memory.fill bomb", body(fill), "out-of-fuel"),
        code("memory.copy bomb", body(copy), "out-of-fuel"),
        code("br_table bomb", br_table(100_000), "out-of-fuel"),
    ]
}

/// They have more of something than anybody needs.
fn shapes() -> Vec<Case> {
    vec![
        code("10^6 locals", locals(1_000_000), "too-many-locals"),
        // The parser itself stops at a thousand.
        code("10^5 params", params(100_000), "invalid-module"),
        code("deep block nesting", nesting(100_000), "nesting-too-deep"),
        code("huge data segment", data(900_000), "trap-memory-out-of-bounds"),
        code("huge element segment", elements(500_000), "too-many-elements"),
        code("10^5 functions", functions(100_000), "too-many-functions"),
        code("10^5 types", types(100_000), "too-many-types"),
        code("10^5 globals", globals(100_000), "too-many-globals"),
    ]
}

/// They are not what they say.
fn bytes() -> Vec<Case> {
    let mut overrun = Module::HEADER.to_vec();
    // A type section whose length takes eleven bytes.
    overrun.extend([1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
    let whole = body("(i64.const 0)");
    vec![
        code("LEB overrun", overrun, "invalid-module"),
        code("truncated sections", whole[..whole.len() - 3].to_vec(), "invalid-module"),
    ]
}

fn exports_and_start() -> Vec<Case> {
    let start = |body: &str| {
        text(&format!(
            "(func $s {body}) (start $s) (func (export \"execute\") (param i32 i32) (result i64) (i64.const 0))"
        ))
    };
    let import = "(import \"env\" \"system\" (func (param i32)))
        (func (export \"execute\") (param i32 i32) (result i64) (i64.const 0))";
    vec![
        code("duplicate exports", duplicate_exports(), "invalid-module"),
        code("wrong export types", text("(global (export \"execute\") i32 (i32.const 0))"), "export-type"),
        code("start-function loop", start("(loop (br 0))"), "start-function"),
        code("start trap", start("(unreachable)"), "start-function"),
        code("unknown import", text(import), "unknown-import"),
    ]
}

/// They give something odd, or nothing.
fn results() -> Vec<Case> {
    let overwrite = "(memory.fill (local.get 0) (i32.const 0x5a) (local.get 1))
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))";
    let unaligned = "(i64.store (i32.const 3) (i64.const 0x0807060504030201))
        (i32.store align=1 (i32.const 13) (i32.load align=4 (i32.const 5))) (i64.const 0x300000010)";
    let expected = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 3, 4, 5, 6, 0, 0];
    let divide = "(drop (i32.div_s (i32.const 1) (i32.sub (local.get 1) (local.get 1)))) (i64.const 0)";
    vec![
        output("float NaN probe", nan_probe(), canonical_nans()),
        code("output pointer out of range", body("(i64.const 0x7fffffff00000010)"), "output-place"),
        code("output length overflow", body("(i64.const 0x10ffffffff)"), "output-too-large"),
        output("input overwrite", body(overwrite), vec![0x5a; INPUT.len()]),
        output("unaligned access", body(unaligned), expected.to_vec()),
        code("integer-divide trap", body(divide), "trap-division-by-zero"),
        code("unreachable", body("(unreachable)"), "trap-unreachable"),
        code("custom-section bomb", custom_sections(100_000), "too-many-custom-sections"),
    ]
}

fn code(name: &'static str, module: Vec<u8>, code: &'static str) -> Case {
    Case { name, module, expect: Expect::Code(code) }
}

fn output(name: &'static str, module: Vec<u8>, bytes: Vec<u8>) -> Case {
    Case { name, module, expect: Expect::Output(bytes) }
}

/// A module with 16 pages of memory and these fields.
fn text(fields: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {fields} (memory (export \"memory\") 16))")).expect("text of this file")
}

/// `execute` with this body, giving a packed result.
fn body(instructions: &str) -> Vec<u8> {
    text(&format!("(func (export \"execute\") (param i32 i32) (result i64) {instructions})"))
}

/// A NaN with a payload and the sign set goes through every operation that may choose its NaN.
fn nan_probe() -> Vec<u8> {
    let single = "(f32.reinterpret_i32 (i32.const 0xffa00001))";
    let double = "(f64.reinterpret_i64 (i64.const 0xfff4000000000001))";
    let mut stores = String::new();
    let mut at = 0;
    for op in SINGLE_UNARY {
        stores += &format!("(f32.store (i32.const {at}) (f32.{op} {single}))");
        at += 4;
    }
    for op in BINARY {
        stores += &format!("(f32.store (i32.const {at}) (f32.{op} {single} (f32.const 1)))");
        at += 4;
    }
    stores += &format!("(f32.store (i32.const {at}) (f32.demote_f64 {double}))");
    at += 4;
    for op in SINGLE_UNARY {
        stores += &format!("(f64.store (i32.const {at}) (f64.{op} {double}))");
        at += 8;
    }
    for op in BINARY {
        stores += &format!("(f64.store (i32.const {at}) (f64.{op} (f64.const 1) {double}))");
        at += 8;
    }
    stores += &format!("(f64.store (i32.const {at}) (f64.promote_f32 {single}))");
    at += 8;
    body(&format!("{stores} (i64.const {at})"))
}

fn canonical_nans() -> Vec<u8> {
    let count = SINGLE_UNARY.len() + BINARY.len() + 1;
    let singles = std::iter::repeat_n(0x7fc0_0000_u32.to_le_bytes(), count).flatten();
    let doubles = std::iter::repeat_n(0x7ff8_0000_0000_0000_u64.to_le_bytes(), count).flatten();
    singles.chain(doubles).collect()
}

const SINGLE_UNARY: [&str; 5] = ["ceil", "floor", "trunc", "nearest", "sqrt"];
const BINARY: [&str; 6] = ["add", "sub", "mul", "div", "min", "max"];

/// What a module is made of here: a type for `execute`, the function itself, a page of memory, both exported.
#[derive(Default)]
struct Parts {
    types: TypeSection,
    functions: FunctionSection,
    tables: Option<TableSection>,
    globals: Option<GlobalSection>,
    exports: ExportSection,
    elements: Option<ElementSection>,
    code: CodeSection,
    data: Option<DataSection>,
}

impl Parts {
    fn new(locals: Vec<(u32, ValType)>, instructions: &[u8]) -> Self {
        let mut parts = Self::default();
        parts.types.ty().function([ValType::I32, ValType::I32], [ValType::I64]);
        parts.functions.function(0);
        parts.exports.export("memory", ExportKind::Memory, 0).export("execute", ExportKind::Func, 0);
        let mut execute = Function::new(locals);
        execute.raw(instructions.iter().copied());
        parts.code.function(&execute);
        parts
    }

    fn small() -> Self {
        Self::new(vec![], &[0x42, 0, 0x0b])
    }

    fn encode(&self) -> Vec<u8> {
        let mut module = Module::new();
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        module.section(&self.types);
        module.section(&self.functions);
        if let Some(section) = &self.tables {
            module.section(section);
        }
        module.section(&memories);
        if let Some(section) = &self.globals {
            module.section(section);
        }
        module.section(&self.exports);
        if let Some(section) = &self.elements {
            module.section(section);
        }
        module.section(&self.code);
        if let Some(section) = &self.data {
            module.section(section);
        }
        module.finish()
    }
}

/// One endless `loop` around one `br_table` of so many targets.
fn br_table(targets: u32) -> Vec<u8> {
    let mut instructions = vec![0x03, 0x40, 0x20, 1, 0x0e];
    let mut rest = targets;
    while rest >= 0x80 {
        instructions.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    instructions.push(rest as u8);
    instructions.resize(instructions.len() + targets as usize + 1, 0);
    instructions.extend([0x0b, 0x42, 0, 0x0b]);
    Parts::new(vec![], &instructions).encode()
}

fn locals(count: u32) -> Vec<u8> {
    Parts::new(vec![(count, ValType::I64)], &[0x42, 0, 0x0b]).encode()
}

fn params(count: usize) -> Vec<u8> {
    let mut parts = Parts::small();
    parts.types.ty().function(vec![ValType::I32; count], []);
    parts.encode()
}

fn nesting(depth: usize) -> Vec<u8> {
    let mut instructions = [0x02, 0x40].repeat(depth);
    instructions.resize(3 * depth, 0x0b);
    instructions.extend([0x42, 0, 0x0b]);
    Parts::new(vec![], &instructions).encode()
}

fn data(bytes: usize) -> Vec<u8> {
    let mut parts = Parts::small();
    parts.data.insert(DataSection::new()).active(0, &ConstExpr::i32_const(0), vec![1; bytes]);
    parts.encode()
}

fn elements(count: usize) -> Vec<u8> {
    let mut parts = Parts::small();
    parts.tables.insert(TableSection::new()).table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: 10_000,
        maximum: None,
        shared: false,
    });
    let functions = vec![0; count];
    let segment = Elements::Functions(functions.into());
    parts.elements.insert(ElementSection::new()).active(Some(0), &ConstExpr::i32_const(0), segment);
    parts.encode()
}

fn functions(count: usize) -> Vec<u8> {
    let mut parts = Parts::small();
    for _ in 0..count {
        parts.functions.function(0);
        parts.code.function(Function::new([]).raw([0x42, 0, 0x0b]));
    }
    parts.encode()
}

fn types(count: usize) -> Vec<u8> {
    let mut parts = Parts::small();
    (0..count).for_each(|_| parts.types.ty().function([], []));
    parts.encode()
}

fn globals(count: usize) -> Vec<u8> {
    let mut parts = Parts::small();
    let globals = parts.globals.insert(GlobalSection::new());
    for _ in 0..count {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(0));
    }
    parts.encode()
}

fn duplicate_exports() -> Vec<u8> {
    let mut parts = Parts::small();
    parts.exports.export("execute", ExportKind::Func, 0);
    parts.encode()
}

fn custom_sections(count: usize) -> Vec<u8> {
    let mut module = Module::new();
    for _ in 0..count {
        module.section(&CustomSection { name: "".into(), data: (&[]).into() });
    }
    module.finish()
}
