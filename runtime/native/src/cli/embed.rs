//! `edge-net embed`.

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
    time::Instant,
};

use edge_net::{
    local::{Embedder, Embedding},
    model::Store,
};

use super::{
    args::Embed,
    failure::Failure,
    format::{Format, Printer, Row, Summary},
    input::{Input, Keep, Source},
    selftest::ABSENT,
    terminal::Terminal,
};

/// Embeds what the arguments name. Reading, running and printing overlap; results leave in the order of the texts.
pub(crate) fn run(args: &Embed, terminal: &mut Terminal) -> Result<(), Failure> {
    let source = source(args)?;
    let manifest = Store::manifest(&args.run.model)?;
    let store = Store::from_env()?;
    let options = args.run.options(args.batch_tokens);
    let embedder = Embedder::open_with(&options, &store, terminal)?;
    let dimensions = embedder.bert().config().hidden_size;
    let (format, keep) = match (args.jsonl, args.json) {
        (true, _) => (Format::JsonLines, Keep::Nothing),
        (_, true) => (Format::Json { model: manifest.name, dimensions }, Keep::All),
        _ => (Format::Table, Keep::Preview),
    };
    let input = Input::start(source, embedder.tokeniser(), keep);
    let (sender, receiver) = mpsc::sync_channel(PRINT_QUEUE);
    let printer = thread::spawn(move || print(format, &receiver));
    let session = Session { embedder, input, similarity: args.similarity, shown: 0, vectors: Vec::new() };
    let ran = session.run(&sender, terminal);
    drop(sender);
    let printed = printer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    printed.map_err(Failure::output)?;
    ran
}

struct Session {
    embedder: Embedder,
    input: Input,
    similarity: bool,
    /// Fallbacks the user was told of.
    shown: usize,
    /// Kept only where every two are to be compared.
    vectors: Vec<Embedding>,
}

enum Print {
    Rows(Vec<Row>),
    End(Summary),
}

impl Session {
    /// What was computed before a failure is printed, and the document closed, before the failure is returned.
    fn run(mut self, printer: &SyncSender<Print>, terminal: &mut Terminal) -> Result<(), Failure> {
        for fallback in self.embedder.status().fallbacks {
            self.shown += 1;
            let text = format!("not used: {fallback}");
            match ABSENT.contains(&fallback.code) {
                true => terminal.detail(&text),
                false => terminal.warn(&text),
            }
        }
        let (mut texts, mut tokens, mut ms) = (0, 0, 0.0);
        let mut failure = None;
        loop {
            let items = self.input.next(self.embedder.capacity());
            if items.is_empty() {
                break;
            }
            let started = Instant::now();
            let (previews, batch): (Vec<_>, Vec<_>) =
                items.into_iter().map(|i| (i.preview, i.tokens)).unzip();
            let done = self.embedder.run(&batch);
            ms += started.elapsed().as_secs_f64() * 1e3;
            self.tell_fallbacks(terminal);
            let embeddings = match done {
                Ok(embeddings) => embeddings,
                Err(e) => {
                    failure = Some(e.into());
                    break;
                }
            };
            if self.similarity && self.vectors.len() + embeddings.len() > MAX_SIMILARITY {
                // The vectors are still worth having; a matrix of some of them is not.
                self.similarity = false;
                failure = Some(Failure::Failed(format!("--similarity takes at most {MAX_SIMILARITY} texts")));
            }
            if self.similarity {
                self.vectors.extend(embeddings.iter().cloned());
            }
            let row = |(embedding, preview): (Embedding, String)| {
                let index = texts;
                texts += 1;
                tokens += embedding.tokens as u64;
                Row { index, preview, embedding }
            };
            let rows = embeddings.into_iter().zip(previews).map(row).collect();
            if printer.send(Print::Rows(rows)).is_err() {
                return Ok(());
            }
            if failure.is_some() {
                break;
            }
        }
        let similarity = self.similarity.then(|| cosines(&self.vectors));
        let backend = self.embedder.status().backend.to_string();
        // A printer that is gone reports by itself.
        drop(printer.send(Print::End(Summary { texts, tokens, backend, ms, similarity })));
        failure.or(self.input.failure().map(Failure::Failed)).map_or(Ok(()), Err)
    }

    /// A device that is lost on the way is always told of.
    fn tell_fallbacks(&mut self, terminal: &mut Terminal) {
        let fallbacks = self.embedder.status().fallbacks;
        for fallback in &fallbacks[self.shown.min(fallbacks.len())..] {
            terminal.warn(&format!("left for the next device: {fallback}"));
        }
        self.shown = fallbacks.len();
    }
}

fn source(args: &Embed) -> Result<Source, Failure> {
    if args.jsonl {
        return Ok(Source::JsonLines);
    }
    if !args.texts.is_empty() {
        return Ok(Source::Texts(args.texts.clone()));
    }
    if io::stdin().is_terminal() {
        let usage = "no text: give texts, pipe lines in, or use --jsonl; see edge-net embed --help";
        return Err(Failure::Usage(usage.into()));
    }
    Ok(Source::Lines)
}

fn print(format: Format, parts: &Receiver<Print>) -> io::Result<()> {
    let mut printer = Printer::new(format, io::stdout().lock());
    for part in parts {
        match part {
            Print::Rows(rows) => printer.rows(&rows)?,
            Print::End(summary) => printer.end(&summary)?,
        }
    }
    Ok(())
}

/// Cosines of every two vectors, row-major. Sums of products of i16 are exact; only the last division rounds.
fn cosines(vectors: &[Embedding]) -> Vec<f64> {
    let dot = |a: &Embedding, b: &Embedding| -> i64 {
        a.vector.iter().zip(&b.vector).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
    };
    let squares: Vec<f64> = vectors.iter().map(|v| dot(v, v) as f64).collect();
    let cosine = |(i, j): (usize, usize)| match squares[i] * squares[j] {
        0.0 => 0.0,
        product => dot(&vectors[i], &vectors[j]) as f64 / product.sqrt(),
    };
    let n = vectors.len();
    (0..n * n).map(|at| cosine((at / n, at % n))).collect()
}

/// Batches computed ahead of the output.
const PRINT_QUEUE: usize = 1;
/// Vectors and matrix stay below 100 MB.
const MAX_SIMILARITY: usize = 2048;
