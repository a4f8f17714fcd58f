//! Texts from the command line or from stdin, read and tokenised on a thread of their own.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread,
};

use edge_net::local::{Tokeniser, Tokens};

/// Where texts come from.
pub(crate) enum Source {
    /// The command line.
    Texts(Vec<String>),
    /// The lines of stdin.
    Lines,
    /// stdin, one JSON string a line.
    JsonLines,
}

/// A text on its way to the device.
pub(crate) struct Item {
    /// The text or its first [`PREVIEW_BYTES`]; empty where nobody shows it.
    pub(crate) preview: String,
    pub(crate) tokens: Tokens,
}

/// Texts as they come in.
pub(crate) struct Input {
    items: Receiver<Result<Item, String>>,
    ahead: Arc<Ahead>,
    /// What ended the input before its end.
    failure: Option<String>,
}

/// How much of a text is kept to be shown.
#[derive(Clone, Copy)]
pub(crate) enum Keep {
    Nothing,
    Preview,
    All,
}

impl Input {
    /// Starts reading. The thread is left behind when the input is dropped: it may wait for stdin for ever.
    pub(crate) fn start(source: Source, tokeniser: Tokeniser, keep: Keep) -> Self {
        let (sender, items) = mpsc::sync_channel(QUEUE);
        let ahead = Arc::new(Ahead::default());
        let budget = ahead.clone();
        thread::spawn(move || {
            let send = |text: &str| {
                let tokens = tokeniser.encode(text);
                let preview = keep.of(text);
                budget.take(preview.len());
                sender.send(Ok(Item { preview, tokens })).is_ok()
            };
            let read = match source {
                Source::Texts(texts) => {
                    texts.iter().all(|text| send(text));
                    Ok(())
                }
                Source::Lines => each_line(io::stdin().lock(), |line| Ok(send(line))),
                Source::JsonLines => each_line(io::stdin().lock(), |line| {
                    let text: String = serde_json::from_str(line).map_err(|e| json_error(line, &e))?;
                    Ok(send(&text))
                }),
            };
            report(&sender, read);
        });
        Input { items, ahead, failure: None }
    }

    /// The next texts, about `tokens` tokens and [`BATCH_BYTES`] of them, but never waiting for more once there is
    /// one. Empty at the end only.
    pub(crate) fn next(&mut self, tokens: usize) -> Vec<Item> {
        let mut batch = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while self.failure.is_none() && (batch.is_empty() || (count < tokens && bytes < BATCH_BYTES)) {
            let received = if batch.is_empty() {
                self.items.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.items.try_recv()
            };
            match received {
                Ok(Ok(item)) => {
                    count += item.tokens.ids.len();
                    bytes += item.preview.len();
                    self.ahead.give(item.preview.len());
                    batch.push(item);
                }
                Ok(Err(failure)) => self.failure = Some(failure),
                Err(_) => break,
            }
        }
        batch
    }

    /// Why the input ended, if not because it was over.
    pub(crate) fn failure(self) -> Option<String> {
        self.failure
    }
}

/// Bytes of text that wait between the reader and the device: lines can be long, and the queue counts items.
#[derive(Default)]
struct Ahead {
    bytes: Mutex<usize>,
    given: Condvar,
}

impl Ahead {
    /// Waits until there is room. A text larger than all the room waits for all of it.
    fn take(&self, bytes: usize) {
        let held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |held: &mut usize| *held > 0 && *held + bytes > BATCH_BYTES;
        let mut held = self.given.wait_while(held, full).unwrap_or_else(PoisonError::into_inner);
        *held += bytes;
    }

    fn give(&self, bytes: usize) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.given.notify_one();
    }
}

impl Keep {
    fn of(self, text: &str) -> String {
        match self {
            Keep::Nothing => String::new(),
            Keep::All => text.to_owned(),
            Keep::Preview => {
                let end = (0..=PREVIEW_BYTES.min(text.len())).rev().find(|&i| text.is_char_boundary(i));
                text[..end.unwrap_or(0)].to_owned()
            }
        }
    }
}

/// Calls `take` for every line without its end until it says no. An error names the line, counted from 1.
fn each_line(input: impl Read, mut take: impl FnMut(&str) -> Result<bool, String>) -> Result<(), String> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let at = |problem: &str| format!("line {number}: {problem}");
        let read = (&mut input).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line);
        if read.map_err(|e| at(&e.to_string()))? == 0 {
            break;
        }
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(at(&format!("longer than {MAX_LINE_BYTES} bytes")));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = text.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(text);
        let text = str::from_utf8(text)
            .map_err(|e| at(&format!("invalid UTF-8 at byte {}", e.valid_up_to() + 1)))?;
        if !take(text).map_err(|problem| at(&problem))? {
            break;
        }
    }
    Ok(())
}

fn json_error(line: &str, error: &serde_json::Error) -> String {
    if line.trim().is_empty() {
        return "empty, expected a JSON string".into();
    }
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text);
    format!("not a JSON string: {problem} at byte {}", error.column())
}

fn report(sender: &SyncSender<Result<Item, String>>, read: Result<(), String>) {
    if let Err(failure) = read {
        // Whoever dropped the input does not want to know.
        drop(sender.send(Err(failure)));
    }
}

/// Longest line of stdin: the model reads its first few hundred words at most.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Some editors begin a file with it; it is no part of its first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Enough of a text for a column of a table.
const PREVIEW_BYTES: usize = 160;
/// Texts read ahead of the device.
const QUEUE: usize = 1024;
/// Bytes of text kept for printing in one batch, and read ahead of it, unless a single text has more.
const BATCH_BYTES: usize = 4 << 20;
