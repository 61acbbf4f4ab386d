//! How the file's characters are encoded.
//!
//! Korean spreadsheets write UTF-8 with a byte order mark, or CP949 without one; programs write UTF-8 without. A file
//! is UTF-8 when all of it is, else CP949 when all of it is, else refused: nothing is ever replaced.

use std::borrow::Cow;

/// An encoding that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// CP949, which the web calls EUC-KR.
    Cp949,
}

impl Encoding {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Cp949 => "CP949",
        }
    }

    /// Decodes strictly; nothing where the bytes are not this encoding's.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Cp949 => encoding_rs::EUC_KR.decode_without_bom_handling_and_without_replacement(bytes),
        }
    }
}

/// What a file is whose first bytes are not those of a CSV file, and what to do about it.
pub fn not_a_csv(first: &[u8]) -> Option<&'static str> {
    let utf16 = "the file is UTF-16 (\"Unicode text\"); save it as \"CSV UTF-8\"";
    match first {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(utf16),
        [0, second, 0, fourth, ..] | [second, 0, fourth, 0, ..] if *second != 0 && *fourth != 0 => Some(utf16),
        [0x1f, 0x8b, ..] => Some("the file is compressed with gzip; unpack it first"),
        [b'P', b'K', 3, 4, ..] => Some("the file is a workbook or an archive; save it as \"CSV UTF-8\""),
        _ => None,
    }
}
