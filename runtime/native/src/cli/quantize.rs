//! `edge-net quantize`: vectors in fewer bytes, and back.

use edge_net::{
    Level,
    machine::{KernelEncoder, Threads},
    model::Observer,
};
use models::compress::{Codec as Coding, Compressed, Machine, Measured, Vectors};
use serde::Serialize;
use tasks::{Codec, Compression, Hash, Matrix, Target, Task, Tier};

use super::{
    args::tasks::{CodecName, Quantize},
    failure::Failure,
    model::print_json,
    print,
    task::{at, count, failed, is_stream, not_over, place, read, refused, write},
    terminal::{Terminal, printable},
    vectors::read_vectors,
};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    codec: Named,
    vectors: usize,
    width: usize,
    bytes_in: usize,
    bytes: usize,
    bytes_per_vector: f64,
    relative_l2: f64,
    max_abs: f64,
    sha256: String,
    /// What `auto` compared, smallest first; recalls are of a sample.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measured: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    codec: Named,
    bytes_per_vector: f64,
    recall: f64,
    relative_l2: f64,
    chosen: bool,
}

/// A codec and, where it has them, its parameters.
#[derive(Serialize)]
struct Named {
    codec: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subspaces: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
}

#[derive(Serialize)]
struct Decoded {
    codec: Named,
    vectors: usize,
    width: usize,
    bytes: usize,
}

/// Codes vectors, or decodes what was coded.
pub(crate) fn run(args: &Quantize, terminal: &mut Terminal) -> Result<(), Failure> {
    if args.json && args.out.as_deref().is_some_and(is_stream) {
        return Err(Failure::Usage(
            "--json and the result cannot both go to stdout: give --out a file".into(),
        ));
    }
    args.out.as_deref().map_or(Ok(()), |out| not_over(&args.input, out))?;
    if args.decode { decode(args, terminal) } else { encode(args, terminal) }
}

fn encode(args: &Quantize, terminal: &mut Terminal) -> Result<(), Failure> {
    if args.codec != CodecName::Auto && (args.recall.is_some() || args.bytes.is_some()) {
        return Err(Failure::Usage("--recall and --bytes are what --codec auto must reach".into()));
    }
    let task = task(args, read_vectors(&args.input, args.width, 0)?.vectors);
    let checked = Task::Compression(task).check(Tier::Own).map_err(|e| refused(&e))?;
    let Task::Compression(task) = checked.task() else { unreachable!("it was made above") };
    let threads = Threads(args.threads.unwrap_or_else(super::args::cores));
    let kernels = Level::detect().kernels().map_err(|e| Failure::Failed(e.to_string()))?;
    let machine = Machine { parallel: &threads, encoder: &KernelEncoder(kernels) };
    let (codes, measured) = tasks::compress(task, machine).map_err(|e| failed(&e))?;
    let container = codes.to_bytes();
    if let Some(out) = &args.out {
        write(out, &container)?;
    }
    let report = report(&codes, &container, &task.vectors, &measured)?;
    if args.json {
        return print_json(&report);
    }
    say(args, &report.text(), terminal)
}

fn task(args: &Quantize, vectors: Matrix) -> Compression {
    let codec = match args.codec {
        CodecName::Auto => Codec::Auto,
        CodecName::Int8 => Codec::Int8,
        CodecName::Int4 => Codec::Int4,
        CodecName::Binary => Codec::Binary,
        CodecName::Pq => Codec::Pq,
    };
    Compression { vectors, codec, target: Target { bytes: args.bytes, recall: args.recall } }
}

fn report(
    codes: &Compressed,
    container: &[u8],
    vectors: &Matrix,
    measured: &[Measured],
) -> Result<Report, Failure> {
    let defect = |e: models::compress::CompressError| Failure::Failed(e.to_string());
    let loss = codes.loss(Vectors::new(&vectors.values, vectors.width).map_err(defect)?).map_err(defect)?;
    let row = |m: &Measured| Row {
        codec: named(m.codec),
        bytes_per_vector: m.bytes_per_vector,
        recall: m.recall,
        relative_l2: m.relative_l2,
        chosen: m.codec == codes.codec(),
    };
    Ok(Report {
        codec: named(codes.codec()),
        vectors: codes.rows(),
        width: codes.width(),
        bytes_in: 4 * vectors.values.len(),
        bytes: container.len(),
        bytes_per_vector: codes.bytes_per_vector(),
        relative_l2: loss.relative_l2,
        max_abs: loss.max_abs,
        sha256: Hash::of(container).hex(),
        measured: measured.iter().map(row).collect(),
    })
}

fn decode(args: &Quantize, terminal: &mut Terminal) -> Result<(), Failure> {
    let codes = Compressed::from_bytes(&read(&args.input)?).map_err(|e| at(&args.input, &e))?;
    let values = codes.decode();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let Some(out) = &args.out else { return Err(Failure::Usage("--decode needs --out".into())) };
    write(out, &bytes)?;
    let (vectors, width) = (codes.rows(), codes.width());
    if args.json {
        return print_json(&Decoded { codec: named(codes.codec()), vectors, width, bytes: bytes.len() });
    }
    let from = named(codes.codec()).text();
    let text =
        format!("{} of width {width} from {from}: {} bytes of f32\n", count(vectors, "vector"), bytes.len());
    say(args, &text, terminal)
}

/// On stdout, or beside it where the result itself goes there.
fn say(args: &Quantize, text: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    match args.out.as_deref().is_some_and(is_stream) {
        true => {
            terminal.note(text.trim_end());
            Ok(())
        }
        false => {
            let out = args.out.as_deref().map(|out| format!("written to {}\n", printable(&place(out))));
            print(&format!("{text}{}", out.unwrap_or_default()))
        }
    }
}

fn named(codec: Coding) -> Named {
    match codec {
        Coding::Product { subspaces, bits } => {
            Named { codec: codec.name(), subspaces: Some(subspaces), bits: Some(bits) }
        }
        _ => Named { codec: codec.name(), subspaces: None, bits: None },
    }
}

impl Named {
    fn text(&self) -> String {
        match (self.subspaces, self.bits) {
            (Some(subspaces), Some(bits)) => format!("{} {subspaces} x {bits} bits", self.codec),
            _ => self.codec.to_owned(),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.measured.is_empty() {
            text += "codec             bytes a vector  recall of 10  relative error\n";
            for row in &self.measured {
                let Row { bytes_per_vector, recall, relative_l2, .. } = row;
                let mark = if row.chosen { "  chosen" } else { "" };
                let name = row.codec.text();
                text += &format!(
                    "{name:16}  {bytes_per_vector:>14.1}  {recall:>12.4}  {relative_l2:>14.4}{mark}\n"
                );
            }
            text.push('\n');
        }
        let Report { vectors, width, bytes_in, bytes, bytes_per_vector, relative_l2, max_abs, .. } = self;
        let smaller = *bytes_in as f64 / (*bytes).max(1) as f64;
        text += &format!(
            "{}: {} of width {width}, {bytes_in} bytes of f32 in {bytes} ({smaller:.1} to 1), {bytes_per_vector:.1} a vector\n",
            self.codec.text(),
            count(*vectors, "vector"),
        );
        text += &format!("relative error {relative_l2:.4}, largest of a value {max_abs:.3e}\n");
        text += &format!("sha256 {}\n", self.sha256);
        text
    }
}
