//! The branching trees of the lungs: arteries with the bronchi beside them, and veins.
//!
//! A tree grows from the hilum: points strewn through the lung are joined, nearest first, to the
//! branch that gives the shortest way (the idea of constrained constructive optimisation, Schreiner
//! & Buxbaum 1993, without its blood-flow equations). Radii follow Murray's law, r³ = Σ r³ of the
//! daughters, so branches taper towards the pleura by themselves.

use crate::draws::Draws;
use crate::patient::Patient;
use crate::solid::norm;
use crate::thorax::Level;
use crate::tubes::{Kind, Tube};

/// Ends of one tree in one lung.
const ENDS: usize = 900;
/// Radius of a last twig, patient mm.
const TWIG_MM: f32 = 0.58;
/// A way along existing branches counts this much of its length.
const DETOUR: f32 = 0.45;
/// Longest straight piece.
const PIECE_MM: f32 = 9.0;
/// Bronchi at least this wide show a wall in aerated lung.
const VISIBLE_MM: f32 = 1.3;

struct Node {
    at: [f32; 3],
    parent: usize,
    /// Length of the way to the root.
    way: f32,
    radius: f32,
}

/// All trees of one patient, in the patient frame.
pub(crate) fn lung_tubes(patient: &Patient, draws: &mut Draws) -> Vec<Tube> {
    let mut tubes = Vec::new();
    for side in [-1.0, 1.0] {
        let ends = strewn(patient, side, 2 * ENDS, draws);
        let (arteries, veins) = ends.split_at(ENDS.min(ends.len()));
        let artery = grow(place(patient, [side * 38.0, 10.0, 145.0]), arteries.to_vec(), draws);
        let vein = grow(place(patient, [side * 40.0, 22.0, 121.0]), veins.to_vec(), draws);
        tubes.extend(pieces(&artery).map(|(a, b, radii)| Tube { a, b, radii, kind: Kind::Vessel }));
        tubes.extend(pieces(&vein).map(|(a, b, radii)| Tube { a, b, radii, kind: Kind::Vessel }));
        tubes.extend(pieces(&artery).filter_map(beside));
    }
    tubes
}

fn place(patient: &Patient, reference: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|axis| reference[axis] * patient.scale[axis])
}

/// Points spread evenly over one lung, 1.5 mm or more inside it.
fn strewn(patient: &Patient, side: f32, wanted: usize, draws: &mut Draws) -> Vec<[f32; 3]> {
    let mut points = Vec::with_capacity(wanted);
    // A lung fills about a third of its box: the bound is never reached by a lung of human shape.
    for _ in 0..wanted * 40 {
        let reference = [
            side * draws.uniform(3.0, 132.0),
            draws.uniform(-88.0, 88.0),
            draws.uniform(-12.0, 262.0),
        ];
        let p = place(patient, reference);
        let (distances, _) = patient.distances_at(&Level::at(reference[2]), p);
        if distances.lung < -1.5 {
            points.push(p);
            if points.len() == wanted {
                break;
            }
        }
    }
    points
}

/// Joins `ends` to a tree rooted at `root`, and sets the radii.
fn grow(root: [f32; 3], mut ends: Vec<[f32; 3]>, draws: &mut Draws) -> Vec<Node> {
    let from_root = |p: &[f32; 3]| norm(std::array::from_fn::<f32, 3, _>(|i| p[i] - root[i]));
    ends.sort_by(|a, b| from_root(a).total_cmp(&from_root(b)));
    let mut nodes = vec![Node { at: root, parent: 0, way: 0.0, radius: 0.0 }];
    for end in ends {
        let cost = |node: &Node| distance(node.at, end) + DETOUR * node.way;
        let best = (0..nodes.len())
            .min_by(|&a, &b| cost(&nodes[a]).total_cmp(&cost(&nodes[b])))
            .unwrap_or(0);
        lead_to(&mut nodes, best, end, draws);
    }
    let mut cubes = vec![0.0f32; nodes.len()];
    for index in (0..nodes.len()).rev() {
        if cubes[index] == 0.0 {
            cubes[index] = TWIG_MM * TWIG_MM * TWIG_MM;
        }
        nodes[index].radius = cube_root(cubes[index]);
        if index > 0 {
            cubes[nodes[index].parent] += cubes[index];
        }
    }
    nodes
}

/// A slightly wavering way from node `from` to `end`, in short pieces.
fn lead_to(nodes: &mut Vec<Node>, from: usize, end: [f32; 3], draws: &mut Draws) {
    let (start, length) = (nodes[from].at, distance(nodes[from].at, end));
    let count = (length / PIECE_MM) as usize + 1;
    let mut parent = from;
    for piece in 1..=count {
        let t = piece as f32 / count as f32;
        let waver = if piece < count { 0.12 * PIECE_MM } else { 0.0 };
        let at =
            std::array::from_fn(|i| start[i] + (end[i] - start[i]) * t + draws.about(0.0, waver));
        let way = nodes[parent].way + distance(nodes[parent].at, at);
        nodes.push(Node { at, parent, way, radius: 0.0 });
        parent = nodes.len() - 1;
    }
}

fn pieces(nodes: &[Node]) -> impl Iterator<Item = ([f32; 3], [f32; 3], [f32; 2])> + '_ {
    nodes.iter().skip(1).map(|node| {
        let parent = &nodes[node.parent];
        // A thin side branch leaves a thick stem at its own width.
        (parent.at, node.at, [parent.radius.min(1.35 * node.radius), node.radius])
    })
}

/// The bronchus that runs beside an artery, as wide as it; a little wider at the ends, as infection
/// and fibrosis make them.
fn beside((a, b, radii): ([f32; 3], [f32; 3], [f32; 2])) -> Option<Tube> {
    let lumen = radii.map(|r| 0.8 * r + 0.25);
    if radii[1] < 0.7 {
        return None;
    }
    let aside = |p: [f32; 3], r: f32| [p[0], p[1] + 2.1 * r + 0.6, p[2] + 0.4 * r];
    let kind = if lumen[1] > VISIBLE_MM { Kind::Airway } else { Kind::Bronchiole };
    Some(Tube { a: aside(a, radii[0]), b: aside(b, radii[1]), radii: lumen, kind })
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    norm::<3>(std::array::from_fn(|i| a[i] - b[i]))
}

/// Newton's iteration, whose operations are exact to the last bit everywhere.
fn cube_root(value: f32) -> f32 {
    let mut root = value.max(1.0);
    for _ in 0..40 {
        root -= (root - value / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_taper_from_the_root_to_the_pleura() {
        let mut draws = Draws::new(3, 0);
        let ends = (0..200).map(|_| std::array::from_fn(|_| draws.uniform(0.0, 100.0))).collect();
        let nodes = grow([0.0; 3], ends, &mut draws);
        assert!(nodes.iter().skip(1).all(|node| nodes[node.parent].radius >= node.radius * 0.999));
        // Murray: the root carries every twig.
        let expected = TWIG_MM * 200f32.cbrt();
        assert!(
            nodes[0].radius > 0.5 * expected && nodes[0].radius <= 1.001 * expected,
            "{}",
            nodes[0].radius
        );
    }

    #[test]
    fn cube_roots_are_those_of_the_library() {
        for value in [0.1f32, 1.0, 8.0, 300.0] {
            // A few units in the last place.
            assert!((cube_root(value) - value.cbrt()).abs() < 1e-6 * value.max(1.0));
        }
    }
}
