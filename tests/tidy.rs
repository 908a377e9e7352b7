//! Holds the crate to its own rules: import direction, file length, documentation, links, `unsafe`, module names.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the flow. A module imports only those before it.
const FLOW: [&str; 13] = [
    "limits",
    "world",
    "api",
    "store",
    "apiserver",
    "client",
    "reconcile",
    "controllers",
    "scheduler",
    "node",
    "net",
    "cluster",
    "testing",
];

/// Imports that the order allows and the design does not.
const FORBIDDEN: [(&str, &str); 2] = [("net", "node"), ("scheduler", "controllers")];

/// The files that may hold `unsafe`: those of system calls.
const UNSAFE: [&str; 9] = [
    "src/node/runtime/linux/entry.rs",
    "src/node/runtime/linux/mount.rs",
    "src/node/runtime/linux/packets.rs",
    "src/node/runtime/linux/sys.rs",
    "src/node/runtime/linux/keeper/mod.rs",
    "src/node/runtime/linux/launch.rs",
    "src/node/images/unpack.rs",
    "src/node/images/builtin.rs",
    "src/node/private.rs",
];

/// Longer files are refused; those over 600 lines are worth a look.
const LONGEST_FILE: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn is_test(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    parts.iter().any(|part| {
        ["tests", "tests.rs", "testing.rs", "testbed.rs", "harness.rs", "simulation.rs", "benches"]
            .contains(part)
    }) && !name.starts_with("src/reconcile/")
}

/// The text of a file before its test module.
fn product(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn sources() -> Vec<(String, String)> {
    files(&root().join("src"), "rs")
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

#[test]
fn imports_go_one_way() {
    let place = |module: &str| FLOW.iter().position(|m| *m == module);
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default().to_owned();
        let Some(here) = place(&module).filter(|_| !is_test(&file)) else { continue };
        for (number, line) in product(&text).lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for after in code.split("crate::").skip(1).filter(|_| !code.contains("$crate::")) {
                let used = after.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let Some(there) = place(used) else { continue };
                if there > here || FORBIDDEN.contains(&(module.as_str(), used)) {
                    wrong.push(format!("{file}:{}: {module} uses {used}", number + 1));
                }
            }
        }
    }
    assert_none("imports against the flow", &wrong);
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut wrong = Vec::new();
    let mut banned = Vec::new();
    for (file, text) in sources() {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{file} has {lines} lines"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{file} does not say what it owns"));
        }
        if ["util", "utils", "common", "helpers", "misc"]
            .iter()
            .any(|word| file.contains(&format!("/{word}")))
        {
            banned.push(file.clone());
        }
    }
    assert_none("files", &wrong);
    assert_none("modules without a subject", &banned);
}

#[test]
fn unsafe_stands_where_system_calls_do() {
    let allowed: BTreeSet<&str> = UNSAFE.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| !is_test(file)) {
        let code = product(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        let has = code.into_iter().any(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
        if has && !allowed.contains(file.as_str()) {
            wrong.push(file);
        }
    }
    assert_none("unsafe outside its files", &wrong);
}

#[test]
fn links_lead_somewhere() {
    let mut pages = files(&root().join("docs"), "md");
    pages.push(root().join("README.md"));
    let mut wrong = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !page.parent().is_some_and(|folder| folder.join(target).exists()) {
                wrong.push(format!("{}: {target}", name(&page)));
            }
        }
    }
    assert_none("links to nowhere", &wrong);
}

#[test]
fn every_example_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("examples")).unwrap().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let example = file.trim_end_matches(".rs").to_owned();
        if example != "manifests" && !readme.contains(&example) {
            wrong.push(example);
        }
    }
    assert_none("examples that the README does not name", &wrong);
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let pages = files(&root().join("docs/decisions"), "md");
    for (at, page) in pages.iter().enumerate() {
        let file = page.file_name().unwrap().to_string_lossy().into_owned();
        assert!(file.starts_with(&format!("{:04}-", at + 1)), "{file} is out of order");
    }
}
