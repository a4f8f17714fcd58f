//! The core test suite of WebAssembly 1.0 through the sandbox's interpreter, fuel and limits on.
//!
//! Every assertion is counted: passed, or out of scope for a reason that is listed here. `counts.txt` pins the
//! counts of every file.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use wast::{
    WastDirective,
    lexer::Lexer,
    parser::{self, ParseBuffer},
};

use script::Source;
use world::World;

mod script;
mod world;

/// What became of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No assertion, and it worked.
    Done,
    /// An assertion that holds.
    Passed,
    /// Not a question for this interpreter.
    OutOfScope(String),
    /// Not what the script expects, which a later version of WebAssembly may explain.
    Unlike { got: String, message: String },
    /// An assertion that does not hold, or a command that did not work.
    Failed(String),
}

/// What later versions of WebAssembly changed: the file ("": any), the line (0: any), what the script expects,
/// what came instead, and the reason to count it under.
const CHANGED: &[(&str, usize, &str, &str, &str)] = &[
    ("", 0, "data segment does not fit", "trap-memory-out-of-bounds", BULK_MEMORY),
    ("", 0, "elements segment does not fit", "trap-table-out-of-bounds", BULK_MEMORY),
    ("func.wast", 0, "invalid result arity", "valid", "valid by multi-value"),
    ("type.wast", 0, "invalid result arity", "valid", "valid by multi-value"),
    ("imports.wast", 0, "multiple tables", "valid", "valid by reference types"),
    // Labels of unequal types in code that is never reached.
    ("unreached-invalid.wast", 538, "type mismatch", "valid", "valid by reference types"),
    // Segments before the one that does not fit stay written.
    ("linking.wast", 236, "", "Ok([I32(0)])", BULK_MEMORY),
    ("linking.wast", 248, "", "Ok([I32(0)])", BULK_MEMORY),
    ("linking.wast", 342, "", "[I32(97)]", BULK_MEMORY),
    ("linking.wast", 354, "", "[I32(97)]", BULK_MEMORY),
    // What a start function would have left behind.
    ("linking.wast", 387, "", "[I32(0)]", START_FUNCTION),
    ("linking.wast", 388, "", "trap: indirect call to null", START_FUNCTION),
    // Segments named twice, and module fields without a module, none of them with assertions about them.
    ("data.wast", 5, "", "duplicate data identifier", TEXT_FORMAT),
    ("elem.wast", 4, "", "duplicate elem identifier", TEXT_FORMAT),
    ("inline-module.wast", 1, "", "not parsed", TEXT_FORMAT),
];

const BULK_MEMORY: &str = "segments that do not fit trap by bulk memory";
const START_FUNCTION: &str = "refused: start-function";
const TEXT_FORMAT: &str = "text format";

#[test]
fn the_core_suite_holds() {
    let Some(folder) = suite() else { return };
    let mut table = String::new();
    let mut faults = Vec::new();
    let mut total = BTreeMap::new();
    for (name, text) in scripts(&folder) {
        let (counts, failed) = judge(&name, &text);
        faults.extend(failed.into_iter().map(|fault| format!("{name}:{fault}")));
        write_counts(&mut table, &name, &counts);
        counts.into_iter().for_each(|(key, count)| *total.entry(key).or_insert(0) += count);
    }
    write_counts(&mut table, "all files", &total);
    assert_eq!(faults, Vec::<String>::new(), "\n{}", faults.join("\n"));
    assert_eq!(table, include_str!("counts.txt"), "the counts changed; they are\n{table}");
    report(&format!("core suite: {} assertions hold", total["passed"]));
}

/// A wrong value, a wrong trap, a NaN that is none, and a valid module said to be invalid.
#[test]
fn a_planted_fault_is_caught() {
    let script = r#"
        (module (func (export "two") (result i32) (i32.const 2)) (func (export "stop") unreachable)
            (func (export "half") (result f32) (f32.const 0.5)))
        (assert_return (invoke "two") (i32.const 2))
        (assert_return (invoke "two") (i32.const 3))
        (assert_trap (invoke "stop") "integer overflow")
        (assert_return_canonical_nan (invoke "half"))
        (assert_invalid (module) "type mismatch")
        (assert_trap (invoke "two") "unreachable")"#;
    let (counts, faults) = judge("canary", script);
    assert_eq!(counts, BTreeMap::from([("passed".to_owned(), 1)]));
    let lines: Vec<_> = faults.iter().map(|fault| fault.split(':').next().expect("a line")).collect();
    assert_eq!(lines, ["5", "6", "7", "8", "9"]);
}

/// Counts by kind, and what failed.
fn judge(name: &str, text: &str) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut world = World::new();
    let mut counts = BTreeMap::new();
    let mut faults = Vec::new();
    for source in script::directives(text) {
        let verdict = excuse(name, &source, perform(&mut world, &source));
        match verdict {
            Verdict::Done => {}
            Verdict::Passed => *counts.entry("passed".to_owned()).or_insert(0) += 1,
            Verdict::OutOfScope(reason) => {
                // A module that is out of scope is no assertion.
                if source.text.starts_with("(assert") {
                    *counts.entry(reason).or_insert(0) += 1;
                }
            }
            Verdict::Unlike { got, message } => {
                faults.push(format!("{}: {got}, expected {message}", source.line));
            }
            Verdict::Failed(fault) => faults.push(format!("{}: {fault}", source.line)),
        }
    }
    (counts, faults)
}

fn perform(world: &mut World, source: &Source<'_>) -> Verdict {
    let text = script::modern(source);
    let mut lexer = Lexer::new(&text);
    // One script names its functions after the letters that confuse.
    lexer.allow_confusing_unicode(true);
    let buffer = match ParseBuffer::new_with_lexer(lexer) {
        Ok(buffer) => buffer,
        Err(error) => return Verdict::Unlike { got: "no tokens".into(), message: error.message() },
    };
    match parser::parse::<Directive<'_>>(&buffer) {
        Ok(directive) => world.run(directive.0, source.nan),
        Err(error) => Verdict::Unlike { got: "not parsed".into(), message: error.message() },
    }
}

/// One directive in parentheses.
struct Directive<'a>(WastDirective<'a>);

impl<'a> parser::Parse<'a> for Directive<'a> {
    fn parse(parser: parser::Parser<'a>) -> wast::parser::Result<Self> {
        parser.parens(|p| p.parse()).map(Self)
    }
}

fn excuse(name: &str, source: &Source<'_>, verdict: Verdict) -> Verdict {
    let (got, expected) = match &verdict {
        Verdict::Unlike { got, .. } if got == "not parsed" => (got.as_str(), ""),
        Verdict::Unlike { got, message } => (got.as_str(), message.as_str()),
        Verdict::Failed(fault) => (fault.as_str(), ""),
        _ => return verdict,
    };
    let known = CHANGED.iter().find(|(file, line, message, instead, _)| {
        (file.is_empty() || *file == name)
            && (*line == 0 || *line == source.line)
            && expected == *message
            && got.starts_with(instead)
    });
    match known {
        Some((.., reason)) => Verdict::OutOfScope((*reason).to_owned()),
        None => verdict,
    }
}

fn write_counts(table: &mut String, name: &str, counts: &BTreeMap<String, usize>) {
    let passed = counts.get("passed").copied().unwrap_or(0);
    write!(table, "{name}: {passed} passed").expect("a string");
    for (reason, count) in counts.iter().filter(|(key, _)| *key != "passed") {
        write!(table, ", {count} {reason}").expect("a string");
    }
    table.push('\n');
}

/// The suite's folder, which lies beside the project.
fn suite() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/wasm/wg-1.0"));
    if folder.exists() {
        return Some(folder);
    }
    assert!(std::env::var_os("EDGENET_TEST_SHARED").is_none(), "{} is missing", folder.display());
    report("not run: the WebAssembly core suite (no reference data beside the project)");
    None
}

fn scripts(folder: &PathBuf) -> Vec<(String, String)> {
    let mut scripts: Vec<_> = fs::read_dir(folder)
        .expect("the suite's folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "wast"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a script is text"))
        })
        .collect();
    scripts.sort();
    scripts
}

#[expect(clippy::print_stderr, reason = "tests say what they counted and what was not run")]
fn report(line: &str) {
    eprintln!("{line}");
}
