//! Fields packed into 256 bits: millions of states are kept, so a state is four words.

/// A packed state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Packed(pub [u64; 4]);

impl Packed {
    /// A hash in the manner of fxhash: states are not hostile.
    pub fn fx(&self) -> u64 {
        const SEED: u64 = 0x517c_c1b7_2722_0a95;
        let mixed = self.0.iter().fold(0_u64, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(SEED));
        (mixed ^ (mixed >> 32)).wrapping_mul(SEED)
    }
}

/// Appends fields.
#[derive(Default)]
pub struct Writer {
    words: [u64; 4],
    at: usize,
}

impl Writer {
    /// Appends the lowest `bits` of `value`; nothing above them may be set.
    pub fn put(&mut self, value: u8, bits: usize) {
        debug_assert!(u32::from(value) < 1 << bits, "{value} does not fit {bits} bits");
        let value = u64::from(value);
        let (word, shift) = (self.at / 64, self.at % 64);
        self.words[word] |= value << shift;
        if shift + bits > 64 {
            self.words[word + 1] |= value >> (64 - shift);
        }
        self.at += bits;
    }

    /// Appends a flag.
    pub fn flag(&mut self, value: bool) {
        self.put(u8::from(value), 1);
    }

    /// What was written.
    pub fn done(self) -> Packed {
        Packed(self.words)
    }
}

/// Reads fields in the order in which they were written.
pub struct Reader {
    words: [u64; 4],
    at: usize,
}

impl Reader {
    /// From the first field on.
    pub fn new(packed: Packed) -> Self {
        Self { words: packed.0, at: 0 }
    }

    /// The next `bits`, at most 8.
    pub fn get(&mut self, bits: usize) -> u8 {
        let (word, shift) = (self.at / 64, self.at % 64);
        let mut value = self.words[word] >> shift;
        if shift + bits > 64 {
            value |= self.words[word + 1] << (64 - shift);
        }
        self.at += bits;
        (value & ((1 << bits) - 1)) as u8
    }

    /// The next flag.
    pub fn flag(&mut self) -> bool {
        self.get(1) == 1
    }
}
