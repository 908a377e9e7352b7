//! A local picture of the objects of a kind that keeps itself up to date.
//!
//! Invariant: the picture is always some revision's, and every difference between two pictures is told as an
//! event, also when the watch lost its place and the objects were listed anew.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::api::{Api, Event, Watch};
use super::{Error, ListParams};
use crate::api::{Kind, ObjectKey};
use crate::apiserver::{WatchFrom, WatchParams};
use crate::store::Stored;

/// A picture of the objects that a watch selects, and the events that change it.
///
/// # Example
///
/// ```no_run
/// # use std::time::Duration;
/// # use coracle::client::{Client, Informer, WatchParams};
/// # use coracle::k8s_openapi::api::core::v1::Pod;
/// # fn example(client: Client) -> Result<(), coracle::client::Error> {
/// let mut pods = Informer::<Pod>::new(client.all(), WatchParams::default())?;
/// while let Some(event) = pods.next_within(Duration::from_secs(1))? {
///     println!("{event:?}; now {} pods", pods.len());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Informer<K> {
    api: Api<K>,
    params: WatchParams,
    watch: Watch<K>,
    objects: BTreeMap<ObjectKey, Stored<K>>,
    waiting: Vec<Event<K>>,
}

impl<K: Kind> Informer<K> {
    /// An informer of what `params` select, which begins with the present state.
    pub fn new(api: Api<K>, params: WatchParams) -> Result<Informer<K>, Error> {
        let params = WatchParams { from: WatchFrom::Present, ..params };
        let watch = api.watch(params.clone())?;
        Ok(Informer { api, params, watch, objects: BTreeMap::new(), waiting: Vec::new() })
    }

    /// The next event, after the picture has taken it in; `None` when nothing happened for as long as `most`.
    pub fn next_within(&mut self, most: Duration) -> Result<Option<Event<K>>, Error> {
        if let Some(event) = self.waiting.pop() {
            return Ok(Some(self.take(event)));
        }
        match self.watch.next_within(most) {
            Ok(event) => Ok(event.map(|event| self.take(event))),
            Err(Error::Watch(_)) => {
                self.begin_anew()?;
                let event = self.waiting.pop();
                Ok(event.map(|event| self.take(event)))
            }
            Err(other) => Err(other),
        }
    }

    fn take(&mut self, event: Event<K>) -> Event<K> {
        match &event {
            Event::Added(object) | Event::Modified(object) => {
                self.objects.insert(object.key().clone(), object.clone());
            }
            Event::Deleted(object) => {
                self.objects.remove(object.key());
            }
            Event::Synced(_) => {}
        }
        event
    }

    /// Lists, tells the differences and watches on from the list.
    fn begin_anew(&mut self) -> Result<(), Error> {
        let selected = ListParams {
            namespace: self.params.namespace.clone(),
            labels: self.params.labels.clone(),
            fields: self.params.fields.clone(),
            ..ListParams::default()
        };
        let list = self.api.list(&selected)?;
        let from = WatchFrom::Revision(list.revision);
        self.watch = self.api.watch(WatchParams { from, ..self.params.clone() })?;
        let mut gone = self.objects.clone();
        for object in list.items {
            match gone.remove(object.key()) {
                Some(old) if old.revision() == object.revision() => {}
                Some(old) if old.uid() == object.uid() => self.waiting.push(Event::Modified(object)),
                Some(old) => {
                    // Popped from the end: the old one's deletion comes first.
                    self.waiting.push(Event::Added(object));
                    self.waiting.push(Event::Deleted(old));
                }
                None => self.waiting.push(Event::Added(object)),
            }
        }
        self.waiting.extend(gone.into_values().map(Event::Deleted));
        Ok(())
    }

    /// The object of this key, as far as the picture knows.
    pub fn get(&self, key: &ObjectKey) -> Option<&Stored<K>> {
        self.objects.get(key)
    }

    /// The objects, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Stored<K>> {
        self.objects.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl<K: Kind> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Informer({} of {})", self.objects.len(), K::URL_PATH_SEGMENT)
    }
}
