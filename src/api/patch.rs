//! stub
use serde_json::Value;
pub fn merge(a: &mut Value, b: &Value) {
    let _ = (a, b);
}
pub struct JsonPatch;
impl JsonPatch {
    pub fn parse(_v: &Value) -> Result<JsonPatch, String> {
        Err(String::new())
    }
    pub fn apply(&self, _v: &mut Value) -> Result<(), String> {
        Ok(())
    }
}
