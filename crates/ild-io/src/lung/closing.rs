//! Binary morphology on one slice.

use ndarray::{Array2, ArrayViewMut2};

/// Dilates with a disc of `radius_mm` and erodes with the same: bridges what is narrower than two
/// radii.
///
/// Beyond the slice there is neither lung nor anything else: lung at the border is not eroded from
/// there.
pub(super) fn close(mut mask: ArrayViewMut2<bool>, radius_mm: f64, spacing_xy_mm: [f64; 2]) {
    if !mask.iter().any(|&v| v) {
        return;
    }
    let grown = dilate(&mask.to_owned(), radius_mm, spacing_xy_mm);
    let outside = dilate(&grown.mapv(|v| !v), radius_mm, spacing_xy_mm);
    // A closing never removes anything; the `|=` keeps that true at the border.
    mask.zip_mut_with(&outside, |inside, &out| *inside |= !out);
}

/// Every pixel whose centre is at most `radius_mm` from a pixel of `mask`.
pub(super) fn dilate(
    mask: &Array2<bool>,
    radius_mm: f64,
    [dx_mm, dy_mm]: [f64; 2],
) -> Array2<bool> {
    let (height, width) = mask.dim();
    let reach = (radius_mm / dx_mm).floor() as usize;
    // Furthest row offset at each column offset, from the disc's equation.
    let rows_at: Vec<u32> = (0..=reach)
        .map(|i| {
            ((radius_mm.powi(2) - (i as f64 * dx_mm).powi(2)).max(0.0).sqrt() / dy_mm).floor()
                as u32
        })
        .collect();
    let distance = rows_to_nearest(mask);
    Array2::from_shape_fn((height, width), |(y, x)| {
        let near = |x: usize, offset: usize| distance[[y, x]] <= rows_at[offset];
        (0..=reach).any(|offset| {
            (x >= offset && near(x - offset, offset))
                || (x + offset < width && near(x + offset, offset))
        })
    })
}

/// Distance in rows to the nearest pixel of `mask` in the same column; `u32::MAX` when there is
/// none.
fn rows_to_nearest(mask: &Array2<bool>) -> Array2<u32> {
    let (height, width) = mask.dim();
    let mut distance = Array2::from_elem((height, width), u32::MAX);
    for x in 0..width {
        let mut last = u32::MAX;
        for y in 0..height {
            last = if mask[[y, x]] { 0 } else { last.saturating_add(1) };
            distance[[y, x]] = last;
        }
        last = u32::MAX;
        for y in (0..height).rev() {
            last = if mask[[y, x]] { 0 } else { last.saturating_add(1) };
            distance[[y, x]] = distance[[y, x]].min(last);
        }
    }
    distance
}

/// Removes every piece of `mask` that reaches the border of the slice (neighbours share a side).
pub(super) fn clear_from_border(mut mask: ArrayViewMut2<bool>) {
    let (height, width) = mask.dim();
    let border = (0..width)
        .flat_map(|x| [(0, x), (height - 1, x)])
        .chain((0..height).flat_map(|y| [(y, 0), (y, width - 1)]));
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for at in border {
        if std::mem::replace(&mut mask[at], false) {
            stack.push(at);
        }
    }
    while let Some((y, x)) = stack.pop() {
        for to in [(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)] {
            if let Some(here) = mask.get_mut(to)
                && std::mem::replace(here, false)
            {
                stack.push(to);
            }
        }
    }
}

/// Adds what `mask` encloses.
pub(super) fn fill_holes(mut mask: ArrayViewMut2<bool>) {
    if !mask.iter().any(|&v| v) {
        return;
    }
    let mut enclosed = mask.mapv(|v| !v);
    clear_from_border(enclosed.view_mut());
    mask.zip_mut_with(&enclosed, |inside, &hole| *inside |= hole);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &[&str]) -> Array2<bool> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| rows[y].as_bytes()[x] == b'#')
    }

    #[test]
    fn dilation_is_a_disc_in_millimetres() {
        let mut mask = Array2::from_elem((21, 21), false);
        mask[[10, 10]] = true;
        let grown = dilate(&mask, 4.0, [1.0, 2.0]);
        for ((y, x), &inside) in grown.indexed_iter() {
            let (dy, dx) = ((y as f64 - 10.0) * 2.0, x as f64 - 10.0);
            assert_eq!(inside, dx * dx + dy * dy <= 16.0, "{y} {x}");
        }
    }

    #[test]
    fn a_notch_is_closed_and_a_wide_bay_stays_open() {
        let mut mask = parse(&[
            "##########",
            "###.######",
            "###.######",
            "##########",
            "....######",
            "....######",
            "....######",
            "....######",
        ]);
        close(mask.view_mut(), 1.0, [1.0, 1.0]);
        assert!(mask[[1, 3]] && mask[[2, 3]]);
        assert!(!mask[[5, 1]]);
    }

    #[test]
    fn only_what_is_enclosed_is_filled() {
        let mut mask = parse(&[".....", ".###.", ".#.#.", ".###.", "....."]);
        fill_holes(mask.view_mut());
        assert_eq!(mask, parse(&[".....", ".###.", ".###.", ".###.", "....."]));
    }
}
