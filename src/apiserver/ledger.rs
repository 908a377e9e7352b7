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
    self, ApplyError, Interner, ManagedFields, Outcome, OutlineKeys, Set, Writer, is_reset,
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
    /// The version in which the request is made.
    pub version: usize,
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
            Face::EphemeralContainers => "ephemeralcontainers",
            Face::Resize => "resize",
        }
    }
}

impl<'a> Entrant<'a> {
    fn reset(&self) -> &'static Set {
        let info = self.strategy.info();
        let custom = self.strategy.shape(0).is_custom();
        fields::reset_fields(&info.group, &info.kind, self.face.subresource(), info.has_status, custom)
    }

    /// The version whose fields are named. Objects of the built-in kinds are typed, so theirs are those of the storage
    /// version, but for what is applied in another.
    fn tracked(&self) -> usize {
        if self.strategy.shape(0).is_custom() { self.version } else { 0 }
    }

    fn api_version(&self) -> &'a str {
        let info = self.strategy.versions().get(self.tracked()).unwrap_or(self.strategy.info());
        &info.api_version
    }

    fn writer(&self) -> Writer<'a> {
        Writer {
            manager: self.manager,
            api_version: self.api_version(),
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
        let shape = entrant.strategy.shape(entrant.tracked());
        let writer = entrant.writer();
        let given = match Given::read(given) {
            Given::Account(account) => Some(account),
            Given::Nothing | Given::Reset => None,
        };
        // Custom types change while their kind's number stays, so their outlines are not kept.
        let outline = (given.is_none() && !shape.is_custom())
            .then(|| object.outline(self.keys, u64::from(entrant.kind.0), shape.root()));
        if let Some(outline) = outline
            && let Some(account) = self.interner.lock().of_outline(outline, &writer)
        {
            return (!account.is_empty()).then_some(account);
        }
        let nothing = Value::Object(serde_json::Map::new());
        let difference = fields::compare(shape.root(), &nothing, &encode::value_of(object))
            .inspect_err(|problem| tracing::debug!(%problem, "a new object is not tracked"))
            .ok()?;
        if let Some(given) = given {
            return self.keep(fields::update(&given, &difference, &writer));
        }
        let set = Arc::new(fields::fields_of_change(&difference, writer.reset));
        let account = self.interner.lock().account_of(set, outline, &writer);
        (!account.is_empty()).then_some(account)
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
        let shape = entrant.strategy.shape(0);
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
        present: Option<&Arc<ManagedFields>>,
        force: bool,
    ) -> Result<(Option<Value>, Account), StatusError> {
        let nobody = ManagedFields::default();
        let shape = entrant.strategy.shape(entrant.version);
        let info = entrant.strategy.versions().get(entrant.version).unwrap_or(entrant.strategy.info());
        let writer = Writer { api_version: &info.api_version, ..entrant.writer() };
        let before = present.map_or(&nobody, |present| &**present);
        let outcome = fields::apply(&shape, live, applied, before, &writer, force);
        let Outcome { object, managed } = outcome.map_err(refusal)?;
        let account = if managed == *before { present.cloned() } else { self.keep(managed) };
        Ok((object, account))
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
