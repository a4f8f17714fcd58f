//! Our side of the protocol of [`crate::engines`]: one engine answers until stdin ends.

use std::{
    io::{BufRead, Write, stdin, stdout},
    num::NonZeroUsize,
    time::Instant,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Error, aes, embed,
    engines::{Fields, Loaded, Ran, Request},
    hnsw, knn, quant, sandbox, spiking,
};

/// An engine that runs in this process. Every method reads the fields its bench sends.
pub(crate) trait Serve {
    /// Puts data and parameters in place; an engine this machine lacks says so in [`Loaded::absent`].
    fn load(&mut self, fields: &Fields) -> Result<Loaded, Error>;

    /// Does one case once. This is what is timed.
    fn run(&mut self, case: &Fields) -> Result<(), Error>;

    /// What the same case answers.
    fn answers(&mut self, case: &Fields) -> Result<Value, Error>;
}

/// Answers requests until stdin ends.
pub(crate) fn run(bench: &str, name: &str, threads: NonZeroUsize) -> Result<(), Error> {
    match bench {
        "embed" => embed::serve(name, threads),
        "aes" => answer_all(&mut *aes::open(name)?),
        "hnsw" => answer_all(&mut *hnsw::open(name, threads)?),
        "knn" => answer_all(&mut *knn::open(name, threads)?),
        "quant" => answer_all(&mut *quant::open(name, threads)?),
        "sandbox" => answer_all(&mut *sandbox::open(name)?),
        "spiking" => answer_all(&mut *spiking::open(name, threads)?),
        _ => Err(Error::engine(name, format!("does not serve {bench}"))),
    }
}

/// A number of a request.
pub(crate) fn number(fields: &Fields, name: &str) -> Result<usize, Error> {
    let found = fields.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    found.ok_or_else(|| Error::engine(name, "is no number of the request"))
}

/// A text of a request.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Error> {
    fields.get(name).and_then(Value::as_str).ok_or_else(|| Error::engine(name, "is no text of the request"))
}

/// Answers every [`Request`].
fn answer_all(engine: &mut dyn Serve) -> Result<(), Error> {
    for_each_request(|request| match request {
        Request::Load(fields) => answer(&engine.load(&fields)?),
        Request::Run(case) => {
            let start = Instant::now();
            engine.run(&case)?;
            answer(&Ran { seconds: start.elapsed().as_secs_f64() })
        }
        Request::Answers(case) => answer(&engine.answers(&case)?),
    })
}

/// Reads one request a line until stdin ends.
pub(crate) fn for_each_request<R: DeserializeOwned>(
    mut handle: impl FnMut(R) -> Result<(), Error>,
) -> Result<(), Error> {
    for line in stdin().lock().lines() {
        let line = line.map_err(Error::io("stdin"))?;
        handle(serde_json::from_str(&line).map_err(|error| Error::Json { what: "request".into(), error })?)?;
    }
    Ok(())
}

/// Writes one answer.
pub(crate) fn answer(value: &impl Serialize) -> Result<(), Error> {
    let mut line =
        serde_json::to_string(value).map_err(|error| Error::Json { what: "answer".into(), error })?;
    line.push('\n');
    let mut out = stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(Error::io("stdout"))
}
