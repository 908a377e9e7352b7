//! Who follows the log, and who is woken by which change.
//!
//! Owns the list of subscriptions, filed by what they can match, so that a change looks up the few that it
//! concerns. A subscription is a cursor: the writer only marks where its first unseen change stands
//! and wakes it. Invariant: a change that a subscription matches is marked before it is woken.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::log::Change;
use super::record::Record;
use crate::api::{KindId, ObjectKey};

/// What a subscription wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    /// The kind. With [`KindId::EVERY`], `within` must be [`Within::All`].
    pub kind: KindId,
    /// Which of its objects.
    pub within: Within,
}

/// Which objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Within {
    /// All.
    All,
    /// Those in a namespace.
    Namespace(String),
    /// One.
    Key(ObjectKey),
    /// Those with this value of an index term, before or after the change.
    Term(&'static str, String),
}

impl Interest {
    /// Everything of a kind.
    pub fn all(kind: KindId) -> Interest {
        Interest { kind, within: Within::All }
    }

    /// Everything of every kind, also of those that come later.
    pub fn everything() -> Interest {
        Interest::all(KindId::EVERY)
    }

    /// Whether a change can concern it.
    pub fn matches(&self, change: &Change) -> bool {
        let header = &change.new.header;
        if header.kind != self.kind && self.kind != KindId::EVERY {
            return false;
        }
        match &self.within {
            Within::All => true,
            Within::Namespace(namespace) => header.key.namespace() == namespace,
            Within::Key(key) => header.key == *key,
            Within::Term(term, value) => {
                header.has_term(term, value)
                    || change.old.as_ref().is_some_and(|old| old.header.has_term(term, value))
            }
        }
    }
}

/// Something that can be woken. Called by the writer after it has let go of its locks; must not block.
pub trait Wake: Send + Sync {
    /// There is something new.
    fn wake(&self);
}

const NOTHING: u64 = u64::MAX;

/// One follower.
pub(super) struct Subscription {
    /// The position of its first unseen change that matches, or `NOTHING`.
    pub first_unseen: AtomicU64,
    wake: Arc<dyn Wake>,
}

impl Subscription {
    /// Takes the mark: the position to read from, if there is anything new.
    pub fn take_unseen(&self) -> Option<u64> {
        match self.first_unseen.swap(NOTHING, Ordering::AcqRel) {
            NOTHING => None,
            position => Some(position),
        }
    }

    /// Marks that everything from `position` on is unseen.
    pub fn mark(&self, position: u64) {
        self.first_unseen.fetch_min(position, Ordering::AcqRel);
    }
}

type Followers = Vec<Arc<Subscription>>;

#[derive(Default)]
struct KindFollowers {
    all: Followers,
    namespaces: HashMap<String, Followers>,
    keys: HashMap<ObjectKey, Followers>,
    terms: HashMap<&'static str, HashMap<String, Followers>>,
}

/// Every subscription, filed by interest.
#[derive(Default)]
pub(super) struct Watchers {
    kinds: RwLock<HashMap<KindId, KindFollowers>>,
}

impl Watchers {
    /// Files a subscription under its interests. Nothing is marked yet.
    pub fn subscribe(&self, interests: &[Interest], wake: Arc<dyn Wake>) -> Arc<Subscription> {
        let subscription = Arc::new(Subscription { first_unseen: AtomicU64::new(NOTHING), wake });
        let mut kinds = self.kinds.write();
        for interest in interests {
            let followers = kinds.entry(interest.kind).or_default();
            let list = match &interest.within {
                Within::All => &mut followers.all,
                Within::Namespace(namespace) => followers.namespaces.entry(namespace.clone()).or_default(),
                Within::Key(key) => followers.keys.entry(key.clone()).or_default(),
                Within::Term(term, value) => {
                    followers.terms.entry(term).or_default().entry(value.clone()).or_default()
                }
            };
            list.push(subscription.clone());
        }
        subscription
    }

    /// Takes a subscription out.
    pub fn unsubscribe(&self, interests: &[Interest], subscription: &Arc<Subscription>) {
        let mut kinds = self.kinds.write();
        for interest in interests {
            let Some(followers) = kinds.get_mut(&interest.kind) else { continue };
            match &interest.within {
                Within::All => followers.all.retain(|s| !Arc::ptr_eq(s, subscription)),
                Within::Namespace(namespace) => {
                    forget(followers.namespaces.entry(namespace.clone()), subscription);
                }
                Within::Key(key) => forget(followers.keys.entry(key.clone()), subscription),
                Within::Term(term, value) => {
                    let values = followers.terms.entry(term).or_default();
                    forget(values.entry(value.clone()), subscription);
                }
            }
        }
    }

    /// Marks a change at `position` with every subscription that it concerns, and wakes those that had
    /// nothing marked before.
    pub fn announce(&self, change: &Change, position: u64) {
        let mut woken: Vec<Arc<dyn Wake>> = Vec::new();
        {
            let kinds = self.kinds.read();
            let mut mark = |list: &Followers| {
                for subscription in list {
                    if subscription.first_unseen.fetch_min(position, Ordering::AcqRel) == NOTHING {
                        woken.push(subscription.wake.clone());
                    }
                }
            };
            let key = &change.new.header.key;
            if let Some(every) = kinds.get(&KindId::EVERY) {
                mark(&every.all);
            }
            let nobody = KindFollowers::default();
            let followers = kinds.get(&change.new.header.kind).unwrap_or(&nobody);
            mark(&followers.all);
            if let Some(list) = followers.namespaces.get(key.namespace()) {
                mark(list);
            }
            if let Some(list) = followers.keys.get(key) {
                mark(list);
            }
            if !followers.terms.is_empty() {
                let mut mark_terms = |record: &Record| {
                    for (term, value) in record.header.terms.iter() {
                        if let Some(list) = followers.terms.get(term).and_then(|values| values.get(value)) {
                            mark(list);
                        }
                    }
                };
                mark_terms(&change.new);
                if let Some(old) = &change.old {
                    mark_terms(old);
                }
            }
        }
        for wake in woken {
            wake.wake();
        }
    }
}

fn forget<K>(entry: Entry<'_, K, Followers>, subscription: &Arc<Subscription>) {
    if let Entry::Occupied(mut entry) = entry {
        entry.get_mut().retain(|s| !Arc::ptr_eq(s, subscription));
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}
