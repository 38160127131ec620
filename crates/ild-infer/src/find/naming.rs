//! The class of a piece of lesion, from all its voxels: texture is a property of a region, and
//! voxel by voxel it is salt and pepper.

/// Probabilities below this count as this, so that a single voxel cannot forbid a class.
const LEAST: f32 = 1e-3;

/// What speaks for each class, summed over voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct Votes {
    /// `Σ p·log q_c`.
    log_likelihood: Vec<f64>,
    /// `Σ p`.
    weight: f64,
}

impl Votes {
    /// None yet, for `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { log_likelihood: vec![0.0; classes], weight: 0.0 }
    }

    /// A voxel that is diseased with probability `p`, and of each class with `q`.
    pub fn add(&mut self, p: f32, q: impl Iterator<Item = f32>) {
        for (sum, q) in self.log_likelihood.iter_mut().zip(q) {
            *sum += f64::from(p) * f64::from(q.max(LEAST).ln());
        }
        self.weight += f64::from(p);
    }

    /// All votes of both.
    pub fn join(&mut self, other: &Self) {
        for (sum, more) in self.log_likelihood.iter_mut().zip(&other.log_likelihood) {
            *sum += more;
        }
        self.weight += other.weight;
    }

    /// The class channel that most speaks for, and its probability among all: that of the mean
    /// voxel, `softmax(Σ p·log q / Σ p)`, because neighbouring voxels are no independent witnesses.
    #[must_use]
    pub fn winner(&self) -> (usize, f64) {
        let mean: Vec<f64> =
            self.log_likelihood.iter().map(|sum| sum / self.weight.max(f64::EPSILON)).collect();
        let (best, top) =
            mean.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
        let sum: f64 = mean.iter().map(|value| (value - top).exp()).sum();
        (best, 1.0 / sum.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_doubtful_voxels_outvote_a_sure_one() {
        let mut votes = Votes::new(2);
        votes.add(1.0, [0.001, 0.999].into_iter());
        (0..30).for_each(|_| votes.add(0.8, [0.7, 0.3].into_iter()));
        let (class, confidence) = votes.winner();
        assert_eq!(class, 0);
        assert!((0.5..0.7).contains(&confidence), "{confidence}");
    }

    #[test]
    fn votes_of_two_pieces_are_those_of_both() {
        let (mut a, mut b, mut both) = (Votes::new(2), Votes::new(2), Votes::new(2));
        a.add(0.5, [0.9, 0.1].into_iter());
        b.add(0.9, [0.2, 0.8].into_iter());
        both.add(0.5, [0.9, 0.1].into_iter());
        both.add(0.9, [0.2, 0.8].into_iter());
        a.join(&b);
        assert_eq!(a, both);
    }
}
