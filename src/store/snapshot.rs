//! The whole state at one revision, immutable: what readers hold while the writer goes on.
//!
//! Owns the tables (one a kind: its objects by key, and the index of their terms and owners) and how they are
//! read. A snapshot costs nothing to take, to keep or to fork. Invariant: the index of a table holds exactly
//! the terms and owners of its objects' headers.

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
    index: Tree<()>,
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

/// The text under which an object stands in the index: term, value and key, parted by a character that none
/// of them holds.
fn index_key(term: &str, value: &str, key: &str) -> String {
    let mut text = String::with_capacity(term.len() + value.len() + key.len() + 2);
    for part in [term, "\0", value, "\0", key] {
        text.push_str(part);
    }
    text
}

fn index_keys(record: &Record) -> impl Iterator<Item = String> + '_ {
    let header = &record.header;
    let terms = header.terms.iter().map(|(term, value)| index_key(term, value, header.key.as_str()));
    let owners = header.owners.iter().map(|owner| index_key(OWNER, &owner.uid, header.key.as_str()));
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
            for entry in old.iter().flat_map(|record| index_keys(record)) {
                self.index.remove(&entry);
            }
            for entry in new.iter().flat_map(|record| index_keys(record)) {
                self.index.insert(Arc::from(entry), ());
            }
        }
        old
    }

    fn check(&self) -> Result<(), String> {
        self.objects.check()?;
        self.index.check()?;
        let mut expected: Vec<String> =
            self.objects.iter().flat_map(|(_, record)| index_keys(record).collect::<Vec<_>>()).collect();
        expected.sort_unstable();
        expected.dedup();
        let mut seen = self.index.iter().map(|(key, ())| &**key);
        for entry in &expected {
            if seen.next() != Some(entry) {
                return Err(format!("the index lacks {entry:?} or holds something else before it"));
            }
        }
        match seen.next() {
            Some(extra) => Err(format!("the index holds {extra:?}, which no object has")),
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
    let prefix = index_key(term, value, "");
    let start = format!("{prefix}{from}");
    let entries = table.index.from(&start);
    Box::new(entries.map_while(move |(entry, ())| {
        let key = entry.strip_prefix(prefix.as_str())?;
        table.objects.get(key)
    }))
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.state.revision.0)
    }
}
