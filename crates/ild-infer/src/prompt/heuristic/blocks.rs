//! The lung in coarse blocks, and the regions that suspicious ones make.

use std::collections::BTreeMap;

use ild_io::Volume;
use ild_model::SliceBox;
use ndarray::{Array3, s};

use super::Candidate;
use super::texture::{Statistics, Texture};
use crate::coordinates::{Span, StackIndex};

/// Edge of a block in the slice and along z, mm: a few secondary-lobule walls wide, so that texture
/// shows.
const BLOCK_MM: [f64; 2] = [6.0, 5.0];
/// A block counts when this share of it is lung.
const LUNG_SHARE: f32 = 0.5;

/// The lung in coarse blocks.
pub(super) struct Blocks {
    /// Voxels of a block along z, y, x.
    edge: [usize; 3],
    shape_zyx: [usize; 3],
}

impl Blocks {
    pub(super) fn new(ct: &Volume) -> Self {
        let [dx, dy, dz] = ct.geometry.spacing_xyz_mm;
        let voxels = |mm: f64, spacing: f64| ((mm / spacing).round() as usize).max(1);
        Self {
            edge: [voxels(BLOCK_MM[1], dz), voxels(BLOCK_MM[0], dy), voxels(BLOCK_MM[0], dx)],
            shape_zyx: ct.geometry.shape_zyx,
        }
    }

    fn range(&self, axis: usize, i: usize) -> std::ops::Range<usize> {
        i * self.edge[axis]..((i + 1) * self.edge[axis]).min(self.shape_zyx[axis])
    }

    /// Texture of each block that is suspicious.
    pub(super) fn textures(
        &self,
        hu: &Array3<i16>,
        lung: &Array3<bool>,
    ) -> Array3<Option<Texture>> {
        let shape: [usize; 3] =
            std::array::from_fn(|axis| self.shape_zyx[axis].div_ceil(self.edge[axis]));
        let mut textures = Array3::from_elem(shape, None);
        ndarray::Zip::indexed(&mut textures).par_for_each(|(z, y, x), out| {
            let window = s![self.range(0, z), self.range(1, y), self.range(2, x)];
            let lung = lung.slice(window);
            let mut statistics = Statistics::default();
            ndarray::Zip::from(hu.slice(window)).and(lung).for_each(|&v, &inside| {
                if inside {
                    statistics.add(v);
                }
            });
            *out = if statistics.voxels >= LUNG_SHARE * lung.len() as f32 {
                statistics.texture()
            } else {
                None
            };
        });
        textures
    }

    pub(super) fn candidate(
        &self,
        region: &[[usize; 3]],
        textures: &Array3<Option<Texture>>,
        lung: &Array3<bool>,
        ct: &Volume,
    ) -> Candidate {
        let mut votes: BTreeMap<Texture, usize> = BTreeMap::new();
        let mut layers: BTreeMap<usize, Vec<[usize; 3]>> = BTreeMap::new();
        let mut voxels = 0;
        for &block in region {
            if let Some(texture) = textures[block] {
                *votes.entry(texture).or_default() += 1;
            }
            layers.entry(block[0]).or_default().push(block);
            let [z, y, x] = block;
            voxels += lung
                .slice(s![self.range(0, z), self.range(1, y), self.range(2, x)])
                .iter()
                .filter(|&&inside| inside)
                .count();
        }
        let texture = votes
            .into_iter()
            .max_by_key(|&(_, n)| n)
            .map_or(Texture::GroundGlass, |(texture, _)| texture);
        let lowest = region.iter().map(|b| b[0]).min().unwrap_or(0);
        let highest = region.iter().map(|b| b[0]).max().unwrap_or(0);
        let span = Span {
            first: StackIndex(self.range(0, lowest).start),
            last: StackIndex(self.range(0, highest).end - 1),
        };
        let blocks_of_widest = layers.values().map(Vec::len).max().unwrap_or(0);
        let widest: Vec<&Vec<[usize; 3]>> =
            layers.values().filter(|layer| layer.len() == blocks_of_widest).collect();
        let widest = widest.get(widest.len() / 2).map_or(region, |layer| layer.as_slice());
        let layer = self.range(0, widest[0][0]);
        let ends = |axis: usize| {
            let low = widest.iter().map(|b| self.range(axis, b[axis]).start).min().unwrap_or(0);
            let high = widest.iter().map(|b| self.range(axis, b[axis]).end).max().unwrap_or(0);
            [low as f64, high as f64 - 1.0]
        };
        let ([y0, y1], [x0, x1]) = (ends(1), ends(2));
        Candidate {
            texture,
            volume_ml: voxels as f64 * ct.geometry.voxel_volume_ml(),
            span,
            start: StackIndex(usize::midpoint(layer.start, layer.end - 1)),
            start_box: SliceBox::new([x0, y0, x1, y1]),
        }
    }
}

/// Gives each suspicious block the texture of most suspicious blocks around it, itself included; of
/// equally many the evener one.
///
/// The edge of a lesion runs through the blocks of its rim and raises their deviation, never lowers
/// it: a rim looks coarser than what it belongs to, and would split off as a region of its own.
pub(super) fn without_rims(textures: &Array3<Option<Texture>>) -> Array3<Option<Texture>> {
    let (depth, height, width) = textures.dim();
    let around = |i: usize, n: usize| i.saturating_sub(1)..(i + 2).min(n);
    let mut out = textures.clone();
    ndarray::Zip::indexed(&mut out).par_for_each(|(z, y, x), texture| {
        if texture.is_some() {
            let mut votes: BTreeMap<Texture, usize> = BTreeMap::new();
            for &neighbour in textures
                .slice(s![around(z, depth), around(y, height), around(x, width)])
                .iter()
                .flatten()
            {
                *votes.entry(neighbour).or_default() += 1;
            }
            *texture = votes
                .into_iter()
                .max_by_key(|&(texture, n)| (n, std::cmp::Reverse(texture)))
                .map(|(texture, _)| texture);
        }
    });
    out
}

/// Suspicious blocks that share a face and a texture.
pub(super) fn regions(textures: &Array3<Option<Texture>>) -> Vec<Vec<[usize; 3]>> {
    let mut seen = Array3::from_elem(textures.dim(), false);
    let mut regions = Vec::new();
    for ((z, y, x), texture) in textures.indexed_iter() {
        if texture.is_none() || std::mem::replace(&mut seen[[z, y, x]], true) {
            continue;
        }
        let (mut region, mut next) = (vec![[z, y, x]], 0);
        while let Some(&[z, y, x]) = region.get(next) {
            next += 1;
            let neighbours = [
                [z.wrapping_sub(1), y, x],
                [z + 1, y, x],
                [z, y.wrapping_sub(1), x],
                [z, y + 1, x],
                [z, y, x.wrapping_sub(1)],
                [z, y, x + 1],
            ];
            for to in neighbours {
                if textures.get(to) == Some(texture) && !std::mem::replace(&mut seen[to], true) {
                    region.push(to);
                }
            }
        }
        regions.push(region);
    }
    regions
}
