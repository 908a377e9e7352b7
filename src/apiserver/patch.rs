//! Changing objects by patches: the three that are told as a difference, and server-side apply.
//!
//! Owns what a patch may say and where it leads; the pipeline from the new object to the commit is `write`'s, and
//! who owns what the ledger's. Invariant: what a patch leads to is the object that was asked for, at the revision that
//! it names, or the patch is refused.

use std::sync::Arc;

use serde_json::Value;

use super::options::{Face, FieldValidation, WriteOptions};
use super::write::{MODIFIED, Made, Tracking, check_options, parse_revision};
use super::{Server, encode};
use crate::api::patch::{self, JsonPatch};
use crate::api::{KindId, KindInfo, Object, ObjectKey, Reason, StatusError, Strategy};
use crate::limits::CONFLICT_RETRIES;
use crate::store::{Record, Revision};

/// A change of an object, told as the difference.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 7386: what is given replaces, `null` deletes, lists are replaced whole.
    Merge(Value),
    /// RFC 6902: a list of operations.
    Json(JsonPatch),
    /// A merge patch that knows the kind: lists are merged by key, and directives say the rest.
    Strategic(Value),
    /// Server-side apply: the object is to say what is said here, and the manager owns it.
    Apply {
        /// What is said.
        value: Value,
        /// Take fields from other managers.
        force: bool,
    },
}

impl Server {
    /// Changes an object, or one face of it, by a patch. A resourceVersion in the patch must be the present
    /// one; without, the patch is applied anew when somebody else was faster.
    pub fn patch(
        &self,
        kind: KindId,
        key: &ObjectKey,
        face: Face,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let is_apply = matches!(patch, Patch::Apply { .. });
        check_options("PatchOptions", options, is_apply)?;
        let expected = match patch {
            Patch::Merge(value) | Patch::Strategic(value) | Patch::Apply { value, .. } => {
                value["metadata"]["resourceVersion"].as_str()
            }
            Patch::Json(_) => None,
        };
        let expected = parse_revision(expected)?;
        if let Patch::Apply { value, force } = patch {
            return self.apply(kind, key, face, expected, value, *force, options);
        }
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        let with_managers = touches_managers(patch);
        self.change(kind, key, face, expected, options, &mut |current| {
            let mut value = match with_managers {
                true => encode::value_in(strategy, current, options.version)?,
                false => encode::plain_value_in(strategy, current, options.version)?,
            };
            apply_patch(strategy, &mut value, patch, options.version)?;
            check_place(strategy, key, &value, Some(current))?;
            Ok(Made { object: decode_patched(strategy, key, value, options)?, account: None })
        })
    }

    /// Server-side apply: makes the object if there is none, else merges what is said into it.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request, in the order of the pipeline")]
    fn apply(
        &self,
        kind: KindId,
        key: &ObjectKey,
        face: Face,
        expected: Option<Revision>,
        value: &Value,
        force: bool,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        check_applied(strategy.versions().get(options.version).unwrap_or(strategy.info()), value)?;
        for _ in 0..CONFLICT_RETRIES {
            if face == Face::Main && self.store.get(kind, key.as_str()).is_none() {
                match self.apply_new(kind, key, value, force, options) {
                    Err(raced) if raced.is_already_exists() => continue,
                    answer => return answer,
                }
            }
            let answer = self.change(kind, key, face, expected, options, &mut |current| {
                let live = encode::plain_value_in(strategy, current, options.version)?;
                let entrant = self.entrant(kind, strategy, face, options);
                let present = current.header.managed.as_ref();
                let (merged, account) = self.ledger.applied(&entrant, &live, value, present, force)?;
                let merged = merged.unwrap_or(live);
                check_place(strategy, key, &merged, Some(current))?;
                Ok(Made { object: decode_patched(strategy, key, merged, options)?, account: Some(account) })
            });
            match answer {
                // Deleted meanwhile: it is made anew.
                Err(gone) if gone.is_not_found() && face == Face::Main => {}
                answer => return answer,
            }
        }
        let info = strategy.info();
        Err(StatusError::conflict(&info.group, &info.plural, key.name(), MODIFIED))
    }

    fn apply_new(
        &self,
        kind: KindId,
        key: &ObjectKey,
        value: &Value,
        force: bool,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        if let Some(uid) = value["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            let info = strategy.info();
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(StatusError::conflict(&info.group, &info.plural, key.name(), &why));
        }
        let nothing = Value::Object(serde_json::Map::new());
        let entrant = self.entrant(kind, strategy, Face::Main, options);
        let (merged, account) = self.ledger.applied(&entrant, &nothing, value, None, force)?;
        let mut merged = merged.unwrap_or_else(|| value.clone());
        let namespace = merged["metadata"]["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() && !key.namespace().is_empty() {
            merged["metadata"]["namespace"] = key.namespace().into();
        }
        check_place(strategy, key, &merged, None)?;
        let object = decode_patched(strategy, key, merged, options)?;
        self.create_tracked(kind, object, Tracking::Known(account), options)
    }
}

/// Refuses what no apply may say, and an object of another kind.
fn check_applied(info: &KindInfo, value: &Value) -> Result<(), StatusError> {
    if !value.is_object() {
        let why = "error decoding YAML: json: cannot unmarshal into Go value of type map[string]interface {}";
        return Err(StatusError::bad_request(why));
    }
    let (api_version, kind) = (value["apiVersion"].as_str(), value["kind"].as_str());
    let (api_version, kind) = (api_version.unwrap_or_default(), kind.unwrap_or_default());
    if api_version != info.api_version || kind != info.kind {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let why = format!("invalid object type: {group}/{version}, Kind={kind}");
        return Err(StatusError::bad_request(why));
    }
    if value["metadata"]["managedFields"].is_array() {
        return Err(StatusError::bad_request("metadata.managedFields must be nil"));
    }
    Ok(())
}

/// What a patch leads to must be the object that was asked for, as it is now.
fn check_place(
    strategy: &dyn Strategy,
    key: &ObjectKey,
    value: &Value,
    current: Option<&Record>,
) -> Result<(), StatusError> {
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default();
    if name != key.name() {
        let on_request = key.name();
        return Err(StatusError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({on_request})"
        )));
    }
    if namespace != key.namespace() {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(StatusError::bad_request(why));
    }
    let asked = parse_revision(value["metadata"]["resourceVersion"].as_str())?;
    let found = current.map(|current| current.header.revision);
    if asked.is_some() && found.is_some() && asked != found {
        let info = strategy.info();
        return Err(StatusError::conflict(&info.group, &info.plural, key.name(), MODIFIED));
    }
    Ok(())
}

/// The object that a patch leads to, with the fields that its kind has not treated as the options say.
fn decode_patched(
    strategy: &dyn Strategy,
    key: &ObjectKey,
    value: Value,
    options: &WriteOptions,
) -> Result<Box<dyn Object>, StatusError> {
    let invalid = |cause: String| {
        let info = strategy.info();
        let mut error = StatusError::invalid(&info.group, &info.kind, key.name(), Vec::new());
        error.message = format!("{} \"{}\" is invalid: patch: Invalid value: {cause}", info.kind, key.name());
        error
    };
    if options.field_validation == FieldValidation::Ignore {
        return strategy.decode_value(value).map_err(|cause| invalid(cause.to_string()));
    }
    // Upstream shows the whole object that was refused.
    let shown =
        (options.field_validation == FieldValidation::Strict).then(|| Value::String(value.to_string()));
    let (object, unknown) = strategy.decode_fields(value).map_err(|cause| invalid(cause.to_string()))?;
    let unknown = unknown.into_iter().map(|field| format!("unknown field \"{field}\""));
    match shown {
        None => unknown.for_each(|warning| options.warnings.add(warning)),
        Some(shown) => {
            let list: Vec<String> = unknown.collect();
            if !list.is_empty() {
                return Err(invalid(format!("{shown}: strict decoding error: {}", list.join(", "))));
            }
        }
    }
    Ok(object)
}

/// Whether a patch can see or change the managed fields, which others are spared.
fn touches_managers(patch: &Patch) -> bool {
    match patch {
        Patch::Merge(value) | Patch::Strategic(value) => !value["metadata"]["managedFields"].is_null(),
        Patch::Json(patch) => patch.touches("/metadata/managedFields"),
        Patch::Apply { .. } => false,
    }
}

fn apply_patch(
    strategy: &dyn Strategy,
    value: &mut Value,
    patch: &Patch,
    version: usize,
) -> Result<(), StatusError> {
    match patch {
        Patch::Apply { .. } => Ok(()),
        Patch::Strategic(given) => {
            let shape = strategy.shape(version);
            if shape.is_custom() {
                let why = "the body of the request was in an unknown format - accepted media types include: \
                           application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
                return Err(StatusError::new(Reason::UnsupportedMediaType, why));
            }
            let live = std::mem::take(value);
            *value = patch::strategic::merge(&shape, live, given.clone())
                .map_err(|cause| StatusError::new(cause.reason(), cause.to_string()))?;
            Ok(())
        }
        Patch::Merge(given @ Value::Object(_)) => {
            patch::merge(value, given.clone());
            Ok(())
        }
        Patch::Merge(_) => Err(StatusError::bad_request("a merge patch must be an object")),
        Patch::Json(operations) => {
            *value = operations.apply(value).map_err(|cause| {
                let rejected = "the server rejected our request due to an error in our request";
                StatusError::new(Reason::Invalid, format!("{rejected}: {cause}"))
            })?;
            Ok(())
        }
    }
}
