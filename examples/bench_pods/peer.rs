//! runc, where it is installed, for comparison: a static binary without network, from create to deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figures::{Outcome, spread};

const ROUNDS: usize = 20;

/// A folder that goes when it is let go of.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Prints how long `runc run` takes, or why there is nothing to compare with.
pub fn print() -> Outcome<()> {
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|p| p.exists())
    else {
        println!("runc: not compared, since no static busybox is installed");
        return Ok(());
    };
    if Command::new("runc").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("runc: not installed");
        return Ok(());
    }
    let folder = Folder(std::env::temp_dir().join(format!("bench-pods-runc-{}", std::process::id())));
    fs::create_dir_all(folder.0.join("rootfs/bin"))?;
    fs::copy(busybox, folder.0.join("rootfs/bin/true"))?;
    let spec = Command::new("runc").arg("spec").current_dir(&folder.0).status()?;
    if !spec.success() {
        println!("runc: not compared, since it makes no specification");
        return Ok(());
    }
    let path = folder.0.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    fs::write(&path, serde_json::to_vec(&config)?)?;
    let mut times = Vec::new();
    for number in 0..ROUNDS {
        let began = Instant::now();
        let name = format!("bench-pods-{}-{number}", std::process::id());
        let run = Command::new("runc").args(["run", "--bundle"]).arg(&folder.0).arg(&name).output()?;
        if !run.status.success() {
            println!("runc: not compared: {}", String::from_utf8_lossy(&run.stderr).trim());
            return Ok(());
        }
        times.push(began.elapsed());
    }
    println!("runc run of a static binary without network, until deleted: {}", spread(&times));
    Ok(())
}
