//! The file itself: opened once, and what was opened is what is read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::refusal::Refusal;

/// A regular file that stays the same handle through every pass, whatever happens to its name.
#[derive(Debug)]
pub struct Source {
    file: File,
    bytes: u64,
}

impl Source {
    /// Opens a file, and asks the handle, not the name, what it is. A link or a FIFO is not followed or waited for.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |error: io::Error| match error.raw_os_error() {
            Some(libc::ELOOP) => Refusal::File(format!("{} is a symbolic link; give the file itself", path.display())),
            _ => Refusal::File(format!("cannot open {}: {error}", path.display())),
        };
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
        let source = Self::opened(file).map_err(unreadable)?;
        source.ok_or_else(|| Refusal::File(format!("{} is not a regular file", path.display())))
    }

    /// A file that is open already; nothing where it is not a regular one.
    ///
    /// # Errors
    /// When the handle does not say what it is.
    pub fn opened(file: File) -> io::Result<Option<Self>> {
        let facts = file.metadata()?;
        Ok(facts.is_file().then_some(Self { file, bytes: facts.len() }))
    }

    /// Its length when it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads it from its beginning, beside any other reader.
    pub fn reader(&self) -> SourceReader<'_> {
        SourceReader { file: &self.file, offset: 0 }
    }

    /// Reads the bytes of one range.
    pub fn read_range(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// One pass over a [`Source`].
#[derive(Debug)]
pub struct SourceReader<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
