//! Where attention finds its rows: plain tensors, or windows of a packed projection.

use crate::window::WindowGrid;

/// Where the gradient of a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// A place in the main buffer of that part.
    At(usize),
    /// A padding token: into the bias, from this place on.
    Bias(usize),
}

/// Queries, keys or values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query = 0,
    Key = 1,
    Value = 2,
}

/// The independent attention problems of a call: one for each image, window and head.
pub(super) trait Source: Sync {
    /// Where the rows of one problem are.
    type Problem: Copy + Send + Sync;
    /// How many problems.
    fn problems(&self) -> usize;
    /// Problem `index`.
    fn problem(&self, index: usize) -> Self::Problem;
    /// Queries and keys of a problem.
    fn sizes(&self) -> (usize, usize);
    /// Channels of a head's query or key.
    fn dim(&self) -> usize;
    /// Channels of its value, and of its part of the result.
    fn value_dim(&self) -> usize {
        self.dim()
    }
    /// Row `i` of a part; queries before pooling are not for this.
    fn row(&self, problem: Self::Problem, part: Part, i: usize) -> &[f32];
    /// Copies query `i`.
    #[inline(always)]
    fn query(&self, problem: Self::Problem, i: usize, to: &mut [f32]) {
        to.copy_from_slice(self.row(problem, Part::Query, i));
    }
    /// Where output row `i` starts; `None` for a padding token.
    fn output(&self, problem: Self::Problem, i: usize) -> Option<usize>;
    /// Where the gradient of a row goes.
    fn slot(&self, problem: Self::Problem, part: Part, i: usize) -> Slot;
    /// Calls `put(slot, channel, value)` for each number of the gradient of query `i`.
    fn spread_query(
        &self,
        problem: Self::Problem,
        i: usize,
        gradient: &[f32],
        mut put: impl FnMut(Slot, usize, f32),
    ) {
        let slot = self.slot(problem, Part::Query, i);
        for (channel, &value) in gradient.iter().enumerate() {
            put(slot, channel, value);
        }
    }
}

/// `q` `[b, nq, heads, d]`, `k` `[b, nk, heads, d]` and `v` `[b, nk, heads, e]`.
pub(super) struct Plain<'a> {
    pub parts: [&'a [f32]; 3],
    pub layout: PlainLayout,
}

/// The sizes of plain attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainLayout {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub dim: usize,
    pub value_dim: usize,
}

/// An image and a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageHead {
    image: usize,
    head: usize,
}

impl PlainLayout {
    #[inline(always)]
    fn start(&self, problem: ImageHead, tokens: usize, i: usize, dim: usize) -> usize {
        ((problem.image * tokens + i) * self.heads + problem.head) * dim
    }

    /// Tokens and channels of a part.
    #[inline(always)]
    fn part(&self, part: Part) -> (usize, usize) {
        match part {
            Part::Query => (self.queries, self.dim),
            Part::Key => (self.keys, self.dim),
            Part::Value => (self.keys, self.value_dim),
        }
    }
}

impl Source for Plain<'_> {
    type Problem = ImageHead;

    fn problem(&self, index: usize) -> ImageHead {
        ImageHead { image: index / self.layout.heads, head: index % self.layout.heads }
    }

    fn problems(&self) -> usize {
        self.layout.batch * self.layout.heads
    }

    #[inline(always)]
    fn sizes(&self) -> (usize, usize) {
        (self.layout.queries, self.layout.keys)
    }

    fn dim(&self) -> usize {
        self.layout.dim
    }

    fn value_dim(&self) -> usize {
        self.layout.value_dim
    }

    #[inline(always)]
    fn row(&self, problem: Self::Problem, part: Part, i: usize) -> &[f32] {
        let Slot::At(start) = self.slot(problem, part, i) else {
            unreachable!("there is no padding")
        };
        &self.parts[part as usize][start..start + self.layout.part(part).1]
    }

    fn output(&self, problem: Self::Problem, i: usize) -> Option<usize> {
        Some(self.layout.start(problem, self.layout.queries, i, self.layout.value_dim))
    }

    #[inline(always)]
    fn slot(&self, problem: Self::Problem, part: Part, i: usize) -> Slot {
        let (tokens, dim) = self.layout.part(part);
        Slot::At(self.layout.start(problem, tokens, i, dim))
    }
}

/// Windows of `qkv` `[b, h, w, 3·heads·d]`; padding tokens are `bias` `[3·heads·d]`.
pub(super) struct Windows<'a> {
    pub qkv: &'a [f32],
    pub bias: &'a [f32],
    pub layout: WindowLayout,
}

/// The sizes of windowed attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowLayout {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub heads: usize,
    pub dim: usize,
    pub grid: WindowGrid,
    pub pool_query: bool,
}

/// A window and a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowHead {
    head: usize,
    /// The window's first token in the map, and its first output.
    first: usize,
    first_output: usize,
    /// Rows and columns from there to the map's end: beyond are padding tokens.
    height: usize,
    width: usize,
}

impl WindowLayout {
    /// `1/√d`.
    pub fn scale(&self) -> f32 {
        (1.0 / (self.dim as f64).sqrt()) as f32
    }

    /// How much smaller the map of queries is.
    fn step(&self) -> usize {
        if self.pool_query { 2 } else { 1 }
    }

    /// Where part `part` of token `(y, x)` of the window starts.
    #[inline(always)]
    fn token(&self, problem: WindowHead, part: Part, y: usize, x: usize) -> Slot {
        let channel = (part as usize * self.heads + problem.head) * self.dim;
        if y < problem.height && x < problem.width {
            Slot::At((problem.first + y * self.width + x) * 3 * self.heads * self.dim + channel)
        } else {
            Slot::Bias(channel)
        }
    }

    /// The four tokens that pooled query `i` is made of, in PyTorch's order.
    #[inline(always)]
    fn pooled(&self, problem: WindowHead, i: usize) -> [Slot; 4] {
        let across = self.grid.window_width / 2;
        let (y, x) = (i / across * 2, i % across * 2);
        [(0, 0), (0, 1), (1, 0), (1, 1)]
            .map(|(dy, dx)| self.token(problem, Part::Query, y + dy, x + dx))
    }
}

impl Windows<'_> {
    #[inline(always)]
    fn at(&self, slot: Slot) -> &[f32] {
        let dim = self.layout.dim;
        match slot {
            Slot::At(start) => &self.qkv[start..start + dim],
            Slot::Bias(start) => &self.bias[start..start + dim],
        }
    }
}

impl Source for Windows<'_> {
    type Problem = WindowHead;

    fn problem(&self, index: usize) -> WindowHead {
        let WindowLayout { height, width, heads, grid, .. } = self.layout;
        let (rest, head) = (index / heads, index % heads);
        let (rest, column) = (rest / grid.columns, rest % grid.columns);
        let (image, row) = (rest / grid.rows, rest % grid.rows);
        let (y, x) = (row * grid.window_height, column * grid.window_width);
        let step = self.layout.step();
        WindowHead {
            head,
            first: (image * height + y) * width + x,
            first_output: (image * (height / step) + y / step) * (width / step) + x / step,
            height: height - y,
            width: width - x,
        }
    }

    fn problems(&self) -> usize {
        self.layout.batch * self.layout.grid.rows * self.layout.grid.columns * self.layout.heads
    }

    #[inline(always)]
    fn sizes(&self) -> (usize, usize) {
        let tokens = self.layout.grid.window_height * self.layout.grid.window_width;
        (if self.layout.pool_query { tokens / 4 } else { tokens }, tokens)
    }

    fn dim(&self) -> usize {
        self.layout.dim
    }

    #[inline(always)]
    fn row(&self, problem: Self::Problem, part: Part, i: usize) -> &[f32] {
        self.at(self.slot(problem, part, i))
    }

    #[inline(always)]
    fn query(&self, problem: Self::Problem, i: usize, to: &mut [f32]) {
        if !self.layout.pool_query {
            to.copy_from_slice(self.row(problem, Part::Query, i));
            return;
        }
        let [first, rest @ ..] = self.layout.pooled(problem, i);
        to.copy_from_slice(self.at(first));
        for slot in rest {
            for (to, &value) in to.iter_mut().zip(self.at(slot)) {
                *to = if value > *to || value.is_nan() { value } else { *to };
            }
        }
    }

    #[inline(always)]
    fn output(&self, problem: WindowHead, i: usize) -> Option<usize> {
        let WindowLayout { width, heads, dim, grid, .. } = self.layout;
        let step = self.layout.step();
        let (y, x) = (i / (grid.window_width / step), i % (grid.window_width / step));
        let inside = y < problem.height / step && x < problem.width / step;
        inside
            .then(|| ((problem.first_output + y * (width / step) + x) * heads + problem.head) * dim)
    }

    #[inline(always)]
    fn slot(&self, problem: Self::Problem, part: Part, i: usize) -> Slot {
        let across = self.layout.grid.window_width;
        self.layout.token(problem, part, i / across, i % across)
    }

    fn spread_query(
        &self,
        problem: Self::Problem,
        i: usize,
        gradient: &[f32],
        mut put: impl FnMut(Slot, usize, f32),
    ) {
        if !self.layout.pool_query {
            let slot = self.slot(problem, Part::Query, i);
            for (channel, &value) in gradient.iter().enumerate() {
                put(slot, channel, value);
            }
            return;
        }
        let slots = self.layout.pooled(problem, i);
        for (channel, &value) in gradient.iter().enumerate() {
            let mut winner = 0;
            for candidate in 1..4 {
                let challenge = self.at(slots[candidate])[channel];
                if challenge > self.at(slots[winner])[channel] || challenge.is_nan() {
                    winner = candidate;
                }
            }
            put(slots[winner], channel, value);
        }
    }
}
