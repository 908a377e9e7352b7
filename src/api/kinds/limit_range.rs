//! LimitRange: the least and the most that one object of a namespace may ask for, and what it gets unasked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec};

use super::age::{CREATED_AT, created_at};
use super::canonical::{Canonical, canonical};
use super::pod_spec::validate_container_resource;
use super::resources::{ResourceList, is_overcommit_allowed, round_amounts, validate_resource};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_subdomain, is_qualified_name};
use crate::api::object::{Column, Kind, Scope};
use crate::api::quantity::{Amount, Format};

const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];

impl Kind for LimitRange {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["limits"];
    const HAS_STATUS: bool = false;
    const QUANTITIES: &'static [&'static str] =
        &["default", "defaultRequest", "max", "maxLimitRequestRatio", "min"];
    const COLUMNS: &'static [Column] = CREATED_AT;

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        for item in &mut self.spec.get_or_insert_default().limits {
            default_item(item);
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        let path = path.child("limits");
        let mut types = BTreeSet::new();
        for (at, item) in self.spec.iter().flat_map(|spec| &spec.limits).enumerate() {
            let path = path.index(at);
            validate_type(&item.type_, &path.child("type"), errors);
            if !types.insert(item.type_.as_str()) {
                errors.duplicate(&path.child("type"), item.type_.as_str());
            }
            validate_item(item, &path, errors);
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, _now: Timestamp) -> Vec<String> {
        created_at(&self.metadata)
    }
}

/// A container gets the most as its limit where no other is named, and its limit as its request.
fn default_item(item: &mut LimitRangeItem) {
    for amounts in [
        &mut item.default,
        &mut item.default_request,
        &mut item.max,
        &mut item.max_limit_request_ratio,
        &mut item.min,
    ] {
        round_amounts(amounts);
    }
    if item.type_ != "Container" {
        return;
    }
    let limits = item.default.get_or_insert_default();
    for (name, most) in item.max.iter().flatten() {
        limits.entry(name.clone()).or_insert_with(|| most.clone());
    }
    let requests = item.default_request.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

fn validate_type(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let wrong = is_qualified_name(name);
    if wrong.is_empty() && !name.contains('/') && !TYPES.contains(&name) {
        errors.invalid(path, name, "must be a standard limit type or fully qualified");
    }
    errors.invalid_each(path, name, wrong);
}

/// The amounts of one list by name, their names held against the rules of the type.
fn amounts(
    item: &LimitRangeItem,
    list: &Option<ResourceList>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> BTreeMap<String, Amount> {
    let mut found = BTreeMap::new();
    for (name, quantity) in list.iter().flatten() {
        let path = path.key(name);
        if matches!(item.type_.as_str(), "Pod" | "Container") {
            validate_container_resource(name, &path, errors);
        } else {
            validate_resource(name, &path, errors);
        }
        match Amount::parse(&quantity.0) {
            Ok(amount) => {
                found.insert(name.clone(), amount);
            }
            Err(wrong) => errors.invalid(&path, quantity.0.as_str(), wrong.to_string()),
        }
    }
    found
}

fn validate_item(item: &LimitRangeItem, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let max = amounts(item, &item.max, &path.child("max"), errors);
    let min = amounts(item, &item.min, &path.child("min"), errors);
    let (mut default, mut request) = (BTreeMap::new(), BTreeMap::new());
    if item.type_ == "Pod" {
        for (field, list) in [("default", &item.default), ("defaultRequest", &item.default_request)] {
            if list.as_ref().is_some_and(|list| !list.is_empty()) {
                errors.forbidden(&path.child(field), "may not be specified when `type` is 'Pod'");
            }
        }
    } else {
        default = amounts(item, &item.default, &path.child("default"), errors);
        request = amounts(item, &item.default_request, &path.child("defaultRequest"), errors);
    }
    if item.type_ == "PersistentVolumeClaim" && !min.contains_key("storage") && !max.contains_key("storage") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), detail);
    }
    let list = &item.max_limit_request_ratio;
    let ratio = amounts(item, list, &path.child("maxLimitRequestRatio"), errors);
    let names: BTreeSet<&String> =
        [&max, &min, &default, &request, &ratio].into_iter().flat_map(|m| m.keys()).collect();
    for name in names {
        let of = |list: &BTreeMap<String, Amount>| list.get(name).copied();
        let amounts = Amounts {
            min: of(&min),
            max: of(&max),
            default: of(&default),
            request: of(&request),
            ratio: of(&ratio),
        };
        validate_order(name, amounts, path, errors);
        validate_ratio(name, amounts, path, errors);
        validate_equal(name, amounts, path, errors);
    }
}

/// What an item says of one resource.
#[derive(Clone, Copy)]
struct Amounts {
    min: Option<Amount>,
    max: Option<Amount>,
    default: Option<Amount>,
    request: Option<Amount>,
    ratio: Option<Amount>,
}

/// The least, the request, the limit and the most ascend.
fn validate_order(name: &str, amounts: Amounts, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Amounts { min, max, default, request, .. } = amounts;
    // Where, the larger that should be smaller with its word, the other with its word, and which of them is shown.
    let rows = [
        ("min", (min, "min value"), (max, "max value"), true),
        ("defaultRequest", (min, "min value"), (request, "default request value"), false),
        ("defaultRequest", (request, "default request value"), (max, "max value"), true),
        ("defaultRequest", (request, "default request value"), (default, "default limit value"), true),
        ("default", (min, "min value"), (default, "default value"), true),
        ("default", (default, "default value"), (max, "max value"), false),
    ];
    for (field, (low, low_word), (high, high_word), shows_low) in rows {
        let (Some(low), Some(high)) = (low, high) else { continue };
        if low > high {
            let shown = if shows_low { low } else { high };
            let detail = format!("{low_word} {low} is greater than {high_word} {high}");
            errors.invalid(&path.child(field).key(name), shown.to_string(), detail);
        }
    }
}

/// What cannot be promised twice is requested in full.
fn validate_equal(name: &str, amounts: Amounts, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let (Some(limit), Some(request)) = (amounts.default, amounts.request)
        && !is_overcommit_allowed(name)
        && limit != request
    {
        let detail = format!("default value {limit} must equal to defaultRequest value {request} in {name}");
        errors.invalid(&path.child("defaultRequest").key(name), request.to_string(), detail);
    }
}

/// A limit may be no more than so many times its request.
fn validate_ratio(name: &str, amounts: Amounts, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(ratio) = amounts.ratio else { return };
    let path = path.child("maxLimitRequestRatio");
    let path = path.key(name);
    if ratio < Amount::from_units(1, Format::DecimalSi) {
        errors.invalid(&path, ratio.to_string(), format!("ratio {ratio} is less than 1"));
    }
    let (Some(min), Some(max)) = (amounts.min, amounts.max) else { return };
    let small = |amount: Amount| amount.value() < i64::MAX / 1000;
    let exact = small(ratio) && small(min) && small(max);
    let number = |amount: Amount| if exact { amount.millis() as f64 } else { amount.value() as f64 };
    let most = number(max) / number(min);
    let asked = if exact { number(ratio) / 1000.0 } else { number(ratio) };
    if asked > most {
        let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
        errors.invalid(&path, ratio.to_string(), detail);
    }
}

canonical! {
    LimitRange {
        fill: spec;
    }
    LimitRangeItem {
        drop: default, default_request, max, max_limit_request_ratio, min;
    }
    LimitRangeSpec {
        deep: limits;
    }
}
