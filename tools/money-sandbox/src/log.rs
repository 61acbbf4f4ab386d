//! An append-only log of lines with group commit: many requests, one `write`.
//!
//! [`Log::append`] only adds to a buffer. A single writer task takes whatever has gathered, writes it with one
//! system call and wakes everybody who waits in [`Log::written`]. The writer yields before it takes the buffer, so
//! everything that was ready to run adds its line first; a task instead of a thread because waking a request from
//! its own runtime costs a fraction of waking it from outside. What was written survives the death of the process
//! (not of the host: there is no fsync).

use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use anyhow::Context as _;
use tokio::sync::Notify;

/// Lines in memory are kept in pieces of this size, so that growing never copies what is there.
const SEGMENT_BYTES: usize = 1 << 20;

/// The file could not be written: nothing that depends on it may be answered.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the ledger could not be written")]
pub struct Unwritten;

/// Where in the log something was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// An append-only log, in a file or in memory.
#[derive(Debug)]
pub struct Log {
    inner: Mutex<Inner>,
    file: Option<LogFile>,
    written: AtomicU64,
    failed: AtomicBool,
    work: Notify,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

#[derive(Debug, Default)]
struct Inner {
    /// To be written next; in memory the segment that is being filled.
    pending: Vec<u8>,
    /// Bytes appended since the start (never falls, not even by a reset).
    appended: u64,
    waiters: Vec<Waker>,
    segments: Vec<Arc<Vec<u8>>>,
}

impl Log {
    /// A log without a file.
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    /// Opens or creates `path`, cuts off a torn last line, and locks it against a second writer.
    ///
    /// # Errors
    /// The file cannot be opened, or another process has it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        file.try_lock().with_context(|| format!("{} is in use by another process", path.display()))?;
        cut_torn_line(&file).with_context(|| format!("repair the end of {}", path.display()))?;
        Ok(Self::new(Some(LogFile { path: path.to_owned(), file: Mutex::new(file) })))
    }

    fn new(file: Option<LogFile>) -> Self {
        Self {
            inner: Mutex::default(),
            file,
            written: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            work: Notify::new(),
        }
    }

    /// Appends one or more whole lines. They count only once [`Log::written`] says so.
    pub fn append(&self, lines: &[u8]) -> Position {
        let mut inner = lock(&self.inner);
        let first = inner.pending.is_empty();
        inner.pending.extend_from_slice(lines);
        inner.appended += lines.len() as u64;
        let position = Position(inner.appended);
        if self.file.is_none() {
            if inner.pending.len() >= SEGMENT_BYTES {
                let full = std::mem::replace(&mut inner.pending, Vec::with_capacity(SEGMENT_BYTES + 4096));
                inner.segments.push(Arc::new(full));
            }
            return position;
        }
        drop(inner);
        if first {
            self.work.notify_one();
        }
        position
    }

    /// The position of what was appended last, by anyone.
    pub fn end(&self) -> Position {
        Position(lock(&self.inner).appended)
    }

    /// Waits until everything up to `position` is in the file (at once for a log in memory).
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn written(&self, position: Position) -> Result<(), Unwritten> {
        if self.file.is_none() {
            return Ok(());
        }
        poll_fn(|cx| {
            if self.failed.load(Ordering::Acquire) {
                return Poll::Ready(Err(Unwritten));
            }
            if self.written.load(Ordering::Acquire) >= position.0 {
                return Poll::Ready(Ok(()));
            }
            let mut inner = lock(&self.inner);
            // The writer publishes its progress under this lock, so no wake-up is missed.
            if self.written.load(Ordering::Acquire) >= position.0 {
                return Poll::Ready(Ok(()));
            }
            inner.waiters.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Writes until the log is dropped. One task per log runs this.
    pub async fn run_writer(self: Arc<Self>) {
        let mut spare = Vec::new();
        loop {
            self.work.notified().await;
            tokio::task::yield_now().await;
            self.write_pending(&mut spare);
        }
    }

    /// Writes what has gathered and lets go of the file. Whoever still waits, or comes later, gets an error.
    pub fn close(&self) {
        self.flush();
        if let Some(target) = &self.file {
            let file = lock(&target.file);
            self.failed.store(true, Ordering::Release);
            // Dropping the log unlocks the file as well, but requests under way may keep it.
            let _ = file.unlock();
        }
        self.flush(); // wakes those who wait
    }

    /// Writes what has gathered, now, in the calling thread.
    pub fn flush(&self) {
        self.write_pending(&mut Vec::new());
    }

    fn write_pending(&self, spare: &mut Vec<u8>) {
        let Some(target) = &self.file else { return };
        let mut file = lock(&target.file);
        spare.clear();
        let upto = {
            let mut inner = lock(&self.inner);
            std::mem::swap(&mut inner.pending, spare);
            inner.appended
        };
        if !spare.is_empty()
            && !self.failed.load(Ordering::Acquire)
            && let Err(error) = file.write_all(spare)
        {
            eprintln!("money-sandbox: {}: {error}", target.path.display());
            self.failed.store(true, Ordering::Release);
        }
        let waiters = {
            let mut inner = lock(&self.inner);
            self.written.fetch_max(upto, Ordering::AcqRel);
            std::mem::take(&mut inner.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Everything that is in the log now, oldest first; later lines are not seen.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reader(&self) -> std::io::Result<Box<dyn Read + Send>> {
        if let Some(target) = &self.file {
            self.flush();
            let file = lock(&target.file);
            let len = file.metadata()?.len();
            return Ok(Box::new(File::open(&target.path)?.take(len)));
        }
        let inner = lock(&self.inner);
        let mut segments = inner.segments.clone();
        segments.push(Arc::new(inner.pending.clone()));
        Ok(Box::new(Segments { current: Cursor::new(Arc::new(Vec::new())), rest: segments.into_iter() }))
    }

    /// Forgets every line.
    ///
    /// # Errors
    /// The file cannot be truncated.
    pub fn clear(&self) -> std::io::Result<()> {
        self.flush();
        let file = self.file.as_ref().map(|target| lock(&target.file));
        let mut inner = lock(&self.inner);
        inner.pending = Vec::new();
        inner.segments = Vec::new();
        match file {
            Some(file) => file.set_len(0),
            None => Ok(()),
        }
    }
}

/// Locks, also after a panic elsewhere: every critical section here leaves its data whole.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Segments {
    current: Cursor<Arc<Vec<u8>>>,
    rest: std::vec::IntoIter<Arc<Vec<u8>>>,
}

impl Read for Segments {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let from = self.current.position() as usize;
            let bytes = self.current.get_ref();
            if from < bytes.len() {
                let n = out.len().min(bytes.len() - from);
                out[..n].copy_from_slice(&bytes[from..from + n]);
                self.current.set_position((from + n) as u64);
                return Ok(n);
            }
            match self.rest.next() {
                Some(next) => self.current = Cursor::new(next),
                None => return Ok(0),
            }
        }
    }
}

/// A process that died while writing leaves half a line; nobody was told about it, so it goes.
fn cut_torn_line(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut end = file.metadata()?.len();
    let whole = end;
    let mut block = [0u8; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < whole {
        file.set_len(end)?;
    }
    Ok(())
}
