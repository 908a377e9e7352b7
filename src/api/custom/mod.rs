//! The kinds that custom resource definitions make: their rules behind [`Strategy`](crate::api::Strategy), built from a definition.
//!
//! An object is of the version in which it was asked for until it is stored. Knows no store and no clock; the
//! definition's own rules stand with its kind. Invariant: what a definition was accepted with is enough to build its
//! kind, and building is cheap: schemas are parsed when a version is first used.

pub mod convert;
pub mod path;
mod strategy;
mod version;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::registry::{KindInfo, ScalePaths, TableColumn};
use super::{Scope, TermName};
use crate::limits::SELECTABLE_FIELDS;
use convert::{Converter, NoConversion, NotReachable};
use version::Version;

/// The terms by which the fields that users may select by are indexed: by position, for all versions together.
const TERMS: [TermName; 4 * SELECTABLE_FIELDS] = [
    "custom:0",
    "custom:1",
    "custom:2",
    "custom:3",
    "custom:4",
    "custom:5",
    "custom:6",
    "custom:7",
    "custom:8",
    "custom:9",
    "custom:10",
    "custom:11",
    "custom:12",
    "custom:13",
    "custom:14",
    "custom:15",
    "custom:16",
    "custom:17",
    "custom:18",
    "custom:19",
    "custom:20",
    "custom:21",
    "custom:22",
    "custom:23",
    "custom:24",
    "custom:25",
    "custom:26",
    "custom:27",
    "custom:28",
    "custom:29",
    "custom:30",
    "custom:31",
];

/// The rules of a kind that a definition makes.
pub struct CustomStrategy {
    /// The storage version first, then the others by falling priority.
    infos: Vec<KindInfo>,
    /// In the same order.
    versions: Vec<Version>,
    /// The paths of the fields that can be selected by, by the number of their term.
    selectable: Vec<String>,
    converter: Arc<dyn Converter>,
    /// Stored objects may have been written by another schema.
    changed: bool,
    /// The definition is being deleted.
    ending: bool,
}

/// Whether a condition of a definition holds.
pub fn is_condition_true(definition: &CustomResourceDefinition, type_: &str) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The order of versions: `v2` before `v1`, those before `v1beta1`, and other names last, by the alphabet.
fn priority(version: &str) -> (u8, u64, u64, std::cmp::Reverse<&str>) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let (major, rest) = match rest.find(|c: char| !c.is_ascii_digit()) {
            None => return Some((3, rest.parse().ok()?, 0)),
            Some(at) => (rest[..at].parse::<u64>().ok()?, &rest[at..]),
        };
        let (rank, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (2, minor),
            (_, Some(minor)) => (1, minor),
            _ => return None,
        };
        Some((rank, major, minor.parse().ok()?))
    };
    let (rank, major, minor) = parse().unwrap_or((0, 0, 0));
    (rank, major, minor, std::cmp::Reverse(version))
}

/// The order in which the versions of a group are preferred.
pub fn by_priority(a: &str, b: &str) -> std::cmp::Ordering {
    priority(b).cmp(&priority(a))
}

impl CustomStrategy {
    /// The kind that a definition makes, with its accepted names. A definition that converts by webhook needs a
    /// converter; without one, requests that convert are refused.
    pub fn new(
        definition: &CustomResourceDefinition,
        converter: Option<Arc<dyn Converter>>,
    ) -> CustomStrategy {
        let spec = &definition.spec;
        let mut given: Vec<_> = spec.versions.iter().collect();
        given.sort_by(|a, b| {
            b.storage.cmp(&a.storage).then_with(|| priority(&b.name).cmp(&priority(&a.name)))
        });
        let mut selectable: Vec<String> = Vec::new();
        for field in given.iter().flat_map(|version| version.selectable_fields.iter().flatten()) {
            let path = field.json_path.trim_start_matches('.').to_owned();
            if !selectable.contains(&path) && selectable.len() < TERMS.len() {
                selectable.push(path);
            }
        }
        let versions: Vec<Version> = given.iter().map(|version| Version::new(version)).collect();
        let infos = given.iter().zip(&versions).map(|(version, compiled)| {
            let fields = version.selectable_fields.iter().flatten().filter_map(|field| {
                let path = field.json_path.trim_start_matches('.');
                let at = selectable.iter().position(|known| known == path)?;
                Some((path.to_owned(), TERMS[at]))
            });
            KindInfo {
                version: version.name.clone(),
                api_version: format!("{}/{}", spec.group, version.name),
                served: version.served,
                deprecation: compiled.deprecation(&spec.group, &names(definition).kind),
                has_status: compiled.has_status,
                scale: compiled.scale.clone(),
                terms: &TERMS[..selectable.len()],
                selectable_fields: fields.collect(),
                columns: compiled.columns.iter().map(|(column, _)| column.clone()).collect(),
                ..base_info(definition)
            }
        });
        let webhook = spec.conversion.as_ref().is_some_and(|conversion| conversion.strategy == "Webhook");
        let converter = match (webhook, converter) {
            (true, Some(converter)) => converter,
            (true, None) => Arc::new(NotReachable) as Arc<dyn Converter>,
            (false, _) => Arc::new(NoConversion),
        };
        CustomStrategy {
            infos: infos.collect(),
            versions,
            selectable,
            converter,
            changed: definition.metadata.generation.unwrap_or(1) > 1,
            ending: definition.metadata.deletion_timestamp.is_some(),
        }
    }
}

fn names(
    definition: &CustomResourceDefinition,
) -> &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionNames {
    let accepted = definition.status.as_ref().and_then(|status| status.accepted_names.as_ref());
    accepted.filter(|names| !names.kind.is_empty()).unwrap_or(&definition.spec.names)
}

/// What is the same for all versions.
fn base_info(definition: &CustomResourceDefinition) -> KindInfo {
    let names = names(definition);
    let list_kind = names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind));
    KindInfo {
        group: definition.spec.group.clone(),
        version: String::new(),
        api_version: String::new(),
        kind: names.kind.clone(),
        plural: names.plural.clone(),
        singular: names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase()),
        short_names: names.short_names.clone().unwrap_or_default(),
        categories: names.categories.clone().unwrap_or_default(),
        list_kind,
        scope: match definition.spec.scope.as_str() {
            "Cluster" => Scope::Cluster,
            _ => Scope::Namespaced,
        },
        served: false,
        deprecation: None,
        has_status: false,
        scale: None::<ScalePaths>,
        has_generation: true,
        graceful_deletion: false,
        orphans_dependents: false,
        any_finalizer: true,
        terms: &[],
        selectable_fields: Vec::new(),
        columns: Vec::<TableColumn>::new(),
    }
}
