//! A `.wast` file as a list of directives, each parsed by itself, so that one the parser does not know costs no other.

/// One directive: its line and its text.
pub(crate) struct Source<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
    /// What the results must be where the directive says so by its name, as scripts of version 1.0 do.
    pub(crate) nan: bool,
}

/// The top-level parenthesised expressions of a script.
pub(crate) fn directives(script: &str) -> Vec<Source<'_>> {
    let mut found = Vec::new();
    let (mut depth, mut start, mut line, mut start_line) = (0, 0, 1, 1);
    let mut bytes = script.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'"' => {
                while let Some((_, byte)) = bytes.next_if(|&(_, byte)| byte != b'"') {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
                bytes.next();
            }
            b';' if script[at..].starts_with(";;") => {
                while bytes.next_if(|&(_, byte)| byte != b'\n').is_some() {}
            }
            b'(' if script[at..].starts_with("(;") => {
                let mut comments = 1;
                bytes.next();
                while comments > 0 {
                    let Some((at, byte)) = bytes.next() else { break };
                    line += usize::from(byte == b'\n');
                    if script.as_bytes()[at..].starts_with(b"(;") {
                        comments += 1;
                        bytes.next();
                    } else if script.as_bytes()[at..].starts_with(b";)") {
                        comments -= 1;
                        bytes.next();
                    }
                }
            }
            b'(' => {
                if depth == 0 {
                    (start, start_line) = (at, line);
                }
                depth += 1;
            }
            b')' => {
                depth -= 1;
                if depth == 0 {
                    let text = &script[start..=at];
                    let nan = text.starts_with("(assert_return_canonical_nan")
                        || text.starts_with("(assert_return_arithmetic_nan");
                    found.push(Source { line: start_line, text, nan });
                }
            }
            _ => {}
        }
    }
    found
}

/// The text as the parser of later versions takes it.
pub(crate) fn modern(source: &Source<'_>) -> String {
    match source.nan {
        true => {
            let rest = source.text.split_once("_nan").expect("the directive's name").1;
            format!("(assert_return{rest}")
        }
        false => source.text.to_owned(),
    }
}
