//! Proof that a plan is well formed, made once before an engine runs it. Kernels index without asking
//! again; everything they rely on is checked here.

use thiserror::Error;

use crate::{
    BufferId, ENCODE_MIN, EmbeddingWeight, Encode, Epilogue, FloatScore, GemmWeight, Lif, LifWeight,
    MAX_GROUPS, MAX_K, MAX_WIDTH, PANEL, Plan, PoolKind, Range, SCALE_WORDS, Scan, Score, Signal, Step, TopK,
    Weight, WeightId, Weights,
};

/// What is wrong with a plan.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// A step, upload or output names a buffer the plan lacks.
    #[error("{place}: buffer {buffer} of {buffers}")]
    NoSuchBuffer {
        /// Step index and stem, or the part of the plan.
        place: String,
        /// The index.
        buffer: usize,
        /// How many there are.
        buffers: usize,
    },
    /// A buffer has another length than its use needs.
    #[error("{place}: {what} has {found} words, needs {wanted}")]
    Length {
        /// Step index and stem, or the part of the plan.
        place: String,
        /// The field.
        what: &'static str,
        /// Words there are.
        found: usize,
        /// Words there must be.
        wanted: usize,
    },
    /// A step writes a buffer it also reads.
    #[error("{place}: writes {what}, which it also reads")]
    Alias {
        /// Step index and stem.
        place: String,
        /// The field.
        what: &'static str,
    },
    /// A weight is missing or of another kind or shape than the step needs.
    #[error("{place}: weight {weight} is not {wanted}")]
    Weight {
        /// Step index and stem.
        place: String,
        /// The id.
        weight: usize,
        /// What the step needs.
        wanted: String,
    },
    /// A value outside what the stage defines.
    #[error("{place}: {what} is {value}, must be {rule}")]
    Value {
        /// Step index and stem, or the part of the plan.
        place: String,
        /// The field.
        what: &'static str,
        /// Its value.
        value: usize,
        /// What is allowed.
        rule: String,
    },
}

impl Plan {
    /// Checks buffers, weights and uploaded indices of every step.
    ///
    /// # Errors
    /// The first thing that is wrong, naming the step.
    pub fn check(&self, weights: &dyn Weights) -> Result<(), PlanError> {
        for upload in &self.uploads {
            let at = At { plan: self, weights, place: || "upload".to_owned() };
            at.exact("words", upload.words.len(), at.words(upload.buffer)?)?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let at = At { plan: self, weights, place: || format!("step {index} ({})", step.stage().stem()) };
            at.step(step)?;
        }
        let at = At { plan: self, weights, place: || "output".to_owned() };
        at.words(self.output).map(drop)
    }
}

struct At<'a, F: Fn() -> String> {
    plan: &'a Plan,
    weights: &'a dyn Weights,
    place: F,
}

impl<'a, F: Fn() -> String> At<'a, F> {
    fn step(&self, step: &Step) -> Result<(), PlanError> {
        match step {
            Step::Embed(s) => {
                let table = self.embedding(s.table, s.width)?;
                self.buffers(&[("ids", s.ids, s.tokens), ("spans", s.spans, 2 * s.tokens)])?;
                self.out(&[("out", s.out, s.tokens * s.width)], &[s.ids, s.spans])?;
                let vocab = table.word_scale.len();
                self.uploaded(s.ids, "ids", |_, id| id < vocab, || format!("below {vocab}"))?;
                self.spans(s.spans, s.tokens, true, table.position.len() / s.width)
            }
            Step::LayerNorm(s) => {
                let n = s.tokens * s.width;
                let norm = |w: &Weight<'_>| matches!(w, Weight::Norm(n) if n.gain.len() == s.width && n.bias.len() == s.width);
                self.weight(s.norm, norm, || format!("a norm of width {}", s.width))?;
                self.buffers(&[("input", s.input, n), ("residual", s.residual.unwrap_or(s.input), n)])?;
                self.out(&[("out", s.out, n)], &[s.input, s.residual.unwrap_or(s.input)])
            }
            Step::Quantise(s) => {
                self.groups(s.groups, s.width)?;
                self.value("exponent_max", s.exponent_max as usize, s.exponent_max <= 6, || {
                    "at most 6".into()
                })?;
                let words = if s.signal == Signal::Offset { s.width / 2 } else { s.width };
                self.buffers(&[("input", s.input, s.tokens * words)])?;
                let codes = ("codes", s.codes, s.tokens * s.width / 4);
                self.out(&[codes, ("scales", s.scales, s.tokens * SCALE_WORDS)], &[s.input])
            }
            Step::Gemm(s) => {
                let weight = self.gemm(s.weight)?;
                let outputs = weight.outputs();
                let words = match s.epilogue {
                    Epilogue::Wide => outputs,
                    Epilogue::Clamp { limit } => {
                        self.value("limit", limit as usize, limit <= 32767, || "at most 32767".into())?;
                        outputs / 2
                    }
                    Epilogue::Gelu { table, offset } => {
                        let gelu = |w: &Weight<'_>| matches!(w, Weight::Gelu(t) if t.len() == 1280);
                        self.weight(table, gelu, || "a GELU table".into())?;
                        self.value("offset", offset as usize, offset <= 255, || "at most 255".into())?;
                        outputs / 2
                    }
                };
                let codes = ("codes", s.codes, s.tokens * weight.k / 4);
                self.buffers(&[codes, ("scales", s.scales, s.tokens * SCALE_WORDS)])?;
                self.out(&[("out", s.out, s.tokens * words)], &[s.codes, s.scales])
            }
            Step::Attention(s) => {
                let width = s.heads * 32;
                let exp = |w: &Weight<'_>| matches!(w, Weight::Exp(t) if t.len() == 256);
                self.weight(s.exp, exp, || "an exp table".into())?;
                self.buffers(&[("qkv", s.qkv, s.tokens * 3 * width / 2), ("spans", s.spans, 2 * s.tokens)])?;
                self.out(&[("out", s.out, s.tokens * width)], &[s.qkv, s.spans])?;
                self.spans(s.spans, s.tokens, true, s.longest)
            }
            Step::Pool(s) => {
                let places =
                    |w: &Weight<'_>| matches!(w, Weight::Permutation(p) if is_permutation(p, s.width));
                self.weight(s.permutation, places, || format!("a permutation of {}", s.width))?;
                let tokens = self.words(s.input)? / s.width;
                self.buffers(&[("input", s.input, tokens * s.width), ("spans", s.spans, 2 * s.sequences)])?;
                self.out(&[("out", s.out, s.sequences * s.width / 2)], &[s.input, s.spans])?;
                let longest = if s.kind == PoolKind::Sum { 512 } else { tokens };
                self.spans(s.spans, tokens, false, longest)
            }
            Step::Encode(s) => self.encode(s),
            Step::Distance(s) => self.scan(s, s.width / 4),
            Step::DistanceF32(s) => self.scan(s, s.width),
            Step::Hamming(s) => self.scan(s, s.width / 32),
            Step::TopK(s) => self.topk(s),
            Step::Lif(s) => self.lif(s),
        }
    }

    fn topk(&self, s: &TopK) -> Result<(), PlanError> {
        self.value("k", s.k, (1..=MAX_K).contains(&s.k), || format!("1 to {MAX_K}"))?;
        self.buffers(&[("input", s.input, s.queries * s.lists * s.k * 2)])?;
        self.out(&[("out", s.out, s.queries * s.k * 2)], &[s.input])
    }

    fn lif(&self, s: &Lif) -> Result<(), PlanError> {
        let fits = |l: &LifWeight<'_>| l.inputs == s.inputs && l.outputs == s.outputs && l.defect().is_none();
        let layer = |w: &Weight<'_>| matches!(w, Weight::Lif(l) if fits(l));
        self.weight(s.layer, layer, || format!("a layer of {} inputs and {} neurons", s.inputs, s.outputs))?;
        self.buffers(&[("spikes", s.spikes, s.batch * s.steps * s.inputs / 32)])?;
        let out = ("out", s.out, s.batch * s.steps * s.outputs / 32);
        self.out(&[out, ("potential", s.potential, s.batch * s.outputs)], &[s.spikes])
    }

    fn encode(&self, s: &Encode) -> Result<(), PlanError> {
        self.width(s.width, 4)?;
        if let Range::Fixed { step } = s.range {
            let ok = (ENCODE_MIN..=1.0 / ENCODE_MIN).contains(&step);
            self.value("step", step.to_bits() as usize, ok, || {
                "the bits of a step of 2^-100 to 2^100".into()
            })?;
        }
        let finite = |_, word: usize| f32::from_bits(word as u32).is_finite();
        self.uploaded(s.input, "input", finite, || "the bits of a finite number".into())?;
        self.buffers(&[("input", s.input, s.rows * s.width)])?;
        let codes = ("codes", s.codes, s.rows * s.width / 4);
        self.out(&[codes, ("steps", s.steps, s.rows)], &[s.input])
    }

    /// A scan whose queries have `words` words each.
    fn scan(&self, step: &Scan, words: usize) -> Result<(), PlanError> {
        let s = step;
        let multiple = if words * 32 == s.width { 32 } else { 4 };
        self.width(s.width, multiple)?;
        self.value("k", s.k, (1..=MAX_K).contains(&s.k), || format!("1 to {MAX_K}"))?;
        self.value("group", s.group, s.group > 0, || "at least 1".into())?;
        let mut height = 0;
        let table = |w: &Weight<'_>| {
            let (width, len, terms, a_word) = match w {
                Weight::Vectors(v) => (v.width, v.codes.len(), terms(&v.score), 4),
                Weight::FloatVectors(v) => (v.width, v.values.len(), float_terms(&v.score), 1),
                Weight::BitVectors(v) => (v.width, v.bits.len() * 32, None, 32),
                _ => return false,
            };
            let ok = width == s.width && len % width == 0 && words * a_word == width;
            height = if ok { len / width } else { 0 };
            ok && terms.is_none_or(|t| t == height)
        };
        self.weight(s.vectors, table, || format!("vectors of width {}", s.width))?;
        let end = s.first.saturating_add(s.rows);
        self.value("first + rows", end, end <= height && height < u32::MAX as usize, || {
            format!("at most {height}")
        })?;
        let filter = s.filter.unwrap_or(s.input);
        let filter_words = if s.filter.is_some() { height.div_ceil(32) } else { 0 };
        self.buffers(&[("input", s.input, s.queries * words), ("filter", filter, filter_words)])?;
        self.out(&[("out", s.out, s.queries * s.lists() * s.k * 2)], &[s.input, filter])
    }

    fn width(&self, width: usize, multiple: usize) -> Result<(), PlanError> {
        let ok = width > 0 && width <= MAX_WIDTH && width.is_multiple_of(multiple);
        self.value("width", width, ok, || format!("a multiple of {multiple}, at most {MAX_WIDTH}"))
    }

    fn words(&self, buffer: BufferId) -> Result<usize, PlanError> {
        let buffers = &self.plan.buffers;
        let missing =
            || PlanError::NoSuchBuffer { place: (self.place)(), buffer: buffer.0, buffers: buffers.len() };
        buffers.get(buffer.0).copied().ok_or_else(missing)
    }

    fn exact(&self, what: &'static str, found: usize, wanted: usize) -> Result<(), PlanError> {
        if found == wanted {
            return Ok(());
        }
        Err(PlanError::Length { place: (self.place)(), what, found, wanted })
    }

    /// Reuse of one buffer for several shapes is allowed, so a buffer may be longer than a step needs.
    fn buffers(&self, uses: &[(&'static str, BufferId, usize)]) -> Result<(), PlanError> {
        for &(what, buffer, wanted) in uses {
            let found = self.words(buffer)?;
            if found < wanted {
                return Err(PlanError::Length { place: (self.place)(), what, found, wanted });
            }
        }
        Ok(())
    }

    fn out(&self, outs: &[(&'static str, BufferId, usize)], reads: &[BufferId]) -> Result<(), PlanError> {
        self.buffers(outs)?;
        for (i, &(what, buffer, _)) in outs.iter().enumerate() {
            if reads.contains(&buffer) || outs[..i].iter().any(|o| o.1 == buffer) {
                return Err(PlanError::Alias { place: (self.place)(), what });
            }
        }
        Ok(())
    }

    fn value(
        &self,
        what: &'static str,
        value: usize,
        ok: bool,
        rule: impl FnOnce() -> String,
    ) -> Result<(), PlanError> {
        if ok { Ok(()) } else { Err(PlanError::Value { place: (self.place)(), what, value, rule: rule() }) }
    }

    fn groups(&self, groups: [usize; MAX_GROUPS], width: usize) -> Result<(), PlanError> {
        let sum = groups.iter().sum();
        let used = groups.iter().take_while(|&&g| g > 0).count();
        let ok = sum == width && used > 0 && groups[used..].iter().all(|&g| g == 0);
        self.value("groups", sum, ok && groups.iter().all(|g| g % 4 == 0), || {
            format!("multiples of 4 that cover {width}, unused ones last")
        })
    }

    fn weight(
        &self,
        id: WeightId,
        ok: impl FnOnce(&Weight<'a>) -> bool,
        wanted: impl FnOnce() -> String,
    ) -> Result<Option<Weight<'a>>, PlanError> {
        let weight = (id.0 < self.weights.len()).then(|| self.weights.get(id));
        match weight {
            Some(weight) if ok(&weight) => Ok(Some(weight)),
            _ => Err(PlanError::Weight { place: (self.place)(), weight: id.0, wanted: wanted() }),
        }
    }

    fn embedding(&self, id: WeightId, width: usize) -> Result<EmbeddingWeight<'a>, PlanError> {
        let fits = |t: &EmbeddingWeight<'_>| {
            t.width == width
                && t.word.len() == t.word_scale.len() * width
                && t.position.len() % width == 0
                && t.position_shift <= 16
        };
        let ok = |w: &Weight<'_>| matches!(w, Weight::Embedding(t) if fits(t));
        match self.weight(id, ok, || format!("embedding tables of width {width}"))? {
            Some(Weight::Embedding(table)) => Ok(table),
            _ => unreachable!("the check above admits nothing else"),
        }
    }

    fn gemm(&self, id: WeightId) -> Result<GemmWeight<'a>, PlanError> {
        let fits = |w: &GemmWeight<'_>| {
            w.sections.iter().all(|s| {
                let n = s.outputs;
                n % PANEL == 0 && s.q.len() == n * w.k && s.mc.len() == n && s.bias.len() == n
            })
        };
        let ok = |w: &Weight<'_>| matches!(w, Weight::Gemm(g) if fits(g));
        match self.weight(id, ok, || "a matrix".into())? {
            Some(Weight::Gemm(gemm)) => self.groups(gemm.groups, gemm.k).map(|()| gemm),
            _ => unreachable!("the check above admits nothing else"),
        }
    }

    /// Indices must come from the host: a kernel that trusted computed indices could read out of bounds.
    fn uploaded(
        &self,
        buffer: BufferId,
        what: &'static str,
        ok: impl Fn(usize, usize) -> bool,
        rule: impl Fn() -> String,
    ) -> Result<(), PlanError> {
        let upload = self.plan.uploads.iter().find(|u| u.buffer == buffer);
        let words = upload.map_or(&[][..], |u| &u.words);
        self.exact(what, words.len(), self.words(buffer)?)?;
        for (i, &word) in words.iter().enumerate() {
            self.value(what, word as usize, ok(i, word as usize), &rule)?;
        }
        Ok(())
    }

    /// Pairs of first row and length within `tokens` rows; `per_row` spans contain the row they belong to.
    fn spans(&self, buffer: BufferId, tokens: usize, per_row: bool, longest: usize) -> Result<(), PlanError> {
        let words = self.plan.uploads.iter().find(|u| u.buffer == buffer).map_or(&[][..], |u| &u.words);
        let ok = |i: usize, word: usize| {
            if i % 2 == 0 {
                return word < tokens && (!per_row || word <= i / 2);
            }
            let first = words[i - 1] as usize;
            word >= 1 && word <= longest && first + word <= tokens && (!per_row || i / 2 < first + word)
        };
        self.uploaded(buffer, "spans", ok, || format!("a span of at most {longest} within {tokens} rows"))
    }
}

/// Terms a score has a row.
fn terms(score: &Score<'_>) -> Option<usize> {
    match score {
        Score::Dot => None,
        Score::Scaled(terms) => Some(terms.len()),
        Score::Euclid(terms) => Some(terms.len()),
    }
}

fn float_terms(score: &FloatScore<'_>) -> Option<usize> {
    match score {
        FloatScore::Dot => None,
        FloatScore::Scaled(terms) | FloatScore::Euclid(terms) => Some(terms.len()),
    }
}

fn is_permutation(places: &[u16], width: usize) -> bool {
    let mut seen = vec![false; width];
    places.len() == width
        && places.iter().all(|&p| (p as usize) < width && !std::mem::replace(&mut seen[p as usize], true))
}
