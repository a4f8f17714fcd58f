//! Real sentences found on any machine that builds this project: the toolchain's documentation where it is
//! installed, then the comments of the crates it was built from.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::Error;

/// `count` different sentences in an order that only their text decides.
pub(crate) fn gather(count: usize) -> Result<Vec<String>, Error> {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    let mut take = |paragraph: &str| {
        for sentence in split(paragraph) {
            if found.len() < count && is_prose(sentence) && seen.insert(sentence.to_lowercase()) {
                found.push(sentence.to_owned());
            }
        }
        found.len() < count
    };
    let mut wanted = true;
    for file in files(&documentation(), "html") {
        wanted = wanted && read(&file).is_none_or(|text| paragraphs(&text).iter().all(|p| take(p)));
    }
    for file in files(&crates(), "rs") {
        wanted = wanted && read(&file).is_none_or(|text| comments(&text).iter().all(|p| take(p)));
    }
    if found.len() < count {
        let problem = format!("only {} of {count} sentences were found; install rust-docs", found.len());
        return Err(Error::engine("sentences", problem));
    }
    found.sort_by_cached_key(|sentence| Sha256::digest(sentence));
    Ok(found)
}

/// Where rustup puts the documentation of the toolchain.
fn documentation() -> PathBuf {
    let asked = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = asked.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    Path::new(&sysroot).join("share/doc/rust/html")
}

/// Where cargo unpacks crates.
fn crates() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    home.unwrap_or_default().join("registry/src")
}

/// Files with this ending below a folder, sorted; folders of listings and assets aside.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Of the documentation only prose is read: not the library's source, of which crates have enough.
        if path.is_dir() && !(ending == "html" && SKIPPED.contains(&name.as_ref())) {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) && name != "print.html" {
            found.push(path);
        }
    }
    found
}

/// The text of a file that is neither huge nor binary.
fn read(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > LARGEST_FILE {
        return None;
    }
    fs::read_to_string(path).ok()
}

/// The paragraphs and list items of a page, without their tags.
fn paragraphs(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (open, close) in [("<p>", "</p>"), ("<li>", "</li>")] {
        for part in html.split(open).skip(1) {
            found.extend(part.split(close).next().map(plain));
        }
    }
    found
}

/// Without tags, with entities resolved and spaces joined.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut tag = false;
    for c in html.chars() {
        match c {
            '<' => tag = true,
            '>' if tag => tag = false,
            c if !tag => text.push(c),
            _ => {}
        }
    }
    for (entity, c) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        text = text.replace(entity, c);
    }
    joined(&text)
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The paragraphs of a source file's documentation, code blocks aside.
fn comments(source: &str) -> Vec<String> {
    let (mut found, mut paragraph, mut code) = (Vec::new(), String::new(), false);
    for line in source.lines().map(str::trim_start) {
        let words = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim);
        let fence = words.is_some_and(|w| w.starts_with("```"));
        code = words.is_some() && (code != fence);
        match words {
            Some(words) if !words.is_empty() && !fence && !code => {
                paragraph.push(' ');
                paragraph.push_str(words);
            }
            _ => found.push(joined(&std::mem::take(&mut paragraph))),
        }
    }
    found.push(joined(&paragraph));
    found.retain(|p| !p.is_empty());
    found
}

/// Ends of sentences are full stops before a space and a capital.
fn split(paragraph: &str) -> impl Iterator<Item = &str> {
    let bytes = paragraph.as_bytes();
    let ends = (1..bytes.len().saturating_sub(1))
        .filter(|&i| bytes[i] == b' ' && b".!?".contains(&bytes[i - 1]) && bytes[i + 1].is_ascii_uppercase());
    let mut start = 0;
    ends.chain([bytes.len()]).map(move |end| {
        let sentence = &paragraph[start..end];
        start = (end + 1).min(paragraph.len());
        sentence
    })
}

/// Neither a scrap nor a page, and mostly letters.
fn is_prose(sentence: &str) -> bool {
    let letters = sentence.chars().filter(|c| c.is_alphabetic() || *c == ' ').count();
    let all = sentence.chars().count();
    (SHORTEST..=LONGEST).contains(&all) && 4 * letters >= 3 * all
}

const SKIPPED: [&str; 2] = ["src", "static.files"];
const LARGEST_FILE: u64 = 400_000;
/// In characters.
const SHORTEST: usize = 16;
const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_give_their_prose() {
        let html = "<h1>T</h1><p>Use <code>Vec&lt;T&gt;</code>\n here. It grows.</p><ul><li>An item &amp; more</li></ul>";
        assert_eq!(paragraphs(html), ["Use Vec<T> here. It grows.", "An item & more"]);
        let split: Vec<_> = split("Use e.g. this. It grows! Yes? no. ").collect();
        assert_eq!(split, ["Use e.g. this.", "It grows!", "Yes? no. "]);
    }

    #[test]
    fn sources_give_their_comments() {
        let source = "//! Module\n//! doc.\n\nfn a() {}\n/// One.\n///\n/// ```\n/// let code = 1;\n/// ```\n/// Two.\n// no";
        assert_eq!(comments(source), ["Module doc.", "One.", "Two."]);
    }

    #[test]
    fn prose_is_mostly_letters() {
        assert!(is_prose("A sentence of words."));
        assert!(!is_prose("too short"));
        assert!(!is_prose("0x00, 0x01, 0x02, 0x03, 0x04"));
        assert!(!is_prose(&"word ".repeat(100)));
    }
}
