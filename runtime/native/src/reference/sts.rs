//! Pairs of sentences with human similarity scores: the files of the STS benchmark (Cer et al. 2017).

use thiserror::Error;

/// Two sentences and how alike people found them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair<'a> {
    /// 0 (unrelated) to 5 (the same).
    pub score: f64,
    /// The sentences.
    pub texts: [&'a str; 2],
}

/// A line that is no pair.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct StsError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads the lines of a file like `sts-dev.csv`. Despite the name its fields are separated by tabs and never quoted:
/// genre, file, year, number, score, sentence, sentence, and sometimes sources, which are ignored.
///
/// # Errors
/// Names the first line with fewer fields or without a score.
pub fn parse(text: &str) -> Result<Vec<Pair<'_>>, StsError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(index, line)| pair(line).map_err(|problem| StsError { line: index + 1, problem })).collect()
}

fn pair(line: &str) -> Result<Pair<'_>, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[_, _, _, _, score, a, b, ..] = fields.as_slice() else {
        return Err(format!("{} fields separated by tabs, wanted at least 7", fields.len()));
    };
    let parsed = score.trim().parse().ok().filter(|s: &f64| s.is_finite());
    let score = parsed.ok_or_else(|| format!("field 5 is {score:?}, wanted a score"))?;
    Ok(Pair { score, texts: [a, b] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_text_and_sources_are_ignored() {
        let file = "g\tf\t2014\t7\t4.2\ta \"U2\" sign\t\"go, he said\tx\ty\r\n\ng\tf\t2014\t8\t0\tb\t\n";
        let pairs = parse(file).unwrap();
        assert_eq!(pairs[0], Pair { score: 4.2, texts: ["a \"U2\" sign", "\"go, he said"] });
        assert_eq!(pairs[1], Pair { score: 0.0, texts: ["b", ""] });
        assert_eq!(pairs.len(), 2);
    }

    #[test]
    fn a_bad_line_is_named() {
        let short = parse("g\tf\t2014\t7\t4.2\ta\tb\n\na,b,c\n").unwrap_err();
        assert_eq!(
            short,
            StsError { line: 3, problem: "1 fields separated by tabs, wanted at least 7".into() }
        );
        for score in ["x", "", "inf", "NaN"] {
            let error = parse(&format!("g\tf\t2014\t7\t{score}\ta\tb")).unwrap_err();
            assert_eq!(error.to_string(), format!("line 1: field 5 is {score:?}, wanted a score"));
        }
    }
}
