//! How an object goes from one version to another.
//!
//! Owns the seam; a converter that calls a webhook is given from outside.

use serde_json::Value;

use crate::api::error::{Reason, StatusError};

/// Brings objects of a kind to another version.
pub trait Converter: Send + Sync {
    /// The objects in the version `to` (`example.com/v2`), in their order.
    ///
    /// # Errors
    /// The conversion failed; nothing is converted.
    fn convert(&self, objects: Vec<Value>, to: &str) -> Result<Vec<Value>, StatusError>;
}

/// Says the other version and changes nothing else: strategy `None`.
#[derive(Clone, Copy, Debug)]
pub struct NoConversion;

impl Converter for NoConversion {
    fn convert(&self, mut objects: Vec<Value>, to: &str) -> Result<Vec<Value>, StatusError> {
        for object in &mut objects {
            object["apiVersion"] = to.into();
        }
        Ok(objects)
    }
}

/// Stands where a webhook is asked for and nobody can call one.
#[derive(Clone, Copy, Debug)]
pub struct NotReachable;

impl Converter for NotReachable {
    fn convert(&self, _objects: Vec<Value>, to: &str) -> Result<Vec<Value>, StatusError> {
        let message = format!("conversion webhook for {to} failed: no webhooks can be called here");
        Err(StatusError::new(Reason::InternalError, message))
    }
}
