//! What runs before `main`: the keeper's take-over and the host program's own entries.
//!
//! A function placed in `.init_array` reads the command line. Where the second argument is the keeper's, it
//! becomes the keeper and never returns; where it names an entry declared with [`entry!`](crate::entry), the
//! entry's function runs and its answer is the exit code. Otherwise it does nothing, in some ten microseconds.
//!
//! Invariant: a program whose second argument is neither runs as if this file did not exist.

use std::fs::File;
use std::io::Read;

use super::{keeper, sys};

/// The second argument of a keeper.
pub(super) const KEEPER_ARGUMENT: &str = "--coracle-keeper";

/// What the second argument of an entry begins with.
const ENTRY_ARGUMENT: &str = "--coracle-entry=";

/// Names the constructor, so that the linker keeps it wherever the runtime is used.
#[used]
#[unsafe(link_section = ".init_array")]
pub(super) static BEFORE_MAIN: extern "C" fn() = before_main;

/// The argument list, without the standard library's help, which may not be ready yet.
fn arguments() -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open("/proc/self/cmdline").ok()?.read_to_end(&mut text).ok()?;
    Some(text)
}

fn second(arguments: &[u8]) -> Option<&str> {
    std::str::from_utf8(arguments.split(|byte| *byte == 0).nth(1)?).ok()
}

extern "C" fn before_main() {
    let Some(arguments) = arguments() else { return };
    if second(&arguments) == Some(KEEPER_ARGUMENT) {
        keeper::main();
    }
}

/// Runs `function` and ends the process, if the command line asks for the entry `name`.
///
/// For [`entry!`](crate::entry); not for use by itself.
#[doc(hidden)]
pub fn run_entry(name: &str, function: fn() -> i32) {
    let Some(arguments) = arguments() else { return };
    let asked = second(&arguments).and_then(|argument| argument.strip_prefix(ENTRY_ARGUMENT));
    if asked == Some(name) {
        sys::exit_now(function());
    }
}

/// Declares a function of the host program as an entry: a program that pods can run.
///
/// `coracle::entry!(name, function)` makes the executable run `function`, a `fn() -> i32`, **before** `main`,
/// and exit with its answer, whenever its second argument (`argv[1]`) is `--coracle-entry=<name>`. Further
/// arguments are the function's own: `std::env::args().skip(2)`. An image of the executable holds it at
/// `/entry`, so the command of a container is `["/entry", "--coracle-entry=<name>", arguments...]`.
///
/// The function runs on the only thread there is, may start others, and must not count on anything that
/// `main` sets up. A panic ends the process with SIGABRT. Use it at module level, once for each name.
///
/// ```
/// mod echo {
///     fn serve() -> i32 {
///         0
///     }
///     coracle::entry!(echo, serve);
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($name:ident, $function:path) => {
        const _: () = {
            extern "C" fn before_main() {
                $crate::node::runtime::linux::run_entry(::core::stringify!($name), $function);
            }
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
    ($name:literal, $function:path) => {
        const _: () = {
            extern "C" fn before_main() {
                $crate::node::runtime::linux::run_entry($name, $function);
            }
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
}
