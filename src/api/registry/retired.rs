//! What is left of a kind that is gone: its names, so that the log can still tell of its objects.
//!
//! Invariant: nothing new is made of it.

use jiff::Timestamp;
use serde_json::Value;

use super::{KindInfo, Strategy, WrongField};
use crate::api::dynamic::DynamicObject;
use crate::api::error::{FieldErrors, Reason, StatusError};
use crate::api::object::{Object, Terms};

pub(super) struct Retired {
    pub(super) info: KindInfo,
}

impl Retired {
    pub fn of(strategy: &dyn Strategy) -> Retired {
        let info = KindInfo {
            selectable_fields: Vec::new(),
            columns: Vec::new(),
            terms: &[],
            ..strategy.info().clone()
        };
        Retired { info }
    }
}

impl Strategy for Retired {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn accepts_new(&self) -> Result<(), StatusError> {
        Err(StatusError::new(Reason::NotFound, "the server could not find the requested resource"))
    }

    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error> {
        Ok(Box::new(DynamicObject::from_slice(&self.info.api_version, &self.info.kind, json)?))
    }

    fn decode_value(&self, value: Value) -> Result<Box<dyn Object>, WrongField> {
        Ok(Box::new(DynamicObject::from_value(&self.info.api_version, &self.info.kind, value)?))
    }

    fn check_fields(&self, _value: &Value) -> Result<(), WrongField> {
        Ok(())
    }

    fn empty(&self) -> Box<dyn Object> {
        Box::new(DynamicObject::new(&self.info.api_version, &self.info.kind))
    }

    fn validate_name(&self, _name: &str, _prefix: bool) -> Vec<String> {
        Vec::new()
    }

    fn set_defaults(&self, _object: &mut dyn Object) {}

    fn prepare_create(&self, _object: &mut dyn Object) {}

    fn prepare_update(&self, _object: &mut dyn Object, _old: &dyn Object) {}

    fn prepare_status(&self, _object: &mut dyn Object, _old: &dyn Object) {}

    fn canonicalise(&self, _object: &mut dyn Object) {}

    fn validate(&self, _object: &dyn Object, _errors: &mut FieldErrors) {}

    fn validate_create(&self, _object: &dyn Object, _errors: &mut FieldErrors) {}

    fn validate_update(&self, _object: &dyn Object, _old: &dyn Object, _errors: &mut FieldErrors) {}

    fn validate_status(&self, _object: &dyn Object, _old: &dyn Object, _errors: &mut FieldErrors) {}

    fn moves_generation(&self, _object: &dyn Object, _old: &dyn Object) -> bool {
        false
    }

    fn terms(&self, _object: &dyn Object, _terms: &mut Terms) {}

    fn grace_period(&self, _object: &dyn Object, _asked: Option<i64>) -> i64 {
        0
    }

    fn held_back(&self, _object: &dyn Object) -> bool {
        false
    }

    fn mark_deleting(&self, _object: &mut dyn Object) {}

    fn row(&self, _object: &dyn Object, _now: Timestamp) -> Vec<String> {
        Vec::new()
    }

    fn same(&self, a: &dyn Object, b: &dyn Object) -> bool {
        DynamicObject::same(a, b)
    }
}
