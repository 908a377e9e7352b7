//! The whole state at one revision, immutable: what readers hold while the writer goes on.
//!
//! Owns the tables (one a kind: its objects by key, and the index of their terms and owners) and how they are
//! read. A snapshot costs nothing to take, to keep or to fork. Invariant: the index of a table holds exactly
//! the terms and owners of its objects' headers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::Revision;
use super::record::{Record, Stored};
use super::tree::Tree;
use crate::api::{Kind, KindId, ObjectKey, Registry};

/// One kind's objects.
#[derive(Clone, Default)]
pub(super) struct Table {
    objects: Tree<Arc<Record>>,
    /// Under each term with a value, the keys of the objects that have it.
    index: Tree<Tree<()>>,
    /// The revision of the last change of the table.
    changed: Revision,
}

/// The tables of some kinds whose numbers follow each other.
type Shelf = [Arc<Table>; SHELF];

/// How many tables are copied, as handles, with every commit; beside them goes one handle a shelf.
const SHELF: usize = 16;

/// The tables of all kinds, by the kinds' numbers. Kinds come and go and numbers are not given twice, so there can
/// be many; a commit copies few of them.
#[derive(Clone, Default)]
pub(super) struct Tables {
    shelves: Vec<Arc<Shelf>>,
}

impl Tables {
    fn get(&self, kind: KindId) -> Option<&Table> {
        let at = kind.0 as usize;
        self.shelves.get(at / SHELF).map(|shelf| &*shelf[at % SHELF])
    }

    fn get_mut(&mut self, kind: KindId) -> &mut Table {
        let at = kind.0 as usize;
        if self.shelves.len() <= at / SHELF {
            // Empty tables are one and the same until something is put into them.
            let none = Arc::<Table>::default();
            let shelf: Arc<Shelf> = Arc::new(std::array::from_fn(|_| none.clone()));
            self.shelves.resize(at / SHELF + 1, shelf);
        }
        Arc::make_mut(&mut Arc::make_mut(&mut self.shelves[at / SHELF])[at % SHELF])
    }

    fn iter(&self) -> impl Iterator<Item = &Table> {
        self.shelves.iter().flat_map(|shelf| shelf.iter().map(|table| &**table))
    }
}

/// The state at one revision.
#[derive(Clone, Default)]
pub(super) struct State {
    pub revision: Revision,
    pub tables: Tables,
}

const OWNER: &str = "owner";

/// The text under which the index keeps a term's value: both, parted by a character that neither holds.
fn group(term: &str, value: &str) -> String {
    let mut text = String::with_capacity(term.len() + value.len() + 1);
    for part in [term, "\0", value] {
        text.push_str(part);
    }
    text
}

/// Where an object stands in the index.
fn groups(record: &Record) -> impl Iterator<Item = String> + '_ {
    let header = &record.header;
    let terms = header.terms.iter().map(|(term, value)| group(term, value));
    let owners = header.owners.iter().map(|owner| group(OWNER, &owner.uid));
    terms.chain(owners)
}

impl Table {
    /// Sets or removes one object; answers what was there.
    fn change(
        &mut self,
        key: &ObjectKey,
        new: Option<Arc<Record>>,
        revision: Revision,
    ) -> Option<Arc<Record>> {
        self.changed = revision;
        let old = match &new {
            Some(record) => self.objects.insert(key.shared(), record.clone()),
            None => self.objects.remove(key.as_str()),
        };
        let same_terms = match (&old, &new) {
            (Some(old), Some(new)) => {
                old.header.terms == new.header.terms && old.header.owners == new.header.owners
            }
            _ => false,
        };
        if !same_terms {
            for group in old.iter().flat_map(|record| groups(record)) {
                self.leave(&group, key);
            }
            for group in new.iter().flat_map(|record| groups(record)) {
                self.enter(group, key);
            }
        }
        old
    }

    fn enter(&mut self, group: String, key: &ObjectKey) {
        if let Some(members) = self.index.get_mut(&group) {
            members.insert(key.shared(), ());
            return;
        }
        let mut members = Tree::default();
        members.insert(key.shared(), ());
        self.index.insert(Arc::from(group), members);
    }

    fn leave(&mut self, group: &str, key: &ObjectKey) {
        let Some(members) = self.index.get_mut(group) else { return };
        members.remove(key.as_str());
        if members.len() == 0 {
            self.index.remove(group);
        }
    }

    fn check(&self) -> Result<(), String> {
        self.objects.check()?;
        self.index.check()?;
        let mut expected = BTreeSet::new();
        for (key, record) in self.objects.iter() {
            expected.extend(groups(record).map(|group| (group, key.to_string())));
        }
        let mut seen = BTreeSet::new();
        for (group, members) in self.index.iter() {
            members.check()?;
            if members.len() == 0 {
                return Err(format!("the index keeps {group:?} for nobody"));
            }
            seen.extend(members.iter().map(|(key, ())| (group.to_string(), key.to_string())));
        }
        match expected.symmetric_difference(&seen).next() {
            Some(entry) => Err(format!("the index and the objects differ in {entry:?}")),
            None => Ok(()),
        }
    }
}

impl State {
    /// The table of a kind, for change.
    pub fn change(
        &mut self,
        kind: KindId,
        key: &ObjectKey,
        new: Option<Arc<Record>>,
        revision: Revision,
    ) -> Option<Arc<Record>> {
        self.revision = revision;
        self.tables.get_mut(kind).change(key, new, revision)
    }

    pub fn get(&self, kind: KindId, key: &str) -> Option<&Arc<Record>> {
        self.tables.get(kind)?.objects.get(key)
    }
}

/// Which objects of a kind a read is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select<'a> {
    /// All.
    All,
    /// Those in a namespace.
    Namespace(&'a str),
    /// Those that name this uid as an owner.
    Owner(&'a str),
    /// Those with this value of an index term.
    Term(&'a str, &'a str),
}

/// The whole state at one revision; a handle that costs nothing to clone.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) state: Arc<State>,
    pub(super) registry: Arc<Registry>,
}

impl Snapshot {
    /// The revision.
    pub fn revision(&self) -> Revision {
        self.state.revision
    }

    /// The kinds.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The object of this key.
    pub fn get<K: Kind>(&self, key: &ObjectKey) -> Option<Stored<K>> {
        let record = self.get_record(self.registry.id_of::<K>()?, key.as_str())?;
        Some(Stored::new(record))
    }

    /// The objects that `select` names, in the order of their keys.
    pub fn list<'a, K: Kind>(&'a self, select: Select<'a>) -> impl Iterator<Item = Stored<K>> + 'a {
        let kind = self.registry.id_of::<K>();
        kind.into_iter()
            .flat_map(move |kind| self.list_records(kind, select))
            .map(|r| Stored::bulk(r.clone()))
    }

    /// The same for a kind known at run time only.
    pub fn get_record(&self, kind: KindId, key: &str) -> Option<Arc<Record>> {
        self.state.get(kind, key).cloned()
    }

    /// The same for a kind known at run time only.
    pub fn list_records<'a>(
        &'a self,
        kind: KindId,
        select: Select<'a>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Record>> + 'a> {
        self.list_records_from(kind, select, "")
    }

    /// The same from a key on, for lists in pieces.
    pub fn list_records_from<'a>(
        &'a self,
        kind: KindId,
        select: Select<'a>,
        from: &str,
    ) -> Box<dyn Iterator<Item = &'a Arc<Record>> + 'a> {
        let Some(table) = self.state.tables.get(kind) else {
            return Box::new(std::iter::empty());
        };
        match select {
            Select::All => Box::new(table.objects.from(from).map(|(_, record)| record)),
            Select::Namespace(namespace) => {
                let prefix = format!("{namespace}/");
                let start = if from > prefix.as_str() { from } else { prefix.as_str() };
                let entries = table.objects.from(start);
                Box::new(
                    entries.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, record)| record),
                )
            }
            Select::Owner(uid) => by_term(table, OWNER, uid, from),
            Select::Term(term, value) => by_term(table, term, value, from),
        }
    }

    /// The revision of the last change of a kind's objects.
    pub fn changed(&self, kind: KindId) -> Revision {
        self.state.tables.get(kind).map_or(Revision(0), |table| table.changed)
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: KindId) -> usize {
        self.state.tables.get(kind).map_or(0, |table| table.objects.len())
    }

    /// Whether everything is as it must be; for tests.
    pub fn check(&self) -> Result<(), String> {
        for (at, table) in self.state.tables.iter().enumerate() {
            table.check().map_err(|wrong| format!("table {at}: {wrong}"))?;
            for (key, record) in table.objects.iter() {
                let header = &record.header;
                if header.key.as_str() != &**key || header.kind.0 as usize != at {
                    return Err(format!("table {at}: {key} holds {record:?} of kind {:?}", header.kind));
                }
                if header.revision > table.changed || table.changed > self.state.revision {
                    return Err(format!("table {at}: {record:?} is newer than its table"));
                }
            }
        }
        Ok(())
    }
}

fn by_term<'a>(
    table: &'a Table,
    term: &str,
    value: &str,
    from: &str,
) -> Box<dyn Iterator<Item = &'a Arc<Record>> + 'a> {
    let Some(members) = table.index.get(&group(term, value)) else { return Box::new(std::iter::empty()) };
    Box::new(members.from(from).filter_map(|(key, ())| table.objects.get(key)))
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.state.revision.0)
    }
}
