//! AES-256-GCM: messages of several sizes sealed in place on one thread, each under a nonce of its own.

mod engine;

use serde_json::{Value, json};

pub(crate) use self::engine::open;
use crate::{
    Error,
    contest::{self, Case, Definition, Facts},
    engines::{self, Fields, OURS},
};

/// Measures, prints a table, and records it where asked.
pub(crate) fn run(args: &contest::Args) -> Result<(), Error> {
    let args = contest::Args { threads: std::num::NonZeroUsize::MIN, ..args.clone() };
    contest::measure(&mut Aes { tag: None }, &args)?.publish(&args)
}

struct Aes {
    /// Case and tag of the first engine.
    tag: Option<(String, String)>,
}

impl Definition for Aes {
    fn name(&self) -> &'static str {
        BENCH
    }

    fn subject(&self) -> Fields {
        Fields::new()
    }

    fn cases(&self) -> Vec<Case> {
        let case = |bytes: usize| {
            let times = (BYTES_A_RUN / bytes).min(MOST_TIMES);
            let fields = json!({"bytes": bytes, "times": times});
            let gigabytes = (bytes * times) as f64 / 1e9;
            let ours = [OURS, PORTABLE];
            Case::new(format!("{bytes} bytes a message"), fields, gigabytes, "GB")
                .by(ours.into_iter().chain(engines::peers(BENCH)))
        };
        SIZES.into_iter().map(case).collect()
    }

    fn load(&self, _: &str) -> Fields {
        Fields::new()
    }

    /// The tag depends on every bit of key, nonce and text: engines that agree on it sealed the same.
    fn check(&mut self, case: &Case, engine: &str, answer: &Value) -> Result<Facts, Error> {
        let found = answer["tag"].as_str().unwrap_or_default().to_owned();
        match &self.tag {
            Some((of, wanted)) if *of == case.id && *wanted != found => {
                Err(Error::Wrong(format!("{engine} gives tag \"{found}\" for {}, not {wanted}", case.id)))
            }
            _ if found.len() != 32 => Err(Error::Wrong(format!("{engine} gives no tag for {}", case.id))),
            _ => {
                self.tag = Some((case.id.clone(), found));
                Ok(Facts::new())
            }
        }
    }
}

const BENCH: &str = "aes";
/// Ours without what needs a C compiler.
const PORTABLE: &str = "edge-net-portable";
const SIZES: [usize; 4] = [64, 1024, 16_384, 1 << 20];
const BYTES_A_RUN: usize = 256 << 20;
const MOST_TIMES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_unlike_the_first_fails_the_check() {
        let (mut aes, tag) = (Aes { tag: None }, "0".repeat(32));
        let cases = aes.cases();
        let mut check = |case: usize, tag: &str| aes.check(&cases[case], "x", &json!({"tag": tag}));
        check(0, &tag).unwrap();
        check(0, &tag).unwrap();
        assert!(check(0, &"1".repeat(32)).is_err());
        assert!(check(1, "").is_err(), "no tag at all");
        check(1, &"1".repeat(32)).unwrap();
    }

    #[test]
    fn all_engines_agree() {
        for bytes in [0, 1, 16, 1000] {
            let case = json!({"bytes": bytes}).as_object().cloned().unwrap();
            let names = [OURS, PORTABLE].into_iter().chain(engines::peers(BENCH));
            let mut tags = Vec::new();
            for name in names.filter(|n| engines::is_ours(n) || engines::missing(BENCH, n).is_none()) {
                tags.push(open(name).unwrap().answers(&case).unwrap());
            }
            assert!(tags.len() > 1 && tags.iter().all(|t| *t == tags[0]), "{bytes}: {tags:?}");
        }
    }
}
