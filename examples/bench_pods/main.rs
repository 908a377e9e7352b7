//! How long real pods take through a whole cluster, beside what the kernel itself takes for the same in the same run.
//!
//! `cargo run --release --example bench_pods [-- --pods 100 --ballast 1GiB]`, as root, on Linux.
//!
//! Prints figures and asserts nothing about them. The floor is measured by a small child with one thread that is forked
//! before anything else, see [`floor`]. Machines are noisy: compare the two within a run, and runs with each other by
//! their ratios.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, waits, and runs another runtime to compare with"
)]

#[cfg(target_os = "linux")]
mod cluster;
#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod rest;

#[cfg(target_os = "linux")]
coracle::entry!(hold, cluster::hold);

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let options = match figures::Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(cause) => {
            eprintln!("bench_pods: {cause}");
            return std::process::ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("bench_pods: {cause}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run(options: &figures::Options) -> figures::Outcome<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err("cgroups and the pod network need root".into());
    }
    // First of all, while this process is small and has one thread.
    let mut floor = floor::Floor::start()?;
    let ballast = figures::Ballast::hold(options.ballast);
    println!("{}", figures::machine(options));
    let measured = cluster::measure(options, &mut floor);
    drop(ballast);
    measured
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("bench_pods runs real pods, which needs Linux");
}
