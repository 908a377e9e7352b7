//! Secret: what pods may read and others should not, typed by what its keys must hold.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Map, Value};

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::config_map::FROZEN;
use super::fields::text;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;
use crate::api::names::{check_name, is_config_map_key, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::limits::SECRET_BYTES;

impl Kind for Secret {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const SELECTABLE_FIELDS: &'static [TermName] = &["type"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Type", wide: false },
        Column { name: "Data", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        if text(&self.type_).is_empty() {
            self.type_ = Some("Opaque".to_owned());
        }
        // Write-only: what it holds becomes data, and wins over it.
        if let Some(strings) = self.string_data.take()
            && !strings.is_empty()
        {
            let data = self.data.get_or_insert_default();
            data.extend(strings.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))));
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("data");
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            errors.invalid_each(&path.key(key), key, is_config_map_key(key));
            bytes += value.0.len();
        }
        if bytes > SECRET_BYTES {
            errors.too_long(&path, SECRET_BYTES);
        }
        validate_type(self, &path, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if self.type_ != old.type_ {
            errors.invalid(&FieldPath::new("type"), text(&self.type_), IMMUTABLE);
        }
        if old.immutable != Some(true) {
            return;
        }
        if self.immutable != Some(true) {
            errors.forbidden(&FieldPath::new("immutable"), FROZEN);
        }
        if self.data != old.data {
            errors.forbidden(&FieldPath::new("data"), FROZEN);
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        terms.add("type", text(&self.type_));
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let keys = self.data.as_ref().map_or(0, |data| data.len());
        vec![
            text(&self.type_).to_owned(),
            keys.to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

/// What the type says of the keys.
fn validate_type(secret: &Secret, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    match text(&secret.type_) {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let name = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
            if name.is_none_or(String::is_empty) {
                errors.required(&FieldPath::new("metadata").child("annotations").key(key), "");
            }
        }
        "kubernetes.io/dockercfg" => validate_docker(value(".dockercfg"), &path.key(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => {
            validate_docker(value(".dockerconfigjson"), &path.key(".dockerconfigjson"), errors);
        }
        "kubernetes.io/basic-auth" if value("username").is_none() && value("password").is_none() => {
            errors.required(&path.key("username"), "");
            errors.required(&path.key("password"), "");
        }
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(|key| key.0.is_empty()) => {
            errors.required(&path.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if value(key).is_none() {
                    errors.required(&path.key(key), "");
                }
            }
        }
        _ => {}
    }
}

fn validate_docker(value: Option<&ByteString>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(value) = value else {
        errors.required(path, "");
        return;
    };
    if let Err(wrong) = serde_json::from_slice::<Map<String, Value>>(&value.0) {
        errors.invalid(path, "<secret contents redacted>", go_json_error(&value.0, &wrong));
    }
}

/// The commonest sentences of Go's decoder; our own for the rest.
fn go_json_error(text: &[u8], wrong: &serde_json::Error) -> String {
    if wrong.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    if wrong.is_data() {
        let what = match text.trim_ascii_start().first() {
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "bool",
            _ => "number",
        };
        return format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
    }
    wrong.to_string()
}

canonical! {
    Secret {
        drop: data, string_data, type_;
    }
}
