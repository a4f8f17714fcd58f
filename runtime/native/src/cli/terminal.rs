//! stderr: notes, errors and progress.

use std::io::{self, IsTerminal, Write};

use edge_net::model::{Observer, Unit, Work};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes to stderr; draws progress bars where a person looks on.
pub(crate) struct Terminal {
    quiet: bool,
    verbose: bool,
    bar: Option<(String, ProgressBar)>,
}

impl Terminal {
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Terminal { quiet, verbose, bar: None }
    }

    /// Another of the same settings, for what outlives a borrow of this one.
    pub(crate) fn another(&self) -> Self {
        Terminal::new(self.quiet, self.verbose)
    }

    /// Why the command failed; shown always.
    pub(crate) fn error(&mut self, text: &str) {
        self.line(&format!("error: {text}"));
    }

    /// What the user must know although the work goes on.
    pub(crate) fn warn(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// What only the curious want to know.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbose {
            self.line(text);
        }
    }

    /// A failure to write to stderr has nowhere to be told.
    fn line(&mut self, text: &str) {
        self.clear();
        drop(writeln!(io::stderr(), "{}", printable(text)));
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What a message quotes may come from a file or a peer: what would steer the terminal is escaped, what would
/// flood it is cut.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(MAX_MESSAGE_CHARS) {
        match c {
            '\n' => out.push(c),
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    if text.chars().nth(MAX_MESSAGE_CHARS).is_some() {
        out.push('…');
    }
    out
}

/// Whether a character moves the cursor, changes colours or reorders what is around it.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

const MAX_MESSAGE_CHARS: usize = 2000;

impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Observer for Terminal {
    fn note(&mut self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    fn progress(&mut self, work: Work<'_>) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        if self.bar.as_ref().is_none_or(|(step, _)| step != work.step) {
            self.clear();
            let bar = ProgressBar::with_draw_target(work.total, ProgressDrawTarget::stderr());
            let template = match (work.unit, work.total) {
                (Unit::Bytes, Some(_)) => "{msg} [{bar:40}] {bytes}/{total_bytes} {eta}",
                (Unit::Bytes, None) => "{spinner} {msg} {bytes}",
                (Unit::Steps, _) => "{msg} [{bar:40}] {pos}/{len}",
            };
            bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
            bar.set_message(work.step.to_owned());
            self.bar = Some((work.step.to_owned(), bar));
        }
        let Some((_, bar)) = &self.bar else { return };
        bar.set_position(work.done);
        if work.total.is_some_and(|total| work.done >= total) {
            self.clear();
        }
    }
}
