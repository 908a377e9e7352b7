//! Who owns which fields of an object: `metadata.managedFields`.
//!
//! Owns the entries, their order and identity, and their two forms (the API's type and JSON). Does not decide who owns
//! what. Invariant: entries are in upstream's order, no two have the same identity, and none is empty.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};

use super::set::Set;

/// By which kind of request fields came to their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A server-side apply.
    Apply,
    /// Every other write.
    Update,
}

impl Operation {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The manager's name.
    pub manager: Arc<str>,
    /// How it came to own.
    pub operation: Operation,
    /// The version in which the fields are named.
    pub api_version: Arc<str>,
    /// The subresource through which it wrote; empty for the object itself.
    pub subresource: Arc<str>,
    /// When it last changed what it owns, in seconds since 1970.
    pub time: Option<i64>,
    /// The fields.
    pub fields: Arc<Set>,
}

impl Entry {
    /// Whether both are entries of the same manager. Appliers keep their entry across versions.
    pub fn is_same_manager(&self, other: &Entry) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
            && self.subresource == other.subresource
    }

    fn order(&self) -> (Operation, i64, &str, &str, &str) {
        (self.operation, self.time.unwrap_or(0), &self.manager, &self.api_version, &self.subresource)
    }

    /// How a conflict names it: `"kubectl" with subresource "status" using apps/v1`.
    pub fn title(&self) -> String {
        let mut title = format!("{:?}", &*self.manager);
        if !self.subresource.is_empty() {
            title.push_str(&format!(" with subresource {:?}", &*self.subresource));
        }
        if self.operation == Operation::Update {
            title.push_str(&format!(" using {}", self.api_version));
        }
        title
    }
}

/// Everything that is known of who owns what of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedFields {
    entries: Vec<Entry>,
}

impl ManagedFields {
    /// The entries, brought into order.
    pub fn new(mut entries: Vec<Entry>) -> ManagedFields {
        entries.retain(|entry| !entry.fields.is_empty());
        entries.sort_by(|a, b| a.order().cmp(&b.order()));
        entries.shrink_to_fit();
        ManagedFields { entries }
    }

    /// The entries in order: appliers first, then by time.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether both say the same, apart from when.
    pub fn same_but_times(&self, other: &ManagedFields) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().all(|entry| {
                let twin = other.entries.iter().find(|twin| twin.is_same_manager(entry));
                twin.is_some_and(|twin| {
                    let same_fields = Arc::ptr_eq(&twin.fields, &entry.fields) || twin.fields == entry.fields;
                    same_fields && twin.api_version == entry.api_version
                })
            })
    }

    /// Reads the API's form.
    ///
    /// Errors: a sentence where an entry is none.
    pub fn decode(entries: &[ManagedFieldsEntry]) -> Result<ManagedFields, String> {
        let mut decoded: Vec<Entry> = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let operation = match entry.operation.as_deref() {
                Some("Apply") => Operation::Apply,
                Some("Update") => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = entry.api_version.as_deref().unwrap_or_default();
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match entry.fields_type.as_deref().unwrap_or_default() {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
                other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {at}")),
            }
            let fields = match &entry.fields_v1 {
                Some(FieldsV1(value)) => Set::from_value(value)?,
                None => Set::default(),
            };
            let entry = Entry {
                manager: Arc::from(entry.manager.as_deref().unwrap_or_default()),
                operation,
                api_version: Arc::from(api_version),
                subresource: Arc::from(entry.subresource.as_deref().unwrap_or_default()),
                time: entry.time.as_ref().map(|time| time.0.as_second()),
                fields: Arc::new(fields),
            };
            // Of two entries of one manager the later counts.
            decoded.retain(|known| !known.is_same_manager(&entry));
            decoded.push(entry);
        }
        Ok(ManagedFields::new(decoded))
    }

    /// The API's form.
    pub fn encode(&self) -> Vec<ManagedFieldsEntry> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let each = self.entries.iter().map(|entry| ManagedFieldsEntry {
            api_version: text(&entry.api_version),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(entry.fields.to_value())),
            manager: text(&entry.manager),
            operation: Some(entry.operation.as_str().to_owned()),
            subresource: text(&entry.subresource),
            time: entry.time.and_then(|at| Timestamp::from_second(at).ok()).map(Time),
        });
        each.collect()
    }

    /// Appends the JSON of the list.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let text = |name: &str, text: &str, out: &mut Vec<u8>| {
            out.extend_from_slice(name.as_bytes());
            // A string can always be written into memory.
            let _ = serde_json::to_writer(&mut *out, text);
        };
        out.push(b'[');
        for (at, entry) in self.entries.iter().enumerate() {
            text(if at == 0 { "{\"apiVersion\":" } else { ",{\"apiVersion\":" }, &entry.api_version, out);
            out.extend_from_slice(b",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
            entry.fields.write_json(out);
            if !entry.manager.is_empty() {
                text(",\"manager\":", &entry.manager, out);
            }
            text(",\"operation\":", entry.operation.as_str(), out);
            if !entry.subresource.is_empty() {
                text(",\"subresource\":", &entry.subresource, out);
            }
            if let Some(time) = entry.time.and_then(|at| Timestamp::from_second(at).ok()) {
                text(",\"time\":", &time.to_string(), out);
            }
            out.push(b'}');
        }
        out.push(b']');
    }
}

/// Whether the list asks for everything to be forgotten: it is empty, or has one empty entry.
pub fn is_reset(entries: &[ManagedFieldsEntry]) -> bool {
    match entries {
        [] => true,
        [one] => *one == ManagedFieldsEntry::default(),
        _ => false,
    }
}

/// The manager's name of a client that gives none: the part of its user agent before the first `/`.
pub fn manager_of_user_agent(user_agent: &str) -> String {
    let mut name = String::new();
    for letter in user_agent.split('/').next().unwrap_or_default().chars() {
        if letter.is_control() || (letter.is_whitespace() && letter != ' ') {
            continue;
        }
        if name.len() + letter.len_utf8() > crate::limits::FIELD_MANAGER_BYTES {
            break;
        }
        name.push(letter);
    }
    name
}
