//! One object at one revision: a small header beside its encoded body.
//!
//! Owns [`Record`] (what the store keeps), [`Stored`] (the cheap typed handle that readers get) and the
//! bounded cache of typed views. The body is the object's JSON without apiVersion, kind, resourceVersion and managedFields.
//! Invariant: a view, whoever left it, equals what decoding the body gives, with the record's revision in it.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use parking_lot::Mutex;

use super::{Pairs, Revision};
use crate::api::fields::ManagedFields;
use crate::api::selector::LabelSet;
use crate::api::{Kind, KindId, Object, ObjectKey, Strategy};
use crate::limits::VIEW_CACHE_BYTES;

type Shared = Arc<dyn Object>;

/// What the cache holds of a view. A record points here and not to the view, because what a weak pointer points
/// to keeps its memory: a small handle, and not a whole struct.
pub(super) type Warm = Arc<Shared>;

/// An owner of an object, as far as the store indexes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner's uid, the only thing that identifies it.
    pub uid: Arc<str>,
    /// It is the managing controller.
    pub controller: bool,
    /// Its foreground deletion waits for this object.
    pub blocks: bool,
}

/// What can be read of an object without decoding it: what names it, and its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind.
    pub kind: KindId,
    /// Namespace and name.
    pub key: ObjectKey,
    /// The revision of this version of the object.
    pub revision: Revision,
    /// The rest, readable as the header's own.
    pub facts: Facts,
}

impl Deref for Header {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

/// What a writer finds out about an object when it encodes it, so that nobody has to decode it for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The uid.
    pub uid: Arc<str>,
    /// Labels, sorted by key.
    pub labels: Pairs,
    /// Owners.
    pub owners: Box<[Owner]>,
    /// Marked for deletion.
    pub deleting: bool,
    /// Somebody holds the object back.
    pub has_finalizers: bool,
    /// Index terms.
    pub terms: Pairs,
    /// Further fields that can be selected by, without an index.
    pub fields: Pairs,
    /// Who owns which fields, shared with the objects of which the same is to say; not in the body. `None` where
    /// nobody is known to own any.
    pub managed: Option<Arc<ManagedFields>>,
}

impl Facts {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// The first value of a term, indexed or not.
    pub fn term(&self, name: &str) -> Option<&str> {
        self.terms.get(name).or_else(|| self.fields.get(name))
    }

    /// Whether it has this term with this value.
    pub fn has_term(&self, name: &str, value: &str) -> bool {
        self.terms.iter().chain(self.fields.iter()).any(|pair| pair == (name, value))
    }

    /// The owner that manages it.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

impl LabelSet for Header {
    fn get(&self, key: &str) -> Option<&str> {
        self.label(key)
    }
}

/// An object at one revision.
pub struct Record {
    /// What can be read at once.
    pub header: Header,
    body: Bytes,
    view: Mutex<Weak<Shared>>,
    views: Arc<ViewCache>,
}

impl Record {
    /// A record, with its typed view if its writer left one.
    pub(super) fn new(header: Header, body: Bytes, view: Option<&Warm>, views: &Arc<ViewCache>) -> Record {
        let view = view.map_or_else(Weak::new, Arc::downgrade);
        Record { header, body, view: Mutex::new(view), views: views.clone() }
    }

    /// The encoded object: JSON without apiVersion, kind and resourceVersion, metadata first.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same object told at another revision: that of its deletion, or of its leaving a selection.
    pub fn at_revision(&self, revision: Revision) -> Record {
        let header = Header { revision, ..self.header.clone() };
        Record::new(header, self.body.clone(), None, &self.views)
    }

    /// The weight by which the log counts it, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + 600
    }

    fn view<K: Kind>(&self, keep: bool) -> Arc<K> {
        if let Some(view) = self.warm()
            && let Ok(view) = view.shared_any().downcast::<K>()
        {
            return view;
        }
        let decoded: Arc<K> = Arc::new(self.decode());
        if keep {
            self.keep(decoded.clone());
        }
        decoded
    }

    /// The object, shared, for those who know its kind at run time only. `strategy` must be its kind's.
    pub fn object(&self, strategy: &dyn Strategy) -> Arc<dyn Object> {
        if let Some(view) = self.warm() {
            return view;
        }
        let decoded = strategy.decode(&self.body);
        let Ok(mut decoded) = decoded.inspect_err(|cause| {
            tracing::error!(key = %self.header.key, %cause, "stored body does not decode");
        }) else {
            return Arc::from(strategy.empty());
        };
        decoded.meta_mut().resource_version = self.header.revision.as_text();
        let shared: Shared = Arc::from(decoded);
        self.keep(shared.clone());
        shared
    }

    fn warm(&self) -> Option<Shared> {
        self.view.lock().upgrade().map(|warm| Shared::clone(&warm))
    }

    fn keep(&self, view: Shared) {
        let warm = Arc::new(view);
        *self.view.lock() = Arc::downgrade(&warm);
        drop(self.views.keep(warm, self.body.len()));
    }

    /// Decodes the body anew. A body that does not decode never enters the store, so the empty object that
    /// stands for it is not seen; it is logged if a caller asks for the wrong type.
    pub fn decode<K: Kind>(&self) -> K {
        let mut object: K = serde_json::from_slice(&self.body).unwrap_or_else(|cause| {
            tracing::error!(kind = K::KIND, key = %self.header.key, %cause, "stored body does not decode");
            K::default()
        });
        object.metadata_mut().resource_version = self.header.revision.as_text();
        object
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.header.key, self.header.revision.0)
    }
}

/// The typed views in use, bounded by the bytes of their bodies: the oldest goes first.
#[derive(Default)]
pub struct ViewCache {
    ring: Mutex<(VecDeque<(Warm, usize)>, usize)>,
}

impl ViewCache {
    /// Keeps a view warm; answers those that went cold for it, to be dropped where nobody waits.
    #[must_use]
    pub(super) fn keep(&self, view: Warm, body: usize) -> Vec<Warm> {
        // A typed view weighs some eight times its JSON.
        let weight = body * 8;
        let mut dropped = Vec::new();
        let mut ring = self.ring.lock();
        ring.0.push_back((view, weight));
        ring.1 += weight;
        while ring.1 > VIEW_CACHE_BYTES {
            let Some((view, weight)) = ring.0.pop_front() else { break };
            ring.1 -= weight;
            dropped.push(view);
        }
        dropped
    }
}

/// A handle on one object of kind `K` at one revision: cheap to clone, decoded on first use.
///
/// The header's fields are there at once; everything else through `Deref<Target = K>`, where the first
/// reader of a revision decodes (some 10 µs for a Pod) and all others share what it decoded.
pub struct Stored<K> {
    record: Arc<Record>,
    view: OnceLock<Arc<K>>,
    bulk: bool,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Stored<K> {
    /// A handle on a record, which must be of kind `K`.
    pub(crate) fn new(record: Arc<Record>) -> Stored<K> {
        Stored { record, view: OnceLock::new(), bulk: false, kind: PhantomData }
    }

    /// The same for one of many in a scan: what it decodes is not kept warm.
    pub(crate) fn bulk(record: Arc<Record>) -> Stored<K> {
        Stored { bulk: true, ..Stored::new(record) }
    }

    /// Who owns which fields, as `metadata.managedFields` says it. The typed object itself is without.
    pub fn managed_fields(&self) -> Vec<ManagedFieldsEntry> {
        self.record.header.managed.as_deref().map(ManagedFields::encode).unwrap_or_default()
    }

    /// Everything that can be read without decoding.
    pub fn header(&self) -> &Header {
        &self.record.header
    }

    /// Namespace and name.
    pub fn key(&self) -> &ObjectKey {
        &self.record.header.key
    }

    /// The namespace; empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        self.key().namespace()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.key().name()
    }

    /// The uid.
    pub fn uid(&self) -> &str {
        &self.record.header.uid
    }

    /// The revision of this version.
    pub fn revision(&self) -> Revision {
        self.record.header.revision
    }

    /// Whether it is marked for deletion.
    pub fn is_deleting(&self) -> bool {
        self.record.header.deleting
    }

    /// The record itself.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// The typed object, shared.
    pub fn shared(&self) -> Arc<K> {
        self.view.get_or_init(|| self.record.view::<K>(!self.bulk)).clone()
    }
}

impl<K: Kind> Deref for Stored<K> {
    type Target = K;

    fn deref(&self) -> &K {
        self.view.get_or_init(|| self.record.view::<K>(!self.bulk))
    }
}

impl<K> Clone for Stored<K> {
    fn clone(&self) -> Self {
        Stored { record: self.record.clone(), view: self.view.clone(), bulk: self.bulk, kind: PhantomData }
    }
}

impl<K> fmt::Debug for Stored<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}
