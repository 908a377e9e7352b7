//! The options of a request: what stands after the question mark, read and checked as upstream reads and checks
//! it.
//!
//! Pure. Owns the rules of how options go together, and their errors; what the options do is the verbs' affair.

use serde_json::{Value, json};

use super::path::decode;
use crate::api::fields::manager_of_user_agent;
use crate::api::selector::{FieldSelector, Selector};
use crate::api::{FieldErrors, FieldPath, Problem, StatusError};
use crate::apiserver::{
    DeleteOptions, FieldValidation, ListParams, Propagation, RevisionMatch, WriteOptions,
};
use crate::limits::FIELD_MANAGER_BYTES;

/// The pairs of a query, decoded.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query. Pairs that do not decode are left out, as upstream leaves them out.
    pub fn parse(text: Option<&str>) -> Query {
        let text = text.unwrap_or_default();
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let decoded = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        Query { pairs: decoded.collect() }
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of this name, or the empty text.
    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Every value of this name.
    fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// A switch: anything but `0` and `false` is on, nothing too.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, StatusError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse_int(text).map(Some).map_err(StatusError::bad_request)
    }
}

/// A number as Go reads it, with Go's words for what is none.
fn parse_int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let cause = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {cause}")
    })
}

/// A revision that a request names: `None` for "" and "0".
///
/// Errors: the words of upstream for text that is none.
pub fn revision(text: &str) -> Result<Option<u64>, String> {
    if matches!(text, "" | "0") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: std::num::ParseIntError| {
        let cause = match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {cause}")
    })
}

/// The options of lists and watches.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The labels that are asked for.
    pub labels: Selector,
    /// The fields that are asked for.
    pub fields: FieldSelector,
    /// It is a watch.
    pub watch: bool,
    /// Bookmarks may be sent.
    pub bookmarks: bool,
    /// From where, as given.
    pub resource_version: String,
    /// How the revision is meant.
    pub revision_match: RevisionMatch,
    /// Begin with the present state.
    pub initial_events: Option<bool>,
    /// How long a watch lasts.
    pub timeout_seconds: Option<i64>,
    /// The most objects.
    pub limit: Option<i64>,
    /// Where to go on.
    pub continue_token: String,
}

impl ListOptions {
    /// Reads and checks the options; `watch` where the path says so already.
    ///
    /// # Errors
    /// 400 for what cannot be read, 422 for options that do not go together.
    pub fn read(query: &Query, watch: bool) -> Result<ListOptions, StatusError> {
        let bad = |cause: crate::api::selector::SelectorError| StatusError::bad_request(cause.to_string());
        let mut options = ListOptions {
            labels: Selector::parse(query.get("labelSelector").unwrap_or_default()).map_err(bad)?,
            fields: FieldSelector::parse(query.get("fieldSelector").unwrap_or_default()).map_err(bad)?,
            watch: watch || query.flag("watch").unwrap_or(false),
            bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
            resource_version: query.text("resourceVersion"),
            revision_match: RevisionMatch::Unset,
            initial_events: query.flag("sendInitialEvents"),
            timeout_seconds: query.number("timeoutSeconds")?,
            limit: query.number("limit")?,
            continue_token: query.text("continue"),
        };
        let mut wanted = query.text("resourceVersionMatch");
        // Where nothing else is said, a watch from the beginning is told where its beginning ends.
        let from_start = matches!(options.resource_version.as_str(), "" | "0");
        if options.watch && from_start && options.initial_events.is_none() && wanted.is_empty() {
            options.initial_events = Some(true);
            wanted = NOT_OLDER.to_owned();
        }
        options.revision_match = match wanted.as_str() {
            NOT_OLDER => RevisionMatch::NotOlderThan,
            EXACT => RevisionMatch::Exact,
            _ => RevisionMatch::Unset,
        };
        let mut errors = FieldErrors::default();
        if options.watch {
            check_watch(&options, &wanted, &mut errors);
        } else {
            check_list(&options, &wanted, &mut errors);
        }
        refuse("ListOptions", errors)?;
        Ok(options)
    }

    /// As the door takes them.
    pub fn params(&self, namespace: Option<String>) -> ListParams {
        ListParams {
            version: 0,
            namespace,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            limit: self.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
            continue_token: Some(self.continue_token.clone()).filter(|token| !token.is_empty()),
            resource_version: self.resource_version.clone(),
            revision_match: self.revision_match,
        }
    }
}

const NOT_OLDER: &str = "NotOlderThan";
const EXACT: &str = "Exact";

fn check_list(options: &ListOptions, wanted: &str, errors: &mut FieldErrors) {
    let path = FieldPath::new("resourceVersionMatch");
    if !wanted.is_empty() {
        if options.resource_version.is_empty() {
            errors.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !options.continue_token.is_empty() {
            errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
        }
        if wanted != EXACT && wanted != NOT_OLDER {
            errors.not_supported(&path, wanted, &[EXACT, NOT_OLDER, ""]);
        }
        if wanted == EXACT && options.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.forbidden(&path, why);
        }
    }
    if options.initial_events.is_some() {
        let why = "sendInitialEvents is forbidden for list";
        errors.forbidden(&FieldPath::new("sendInitialEvents"), why);
    }
}

fn check_watch(options: &ListOptions, wanted: &str, errors: &mut FieldErrors) {
    let path = FieldPath::new("resourceVersionMatch");
    if options.initial_events.is_some() && wanted != NOT_OLDER {
        let why = format!("sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER}");
        errors.forbidden(&path, why);
    }
    if wanted.is_empty() {
        return;
    }
    if options.initial_events.is_none() {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.forbidden(&path, why);
    }
    if wanted != NOT_OLDER {
        errors.not_supported(&path, wanted, &[NOT_OLDER]);
    }
    if !options.continue_token.is_empty() {
        errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
    }
}

fn refuse(kind: &str, errors: FieldErrors) -> Result<(), StatusError> {
    match errors.is_empty() {
        true => Ok(()),
        false => Err(StatusError::invalid("meta.k8s.io", kind, "", errors.into_list())),
    }
}

/// Which verb a writer's options belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteVerb {
    /// `CreateOptions`.
    Create,
    /// `UpdateOptions`.
    Update,
    /// `PatchOptions` of a patch.
    Patch,
    /// `PatchOptions` of an apply.
    Apply,
}

/// The options of a write.
#[derive(Clone, Debug, Default)]
pub struct WriteQuery {
    /// As the door takes them.
    pub options: WriteOptions,
    /// Takes over fields of others.
    pub force: Option<bool>,
}

impl WriteQuery {
    /// Reads and checks the options. Without a field manager it is the first part of the user agent.
    ///
    /// # Errors
    /// 422 for options that are none.
    pub fn read(query: &Query, verb: WriteVerb, agent: &str) -> Result<WriteQuery, StatusError> {
        let manager = query.text("fieldManager");
        let force = query.flag("force");
        let dry_run = query.all("dryRun");
        let validation = query.text("fieldValidation");
        let mut errors = FieldErrors::default();
        match verb {
            WriteVerb::Apply if manager.is_empty() => {
                errors.required(&FieldPath::new("fieldManager"), "is required for apply patch");
            }
            WriteVerb::Patch if force.is_some() => {
                errors.forbidden(&FieldPath::new("force"), "may not be specified for non-apply patch");
            }
            _ => {}
        }
        check_manager(&manager, &mut errors);
        check_dry_run(&dry_run, &mut errors);
        let field_validation = match validation.as_str() {
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            other => {
                let allowed = ["", "Ignore", "Strict", "Warn"];
                errors.not_supported(&FieldPath::new("fieldValidation"), other, &allowed);
                FieldValidation::Warn
            }
        };
        let kind = match verb {
            WriteVerb::Create => "CreateOptions",
            WriteVerb::Update => "UpdateOptions",
            WriteVerb::Patch | WriteVerb::Apply => "PatchOptions",
        };
        refuse(kind, errors)?;
        let field_manager = if manager.is_empty() { manager_of_user_agent(agent) } else { manager };
        let options = WriteOptions {
            dry_run: !dry_run.is_empty(),
            field_manager,
            field_validation,
            ..WriteOptions::default()
        };
        Ok(WriteQuery { options, force })
    }
}

fn check_manager(manager: &str, errors: &mut FieldErrors) {
    let path = FieldPath::new("fieldManager");
    if manager.len() > FIELD_MANAGER_BYTES {
        errors.too_long(&path, FIELD_MANAGER_BYTES);
    }
    for (at, character) in manager.char_indices() {
        if character.is_control() || (character.is_whitespace() && character != ' ') {
            let code = u32::from(character);
            errors.invalid(&path, manager, format!("invalid character U+{code:04X} (at position {at})"));
        }
    }
}

fn check_dry_run(values: &[String], errors: &mut FieldErrors) {
    if values.iter().any(|value| value != "All") {
        errors.not_supported(&FieldPath::new("dryRun"), json!(values), &["All"]);
    }
}

/// The options of a deletion: of its body if it has one, else of its query.
///
/// # Errors
/// 400 for what cannot be read, 422 for options that do not go together.
pub fn delete_options(body: Option<&Value>, query: &Query) -> Result<DeleteQuery, StatusError> {
    let read = match body {
        Some(body) => RawDelete::of_body(body)?,
        None => RawDelete::of_query(query)?,
    };
    read.check()
}

/// The options of a deletion, checked.
#[derive(Clone, Debug, Default)]
pub struct DeleteQuery {
    /// As the door takes them.
    pub options: DeleteOptions,
    /// The caller asked for it with the old switch, and is answered 202 while the object goes.
    pub cascade_asked: bool,
}

#[derive(Default)]
struct RawDelete {
    grace: Option<i64>,
    policy: Option<String>,
    orphan: Option<bool>,
    dry_run: Vec<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl RawDelete {
    fn of_query(query: &Query) -> Result<RawDelete, StatusError> {
        Ok(RawDelete {
            grace: query.number("gracePeriodSeconds")?,
            policy: query.get("propagationPolicy").map(str::to_owned),
            orphan: query.flag("orphanDependents"),
            dry_run: query.all("dryRun"),
            uid: query.get("uid").map(str::to_owned),
            resource_version: query.get("resourceVersion").map(str::to_owned),
        })
    }

    fn of_body(body: &Value) -> Result<RawDelete, StatusError> {
        let wrong = |field: &str, found: &Value| {
            StatusError::bad_request(format!("DeleteOptions: {field} cannot be read from {found}"))
        };
        let text = |holder: &Value, field: &str| match &holder[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            other => Err(wrong(field, other)),
        };
        if !body.is_object() {
            return Err(wrong("the body", body));
        }
        Ok(RawDelete {
            grace: match &body["gracePeriodSeconds"] {
                Value::Null => None,
                found => Some(found.as_i64().ok_or_else(|| wrong("gracePeriodSeconds", found))?),
            },
            policy: text(body, "propagationPolicy")?,
            orphan: match &body["orphanDependents"] {
                Value::Null => None,
                found => Some(found.as_bool().ok_or_else(|| wrong("orphanDependents", found))?),
            },
            dry_run: match &body["dryRun"] {
                Value::Null => Vec::new(),
                Value::Array(items) => {
                    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                    texts.collect::<Option<_>>().ok_or_else(|| wrong("dryRun", &body["dryRun"]))?
                }
                found => return Err(wrong("dryRun", found)),
            },
            uid: text(&body["preconditions"], "uid")?,
            resource_version: text(&body["preconditions"], "resourceVersion")?,
        })
    }

    fn check(self) -> Result<DeleteQuery, StatusError> {
        let path = FieldPath::new("propagationPolicy");
        let mut errors = FieldErrors::default();
        if let (Some(policy), Some(_)) = (&self.policy, self.orphan) {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(Problem::Invalid, &path, json!(policy), why);
        }
        let propagation = match (self.policy.as_deref(), self.orphan) {
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Background"), _) => Some(Propagation::Background),
            (Some("Orphan"), _) => Some(Propagation::Orphan),
            (Some(other), _) => {
                errors.not_supported(&path, other, &["Foreground", "Background", "Orphan", "nil"]);
                None
            }
            (None, Some(true)) => Some(Propagation::Orphan),
            (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
        };
        check_dry_run(&self.dry_run, &mut errors);
        refuse("DeleteOptions", errors)?;
        let options = DeleteOptions {
            grace_period_seconds: self.grace,
            propagation,
            uid: self.uid,
            resource_version: self.resource_version,
            dry_run: !self.dry_run.is_empty(),
        };
        Ok(DeleteQuery { options, cascade_asked: self.orphan == Some(false) })
    }
}
