//! Unique identifiers that are the same for the same content.

use sha2::{Digest, Sha256};

/// Content of which an object is made, in parts.
#[derive(Clone, Default)]
pub(in crate::files) struct Content(Sha256);

impl Content {
    /// Adds a part; where parts end is part of the content.
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        self.0.update((part.as_ref().len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// A UID for what this content is used as: `2.25.` and a UUID in decimal (PS3.5 B.2), version 8
    /// of RFC 9562, whose bits are the digest's.
    pub fn uid(&self, used_as: &str) -> String {
        let digest = self.clone().with(used_as).0.finalize();
        let mut bytes: [u8; 16] = std::array::from_fn(|i| digest[i]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        format!("2.25.{}", u128::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_uid_and_any_other_another() {
        let of = |parts: &[&str], used_as| {
            parts.iter().fold(Content::default(), |content, part| content.with(part)).uid(used_as)
        };
        assert_eq!(of(&["a", "b"], "series"), of(&["a", "b"], "series"));
        assert_ne!(of(&["a", "b"], "series"), of(&["a", "b"], "instance"));
        assert_ne!(of(&["a", "b"], "series"), of(&["ab", ""], "series"));
        let uid = of(&["a"], "series");
        assert!(uid.len() <= 64 && uid.starts_with("2.25."), "{uid}");
    }
}
