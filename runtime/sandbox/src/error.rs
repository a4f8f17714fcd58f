//! What can be wrong with limits, a module or a run. Every error has a code that never changes its meaning.

use thiserror::Error;

/// Why there is no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SandboxError {
    /// A limit that cannot be asked for.
    #[error("{name} is {value}, must be {min} to {max}")]
    Limit {
        /// Which limit.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// The module was refused before anything ran.
    #[error("module refused: {0}")]
    Module(#[from] ModuleError),
    /// The run ended without a result.
    #[error("{cause} (after {fuel_used} units of fuel)")]
    Run {
        /// What ended it.
        cause: RunError,
        /// Units of fuel used until then, at most the budget.
        fuel_used: u64,
    },
}

impl SandboxError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "limit-out-of-range",
            Self::Module(error) => error.code(),
            Self::Run { cause, .. } => cause.code(),
        }
    }

    /// Units of fuel used: 0 where nothing ran.
    pub fn fuel_used(&self) -> u64 {
        match self {
            Self::Run { fuel_used, .. } => *fuel_used,
            Self::Limit { .. } | Self::Module(_) => 0,
        }
    }
}

/// Why a module is not accepted. Names taken from the module are cut to [`SHOWN_CHARS`] characters.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ModuleError {
    /// Too long to look at.
    #[error("{bytes} bytes, at most {max}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// Malformed, ill-typed, or of a proposal that is not allowed.
    #[error("not valid: {reason}")]
    Invalid {
        /// What the validator said.
        reason: String,
    },
    /// More of something than a module may have.
    #[error("{found} {}, at most {max}", count.plural())]
    Count {
        /// Of what.
        count: Count,
        /// How many there are, or how many were seen when counting ended.
        found: u64,
        /// Most allowed.
        max: u64,
    },
    /// Its memory starts, or a table starts, beyond what any run allows.
    #[error("a {what} of at least {found} {unit}, at most {max}")]
    TooBig {
        /// "memory" or "table".
        what: &'static str,
        /// "bytes" or "elements".
        unit: &'static str,
        /// The initial size.
        found: u64,
        /// The largest allowed.
        max: u64,
    },
    /// An instruction that is valid but not allowed here.
    #[error("the instruction {name} is not allowed")]
    Instruction {
        /// Its name in the text format.
        name: &'static str,
    },
    /// It has a start function, which would run before anybody asked.
    #[error("a start function is not allowed")]
    StartFunction,
    /// An import that does not exist here.
    #[error("unknown import {module}.{name}")]
    UnknownImport {
        /// Its module name.
        module: String,
        /// Its field name.
        name: String,
    },
    /// A known import of another type.
    #[error("import {module}.{name} must be {expected}")]
    ImportType {
        /// Its module name.
        module: String,
        /// Its field name.
        name: String,
        /// The type it must have.
        expected: &'static str,
    },
    /// A required export is missing.
    #[error("no export {name}, must be {expected}")]
    MissingExport {
        /// Its name.
        name: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
    /// An export of this name has another type.
    #[error("export {name} must be {expected}")]
    ExportType {
        /// Its name.
        name: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
}

impl ModuleError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "module-too-large",
            Self::Invalid { .. } => "invalid-module",
            Self::Count { count, .. } => count.code(),
            Self::TooBig { what: "table", .. } => "table-limit",
            Self::TooBig { .. } => "memory-limit",
            Self::Instruction { .. } => "instruction-not-allowed",
            Self::StartFunction => "start-function",
            Self::UnknownImport { .. } => "unknown-import",
            Self::ImportType { .. } => "import-type",
            Self::MissingExport { .. } => "missing-export",
            Self::ExportType { .. } => "export-type",
        }
    }
}

/// What is counted in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Function types.
    Types,
    /// Parameters of one function type.
    Params,
    /// Results of one function type.
    Results,
    /// Imports.
    Imports,
    /// Functions.
    Functions,
    /// Tables.
    Tables,
    /// Memories.
    Memories,
    /// Globals.
    Globals,
    /// Exports.
    Exports,
    /// Element segments.
    ElementSegments,
    /// Elements of all segments together.
    Elements,
    /// Data segments.
    DataSegments,
    /// Custom sections.
    CustomSections,
    /// Locals of one function, its parameters not counted.
    Locals,
    /// Blocks around one instruction, the function's own among them.
    Nesting,
    /// Values carried by blocks and branches, all functions together.
    BranchValues,
}

impl Count {
    fn code(self) -> &'static str {
        match self {
            Self::Types => "too-many-types",
            Self::Params => "too-many-params",
            Self::Results => "too-many-results",
            Self::Imports => "too-many-imports",
            Self::Functions => "too-many-functions",
            Self::Tables => "too-many-tables",
            Self::Memories => "too-many-memories",
            Self::Globals => "too-many-globals",
            Self::Exports => "too-many-exports",
            Self::ElementSegments => "too-many-element-segments",
            Self::Elements => "too-many-elements",
            Self::DataSegments => "too-many-data-segments",
            Self::CustomSections => "too-many-custom-sections",
            Self::Locals => "too-many-locals",
            Self::Nesting => "nesting-too-deep",
            Self::BranchValues => "too-many-branch-values",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Nesting => "nested blocks",
            Self::ElementSegments => "element segments",
            Self::DataSegments => "data segments",
            Self::CustomSections => "custom sections",
            Self::BranchValues => "values carried by branches",
            _ => &self.code()["too-many-".len()..],
        }
    }
}

/// Why a run has no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RunError {
    /// The budget was not enough.
    #[error("out of fuel")]
    OutOfFuel,
    /// The caller asked to stop. This says nothing about the module.
    #[error("stopped by the caller")]
    Stopped,
    /// The module did something that WebAssembly forbids.
    #[error("trap: {0}")]
    Trap(Trap),
    /// The memory would have grown, or starts, beyond its limit.
    #[error("memory beyond {max} bytes")]
    MemoryLimit {
        /// The limit.
        max: u64,
    },
    /// A table would have grown, or starts, beyond its limit.
    #[error("table beyond {max} elements")]
    TableLimit {
        /// The limit.
        max: u64,
    },
    /// This machine had no memory left. This says nothing about the module.
    #[error("the host is out of memory")]
    HostMemory,
    /// There is no room for the input: `alloc` gave a place outside the memory, or the memory may not grow.
    #[error("no room for {bytes} bytes of input: {reason}")]
    InputPlace {
        /// Length of the input.
        bytes: usize,
        /// What went wrong.
        reason: &'static str,
    },
    /// `execute` returned a place outside the memory.
    #[error("output at {start}, {bytes} bytes, in a memory of {memory_bytes}")]
    OutputPlace {
        /// First byte.
        start: u32,
        /// Length.
        bytes: u32,
        /// Bytes the memory has.
        memory_bytes: u64,
    },
    /// `execute` returned more than anybody takes.
    #[error("{bytes} bytes of output, at most {max}")]
    OutputTooLarge {
        /// Length.
        bytes: u32,
        /// The longest allowed.
        max: u32,
    },
    /// The interpreter refused for a reason without a name here.
    #[error("interpreter: {message}")]
    Interpreter {
        /// What it said.
        message: String,
    },
}

impl RunError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfFuel => "out-of-fuel",
            Self::Stopped => "stopped",
            Self::Trap(trap) => trap.code(),
            Self::MemoryLimit { .. } => "memory-limit",
            Self::TableLimit { .. } => "table-limit",
            Self::HostMemory => "host-memory",
            Self::InputPlace { .. } => "input-place",
            Self::OutputPlace { .. } => "output-place",
            Self::OutputTooLarge { .. } => "output-too-large",
            Self::Interpreter { .. } => "interpreter",
        }
    }
}

/// The traps of the WebAssembly specification.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Trap {
    /// `unreachable` was executed.
    #[error("unreachable")]
    Unreachable,
    /// An access outside the memory.
    #[error("memory access out of bounds")]
    MemoryOutOfBounds,
    /// An access outside a table.
    #[error("table access out of bounds")]
    TableOutOfBounds,
    /// An indirect call through an empty table element.
    #[error("indirect call to null")]
    IndirectCallToNull,
    /// An indirect call to a function of another type.
    #[error("indirect call of the wrong type")]
    BadSignature,
    /// Division or remainder by zero.
    #[error("integer division by zero")]
    DivisionByZero,
    /// A result that its integer type cannot hold.
    #[error("integer overflow")]
    IntegerOverflow,
    /// NaN converted to an integer.
    #[error("invalid conversion to integer")]
    BadConversion,
    /// Calls nested too deep, or too many values on the stack.
    #[error("stack overflow")]
    StackOverflow,
}

impl Trap {
    /// A stable name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "trap-unreachable",
            Self::MemoryOutOfBounds => "trap-memory-out-of-bounds",
            Self::TableOutOfBounds => "trap-table-out-of-bounds",
            Self::IndirectCallToNull => "trap-indirect-call-to-null",
            Self::BadSignature => "trap-bad-signature",
            Self::DivisionByZero => "trap-division-by-zero",
            Self::IntegerOverflow => "trap-integer-overflow",
            Self::BadConversion => "trap-bad-conversion",
            Self::StackOverflow => "trap-stack-overflow",
        }
    }
}

/// A text of the module's, short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// Most characters of a text that came from a module, or from the validator about it, in an error.
pub const SHOWN_CHARS: usize = 200;
