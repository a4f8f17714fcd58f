//! Style as an ordinary test: file and function length, top level, stems, words that do not age.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plan::Stage;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const LONGEST_FILE: usize = 600;
const LONGEST_FUNCTION: usize = 80;

/// What may lie at the top, dotfiles aside.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "bench",
    "kernels-cpu",
    "models",
    "runtime",
    "shaders",
    "tests",
    "web",
];

#[test]
fn files_and_functions_are_short() {
    let mut found = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("source is text");
        // Generated tables are data.
        if !text.contains("@generated") {
            found.extend(too_long(&text).into_iter().map(|problem| format!("{}: {problem}", shown(&file))));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_long_function_is_caught() {
    let body = "    x();\n".repeat(LONGEST_FUNCTION + 1);
    let text = format!("fn short() {{\n}}\n\npub fn long() {{\n{body}}}\n");
    assert_eq!(too_long(&text), ["line 4: function of 83 lines"]);
}

#[test]
fn only_the_named_things_lie_at_the_top() {
    let entries = fs::read_dir(ROOT).expect("the root").map(|e| e.expect("an entry").file_name());
    let mut strangers: Vec<String> = entries.map(|n| n.to_string_lossy().into_owned()).collect();
    strangers.retain(|name| !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str()));
    // rustfmt and clippy read their settings from dotfiles too.
    assert_eq!(strangers, Vec::<String>::new());
}

#[test]
fn every_stage_has_its_stem_everywhere() {
    let twins = fs::read_to_string(Path::new(ROOT).join("tests/tests/twin.rs")).expect("the twin test");
    for stage in Stage::ALL {
        let stem = stage.stem();
        for file in [
            format!("shaders/wgsl/{stem}.wgsl"),
            format!("kernels-cpu/src/oracle/{stem}.rs"),
            format!("kernels-cpu/src/{}/{stem}.rs", stage.family()),
        ] {
            assert!(Path::new(ROOT).join(&file).exists(), "{file} is missing");
        }
        assert!(twins.contains(&format!("fn {stem}() {{")), "no twin test for {stem}");
    }
}

#[test]
fn the_readme_map_is_the_tree() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).expect("README.md");
    for file in manifests() {
        let folder = file.parent().expect("a folder").strip_prefix(ROOT).expect("below the root");
        let entry = format!("`{}/`", folder.display());
        assert!(readme.contains(&entry), "README.md does not map {entry}");
    }
    for line in readme.lines().filter(|l| l.starts_with("| `")) {
        let name = line.split('`').nth(1).expect("a name in backticks");
        if name.ends_with('/') {
            assert!(Path::new(ROOT).join(name).exists(), "README.md maps {name}, which does not exist");
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X"];
    for file in sources() {
        let text = fs::read_to_string(&file).expect("source is text");
        let word = words.iter().find(|w| text.contains(w.as_str()));
        assert!(word.is_none(), "{} says {}", shown(&file), word.expect("found"));
    }
}

fn too_long(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    if lines.len() > LONGEST_FILE {
        found.push(format!("{} lines", lines.len()));
    }
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let starts = [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "pub async fn ",
            "async fn ",
            "unsafe fn ",
        ];
        if !starts.iter().any(|s| code.starts_with(s)) {
            continue;
        }
        let signature_end = lines[start..].iter().find(|l| l.ends_with('{') || l.ends_with(';'));
        if signature_end.is_none_or(|l| l.ends_with(';')) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|l| **l == close).map_or(0, |n| n + 1);
        if length > LONGEST_FUNCTION {
            found.push(format!("line {}: function of {length} lines", start + 1));
        }
    }
    found
}

fn sources() -> Vec<PathBuf> {
    walk(Path::new(ROOT), &|p| p.extension().is_some_and(|e| e == "rs" || e == "wgsl"))
}

fn manifests() -> Vec<PathBuf> {
    let all = walk(Path::new(ROOT), &|p| p.file_name().is_some_and(|n| n == "Cargo.toml"));
    all.into_iter().filter(|p| p.parent() != Some(Path::new(ROOT))).collect()
}

fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(walk(&path, wanted));
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(ROOT).unwrap_or(path).display().to_string()
}
