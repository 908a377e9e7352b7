//! Finds the program of a container and executes it.
//!
//! Invariant: the errors are those that users know from other runtimes, and each is `Refused`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::super::wire::{At, Failure, Step};
use super::super::{packets, sys};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The whole environment: the given one, the last of equal names, and PATH, HOSTNAME and HOME if missing.
pub(super) fn environment(given: &[(String, String)], hostname: &str, home: &str) -> Vec<(String, String)> {
    let mut places = BTreeMap::new();
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in given {
        match places.get(name) {
            Some(place) => {
                let place: &usize = place;
                all[*place].1.clone_from(value);
            }
            None => {
                places.insert(name.clone(), all.len());
                all.push((name.clone(), value.clone()));
            }
        }
    }
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname), ("HOME", home)] {
        if !places.contains_key(name) {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    all
}

fn executable(path: &str) -> io::Result<()> {
    let data = std::fs::metadata(path)?;
    if data.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    sys::may_execute(&super::super::sys::c_path(Path::new(path))?)
}

/// Finds the program by its name, as we are now: in our root, directory and identity.
pub(super) fn find(command: &[String], environment: &[(String, String)]) -> Result<String, Failure> {
    let Some(name) = command.first().filter(|name| !name.is_empty()) else {
        return Err(Failure::refused(Step::Exec, "no command specified"));
    };
    let refused = |cause: String| Failure::refused(Step::Exec, format!("exec: {name:?}: {cause}"));
    if name.contains('/') {
        return match executable(name) {
            Ok(()) => Ok(name.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(refused(format!("stat {name}: no such file or directory")))
            }
            Err(error) if error.raw_os_error() == Some(libc::EISDIR) => Err(refused("is a directory".into())),
            Err(error) => Err(refused(plain(&error))),
        };
    }
    let path = environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let mut denied = false;
    for folder in path.split(':') {
        let candidate = format!("{}/{name}", if folder.is_empty() { "." } else { folder });
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) => denied |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    Err(refused(if denied { "permission denied" } else { "executable file not found in $PATH" }.into()))
}

/// An error's text as Unix people know it, without the number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => "permission denied".to_owned(),
        Some(libc::ENOENT) => "no such file or directory".to_owned(),
        Some(libc::ENOEXEC) => "exec format error".to_owned(),
        _ => error.to_string(),
    }
}

/// All that an exec takes.
pub(super) struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    pub(super) fn new(
        path: &str,
        command: &[String],
        environment: &[(String, String)],
    ) -> Result<Program, Failure> {
        let text = |text: String| {
            let nul = |_| Failure::refused(Step::Exec, "a NUL in the arguments or the environment");
            CString::new(text).map_err(nul)
        };
        let variables = environment.iter().map(|(name, value)| text(format!("{name}={value}")));
        Ok(Program {
            path: text(path.to_owned())?,
            arguments: command.iter().map(|argument| text(argument.clone())).collect::<Result<_, _>>()?,
            environment: variables.collect::<Result<_, _>>()?,
        })
    }

    /// Says that all is ready and executes. Returns only on failure.
    pub(super) fn execute(self, report: BorrowedFd<'_>) -> Result<Infallible, Failure> {
        packets::send(report, super::READY, &[], true).at(Step::Setup, "the report")?;
        let error = sys::execute(&self.path, &self.arguments, &self.environment);
        let path = self.path.to_string_lossy();
        Err(Failure::refused(Step::Exec, format!("exec {path}: {}", plain(&error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_names_wins() {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let given: Vec<_> = [("A", "1"), ("PATH", "/x"), ("A", "2"), ("HOME", "/h")].map(pair).into();
        let all: Vec<String> =
            environment(&given, "pod", "/root").into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(all, ["A=2", "PATH=/x", "HOME=/h", "HOSTNAME=pod"]);
    }
}
