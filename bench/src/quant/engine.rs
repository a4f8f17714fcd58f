//! Our int8 encoder. The requests are those of `bench/peers/quant_peer.py`.

use std::{num::NonZeroUsize, path::Path, sync::Mutex};

use edge_net::machine::Threads;
use kernels_cpu::{EncodeArgs, Kernels, Level};
use plan::{Parallel, Range};
use serde_json::{Value, json};

use crate::{
    Error,
    engines::{Fields, Loaded, OURS},
    serve::{Serve, number, text},
    vectors::read,
};

/// The engine of this name.
pub(crate) fn open(name: &str, threads: NonZeroUsize) -> Result<Box<dyn Serve>, Error> {
    let level = match name.strip_prefix(OURS) {
        Some("") => Level::detect(),
        Some(level) => crate::level(level.trim_start_matches('-')).map_err(|e| Error::engine(name, e))?,
        None => return Err(Error::engine(name, "does not quantise")),
    };
    let kernels = level.kernels()?;
    Ok(Box::new(Encoder {
        level,
        kernels,
        threads: Threads(threads),
        width: 1,
        base: vec![],
        codes: vec![],
        steps: vec![],
    }))
}

struct Encoder {
    level: Level,
    kernels: &'static dyn Kernels,
    threads: Threads,
    width: usize,
    base: Vec<f32>,
    codes: Vec<i8>,
    steps: Vec<f32>,
}

impl Serve for Encoder {
    fn load(&mut self, fields: &Fields) -> Result<Loaded, Error> {
        self.width = number(fields, "width")?;
        self.base = read(Path::new(text(fields, "base")?), self.width, number(fields, "rows")?)?;
        self.codes = vec![0; self.base.len()];
        self.steps = vec![0.0; self.base.len() / self.width];
        self.encode();
        let setting = format!("cpu ({}), a step a row", self.level);
        Ok(Loaded { version: env!("CARGO_PKG_VERSION").into(), setting, absent: None })
    }

    fn run(&mut self, _: &Fields) -> Result<(), Error> {
        self.encode();
        Ok(())
    }

    fn answers(&mut self, case: &Fields) -> Result<Value, Error> {
        self.encode();
        let rows = self.codes.chunks_exact(self.width).zip(&self.steps).take(number(case, "count")?);
        let decoded =
            rows.map(|(codes, &step)| codes.iter().map(|&c| f32::from(c) * step).collect::<Vec<f32>>());
        Ok(json!({"rows": decoded.collect::<Vec<_>>(), "code_bytes": self.width + 4}))
    }
}

impl Encoder {
    fn encode(&mut self) {
        let (width, rows) = (self.width, self.steps.len());
        let share = rows.div_ceil(self.threads.0.get()).max(1);
        let parts = self.base.chunks(share * width).zip(self.codes.chunks_mut(share * width));
        let parts: Vec<_> =
            parts.zip(self.steps.chunks_mut(share)).map(|part| Mutex::new(Some(part))).collect();
        self.threads.run(parts.len(), &|part| {
            let part = parts[part].lock().unwrap_or_else(|e| e.into_inner()).take();
            if let Some(((input, codes), steps)) = part {
                self.kernels.encode(EncodeArgs { width, range: Range::Row, input, codes, steps });
            }
        });
    }
}
