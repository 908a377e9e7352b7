//! One version of a kind that a definition makes: its schema, subresources and columns.

use std::sync::OnceLock;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinitionVersion, JSONSchemaProps,
};
use serde_json::Value;

use super::path::Path;
use crate::api::kinds::human_duration;
use crate::api::registry::{ScalePaths, TableColumn};
use crate::api::schema::Schema;
use crate::api::shape::Shape;

/// A version. Its schema is parsed when it is first needed.
pub(super) struct Version {
    props: Option<JSONSchemaProps>,
    schema: OnceLock<Schema>,
    shape: OnceLock<Shape>,
    warning: Option<String>,
    deprecated: bool,
    name: String,
    pub has_status: bool,
    pub scale: Option<ScalePaths>,
    pub columns: Vec<(TableColumn, Path)>,
}

impl Version {
    pub fn new(given: &CustomResourceDefinitionVersion) -> Version {
        let subresources = given.subresources.as_ref();
        let scale = subresources.and_then(|subresources| subresources.scale.as_ref());
        let columns = given.additional_printer_columns.iter().flatten().map(|column| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let head = TableColumn {
                name: column.name.clone(),
                type_: column.type_.clone(),
                format: text(&column.format),
                description: text(&column.description),
                priority: column.priority.unwrap_or(0),
            };
            (head, Path::parse(&column.json_path).unwrap_or_default())
        });
        let mut columns: Vec<_> = columns.collect();
        if columns.is_empty() {
            let head = TableColumn { name: "Age".into(), type_: "date".into(), ..TableColumn::default() };
            columns.push((head, Path::parse(".metadata.creationTimestamp").unwrap_or_default()));
        }
        Version {
            props: given.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.clone()),
            schema: OnceLock::new(),
            shape: OnceLock::new(),
            warning: given.deprecation_warning.clone(),
            deprecated: given.deprecated == Some(true),
            name: given.name.clone(),
            has_status: subresources.is_some_and(|subresources| subresources.status.is_some()),
            scale: scale.map(|scale| ScalePaths {
                spec_replicas: scale.spec_replicas_path.clone(),
                status_replicas: scale.status_replicas_path.clone(),
                label_selector: scale.label_selector_path.clone(),
            }),
            columns,
        }
    }

    pub fn deprecation(&self, group: &str, kind: &str) -> Option<String> {
        let usual = || format!("{group}/{} {kind} is deprecated", self.name);
        self.deprecated.then(|| self.warning.clone().unwrap_or_else(usual))
    }

    /// The schema. A definition was accepted only if its schema parses; one that does not is taken to allow nothing.
    pub fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| {
            let parsed = self.props.as_ref().map(Schema::parse);
            parsed.and_then(Result::ok).unwrap_or_default()
        })
    }

    /// How its objects are merged and owned.
    pub fn shape(&self) -> Shape {
        let read = || Shape::of_schema(&self.open_api().unwrap_or_default());
        self.shape.get_or_init(read).clone()
    }

    pub fn open_api(&self) -> Option<Value> {
        self.props.as_ref().and_then(|props| serde_json::to_value(props).ok())
    }

    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.columns.iter().map(|(column, path)| cell(column, path.find(object), now)).collect()
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cell(column: &TableColumn, found: Vec<&Value>, now: Timestamp) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match column.type_.as_str() {
        "string" => {
            let texts: Vec<String> = found.iter().map(|value| text_of(value)).collect();
            texts.join(" ").into()
        }
        "integer" => match first.as_i64().or_else(|| first.as_f64().map(|value| value as i64)) {
            Some(number) => number.into(),
            None => Value::Null,
        },
        "number" if first.is_number() => (*first).clone(),
        "boolean" if first.is_boolean() => (*first).clone(),
        "date" => match first.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(at)) => human_duration(now.duration_since(at).as_secs()).into(),
            Some(Err(_)) => "<invalid>".into(),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}
