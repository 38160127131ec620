//! Random numbers that depend only on what they are for, never on which thread asked first.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is used for; two purposes never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Order of the slices in an epoch.
    Order = 1,
    /// Label choice, box jitter and augmentation of one training item.
    Item = 2,
    /// The same for validation, alike in every epoch.
    Validation = 3,
    /// Choice of slices for the sanity picture.
    Picture = 4,
    /// Choice of the slices declared free of disease in an epoch.
    Healthy = 5,
}

/// The stream of `purpose` for item `position` of `epoch`.
#[must_use]
pub fn stream(seed: u64, purpose: Purpose, epoch: usize, position: usize) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, word) in
        key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch as u64, position as u64])
    {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn every_item_of_every_epoch_has_its_own_numbers() {
        let first = |purpose, epoch, position| stream(7, purpose, epoch, position).random::<u64>();
        let all = [
            first(Purpose::Item, 0, 0),
            first(Purpose::Item, 0, 1),
            first(Purpose::Item, 1, 0),
            first(Purpose::Order, 0, 0),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
        assert_eq!(all[0], first(Purpose::Item, 0, 0));
    }
}
