//! Equal sets of fields are kept once.
//!
//! Owns weak tables of steps, sets and parts of sets, by content and by the outline of the objects that they are of.
//! A set that differs from another in one item of a list shares all but the way to that item. Invariant: whether a
//! set is in the tables changes what it weighs, never what it says.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use super::managed::{Entry, ManagedFields, Operation};
use super::ownership::Writer;
use super::path::{Element, Step};
use super::set::Set;
use crate::limits::INTERN_SWEEP;

/// A table of what is held elsewhere. What nobody holds any more is swept out as the table grows.
struct Table<K, T: ?Sized> {
    known: HashMap<K, Weak<T>>,
    sweep_at: usize,
}

impl<K: Eq + Hash, T: ?Sized> Table<K, T> {
    fn new() -> Table<K, T> {
        Table { known: HashMap::new(), sweep_at: INTERN_SWEEP }
    }

    fn get(&self, key: &K) -> Option<Arc<T>> {
        self.known.get(key)?.upgrade()
    }

    fn put(&mut self, key: K, value: &Arc<T>) {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, value| value.strong_count() > 0);
            self.sweep_at = INTERN_SWEEP.max(self.known.len() * 2);
        }
        self.known.insert(key, Arc::downgrade(value));
    }
}

/// Keeps equal sets once.
pub struct Interner {
    steps: Table<u64, Step>,
    sets: Table<u64, Set>,
    names: Table<u64, str>,
    outlines: Table<u128, Set>,
    /// The newest account of the objects of an outline.
    newest: Table<u128, ManagedFields>,
    /// The entries of the newest objects: many are made alike within a second.
    entries: Table<u64, ManagedFields>,
}

impl Default for Interner {
    fn default() -> Interner {
        Interner {
            steps: Table::new(),
            sets: Table::new(),
            names: Table::new(),
            outlines: Table::new(),
            newest: Table::new(),
            entries: Table::new(),
        }
    }
}

fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Interner {
    /// The account of a new object of an outline, if its set is known.
    pub fn of_outline(&mut self, outline: u128, writer: &Writer<'_>) -> Option<Arc<ManagedFields>> {
        let set = self.outlines.get(&outline)?;
        if let Some(newest) = self.newest.get(&outline)
            && let [entry] = newest.entries()
            && entry.time == Some(writer.now)
            && *entry.manager == *writer.name()
        {
            return Some(newest);
        }
        Some(self.account_of(set, Some(outline), writer))
    }

    /// The account of a new object with this set of fields; remembered for others of its outline.
    pub fn account_of(
        &mut self,
        fields: Arc<Set>,
        outline: Option<u128>,
        writer: &Writer<'_>,
    ) -> Arc<ManagedFields> {
        let fields = self.set(&fields);
        let entry = Entry {
            manager: self.name(writer.name()),
            operation: Operation::Update,
            api_version: self.name(writer.api_version),
            subresource: self.name(writer.subresource),
            time: Some(writer.now),
            fields: fields.clone(),
        };
        let account = self.share(ManagedFields::new(vec![entry]));
        if let Some(outline) = outline {
            self.outlines.put(outline, &fields);
            self.newest.put(outline, &account);
        }
        account
    }

    /// The one of this name.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        let hash = hash_of(name);
        if let Some(known) = self.names.get(&hash)
            && *known == *name
        {
            return known;
        }
        let name: Arc<str> = Arc::from(name);
        self.names.put(hash, &name);
        name
    }

    fn element(&mut self, element: &Element) -> Element {
        let hash = hash_of(element);
        match self.steps.get(&hash) {
            Some(known) if *known == *element.0 => Element(known),
            Some(_) => element.clone(),
            None => {
                self.steps.put(hash, &element.0);
                element.clone()
            }
        }
    }

    /// The set that stands for all its equals.
    pub fn set(&mut self, set: &Arc<Set>) -> Arc<Set> {
        self.set_and_hash(set).0
    }

    fn set_and_hash(&mut self, set: &Arc<Set>) -> (Arc<Set>, u64) {
        if set.kept != 0 {
            return (set.clone(), set.kept);
        }
        // A set's hash is made of those of its parts, so that one walk finds all.
        let mut hasher = DefaultHasher::new();
        for member in &set.members {
            member.hash(&mut hasher);
        }
        let mut children = Vec::with_capacity(set.children.len());
        for (element, child) in &set.children {
            let (child, hash) = self.set_and_hash(child);
            (element, hash).hash(&mut hasher);
            children.push(child);
        }
        let hash = hasher.finish() | 1;
        let known = self.sets.get(&hash);
        let is_taken = known.is_some();
        if let Some(known) = known
            && known == *set
        {
            return (known, hash);
        }
        let members = set.members.iter().map(|member| self.element(member)).collect();
        let children =
            set.children.iter().zip(children).map(|((step, _), child)| (self.element(step), child)).collect();
        // Should two sets ever have the same hash, the later one is not kept.
        let kept = Arc::new(Set { members, children, kept: if is_taken { 0 } else { hash } });
        if !is_taken {
            self.sets.put(hash, &kept);
        }
        (kept, hash)
    }

    /// The entries that stand for all their equals.
    pub fn managed(&mut self, managed: ManagedFields) -> Arc<ManagedFields> {
        let entries = managed.into_entries();
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| Entry {
                manager: self.name(&entry.manager),
                api_version: self.name(&entry.api_version),
                subresource: self.name(&entry.subresource),
                fields: self.set(&entry.fields),
                ..entry
            })
            .collect();
        self.share(ManagedFields::new(entries))
    }

    /// The same for entries whose parts stand for their equals already.
    pub fn share(&mut self, managed: ManagedFields) -> Arc<ManagedFields> {
        let mut hasher = DefaultHasher::new();
        for entry in managed.entries() {
            (Arc::as_ptr(&entry.fields) as usize, entry.time, entry.operation, &entry.manager)
                .hash(&mut hasher);
        }
        let hash = hasher.finish();
        if let Some(known) = self.entries.get(&hash)
            && *known == managed
        {
            return known;
        }
        let kept = Arc::new(managed);
        self.entries.put(hash, &kept);
        kept
    }
}

impl std::fmt::Debug for Interner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Interner({} sets, {} steps)", self.sets.known.len(), self.steps.known.len())
    }
}
