//! Objects of a kind that is known at run time only, as JSON values.

use serde_json::Value;

use super::{Client, Error};
use crate::api::{KindId, ObjectKey, StatusError};
use crate::apiserver::{DeleteOptions, Face, ListParams, Patch, WriteOptions};
use crate::store::{Record, Revision};

/// The objects of one kind in one namespace, or in all.
#[derive(Clone, Debug)]
pub struct DynamicApi {
    client: Client,
    kind: KindId,
    /// Which of the kind's versions.
    version: usize,
    api_version: String,
    kind_name: String,
    namespace: String,
}

/// Objects as JSON, and the revision at which they were so.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicList {
    /// The objects, with apiVersion, kind and resourceVersion.
    pub items: Vec<Value>,
    /// The revision of the list.
    pub revision: Revision,
    /// Where the next piece begins, if there is one.
    pub continue_token: Option<String>,
}

impl DynamicApi {
    pub(super) fn new(
        client: Client,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<DynamicApi, Error> {
        let found = client.server.registry().find_served(api_version, kind);
        let served = found.ok_or_else(|| {
            let message = format!("no matches for kind \"{kind}\" in version \"{api_version}\"");
            StatusError::new(crate::api::Reason::NotFound, message)
        })?;
        Ok(DynamicApi {
            client,
            kind: served.kind,
            version: served.version,
            api_version: api_version.to_owned(),
            kind_name: kind.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
        })
    }

    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(&self.namespace, name)
    }

    fn decode(&self, mut value: Value) -> Result<Box<dyn crate::api::Object>, Error> {
        if !self.namespace.is_empty() && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = self.namespace.clone().into();
        }
        for (field, text) in [("apiVersion", &self.api_version), ("kind", &self.kind_name)] {
            if value[field].is_null() {
                value[field] = text.clone().into();
            }
        }
        let decoded = self.client.server.registry().strategy(self.kind).decode_value(value);
        Ok(decoded.map_err(|cause| StatusError::bad_request(cause.to_string()))?)
    }

    fn value(&self, record: &Record) -> Result<Value, Error> {
        Ok(self.client.server.value_in(record, self.version)?)
    }

    fn write_options(&self) -> WriteOptions {
        WriteOptions { version: self.version, ..self.client.write_options() }
    }

    /// The object of this name. Errors: 404.
    pub fn get(&self, name: &str) -> Result<Value, Error> {
        let record = self.client.server.get(self.kind, &self.key(name))?;
        self.value(&record)
    }

    /// The objects that `params` select.
    pub fn list(&self, params: &ListParams) -> Result<DynamicList, Error> {
        let namespace = Some(self.namespace.clone()).filter(|namespace| !namespace.is_empty());
        let params = ListParams {
            namespace: namespace.or_else(|| params.namespace.clone()),
            version: self.version,
            ..params.clone()
        };
        let page = self.client.server.list(self.kind, &params)?;
        Ok(DynamicList {
            items: page.items.iter().map(|record| self.value(record)).collect::<Result<_, _>>()?,
            revision: page.revision,
            continue_token: page.continue_token,
        })
    }

    /// Creates an object.
    pub fn create(&self, value: Value) -> Result<Value, Error> {
        let object = self.decode(value)?;
        let record = self.client.server.create(self.kind, object, &self.write_options())?;
        self.value(&record)
    }

    /// Replaces an object; its status stays.
    pub fn update(&self, value: Value) -> Result<Value, Error> {
        let object = self.decode(value)?;
        let options = self.write_options();
        let record = self.client.server.update(self.kind, Face::Main, object, &options)?;
        self.value(&record)
    }

    /// Replaces the status of an object; everything else stays.
    pub fn update_status(&self, value: Value) -> Result<Value, Error> {
        let object = self.decode(value)?;
        let options = self.write_options();
        let record = self.client.server.update(self.kind, Face::Status, object, &options)?;
        self.value(&record)
    }

    /// Changes an object by a patch.
    pub fn patch(&self, name: &str, patch: &Patch) -> Result<Value, Error> {
        let options = self.write_options();
        let record = self.client.server.patch(self.kind, &self.key(name), Face::Main, patch, &options)?;
        self.value(&record)
    }

    /// Deletes an object, or marks it for deletion.
    pub fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Value, Error> {
        let record = self.client.server.delete(self.kind, &self.key(name), options)?;
        self.value(&record)
    }
}
