//! What applying a manifest means: a server-side apply of each of its objects, in its order, under the client's name.
//!
//! Owns the reading of manifests against the cluster's kinds and the line of what is refused. Invariant: everything is
//! read before anything is written.

use super::{Client, Error};
use crate::api::manifest::{Document, Problem, read};
use crate::api::{KindId, ObjectKey, Reason, Scope, StatusError};
use crate::apiserver::{DeleteOptions, Face, Patch};

/// What became of one object of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The kind.
    pub kind: String,
    /// The resource with its group, as kubectl names it: `deployment.apps`.
    pub resource: String,
    /// Namespace and name.
    pub key: ObjectKey,
    /// What was done.
    pub outcome: Outcome,
}

/// What applying did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It said something else.
    Configured,
    /// It said so already.
    Unchanged,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = match self.outcome {
            Outcome::Created => "created",
            Outcome::Configured => "configured",
            Outcome::Unchanged => "unchanged",
        };
        write!(f, "{}/{} {outcome}", self.resource, self.key.name())
    }
}

/// One object of a manifest, found to be of a known kind and readable as it.
struct Item {
    document: Document,
    kind: KindId,
    key: ObjectKey,
}

pub(super) fn apply(client: &Client, text: &str) -> Result<Vec<Applied>, Error> {
    // Everything is read before anything is written.
    let items = read_items(client, text)?;
    items.iter().map(|item| apply_one(client, item)).collect()
}

pub(super) fn delete(client: &Client, text: &str) -> Result<(), Error> {
    for item in read_items(client, text)?.iter().rev() {
        match client.server.delete(item.kind, &item.key, &DeleteOptions::default()) {
            Ok(_) => {}
            Err(gone) if gone.is_not_found() => {}
            Err(cause) => return Err(item.refused(cause)),
        }
    }
    Ok(())
}

impl Item {
    /// The door's answer with the line of the field that it is about.
    fn refused(&self, cause: StatusError) -> Error {
        let line =
            cause.causes.first().map_or(self.document.line, |first| self.document.line_of(&first.field));
        Error::Refused { document: self.document.index, line, cause }
    }
}

fn read_items(client: &Client, text: &str) -> Result<Vec<Item>, Error> {
    read(text)?.into_iter().map(|document| read_item(client, document)).collect()
}

fn read_item(client: &Client, mut document: Document) -> Result<Item, Error> {
    let named = document.type_meta()?;
    let kind = client.server.registry().find(named.api_version, named.kind).ok_or_else(|| {
        let message = format!("no matches for kind \"{}\" in version \"{}\"", named.kind, named.api_version);
        let line = document.line_of("kind");
        Error::Refused { document: document.index, line, cause: StatusError::new(Reason::NotFound, message) }
    })?;
    let strategy = client.server.registry().strategy(kind);
    let info = strategy.info();
    if !document.value["metadata"].is_object() {
        let problem = Problem::Field("an object of fields is expected".to_owned());
        return Err(document.error_at("metadata", problem).into());
    }
    let checked = strategy.check_fields(&document.value);
    if let Err(wrong) = checked {
        return Err(document.error_at(&wrong.field, Problem::Field(wrong.cause)).into());
    }
    let namespace = document.value["metadata"]["namespace"].as_str().unwrap_or_default();
    let namespace = match info.scope {
        Scope::Cluster => "",
        Scope::Namespaced if namespace.is_empty() => "default",
        Scope::Namespaced => namespace,
    };
    let name = document.value["metadata"]["name"].as_str().unwrap_or_default();
    let key = ObjectKey::new(namespace, name);
    if name.is_empty() {
        let mut cause = StatusError::bad_request("resource name may not be empty");
        cause.subject.kind.clone_from(&info.kind);
        let line = document.line_of("metadata.name");
        return Err(Error::Refused { document: document.index, line, cause });
    }
    if info.scope == Scope::Namespaced {
        document.value["metadata"]["namespace"] = key.namespace().into();
    }
    Ok(Item { document, kind, key })
}

fn apply_one(client: &Client, item: &Item) -> Result<Applied, Error> {
    let strategy = client.server.registry().strategy(item.kind);
    let info = strategy.info();
    let resource = match info.group.as_str() {
        "" => info.singular.clone(),
        group => format!("{}.{group}", info.singular),
    };
    let before = client.server.store().get(item.kind, item.key.as_str()).map(|record| record.header.revision);
    // A manifest says how things are to be, so it takes what it speaks of from whoever changed it.
    let patch = Patch::Apply { value: item.document.value.clone(), force: true };
    let options = client.write_options();
    let applied = client.server.patch(item.kind, &item.key, Face::Main, &patch, &options);
    let record = applied.map_err(|cause| item.refused(cause))?;
    let outcome = match before {
        None => Outcome::Created,
        Some(before) if before == record.header.revision => Outcome::Unchanged,
        Some(_) => Outcome::Configured,
    };
    Ok(Applied { kind: info.kind.clone(), resource, key: item.key.clone(), outcome })
}
