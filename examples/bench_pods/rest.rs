//! A cluster at rest: memory, and how often its threads wake up.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A process's memory in MiB: all that is resident, and the part that is its own and not of files.
fn resident(process: &str) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0)
    };
    (kilobytes("VmRSS:") / 1024.0, kilobytes("RssAnon:") / 1024.0)
}

/// The switches that each thread of a process asked for, by its number and name.
fn switches(process: &str) -> BTreeMap<(String, String), u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("status")).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let own = field("voluntary_ctxt_switches:")?.parse::<u64>().ok()?;
        let forced = field("nonvoluntary_ctxt_switches:")?.parse::<u64>().ok()?;
        Some(((task.file_name().to_string_lossy().into_owned(), field("Name:")?.to_owned()), own + forced))
    };
    tasks.filter_map(of).collect()
}

/// Prints what host and keeper hold and do while nothing happens. `ballast` is not the cluster's.
pub fn print(keeper: u32, ballast: usize, watched: Duration) {
    let keeper = keeper.to_string();
    let (host, own) = resident("self");
    let (second, second_own) = resident(&keeper);
    let ballast = (ballast >> 20) as f64;
    println!(
        "at rest: {:.1} MiB resident (host {:.1}, keeper {second:.1}), of it not of files {:.1} (host {:.1}, keeper \
         {second_own:.1}); {} threads",
        host - ballast + second,
        host - ballast,
        own - ballast + second_own,
        own - ballast,
        switches("self").len(),
    );
    let before = [switches("self"), switches(&keeper)];
    std::thread::sleep(watched);
    let after = [switches("self"), switches(&keeper)];
    // The thread that watches wakes up once, to look.
    let own = std::process::id().to_string();
    let mut told = Vec::new();
    let mut all = 0;
    for (before, after) in before.iter().zip(&after) {
        for (task, count) in after {
            let more = count - before.get(task).unwrap_or(&0);
            if more > 0 && task.0 != own {
                all += more;
                told.push(format!("{} {more}", task.1));
            }
        }
    }
    println!("at rest for {} s: {all} context switches ({})", watched.as_secs(), told.join(", "));
}
