//! PriorityLevelConfiguration: how many requests of one level run at a time, and how the others wait.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, LimitResponse, LimitedPriorityLevelConfiguration,
    PriorityLevelConfiguration, PriorityLevelConfigurationCondition, PriorityLevelConfigurationSpec,
    PriorityLevelConfigurationStatus, QueuingConfiguration,
};
use serde_json::json;

use super::{EXEMPT, mandatory_priority_levels, type_of, validate_conditions};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical, canonical_as_is, drop_if_empty, fill, keep};
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::versions::Part;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

const TYPES: [&str; 2] = ["Exempt", "Limited"];
const RESPONSES: [&str; 2] = ["Queue", "Reject"];
const SHARES: i32 = 30;
const QUEUES: i32 = 64;
const QUEUES_MOST: i32 = 10_000_000;
const HAND: i32 = 8;
const QUEUE_LENGTH: i32 = 50;
/// How many bits of a hash there are to deal a hand of queues.
const HASH_BITS: f64 = 60.0;
/// An annotation that only older versions of the kind know.
const ZERO_SHARES: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
const PERCENT: &str = "must be between 0 and 100, inclusive";

impl Kind for PriorityLevelConfiguration {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Type", wide: false },
        Column { name: "NominalConcurrencyShares", wide: false },
        Column { name: "Queues", wide: false },
        Column { name: "HandSize", wide: false },
        Column { name: "QueueLengthLimit", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec: &mut PriorityLevelConfigurationSpec = self.spec.part_mut();
        if let Some(exempt) = &mut spec.exempt {
            exempt.nominal_concurrency_shares.get_or_insert(0);
            exempt.lendable_percent.get_or_insert(0);
        }
        if let Some(limited) = &mut spec.limited {
            limited.nominal_concurrency_shares.get_or_insert(SHARES);
            limited.lendable_percent.get_or_insert(0);
            let response: &mut LimitResponse = limited.limit_response.part_mut();
            if let Some(queuing) = &mut response.queuing {
                let or = |field: &mut Option<i32>, number: i32| {
                    if field.unwrap_or(0) == 0 {
                        *field = Some(number);
                    }
                };
                or(&mut queuing.hand_size, HAND);
                or(&mut queuing.queues, QUEUES);
                or(&mut queuing.queue_length_limit, QUEUE_LENGTH);
            }
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(PriorityLevelConfigurationStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        let managed = self.metadata.managed_fields.take();
        let version = self.metadata.resource_version.take();
        self.metadata.clone_from(&old.metadata);
        self.metadata.managed_fields = managed;
        self.metadata.resource_version = version;
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let (name, path) = (text(&self.metadata.name), FieldPath::new("spec"));
        if self.metadata.annotations.as_ref().is_some_and(|them| them.contains_key(ZERO_SHARES)) {
            let path = FieldPath::new("metadata");
            let detail = format!("annotation '{ZERO_SHARES}' is forbidden");
            errors.forbidden(&path.child("annotations"), detail);
        }
        let spec: Option<&PriorityLevelConfigurationSpec> = self.spec.part();
        let Some(spec) = spec else { return };
        validate_spec(name, spec, &path, errors);
        validate_fixed(name, spec, &path, errors);
        let conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        validate_conditions(conditions.map(|condition| type_of(condition.type_.part())), errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        validate_conditions(conditions.map(|condition| type_of(condition.type_.part())), errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = PriorityLevelConfigurationSpec::default();
        let spec: &PriorityLevelConfigurationSpec = self.spec.part().unwrap_or(&none);
        let limited = spec.limited.as_ref();
        let response: Option<&LimitResponse> = limited.and_then(|limited| limited.limit_response.part());
        let queuing = response.and_then(|response| response.queuing.as_ref());
        let number = |of: Option<Option<i32>>| {
            of.map_or_else(|| "<none>".to_owned(), |number| number.unwrap_or(0).to_string())
        };
        vec![
            spec.type_.clone(),
            number(limited.map(|limited| limited.nominal_concurrency_shares)),
            number(queuing.map(|queuing| queuing.queues)),
            number(queuing.map(|queuing| queuing.hand_size)),
            number(queuing.map(|queuing| queuing.queue_length_limit)),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_spec(
    name: &str,
    spec: &PriorityLevelConfigurationSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let kind = spec.type_.as_str();
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.invalid(&path.child("type"), kind, detail);
    }
    let (exempt, limited) = (path.child("exempt"), path.child("limited"));
    match kind {
        "Exempt" => {
            if spec.limited.is_some() {
                errors.forbidden(&limited, "must be nil if the type is not Limited");
            }
            if let Some(spec) = &spec.exempt {
                validate_shares(spec.nominal_concurrency_shares, &exempt, errors);
                validate_percent(spec.lendable_percent, &exempt, errors);
            }
        }
        "Limited" => {
            if spec.exempt.is_some() {
                errors.forbidden(&exempt, "must be nil if the type is Limited");
            }
            match &spec.limited {
                None => errors.required(&limited, "must not be empty when type is Limited"),
                Some(spec) => validate_limited(spec, &limited, errors),
            }
        }
        other => errors.not_supported(&path.child("type"), other, &TYPES),
    }
}

/// The levels that every cluster has are as they are, but for the shares of the exempt one.
fn validate_fixed(
    name: &str,
    spec: &PriorityLevelConfigurationSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let fixed = mandatory_priority_levels();
    let Some(fixed) = fixed.iter().find(|fixed| text(&fixed.metadata.name) == name) else { return };
    let wanted: Option<&PriorityLevelConfigurationSpec> = fixed.spec.part();
    let mut have = spec.clone();
    let but = if name == EXEMPT {
        have.exempt = wanted.and_then(|wanted| wanted.exempt.clone());
        " except the 'spec.exempt' field"
    } else {
        ""
    };
    if wanted != Some(&have) {
        let detail = format!("spec of '{name}'{but} must equal the fixed value");
        errors.invalid(path, json!(spec), detail);
    }
}

fn validate_shares(shares: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(shares) = shares.filter(|shares| *shares < 0) {
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer");
    }
}

fn validate_percent(percent: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(percent) = percent.filter(|percent| !(0..=100).contains(percent)) {
        errors.invalid(&path.child("lendablePercent"), percent, PERCENT);
    }
}

fn validate_limited(
    spec: &LimitedPriorityLevelConfiguration,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_shares(spec.nominal_concurrency_shares, path, errors);
    let none = LimitResponse::default();
    let response: &LimitResponse = spec.limit_response.part().unwrap_or(&none);
    let field = path.child("limitResponse");
    match (response.type_.as_str(), &response.queuing) {
        ("Reject", None) => {}
        ("Reject", Some(_)) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.forbidden(&field.child("queuing"), detail);
        }
        ("Queue", None) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.required(&field.child("queuing"), detail);
        }
        ("Queue", Some(queuing)) => validate_queuing(queuing, &field.child("queuing"), errors),
        (other, _) => errors.not_supported(&field.child("type"), other, &RESPONSES),
    }
    validate_percent(spec.lendable_percent, path, errors);
    if let Some(percent) = spec.borrowing_limit_percent.filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid(&path.child("borrowingLimitPercent"), percent, detail);
    }
}

fn validate_queuing(spec: &QueuingConfiguration, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let number = |field: Option<i32>| field.unwrap_or(0);
    let (length, queues, hand) =
        (number(spec.queue_length_limit), number(spec.queues), number(spec.hand_size));
    if length <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), length, "must be positive");
    }
    let field = path.child("queues");
    if queues <= 0 {
        errors.invalid(&field, queues, "must be positive");
    } else if queues > QUEUES_MOST {
        errors.invalid(&field, queues, format!("must not be greater than {QUEUES_MOST}"));
    }
    let field = path.child("handSize");
    if hand <= 0 {
        errors.invalid(&field, hand, "must be positive");
    } else if hand > queues {
        errors.invalid(&field, hand, format!("should not be greater than queues ({queues})"));
    } else if (f64::from(queues).log2() * f64::from(hand)).ceil() > HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        errors.invalid(&field, hand, detail);
    }
}

impl Canonical for PriorityLevelConfiguration {
    fn make_canonical(&mut self) {
        let spec: &mut PriorityLevelConfigurationSpec = self.spec.part_mut();
        spec.make_canonical();
        fill(&mut self.status);
    }
}

impl Canonical for LimitedPriorityLevelConfiguration {
    fn make_canonical(&mut self) {
        let response: &mut LimitResponse = self.limit_response.part_mut();
        response.make_canonical();
    }
}

impl Canonical for PriorityLevelConfigurationCondition {
    fn make_canonical(&mut self) {
        drop_if_empty(&mut self.message);
        drop_if_empty(&mut self.reason);
        drop_if_empty(&mut self.status);
        keep(&mut self.last_transition_time);
    }
}

canonical_as_is!(ExemptPriorityLevelConfiguration);

canonical! {
    LimitResponse {
        keep: queuing;
    }
    PriorityLevelConfigurationSpec {
        keep: limited;
    }
    PriorityLevelConfigurationStatus {
        drop: conditions;
    }
    QueuingConfiguration {
        fill: hand_size, queue_length_limit, queues;
    }
}
