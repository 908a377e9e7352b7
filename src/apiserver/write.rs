//! Creating and changing objects: the pipeline from a decoded object to a commit.

use std::sync::Arc;

use super::addresses::Reservation;
use super::admission::{Attempt, Operation};
use super::ledger::Entrant;
use super::options::{Face, WriteOptions};
use super::{Server, encode, pod_faces};
use crate::api::fields::ManagedFields;
use crate::api::{
    FieldError, FieldErrors, FieldPath, KindId, Object, ObjectKey, Reason, Scope, StatusError, Strategy,
    kinds, meta,
};
use crate::limits::{CONFLICT_RETRIES, FIELD_MANAGER_BYTES, GENERATED_NAME_TRIES, OBJECT_BYTES};
use crate::store::{Draft, Expect, Proposal, Record, Refused, Revision, Snapshot};
use crate::world::new_uid;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

/// The new object of a change, and who owns what of it, if that is known already.
pub(super) struct Made {
    pub object: Box<dyn Object>,
    pub account: Option<Option<Arc<ManagedFields>>>,
}

/// Makes the new object of a change from the present one.
pub(super) type Make<'a> = &'a mut dyn FnMut(&Record) -> Result<Made, StatusError>;

/// What a new object says of its managed fields, or who owns what of it, if that is known already.
pub(super) enum Tracking {
    Given(Option<Vec<ManagedFieldsEntry>>),
    Known(Option<Arc<ManagedFields>>),
}

pub(super) fn failed(refused: Refused) -> StatusError {
    StatusError::new(Reason::InternalError, refused.to_string())
}

pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Server {
    /// The present, cut to whole seconds as objects keep it.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.world.clock.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Creates an object of a kind.
    ///
    /// Errors: 404 without its namespace, 403 where admission refuses or the namespace is ending, 422 for an invalid object,
    /// 409 when there is one of that name, 413 when it is too large.
    pub fn create(
        &self,
        kind: KindId,
        mut object: Box<dyn Object>,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        check_options("CreateOptions", options, false)?;
        let given = object.meta_mut().managed_fields.take();
        self.create_tracked(kind, object, Tracking::Given(given), options)
    }

    pub(super) fn create_tracked(
        &self,
        kind: KindId,
        mut object: Box<dyn Object>,
        tracking: Tracking,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        strategy.accepts_new()?;
        let base = match (&object.meta().name, &object.meta().generate_name) {
            (Some(name), _) if !name.is_empty() => None,
            (_, Some(base)) if !base.is_empty() => Some(base.clone()),
            _ => None,
        };
        begin(strategy, &mut *object, self.now(), new_uid(&*self.world.entropy))?;
        let mut tries = if base.is_some() { GENERATED_NAME_TRIES } else { 1 };
        loop {
            if let Some(base) = &base {
                let name = crate::api::names::generate_name(base, &*self.world.entropy);
                object.meta_mut().name = Some(name);
            }
            tries -= 1;
            let attempt = if tries > 0 {
                object.clone_object()
            } else {
                std::mem::replace(&mut object, strategy.empty())
            };
            match self.create_named(kind, strategy, attempt, &tracking, options) {
                Err(taken) if taken.is_already_exists() && tries > 0 => {}
                Err(mut taken) if taken.is_already_exists() && base.is_some() => {
                    taken.message = format!(
                        "{}, the server was not able to generate a unique name for the object",
                        taken.message
                    );
                    return Err(taken);
                }
                answer => return answer,
            }
        }
    }

    fn create_named(
        &self,
        kind: KindId,
        strategy: &dyn Strategy,
        mut object: Box<dyn Object>,
        tracking: &Tracking,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let info = strategy.info();
        let snapshot = self.store.snapshot();
        let key = ObjectKey::of(object.meta());
        strategy.prepare_create(&mut *object);
        strategy.stamp(&mut *object, None, self.now());
        strategy.set_defaults(&mut *object);
        strategy.canonicalise(&mut *object);
        // What admission adds is nobody's.
        let account = match tracking {
            Tracking::Known(account) => account.clone(),
            Tracking::Given(given) => {
                let entrant = self.entrant(kind, strategy, Face::Main, options);
                self.ledger.created(&entrant, &*object, given.as_deref())
            }
        };
        let attempt = Attempt {
            operation: Operation::Create,
            strategy,
            key: &key,
            old: None,
            snapshot: &snapshot,
            dry_run: options.dry_run,
        };
        self.admit(&attempt, &mut *object)?;
        let mut errors = FieldErrors::default();
        let name_rule = |name: &str, prefix: bool| strategy.validate_name(name, prefix);
        meta::validate_plain_meta(object.meta(), info.scope, &name_rule, &mut errors);
        if !info.any_finalizer {
            meta::validate_standard_finalizers(object.meta(), &mut errors);
        }
        if !strategy.validate_as(&*object, None, options.version, &mut errors) {
            strategy.validate(&*object, &mut errors);
            strategy.validate_create(&*object, &mut errors);
        }
        check(strategy, &key, errors)?;
        for link in &self.admission {
            link.validate(&attempt, Some(&*object))?;
        }
        let _reserved = self.allocate(&mut *object, None)?;
        let draft = self.draft(strategy, object, account)?;
        if options.dry_run {
            return Ok(self.store.unsaved(kind, key, draft, Revision(0)));
        }
        let proposal = Proposal { kind, key: key.clone(), expect: Expect::Absent, put: Some(draft) };
        match self.store.commit(proposal) {
            Ok(record) => Ok(record),
            Err(Refused::Conflict { .. }) => {
                Err(StatusError::already_exists(&info.group, &info.plural, key.name()))
            }
            Err(refused) => Err(failed(refused)),
        }
    }

    /// Lets the chain change the object. What a host's link leaves is defaulted and made canonical again, and must
    /// still be the object that was asked for.
    fn admit(&self, attempt: &Attempt<'_>, object: &mut dyn Object) -> Result<(), StatusError> {
        for link in &self.admission {
            link.mutate(attempt, object)?;
        }
        if !self.has_own_links {
            return Ok(());
        }
        attempt.strategy.set_defaults(object);
        attempt.strategy.canonicalise(object);
        meta::canonicalise_meta(object.meta_mut());
        if ObjectKey::of(object.meta()) != *attempt.key {
            let why = format!("an admission link changed the name of {attempt:?}");
            return Err(StatusError::new(Reason::InternalError, why));
        }
        Ok(())
    }

    /// Services get their addresses here; other kinds get nothing.
    fn allocate(
        &self,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<Option<Reservation<'_>>, StatusError> {
        let Some(service) = object.as_any_mut().downcast_mut::<Service>() else { return Ok(None) };
        let old = old.and_then(|old| old.as_any().downcast_ref::<Service>());
        self.addresses.allocate(service, old, &self.store, &*self.world.entropy).map(Some)
    }

    pub(super) fn entrant<'a>(
        &self,
        kind: KindId,
        strategy: &'a dyn Strategy,
        face: Face,
        options: &'a WriteOptions,
    ) -> Entrant<'a> {
        Entrant {
            strategy,
            kind,
            version: options.version,
            face,
            manager: &options.field_manager,
            now: self.now(),
        }
    }

    fn draft(
        &self,
        strategy: &dyn Strategy,
        object: Box<dyn Object>,
        account: Option<Arc<ManagedFields>>,
    ) -> Result<Draft, StatusError> {
        let draft = encode::draft(strategy, object, account)?;
        if draft.body.len() > OBJECT_BYTES {
            let message = format!(
                "etcdserver: request is too large: the object has {} bytes, {OBJECT_BYTES} are allowed",
                draft.body.len()
            );
            return Err(StatusError::new(Reason::RequestEntityTooLarge, message));
        }
        Ok(draft)
    }

    /// Replaces an object, or one face of it. With a resourceVersion it must be the present one; without, the
    /// present object is replaced whatever it is.
    ///
    /// Errors: 404, 409 (changed meanwhile, or another uid), 422, 403 from admission.
    pub fn update(
        &self,
        kind: KindId,
        face: Face,
        object: Box<dyn Object>,
        options: &WriteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        check_options("UpdateOptions", options, false)?;
        let key = ObjectKey::of(object.meta());
        let expected = parse_revision(object.meta().resource_version.as_deref())?;
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        let uid = object.meta().uid.clone().filter(|uid| !uid.is_empty());
        self.change(kind, &key, face, expected, options, &mut |current| match uid
            .as_deref()
            .filter(|uid| **uid != *current.header.uid)
        {
            Some(uid) => Err(other_uid(strategy, &key, uid, &current.header.uid)),
            None => Ok(Made { object: object.clone_object(), account: None }),
        })
    }

    /// The loop of every change: read, make the new object, check, commit, and again if somebody was faster and
    /// the caller named no revision.
    pub(super) fn change(
        &self,
        kind: KindId,
        key: &ObjectKey,
        face: Face,
        expected: Option<Revision>,
        options: &WriteOptions,
        make: Make<'_>,
    ) -> Result<Arc<Record>, StatusError> {
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        let info = strategy.info();
        if face == Face::Status && !info.has_status {
            return Err(StatusError::not_found(&info.group, &info.plural, key.name()));
        }
        let conflict = || StatusError::conflict(&info.group, &info.plural, key.name(), MODIFIED);
        for _ in 0..CONFLICT_RETRIES {
            let snapshot = self.store.snapshot();
            let current = snapshot.get_record(kind, key.as_str()).ok_or_else(|| self.not_found(kind, key))?;
            if expected.is_some_and(|expected| expected != current.header.revision) {
                return Err(conflict());
            }
            let made = make(&current)?;
            match self.change_once(kind, key, face, &snapshot, &current, made, options)? {
                Some(record) => return Ok(record),
                None if expected.is_some() => return Err(conflict()),
                None => {}
            }
        }
        Err(conflict())
    }

    /// One try; `None` if somebody else was faster.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request, in the order of the pipeline")]
    fn change_once(
        &self,
        kind: KindId,
        key: &ObjectKey,
        face: Face,
        snapshot: &Snapshot,
        current: &Arc<Record>,
        made: Made,
        options: &WriteOptions,
    ) -> Result<Option<Arc<Record>>, StatusError> {
        let Made { mut object, account } = made;
        let given = object.meta_mut().managed_fields.take();
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        let info = strategy.info();
        let old = strategy.in_version(current.object(strategy), strategy.version_of(&*object))?;
        inherit_meta(&mut *object, &*old);
        match face {
            Face::Main => {
                strategy.set_defaults(&mut *object);
                strategy.prepare_update(&mut *object, &*old);
                strategy.stamp(&mut *object, Some(&*old), self.now());
            }
            Face::Status => {
                strategy.set_defaults(&mut *object);
                strategy.prepare_status(&mut *object, &*old);
                strategy.stamp(&mut *object, Some(&*old), self.now());
            }
            Face::EphemeralContainers | Face::Resize => {
                pod_faces::prepare(face, &mut *object, &*old);
                strategy.set_defaults(&mut *object);
            }
            Face::Finalize => finalize(&mut *object, &*old)?,
        }
        strategy.canonicalise(&mut *object);
        meta::canonicalise_meta(object.meta_mut());
        let attempt = Attempt {
            operation: Operation::Update,
            strategy,
            key,
            old: Some(&*old),
            snapshot,
            dry_run: options.dry_run,
        };
        // What a host's admission and the range of addresses change is nobody's, so the account is kept before them;
        // where there are none, the body that is stored serves for it.
        let account = account.or_else(|| {
            let allocates = face == Face::Main && object.as_any().is::<Service>();
            let body = || {
                let mut stored = strategy.to_stored(object.clone_object()).ok()?;
                Some(encode::encode_body(info, &mut *stored))
            };
            (self.has_own_links || allocates).then(|| {
                let entrant = self.entrant(kind, strategy, face, options);
                self.ledger.updated(&entrant, current, &body()?, given.as_deref())
            })
        });
        self.admit(&attempt, &mut *object)?;
        let _reserved = match face {
            Face::Main => self.allocate(&mut *object, Some(&*old))?,
            _ => None,
        };
        if info.has_generation && face != Face::Status && strategy.moves_generation(&*object, &*old) {
            object.meta_mut().generation = Some(old.meta().generation.unwrap_or(0) + 1);
        }
        self.validate_change(strategy, key, face, options.version, &*object, &*old)?;
        for link in &self.admission {
            link.validate(&attempt, Some(&*object))?;
        }
        let may_end = object.meta().deletion_timestamp.is_some()
            && object.meta().deletion_grace_period_seconds.unwrap_or(0) == 0
            && object.meta().finalizers.as_ref().is_none_or(Vec::is_empty)
            && !strategy.held_back(&*object);
        let mut draft = self.draft(strategy, object, None)?;
        let account = account.unwrap_or_else(|| {
            let entrant = self.entrant(kind, strategy, face, options);
            self.ledger.updated(&entrant, current, &draft.body, given.as_deref())
        });
        let same_account = match (&account, &current.header.managed) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before) || now.same_but_times(before),
            (now, before) => now.is_none() && before.is_none(),
        };
        draft.facts.managed = account;
        if options.dry_run {
            return Ok(Some(self.store.unsaved(kind, key.clone(), draft, current.header.revision)));
        }
        if draft.body == current.body() && same_account && !may_end {
            return Ok(Some(current.clone()));
        }
        let expect = Expect::At(current.header.revision);
        let put = if may_end { None } else { Some(draft) };
        match self.store.commit(Proposal { kind, key: key.clone(), expect, put }) {
            Ok(record) => Ok(Some(record)),
            Err(Refused::Conflict { .. }) => Ok(None),
            Err(refused) => Err(failed(refused)),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one request, in the order of the pipeline")]
    fn validate_change(
        &self,
        strategy: &dyn Strategy,
        key: &ObjectKey,
        face: Face,
        version: usize,
        object: &dyn Object,
        old: &dyn Object,
    ) -> Result<(), StatusError> {
        let mut errors = FieldErrors::default();
        let name_rule = |name: &str, prefix: bool| strategy.validate_name(name, prefix);
        meta::validate_plain_meta(object.meta(), strategy.info().scope, &name_rule, &mut errors);
        meta::validate_plain_meta_update(object.meta(), old.meta(), &mut errors);
        if !strategy.info().any_finalizer {
            meta::validate_standard_finalizers(object.meta(), &mut errors);
        }
        match face {
            Face::Status => strategy.validate_status(object, old, &mut errors),
            Face::Main => {
                if !strategy.validate_as(object, Some(old), version, &mut errors) {
                    if !strategy.judges_changes() {
                        strategy.validate(object, &mut errors);
                    }
                    strategy.validate_update(object, old, &mut errors);
                }
            }
            Face::EphemeralContainers | Face::Resize => {
                strategy.validate(object, &mut errors);
                pod_faces::validate(face, object, old, &mut errors);
            }
            Face::Finalize => validate_finalizers(object, &mut errors),
        }
        check(strategy, key, errors)
    }
}

/// Gives a new object its birth: what a client may not choose is set, whatever it said.
fn begin(
    strategy: &dyn Strategy,
    object: &mut dyn Object,
    now: Timestamp,
    uid: String,
) -> Result<(), StatusError> {
    let info = strategy.info();
    let meta = object.meta_mut();
    if meta.resource_version.as_deref().is_some_and(|version| !version.is_empty()) {
        let why = "resourceVersion should not be set on objects to be created";
        return Err(StatusError::bad_request(why));
    }
    match info.scope {
        // Whatever a client says, as upstream: there is no namespace.
        Scope::Cluster => meta.namespace = None,
        Scope::Namespaced => {
            meta.namespace.take_if(|namespace| namespace.is_empty());
            meta.namespace.get_or_insert_with(|| "default".to_owned());
        }
    }
    meta.uid = Some(uid);
    meta.creation_timestamp = Some(Time(now));
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.self_link = None;
    meta.resource_version = None;
    meta.managed_fields = None;
    meta.generation = info.has_generation.then_some(1);
    meta::canonicalise_meta(meta);
    Ok(())
}

/// What an update leaves out, or may not say, of the metadata.
fn inherit_meta(object: &mut dyn Object, old: &dyn Object) {
    let (meta, old) = (object.meta_mut(), old.meta());
    meta::prepare_meta_update(meta, old);
    if meta.namespace.as_deref().unwrap_or_default().is_empty() {
        meta.namespace = old.namespace.clone();
    }
    meta.self_link = None;
    if meta.resource_version.as_deref().unwrap_or_default().is_empty() {
        meta.resource_version = old.resource_version.clone();
    }
}

/// Keeps all of a Namespace but its metadata and `spec.finalizers`.
fn finalize(object: &mut dyn Object, old: &dyn Object) -> Result<(), StatusError> {
    let old = old.as_any().downcast_ref::<Namespace>();
    let (Some(new), Some(old)) = (object.as_any_mut().downcast_mut::<Namespace>(), old) else {
        return Err(StatusError::new(Reason::MethodNotAllowed, "only namespaces can be finalized"));
    };
    kinds::prepare_namespace_finalize(new, old);
    Ok(())
}

fn validate_finalizers(object: &dyn Object, errors: &mut FieldErrors) {
    let spec = object.as_any().downcast_ref::<Namespace>().and_then(|namespace| namespace.spec.as_ref());
    let (path, list) = (FieldPath::new("spec"), spec.and_then(|spec| spec.finalizers.as_deref()));
    let path = path.child("finalizers");
    for (at, finalizer) in list.unwrap_or_default().iter().enumerate() {
        errors.invalid_each(&path.index(at), finalizer, crate::api::names::is_qualified_name(finalizer));
        meta::validate_standard_finalizer(finalizer, &path.index(at), errors);
    }
}

fn other_uid(strategy: &dyn Strategy, key: &ObjectKey, asked: &str, found: &str) -> StatusError {
    let info = strategy.info();
    let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {found}");
    StatusError::conflict(&info.group, &info.plural, key.name(), &why)
}

fn check(strategy: &dyn Strategy, key: &ObjectKey, errors: FieldErrors) -> Result<(), StatusError> {
    if errors.is_empty() {
        return Ok(());
    }
    let info = strategy.info();
    // A rule of all metadata and one of its update may say the same: it is told once.
    let mut once: Vec<FieldError> = Vec::new();
    for error in errors.into_list() {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    Err(StatusError::invalid(&info.group, &info.kind, key.name(), once))
}

pub(super) fn parse_revision(text: Option<&str>) -> Result<Option<Revision>, StatusError> {
    match text {
        None | Some("") | Some("0") => Ok(None),
        Some(text) => match text.parse() {
            Ok(revision) => Ok(Some(Revision(revision))),
            Err(_) => Err(StatusError::bad_request(format!("invalid resourceVersion: {text:?}"))),
        },
    }
}

/// Refuses a manager's name that is none; an apply must give one.
pub(super) fn check_options(what: &str, options: &WriteOptions, is_apply: bool) -> Result<(), StatusError> {
    let manager = options.field_manager.as_str();
    let plain =
        manager.len() <= FIELD_MANAGER_BYTES && manager.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain && !(is_apply && manager.is_empty()) {
        return Ok(());
    }
    let mut errors = FieldErrors::default();
    let path = FieldPath::new("fieldManager");
    if is_apply && manager.is_empty() {
        errors.required(&path, "is required for apply patch");
    }
    meta::validate_field_manager(manager, &path, &mut errors);
    match errors.is_empty() {
        true => Ok(()),
        false => Err(StatusError::invalid("meta.k8s.io", what, "", errors.into_list())),
    }
}
