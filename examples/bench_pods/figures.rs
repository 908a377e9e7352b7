//! Options, percentiles, lines.

use std::error::Error;
use std::time::Duration;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// What is asked for on the command line.
pub struct Options {
    /// How many pods, one after the other and at once.
    pub pods: usize,
    /// How many bytes the host program holds.
    pub ballast: usize,
    /// How long the cluster is watched at rest.
    pub rest: Duration,
}

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { pods: 100, ballast: 0, rest: Duration::from_secs(10) };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let wrong = || format!("{value:?} is no value for {word}");
            match word.as_str() {
                "--pods" => {
                    options.pods = value.parse().ok().filter(|n| (1..=100).contains(n)).ok_or_else(wrong)?;
                }
                "--ballast" => options.ballast = bytes(&value).ok_or_else(wrong)?,
                "--rest" => options.rest = Duration::from_secs(value.parse().map_err(|_| wrong())?),
                _ => return Err(format!("{word} is not known: --pods N, --ballast SIZE, --rest SECONDS")),
            }
        }
        Ok(options)
    }
}

/// `1GiB`, `512MiB`, `1024`.
fn bytes(text: &str) -> Option<usize> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("", 0)];
    let (number, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    number.parse::<usize>().ok()?.checked_shl(*shift)
}

/// Memory that was written to, held as long as it lives.
pub struct Ballast(Vec<u8>);

impl Ballast {
    pub fn hold(bytes: usize) -> Ballast {
        Ballast(vec![0x5a; bytes])
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        std::hint::black_box(&self.0);
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The p-th percentile, by nearest rank.
pub fn percentile(times: &[Duration], p: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let rank = (sorted.len() * p).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// `p50 1.23 p90 … p99 … ms`.
pub fn spread(times: &[Duration]) -> String {
    let at = |p| millis(percentile(times, p));
    format!("p50 {:.2} p90 {:.2} p99 {:.2} ms", at(50), at(90), at(99))
}

pub fn machine(options: &Options) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    format!(
        "Linux {}, {} cores, load {load}, {} pods, {} MiB of ballast",
        read("/proc/sys/kernel/osrelease").trim(),
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        options.pods,
        options.ballast >> 20,
    )
}
