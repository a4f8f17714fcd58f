//! Texts from the command line or from stdin, read and tokenised on a thread of their own.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{self, Receiver, SyncSender, TryRecvError},
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
        thread::spawn(move || {
            let send = |text: &str| {
                let tokens = tokeniser.encode(text);
                sender.send(Ok(Item { preview: keep.of(text), tokens })).is_ok()
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
        Input { items, failure: None }
    }

    /// The next texts, about `tokens` of them, but never waiting for more once there is one. Empty at the end.
    pub(crate) fn next(&mut self, tokens: usize) -> Vec<Item> {
        let mut batch = Vec::new();
        let mut count = 0;
        while self.failure.is_none() && count < tokens {
            let received = if batch.is_empty() {
                self.items.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.items.try_recv()
            };
            match received {
                Ok(Ok(item)) => {
                    count += item.tokens.ids.len();
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
/// Enough of a text for a column of a table.
const PREVIEW_BYTES: usize = 160;
/// Texts read ahead of the device.
const QUEUE: usize = 1024;
