//! Places on a slice and on the model's square input, each with a type of its own.
//!
//! One rule for boxes, SAM 2's and the older scripts': both corners belong to the box, so `x1` is
//! its last column, not one past it. Half-open boxes are `ild_io::BoundingBox`.

/// Rows and columns of a slice, px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A place on a slice, px from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicePoint {
    /// Column.
    pub x: f64,
    /// Row.
    pub y: f64,
}

/// A box on a slice, px from 0; both corners belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceBox {
    /// First column.
    pub x0: f64,
    /// First row.
    pub y0: f64,
    /// Last column.
    pub x1: f64,
    /// Last row.
    pub y1: f64,
}

/// A place on the model's `side` × `side` input, px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputPoint {
    /// Column.
    pub x: f64,
    /// Row.
    pub y: f64,
}

/// A box on the model's input, px; both corners belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputBox {
    /// First column.
    pub x0: f64,
    /// First row.
    pub y0: f64,
    /// Last column.
    pub x1: f64,
    /// Last row.
    pub y1: f64,
}

impl SlicePoint {
    /// The same place on an input of `side` × `side` px.
    ///
    /// Divides first and multiplies then, in f64, as the reference does: results are equal to the
    /// last bit.
    #[must_use]
    pub fn to_input(self, size: SliceSize, side: usize) -> InputPoint {
        let side = side as f64;
        InputPoint { x: self.x / size.width as f64 * side, y: self.y / size.height as f64 * side }
    }
}

impl SliceBox {
    /// From `x0, y0, x1, y1`.
    #[must_use]
    pub fn new([x0, y0, x1, y1]: [f64; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }

    /// `x0, y0, x1, y1`.
    #[must_use]
    pub fn corners(self) -> [f64; 4] {
        [self.x0, self.y0, self.x1, self.y1]
    }

    /// The same box on an input of `side` × `side` px.
    #[must_use]
    pub fn to_input(self, size: SliceSize, side: usize) -> InputBox {
        let first = SlicePoint { x: self.x0, y: self.y0 }.to_input(size, side);
        let last = SlicePoint { x: self.x1, y: self.y1 }.to_input(size, side);
        InputBox { x0: first.x, y0: first.y, x1: last.x, y1: last.y }
    }

    /// Whether pixel (`x`, `y`) lies in the box.
    #[must_use]
    pub fn holds(self, x: usize, y: usize) -> bool {
        let (x, y) = (x as f64, y as f64);
        x >= self.x0 && x <= self.x1 && y >= self.y0 && y <= self.y1
    }
}

impl InputPoint {
    /// `x, y` as the prompt encoder takes them.
    #[must_use]
    pub fn to_f32(self) -> [f32; 2] {
        [self.x as f32, self.y as f32]
    }
}

impl InputBox {
    /// From `x0, y0, x1, y1`.
    #[must_use]
    pub fn new([x0, y0, x1, y1]: [f64; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }

    /// `x0, y0, x1, y1` as the prompt encoder takes them.
    #[must_use]
    pub fn to_f32(self) -> [f32; 4] {
        [self.x0 as f32, self.y0 as f32, self.x1 as f32, self.y1 as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_stretched_to_the_square_input() {
        let size = SliceSize { height: 128, width: 512 };
        let found = SliceBox::new([256.0, 32.0, 511.0, 127.0]).to_input(size, 1024);
        assert_eq!(found.to_f32(), [512.0, 256.0, 1022.0, 1016.0]);
    }

    #[test]
    fn both_corners_belong_to_the_box() {
        let drawn = SliceBox::new([2.0, 3.0, 4.0, 3.0]);
        assert!(drawn.holds(2, 3) && drawn.holds(4, 3));
        assert!(!drawn.holds(5, 3) && !drawn.holds(4, 4));
    }
}
