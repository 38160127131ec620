//! Which pieces of air inside the body are lung.

use std::cmp::Reverse;

use ndarray::Array3;

/// Smaller than this is an airway, a bulla outside the lung, bowel.
const SMALLEST_LUNG_ML: f64 = 100.0;
/// A second piece below this share of the first is no second lung.
const SECOND_TO_FIRST: f64 = 0.1;
/// Gas without tissue: mean HU below this is stomach, bowel or trachea.
const GAS_HU: f64 = -970.0;

#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    voxels: u64,
    hu_sum: f64,
}

/// Keeps the one or two largest pieces (neighbours share a face) that are large enough and not mere
/// gas.
pub(super) fn keep_lungs(mask: &mut Array3<bool>, hu: &Array3<i16>, voxel_ml: f64) {
    let (piece_of, pieces) = label(mask, hu);
    let mean = |p: &Piece| p.hu_sum / p.voxels as f64;
    let mut lungs: Vec<usize> = (0..pieces.len())
        .filter(|&i| {
            pieces[i].voxels as f64 * voxel_ml >= SMALLEST_LUNG_ML && mean(&pieces[i]) > GAS_HU
        })
        .collect();
    lungs.sort_by_key(|&i| Reverse(pieces[i].voxels));
    lungs.truncate(2);
    if let [first, second] = lungs[..]
        && (pieces[second].voxels as f64) < SECOND_TO_FIRST * pieces[first].voxels as f64
    {
        lungs.pop();
    }
    ndarray::Zip::from(mask)
        .and(&piece_of)
        .for_each(|inside, &piece| *inside = piece > 0 && lungs.contains(&(piece as usize - 1)));
}

/// Piece number of each voxel, from 1, and what the pieces are.
fn label(mask: &Array3<bool>, hu: &Array3<i16>) -> (Array3<u32>, Vec<Piece>) {
    let (depth, height, width) = mask.dim();
    let mut piece_of = Array3::<u32>::zeros(mask.dim());
    let mut pieces: Vec<Piece> = Vec::new();
    let mut stack: Vec<(usize, usize, usize)> = Vec::new();
    for (start, &inside) in mask.indexed_iter() {
        if !inside || piece_of[start] != 0 {
            continue;
        }
        pieces.push(Piece::default());
        let number = pieces.len() as u32;
        piece_of[start] = number;
        stack.push(start);
        while let Some((z, y, x)) = stack.pop() {
            let piece = &mut pieces[number as usize - 1];
            piece.voxels += 1;
            piece.hu_sum += f64::from(hu[[z, y, x]]);
            let mut visit = |to: (usize, usize, usize)| {
                if mask[to] && piece_of[to] == 0 {
                    piece_of[to] = number;
                    stack.push(to);
                }
            };
            if z > 0 {
                visit((z - 1, y, x))
            }
            if z + 1 < depth {
                visit((z + 1, y, x))
            }
            if y > 0 {
                visit((z, y - 1, x))
            }
            if y + 1 < height {
                visit((z, y + 1, x))
            }
            if x > 0 {
                visit((z, y, x - 1))
            }
            if x + 1 < width {
                visit((z, y, x + 1))
            }
        }
    }
    (piece_of, pieces)
}
