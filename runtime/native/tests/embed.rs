//! What `edge-net embed` promises, on a small generated model.

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    num::NonZeroUsize,
    process::Stdio,
};

use common::{Sandbox, hex, run};
use edge_net::{
    Device,
    local::{Embedder, Options},
    model::Store,
};
use serde_json::Value;

#[test]
fn texts_give_a_short_table() {
    let said = run(Sandbox::new("table").tiny().args(["embed", "hello world", "the cat"]), b"").expect(0);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("text") && lines[0].contains("tokens"), "{}", said.out);
    assert!(lines[1].starts_with("hello world") && lines[1].contains(" 4 "), "{}", said.out);
    assert!(lines[2].starts_with("the cat"), "{}", said.out);
    let last = lines.last().unwrap();
    assert!(last.contains("2 texts, 8 tokens, cpu (") && last.ends_with(" ms"), "{last}");
}

#[test]
fn lines_of_stdin_are_texts() {
    let sandbox = Sandbox::new("lines");
    let said = run(sandbox.tiny().args(["embed", "--json"]), b"hello\r\n\nthe cat").expect(0);
    let rows = said.json()["embeddings"].clone();
    let texts: Vec<&str> = rows.as_array().unwrap().iter().map(|r| r["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["hello", "", "the cat"]);
    assert_eq!(rows[1]["tokens"], 2);
    run(sandbox.tiny().args(["embed"]), b"").expect(0);
}

#[test]
fn json_holds_whole_exact_vectors_and_the_cosines() {
    let texts = ["hello", "world", "hello"];
    let said = run(Sandbox::new("json").tiny().args(["embed", "--json", "--similarity"]).args(texts), b"");
    let json = said.expect(0).json();
    assert_eq!(json["model"], "minilm");
    assert_eq!(json["dimensions"], 32);
    let rows = json["embeddings"].as_array().unwrap();
    for row in rows {
        assert_eq!(digest_of(row), row["digest"].as_str().unwrap());
    }
    assert_eq!(rows[0]["digest"], rows[2]["digest"]);
    assert_ne!(rows[0]["digest"], rows[1]["digest"]);
    let cosine = |i: usize, j: usize| json["similarity"][i][j].as_f64().unwrap();
    assert_eq!((cosine(0, 0), cosine(0, 2)), (1.0, 1.0));
    assert_eq!(cosine(0, 1), cosine(1, 0));
    assert!(cosine(0, 1) < 1.0);
}

#[test]
fn jsonl_streams_objects_in_order() {
    let sandbox = Sandbox::new("jsonl");
    let words = ["hello", "the cat", "", "\\u0041\\n\\\"b\\\"", "zebra"];
    let many: String = (0..500).map(|i| format!("\"{} {i}\"\n", words[i % words.len()])).collect();
    let said = run(sandbox.tiny().args(["embed", "--jsonl"]), many.as_bytes()).expect(0);
    let rows = said.lines();
    assert_eq!(rows.len(), 500);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], i);
        assert_eq!(digest_of(row), row["digest"].as_str().unwrap());
        let mut keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["digest", "embedding", "index", "tokens", "truncated"]);
    }
    // Batches, threads and levels leave no trace in the result.
    for settings in [["--batch-tokens", "7"], ["--threads", "1"], ["--level", "scalar"], ["--device", "cpu"]]
    {
        let other = run(sandbox.tiny().args(["embed", "--jsonl"]).args(settings), many.as_bytes()).expect(0);
        assert_eq!(other.out, said.out, "{settings:?}");
    }
}

#[test]
fn a_long_text_is_truncated_and_says_so() {
    let text = format!("\"{}\"\n", "cat ".repeat(5000));
    let said = run(Sandbox::new("long").tiny().args(["embed", "--jsonl"]), text.as_bytes()).expect(0);
    let row = &said.lines()[0];
    assert_eq!((row["tokens"].as_u64(), row["truncated"].as_bool()), (Some(256), Some(true)));
}

#[test]
fn one_line_is_answered_before_the_next_is_sent() {
    let sandbox = Sandbox::new("interactive");
    let mut command = sandbox.tiny();
    let command = command.args(["embed", "--jsonl"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    for (i, word) in ["hello", "world", "cat"].iter().enumerate() {
        writeln!(stdin, "\"{word}\"").unwrap();
        let row: Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
        assert_eq!(row["index"], i);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn bad_input_names_its_line_and_loses_none_before_it() {
    let sandbox = Sandbox::new("bad");
    let cases: [(&[u8], &str); 6] = [
        (b"\"hello\"\nhello\n\"cat\"\n", "line 2: not a JSON string: "),
        (b"\"hello\"\n{\"a\":1}\n", "line 2: not a JSON string: "),
        (b"\"hello\"\n\"cat\n", "line 2: not a JSON string: "),
        (b"\"hello\"\n\n\"cat\"\n", "line 2: empty, expected a JSON string"),
        (b"\"hello\"\n\"a\xffb\"\n", "line 2: invalid UTF-8 at byte 3"),
        (b"\"hello\"\n\"\\ud800\"\n", "line 2: not a JSON string: "),
    ];
    for (input, message) in cases {
        let said = run(sandbox.tiny().args(["embed", "--jsonl"]), input).expect(1).says(&[message]);
        assert_eq!(said.lines().len(), 1, "{message}");
    }
    let many = [b"\"hello\"\n".repeat(3000), b"oops\n".to_vec()].concat();
    let said = run(sandbox.tiny().args(["embed", "--jsonl"]), &many).expect(1).says(&["line 3001: "]);
    assert_eq!(said.lines().len(), 3000);

    let said =
        run(sandbox.tiny().args(["embed"]), b"hello\n\xff\n").expect(1).says(&["line 2: invalid UTF-8"]);
    assert!(said.out.contains("hello"), "{}", said.out);
    let said = run(sandbox.tiny().args(["embed", "--json"]), b"hello\n\xff\n").expect(1);
    assert_eq!(said.json()["embeddings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let huge = vec![b'a'; (16 << 20) + 2];
    let said = run(Sandbox::new("huge").tiny().args(["embed"]), &huge).expect(1);
    said.says(&["line 1: longer than 16777216 bytes"]);
}

#[test]
fn wrong_usage_exits_with_2_and_names_what_is_wrong() {
    let sandbox = Sandbox::new("usage");
    let cases: [(&[&str], &[&str]); 8] = [
        (&["embed", "x", "--device", "tpu"], &["tpu", "auto, gpu, cpu"]),
        (&["embed", "x", "--model", "gpt"], &["unknown model \"gpt\"", "minilm", "bge-small"]),
        (&["embed", "x", "--threads", "0"], &["--threads"]),
        (&["embed", "x", "--level", "sse9"], &["sse9", "scalar"]),
        (&["embed", "x", "--jsonl"], &["--jsonl"]),
        (&["embed", "--wrong"], &["--wrong"]),
        (&["model", "quantize", "minilm", "--recipe", "r"], &["--out"]),
        (&["sing"], &["sing"]),
    ];
    for (args, parts) in cases {
        let said = run(sandbox.edge_net().args(args), b"").expect(2).says(parts);
        assert_eq!(said.out, "", "{args:?}");
    }
    run(sandbox.edge_net().env("EDGENET_LEVEL", "sse9").args(["embed", "x"]), b"").expect(2).says(&["sse9"]);
    run(sandbox.edge_net().env("EDGENET_DEVICE", "tpu").args(["embed", "x"]), b"").expect(2).says(&["tpu"]);
}

#[test]
fn flags_win_over_variables() {
    let sandbox = Sandbox::new("precedence");
    let mut command = sandbox.tiny();
    let said = run(command.env("EDGENET_LEVEL", "portable").args(["embed", "cat"]), b"").expect(0);
    assert!(said.out.contains("cpu (portable)"), "{}", said.out);
    let mut command = sandbox.tiny();
    let command = command.env("EDGENET_LEVEL", "portable").env("EDGENET_DEVICE", "tpu");
    let said = run(command.args(["embed", "cat", "--level", "scalar", "--device", "cpu"]), b"").expect(0);
    assert!(said.out.contains("cpu (scalar)"), "{}", said.out);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new("pipe");
    let mut command = sandbox.tiny();
    let command = command.args(["embed", "--jsonl", "--quiet"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    // Endless input: only the closed output can end the command.
    let feed = std::thread::spawn(move || while stdin.write_all(b"\"hello world\"\n").is_ok() {});
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn quiet_says_nothing_and_data_stays_on_stdout() {
    let sandbox = Sandbox::new("quiet");
    let said = run(sandbox.tiny().args(["embed", "--jsonl", "--quiet"]), b"\"cat\"\n").expect(0);
    assert_eq!((said.err.as_str(), said.lines().len()), ("", 1));
    let said = run(sandbox.tiny().args(["embed", "--jsonl", "--verbose", "--device", "auto"]), b"\"cat\"\n");
    assert_eq!(said.expect(0).lines().len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    let sandbox = Sandbox::new("memory");
    let mut command = sandbox.tiny();
    let command = command.args(["embed", "--jsonl"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let feed = std::thread::spawn(move || {
        let line = format!("\"{}\"\n", "cat ".repeat(1 << 18));
        (0..400).for_each(|_| stdin.write_all(line.as_bytes()).unwrap());
        stdin
    });
    assert_eq!(stdout.lines().take(400).count(), 400);
    // The command waits for more: its peak is behind it.
    let peak_kb = peak_kb(&child);
    assert!(peak_kb < 200_000, "400 MB of input took {peak_kb} kB");
    drop(feed.join().unwrap());
    assert!(child.wait().unwrap().success());
}

/// `--json` prints the texts themselves: what waits between reader and printer is bounded by bytes.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_length_of_lines() {
    let sandbox = Sandbox::new("long-lines");
    let mut child = sandbox
        .tiny()
        .args(["embed", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let feed = std::thread::spawn(move || {
        let line = format!("{}\n", "cat ".repeat(1 << 21));
        (0..60).for_each(|_| stdin.write_all(line.as_bytes()).unwrap());
        stdin
    });
    let mut row = Vec::new();
    for _ in 0..60 {
        row.clear();
        assert!(stdout.read_until(b'\n', &mut row).unwrap() > 0);
    }
    let peak_kb = peak_kb(&child);
    assert!(peak_kb < 200_000, "60 lines of 8 MB took {peak_kb} kB");
    drop(feed.join().unwrap());
    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn no_batch_size_loses_texts() {
    for size in ["1", "2305843009213693952", "18446744073709551615"] {
        let sandbox = Sandbox::new("batch-size");
        let said = run(sandbox.tiny().args(["embed", "--batch-tokens", size, "a", "b", "c"]), b"").expect(0);
        assert!(said.out.contains("3 texts"), "{size}: {}", said.out);
    }
}

#[test]
fn too_many_texts_for_a_matrix_still_give_their_vectors() {
    let lines: String = (0..2100).map(|i| format!("cat {i}\n")).collect();
    let sandbox = Sandbox::new("matrix");
    let said = run(sandbox.tiny().args(["embed", "--json", "--similarity"]), lines.as_bytes()).expect(1);
    assert!(said.err.contains("--similarity takes at most 2048 texts"), "{}", said.err);
    let json = said.json();
    assert!(json["similarity"].is_null());
    let rows = json["embeddings"].as_array().unwrap().len();
    assert!(rows > 2048 && json["texts"] == rows, "{rows} rows, texts {}", json["texts"]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let sandbox = Sandbox::new("mark");
    let marked =
        run(sandbox.tiny().args(["embed", "--jsonl"]), "\u{feff}\"cat\"\n\"cat\"\n".as_bytes()).expect(0);
    let lines: Vec<&str> = marked.out.lines().collect();
    assert_eq!(lines[0].split("embedding").nth(1), lines[1].split("embedding").nth(1));
}

#[test]
fn what_a_message_quotes_does_not_steer_the_terminal() {
    let sandbox = Sandbox::new("steer");
    let said = run(sandbox.tiny().args(["embed", "--model", "\u{1b}[31m\u{202e}x", "a"]), b"");
    assert!(!said.err.contains('\u{1b}') && !said.err.contains('\u{202e}'), "{:?}", said.err);
    assert!(said.err.contains("u{1b}"), "{:?}", said.err);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_by_the_signal() {
    use std::os::unix::process::ExitStatusExt;
    let sandbox = Sandbox::new("interrupt");
    let mut command = sandbox.tiny();
    let mut child = command.args(["embed"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    // A shell shows this as 130.
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}

#[test]
fn the_library_gives_what_the_command_gives() {
    let sandbox = Sandbox::new("library");
    let store = Store::from_env().unwrap().with_model_dir(sandbox.tiny_dir()).with_cache(sandbox.cache());
    let texts: Vec<String> = (0..700).map(|i| format!("the cat {}", "hello ".repeat(i % 23))).collect();
    let open = |threads, batch_tokens| {
        let threads = NonZeroUsize::new(threads).unwrap();
        let batch_tokens = NonZeroUsize::new(batch_tokens);
        let options = Options { device: Device::Cpu, threads, batch_tokens, ..Options::default() };
        Embedder::open_with(&options, &store, &mut ()).unwrap()
    };
    let embeddings = open(2, 0).embed(&texts).unwrap();
    assert_eq!(embeddings.len(), 700);
    for (threads, batch_tokens) in [(1, 0), (3, 5), (2, 1000)] {
        assert!(open(threads, batch_tokens).embed(&texts).unwrap() == embeddings, "{threads} {batch_tokens}");
    }
    assert_eq!(open(2, 0).embed::<&str>(&[]).unwrap(), []);
    let one = open(1, 0).embed(&texts[13..14]).unwrap().remove(0);
    assert_eq!(one, embeddings[13]);
    let said = run(sandbox.tiny().args(["embed", "--json", &texts[13]]), b"").expect(0).json();
    let digest: String = one.digest().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(said["embeddings"][0]["digest"], digest);
    let values: Vec<f32> = serde_json::from_value(said["embeddings"][0]["embedding"].clone()).unwrap();
    assert_eq!(values, one.to_f32());
}

/// The digest that the printed values themselves give: they are exact.
/// Most resident memory a running child ever had.
#[cfg(target_os = "linux")]
fn peak_kb(child: &std::process::Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

fn digest_of(row: &Value) -> String {
    let values = row["embedding"].as_array().unwrap().iter();
    let bytes = values.flat_map(|v| {
        let scaled = v.as_f64().unwrap() * 32768.0;
        assert_eq!(scaled.fract(), 0.0);
        (scaled as i16).to_le_bytes()
    });
    hex(&bytes.collect::<Vec<u8>>())
}
