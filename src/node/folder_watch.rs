//! Listens for changes of a folder, on one private thread, and tells them.
//!
//! Blocks in the kernel and wakes for news alone; a second descriptor ends it. It watches the folder and, since a
//! folder may itself be put in place by renaming it, the name of the folder in the one above. Reads nothing.
//!
//! Invariant: whatever changes below the folder's name after [`FolderWatch::start`] has returned is told.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// Why a folder cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderWatchError {
    /// The folder was not there and could not be made.
    #[error("the folder {folder} cannot be made: {cause}")]
    Make {
        /// The folder.
        folder: String,
        /// The system's words.
        cause: String,
    },
    /// The kernel does not watch it, or no thread could be started.
    #[error("the folder {folder} cannot be watched: {cause}")]
    Watch {
        /// The folder.
        folder: String,
        /// The system's words.
        cause: String,
    },
}

/// A running listener, which ends when it is dropped.
#[derive(Debug)]
pub struct FolderWatch {
    end: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Listener {
    inotify: Inotify,
    folder: PathBuf,
    name: OsString,
    above: WatchDescriptor,
    inside: Option<WatchDescriptor>,
}

impl FolderWatch {
    /// Watches a folder, which is made if it is missing. `changed` is called from a thread of its own and must not
    /// block.
    ///
    /// # Errors
    /// When the folder cannot be made or watched.
    #[allow(clippy::disallowed_methods, reason = "the listener blocks in the kernel; a loop must not")]
    pub fn start(
        folder: &Path,
        changed: impl Fn() + Send + 'static,
    ) -> Result<FolderWatch, FolderWatchError> {
        let made =
            fs::create_dir_all(folder).and_then(|()| fs::canonicalize(folder.parent().unwrap_or(folder)));
        let parent = made.map_err(|cause| FolderWatchError::Make {
            folder: folder.display().to_string(),
            cause: cause.to_string(),
        })?;
        let failed = |cause: std::io::Error| FolderWatchError::Watch {
            folder: folder.display().to_string(),
            cause: cause.to_string(),
        };
        let listener = Listener::new(folder, &parent).map_err(|cause| failed(cause.into()))?;
        let end = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|cause| failed(cause.into()))?);
        let ends = end.clone();
        let thread = std::thread::Builder::new()
            .name("coracle-folder".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || listener.listen(&ends, &changed))
            .map_err(failed)?;
        Ok(FolderWatch { end, thread: Some(thread) })
    }
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && self.end.write(1).is_ok()
            && thread.join().is_err()
        {
            tracing::warn!("the listener for a folder ended with a panic");
        }
    }
}

impl Listener {
    fn new(folder: &Path, parent: &Path) -> nix::Result<Listener> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let moves = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE;
        let above = inotify.add_watch(parent, moves | AddWatchFlags::IN_ONLYDIR)?;
        let name = folder.file_name().unwrap_or_default().to_owned();
        let mut listener = Listener { inotify, folder: folder.to_owned(), name, above, inside: None };
        listener.look_inside()?;
        Ok(listener)
    }

    /// Watches what is under the folder's name now.
    fn look_inside(&mut self) -> nix::Result<()> {
        let changes = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE;
        let kinds = AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_CREATE;
        let found = self.inotify.add_watch(&self.folder, changes | kinds);
        let before = self.inside.take();
        if let Some(before) = before.filter(|before| Ok(*before) != found) {
            // It is gone with its folder, or looks at a folder that has been moved away.
            let _ = self.inotify.rm_watch(before);
        }
        self.inside = Some(found?);
        Ok(())
    }

    fn listen(mut self, end: &EventFd, changed: &dyn Fn()) {
        loop {
            let mut ready = [
                PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
                PollFd::new(end.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return self.give_up(error),
            }
            if ready[1].any().unwrap_or(false) {
                return;
            }
            match self.hear() {
                Ok(true) => changed(),
                Ok(false) => {}
                Err(error) => return self.give_up(error),
            }
        }
    }

    fn give_up(&self, error: Errno) {
        tracing::warn!(%error, folder = %self.folder.display(), "no more news of a folder");
    }

    /// Reads the news that wait; whether any of it is of this folder.
    fn hear(&mut self) -> nix::Result<bool> {
        let events = match self.inotify.read_events() {
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            other => other?,
        };
        let mut news = false;
        for event in events {
            let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            let replaced = event.wd == self.above && event.name.as_ref() == Some(&self.name);
            if lost || replaced {
                match self.look_inside() {
                    // Nothing is there until something is put in its place.
                    Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                    Err(other) => return Err(other),
                }
            }
            news |= lost || replaced || Some(event.wd) == self.inside;
        }
        Ok(news)
    }
}
