//! How close a model's integers come to its float weights, for `edge-net model verify`.

use std::fmt;

use serde::Serialize;

#[cfg(feature = "reference")]
pub(crate) use with_reference::measure;
#[cfg(not(feature = "reference"))]
pub(crate) use without_reference::measure;

/// What the comparison gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    texts: usize,
    cosine_mean: f64,
    cosine_p1: f64,
    cosine_min: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sts: Option<Sts>,
}

#[derive(Clone, Debug, Serialize)]
struct Sts {
    pairs: usize,
    spearman_float: f64,
    spearman_integer: f64,
    /// Integer minus float.
    difference: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { texts, cosine_mean, cosine_p1, cosine_min, sts } = self;
        write!(f, "{:24} {texts} texts, cosine to f32: mean {cosine_mean:.6}", "fidelity")?;
        write!(f, ", 1st percentile {cosine_p1:.6}, min {cosine_min:.6}")?;
        let Some(Sts { pairs, spearman_float, spearman_integer, difference }) = sts else { return Ok(()) };
        write!(f, "\n{:24} {pairs} pairs, Spearman: f32 {spearman_float:.5}", "similarity")?;
        write!(f, ", integer {spearman_integer:.5}, difference {difference:+.5}")
    }
}

#[cfg(feature = "reference")]
mod with_reference {
    use std::fs;

    use edge_net::{
        local::{Embedder, Options},
        model::{Observer, Opened, Store},
        reference::{self, Reference, StsCorrelation},
    };
    use models::manifest::Manifest;

    use super::{
        super::{
            args::Fidelity,
            failure::Failure,
            model::{at, read, read_texts},
            terminal::Terminal,
        },
        Report, Sts,
    };

    /// Compares the opened model with its float weights, which are fetched where they are not on this machine.
    pub(crate) fn measure(
        args: &Fidelity,
        store: &Store,
        manifest: &'static Manifest,
        opened: Opened,
        terminal: &mut Terminal,
    ) -> Result<Option<Report>, Failure> {
        let failed = |e: &dyn std::error::Error| Failure::Failed(format!("fidelity: {e}"));
        let texts = match &args.texts {
            Some(path) => read_texts(path)?,
            None => reference::default_texts().into_iter().map(str::to_owned).collect(),
        };
        let sts =
            args.sts.as_ref().map(|path| fs::read_to_string(path).map_err(|e| at(path, &e))).transpose()?;
        let pairs = sts.as_deref().map(reference::parse_sts).transpose();
        let pairs = pairs.map_err(|e| at(args.sts.as_deref().unwrap_or("".as_ref()), &e))?;

        let float = match store.float(manifest, terminal) {
            Ok(float) => float,
            Err(e) if args.texts.is_some() || args.sts.is_some() => return Err(failed(&e)),
            Err(e) => {
                terminal.note(&format!("fidelity of \"{}\" not measured: {e}", manifest.name));
                return Ok(None);
            }
        };
        let (bytes, config) = (read(&float.weights)?, float.shape(manifest)?);
        let oracle = Reference::from_safetensors(&bytes, &config).map_err(|e| at(&float.weights, &e))?;
        drop(bytes);
        let options = Options { model: manifest.name.into(), ..Options::default() };
        let mut embedder = Embedder::with_model(&options, opened)?;
        let fidelity =
            reference::fidelity(&oracle, &mut embedder, &texts, terminal).map_err(|e| failed(&e))?;
        let correlated = pairs.map(|pairs| reference::correlation(&oracle, &mut embedder, &pairs, terminal));
        let correlated = correlated.transpose().map_err(|e| failed(&e))?;
        let reference::Fidelity { texts, cosine_mean, cosine_p1, cosine_min } = fidelity;
        let sts = correlated.map(|StsCorrelation { pairs, spearman_float, spearman_integer }| {
            let difference = spearman_integer - spearman_float;
            Sts { pairs, spearman_float, spearman_integer, difference }
        });
        Ok(Some(Report { texts, cosine_mean, cosine_p1, cosine_min, sts }))
    }
}

#[cfg(not(feature = "reference"))]
mod without_reference {
    use edge_net::model::{Observer, Opened, Store};
    use models::manifest::Manifest;

    use super::{
        super::{args::Fidelity, failure::Failure, terminal::Terminal},
        Report,
    };

    /// Says that nothing was compared where the user asked for it or needs to know.
    pub(crate) fn measure(
        args: &Fidelity,
        _: &Store,
        manifest: &'static Manifest,
        opened: Opened,
        terminal: &mut Terminal,
    ) -> Result<Option<Report>, Failure> {
        const WHY: &str = "this build has no float reference (cargo build --release --features reference)";
        if args.texts.is_some() || args.sts.is_some() {
            return Err(Failure::Usage(format!("--texts and --sts compare with the float weights: {WHY}")));
        }
        if !opened.published {
            terminal.note(&format!("fidelity of \"{}\" not measured: {WHY}", manifest.name));
        }
        Ok(None)
    }
}
