//! Where a file goes: never half of one under its name.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

use crate::ended::refuse;

/// A file beside its name, readable by its owner alone. Dropped before it was published, it goes.
pub(crate) struct Draft {
    file: NamedTempFile,
    path: PathBuf,
    folder: PathBuf,
    overwrite: bool,
}

impl Draft {
    /// # Errors
    /// Refused, when something is there and must not be overwritten.
    pub(crate) fn new(path: &Path, overwrite: bool) -> Result<Self> {
        if path.exists() && !overwrite {
            return refuse(format!("{} is there already: name another file, or add --force", path.display()));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let file =
            tempfile::Builder::new().prefix(".promoctl-").suffix(".part").tempfile_in(&folder).with_context(|| {
                format!("cannot make a file in {}: choose a folder that can be written", folder.display())
            })?;
        Ok(Self { file, path: path.to_owned(), folder, overwrite })
    }

    pub(crate) fn writer(&self) -> &File {
        self.file.as_file()
    }

    /// Gives it its name, once every byte is on the disk.
    ///
    /// # Errors
    /// When the disk is full or the name was taken meanwhile; then nothing is left behind.
    pub(crate) fn publish(self) -> Result<()> {
        let name = self.path.display();
        self.file.as_file().flush().and_then(|()| self.file.as_file().sync_all()).with_context(|| format!("{name}"))?;
        let named =
            if self.overwrite { self.file.persist(&self.path) } else { self.file.persist_noclobber(&self.path) };
        named.map_err(|error| error.error).with_context(|| format!("cannot name the file {name}"))?;
        // Without it a crash of the machine may take the name away again.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).with_context(|| format!("{name}"))
    }
}

/// Writes, unless Ctrl-C or SIGTERM ends it: what was begun is dropped then, and its drafts with it.
///
/// # Errors
/// What writing fails with, or that it was ended.
pub(crate) async fn unless_ended<T>(writing: impl Future<Output = Result<T>>) -> Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        written = writing => written,
        _ = tokio::signal::ctrl_c() => bail!("interrupted; nothing was left under the file's name"),
        _ = terminate.recv() => bail!("ended; nothing was left under the file's name"),
    }
}
