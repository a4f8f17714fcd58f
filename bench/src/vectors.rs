//! Vectors to search: sentence embeddings made here once and kept, and the exact answers they are judged by.

use std::{
    fmt, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

use edge_net::{Device, local};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    Error,
    engines::{Fields, root},
    sentences,
};

/// Files of little-endian f32 rows, as every engine reads them.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) base: PathBuf,
    pub(crate) base_rows: usize,
    pub(crate) queries: PathBuf,
    pub(crate) query_rows: usize,
    pub(crate) width: usize,
    /// Of both files, base first.
    pub(crate) sha256: String,
}

impl Rows {
    /// 100,000 unit embeddings of real sentences and 1,000 more as queries, by this machine's own texts. Made on first
    /// use, which takes minutes; the checksum says whether two records speak of the same.
    pub(crate) fn sentences() -> Result<Rows, Error> {
        let folder = root().join("target/bench");
        let stem = format!("knn-{BASE_ROWS}x{WIDTH}");
        let (base, queries) =
            (folder.join(format!("{stem}.bin")), folder.join(format!("{stem}-queries.bin")));
        let note = folder.join(format!("{stem}.json"));
        let noted = fs::read(&note).ok().and_then(|n| serde_json::from_slice::<Note>(&n).ok());
        let sha256 = match noted {
            Some(noted) if checksum(&[&base, &queries]).is_ok_and(|found| found == noted.sha256) => {
                noted.sha256
            }
            _ => {
                make(&base, &queries)?;
                let sha256 = checksum(&[&base, &queries])?;
                let text = serde_json::to_vec(&Note { sha256: sha256.clone() });
                let text = text.map_err(|error| Error::Json { what: shown(&note), error })?;
                fs::write(&note, text).map_err(Error::io(shown(&note)))?;
                sha256
            }
        };
        Ok(Rows { base, base_rows: BASE_ROWS, queries, query_rows: QUERY_ROWS, width: WIDTH, sha256 })
    }

    /// What a peer's `load` carries.
    pub(crate) fn fields(&self) -> Fields {
        let fields =
            json!({"base": self.base, "queries": self.queries, "width": self.width, "rows": self.base_rows});
        fields.as_object().cloned().unwrap_or_default()
    }

    /// What a record says.
    pub(crate) fn subject(&self) -> Fields {
        let subject = json!({"vectors": self.to_string(), "sha256": self.sha256});
        subject.as_object().cloned().unwrap_or_default()
    }

    /// The true neighbours of every query by inner product.
    pub(crate) fn nearest(&self, k: usize) -> Result<Nearest, Error> {
        let base = read(&self.base, self.width, self.base_rows)?;
        let queries = read(&self.queries, self.width, self.query_rows)?;
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let share = self.query_rows.div_ceil(threads) * self.width;
        let worst = thread::scope(|scope| {
            let shares = queries.chunks(share.max(self.width));
            let running: Vec<_> =
                shares.map(|queries| scope.spawn(|| kth_best(&base, queries, self.width, k))).collect();
            let joined =
                running.into_iter().map(|r| r.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
            joined.flatten().collect()
        });
        Ok(Nearest { base, queries, width: self.width, k, worst })
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rows { base_rows, query_rows, width, .. } = self;
        write!(f, "{base_rows} x {width} sentence embeddings, {query_rows} queries")
    }
}

/// Exact answers.
pub(crate) struct Nearest {
    base: Vec<f32>,
    queries: Vec<f32>,
    width: usize,
    k: usize,
    /// Similarity of each query's k-th neighbour.
    worst: Vec<f64>,
}

impl Nearest {
    /// Share of true neighbours among the ids found for the first queries. An id counts if it is as similar as the true
    /// k-th, so that equal rows are no misses.
    ///
    /// # Errors
    /// [`Error::Wrong`] if a query has another number of ids, one twice, or one that does not exist.
    pub(crate) fn recall(&self, engine: &str, ids: &[Vec<u64>]) -> Result<f64, Error> {
        let wrong =
            |problem: &str, query| Error::Wrong(format!("{engine} gives {problem} for query {query}"));
        let mut hits = 0;
        for (query, found) in ids.iter().enumerate() {
            let mut distinct = found.clone();
            distinct.sort_unstable();
            distinct.dedup();
            if found.len() != self.k || distinct.len() != self.k || query >= self.worst.len() {
                return Err(wrong("too few, too many or repeated ids", query));
            }
            let at = &self.queries[query * self.width..][..self.width];
            for &id in found {
                let row = usize::try_from(id).ok().and_then(|id| self.base.chunks_exact(self.width).nth(id));
                let row = row.ok_or_else(|| wrong("an id that does not exist", query))?;
                hits += usize::from(exact(at, row) >= self.worst[query] - SAME);
            }
        }
        Ok(hits as f64 / (ids.len() * self.k).max(1) as f64)
    }
}

/// The first `count` rows of a file.
pub(crate) fn read(path: &Path, width: usize, count: usize) -> Result<Vec<f32>, Error> {
    let bytes = fs::read(path).map_err(Error::io(shown(path)))?;
    let Some(bytes) = bytes.get(..count * width * 4) else {
        return Err(Error::engine(&shown(path), format!("has fewer than {count} rows of {width}")));
    };
    Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// Writes values as little-endian bytes.
pub(crate) fn write(path: &Path, values: &[f32]) -> Result<(), Error> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, bytes)).map_err(Error::io(shown(path)))
}

#[derive(Deserialize, Serialize)]
struct Note {
    sha256: String,
}

fn make(base: &Path, queries: &Path) -> Result<(), Error> {
    let texts = sentences::gather(BASE_ROWS + QUERY_ROWS)?;
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = local::Options { device: Device::Cpu, threads, ..local::Options::default() };
    let mut embedder = local::Embedder::open(&options)?;
    let mut values = Vec::with_capacity(texts.len() * WIDTH);
    for batch in texts.chunks(BATCH) {
        eprintln!("embedding {} of {} sentences", values.len() / WIDTH, texts.len());
        for embedding in embedder.embed(batch)? {
            let row = embedding.to_f32();
            let length = exact(&row, &row).sqrt() as f32;
            values.extend(row.iter().map(|v| v / length));
        }
    }
    let (base_values, query_values) = values.split_at(BASE_ROWS * WIDTH);
    write(base, base_values)?;
    write(queries, query_values)
}

fn checksum(files: &[&Path]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).map_err(Error::io(shown(file)))?);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Similarity of the k-th best row for each query: the best by f32, ordered by f64.
fn kth_best(base: &[f32], queries: &[f32], width: usize, k: usize) -> Vec<f64> {
    let kept = k + SPARE;
    let mut best: Vec<Vec<(f32, usize)>> = vec![Vec::with_capacity(kept + 1); queries.len() / width];
    for (block, rows) in base.chunks(BLOCK * width).enumerate() {
        for (query, best) in queries.chunks_exact(width).zip(&mut best) {
            for (row, values) in rows.chunks_exact(width).enumerate() {
                let score = quick(query, values);
                if best.len() < kept || score > best[kept - 1].0 {
                    best.insert(best.partition_point(|b| b.0 >= score), (score, block * BLOCK + row));
                    best.truncate(kept);
                }
            }
        }
    }
    let ordered = queries.chunks_exact(width).zip(&best).map(|(query, best)| {
        let mut scores: Vec<f64> =
            best.iter().map(|&(_, row)| exact(query, &base[row * width..][..width])).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores.get(k.min(scores.len()).wrapping_sub(1)).copied().unwrap_or(f64::NEG_INFINITY)
    });
    ordered.collect()
}

/// In sixteen sums, which the compiler keeps in vector registers.
fn quick(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a, b) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a.1.iter().zip(b.1).map(|(a, b)| a * b).sum::<f32>()
}

fn exact(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

const BASE_ROWS: usize = 100_000;
const QUERY_ROWS: usize = 1_000;
const WIDTH: usize = 384;
const BATCH: usize = 5_000;
/// Rows that stay in cache while all queries meet them.
const BLOCK: usize = 64;
/// Kept beyond k, far more than f32 can put out of order.
const SPARE: usize = 8;
/// Similarities this close are the same: far above rounding, far below any difference of meaning.
const SAME: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    /// Five rows and one query on a circle, in the order of their angle to it; the last two are equal.
    fn nearest(k: usize) -> Nearest {
        let base: Vec<f32> =
            [0.1f32, 0.2, 0.3, 0.4, 0.4].iter().flat_map(|a: &f32| [a.cos(), a.sin()]).collect();
        let queries = vec![1.0, 0.0];
        let worst = kth_best(&base, &queries, 2, k);
        Nearest { base, queries, width: 2, k, worst }
    }

    #[test]
    fn true_neighbours_are_hits_and_others_misses() {
        let exact = nearest(3);
        assert_eq!(exact.recall("x", &[vec![2, 0, 1]]).unwrap(), 1.0);
        assert_eq!(exact.recall("x", &[vec![0, 1, 3]]).unwrap(), 2.0 / 3.0);
        assert_eq!(nearest(4).recall("x", &[vec![0, 1, 2, 4]]).unwrap(), 1.0, "rows 3 and 4 are equal");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let exact = nearest(2);
        for (ids, why) in [(vec![0], "few"), (vec![0, 0], "repeated"), (vec![0, 5], "not exist")] {
            assert!(exact.recall("x", &[ids]).unwrap_err().to_string().contains(why), "{why}");
        }
        assert!(exact.recall("x", &[vec![0, 1], vec![0, 1]]).is_err(), "there is one query");
    }

    #[test]
    fn quick_and_exact_agree() {
        let a: Vec<f32> = (0..37).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..37).map(|i| (i as f32 * 0.11).cos()).collect();
        assert!((f64::from(quick(&a, &b)) - exact(&a, &b)).abs() < 1e-5);
    }
}
