//! Identifiers and chance from one seed, so that the same requests give the same answers.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A counted stream of hashes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dice {
    seed: u64,
    rolled: u64,
}

impl Dice {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, rolled: 0 }
    }

    fn roll(&mut self) -> [u8; 32] {
        self.rolled += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(self.rolled.to_be_bytes());
        hash.finalize().into()
    }

    /// A guid in lower case.
    pub fn guid(&mut self) -> String {
        guid_of(&self.roll())
    }

    /// A secret of 64 hexadecimal digits.
    pub fn secret(&mut self) -> String {
        hex(&self.roll())
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        let r = self.roll();
        let n = r[..8].iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) >> 11;
        n as f64 / (1u64 << 53) as f64
    }
}

/// Format sixteen bytes as a guid of version 4's shape.
pub fn guid_of(bytes: &[u8; 32]) -> String {
    let h = hex(&bytes[..16]);
    format!("{}-{}-4{}-8{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..32])
}

/// A guid that always belongs to the same text: request ids that aren't worth a roll, object ids left out of a world.
pub fn guid_for(text: &str) -> String {
    guid_of(&Sha256::digest(text.as_bytes()).into())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// HMAC-SHA-256 of `message` under `key` (any length).
pub fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length, so the constructor's error can't occur; an empty key would be the fallback.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream() {
        let (mut a, mut b, mut c) = (Dice::new(1), Dice::new(1), Dice::new(2));
        let first = a.guid();
        assert_eq!(first, b.guid());
        assert_ne!(first, c.guid());
        assert_ne!(first, a.guid());
        assert_eq!(first.len(), 36);
        assert!((0.0..1.0).contains(&a.unit()));
    }
}
