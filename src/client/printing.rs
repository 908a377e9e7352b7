//! Objects as the table that `kubectl get` prints.

use jiff::Timestamp;

use crate::api::{Kind, Registry};
use crate::store::Stored;

/// The objects as a table, one a line, with the kind's own columns; `wide` adds those of `-o wide`.
///
/// A registry is needed for the kind's columns: [`Client::server`](super::Client::server) has it.
pub fn table<K: Kind>(registry: &Registry, objects: &[Stored<K>], now: Timestamp, wide: bool) -> String {
    let Some(kind) = registry.id_of::<K>() else { return String::new() };
    let strategy = registry.strategy(kind);
    let shown: Vec<bool> = K::COLUMNS.iter().map(|column| wide || !column.wide).collect();
    let heading = K::COLUMNS.iter().map(|column| column.name.to_ascii_uppercase());
    let mut rows: Vec<Vec<String>> = vec![std::iter::once("NAME".to_owned()).chain(heading).collect()];
    for object in objects {
        let cells = strategy.row(&**object, now);
        rows.push(std::iter::once(object.name().to_owned()).chain(cells).collect());
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let keep = std::iter::once(true).chain(shown.iter().copied());
            row.into_iter().zip(keep).filter_map(|(cell, keep)| keep.then_some(cell)).collect()
        })
        .collect();
    align(&rows)
}

/// Columns three spaces apart, as kubectl prints them.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 3));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
