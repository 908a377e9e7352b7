//! The schemas of a definition's versions, and the fields that can be selected by.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinitionVersion, JSONSchemaProps,
};

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::schema::{Schema, openapi};
use crate::limits::SELECTABLE_FIELDS;

pub(super) fn validate(
    props: &JSONSchemaProps,
    status: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    openapi::validate(props, status, path, errors);
}

pub(super) fn selectable(
    version: &CustomResourceDefinitionVersion,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let fields = version.selectable_fields.as_deref().unwrap_or_default();
    let props = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let Some(Ok(schema)) = props.map(Schema::parse).filter(|_| !fields.is_empty()) else { return };
    let mut seen: Vec<&str> = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        let (here, text) = (path.index(number), field.json_path.as_str());
        let at = here.child("jsonPath");
        if text.is_empty() {
            errors.required(&at, "");
            continue;
        }
        let found = match openapi::field_at(&schema, text, false) {
            Ok(found) => found,
            Err(cause) => {
                errors.invalid(&at, text, format!("is an invalid path: {cause}"));
                continue;
            }
        };
        if text == ".metadata" || text.starts_with(".metadata.") {
            errors.invalid(&at, text, "must not point to fields in metadata");
        }
        if !matches!(found.type_.as_str(), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                          formats are allowed.";
            errors.invalid(&at, text, detail);
        }
        if seen.contains(&text) {
            errors.duplicate(&at, text);
        } else {
            seen.push(text);
        }
    }
    if seen.len() > SELECTABLE_FIELDS {
        errors.too_many(path, seen.len(), SELECTABLE_FIELDS);
    }
}
