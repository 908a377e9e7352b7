//! Bare kinds until their files are merged.
use crate::api::*;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

macro_rules! bare { ($($k:ty),*) => { $(impl Kind for $k {
    const SCOPE: Scope = Scope::Namespaced; const HAS_STATUS: bool = true;
    fn validate_name(_: &str, _: bool) -> Vec<String> { Vec::new() }
    fn prepare_update(&mut self, old: &Self) { self.status.clone_from(&old.status); }
    fn prepare_status(&mut self, old: &Self) {
        let status = self.status.take();
        self.clone_from(old);
        self.status = status;
    }
    fn moves_generation(&self, old: &Self) -> bool { self.spec != old.spec }
})* } }
bare!(ReplicaSet, Deployment);

impl Kind for Pod {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = true;
    const GRACEFUL_DELETION: bool = true;
    const TERMS: &'static [TermName] = &["spec.nodeName", "status.phase"];
    const SELECTABLE_FIELDS: &'static [TermName] = &["spec.nodeName", "status.phase"];
    fn validate_name(_: &str, _: bool) -> Vec<String> {
        Vec::new()
    }
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        if spec.scheduler_name.as_deref().unwrap_or_default().is_empty() {
            spec.scheduler_name = Some("default-scheduler".to_owned());
        }
        spec.termination_grace_period_seconds.get_or_insert(30);
        self.status.get_or_insert_default().phase.get_or_insert_with(|| "Pending".to_owned());
    }
    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }
    fn prepare_status(&mut self, old: &Self) {
        let status = self.status.take();
        let version = self.metadata.resource_version.take();
        self.clone_from(old);
        self.metadata.resource_version = version;
        self.status = status;
    }
    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }
    fn terms(&self, terms: &mut Terms) {
        let node = self.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        terms.add("spec.nodeName", node.unwrap_or_default());
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        terms.add("status.phase", phase.unwrap_or_default());
    }
    fn grace_period(&self, asked: Option<i64>) -> i64 {
        let spec = self.spec.as_ref();
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let bound = spec.and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
        if !bound || matches!(phase, "Succeeded" | "Failed") {
            return 0;
        }
        asked.or(spec.and_then(|spec| spec.termination_grace_period_seconds)).unwrap_or(30)
    }
}
