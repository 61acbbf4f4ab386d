//! A file in memory, for what is read from files. One for each thread, written anew for each input.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Calls `read` with a file that holds these bytes, and a path to it.
///
/// # Panics
/// When the system has no memory for the file.
pub(crate) fn with_file<T>(bytes: &[u8], read: impl FnOnce(&File, PathBuf) -> T) -> T {
    FILE.with_borrow_mut(|slot| {
        let file = slot.get_or_insert_with(|| {
            File::from(memfd_create("payout-fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"))
        });
        // Cut behind the content, not before it: memory that is kept need not be had again.
        file.write_all_at(bytes, 0).and_then(|()| file.set_len(bytes.len() as u64)).expect("write to memory");
        read(file, PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    })
}
