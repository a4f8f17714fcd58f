//! How vectors are printed.

use std::io::{self, Write};

use edge_net::local::Embedding;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::terminal::steers;

/// One result.
pub(crate) struct Row {
    pub(crate) index: u64,
    /// The text, as much of it as was kept.
    pub(crate) preview: String,
    pub(crate) embedding: Embedding,
}

/// What is known when all rows are out.
pub(crate) struct Summary {
    pub(crate) texts: u64,
    pub(crate) tokens: u64,
    pub(crate) backend: String,
    pub(crate) ms: f64,
    /// Row-major cosines of every two texts, if they were asked for.
    pub(crate) similarity: Option<Vec<f64>>,
}

/// The form of the output.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One document.
    Json { model: &'static str, dimensions: usize },
    /// One object a line.
    JsonLines,
}

/// Writes results as they come.
pub(crate) struct Printer<W: Write> {
    format: Format,
    out: W,
    text: String,
    rows: u64,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(format: Format, out: W) -> Self {
        Printer { format, out, text: String::new(), rows: 0 }
    }

    /// Prints rows and flushes them.
    pub(crate) fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        for row in rows {
            if self.rows == 0 {
                self.begin();
            }
            match self.format {
                Format::Table => self.table_row(row),
                Format::Json { .. } => {
                    self.text += if self.rows == 0 { "\n" } else { ",\n" };
                    self.object(row, true);
                }
                Format::JsonLines => {
                    self.object(row, false);
                    self.text.push('\n');
                }
            }
            self.rows += 1;
            if self.text.len() > 1 << 16 {
                self.write()?;
            }
        }
        self.write()?;
        self.out.flush()
    }

    /// Prints what comes after the rows.
    pub(crate) fn end(&mut self, summary: &Summary) -> io::Result<()> {
        if self.rows == 0 {
            self.begin();
        }
        match self.format {
            Format::Table => self.table_end(summary),
            Format::Json { .. } => self.json_end(summary),
            Format::JsonLines => {}
        }
        self.write()?;
        self.out.flush()
    }

    fn begin(&mut self) {
        match self.format {
            Format::Table => {
                self.text += &format!("{:TEXT_WIDTH$}  {:>6}  first of the vector\n", "text", "tokens");
            }
            Format::Json { model, dimensions } => {
                self.text += &format!("{{\"model\":\"{model}\",\"dimensions\":{dimensions},\"embeddings\":[");
            }
            Format::JsonLines => {}
        }
    }

    fn table_row(&mut self, row: &Row) {
        let e = &row.embedding;
        let mark = if e.truncated { "+" } else { "" };
        self.text += &column(&row.preview, TEXT_WIDTH);
        self.text += &format!("  {:>6} ", format!("{}{mark}", e.tokens));
        for &v in e.vector.iter().take(FIRST_VALUES) {
            self.text += &format!(" {:>8.5}", f64::from(v) / 32768.0);
        }
        self.text += " …\n";
    }

    fn table_end(&mut self, summary: &Summary) {
        let Summary { texts, tokens, backend, ms, similarity } = summary;
        if let Some(matrix) = similarity.as_ref().filter(|m| !m.is_empty()) {
            self.text += "\ncosine\n";
            for row in matrix.chunks(*texts as usize) {
                let cells: Vec<String> = row.iter().map(|c| format!("{c:>8.5}")).collect();
                self.text += &format!("{}\n", cells.join(" "));
            }
        }
        let s = if *texts == 1 { "" } else { "s" };
        self.text += &format!("\n{texts} text{s}, {tokens} tokens, {backend}, {ms:.1} ms\n");
    }

    fn json_end(&mut self, summary: &Summary) {
        let Summary { texts, tokens, backend, ms, similarity } = summary;
        self.text += &format!("\n],\"texts\":{texts},\"tokens\":{tokens},\"backend\":{}", quoted(backend));
        if let Some(matrix) = similarity {
            let rows = matrix.chunks((*texts as usize).max(1));
            let rows: Vec<String> = rows.map(|r| format!("{r:?}")).collect();
            self.text += &format!(",\"similarity\":[{}]", rows.join(","));
        }
        self.text += &format!(",\"ms\":{ms:.3}}}\n");
    }

    fn object(&mut self, row: &Row, with_text: bool) {
        let e = &row.embedding;
        let out = &mut self.text;
        *out += &format!("{{\"index\":{}", row.index);
        if with_text {
            *out += &format!(",\"text\":{}", quoted(&row.preview));
        }
        *out += &format!(",\"tokens\":{},\"truncated\":{},\"embedding\":[", e.tokens, e.truncated);
        for (i, &v) in e.vector.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_q15(out, v);
        }
        *out += "],\"digest\":\"";
        for byte in e.digest() {
            *out += HEX[usize::from(byte >> 4)];
            *out += HEX[usize::from(byte & 15)];
        }
        *out += "\"}";
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

/// Appends `v / 32768` exactly: a fraction over 2^15 ends after at most 15 decimals, and no shorter decimal reads
/// back as the same f64.
fn push_q15(out: &mut String, v: i16) {
    let magnitude = u64::from(v.unsigned_abs());
    if v < 0 {
        out.push('-');
    }
    out.push(if magnitude >> 15 == 0 { '0' } else { '1' });
    out.push('.');
    let mut rest = (magnitude & 0x7fff) * DECIMALS_OF_ONE;
    let mut place = 10u64.pow(14);
    loop {
        out.push(char::from(b'0' + (rest / place) as u8));
        rest %= place;
        if rest == 0 {
            break;
        }
        place /= 10;
    }
}

/// The first line of a text, cut or padded to a width in terminal cells; control characters do not reach the terminal.
fn column(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    if clean.width() <= width {
        return format!("{clean}{}", " ".repeat(width - clean.width()));
    }
    let (mut cut, mut used) = (String::new(), 0);
    for c in clean.chars() {
        used += c.width().unwrap_or(0);
        if used > width - 1 {
            break;
        }
        cut.push(c);
    }
    let padding = " ".repeat(width.saturating_sub(cut.width() + 1));
    format!("{cut}…{padding}")
}

/// A text on a line of its own: nothing in it steers the terminal, and what is long is cut.
pub(crate) fn one_line(text: &str) -> String {
    column(text, LINE_WIDTH).trim_end().to_owned()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

const TEXT_WIDTH: usize = 36;
const LINE_WIDTH: usize = 100;
const FIRST_VALUES: usize = 4;
const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
/// 10^15 / 2^15.
const DECIMALS_OF_ONE: u64 = 30_517_578_125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_printed_exactly_and_as_short_as_it_goes() {
        for v in i16::MIN..=i16::MAX {
            let (mut text, value) = (String::new(), f64::from(v) / 32768.0);
            push_q15(&mut text, v);
            assert_eq!(text.parse(), Ok(value));
            assert_eq!(text.parse::<f32>().map(f64::from), Ok(value));
            let shortest = format!("{value:?}");
            let digits =
                |s: &str| s.split('e').next().map(|m| m.replace(['.', '-'], "").trim_matches('0').to_owned());
            assert_eq!(digits(&text), digits(&shortest), "{v}");
        }
    }

    #[test]
    fn a_column_is_as_wide_as_it_says() {
        for text in [
            "",
            "short",
            "中文字符中文字符中文字符中文字符中文字符中文字符",
            "a\nb\tc\u{1b}[31m",
            &"x".repeat(99),
        ] {
            assert_eq!(column(text, 36).width(), 36, "{text:?}");
        }
    }
}
