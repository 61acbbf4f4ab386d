//! Hashes and pseudo-random numbers: what keeps ten million keys small and every run repeatable.

use std::hash::{DefaultHasher, Hash, Hasher};

/// An idempotency key as 128 bits. Two keys of ten million meet with a probability of 1e-25.
///
/// Lives in memory only, so it need not be the same in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u64; 2]);

impl KeyId {
    /// The id of a key.
    pub fn of(key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(key.as_bytes());
        let first = hasher.finish();
        hasher.write_u8(1);
        Self([first, hasher.finish()])
    }

    /// A shard number below `shards`, independent of the bits that the shard's map uses.
    pub fn shard(self, shards: usize) -> usize {
        (self.0[1] % shards as u64) as usize
    }

    /// 64 bits for a decision that must be the same each time this key is seen.
    pub fn bits(self) -> u64 {
        self.0[1]
    }
}

impl Hash for KeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Passes a [`KeyId`] through: it is a hash already.
#[derive(Debug, Default, Clone, Copy)]
pub struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.rotate_left(5) ^ value;
    }
}

/// FNV-1a over the fields of a request: equal fields, equal fingerprint, for ever.
///
/// It is stored in the ledger, so its definition must not change.
#[derive(Debug, Clone, Copy)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of nothing.
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a field, or its absence. A separator keeps `("ab", "c")` apart from `("a", "bc")`.
    pub fn field(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(text) => {
                text.bytes().for_each(|byte| self.byte(byte));
                self.byte(0xff); // never part of UTF-8
            }
            None => self.byte(0xfe),
        }
        self
    }

    /// Adds a number.
    pub fn number(&mut self, value: u64) -> &mut Self {
        value.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
        self
    }

    /// The 64 bits.
    pub fn finish(&self) -> u64 {
        self.0
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::new()
    }
}

/// SplitMix64: one multiplication chain, seedable anywhere in its sequence.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    /// The dice of the `n`th request under `seed`.
    pub fn new(seed: u64, n: u64) -> Self {
        let mut dice = Self(seed ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(dice.bits())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}
