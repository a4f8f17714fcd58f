use std::{fs, path::Path, process::Command};

use super::{
    common::{Sandbox, run},
    json_lines, raw_f32, vectors,
};

const WIDTH: usize = 32;

fn quantize(sandbox: &Sandbox, input: &Path) -> Command {
    let mut command = sandbox.edge_net();
    command.arg("quantize").arg(input);
    command
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&q| f32::from_le_bytes(q)).collect()
}

#[test]
fn every_codec_goes_there_and_back_within_what_it_reports() {
    let sandbox = Sandbox::new("quantize_codecs");
    let table = vectors(400, WIDTH);
    let input = sandbox.file("v.f32", raw_f32(&table));
    let (coded, back) = (sandbox.root.join("coded"), sandbox.root.join("back.f32"));
    for (codec, most_bytes) in [("int8", 37), ("int4", 22), ("binary", 9), ("pq", 100)] {
        let mut command = quantize(&sandbox, &input);
        let command = command.args(["--width", "32", "--codec", codec, "--json", "--out"]).arg(&coded);
        let json = run(command, b"").expect(0).json();
        assert_eq!((&json["codec"], &json["vectors"]), (&codec.into(), &400.into()));
        assert!(json["measured"].is_null(), "nothing was compared");
        assert!(json["bytes_per_vector"].as_f64().unwrap() < f64::from(most_bytes), "{json}");
        assert_eq!(json["bytes"], fs::metadata(&coded).unwrap().len());
        let mut command = quantize(&sandbox, &coded);
        let said = run(command.args(["--decode", "--json", "--out"]).arg(&back), b"").expect(0).json();
        assert_eq!((&said["vectors"], &said["width"]), (&400.into(), &32.into()));
        let decoded = floats(&fs::read(&back).unwrap());
        let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
        let worst = table.iter().flatten().zip(&decoded).map(difference).fold(0.0, f64::max);
        assert_eq!(decoded.len(), 400 * WIDTH);
        assert!((worst - json["max_abs"].as_f64().unwrap()).abs() < 1e-12, "{codec}");
    }
}

#[test]
fn auto_takes_the_smallest_that_reaches_the_target() {
    let sandbox = Sandbox::new("quantize_auto");
    let input = sandbox.file("v.jsonl", json_lines(&vectors(600, WIDTH)));
    let json = run(quantize(&sandbox, &input).args(["--recall", "0.8", "--json"]), b"").expect(0).json();
    let rows = json["measured"].as_array().unwrap();
    let number = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap();
    assert!(rows.windows(2).all(|w| number(&w[0], "bytes_per_vector") <= number(&w[1], "bytes_per_vector")));
    let first = rows.iter().find(|r| number(r, "recall") >= 0.8).unwrap();
    assert_eq!((&first["chosen"], &first["codec"]), (&true.into(), &json["codec"]));
    assert_eq!(rows.iter().filter(|r| r["chosen"] == true).count(), 1);
    let text = run(quantize(&sandbox, &input).args(["--bytes", "25"]), b"").expect(0).out;
    assert!(text.contains("recall of 10") && text.contains("  chosen\n"), "{text}");
    assert!(text.contains("600 vectors of width 32"), "{text}");
    let said = run(quantize(&sandbox, &input).args(["--bytes", "1"]), b"").expect(1);
    said.says(&["no codec takes at most 1 bytes a vector"]);
}

#[test]
fn the_container_goes_through_streams() {
    let sandbox = Sandbox::new("quantize_streams");
    let table = vectors(40, WIDTH);
    let file = sandbox.root.join("coded");
    let mut command = quantize(&sandbox, Path::new("-"));
    let command = command.args(["--codec", "int8", "--out"]).arg(&file);
    run(command, json_lines(&table).as_bytes()).expect(0);
    let mut command = quantize(&sandbox, Path::new("-"));
    let command = command.args(["--codec", "int8", "--width", "32", "--out", "-"]);
    let streamed = super::raw(command, &raw_f32(&table));
    assert_eq!(streamed.code, Some(0));
    assert!(streamed.out == fs::read(&file).unwrap());
    assert!(streamed.err.contains("40 vectors"), "{}", streamed.err);
    let decode = ["--decode", "--out", "-"];
    let back = super::raw(quantize(&sandbox, Path::new("-")).args(decode), &streamed.out);
    assert_eq!((back.code, back.out.len()), (Some(0), 40 * WIDTH * 4));
}

#[test]
fn what_cannot_be_coded_or_decoded_is_refused() {
    let sandbox = Sandbox::new("quantize_bad");
    let ask = |flags: &[&str], stdin: &[u8]| run(quantize(&sandbox, Path::new("-")).args(flags), stdin);
    let few = json_lines(&vectors(5, WIDTH));
    ask(&[], few.as_bytes()).expect(1).says(&["5 vectors are too few", "name a codec"]);
    ask(&["--codec", "int8"], few.as_bytes()).expect(0);
    ask(&["--codec", "int8"], b"").expect(1).says(&["stdin: no vectors"]);
    ask(&["--codec", "int8"], b"[1]\n[1,2]\n").expect(1).says(&["stdin: line 2"]);
    ask(&["--codec", "int8"], b"[1e39]\n").expect(1).says(&["vectors[0][0]: must be a finite number"]);
    ask(&["--recall", "2"], few.as_bytes()).expect(2).says(&["--recall: is 2, must be 0 to 1"]);
    ask(&["--recall", "0.5", "--bytes", "9"], b"").expect(2).says(&["--bytes"]);
    ask(&["--recall", "0.5", "--codec", "int8"], few.as_bytes()).expect(2).says(&["auto"]);
    ask(&["--decode"], b"").expect(2).says(&["--out"]);
    ask(&["--codec", "int8", "--json", "--out", "-"], few.as_bytes()).expect(2).says(&["--json"]);
    let coded = sandbox.root.join("coded");
    let mut command = quantize(&sandbox, Path::new("-"));
    run(command.args(["--codec", "int4", "--out"]).arg(&coded), few.as_bytes()).expect(0);
    let good = fs::read(&coded).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let back = sandbox.root.join("back");
    for (bytes, message) in [
        (&flipped[..], "checksum mismatch"),
        (&good[..good.len() - 1], "the header calls for"),
        (b"", "magic"),
        (b"junk", "magic"),
    ] {
        fs::write(&coded, bytes).unwrap();
        let mut command = quantize(&sandbox, &coded);
        run(command.args(["--decode", "--out"]).arg(&back), b"").expect(1).says(&["coded: ", message]);
        assert!(!back.exists());
    }
}
