//! A real cluster in this process: a manifest becomes running, reachable pods, is updated under load without one
//! failed request, rolled back, broken, mended and removed.
//!
//! `cargo run --release --example quickstart`, as root or as an ordinary user.
//!
//! The pods need no image from outside: this very executable is one, and [`demo`] holds the parts that they run.

#![allow(
    clippy::disallowed_methods,
    reason = "an example shows what each step took, and makes load with threads"
)]

#[cfg(target_os = "linux")]
mod demo;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod tour;

#[cfg(target_os = "linux")]
coracle::entry!(web, demo::web);
#[cfg(target_os = "linux")]
coracle::entry!(visitor, demo::visitor);

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match tour::run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("quickstart: {cause}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!(
        "quickstart runs real pods, which needs Linux; `cargo run --example control_plane` runs anywhere"
    );
}
