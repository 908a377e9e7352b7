//! The registry of kinds: finds a kind's [`Strategy`] by its names, and gives each a small number by which
//! the store keeps its table.
//!
//! Owns the list; the rules of each kind are its own file's. Built-in kinds are there from the start and for
//! ever; others come and go while the cluster runs, and readers never wait for that. Invariant: a number is
//! never given twice, and a number that was given always has a strategy.

mod built_in;
mod retired;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::error::{FieldErrors, StatusError};
use super::object::{Column, Kind, Object, Scope, TermName, Terms};
use super::shape::Shape;
use built_in::BuiltIn;
use retired::Retired;

/// The number of a kind in its registry. Never given to another kind, also when the kind is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindId(pub u32);

impl KindId {
    /// In an interest: every kind, also those that come later.
    pub const EVERY: KindId = KindId(u32::MAX);
}

/// A kind in one of the versions in which it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Served {
    /// The kind.
    pub kind: KindId,
    /// Which of [`Strategy::versions`]; 0 is the storage version.
    pub version: usize,
}

/// The JSON paths of a scale subresource: `.spec.replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalePaths {
    /// Where the wanted number stands.
    pub spec_replicas: String,
    /// Where the present number stands.
    pub status_replicas: String,
    /// Where the selector of the pods stands, as text.
    pub label_selector: Option<String>,
}

/// A column of the table in which a kind is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableColumn {
    /// Its heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub type_: String,
    /// A format of OpenAPI, or none.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 for columns that are always shown, more for those of the wide form.
    pub priority: i32,
}

impl From<&Column> for TableColumn {
    fn from(column: &Column) -> TableColumn {
        TableColumn {
            name: column.name.to_owned(),
            type_: "string".to_owned(),
            priority: i32::from(column.wide),
            ..TableColumn::default()
        }
    }
}

/// The names and traits of a kind in one of its versions.
#[derive(Clone, Debug)]
pub struct KindInfo {
    /// `apps`; empty for the core.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
    /// The kind of its lists: `DeploymentList`.
    pub list_kind: String,
    /// Where its objects live.
    pub scope: Scope,
    /// Users can ask for this version. The storage version need not be among those.
    pub served: bool,
    /// What users of this version are warned of, if they are.
    pub deprecation: Option<String>,
    /// Has a status subresource.
    pub has_status: bool,
    /// Has a scale subresource, with these paths; kinds of ours that have one know it by themselves.
    pub scale: Option<ScalePaths>,
    /// Carries a generation.
    pub has_generation: bool,
    /// Deletion waits for a grace period.
    pub graceful_deletion: bool,
    /// A finalizer need neither be a known one nor qualified by a domain.
    pub any_finalizer: bool,
    /// A deletion that says nothing of its dependents orphans them.
    pub orphans_dependents: bool,
    /// The index terms of its objects.
    pub terms: &'static [TermName],
    /// The fields that users may select by, and the term of each.
    pub selectable_fields: Vec<(String, TermName)>,
    /// Columns after `Name`.
    pub columns: Vec<TableColumn>,
}

impl KindInfo {
    /// The term by which a field can be selected; `None` where users may not.
    pub fn selectable(&self, field: &str) -> Option<TermName> {
        self.selectable_fields.iter().find(|(name, _)| name == field).map(|(_, term)| *term)
    }
}

/// The rules of a kind for objects whose type is known only at run time; see [`Kind`] for each method.
///
/// Objects handed in must be of the kind; others are left alone.
#[allow(missing_docs, reason = "each method is documented at `Kind`")]
pub trait Strategy: Send + Sync {
    /// The names of the storage version.
    fn info(&self) -> &KindInfo;
    /// Every version, the storage version first, then the others by falling priority.
    fn versions(&self) -> &[KindInfo] {
        std::slice::from_ref(self.info())
    }
    /// Brings JSON with apiVersion and kind from one of the versions to another.
    fn convert(&self, value: Value, from: usize, to: usize) -> Result<Value, StatusError> {
        let _ = (from, to);
        Ok(value)
    }
    /// The object in the storage version. Objects of kinds that are decoded into it are left as they are.
    fn to_stored(&self, object: Box<dyn Object>) -> Result<Box<dyn Object>, StatusError> {
        Ok(object)
    }
    /// The object in one of the versions, with the defaults of that version.
    fn in_version(&self, object: Arc<dyn Object>, version: usize) -> Result<Arc<dyn Object>, StatusError> {
        let _ = version;
        Ok(object)
    }
    /// Of which of the versions an object is.
    fn version_of(&self, object: &dyn Object) -> usize {
        let _ = object;
        0
    }
    /// Whether new objects may be made; the refusal if not.
    fn accepts_new(&self) -> Result<(), StatusError> {
        Ok(())
    }
    /// Whether [`Strategy::validate_update`] judges all of a change, so that [`Strategy::validate`] is for new objects
    /// alone.
    fn judges_changes(&self) -> bool {
        false
    }
    /// Whether what is stored is what is served in this version.
    fn is_verbatim(&self, version: usize) -> bool {
        version == 0
    }
    /// The OpenAPI v3 schema of a version, for kinds that carry their own.
    fn schema(&self, version: usize) -> Option<Value> {
        let _ = version;
        None
    }
    /// The typed cells of the table's row, one for each column of the version.
    fn cells(&self, object: &dyn Object, version: usize, now: Timestamp) -> Vec<Value> {
        let _ = version;
        self.row(object, now).into_iter().map(Value::String).collect()
    }
    /// How its objects are merged and owned. Where nothing is said, maps are owned field by field, lists as a whole.
    fn shape(&self, version: usize) -> Shape {
        let _ = version;
        Shape::unknown()
    }
    /// The validation of a version that has rules of its own in place of the kind's; answers whether it has.
    fn validate_as(
        &self,
        object: &dyn Object,
        old: Option<&dyn Object>,
        version: usize,
        errors: &mut FieldErrors,
    ) -> bool {
        let _ = (object, old, version, errors);
        false
    }
    /// Decodes a body: JSON with or without apiVersion and kind.
    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error>;
    /// Decodes a JSON value of any of the versions; a field of the wrong type is named.
    fn decode_value(&self, value: Value) -> Result<Box<dyn Object>, WrongField>;
    /// Decodes a JSON value as a user wrote it: a field of the wrong type or one that the kind has not is
    /// named.
    fn check_fields(&self, value: &Value) -> Result<(), WrongField>;
    /// Decodes a JSON value of any of the versions and names every field that the version has not, in the order of
    /// the value.
    fn decode_fields(&self, value: Value) -> Result<(Box<dyn Object>, Vec<String>), WrongField> {
        Ok((self.decode_value(value)?, Vec::new()))
    }
    /// An object with nothing in it.
    fn empty(&self) -> Box<dyn Object>;
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String>;
    fn set_defaults(&self, object: &mut dyn Object);
    fn prepare_create(&self, object: &mut dyn Object);
    fn prepare_update(&self, object: &mut dyn Object, old: &dyn Object);
    fn prepare_status(&self, object: &mut dyn Object, old: &dyn Object);
    fn stamp(&self, object: &mut dyn Object, old: Option<&dyn Object>, now: Timestamp) {
        let _ = (object, old, now);
    }
    fn canonicalise(&self, object: &mut dyn Object);
    fn validate(&self, object: &dyn Object, errors: &mut FieldErrors);
    fn validate_create(&self, object: &dyn Object, errors: &mut FieldErrors);
    fn validate_update(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors);
    fn validate_status(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors);
    fn moves_generation(&self, object: &dyn Object, old: &dyn Object) -> bool;
    fn terms(&self, object: &dyn Object, terms: &mut Terms);
    fn grace_period(&self, object: &dyn Object, asked: Option<i64>) -> i64;
    fn held_back(&self, object: &dyn Object) -> bool;
    fn mark_deleting(&self, object: &mut dyn Object);
    fn row(&self, object: &dyn Object, now: Timestamp) -> Vec<String>;
    /// Whether both are equal in every field.
    fn same(&self, a: &dyn Object, b: &dyn Object) -> bool;
}

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// Its path: `spec.template.spec.containers[0].name`.
    pub field: String,
    /// What is wrong.
    pub cause: String,
}

impl std::fmt::Display for WrongField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.cause)
    }
}

struct Slot {
    strategy: Arc<dyn Strategy>,
    /// It is still a kind of the cluster.
    there: bool,
}

/// By apiVersion, then by kind.
type Names = HashMap<String, HashMap<String, Served>>;

/// The kinds that came while the cluster ran.
#[derive(Default)]
struct Live {
    /// The one at `i` has the number that follows those of the fixed kinds by `i`.
    slots: Vec<Arc<Slot>>,
    names: Names,
}

/// The kinds of a cluster.
pub struct Registry {
    fixed: Vec<Arc<dyn Strategy>>,
    fixed_names: Names,
    by_type: HashMap<TypeId, KindId>,
    live: ArcSwap<Live>,
    changing: Mutex<()>,
}

fn enter(names: &mut Names, kind: KindId, strategy: &dyn Strategy) {
    for (version, info) in strategy.versions().iter().enumerate().filter(|(_, info)| info.served) {
        let kinds = names.entry(info.api_version.clone()).or_default();
        kinds.entry(info.kind.clone()).or_insert(Served { kind, version });
    }
}

impl Registry {
    /// A registry without kinds.
    pub fn empty() -> Registry {
        Registry {
            fixed: Vec::new(),
            fixed_names: HashMap::new(),
            by_type: HashMap::new(),
            live: ArcSwap::default(),
            changing: Mutex::new(()),
        }
    }

    /// Adds a built-in kind. Built-in kinds are added before any other.
    pub fn with<K: Kind>(mut self) -> Registry {
        let id = KindId(self.fixed.len() as u32);
        let strategy = BuiltIn::<K>::new();
        self.by_type.insert(TypeId::of::<K>(), id);
        enter(&mut self.fixed_names, id, &strategy);
        self.fixed.push(Arc::new(strategy));
        self
    }

    /// Adds a kind while the cluster runs. Names that are taken stay with the kind that has them.
    pub fn add(&self, strategy: Arc<dyn Strategy>) -> KindId {
        let mut id = KindId(0);
        self.change(|slots| {
            id = KindId((self.fixed.len() + slots.len()) as u32);
            slots.push(Arc::new(Slot { strategy, there: true }));
        });
        id
    }

    /// Gives a kind that was added other rules.
    pub fn replace(&self, id: KindId, strategy: Arc<dyn Strategy>) {
        let Some(at) = (id.0 as usize).checked_sub(self.fixed.len()) else { return };
        self.change(|slots| {
            if let Some(slot) = slots.get_mut(at) {
                *slot = Arc::new(Slot { strategy, there: true });
            }
        });
    }

    /// Takes a kind that was added out. Its number keeps its names, for what is still to be told of it.
    pub fn remove(&self, id: KindId) {
        let Some(at) = (id.0 as usize).checked_sub(self.fixed.len()) else { return };
        self.change(|slots| {
            if let Some(slot) = slots.get_mut(at) {
                let strategy = Arc::new(Retired::of(&*slot.strategy));
                *slot = Arc::new(Slot { strategy, there: false });
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Slot>>)) {
        let _changing = self.changing.lock();
        let mut live = Live { slots: self.live.load().slots.clone(), names: HashMap::new() };
        change(&mut live.slots);
        for (at, slot) in live.slots.iter().enumerate().filter(|(_, slot)| slot.there) {
            enter(&mut live.names, KindId((self.fixed.len() + at) as u32), &*slot.strategy);
        }
        self.live.store(Arc::new(live));
    }

    /// The number of a built-in kind; `None` where it is not registered.
    pub fn id_of<K: Kind>(&self) -> Option<KindId> {
        self.by_type.get(&TypeId::of::<K>()).copied()
    }

    /// The kind that is served under these names (`apps/v1`, `Deployment`), in any of its versions.
    pub fn find(&self, api_version: &str, kind: &str) -> Option<KindId> {
        self.find_served(api_version, kind).map(|served| served.kind)
    }

    /// The same, with the version.
    pub fn find_served(&self, api_version: &str, kind: &str) -> Option<Served> {
        let of = |names: &Names| names.get(api_version)?.get(kind).copied();
        of(&self.fixed_names).or_else(|| of(&self.live.load().names))
    }

    /// The kind that is served as this resource (`apps`, `v1`, `deployments`), in any of its versions.
    pub fn find_resource(&self, group: &str, version: &str, plural: &str) -> Option<Served> {
        let is = |info: &KindInfo| {
            info.plural == plural && info.version == version && info.group == group && info.served
        };
        let of = |id: usize, strategy: &Arc<dyn Strategy>| {
            let version = strategy.versions().iter().position(is)?;
            Some(Served { kind: KindId(id as u32), version })
        };
        let fixed = self.fixed.iter().enumerate().find_map(|(id, strategy)| of(id, strategy));
        fixed.or_else(|| {
            let live = self.live.load();
            let there = live.slots.iter().enumerate().filter(|(_, slot)| slot.there);
            let mut there = there.map(|(at, slot)| (self.fixed.len() + at, slot));
            there.find_map(|(id, slot)| of(id, &slot.strategy))
        })
    }

    /// The kind that a user names on a command line: plural, singular, short name or kind, with or without
    /// the group (`deployments.apps`).
    pub fn find_word(&self, word: &str) -> Option<KindId> {
        let word = word.to_ascii_lowercase();
        let (name, group) = word.split_once('.').map_or((word.as_str(), None), |(n, g)| (n, Some(g)));
        let is = |info: &KindInfo| {
            group.is_none_or(|group| group == info.group)
                && (info.plural == name
                    || info.singular == name
                    || info.short_names.iter().any(|s| s == name))
        };
        self.iter().find(|(_, strategy)| strategy.versions().iter().any(is)).map(|(id, _)| id)
    }

    /// The rules of a kind. The id must come from this registry. A kind that is gone has only its names left.
    pub fn strategy(&self, id: KindId) -> Arc<dyn Strategy> {
        let at = id.0 as usize;
        match self.fixed.get(at) {
            Some(strategy) => strategy.clone(),
            None => self.live.load().slots[at - self.fixed.len()].strategy.clone(),
        }
    }

    /// Whether a kind is still one of the cluster's.
    pub fn is_there(&self, id: KindId) -> bool {
        let at = (id.0 as usize).checked_sub(self.fixed.len());
        at.is_none_or(|at| self.live.load().slots.get(at).is_some_and(|slot| slot.there))
    }

    /// Every kind that is there now, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = (KindId, Arc<dyn Strategy>)> + '_ {
        let live = self.live.load_full();
        let added = (0..live.slots.len()).filter_map(move |at| {
            let slot = &live.slots[at];
            let id = KindId((self.fixed.len() + at) as u32);
            slot.there.then(|| (id, slot.strategy.clone()))
        });
        self.fixed.iter().enumerate().map(|(i, strategy)| (KindId(i as u32), strategy.clone())).chain(added)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, kind)| kind.info().kind.clone())).finish()
    }
}
