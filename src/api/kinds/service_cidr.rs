//! ServiceCIDR: a range out of which Services get their addresses.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{ServiceCIDR, ServiceCIDRSpec, ServiceCIDRStatus};
use serde_json::json;

use super::age::since;
use super::canonical::canonical;
use super::fields::{list, parse_cidr_sloppy, validate_cidr};
use super::rules::{canonical_by_table, named_as_subdomain, no_generation};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;
use crate::api::object::{Column, Kind, Scope};

impl Kind for ServiceCIDR {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[Column::shown("CIDRs"), Column::shown("Age")];

    named_as_subdomain!();
    no_generation!();
    canonical_by_table!();

    fn prepare_create(&mut self) {
        self.status = Some(ServiceCIDRStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        let (meta, before) = (&mut self.metadata, &old.metadata);
        meta.labels.clone_from(&before.labels);
        meta.annotations.clone_from(&before.annotations);
        meta.finalizers.clone_from(&before.finalizers);
        meta.owner_references.clone_from(&before.owner_references);
    }

    fn validate_create(&self, errors: &mut FieldErrors) {
        validate_ranges(ranges(self), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (new, old) = (ranges(self), ranges(old));
        let path = FieldPath::new("spec");
        let path = path.child("cidrs");
        match (old, new) {
            (old, new) if old.len() == new.len() => {
                for (at, (new, _)) in new.iter().zip(old).enumerate().filter(|(_, (new, old))| new != old) {
                    errors.invalid(&path.index(at), new.as_str(), IMMUTABLE);
                }
            }
            // The other family may be added.
            ([old], [new, _]) => {
                if new != old {
                    errors.invalid(&path.index(0), new.as_str(), IMMUTABLE);
                }
                validate_ranges(ranges(self), errors);
            }
            _ => errors.invalid(&path, json!(new), IMMUTABLE),
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![ranges(self).join(","), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

fn ranges(cidr: &ServiceCIDR) -> &[String] {
    cidr.spec.as_ref().map_or(&[], |spec| list(&spec.cidrs))
}

fn validate_ranges(ranges: &[String], errors: &mut FieldErrors) {
    let path = FieldPath::new("spec");
    let path = path.child("cidrs");
    if ranges.is_empty() {
        errors.required(&path, "at least one CIDR required");
        return;
    }
    if ranges.len() > 2 {
        // Upstream shows its internal form of the spec here.
        errors.invalid(&path, json!({ "CIDRs": ranges }), "may only hold up to 2 values");
        return;
    }
    for (at, range) in ranges.iter().enumerate() {
        validate_cidr(range, &path.index(at), errors);
    }
    let families: Vec<bool> = ranges
        .iter()
        .filter_map(|range| parse_cidr_sloppy(range))
        .map(|(first, _)| first.is_ipv4())
        .collect();
    if let [first, second] = families[..]
        && first == second
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&path, json!(ranges), detail);
    }
}

canonical! {
    ServiceCIDR {
        fill: spec, status;
    }
    ServiceCIDRSpec {
        drop: cidrs;
    }
    ServiceCIDRStatus {
        drop: conditions;
    }
}
