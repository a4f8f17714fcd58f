use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::{
    common::{Said, Sandbox, run},
    json_lines, raw_f32, vectors,
};

const WIDTH: usize = 16;

fn search(sandbox: &Sandbox, action: &str, index: &Path) -> Command {
    let mut command = sandbox.edge_net();
    command.args(["search", action]).arg(index);
    command
}

/// Builds `name` of JSON lines.
fn built(sandbox: &Sandbox, name: &str, lines: &str, flags: &[&str]) -> Said {
    let file = sandbox.file(&format!("{name}.jsonl"), lines);
    let mut command = search(sandbox, "build", &sandbox.root.join(name));
    run(command.arg("--vectors").arg(file).args(flags), b"")
}

fn ids(results: &Value) -> Vec<Vec<u64>> {
    let list = |hits: &Value| {
        hits.as_array().unwrap().iter().map(|h| h["id"].as_u64().unwrap()).collect::<Vec<u64>>()
    };
    results["results"].as_array().unwrap().iter().map(list).collect()
}

/// The nearest by cosine, in f64.
fn nearest(table: &[Vec<f32>], query: &[f32], k: usize) -> Vec<u64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let score = |v: &Vec<f32>| dot(query, v) / dot(v, v).sqrt();
    let mut order: Vec<(f64, u64)> = table.iter().map(score).zip(0..).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    order.iter().take(k).map(|o| o.1).collect()
}

#[test]
fn every_form_of_vectors_builds_the_same_index() {
    let sandbox = Sandbox::new("search_forms");
    let table = vectors(200, WIDTH);
    let sha = built(&sandbox, "a", &json_lines(&table), &["--json"]).expect(0).json();
    assert_eq!((&sha["added"], &sha["vectors"]), (&200.into(), &200.into()));
    let file = sandbox.file("b.f32", raw_f32(&table));
    let mut command = search(&sandbox, "build", &sandbox.root.join("b"));
    let b = run(command.arg("--vectors").arg(file).args(["--width", "16", "--json"]), b"").expect(0).json();
    let mut command = search(&sandbox, "build", &sandbox.root.join("c"));
    let c = run(command.args(["--vectors", "-", "--json"]), json_lines(&table).as_bytes()).expect(0).json();
    let mut command = search(&sandbox, "build", &sandbox.root.join("d"));
    let command = command.args(["--vectors", "-", "--width", "16", "--json"]);
    let d = super::raw(command, &raw_f32(&table));
    let d: Value = serde_json::from_slice(&d.out).unwrap();
    for other in [b, c, d] {
        assert_eq!(other["sha256"], sha["sha256"]);
    }
    assert_eq!(sha["sha256"], super::common::hex(&fs::read(sandbox.root.join("a")).unwrap()));
}

#[test]
fn walks_and_scans_find_the_nearest() {
    let sandbox = Sandbox::new("search_query");
    let table = vectors(300, WIDTH);
    built(&sandbox, "index", &json_lines(&table), &[]).expect(0);
    let asked: Vec<Vec<f32>> = table.iter().step_by(37).cloned().collect();
    let truth: Vec<Vec<u64>> = asked.iter().map(|q| nearest(&table, q, 5)).collect();
    let queries = sandbox.file("queries.jsonl", json_lines(&asked));
    let ask = |flags: &[&str]| {
        let mut command = search(&sandbox, "query", &sandbox.root.join("index"));
        run(command.arg("--vectors").arg(&queries).args(["-k", "5"]).args(flags), b"")
    };
    for flags in [&["--json"][..], &["--json", "--exact", "f32"], &["--json", "--exact", "int8"]] {
        assert_eq!(ids(&ask(flags).expect(0).json()), truth, "{flags:?}");
    }
    let bits = ask(&["--json", "--exact", "bits", "--recall"]).expect(0).json();
    assert!(bits["recall"].as_f64().unwrap() > 0.6, "{}", bits["recall"]);
    assert!(ids(&bits).iter().zip(0..).all(|(list, q)| list[0] == q * 37));
    let walked = ask(&["--json", "--recall"]).expect(0).json();
    assert_eq!(walked["recall"], 1.0);
    let score = walked["results"][0][0]["score"].as_f64().unwrap();
    assert!((score - 1.0).abs() < 1e-5, "{score}");
    let narrow = ask(&["--json", "--recall", "--filter", "299"]).expect(0).json();
    assert_eq!(ids(&narrow), vec![vec![299]; asked.len()]);
    assert_eq!(narrow["recall"], 1.0);
    let some = ask(&["--json", "--exact", "int8", "--filter", "7,9,1000"]).expect(0).json();
    assert!(ids(&some).iter().all(|list| list.len() == 2 && list.iter().all(|id| [7, 9].contains(id))));
    let text = ask(&["--recall"]).expect(0).out;
    assert!(text.contains("query 0\n") && text.contains("recall@5 against an exact f32 scan: 1.0000"));
    assert!(text.contains("9 queries in ") && text.contains(" on cpu ("), "{text}");
}

#[test]
fn more_results_than_vectors_gives_all() {
    let sandbox = Sandbox::new("search_all");
    built(&sandbox, "index", &json_lines(&vectors(20, WIDTH)), &[]).expect(0);
    for flags in [&[][..], &["--exact", "f32"], &["--exact", "int8"], &["--exact", "bits"]] {
        let mut command = search(&sandbox, "query", &sandbox.root.join("index"));
        let command = command.args(["--vectors", "-", "-k", "256", "--json"]).args(flags);
        let lists = ids(&run(command, json_lines(&vectors(2, WIDTH)).as_bytes()).expect(0).json());
        for list in lists {
            let mut sorted = list;
            sorted.sort_unstable();
            assert_eq!(sorted, (0..20).collect::<Vec<u64>>(), "{flags:?}");
        }
    }
}

#[test]
fn ids_are_kept_go_on_and_are_never_doubled() {
    let sandbox = Sandbox::new("search_ids");
    let path = sandbox.root.join("index");
    built(&sandbox, "index", "{\"id\":100,\"vector\":[1,0]}\n{\"id\":7,\"vector\":[0,1]}\n", &[]).expect(0);
    built(&sandbox, "index", "[-1,0]\n", &["--add"]).expect(0);
    let mut command = search(&sandbox, "query", &path);
    let found = run(command.args(["--vectors", "-", "--json"]), b"[-1, 0.1]\n").expect(0).json();
    assert_eq!(ids(&found), [[101, 7, 100]]);
    let before = fs::read(&path).unwrap();
    built(&sandbox, "index", "{\"id\":7,\"vector\":[1,1]}\n", &["--add"]).expect(1).says(&["id 7"]);
    built(&sandbox, "index", "[1,2,3]\n", &["--add"]).expect(1).says(&["3 values", "vectors of 2"]);
    assert_eq!(fs::read(&path).unwrap(), before, "what is refused changes nothing");
    built(&sandbox, "index", "[1,2]\n", &["--add", "--metric", "l2"]).expect(2).says(&["--metric"]);
    built(&sandbox, "none", "[1,2]\n", &["--add"]).expect(1).says(&["none"]);
    built(&sandbox, "last", "{\"id\":18446744073709551615,\"vector\":[1]}\n", &[]).expect(0);
    built(&sandbox, "last", "[2]\n", &["--add"]).expect(1);
}

#[test]
fn bad_vectors_are_named_by_their_line() {
    let sandbox = Sandbox::new("search_bad");
    let cases: [(&str, &[&str]); 9] = [
        ("", &["no vectors"]),
        ("\n\n", &["no vectors"]),
        ("[1,2]\nhello\n", &["bad.jsonl: line 2", "expected a list of numbers"]),
        ("[1,2]\n\n[1,2,3]\n", &["line 3", "3 values, the first vector has 2"]),
        ("[]\n", &["line 1", "an empty vector"]),
        ("[1,\"x\"]\n", &["line 1", "invalid type: string"]),
        ("{\"id\":1}\n", &["line 1", "missing field `vector`"]),
        ("{\"id\":1,\"vector\":[1],\"text\":\"a\"}\n", &["line 1", "unknown field `text`"]),
        ("[1e39,0]\n", &["bad.jsonl", "not finite"]),
    ];
    for (lines, parts) in cases {
        let said = built(&sandbox, "bad", lines, &[]).expect(1).says(parts);
        assert_eq!(said.out, "");
        assert!(!sandbox.root.join("bad").exists());
    }
    built(&sandbox, "bad", "[1,2]\n", &["--width", "3"]).expect(1).says(&["2 values, --width says 3"]);
    built(&sandbox, "bad", "[1,2]\n", &["--m", "1"]).expect(2).says(&["--m is 1, must be 2 to"]);
    built(&sandbox, "bad", "[1,2]\n", &["--ef-construction", "3"])
        .expect(2)
        .says(&["--ef-construction is 3"]);
    built(&sandbox, "bad", "[1,2]\n", &["--metric", "far"]).expect(2).says(&["cosine, l2, dot"]);
    let file = sandbox.file("odd.f32", [0; 12]);
    let build = |flags: &[&str]| {
        let mut command = search(&sandbox, "build", &sandbox.root.join("bad"));
        run(command.arg("--vectors").arg(&file).args(flags), b"")
    };
    build(&[]).expect(2).says(&["odd.f32", "needs --width"]);
    build(&["--width", "2"]).expect(1).says(&["12 bytes are not whole vectors of 2 f32"]);
    build(&["--width", "0"]).expect(2).says(&["--width"]);
    let mut command = search(&sandbox, "build", &sandbox.root.join("bad"));
    run(command.args(["--vectors", "/nowhere.jsonl"]), b"").expect(1).says(&["/nowhere.jsonl"]);
    let mut command = search(&sandbox, "build", &sandbox.root.join("none/index"));
    run(command.args(["--vectors", "-"]), b"[1]\n").expect(1).says(&["none: there is no such folder"]);
}

#[test]
fn a_damaged_index_is_refused() {
    let sandbox = Sandbox::new("search_damaged");
    built(&sandbox, "index", &json_lines(&vectors(50, WIDTH)), &[]).expect(0);
    let path = sandbox.root.join("index");
    let good = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damaged = [
        (Vec::new(), "index"),
        (b"not an index at all".to_vec(), "index"),
        (flipped(0), "not an index file"),
        (flipped(good.len() / 2), "checksum"),
        (good[..good.len() - 1].to_vec(), "checksum"),
    ];
    for (bytes, message) in damaged {
        fs::write(&path, bytes).unwrap();
        for action in ["query", "info"] {
            let mut command = search(&sandbox, action, &path);
            let flags: &[&str] = if action == "query" { &["--vectors", "-"] } else { &[] };
            run(command.args(flags), b"[1]\n").expect(1).says(&[message]);
        }
    }
}

#[test]
fn queries_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::new("search_misfit");
    built(&sandbox, "index", &json_lines(&vectors(20, WIDTH)), &["--no-floats"]).expect(0);
    let path = sandbox.root.join("index");
    let ask = |flags: &[&str], stdin: &str| {
        run(search(&sandbox, "query", &path).args(["--vectors", "-"]).args(flags), stdin.as_bytes())
    };
    let good = json_lines(&vectors(1, WIDTH));
    assert!(ask(&[], &good).expect(0).out.starts_with("query 0\n"));
    ask(&[], "[1,2]\n").expect(1).says(&["vectors of 16, the query has 2 values"]);
    ask(&["--exact", "f32"], &good).expect(2).says(&["keeps no floats"]);
    ask(&["--ef", "20000"], &good).expect(2).says(&["--ef: is 20000"]);
    ask(&["-k", "0"], &good).expect(2);
    ask(&["text"], &good).expect(2).says(&["--vectors"]);
    run(&mut search(&sandbox, "query", &path), b"").expect(2).says(&["--vectors"]);
    let said = run(search(&sandbox, "query", &path).args(["x", "--model", "gpt"]), b"");
    said.expect(2).says(&["unknown model \"gpt\""]);
}

#[test]
fn info_says_what_an_index_holds() {
    let sandbox = Sandbox::new("search_info");
    built(&sandbox, "index", &json_lines(&vectors(20, WIDTH)), &["--metric", "l2", "--seed", "5"]).expect(0);
    let path = sandbox.root.join("index");
    let text = run(&mut search(&sandbox, "info", &path), b"").expect(0).out;
    assert!(text.contains("20 of width 16, 0 deleted") && text.contains("l2"), "{text}");
    let json = run(search(&sandbox, "info", &path).arg("--json"), b"").expect(0).json();
    assert_eq!((&json["vectors"], &json["width"], &json["seed"]), (&20.into(), &16.into(), &5.into()));
    assert_eq!((&json["metric"], &json["floats"]), (&"l2".into(), &true.into()));
}

#[test]
fn texts_are_found_and_shown() {
    let sandbox = Sandbox::new("search_texts");
    let file = sandbox.file("texts", "hello world\nthe cat\n\u{1b}[31m42\n");
    let path = sandbox.root.join("index");
    let tiny = |action: &str| {
        let mut command = sandbox.tiny();
        command.args(["search", action]).arg(&path);
        command
    };
    run(tiny("build").arg("--texts").arg(&file), b"").expect(0);
    let said = run(tiny("query").args(["the cat", "-k", "1", "--texts"]).arg(&file), b"").expect(0);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], "\"the cat\"");
    assert!(lines[1].ends_with("the cat") && lines[1].contains(" 1 "), "{}", said.out);
    let all = run(tiny("query").args(["the cat", "--texts"]).arg(&file), b"").expect(0);
    assert!(!all.out.contains('\u{1b}'), "{:?}", all.out);
    let json = run(tiny("query").args(["the cat", "--json", "--texts"]).arg(&file), b"").expect(0).json();
    assert_eq!(json["results"][0][0]["text"], "the cat");
    let none = sandbox.file("none", "");
    run(tiny("build").arg("--texts").arg(none), b"").expect(1).says(&["no texts"]);
}
