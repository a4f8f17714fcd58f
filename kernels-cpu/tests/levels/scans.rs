//! Shapes for the scans, and how a scan is run.

use kernels_cpu::ScanArgs;

use crate::inputs::Random;

/// A scan without its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) queries: usize,
    pub(crate) k: usize,
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) group: usize,
    pub(crate) filter: Filter,
}

/// Which rows a filter lets pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Filter {
    Absent,
    Nothing,
    One,
    Half,
}

impl Shape {
    /// Rows of the table: some lie before and after those looked at.
    pub(crate) fn height(&self) -> usize {
        self.first + self.rows + 3
    }

    pub(crate) fn lists(&self) -> usize {
        self.rows.div_ceil(self.group)
    }

    pub(crate) fn bits(&self, random: &mut Random) -> Option<Vec<u32>> {
        let mut words = vec![0; self.height().div_ceil(32)];
        match self.filter {
            Filter::Absent => return None,
            Filter::Nothing => {}
            Filter::One if self.rows == 0 => {}
            Filter::One => {
                let row = self.first + self.rows * 2 / 3;
                words[row / 32] = 1 << (row % 32);
            }
            Filter::Half => words = random.values(words.len(), 0, i64::from(u32::MAX)),
        }
        Some(words)
    }

    /// What `run` writes when given this scan of a table.
    pub(crate) fn run<Q, V>(
        &self,
        queries: &[Q],
        vectors: &V,
        filter: Option<&[u32]>,
        run: impl Fn(ScanArgs<'_, Q, V>),
    ) -> Vec<[u32; 2]> {
        let mut out = vec![[7; 2]; self.queries * self.lists() * self.k];
        let (k, first, rows, group) = (self.k, self.first, self.rows, self.group);
        run(ScanArgs { k, first, rows, group, queries, vectors, filter, out: &mut out });
        out
    }
}

/// Widths by numbers of queries, each with a few of the other lengths; then tall tables, whose rows fill several
/// blocks of a cache.
pub(crate) fn shapes(widths: &[usize]) -> Vec<Shape> {
    let mut random = Random(20);
    let mut shapes = Vec::new();
    let filters =
        [Filter::Absent, Filter::Absent, Filter::Absent, Filter::Nothing, Filter::One, Filter::Half];
    for &width in widths {
        for queries in [0, 1, 3, 5, 17, 34] {
            for _ in 0..6 {
                let k = [1, 2, 10, 100, 256][random.within(0, 4) as usize];
                let rows = [0, 1, 3, 4, 11, 12, 13, 64, 67, 130][random.within(0, 9) as usize];
                let group = [1, k.max(2) - 1, 64, 1000, rows.max(1)][random.within(0, 4) as usize];
                let first = [0, 0, 5, 33][random.within(0, 3) as usize];
                let filter = filters[random.within(0, 5) as usize];
                shapes.push(Shape { width, queries, k, first, rows, group, filter });
            }
        }
    }
    let tall = Shape {
        width: widths[2],
        queries: 70,
        k: 10,
        first: 1,
        rows: 3001,
        group: 3001,
        filter: Filter::Absent,
    };
    shapes.push(Shape { group: 1000, filter: Filter::Half, ..tall });
    shapes.push(Shape { queries: 1, group: 999, ..tall });
    shapes.push(Shape { queries: 2, width: 1024, ..tall });
    shapes.push(Shape { filter: Filter::One, ..tall });
    shapes.push(tall);
    shapes
}
