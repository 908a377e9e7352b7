//! Objects as rows of a table, as `kubectl get` prints them.
//!
//! Owns the letters of a Table; the columns and cells are each kind's own. Invariant: every row has a cell for
//! each column.

use serde_json::{Value, json};

use super::objects::{self, Part, Shown};
use super::query::Query;
use crate::api::{KindInfo, StatusError};
use crate::apiserver::Server;
use crate::store::Record;

/// What of each object stands beside its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads the option.
    ///
    /// # Errors
    /// 400 for a word that is none of them.
    pub fn read(query: &Query) -> Result<Include, StatusError> {
        Ok(match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Include::Metadata,
            "Object" => Include::Object,
            "None" => Include::None,
            other => {
                return Err(StatusError::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be \
                     'Metadata', 'Object', 'None', or empty"
                )));
            }
        })
    }
}

/// What stands above the rows.
#[derive(Default)]
pub(super) struct Head<'a> {
    /// The version of meta.k8s.io.
    pub version: &'a str,
    /// Of the list, or of the object.
    pub revision: Option<String>,
    /// Where the list goes on.
    pub continue_token: Option<&'a str>,
    /// How many are left.
    pub remaining: Option<usize>,
    /// An earlier table of the same stream has told the columns.
    pub later: bool,
}

/// Appends a table.
pub(super) fn write<'r>(
    out: &mut Vec<u8>,
    server: &Server,
    shown: Shown<'_>,
    head: &Head<'_>,
    records: impl Iterator<Item = &'r Record>,
    include: Include,
) -> Result<(), StatusError> {
    let Shown { strategy, version: kind_version } = shown;
    let info = shown.info();
    let meta = objects::list_meta(head.revision.as_deref(), head.continue_token, head.remaining);
    let columns = if head.later { Value::Null } else { columns(info) };
    let version = head.version;
    out.extend_from_slice(
        format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/{version}\",\"metadata\":{meta},\
             \"columnDefinitions\":{columns},\"rows\":["
        )
        .as_bytes(),
    );
    let now = server.world().clock.now();
    for (at, record) in records.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let object = strategy.in_version(record.object(strategy), kind_version)?;
        let mut cells = vec![Value::from(record.header.key.name())];
        cells.extend(strategy.cells(&*object, kind_version, now));
        cells.resize(info.columns.len() + 1, Value::from(""));
        out.extend_from_slice(b"{\"cells\":");
        out.extend_from_slice(json!(cells).to_string().as_bytes());
        out.extend_from_slice(b",\"object\":");
        match include {
            Include::Metadata => objects::write(out, server, shown, record, Part::Metadata(version))?,
            Include::Object => objects::write(out, server, shown, record, Part::Whole)?,
            Include::None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn columns(info: &KindInfo) -> Value {
    let name = json!({
        "name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0,
    });
    let others = info.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.type_, "format": column.format, "description": column.description,
            "priority": column.priority,
        })
    });
    std::iter::once(name).chain(others).collect()
}
