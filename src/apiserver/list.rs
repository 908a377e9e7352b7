//! Reading many objects: whole or in pieces, now or at a revision that the log still knows.
//!
//! A continue token names a revision and a key and pins nothing: what the list looked like then is worked out
//! from the present state and the log. Invariant: the pieces of a list together are the list at the revision of
//! its first piece.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::options::{ListParams, RevisionMatch};
use super::{Server, base64};
use crate::api::selector::{FieldSelector, Selector};
use crate::api::{FieldErrors, FieldPath, KindId, KindInfo, ObjectKey, Reason, StatusError, TermName};
use serde_json::{Value, json};

use crate::store::{Change, Header, Record, Revision, Select, Snapshot};

/// One piece of a list, or all of it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The objects, in the order of their keys.
    pub items: Vec<Arc<Record>>,
    /// The revision of the whole list.
    pub revision: Revision,
    /// Where the next piece begins.
    pub continue_token: Option<String>,
    /// How many are left, where that is known (no selectors).
    pub remaining: Option<usize>,
}

/// What an object must be to be listed or watched.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub namespace: Option<String>,
    pub labels: Selector,
    pub fields: FieldSelector,
    /// The terms of the fields that have another name to users.
    renamed: Vec<(String, TermName)>,
}

impl Filter {
    pub fn new(
        info: &KindInfo,
        namespace: &Option<String>,
        labels: &Selector,
        fields: &FieldSelector,
    ) -> Result<Filter, StatusError> {
        for term in fields.terms() {
            let name = term.field.as_str();
            let known =
                name == "metadata.name" || name == "metadata.namespace" || info.selectable(name).is_some();
            if !known {
                let text = format!(
                    "Unable to find \"{}\" that match label selector \"{labels}\", field selector \"{fields}\": \
                     field label not supported: {name}",
                    resource_name(info)
                );
                return Err(StatusError::bad_request(text));
            }
        }
        let namespace = namespace.clone().filter(|namespace| !namespace.is_empty());
        let renamed = match fields.is_everything() {
            true => Vec::new(),
            false => info.selectable_fields.iter().filter(|(name, term)| name != term).cloned().collect(),
        };
        Ok(Filter { namespace, labels: labels.clone(), fields: fields.clone(), renamed })
    }

    pub fn matches(&self, header: &Header) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| header.key.namespace() == namespace)
            && (self.labels.is_everything() || self.labels.matches(header))
            && self.fields.matches(|field| match field {
                "metadata.name" => Some(header.key.name()),
                "metadata.namespace" => Some(header.key.namespace()),
                field => header.term(self.term(field)),
            })
    }

    fn term<'a>(&self, field: &'a str) -> &'a str {
        self.renamed.iter().find(|(name, _)| name == field).map_or(field, |(_, term)| term)
    }

    pub fn selects_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The narrowest index that holds everything that matches.
    pub fn select<'a>(&'a self, info: &KindInfo) -> Select<'a> {
        let field = self.fields.exact().find_map(|(field, value)| {
            let term = info.terms.iter().find(|term| **term == self.term(field))?;
            Some(Select::Term(term, value))
        });
        let label = || {
            self.labels.exact().find_map(|(key, value)| {
                let term = info.terms.iter().find(|term| term.strip_prefix("label:") == Some(key))?;
                Some(Select::Term(term, value))
            })
        };
        let namespace = || self.namespace.as_deref().map(Select::Namespace);
        field.or_else(label).or_else(namespace).unwrap_or(Select::All)
    }

    /// The single object that the selector names, if it names one.
    pub fn single(&self) -> Option<ObjectKey> {
        let name = self.fields.exact_value("metadata.name")?;
        let namespace =
            self.namespace.as_deref().or_else(|| self.fields.exact_value("metadata.namespace"))?;
        Some(ObjectKey::new(namespace, name))
    }
}

fn resource_name(info: &KindInfo) -> String {
    if info.group.is_empty() {
        format!("/{}, Resource={}", info.version, info.plural)
    } else {
        format!("{}/{}, Resource={}", info.group, info.version, info.plural)
    }
}

impl Server {
    /// Lists objects of a kind.
    ///
    /// Errors: 400 for a selector or token that is none, 410 for a revision that the log no longer knows, 504
    /// for one that is not reached yet.
    pub fn list(&self, kind: KindId, params: &ListParams) -> Result<Page, StatusError> {
        let strategy = self.strategy(kind);
        let info = strategy.versions().get(params.version).unwrap_or(strategy.info());
        let filter = Filter::new(info, &params.namespace, &params.labels, &params.fields)?;
        check_params(params)?;
        let snapshot = self.store.snapshot();
        let (at, from) = begin(params, snapshot.revision())?;
        if at > snapshot.revision() {
            let mut error = StatusError::new(
                Reason::Timeout,
                format!("Timeout: Too large resource version: {at}, current: {}", snapshot.revision()),
            );
            error.retry_after_seconds = 1;
            return Err(error);
        }
        let most = params.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut items: Vec<Arc<Record>> = if at == snapshot.revision() {
            let all = snapshot.list_records_from(kind, filter.select(info), &from);
            all.filter(|record| filter.matches(&record.header))
                .take(most.saturating_add(1))
                .cloned()
                .collect()
        } else {
            // The whole rest where its number is told.
            let whole = if filter.selects_all() { usize::MAX } else { most.saturating_add(1) };
            self.list_past(kind, &snapshot, at, &filter, &from, whole)?
        };
        let mut page = Page { items: Vec::new(), revision: at, continue_token: None, remaining: None };
        if items.len() > most {
            let next = items.split_off(most);
            page.continue_token = next.first().map(|record| token(at, record.header.key.as_str()));
            if filter.selects_all() && at != snapshot.revision() {
                page.remaining = Some(next.len());
            } else if filter.selects_all() {
                let after = next.first().map(|record| record.header.key.clone());
                let select = filter.select(info);
                page.remaining =
                    after.map(|key| snapshot.list_records_from(kind, select, key.as_str()).count());
            }
        }
        page.items = items;
        Ok(page)
    }

    /// The list as it was at an earlier revision: the present, with what changed since put back.
    fn list_past(
        &self,
        kind: KindId,
        snapshot: &Snapshot,
        at: Revision,
        filter: &Filter,
        from: &str,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StatusError> {
        let mut then: BTreeMap<String, Option<Arc<Record>>> = BTreeMap::new();
        let put_back = |change: &Arc<Change>| {
            let header = &change.new.header;
            if header.kind == kind && change.revision <= snapshot.revision() {
                then.entry(header.key.as_str().to_owned()).or_insert_with(|| change.old.clone());
            }
        };
        self.store.since(at, put_back).map_err(|_| {
            StatusError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start \
                 a new list without the continue parameter.",
            )
        })?;
        let present = snapshot
            .list_records(kind, Select::All)
            .filter(|record| !then.contains_key(record.header.key.as_str()))
            .cloned();
        let mut all: BTreeMap<String, Arc<Record>> =
            present.map(|record| (record.header.key.as_str().to_owned(), record)).collect();
        all.extend(then.iter().filter_map(|(key, old)| Some((key.clone(), old.clone()?))));
        let rest = all.range(from.to_owned()..).map(|(_, record)| record);
        Ok(rest.filter(|record| filter.matches(&record.header)).take(most).cloned().collect())
    }
}

/// Refuses parameters that say nothing together.
fn check_params(params: &ListParams) -> Result<(), StatusError> {
    if params.revision_match == RevisionMatch::Unset {
        return Ok(());
    }
    let path = FieldPath::new("resourceVersionMatch");
    let mut errors = FieldErrors::default();
    if params.resource_version.is_empty() {
        errors.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if params.continue_token.as_ref().is_some_and(|token| !token.is_empty()) {
        errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
    }
    if params.revision_match == RevisionMatch::Exact && params.resource_version == "0" {
        errors.forbidden(&path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(StatusError::invalid("meta.k8s.io", "ListOptions", "", errors.into_list())),
    }
}

/// The revision of the list and the key at which its next piece begins.
fn begin(params: &ListParams, present: Revision) -> Result<(Revision, String), StatusError> {
    if let Some(text) = params.continue_token.as_deref().filter(|text| !text.is_empty()) {
        let bad = |why: String| StatusError::bad_request(format!("invalid continue token: {why}"));
        let token = Token::decode(text).map_err(bad)?;
        let revision = match token.revision {
            // Whoever goes on without the first piece's revision gets the present.
            -1 => present,
            revision => u64::try_from(revision).map(Revision).map_err(|_| bad(NOT_VALID.to_owned()))?,
        };
        if revision > present {
            return Err(bad(NOT_VALID.to_owned()));
        }
        if !matches!(params.resource_version.as_str(), "" | "0") {
            let why = "specifying resource version is not allowed when using continue";
            return Err(StatusError::bad_request(why));
        }
        return Ok((revision, token.key));
    }
    let asked = match params.resource_version.as_str() {
        "" | "0" => return Ok((present, String::new())),
        text => text
            .parse()
            .map(Revision)
            .map_err(|_| StatusError::bad_request(format!("invalid resource version: {text:?}")))?,
    };
    let exact = match params.revision_match {
        RevisionMatch::Exact => true,
        RevisionMatch::NotOlderThan => false,
        RevisionMatch::Unset => params.limit.is_some_and(|limit| limit > 0),
    };
    Ok((if exact { asked } else { asked.max(present) }, String::new()))
}

/// Where a list goes on: upstream's token, an opaque text to users.
struct Token {
    /// The revision of the first piece; -1 for whatever is present.
    revision: i64,
    /// The key at which the next piece begins.
    key: String,
}

const NOT_VALID: &str = "continue key is not valid";
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl Token {
    fn encode(&self) -> String {
        let (revision, key) = (self.revision, &self.key);
        base64::encode(json!({ "v": TOKEN_VERSION, "rv": revision, "start": key }).to_string().as_bytes())
    }

    fn decode(text: &str) -> Result<Token, String> {
        let bytes = base64::decode(text).map_err(|why| format!("{NOT_VALID}: {why}"))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|why| format!("{NOT_VALID}: {why}"))?;
        let version = value["v"].as_str().unwrap_or_default();
        if version != TOKEN_VERSION {
            return Err(format!("{NOT_VALID}: server does not recognize this encoded version {version}"));
        }
        let revision = value["rv"].as_i64().unwrap_or(0);
        if revision == 0 {
            return Err(format!(
                "{NOT_VALID}: incorrect encoded start resourceVersion (version {TOKEN_VERSION})"
            ));
        }
        let key = value["start"].as_str().unwrap_or_default().to_owned();
        if key.is_empty() {
            return Err(format!("{NOT_VALID}: encoded start key empty (version {TOKEN_VERSION})"));
        }
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("{NOT_VALID}: {key}"));
        }
        Ok(Token { revision, key })
    }
}

fn token(revision: Revision, key: &str) -> String {
    Token { revision: i64::try_from(revision.0).unwrap_or(i64::MAX), key: key.to_owned() }.encode()
}

/// The token that goes on where another one does, at whatever is present; `None` for text that is no token.
#[cfg_attr(not(feature = "http"), allow(dead_code))]
pub(super) fn present_token(text: &str) -> Option<String> {
    let token = Token::decode(text).ok()?;
    Some(Token { revision: -1, ..token }.encode())
}
