//! Keeps the account of who owns which fields, for every write of every verb.
//!
//! Owns the tables in which equal sets of fields are kept once, and what is known at the door alone: the manager, the
//! subresource, the time. The rules are `api::fields`'. Costs little where objects are made alike: a create takes one
//! pass over the object and finds its set, an update compares the parts of two bodies that differ.
//!
//! Invariant: an account that cannot be kept (a list whose items cannot be told apart) is dropped whole, as upstream
//! drops it, and never keeps a write from being made.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use parking_lot::Mutex;
use serde_json::Value;

use super::encode;
use super::options::Face;
use crate::api::fields::{
    self, ApplyError, Entry, Interner, ManagedFields, Operation, Outcome, OutlineKeys, Set, Writer, is_reset,
};
use crate::api::{FieldError, KindId, Object, Problem, Reason, StatusError, Strategy};
use crate::store::Record;

/// The door's account.
#[derive(Default)]
pub(super) struct Ledger {
    interner: Mutex<Interner>,
    keys: OutlineKeys,
}

/// Who writes what.
pub(super) struct Entrant<'a> {
    pub strategy: &'a dyn Strategy,
    pub kind: KindId,
    pub face: Face,
    pub manager: &'a str,
    pub now: Timestamp,
}

type Account = Option<Arc<ManagedFields>>;

impl Face {
    /// The subresource's name; empty for the object itself.
    pub(super) fn subresource(self) -> &'static str {
        match self {
            Face::Main => "",
            Face::Status => "status",
            Face::Finalize => "finalize",
        }
    }
}

impl<'a> Entrant<'a> {
    fn reset(&self) -> &'static Set {
        let info = self.strategy.info();
        let custom = self.strategy.shape().is_custom();
        fields::reset_fields(&info.group, &info.kind, self.face.subresource(), info.has_status, custom)
    }

    fn writer(&self) -> Writer<'a> {
        Writer {
            manager: self.manager,
            api_version: &self.strategy.info().api_version,
            subresource: self.face.subresource(),
            now: self.now.as_second(),
            reset: self.reset(),
        }
    }
}

/// What the request itself says of its managed fields.
enum Given {
    /// Nothing that counts.
    Nothing,
    /// That all is to be forgotten.
    Reset,
    /// An account of its own.
    Account(ManagedFields),
}

impl Given {
    fn read(entries: Option<&[ManagedFieldsEntry]>) -> Given {
        match entries {
            None => Given::Nothing,
            Some(entries) if is_reset(entries) => Given::Reset,
            // One that cannot be read counts as none: clients that know nothing of it must not lose it.
            Some(entries) => match ManagedFields::decode(entries) {
                Ok(account) if !account.is_empty() => Given::Account(account),
                _ => Given::Nothing,
            },
        }
    }
}

impl Ledger {
    /// The account of a new object, as it is before admission changes it.
    pub(super) fn created(
        &self,
        entrant: &Entrant<'_>,
        object: &dyn Object,
        given: Option<&[ManagedFieldsEntry]>,
    ) -> Account {
        let shape = entrant.strategy.shape();
        let reset = entrant.reset();
        // Custom types change while their kind's number stays, so their outlines are not kept.
        let outline =
            (!shape.is_custom()).then(|| object.outline(self.keys, u64::from(entrant.kind.0), shape.root()));
        let known = outline.and_then(|outline| self.interner.lock().of_outline(outline));
        let given = match Given::read(given) {
            Given::Account(account) => account,
            Given::Nothing | Given::Reset => ManagedFields::default(),
        };
        let set = match known.filter(|_| given.is_empty()) {
            Some(set) => set,
            None => {
                let body = encode::value_of(object);
                let nothing = Value::Object(serde_json::Map::new());
                let difference = fields::compare(shape.root(), &nothing, &body)
                    .inspect_err(|problem| tracing::debug!(%problem, "a new object is not tracked"))
                    .ok()?;
                if !given.is_empty() {
                    return self.keep(fields::update(&given, &difference, &entrant.writer()));
                }
                let set = Arc::new(fields::fields_of_change(&difference, reset));
                let mut interner = self.interner.lock();
                let set = interner.set(&set);
                if let Some(outline) = outline {
                    interner.remember(outline, &set);
                }
                set
            }
        };
        if set.is_empty() {
            return None;
        }
        let writer = entrant.writer();
        let mut interner = self.interner.lock();
        let entry = Entry {
            manager: interner.name(if writer.manager.is_empty() { "unknown" } else { writer.manager }),
            operation: Operation::Update,
            api_version: interner.name(writer.api_version),
            subresource: interner.name(writer.subresource),
            time: Some(writer.now),
            fields: set,
        };
        Some(interner.share(ManagedFields::new(vec![entry])))
    }

    /// The account after an update that leads from the current body to this one.
    pub(super) fn updated(
        &self,
        entrant: &Entrant<'_>,
        current: &Record,
        body: &[u8],
        given: Option<&[ManagedFieldsEntry]>,
    ) -> Account {
        let present = &current.header.managed;
        // A subresource cannot be used to change the account.
        let given = if entrant.face == Face::Main { Given::read(given) } else { Given::Nothing };
        let base = match given {
            // An object that nobody tracks stays so until its first apply.
            Given::Reset => return None,
            Given::Nothing => match present {
                None => return None,
                Some(_) if current.body() == body => return present.clone(),
                Some(present) => present.clone(),
            },
            Given::Account(account) => Arc::new(account),
        };
        let shape = entrant.strategy.shape();
        let difference = fields::compare_bodies(shape.root(), current.body(), body)
            .inspect_err(|problem| tracing::debug!(key = %current.header.key, %problem, "tracking ends"))
            .ok()?;
        let after = fields::update(&base, &difference, &entrant.writer());
        if Some(&after) == present.as_deref() {
            return present.clone();
        }
        self.keep(after)
    }

    /// Applies an object to the live one, given as JSON without an account; an empty one if there is none.
    pub(super) fn applied(
        &self,
        entrant: &Entrant<'_>,
        live: &Value,
        applied: &Value,
        present: Option<&ManagedFields>,
        force: bool,
    ) -> Result<(Option<Value>, Account), StatusError> {
        let nobody = ManagedFields::default();
        let shape = entrant.strategy.shape();
        let writer = entrant.writer();
        let outcome = fields::apply(&shape, live, applied, present.unwrap_or(&nobody), &writer, force);
        let Outcome { object, managed } = outcome.map_err(refusal)?;
        if Some(&managed) == present {
            // The caller has the account already, shared.
            return Ok((object, None));
        }
        Ok((object, self.keep(managed)))
    }

    fn keep(&self, account: ManagedFields) -> Account {
        (!account.is_empty()).then(|| self.interner.lock().managed(account))
    }
}

/// How the API answers an apply that does not succeed.
fn refusal(error: ApplyError) -> StatusError {
    let message = error.to_string();
    match error {
        ApplyError::Conflicts(conflicts) => {
            let mut status = StatusError::new(Reason::Conflict, message);
            status.causes = conflicts
                .into_iter()
                .map(|conflict| FieldError {
                    problem: Problem::ManagerConflict,
                    field: conflict.field,
                    value: Value::Null,
                    detail: format!("conflict with {}", conflict.manager),
                })
                .collect();
            status
        }
        _ => StatusError::new(Reason::InternalError, message),
    }
}
