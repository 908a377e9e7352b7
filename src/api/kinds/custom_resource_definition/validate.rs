//! What a definition must be, apart from its schemas.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceConversion, CustomResourceDefinition,
    CustomResourceDefinitionNames, CustomResourceDefinitionVersion, CustomResourceSubresources,
};
use serde_json::Value;

use super::schema;
use crate::api::custom::is_condition_true;
use crate::api::error::{FieldErrors, FieldPath, Problem};
use crate::api::names::{is_dns1035_label, is_dns1123_subdomain};

const IMMUTABLE: &str = "field is immutable";

/// Rules of a whole definition, new or changed.
pub(super) fn whole(definition: &CustomResourceDefinition, errors: &mut FieldErrors) {
    let spec = &definition.spec;
    let name = definition.metadata.name.as_deref().unwrap_or_default();
    if name != format!("{}.{}", spec.names.plural, spec.group) {
        let at = FieldPath::new("metadata");
        errors.invalid(&at.child("name"), name, "must be spec.names.plural+\".\"+spec.group");
    }
    let path = FieldPath::new("spec");
    group(&spec.group, &path.child("group"), errors);
    scope(&spec.scope, &path.child("scope"), errors);
    versions(definition, &path, errors);
    let required = [
        ("plural", spec.names.plural.as_str()),
        ("singular", spec.names.singular.as_deref().unwrap_or_default()),
        ("kind", spec.names.kind.as_str()),
        ("listKind", spec.names.list_kind.as_deref().unwrap_or_default()),
    ];
    let at = path.child("names");
    for (field, _) in required.iter().filter(|(_, text)| text.is_empty()) {
        errors.required(&at.child(field), "");
    }
    names(&spec.names, &at, errors);
    if let Some(conversion) = &spec.conversion {
        self::conversion(conversion, &path.child("conversion"), errors);
    }
    status(definition, errors);
    stored_versions(definition, errors);
    if definition.metadata.resource_version.is_none() {
        approval(definition, None, errors);
        preserve(definition, false, errors);
    }
}

/// Rules of a change.
pub(super) fn change(
    definition: &CustomResourceDefinition,
    old: &CustomResourceDefinition,
    errors: &mut FieldErrors,
) {
    let (spec, before, path) = (&definition.spec, &old.spec, FieldPath::new("spec"));
    let at = path.child("names");
    if is_condition_true(old, "Established") {
        if spec.scope != before.scope {
            errors.invalid(&path.child("scope"), spec.scope.as_str(), IMMUTABLE);
        }
        if spec.names.kind != before.names.kind {
            errors.invalid(&at.child("kind"), spec.names.kind.as_str(), IMMUTABLE);
        }
    }
    if spec.group != before.group {
        errors.invalid(&path.child("group"), spec.group.as_str(), IMMUTABLE);
    }
    if spec.names.plural != before.names.plural {
        errors.invalid(&at.child("plural"), spec.names.plural.as_str(), IMMUTABLE);
    }
    approval(definition, Some(old), errors);
    preserve(definition, before.preserve_unknown_fields == Some(true), errors);
}

/// Rules of the status.
pub(super) fn status(definition: &CustomResourceDefinition, errors: &mut FieldErrors) {
    let path = FieldPath::new("status");
    let accepted = definition.status.as_ref().and_then(|status| status.accepted_names.as_ref());
    if let Some(accepted) = accepted {
        names(accepted, &path.child("acceptedNames"), errors);
    }
}

fn group(group: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if group.is_empty() {
        return errors.required(path, "");
    }
    let wrong = is_dns1123_subdomain(group);
    if !wrong.is_empty() {
        errors.invalid(path, group, wrong.join(","));
    } else if !group.contains('.') {
        errors.invalid(path, group, "should be a domain with at least one dot");
    }
}

fn scope(scope: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match scope {
        "" => errors.required(path, ""),
        "Cluster" | "Namespaced" => {}
        other => errors.not_supported(path, other, &["Cluster", "Namespaced"]),
    }
}

/// What all versions say alike stands, for upstream, at the top: its errors are told there.
fn same<T: PartialEq>(
    versions: &[CustomResourceDefinitionVersion],
    of: fn(&CustomResourceDefinitionVersion) -> &T,
) -> bool {
    versions.windows(2).all(|pair| of(&pair[0]) == of(&pair[1]))
}

fn versions(definition: &CustomResourceDefinition, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let spec = &definition.spec;
    let list = spec.versions.as_slice();
    let at = path.child("versions");
    for (number, version) in list.iter().enumerate() {
        let props = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        if props.is_none() {
            errors.required(&at.index(number).child("schema").child("openAPIV3Schema"), "");
        }
    }
    let (same_schema, same_sub) = (same(list, |v| &v.schema), same(list, |v| &v.subresources));
    let same_columns = same(list, |v| &v.additional_printer_columns);
    let same_fields = same(list, |v| &v.selectable_fields);
    for (number, version) in list.iter().enumerate() {
        let here = at.index(number);
        let wrong = is_dns1035_label(&version.name);
        if !wrong.is_empty() {
            errors.invalid(&here.child("name"), version.name.as_str(), wrong.join(","));
        }
        deprecation(version, &here, errors);
        let status = version.subresources.as_ref().is_some_and(|sub| sub.status.is_some());
        let first = number == 0;
        if let Some(props) = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()) {
            if !same_schema {
                schema::validate(props, status, &here.child("schema").child("openAPIV3Schema"), errors);
            } else if first {
                schema::validate(props, status, &path.child("validation").child("openAPIV3Schema"), errors);
            }
        }
        if let Some(sub) = version.subresources.as_ref().filter(|_| first || !same_sub) {
            let base = if same_sub { path } else { &here };
            subresources(sub, &base.child("subresources"), errors);
        }
        for (column, given) in version.additional_printer_columns.iter().flatten().enumerate() {
            if first || !same_columns {
                let base = if same_columns { path } else { &here };
                self::column(given, &base.child("additionalPrinterColumns").index(column), errors);
            }
        }
        if first || !same_fields {
            let base = if same_fields && list.len() == 1 { path } else { &here };
            schema::selectable(version, &base.child("selectableFields"), errors);
        }
    }
    let unique =
        list.iter().enumerate().all(|(at, version)| list[..at].iter().all(|v| v.name != version.name));
    if !unique {
        errors.push(Problem::InvalidUnshown, &at, Value::Null, "must contain unique version names");
    }
    if list.iter().filter(|version| version.storage).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(Problem::InvalidUnshown, &at, Value::Null, detail);
    }
}

fn deprecation(version: &CustomResourceDefinitionVersion, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(warning) = &version.deprecation_warning else { return };
    let at = path.child("deprecationWarning");
    if version.deprecated != Some(true) {
        return errors.invalid(&at, warning.as_str(), "can only be set for deprecated versions");
    }
    if warning.len() > 256 {
        errors.invalid(&at, warning.as_str(), "must be <= 256 characters long");
    }
    if warning.is_empty() {
        errors.invalid(&at, warning.as_str(), "must not be an empty string");
    }
    if let Some((at_byte, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at_byte}"
        );
        errors.invalid(&at, warning.as_str(), detail);
    }
}

fn names(names: &CustomResourceDefinitionNames, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (singular, list_kind) = (names.singular.as_deref(), names.list_kind.as_deref());
    let (singular, list_kind) = (singular.unwrap_or_default(), list_kind.unwrap_or_default());
    for (field, text) in [("plural", names.plural.as_str()), ("singular", singular)] {
        let wrong = is_dns1035_label(text);
        if !text.is_empty() && !wrong.is_empty() {
            errors.invalid(&path.child(field), text, wrong.join(","));
        }
    }
    for (field, text) in [("kind", names.kind.as_str()), ("listKind", list_kind)] {
        let wrong = is_dns1035_label(&text.to_lowercase());
        if !text.is_empty() && !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.invalid(&path.child(field), text, detail);
        }
    }
    let mut words = |field: &str, list: &Option<Vec<String>>| {
        for (at, word) in list.iter().flatten().enumerate() {
            let wrong = is_dns1035_label(word);
            if !wrong.is_empty() {
                errors.invalid(&path.child(field).index(at), word.as_str(), wrong.join(","));
            }
        }
    };
    words("shortNames", &names.short_names);
    words("categories", &names.categories);
    if !names.kind.is_empty() && names.kind == list_kind {
        errors.invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same");
    }
}

fn column(column: &CustomResourceColumnDefinition, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 9] =
        ["byte", "date", "date-time", "double", "float", "int32", "int64", "password", ""];
    if column.name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    let one_of = format!("must be one of {}", TYPES.join(","));
    match column.type_.as_str() {
        "" => errors.required(&path.child("type"), one_of),
        type_ if TYPES.contains(&type_) => {}
        other => errors.invalid(&path.child("type"), other, one_of),
    }
    let format = column.format.as_deref().unwrap_or_default();
    if !FORMATS.contains(&format) {
        let detail = format!("must be one of {}", FORMATS[..8].join(","));
        errors.invalid(&path.child("format"), format, detail);
    }
    let at = path.child("JSONPath");
    match column.json_path.as_str() {
        "" => errors.required(&at, ""),
        json_path => simple_path(json_path, &at, errors),
    }
}

fn simple_path(json_path: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !json_path.starts_with('.') {
        errors.invalid(path, json_path, "must be a simple json path starting with .");
    }
}

fn subresources(sub: &CustomResourceSubresources, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(scale) = &sub.scale else { return };
    let scale_path = path.child("scale");
    let mut check = |field: &str, given: &str, below: &[&str], words: &str| {
        let at = scale_path.child(field);
        let before = errors.len();
        if given.is_empty() {
            return errors.required(&at, "");
        }
        simple_path(given, &at, errors);
        if errors.len() == before && !below.iter().any(|below| given.starts_with(below)) {
            errors.invalid(&at, given, format!("should be a json path under {words}"));
        }
    };
    check("specReplicasPath", &scale.spec_replicas_path, &[".spec."], ".spec");
    check("statusReplicasPath", &scale.status_replicas_path, &[".status."], ".status");
    if let Some(selector) = scale.label_selector_path.as_deref().filter(|path| !path.is_empty()) {
        check("labelSelectorPath", selector, &[".spec.", ".status."], "either .spec or .status");
    }
}

fn conversion(conversion: &CustomResourceConversion, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match conversion.strategy.as_str() {
        "" => errors.required(&path.child("strategy"), ""),
        "None" | "Webhook" => {}
        other => errors.not_supported(&path.child("strategy"), other, &["None", "Webhook"]),
    }
    let webhook = conversion.webhook.as_ref();
    let client = webhook.and_then(|webhook| webhook.client_config.as_ref());
    let reviews = webhook.map(|webhook| webhook.conversion_review_versions.as_slice()).unwrap_or_default();
    let (at, reviews_at) = (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    if conversion.strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            errors.forbidden(&at, detail);
        }
        if !reviews.is_empty() {
            errors.forbidden(&reviews_at, detail);
        }
        return;
    }
    match client {
        None => errors.required(&at, "required when strategy is set to Webhook"),
        Some(client) => match (&client.url, &client.service) {
            (None, None) | (Some(_), Some(_)) => {
                errors.required(&at, "exactly one of url or service is required");
            }
            (Some(url), None) => webhook_url(url, &at.child("url"), errors),
            (None, Some(service)) => {
                for (field, text) in [("name", &service.name), ("namespace", &service.namespace)] {
                    if text.is_empty() {
                        errors.required(
                            &at.child("service").child(field),
                            format!("service {field} is required"),
                        );
                    }
                }
            }
        },
    }
    if reviews.is_empty() {
        return errors.required(&reviews_at, "");
    }
    for (number, version) in reviews.iter().enumerate() {
        if reviews[..number].contains(version) {
            errors.invalid(&reviews_at.index(number), version.as_str(), "duplicate version");
            continue;
        }
        errors.invalid_each(&reviews_at.index(number), version, is_dns1035_label(version));
    }
    if !reviews.iter().any(|version| version == "v1" || version == "v1beta1") {
        errors.invalid(&reviews_at, reviews.to_vec(), "must include at least one of v1, v1beta1");
    }
}

fn webhook_url(url: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let form = "; desired format: https://host[/path]";
    match crate::api::cel::Url::parse(url) {
        Err(cause) => {
            errors.required(path, format!("url must be a valid URL: {cause}{form}"));
        }
        Ok(parsed) => {
            if parsed.scheme != "https" {
                let detail = format!("'https' is the only allowed URL scheme{form}");
                errors.invalid(path, parsed.scheme.as_str(), detail);
            }
            if parsed.host.is_empty() {
                errors.invalid(path, "", format!("host must be specified{form}"));
            }
            if !parsed.query.is_empty() {
                errors.invalid(path, url, "query parameters are not permitted in the URL");
            }
            if url.contains('#') {
                errors.invalid(path, url, "fragments are not permitted in the URL");
            }
        }
    }
}

fn stored_versions(definition: &CustomResourceDefinition, errors: &mut FieldErrors) {
    let path = FieldPath::new("status");
    let at = path.child("storedVersions");
    let stored = definition.status.as_ref().and_then(|status| status.stored_versions.as_deref());
    let stored = stored.unwrap_or_default();
    if stored.is_empty() {
        return errors.invalid(&at, stored.to_vec(), "must have at least one stored version");
    }
    let versions = &definition.spec.versions;
    for version in versions.iter().filter(|version| version.storage && !stored.contains(&version.name)) {
        errors.invalid(&at, stored.to_vec(), format!("must have the storage version {}", version.name));
    }
    for (number, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version.name == *name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.invalid(&at.index(number), name.as_str(), detail);
        }
    }
}

/// The annotation that groups of Kubernetes' own need.
pub(crate) const APPROVED: &str = "api-approved.kubernetes.io";

/// What the annotation says of a definition.
pub(crate) enum Approval<'a> {
    /// The group needs none.
    NotNeeded,
    /// It is missing.
    Missing,
    /// A URL.
    Approved(&'a str),
    /// `unapproved, …`.
    Bypassed(&'a str),
    /// Anything else.
    Invalid(&'a str),
}

/// Reads the annotation.
pub(crate) fn approval_of(definition: &CustomResourceDefinition) -> Approval<'_> {
    let group = definition.spec.group.as_str();
    let of = |domain: &str| group == domain || group.ends_with(&format!(".{domain}"));
    if !of("k8s.io") && !of("kubernetes.io") {
        return Approval::NotNeeded;
    }
    let annotation = definition.metadata.annotations.as_ref().and_then(|all| all.get(APPROVED));
    match annotation.map(String::as_str) {
        None | Some("") => Approval::Missing,
        Some(text) if text.starts_with("unapproved") => Approval::Bypassed(text),
        Some(text) => match crate::api::cel::Url::parse(text) {
            Ok(url) if !url.host.is_empty() && !url.scheme.is_empty() => Approval::Approved(text),
            _ => Approval::Invalid(text),
        },
    }
}

fn approval(
    definition: &CustomResourceDefinition,
    old: Option<&CustomResourceDefinition>,
    errors: &mut FieldErrors,
) {
    let annotation = |definition: &CustomResourceDefinition| {
        definition.metadata.annotations.as_ref().and_then(|all| all.get(APPROVED)).cloned()
    };
    if old.is_some_and(|old| annotation(old) == annotation(definition)) {
        return;
    }
    let meta = FieldPath::new("metadata");
    let annotations = meta.child("annotations");
    let at = annotations.key(APPROVED);
    match approval_of(definition) {
        Approval::Missing => {
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVED}\", see \
                 https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.required(&at, detail);
        }
        Approval::Invalid(text) => {
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting \
                 with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.invalid(&at, text, detail);
        }
        _ => {}
    }
}

fn preserve(definition: &CustomResourceDefinition, was: bool, errors: &mut FieldErrors) {
    if definition.spec.preserve_unknown_fields == Some(true) && !was {
        let path = FieldPath::new("spec");
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        errors.invalid(&path.child("preserveUnknownFields"), true, detail);
    }
}
