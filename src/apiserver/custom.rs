//! Keeps the registry of kinds in step with the definitions in the log.
//!
//! Sees each definition before any reader does: whoever has seen that a kind is established can use it, and whoever
//! has seen its definition gone cannot. Does not decide what is established. Invariant: what is registered is the
//! outcome of the log so far.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
};
use parking_lot::Mutex;

use crate::api::custom::convert::Converter;
use crate::api::custom::{CustomStrategy, is_condition_true};
use crate::api::{KindId, ObjectKey, Registry};
use crate::store::Record;

/// Makes what converts the objects of a definition by webhook.
pub type MakeConverter = dyn Fn(&CustomResourceDefinition) -> Option<Arc<dyn Converter>> + Send + Sync;

/// A kind that a definition made.
struct Known {
    id: KindId,
    uid: String,
    spec: CustomResourceDefinitionSpec,
    names: Option<CustomResourceDefinitionNames>,
    ending: bool,
}

/// The kinds that definitions made, by the names of the definitions.
pub(super) struct Definitions {
    registry: Arc<Registry>,
    kind: Option<KindId>,
    converter: Option<Arc<MakeConverter>>,
    known: Mutex<BTreeMap<String, Known>>,
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.lock().keys()).finish()
    }
}

impl Definitions {
    pub fn new(registry: Arc<Registry>, converter: Option<Arc<MakeConverter>>) -> Definitions {
        let kind = registry.id_of::<CustomResourceDefinition>();
        Definitions { registry, kind, converter, known: Mutex::default() }
    }

    /// Takes in an object that was written, if it is a definition.
    pub fn foresee(&self, kind: KindId, key: &ObjectKey, new: Option<&Record>) {
        if Some(kind) != self.kind {
            return;
        }
        let mut known = self.known.lock();
        let Some(record) = new else {
            if let Some(gone) = known.remove(key.name()) {
                self.registry.remove(gone.id);
            }
            return;
        };
        let object = record.object(&*self.registry.strategy(kind));
        let Some(definition) = object.as_any().downcast_ref::<CustomResourceDefinition>() else { return };
        self.take(&mut known, key.name(), definition);
    }

    fn take(&self, known: &mut BTreeMap<String, Known>, name: &str, definition: &CustomResourceDefinition) {
        let uid = definition.metadata.uid.as_deref().unwrap_or_default();
        if known.get(name).is_some_and(|known| known.uid != uid)
            && let Some(gone) = known.remove(name)
        {
            self.registry.remove(gone.id);
        }
        let ending = definition.metadata.deletion_timestamp.is_some();
        let names = definition.status.as_ref().and_then(|status| status.accepted_names.clone());
        let build = || {
            let converter = self.converter.as_ref().and_then(|make| make(definition));
            Arc::new(CustomStrategy::new(definition, converter))
        };
        match known.get_mut(name) {
            Some(known) => {
                let same = known.spec == definition.spec && known.names == names && known.ending == ending;
                if !same {
                    self.registry.replace(known.id, build());
                    known.spec = definition.spec.clone();
                    known.names = names;
                    known.ending = ending;
                }
            }
            None if is_condition_true(definition, "Established") => {
                let id = self.registry.add(build());
                let spec = definition.spec.clone();
                known.insert(name.to_owned(), Known { id, uid: uid.to_owned(), spec, names, ending });
            }
            None => {}
        }
    }
}
