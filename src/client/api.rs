//! One kind in one place: get, list, watch, create, update, patch, delete, wait.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::conditions::Condition;
use super::{Client, Error};
use crate::api::selector::Selector;
use crate::api::{Kind, KindId, ObjectKey, StatusError};
use crate::apiserver::{
    self, DeleteOptions, Face, ListParams, Patch, WatchEvent, WatchFrom, WatchParams, WriteOptions,
};
use crate::store::{Record, Revision, Stored};

/// The objects of one kind in one namespace, or in all. Cheap to clone.
pub struct Api<K> {
    client: Client,
    namespace: Option<Arc<str>>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Api { client: self.client.clone(), namespace: self.namespace.clone(), kind: PhantomData }
    }
}

impl<K: Kind> fmt::Debug for Api<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({} in {:?})", K::KIND, self.namespace)
    }
}

/// Objects of a kind, and the revision at which they were so.
#[derive(Clone, Debug)]
pub struct List<K> {
    /// The objects, in the order of their keys.
    pub items: Vec<Stored<K>>,
    /// The revision of the list: where a watch goes on from.
    pub revision: Revision,
    /// Where the next piece begins, if there is one.
    pub continue_token: Option<String>,
    /// How many are left, where that is known.
    pub remaining: Option<usize>,
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Event<K> {
    /// An object is there that was not.
    Added(Stored<K>),
    /// An object has changed.
    Modified(Stored<K>),
    /// An object is gone, or no longer selected: its last state.
    Deleted(Stored<K>),
    /// The state that the watch began with has been told whole ([`WatchFrom::PresentMarked`]).
    Synced(Revision),
}

/// A watch, as an iterator that waits for each event. It ends after an error.
pub struct Watch<K> {
    watch: apiserver::Watch,
    ended: bool,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Watch<K> {
    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Result<Option<Event<K>>, Error> {
        Ok(self.watch.try_next()?.map(event))
    }

    /// The next event, waiting for it as long as `most`; `None` when the time is over.
    pub fn next_within(&mut self, most: Duration) -> Result<Option<Event<K>>, Error> {
        Ok(self.watch.next_within(most)?.map(event))
    }
}

impl<K: Kind> Iterator for Watch<K> {
    type Item = Result<Event<K>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.watch.next_event();
        self.ended = next.is_err();
        Some(next.map(event).map_err(Error::from))
    }
}

impl<K> fmt::Debug for Watch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watch.fmt(f)
    }
}

fn event<K: Kind>(event: WatchEvent) -> Event<K> {
    match event {
        WatchEvent::Added(record) => Event::Added(Stored::new(record)),
        WatchEvent::Modified(record) => Event::Modified(Stored::new(record)),
        WatchEvent::Deleted(record) => Event::Deleted(Stored::new(record)),
        WatchEvent::Synced(revision) => Event::Synced(revision),
    }
}

impl<K: Kind> Api<K> {
    pub(super) fn new(client: Client, namespace: Option<&str>) -> Api<K> {
        Api { client, namespace: namespace.map(Arc::from), kind: PhantomData }
    }

    fn kind(&self) -> Result<KindId, Error> {
        let missing = || StatusError::not_found(K::GROUP, K::URL_PATH_SEGMENT, "");
        Ok(self.client.server.registry().id_of::<K>().ok_or_else(missing)?)
    }

    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(self.namespace.as_deref().unwrap_or_default(), name)
    }

    fn options(&self) -> WriteOptions {
        self.client.write_options()
    }

    /// The object with this namespace where it names none.
    fn placed(&self, object: &K) -> Result<Box<K>, Error> {
        let mut object = object.clone();
        if let Some(namespace) = &self.namespace {
            let meta = object.metadata_mut();
            match meta.namespace.as_deref() {
                None | Some("") => meta.namespace = Some(namespace.to_string()),
                Some(named) if *named == **namespace => {}
                Some(_) => {
                    let why = "the namespace of the provided object does not match the namespace sent on the \
                               request";
                    return Err(StatusError::bad_request(why).into());
                }
            }
        }
        Ok(Box::new(object))
    }

    fn stored(record: Arc<Record>) -> Stored<K> {
        Stored::new(record)
    }

    /// The object of this name. Errors: 404.
    pub fn get(&self, name: &str) -> Result<Stored<K>, Error> {
        Ok(Self::stored(self.client.server.get(self.kind()?, &self.key(name))?))
    }

    /// The object of this name, if it is there.
    pub fn find(&self, name: &str) -> Result<Option<Stored<K>>, Error> {
        Ok(self.client.server.store().get(self.kind()?, self.key(name).as_str()).map(Self::stored))
    }

    /// The objects that `params` select.
    pub fn list(&self, params: &ListParams) -> Result<List<K>, Error> {
        let params = ListParams { namespace: self.namespace(&params.namespace), ..params.clone() };
        let page = self.client.server.list(self.kind()?, &params)?;
        Ok(List {
            items: page.items.into_iter().map(Stored::bulk).collect(),
            revision: page.revision,
            continue_token: page.continue_token,
            remaining: page.remaining,
        })
    }

    fn namespace(&self, asked: &Option<String>) -> Option<String> {
        self.namespace.as_deref().map(str::to_owned).or_else(|| asked.clone())
    }

    /// Watches the objects that `params` select.
    pub fn watch(&self, params: WatchParams) -> Result<Watch<K>, Error> {
        let params = WatchParams { namespace: self.namespace(&params.namespace), ..params };
        let watch = self.client.server.watch(self.kind()?, &params)?;
        Ok(Watch { watch, ended: false, kind: PhantomData })
    }

    /// Creates an object. Errors: 409 if there is one of that name, 422 if it is invalid, 403 from admission.
    pub fn create(&self, object: &K) -> Result<Stored<K>, Error> {
        let object = self.placed(object)?;
        Ok(Self::stored(self.client.server.create(self.kind()?, object, &self.options())?))
    }

    /// Replaces an object; its status stays. With a resourceVersion it must be the present one.
    pub fn update(&self, object: &K) -> Result<Stored<K>, Error> {
        let object = self.placed(object)?;
        Ok(Self::stored(self.client.server.update(self.kind()?, Face::Main, object, &self.options())?))
    }

    /// Replaces the status of an object; everything else stays.
    pub fn update_status(&self, object: &K) -> Result<Stored<K>, Error> {
        let object = self.placed(object)?;
        Ok(Self::stored(self.client.server.update(self.kind()?, Face::Status, object, &self.options())?))
    }

    /// Changes an object by a patch.
    pub fn patch(&self, name: &str, patch: &Patch) -> Result<Stored<K>, Error> {
        let (kind, key) = (self.kind()?, self.key(name));
        Ok(Self::stored(self.client.server.patch(kind, &key, Face::Main, patch, &self.options())?))
    }

    /// Changes the status of an object by a patch.
    pub fn patch_status(&self, name: &str, patch: &Patch) -> Result<Stored<K>, Error> {
        let (kind, key) = (self.kind()?, self.key(name));
        Ok(Self::stored(self.client.server.patch(kind, &key, Face::Status, patch, &self.options())?))
    }

    /// Deletes an object, or marks it for deletion: its last or its marked state.
    pub fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Stored<K>, Error> {
        Ok(Self::stored(self.client.server.delete(self.kind()?, &self.key(name), options)?))
    }

    /// Deletes the objects that `params` select; answers how many.
    pub fn delete_collection(&self, params: &ListParams, options: &DeleteOptions) -> Result<usize, Error> {
        let params = ListParams { namespace: self.namespace(&params.namespace), ..params.clone() };
        Ok(self.client.server.delete_collection(self.kind()?, &params, options)?)
    }

    /// Waits until the objects that the label selector names fulfil the condition; answers them. An empty
    /// selector names all.
    ///
    /// Errors: [`Error::TimedOut`] says how things stood at the end.
    pub fn wait(
        &self,
        selector: &str,
        condition: impl Condition<K>,
        most: Duration,
    ) -> Result<Vec<Stored<K>>, Error> {
        let params = WatchParams { labels: Selector::parse(selector)?, ..WatchParams::default() };
        let place = if selector.is_empty() { String::new() } else { format!(" with {selector}") };
        self.wait_for(params, condition, most, &place)
    }

    /// The same for one object by its name.
    pub fn wait_named(
        &self,
        name: &str,
        condition: impl Condition<K>,
        most: Duration,
    ) -> Result<Option<Stored<K>>, Error> {
        let fields = crate::api::selector::FieldSelector::equal("metadata.name", name);
        let params = WatchParams { fields, ..WatchParams::default() };
        let found = self.wait_for(params, condition, most, &format!(" named {name}"))?;
        Ok(found.into_iter().next())
    }

    fn wait_for(
        &self,
        params: WatchParams,
        condition: impl Condition<K>,
        most: Duration,
        place: &str,
    ) -> Result<Vec<Stored<K>>, Error> {
        let clock = &self.client.server.world().clock;
        let began = clock.moment();
        let mut watch = self.watch(WatchParams { from: WatchFrom::PresentMarked, ..params })?;
        let mut present: BTreeMap<ObjectKey, Stored<K>> = BTreeMap::new();
        let mut synced = false;
        loop {
            let left = most.saturating_sub(clock.moment().since(began));
            match watch.next_within(left)? {
                Some(Event::Added(object) | Event::Modified(object)) => {
                    present.insert(object.key().clone(), object);
                }
                Some(Event::Deleted(object)) => {
                    present.remove(object.key());
                }
                Some(Event::Synced(_)) => synced = true,
                None => {
                    let objects: Vec<_> = present.into_values().collect();
                    let what = format!("{} of {}{place}", condition.what(), K::URL_PATH_SEGMENT);
                    return Err(Error::TimedOut { what, state: condition.state(&objects), after: most });
                }
            }
            // Everything that is there already is taken in before the condition is asked.
            if watch.watch.has_next()? {
                continue;
            }
            let objects: Vec<_> = present.values().cloned().collect();
            if synced && condition.holds(&objects) {
                return Ok(objects);
            }
        }
    }
}
