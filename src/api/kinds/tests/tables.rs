//! Long tables of one kind: each line that begins with `>` is a patch of the object above (RFC 7386, in YAML), the
//! lines below it what is expected. A line that begins with `=` patches the object for all rows after it.

use serde_json::Value;

use super::{created, lines, noon};
use crate::api::error::FieldErrors;
use crate::api::meta::{canonicalise_meta, validate_meta};
use crate::api::object::Kind;
use crate::api::patch::merge;

fn value(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap_or_else(|wrong| panic!("{wrong} in\n{yaml}"))
}

/// Holds what `row` makes of the object, the patched object and the patch against what is expected, row by row;
/// all rows that differ are told at once.
#[track_caller]
fn each_row(base: &str, table: &str, row: impl Fn(&Value, &Value, &str) -> String) {
    let mut wrong = String::new();
    let mut base = value(base);
    let mut rest = table.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    while let Some(line) = rest.next() {
        if let Some(patch) = line.strip_prefix('=') {
            merge(&mut base, value(patch));
            continue;
        }
        let patch = line.strip_prefix('>').unwrap_or_else(|| panic!("no row: {line}"));
        let mut expected = String::new();
        while let Some(line) = rest.next_if(|line| !line.starts_with(['>', '='])) {
            expected.push_str(line);
            expected.push('\n');
        }
        let mut patched = base.clone();
        merge(&mut patched, value(patch));
        let found = row(&base, &patched, patch);
        if found.trim() != expected.trim() {
            wrong.push_str(&format!("\n>{patch}\nexpected:\n{expected}found:\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn text(value: &Value) -> String {
    value.to_string()
}

/// Holds what is wrong with each object, created, against lines.
#[track_caller]
pub(super) fn check_refusals<K: Kind>(base: &str, table: &str) {
    each_row(base, table, |_, object, _| {
        let object: K = created(&text(object));
        let mut errors = FieldErrors::default();
        validate_meta(object.metadata(), K::SCOPE, &K::validate_name, &mut errors);
        object.validate(&mut errors);
        object.validate_create(&mut errors);
        lines(errors)
    });
}

/// An object as it is stored, with the status that its text says.
fn stored<K: Kind>(object: &Value) -> K {
    let mut value = serde_json::to_value(created::<K>(&text(object))).unwrap();
    if K::HAS_STATUS && !object["status"].is_null() {
        value["status"] = object["status"].clone();
    }
    let mut object: K = serde_json::from_value(value).unwrap();
    object.canonicalise();
    object
}

/// Holds what is wrong with each change of the stored object against lines; the line `moves` stands where it moves
/// the generation.
#[track_caller]
pub(super) fn check_changes<K: Kind>(base: &str, table: &str) {
    each_row(base, table, |base, _, patch| {
        let old: K = stored(base);
        let mut new = serde_json::to_value(&old).unwrap();
        merge(&mut new, value(patch));
        let mut new: K = serde_json::from_value(new).unwrap();
        new.set_defaults();
        new.prepare_update(&old);
        canonicalise_meta(new.metadata_mut());
        new.canonicalise();
        let mut errors = FieldErrors::default();
        new.validate(&mut errors);
        new.validate_update(&old, &mut errors);
        let moves = if new.moves_generation(&old) { "moves\n" } else { "" };
        format!("{moves}{}", lines(errors))
    });
}

/// Holds what is wrong with each write of the stored object's status against lines.
#[track_caller]
pub(super) fn check_statuses<K: Kind>(base: &str, table: &str) {
    each_row(base, table, |base, _, patch| {
        let old: K = stored(base);
        let mut new = serde_json::to_value(&old).unwrap();
        merge(&mut new, value(patch));
        let mut new: K = serde_json::from_value(new).unwrap();
        new.set_defaults();
        new.prepare_status(&old);
        new.canonicalise();
        let mut errors = FieldErrors::default();
        new.validate_status(&old, &mut errors);
        assert!(!new.moves_generation(&old), "a status moves the generation: {patch}");
        lines(errors)
    });
}

/// Holds each printed line, its cells parted by `|`, against text.
#[track_caller]
pub(super) fn check_rows<K: Kind>(base: &str, table: &str) {
    each_row(base, table, |_, object, _| {
        let object: K = serde_json::from_value(object.clone()).unwrap();
        let row = object.row(noon());
        assert_eq!(row.len(), K::COLUMNS.len(), "a cell for each column");
        row.join(" | ")
    });
}
