//! The verbs on objects: from a target and its options to a call of the door, and from its answer to a response.
//!
//! Owns which verb a target takes and the order of checks, which is upstream's: the form of the answer, the body,
//! the options, then the object. Invariant: nothing is written before every check of the wire has passed.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::body::Body;
use super::content::{self, Accepted, Form, Offer, Unreadable};
use super::objects::Shown;
use super::path::{Target, Verb};
use super::query::{ListOptions, Query, WriteQuery, WriteVerb};
use super::status::Failure;
use super::stream::{EventStream, Telling};
use super::table::Include;
use super::{Wire, deletes, discovery, objects, query, respond, respond_value, subresources, warn};
use crate::api::{
    FieldErrors, FieldPath, KindId, KindInfo, Object, ObjectKey, Reason, Registry, Scope, Served,
    StatusError, Strategy,
};
use crate::apiserver::{Face, FieldValidation, ListParams, RevisionMatch, WatchFrom, WatchParams};
use crate::limits::WATCH_LEAST;
use crate::store::{Record, Revision};
use std::sync::Arc;
use std::time::Duration;

/// One request about objects of a kind.
pub(super) struct Call<'a> {
    pub wire: &'a Wire,
    pub parts: &'a Parts,
    pub query: Query,
    pub body: &'a Bytes,
    pub target: Target,
    pub kind: KindId,
    /// Which of the kind's versions.
    pub version: usize,
    pub strategy: Arc<dyn Strategy>,
    pub accepted: Accepted,
}

/// The kind of a resource, and the version in which it is asked for.
fn find(registry: &Registry, target: &Target) -> Option<(Served, Arc<dyn Strategy>)> {
    let served = registry.find_resource(&target.group, &target.version, &target.resource)?;
    let strategy = registry.strategy(served.kind);
    // A kind that changed in between has another version there, or none.
    let info = strategy.versions().get(served.version)?;
    (info.version == target.version).then(|| (served, strategy.clone()))
}

/// Answers a request about objects.
pub(super) fn answer(
    wire: &Wire,
    parts: &Parts,
    query: Query,
    body: &Bytes,
    target: Target,
) -> Result<Response<Body>, Failure> {
    let registry = wire.server.registry();
    if subresources::is_legacy_binding(&target) {
        return subresources::bind_by_body(wire, parts, &query, body, &target);
    }
    let Some((Served { kind, version }, strategy)) = find(registry, &target) else {
        return Err(match discovery::has_version(registry, &target.group, &target.version) {
            true => Failure::NoResource,
            false => Failure::NoPath,
        });
    };
    // A name without a namespace, or a namespace where there are none, is no path of this resource.
    let info = Shown { strategy: &*strategy, version }.info();
    match info.scope {
        Scope::Namespaced if target.namespace.is_none() && target.name.is_some() => {
            return Err(Failure::NoResource);
        }
        Scope::Cluster if target.namespace.is_some() => return Err(Failure::NoResource),
        _ => {}
    }
    let is_list = matches!(target.verb, Verb::List | Verb::Watch);
    let watch =
        target.verb == Verb::Watch || (target.verb == Verb::List && query.flag("watch").unwrap_or(false));
    let offer = if watch { Offer::Events } else { Offer::Objects };
    // Which verbs there are comes before which forms: a wrong method is told as such.
    check_verb(&target, info)?;
    let deprecation = info.deprecation.clone();
    let accepted = content::negotiate(&parts.headers, &query, offer)?;
    let call = Call { wire, parts, query, body, target, kind, version, strategy, accepted };
    let answered = match call.target.verb {
        _ if call.target.subresource.is_some() => subresources::answer(&call),
        _ if watch => call.watch(),
        _ if is_list => call.list(),
        Verb::Get => call.get(),
        Verb::Create => call.create(),
        Verb::Update => call.update(Face::Main),
        Verb::Patch => call.patch(Face::Main),
        Verb::Delete => deletes::one(&call),
        Verb::DeleteCollection => deletes::many(&call),
        _ => Err(Failure::NoMethod),
    };
    match deprecation {
        None => answered,
        Some(warning) => {
            let mut response = answered.unwrap_or_else(|failure| wire.refuse(parts, &failure));
            warn(&mut response, &[warning]);
            Ok(response)
        }
    }
}

fn check_verb(target: &Target, info: &KindInfo) -> Result<(), Failure> {
    if target.subresource.is_some() {
        return Ok(());
    }
    let everywhere = info.scope == Scope::Namespaced && target.namespace.is_none();
    let fits = match target.verb {
        Verb::Create => target.name.is_none() && !everywhere,
        Verb::Update | Verb::Patch => target.name.is_some(),
        Verb::DeleteCollection => !everywhere && discovery::verbs(info).contains(&"deletecollection"),
        Verb::Other => false,
        Verb::Get | Verb::List | Verb::Watch | Verb::Delete => true,
    };
    if fits { Ok(()) } else { Err(Failure::NoMethod) }
}

impl Call<'_> {
    pub fn info(&self) -> &KindInfo {
        self.shown().info()
    }

    /// The kind and version of what is shown.
    pub fn shown(&self) -> Shown<'_> {
        Shown { strategy: &*self.strategy, version: self.version }
    }

    /// The options of a write.
    pub fn write_query(&self, verb: WriteVerb) -> Result<WriteQuery, StatusError> {
        let mut write = WriteQuery::read(&self.query, verb, self.agent())?;
        write.options.version = self.version;
        Ok(write)
    }

    /// The key of the object that the path names.
    pub fn key(&self) -> ObjectKey {
        let namespace = self.target.namespace.as_deref().unwrap_or_default();
        ObjectKey::new(namespace, self.target.name.as_deref().unwrap_or_default())
    }

    pub fn agent(&self) -> &str {
        content::header(&self.parts.headers, USER_AGENT.as_str())
    }

    /// The response that shows an object.
    pub fn show(&self, code: StatusCode, record: &Record) -> Result<Response<Body>, Failure> {
        if let Form::PartialList(_) = self.accepted.form {
            let kind = go_type(self.info(), &self.info().kind);
            let message = format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({kind})"
            );
            return Err(StatusError::new(Reason::NotAcceptable, message).into());
        }
        let include = Include::read(&self.query)?;
        let json = objects::one(&self.wire.server, self.shown(), record, &self.accepted.form, include)?;
        Ok(respond(code, &self.accepted, json))
    }

    fn get(&self) -> Result<Response<Body>, Failure> {
        // The present is at least any revision that was seen here before, which is all that a get may ask for.
        let asked = self.query.get("resourceVersion").unwrap_or_default();
        let asked = query::revision(asked).map_err(|cause| Failure::Bare(500, cause))?;
        let record = self.wire.server.get(self.kind, &self.key())?;
        let present = self.wire.server.store().revision();
        if asked.is_some_and(|asked| asked > present.0) {
            return Err(too_new(asked.unwrap_or_default(), present).into());
        }
        self.show(StatusCode::OK, &record)
    }

    /// The options of a list or watch, with the name of the path as a field.
    pub fn list_options(&self) -> Result<ListOptions, Failure> {
        let mut options = ListOptions::read(&self.query, self.target.verb == Verb::Watch)?;
        self.check_fields(&options)?;
        if let Some(name) = &self.target.name {
            let named = crate::api::selector::FieldSelector::equal("metadata.name", name.as_str());
            if options.fields.is_everything() {
                options.fields = named;
            } else if options.fields.exact_value("metadata.name") != Some(name) {
                let message = "fieldSelector metadata.name doesn't match requested name";
                return Err(StatusError::bad_request(message).into());
            }
        }
        Ok(options)
    }

    fn check_fields(&self, options: &ListOptions) -> Result<(), Failure> {
        let known = &self.info().selectable_fields;
        for term in options.fields.terms() {
            let name = term.field.as_str();
            if name == "metadata.name"
                || name == "metadata.namespace"
                || self.info().selectable(name).is_some()
            {
                continue;
            }
            let message = match known.is_empty() {
                true => format!(
                    "{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                ),
                false => format!("field label not supported: {name}"),
            };
            return Err(StatusError::bad_request(message).into());
        }
        Ok(())
    }

    fn list(&self) -> Result<Response<Body>, Failure> {
        let options = self.list_options()?;
        self.check_revision(&options)?;
        if let Form::Partial(_) = self.accepted.form {
            let kind = go_type(self.info(), &format!("{}List", self.info().kind));
            let message =
                format!("you requested PartialObjectMetadata, but the requested object is a list ({kind})");
            return Err(StatusError::new(Reason::NotAcceptable, message).into());
        }
        let include = Include::read(&self.query)?;
        let server = &self.wire.server;
        let params = ListParams { version: self.version, ..options.params(self.target.namespace.clone()) };
        let page = server.list(self.kind, &params).map_err(|refused| go_on(refused, &options))?;
        let json = objects::list(server, self.shown(), &page, &self.accepted.form, include)?;
        Ok(respond(StatusCode::OK, &self.accepted, json))
    }

    /// Refuses a revision that is none, in upstream's words for lists.
    fn check_revision(&self, options: &ListOptions) -> Result<(), Failure> {
        if !options.continue_token.is_empty() {
            return Ok(());
        }
        query::revision(&options.resource_version)
            .map(drop)
            .map_err(|cause| StatusError::bad_request(format!("invalid resource version: {cause}")).into())
    }

    fn watch(&self) -> Result<Response<Body>, Failure> {
        let options = self.list_options()?;
        let include = Include::read(&self.query)?;
        let asked = query::revision(&options.resource_version).map_err(|cause| Failure::Bare(500, cause))?;
        let server = &self.wire.server;
        let from = match (options.initial_events, asked) {
            (Some(true), _) => WatchFrom::PresentMarked,
            (Some(false), None) => WatchFrom::Now,
            (_, Some(revision)) => WatchFrom::Revision(Revision(revision)),
            (None, None) => WatchFrom::Present,
        };
        let params = WatchParams {
            version: self.version,
            namespace: self.target.namespace.clone(),
            labels: options.labels.clone(),
            fields: options.fields.clone(),
            from,
        };
        let telling = Telling {
            form: self.accepted.form.clone(),
            include,
            bookmarks: options.bookmarks,
            until: server.world().clock.moment().after(self.lasts(&options)),
        };
        let present = server.store().revision();
        let newer = asked.filter(|asked| {
            options.revision_match == RevisionMatch::NotOlderThan
                && options.initial_events == Some(true)
                && *asked > present.0
        });
        let watch = match newer {
            Some(asked) => Err(too_new(asked, present)),
            None => server.watch(self.kind, &params),
        };
        let (strategy, alarms) = ((self.strategy.clone(), self.version), self.wire.alarms.clone());
        let stream = match watch {
            Ok(watch) => EventStream::new(server.clone(), strategy, alarms, watch, telling),
            Err(late) if matches!(late.reason, Reason::Expired | Reason::Timeout) => {
                EventStream::failed(server.clone(), strategy, alarms, late, telling)
            }
            Err(refused) => return Err(refused.into()),
        };
        let mut response = Response::new(Body::events(stream));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// How long a watch lasts: as asked, or a while that differs so that watches do not end together.
    fn lasts(&self, options: &ListOptions) -> Duration {
        match options.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|s| *s > 0) {
            Some(seconds) => Duration::from_secs(seconds),
            None => {
                let least = WATCH_LEAST.as_secs();
                Duration::from_secs(least + self.wire.server.world().entropy.next() % least)
            }
        }
    }

    /// The object of a body, with the namespace of the path in it.
    fn object(
        &self,
        validation: FieldValidation,
        warnings: &crate::apiserver::Warnings,
    ) -> Result<Box<dyn Object>, Failure> {
        let value = self.read_object(
            validation,
            self.info(),
            |value| self.strategy.decode_fields(value).map_err(|wrong| wrong.to_string()),
            warnings,
        )?;
        let mut object = value;
        let expected = self.target.namespace.as_deref().unwrap_or_default();
        let meta = object.meta_mut();
        match meta.namespace.as_deref().unwrap_or_default() {
            found if found == expected => {}
            "" => meta.namespace = Some(expected.to_owned()),
            _ if expected.is_empty() => meta.namespace = None,
            _ => {
                let message =
                    "the namespace of the provided object does not match the namespace sent on the request";
                return Err(StatusError::bad_request(message).into());
            }
        }
        Ok(object)
    }

    /// Reads a body as something of a kind: content type, letters, fields, then its apiVersion.
    pub fn read_object<T>(
        &self,
        validation: FieldValidation,
        info: &KindInfo,
        decode: impl FnOnce(Value) -> Result<(T, Vec<String>), String>,
        warnings: &crate::apiserver::Warnings,
    ) -> Result<T, Failure> {
        let kind = &info.kind;
        let given = content::read(&self.parts.headers, self.body, validation)
            .map_err(|unreadable| unrecognized(unreadable, kind, self.body))?;
        let text =
            |field: &str| given.value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !given.value.is_object() {
            let go = match &given.value {
                Value::Null => "null",
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                _ => "array",
            };
            let cause = format!(
                "json: cannot unmarshal {go} into Go value of type struct {{ APIVersion string \
                 \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
            );
            return Err(unrecognized(Unreadable::Json(cause), kind, self.body));
        }
        let found_kind = Some(text("kind")).filter(|kind| !kind.is_empty()).unwrap_or_else(|| kind.clone());
        let found_version =
            Some(text("apiVersion")).filter(|v| !v.is_empty()).unwrap_or_else(|| info.api_version.clone());
        let version = found_version.rsplit('/').next().unwrap_or_default();
        let cannot = |cause: String| {
            let message =
                format!("{found_kind} in version {version:?} cannot be handled as a {kind}: {cause}");
            Failure::from(StatusError::bad_request(message))
        };
        if found_kind != *kind || found_version != info.api_version {
            let registry = self.wire.server.registry();
            let known = registry.find(&found_version, &found_kind).is_some();
            if !known && found_kind == *kind && found_version.matches('/').count() <= 1 {
                let expected = &info.api_version;
                let message = format!(
                    "the API version in the data ({found_version}) does not match the expected API version ({expected})"
                );
                return Err(StatusError::bad_request(message).into());
            }
            return Err(cannot(match known {
                true => format!(
                    "converting ({version}.{found_kind}) to ({}.{kind}): unknown conversion",
                    go_package(info)
                ),
                false => format!(
                    "no kind {found_kind:?} is registered for version {found_version:?} in scheme \
                     \"pkg/api/legacyscheme/scheme.go:30\""
                ),
            }));
        }
        let mut value = given.value;
        if let Some(fields) = value.as_object_mut() {
            // A body that does not say is of the version of its path.
            fields.insert("apiVersion".to_owned(), found_version.clone().into());
            fields.insert("kind".to_owned(), found_kind.clone().into());
        }
        let (object, unknown) = decode(value).map_err(&cannot)?;
        let unknown = unknown.into_iter().map(|field| format!("unknown field {field:?}"));
        let wrong: Vec<String> =
            given.doubled.into_iter().chain(unknown).take(crate::limits::STRICT_ERRORS).collect();
        match validation {
            FieldValidation::Strict if !wrong.is_empty() => Err(cannot(content::strict_error(&wrong))),
            FieldValidation::Warn => {
                wrong.into_iter().for_each(|field| warnings.add(field));
                Ok(object)
            }
            _ => Ok(object),
        }
    }

    fn create(&self) -> Result<Response<Body>, Failure> {
        let write = self.write_query(WriteVerb::Create)?;
        let options = write.options;
        let object = self.object(options.field_validation, &options.warnings)?;
        let record = self.wire.server.create(self.kind, object, &options);
        self.written(StatusCode::CREATED, record, &options)
    }

    /// The response to a write, with its warnings.
    pub fn written(
        &self,
        code: StatusCode,
        record: Result<Arc<Record>, StatusError>,
        options: &crate::apiserver::WriteOptions,
    ) -> Result<Response<Body>, Failure> {
        let mut response = match record {
            Ok(record) => self.show(code, &record)?,
            Err(refused) => self.wire.refuse(self.parts, &refused.into()),
        };
        warn(&mut response, &options.warnings.take());
        Ok(response)
    }

    pub fn update(&self, face: Face) -> Result<Response<Body>, Failure> {
        let write = self.write_query(WriteVerb::Update)?;
        let options = write.options;
        let object = self.object(options.field_validation, &options.warnings)?;
        self.check_name(object.meta().name.as_deref().unwrap_or_default())?;
        let unconditional = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        let may_create = face == Face::Main
            && creates_on_update(self.info())
            && unconditional(&object.meta().resource_version)
            && unconditional(&object.meta().uid);
        if unconditional(&object.meta().resource_version)
            && (self.strategy.shape(0).is_custom() || !updates_blindly(self.info()))
        {
            self.check_blind(may_create)?;
        }
        let spare = may_create.then(|| object.clone_object());
        let updated = self.wire.server.update(self.kind, face, object, &options);
        match (updated, spare) {
            (Err(absent), Some(object)) if absent.is_not_found() => {
                let created = self.wire.server.create(self.kind, object, &options);
                self.written(StatusCode::CREATED, created, &options)
            }
            (updated, _) => self.written(StatusCode::OK, updated, &options),
        }
    }

    /// Refuses a replacement without a revision of a kind that takes none, unless it makes the object.
    fn check_blind(&self, may_create: bool) -> Result<(), Failure> {
        let key = self.key();
        let there = self.wire.server.store().get(self.kind, key.as_str()).is_some();
        if !there && may_create {
            return Ok(());
        }
        if !there {
            return Err(self.wire.server.not_found(self.kind, &key).into());
        }
        let mut errors = FieldErrors::default();
        let path = FieldPath::new("metadata");
        errors.invalid(&path.child("resourceVersion"), 0, "must be specified for an update");
        // Upstream names the resource where the kind should stand.
        let info = self.info();
        Err(StatusError::invalid(&info.group, &info.plural, key.name(), errors.into_list()).into())
    }

    /// Refuses an object that is not the one of the path.
    pub fn check_name(&self, found: &str) -> Result<(), Failure> {
        let name = self.target.name.as_deref().unwrap_or_default();
        let message = match found {
            "" => format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            ),
            found if found != name => {
                format!("the name of the object ({found}) does not match the name on the URL ({name})")
            }
            _ => return Ok(()),
        };
        Err(StatusError::bad_request(message).into())
    }

    pub fn patch(&self, face: Face) -> Result<Response<Body>, Failure> {
        let (patch, options) = self.read_patch()?;
        let key = self.key();
        let server = &self.wire.server;
        let was_there = server.store().get(self.kind, key.as_str()).is_some();
        let patched = server.patch(self.kind, &key, face, &patch, &options);
        let code = if was_there { StatusCode::OK } else { StatusCode::CREATED };
        self.written(code, patched, &options)
    }

    /// The patch of a request and its options.
    pub fn read_patch(&self) -> Result<(crate::apiserver::Patch, crate::apiserver::WriteOptions), Failure> {
        let kind = content::patch_type(&self.parts.headers)?;
        let verb = match kind {
            content::PatchType::Apply => WriteVerb::Apply,
            _ => WriteVerb::Patch,
        };
        let write = self.write_query(verb)?;
        let patch = content::patch_of(kind, self.body, &write)?;
        Ok((patch, write.options))
    }

    /// A response with a value that is no stored object.
    pub fn show_value(&self, code: StatusCode, value: &Value) -> Response<Body> {
        respond_value(code, &self.accepted, value)
    }
}

/// Kinds that may be replaced without naming the revision that is replaced.
fn updates_blindly(info: &KindInfo) -> bool {
    !matches!(
        (info.group.as_str(), info.plural.as_str()),
        ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _)
            | ("certificates.k8s.io", "clustertrustbundles" | "podcertificaterequests")
            | ("coordination.k8s.io", _)
            | ("node.k8s.io", "runtimeclasses")
            | ("policy", "poddisruptionbudgets")
            | ("storage.k8s.io", "csidrivers" | "csinodes" | "csistoragecapacities" | "volumeattachments")
    )
}

/// Kinds that a replacement makes where they are not there.
fn creates_on_update(info: &KindInfo) -> bool {
    matches!(
        (info.group.as_str(), info.plural.as_str()),
        ("coordination.k8s.io", "leases")
            | ("" | "events.k8s.io", "events")
            | ("", "services" | "endpoints" | "limitranges")
            | ("node.k8s.io", "runtimeclasses")
            | (
                "rbac.authorization.k8s.io",
                "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings"
            )
    )
}

fn too_new(asked: u64, present: Revision) -> StatusError {
    let message = format!("Timeout: Too large resource version: {asked}, current: {present}");
    StatusError { retry_after_seconds: 1, ..StatusError::new(Reason::Timeout, message) }
}

/// A list that has come too late for its token is told how to go on without being consistent.
fn go_on(refused: StatusError, options: &ListOptions) -> Failure {
    let token = crate::apiserver::list::present_token(&options.continue_token);
    match token {
        Some(token) if refused.reason == Reason::Expired => {
            let message = "The provided continue parameter is too old to display a consistent list result. You can \
                           start a new list without the continue parameter, or use the continue token in this \
                           response to retrieve the remainder of the results. Continuing with the provided token \
                           results in an inconsistent list - objects that were created, modified, or deleted \
                           between the time the first chunk was returned and now may show up in the list.";
            Failure::Continue(Box::new(StatusError { message: message.to_owned(), ..refused }), token)
        }
        _ => refused.into(),
    }
}

/// A body that is not even an object, as upstream tells of it: with its beginning.
fn unrecognized(unreadable: Unreadable, kind: &str, body: &[u8]) -> Failure {
    let cause = match unreadable {
        Unreadable::Type(_) => return unreadable.refusal().into(),
        Unreadable::Json(cause) => format!("couldn't get version/kind; json parse error: {cause}"),
        Unreadable::Yaml(cause) => format!("couldn't get version/kind; yaml parse error: {cause}"),
    };
    let message = format!(
        "the object provided is unrecognized (must be of type {kind}): {cause} ({})",
        beginning(body)
    );
    StatusError::bad_request(message).into()
}

fn beginning(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let shown = &body[..body.len().min(SHOWN)];
    let dots = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{dots}")
        }
    }
}

/// The package in which upstream keeps a kind.
fn go_package(info: &KindInfo) -> &str {
    match info.group.split('.').next() {
        None | Some("") => "core",
        Some(first) => first,
    }
}

fn go_type(info: &KindInfo, kind: &str) -> String {
    format!("*{}.{kind}", go_package(info))
}
