//! The first look at a module: counts, before anything is translated or allocated in proportion to them.
//!
//! The interpreter has such limits too ([`wasmi::EnforcedLimits::strict`], whose numbers these are where it has
//! one), but says nothing about types, exports, locals, elements or nesting, and refuses modules of many short
//! functions, which matters only where functions are translated lazily.

use wasmparser::{
    BlockType, ElementItems, ElementSectionReader, FunctionBody, Operator, Parser, Payload,
    TableSectionReader, TypeSectionReader, WasmFeatures,
};

use crate::{
    BYTES_PER_FUEL, Count, MAX_MEMORY_BYTES, MAX_MODULE_BYTES, MAX_TABLE_ELEMENTS, ModuleError, PAGE_BYTES,
    error::shown,
    limits::{
        MAX_BRANCH_VALUES, MAX_CUSTOM_SECTIONS, MAX_ELEMENTS, MAX_EXPORTS, MAX_FUNCTIONS, MAX_GLOBALS,
        MAX_IMPORTS, MAX_LOCALS, MAX_MEMORIES, MAX_NESTING, MAX_PARAMS, MAX_RESULTS, MAX_SEGMENTS,
        MAX_TABLES, MAX_TYPES,
    },
};

/// What setting the module up touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes the memory starts with.
    pub(crate) memory_bytes: u64,
    /// Elements all tables start with.
    pub(crate) table_elements: u64,
    /// Bytes of the module, which bound its segments.
    pub(crate) module_bytes: u64,
}

impl Shape {
    /// Units of fuel for setting up an instance.
    pub(crate) fn setup_fuel(&self) -> u64 {
        let table_bytes = self.table_elements * size_of::<u64>() as u64;
        (self.memory_bytes + table_bytes + self.module_bytes) / BYTES_PER_FUEL
    }
}

/// Checks the length and the counts of `wasm`, which need not be valid.
///
/// # Errors
///
/// The first limit that is not kept, in the order of the module's bytes.
pub(crate) fn scan(wasm: &[u8]) -> Result<Shape, ModuleError> {
    if wasm.len() > MAX_MODULE_BYTES {
        return Err(ModuleError::TooLarge { bytes: wasm.len(), max: MAX_MODULE_BYTES });
    }
    let mut parser = Parser::new(0);
    parser.set_features(features());
    let mut shape = Shape { module_bytes: wasm.len() as u64, ..Shape::default() };
    let mut custom_sections = 0_u64;
    let mut branches = Branches::default();
    for payload in parser.parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::TypeSection(section) => branches.types = types(section)?,
            Payload::ImportSection(section) => at_most(Count::Imports, section.count(), MAX_IMPORTS)?,
            Payload::FunctionSection(section) => {
                at_most(Count::Functions, section.count(), MAX_FUNCTIONS)?;
                branches.functions = section.into_iter().collect::<Result<_, _>>().map_err(invalid)?;
            }
            Payload::TableSection(section) => shape.table_elements = tables(section)?,
            Payload::MemorySection(section) => {
                at_most(Count::Memories, section.count(), MAX_MEMORIES)?;
                for memory in section {
                    shape.memory_bytes = memory_bytes(memory.map_err(invalid)?.initial)?;
                }
            }
            Payload::GlobalSection(section) => at_most(Count::Globals, section.count(), MAX_GLOBALS)?,
            Payload::ExportSection(section) => at_most(Count::Exports, section.count(), MAX_EXPORTS)?,
            Payload::StartSection { .. } => return Err(ModuleError::StartFunction),
            Payload::ElementSection(section) => elements(section)?,
            Payload::DataCountSection { count, .. } => at_most(Count::DataSegments, count, MAX_SEGMENTS)?,
            Payload::DataSection(section) => at_most(Count::DataSegments, section.count(), MAX_SEGMENTS)?,
            Payload::CustomSection(_) => {
                custom_sections += 1;
                at_most(Count::CustomSections, custom_sections, MAX_CUSTOM_SECTIONS)?;
            }
            Payload::CodeSectionEntry(body) => function(&body, &mut branches)?,
            _ => {}
        }
    }
    Ok(shape)
}

/// The numbers of parameters and results of every type.
fn types(section: TypeSectionReader<'_>) -> Result<Vec<(u64, u64)>, ModuleError> {
    at_most(Count::Types, section.count(), MAX_TYPES)?;
    let mut found = Vec::new();
    for group in section {
        let group = group.map_err(invalid)?;
        // The interpreter takes one function type a group for granted.
        if group.is_explicit_rec_group() {
            return Err(ModuleError::Invalid { reason: "recursive types are not allowed".into() });
        }
        for ty in group.into_types() {
            let wasmparser::CompositeInnerType::Func(func) = &ty.composite_type.inner else {
                return Err(ModuleError::Invalid {
                    reason: "types other than functions are not allowed".into(),
                });
            };
            let (params, results) = (func.params().len() as u64, func.results().len() as u64);
            at_most(Count::Params, params, MAX_PARAMS)?;
            at_most(Count::Results, results, MAX_RESULTS)?;
            found.push((params, results));
        }
    }
    Ok(found)
}

/// The elements all tables start with.
fn tables(section: TableSectionReader<'_>) -> Result<u64, ModuleError> {
    at_most(Count::Tables, section.count(), MAX_TABLES)?;
    let mut total = 0;
    for table in section {
        let found = table.map_err(invalid)?.ty.initial;
        if found > MAX_TABLE_ELEMENTS {
            return Err(ModuleError::TooBig {
                what: "table",
                unit: "elements",
                found,
                max: MAX_TABLE_ELEMENTS,
            });
        }
        total += found;
    }
    Ok(total)
}

fn memory_bytes(pages: u64) -> Result<u64, ModuleError> {
    let found = pages.saturating_mul(PAGE_BYTES);
    match found <= MAX_MEMORY_BYTES {
        true => Ok(found),
        false => Err(ModuleError::TooBig { what: "memory", unit: "bytes", found, max: MAX_MEMORY_BYTES }),
    }
}

fn elements(section: ElementSectionReader<'_>) -> Result<(), ModuleError> {
    at_most(Count::ElementSegments, section.count(), MAX_SEGMENTS)?;
    let mut total = 0;
    for segment in section {
        total += match segment.map_err(invalid)?.items {
            ElementItems::Functions(items) => u64::from(items.count()),
            ElementItems::Expressions(_, items) => u64::from(items.count()),
        };
        at_most(Count::Elements, total, MAX_ELEMENTS)?;
    }
    Ok(())
}

fn function(body: &FunctionBody<'_>, branches: &mut Branches) -> Result<(), ModuleError> {
    let mut locals = 0_u64;
    for group in body.get_locals_reader().map_err(invalid)? {
        let (count, _) = group.map_err(invalid)?;
        locals += u64::from(count);
        at_most(Count::Locals, locals, MAX_LOCALS)?;
    }
    branches.enter_function();
    for operator in body.get_operators_reader().map_err(invalid)? {
        let operator = operator.map_err(invalid)?;
        // The interpreter cannot be resumed in the middle of it (wasmi 2.0.0 keeps no place to resume at).
        if let Operator::TableGrow { .. } = operator {
            return Err(ModuleError::Instruction { name: "table.grow" });
        }
        branches.count(&operator)?;
        at_most(Count::Nesting, branches.labels.len() as u64, MAX_NESTING)?;
    }
    Ok(())
}

/// Counts the values that blocks and branches carry. The interpreter translates each into a copy of its own, so a
/// few bytes can become hundreds.
#[derive(Default)]
struct Branches {
    /// Parameters and results of every type.
    types: Vec<(u64, u64)>,
    /// Types of the functions with a body.
    functions: Vec<u32>,
    /// Functions entered.
    entered: usize,
    /// Values that a branch to each open label carries.
    labels: Vec<u64>,
    /// Values counted, all functions together.
    values: u64,
}

impl Branches {
    fn enter_function(&mut self) {
        let results = self.functions.get(self.entered).map_or(0, |&ty| self.of_type(ty).1);
        self.entered += 1;
        self.labels.clear();
        self.labels.push(results);
    }

    fn count(&mut self, operator: &Operator<'_>) -> Result<(), ModuleError> {
        match operator {
            Operator::Block { blockty } | Operator::If { blockty } => {
                self.open(*blockty, |(_, results)| results)
            }
            Operator::Loop { blockty } => self.open(*blockty, |(params, _)| params),
            Operator::End => drop(self.labels.pop()),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                self.branch(*relative_depth)
            }
            Operator::BrTable { targets } => {
                self.branch(targets.default());
                for target in targets.targets() {
                    self.branch(target.map_err(invalid)?);
                }
            }
            Operator::Return => self.values += self.labels.first().copied().unwrap_or(0),
            _ => {}
        }
        at_most(Count::BranchValues, self.values, MAX_BRANCH_VALUES)
    }

    fn open(&mut self, ty: BlockType, carried: impl Fn((u64, u64)) -> u64) {
        let (params, results) = match ty {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(ty) => self.of_type(ty),
        };
        self.values += params + results;
        self.labels.push(carried((params, results)));
    }

    fn branch(&mut self, depth: u32) {
        let label = self.labels.len().checked_sub(depth as usize + 1);
        self.values += label.map_or(0, |at| self.labels[at]);
    }

    /// Nothing for a type that does not exist: the validator refuses it.
    fn of_type(&self, index: u32) -> (u64, u64) {
        self.types.get(index as usize).copied().unwrap_or_default()
    }
}

fn at_most(count: Count, found: impl Into<u64>, max: u64) -> Result<(), ModuleError> {
    let found = found.into();
    match found <= max {
        true => Ok(()),
        false => Err(ModuleError::Count { count, found, max }),
    }
}

fn invalid(error: wasmparser::BinaryReaderError) -> ModuleError {
    ModuleError::Invalid { reason: shown(&error.to_string()) }
}

/// The proposals of `engine::config`, for the parser.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::empty();
    for feature in [
        WasmFeatures::MUTABLE_GLOBAL,
        WasmFeatures::SIGN_EXTENSION,
        WasmFeatures::SATURATING_FLOAT_TO_INT,
        WasmFeatures::MULTI_VALUE,
        WasmFeatures::BULK_MEMORY,
        WasmFeatures::REFERENCE_TYPES,
        WasmFeatures::GC_TYPES,
        WasmFeatures::FLOATS,
    ] {
        features.insert(feature);
    }
    features
}
