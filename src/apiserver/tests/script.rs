//! Scripts: each line that begins with `>` is a request, the lines below it the answer.
//!
//! The files are in `scripts/`. A line `== title` begins a section with an empty store that has the namespace
//! `default`; `@n` is a revision, counted from there. `UPDATE_SCRIPTS=1` writes the answers found into the files, for
//! a look at the difference.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::patch::JsonPatch;
use crate::api::selector::{FieldSelector, Selector};
use crate::api::{KindId, ObjectKey, StatusError};
use crate::apiserver::*;
use crate::reconcile::simulation::StillClock;
use crate::store::{Record, Revision};

struct Session {
    server: Arc<Server>,
    clock: Arc<StillClock>,
    base: u64,
    words: BTreeMap<String, String>,
    watches: BTreeMap<String, Watch>,
}

/// The `name=value` words of a request.
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    fn new(text: &'a str) -> Options<'a> {
        Options(text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Uids are random: they stand as `<uid>`.
fn without_uids(text: &str) -> String {
    let is_uid = |part: &str| {
        part.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let mut clean = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        match rest.get(..36) {
            Some(part) if is_uid(part) => {
                clean.push_str("<uid>");
                rest = &rest[36..];
            }
            _ => {
                clean.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    clean
}

impl Session {
    fn new() -> Session {
        let (server, clock) = super::door(Vec::new());
        super::create(&server, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}").unwrap();
        let base = server.store().revision().0;
        Session { server, clock, base, words: BTreeMap::new(), watches: BTreeMap::new() }
    }

    fn at(&self, revision: Revision) -> String {
        format!("@{}", revision.0 as i64 - self.base as i64)
    }

    fn kind(&self, word: &str) -> KindId {
        self.server.registry().find_word(word).unwrap_or_else(|| panic!("kind {word:?}"))
    }

    /// `pods/default/a`.
    fn named(&self, word: &str) -> (KindId, ObjectKey) {
        let (kind, key) = word.split_once('/').unwrap_or((word, ""));
        (self.kind(kind), ObjectKey::from_text(key))
    }

    fn written(&self, before: Revision, answer: Result<Arc<Record>, StatusError>) -> String {
        let record = match answer {
            Ok(record) => record,
            Err(error) => return refusal(&error),
        };
        let value = self.server.value(&record);
        let meta = &value["metadata"];
        let mut text = match self.server.store().revision() == before {
            true => "ok same".to_owned(),
            false => format!("ok {}", self.at(record.header.revision)),
        };
        for (field, word) in [
            ("generation", "generation"),
            ("deletionGracePeriodSeconds", "ends-in"),
            ("finalizers", "held-by"),
        ] {
            if !meta[field].is_null() {
                let _ = write!(text, " {word}={}", meta[field]);
            }
        }
        if self.server.get(record.header.kind, &record.header.key).is_err() {
            text.push_str(" gone");
        }
        text
    }

    fn do_one(&mut self, request: &str) -> String {
        let mut request = request.to_owned();
        for (word, value) in self.words.iter().rev() {
            request = request.replace(&format!("${word}"), value);
        }
        let (verb, rest) = request.split_once(' ').unwrap_or((&request, ""));
        let (dry, verb, rest) = match verb {
            "dry" => {
                let (verb, rest) = rest.split_once(' ').unwrap();
                (true, verb, rest)
            }
            verb => (false, verb, rest),
        };
        let before = self.server.store().revision();
        let options =
            WriteOptions { dry_run: dry, field_manager: "test".to_owned(), ..WriteOptions::default() };
        let answer = match verb {
            "create" | "update" | "status" | "finalize" => self.write_object(verb, rest, &options),
            "merge" | "merge-status" | "json" => self.patch(verb, rest, &options),
            "delete" => {
                let (target, more) = rest.split_once(' ').unwrap_or((rest, ""));
                let (kind, key) = self.named(target);
                self.server.delete(kind, &key, &delete_options(&Options::new(more), dry))
            }
            "bind" => {
                let words = Options::new(rest);
                let uid = words.get("uid").unwrap_or_default();
                self.server.bind(&ObjectKey::from_text(words.0[0].0), uid, words.0[1].0)
            }
            _ => return self.read(verb, rest, dry),
        };
        self.written(before, answer)
    }

    fn write_object(
        &self,
        verb: &str,
        yaml: &str,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let value: Value = serde_yaml::from_str(yaml).unwrap_or_else(|cause| panic!("{cause}: {yaml}"));
        let named = |field: &str| value[field].as_str().unwrap_or("v1").to_owned();
        let kind = self.server.registry().find(&named("apiVersion"), &named("kind")).expect("a known kind");
        let object = self.server.registry().strategy(kind).decode_value(value).expect("an object");
        match verb {
            "create" => self.server.create(kind, object, options),
            "update" => self.server.update(kind, Face::Main, object, options),
            "status" => self.server.update(kind, Face::Status, object, options),
            _ => self.server.update(kind, Face::Finalize, object, options),
        }
    }

    fn patch(&self, verb: &str, rest: &str, options: &WriteOptions) -> Result<Arc<Record>, StatusError> {
        let (target, text) = rest.split_once(' ').unwrap();
        let (kind, key) = self.named(target);
        let value: Value = serde_yaml::from_str(text).unwrap_or_else(|cause| panic!("{cause}: {text}"));
        let patch = match verb {
            "json" => Patch::Json(JsonPatch::from_value(value).expect("a JSON patch")),
            _ => Patch::Merge(value),
        };
        let face = if verb == "merge-status" { Face::Status } else { Face::Main };
        self.server.patch(kind, &key, face, &patch, options)
    }

    fn read(&mut self, verb: &str, rest: &str, dry: bool) -> String {
        let mut words = rest.split_whitespace();
        match verb {
            "get" => {
                let (kind, key) = self.named(words.next().unwrap());
                match self.server.get(kind, &key) {
                    Ok(record) => fields(&self.server.value(&record), words),
                    Err(error) => refusal(&error),
                }
            }
            "let" => {
                let (name, target, path) =
                    (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                let (kind, key) = self.named(target);
                let value = self.server.value(&self.server.get(kind, &key).unwrap());
                let found = at_path(&value, path).as_str().unwrap().to_owned();
                self.words.insert(name.to_owned(), found);
                String::new()
            }
            "clock" => {
                self.clock.advance(Duration::from_secs(rest.parse().unwrap()));
                String::new()
            }
            "list" => {
                let kind = self.kind(words.next().unwrap());
                self.list(kind, &Options::new(rest))
            }
            "deletecollection" => {
                let kind = self.kind(words.next().unwrap());
                let options = Options::new(rest);
                let deletion = delete_options(&options, dry);
                match self.server.delete_collection(kind, &list_params(&options), &deletion) {
                    Ok(count) => format!("{count} deleted"),
                    Err(error) => refusal(&error),
                }
            }
            "watch" => {
                let (name, kind) = (words.next().unwrap(), self.kind(words.next().unwrap()));
                self.watch(name, kind, &Options::new(rest))
            }
            "events" => self.events(rest),
            _ => panic!("what is {verb:?}?"),
        }
    }

    fn list(&mut self, kind: KindId, options: &Options<'_>) -> String {
        let mut params = list_params(options);
        if let Some(n) = params.resource_version.strip_prefix('@') {
            params.resource_version = (n.parse::<u64>().unwrap() + self.base).to_string();
        }
        let page = match self.server.list(kind, &params) {
            Ok(page) => page,
            Err(error) => return refusal(&error),
        };
        let keys: Vec<String> = page
            .items
            .iter()
            .map(|record| format!("{}{}", record.header.key, self.at(record.header.revision)))
            .collect();
        let mut text = format!("[{}] {}", keys.join(" "), self.at(page.revision));
        if let Some(token) = page.continue_token {
            text.push_str(" more");
            self.words.insert("MORE".to_owned(), token);
        }
        if let Some(remaining) = page.remaining {
            let _ = write!(text, " remaining={remaining}");
        }
        text
    }

    fn watch(&mut self, name: &str, kind: KindId, options: &Options<'_>) -> String {
        let params = list_params(options);
        let from = match options.get("from").unwrap_or("present") {
            "present" => WatchFrom::Present,
            "marked" => WatchFrom::PresentMarked,
            "now" => WatchFrom::Now,
            revision => {
                let n: i64 = revision.trim_start_matches('@').parse().unwrap();
                WatchFrom::Revision(Revision((n + self.base as i64) as u64))
            }
        };
        let params = WatchParams {
            namespace: params.namespace,
            labels: params.labels,
            fields: params.fields,
            from,
            version: 0,
        };
        match self.server.watch(kind, &params) {
            Ok(watch) => drop(self.watches.insert(name.to_owned(), watch)),
            Err(error) => return refusal(&error),
        }
        String::new()
    }

    fn events(&mut self, name: &str) -> String {
        let mut lines = Vec::new();
        loop {
            let event = match self.watches.get_mut(name).unwrap().try_next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    lines.push(error.to_string());
                    break;
                }
            };
            let (word, record) = match &event {
                WatchEvent::Added(record) => ("ADDED", record),
                WatchEvent::Modified(record) => ("MODIFIED", record),
                WatchEvent::Deleted(record) => ("DELETED", record),
                WatchEvent::Synced(revision) => {
                    lines.push(format!("BOOKMARK {}", self.at(*revision)));
                    continue;
                }
            };
            let labels = record.header.labels.iter().map(|(key, value)| format!(" {key}={value}"));
            let labels: String = labels.collect();
            lines.push(format!("{word} {} {}{labels}", record.header.key, self.at(record.header.revision)));
        }
        lines.join("\n")
    }
}

fn list_params(options: &Options<'_>) -> ListParams {
    let text = |name: &str| options.get(name).unwrap_or_default();
    ListParams {
        version: 0,
        namespace: options.get("ns").map(str::to_owned),
        labels: Selector::parse(text("l")).unwrap(),
        fields: FieldSelector::parse(text("f")).unwrap(),
        limit: options.get("limit").map(|limit| limit.parse().unwrap()),
        continue_token: options.get("continue").map(str::to_owned),
        resource_version: text("rv").to_owned(),
        revision_match: match options.get("match") {
            Some("exact") => RevisionMatch::Exact,
            Some("atleast") => RevisionMatch::NotOlderThan,
            _ => RevisionMatch::Unset,
        },
    }
}

fn delete_options(options: &Options<'_>, dry_run: bool) -> DeleteOptions {
    DeleteOptions {
        grace_period_seconds: options.get("grace").map(|grace| grace.parse().unwrap()),
        propagation: options.get("propagation").map(|word| match word {
            "foreground" => Propagation::Foreground,
            "orphan" => Propagation::Orphan,
            _ => Propagation::Background,
        }),
        uid: options.get("uid").map(str::to_owned),
        resource_version: options.get("rv").map(str::to_owned),
        dry_run,
    }
}

fn refusal(error: &StatusError) -> String {
    format!("{} {}: {}", error.reason.code(), error.reason, error.message)
}

fn at_path<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, step| match step.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[step.replace('|', ".").as_str()],
    })
}

/// The fields at the paths; none are told as `-`.
fn fields<'a>(value: &Value, paths: impl Iterator<Item = &'a str>) -> String {
    let told = paths.map(|path| match at_path(value, path) {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    told.collect::<Vec<_>>().join(" ")
}

/// Plays a script; answers it with the answers found, and how many requests it has.
fn play(text: &str) -> (String, usize) {
    let mut session = Session::new();
    let (mut found, mut requests) = (String::new(), 0);
    for line in text.lines() {
        if line.starts_with("==") {
            session = Session::new();
        }
        if let Some(request) = line.strip_prefix("> ") {
            requests += 1;
            let answer = without_uids(&session.do_one(request));
            let _ = writeln!(found, "{line}");
            for line in answer.lines() {
                let _ = writeln!(found, "  {line}");
            }
            session.server.store().check().unwrap();
        } else if !line.starts_with("  ") {
            let _ = writeln!(found, "{line}");
        }
    }
    (found, requests)
}

#[track_caller]
fn check(name: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/apiserver/tests/scripts");
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (found, requests) = play(&text);
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        std::fs::write(&path, &found).unwrap();
        return requests;
    }
    let differs = text.lines().zip(found.lines()).enumerate().find(|(_, (a, b))| a != b);
    if let Some((at, (expected, found))) = differs {
        panic!("{name}:{}\nexpected: {expected}\n   found: {found}", at + 1);
    }
    assert_eq!(text.lines().count(), found.lines().count(), "{name}");
    requests
}

#[test]
fn scripts() {
    let names =
        ["writes", "deletion", "namespaces", "lists", "watches", "services", "pods", "workloads", "kinds"];
    let requests: usize = names.iter().map(|name| check(&format!("{name}.script"))).sum();
    assert!(requests >= 150, "{requests} requests");
}
