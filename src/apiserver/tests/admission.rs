//! Links of a host's own: what they change is stored as it is read, and addresses are given once even where a link
//! writes in the middle of a write.

use std::sync::{Arc, OnceLock, Weak};

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{create, door};
use crate::api::{Object, StatusError};
use crate::apiserver::{Admission, Attempt, Operation, Server};
use crate::store::Select;

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default}, spec: {containers: [{name: a, image: b}]}}";
const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: default}}";

/// Gives each container memory, in a form that is not the canonical one, and labels that are none.
#[derive(Debug)]
struct Memory;

impl Admission for Memory {
    fn mutate(&self, _attempt: &Attempt<'_>, object: &mut dyn Object) -> Result<(), StatusError> {
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
        pod.metadata.annotations = Some(Default::default());
        for container in pod.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
            let limits = container.resources.get_or_insert_default().limits.get_or_insert_default();
            limits.insert("memory".to_owned(), Quantity("1024Mi".to_owned()));
        }
        Ok(())
    }
}

#[test]
fn what_a_link_changes_is_defaulted_and_canonical() {
    let (server, _) = door(vec![Arc::new(Memory)]);
    create(&server, NAMESPACE).unwrap();
    let record = create(&server, POD).unwrap();
    let view = record.object(&*server.registry().strategy(record.header.kind));
    let view: &Pod = view.as_any().downcast_ref().unwrap();
    assert_eq!(*view, record.decode::<Pod>());
    let resources = view.spec.as_ref().unwrap().containers[0].resources.clone().unwrap();
    assert_eq!(resources.limits.unwrap()["memory"].0, "1Gi");
    assert_eq!(resources.requests.unwrap()["memory"].0, "1Gi");
}

/// Renames what it sees.
#[derive(Debug)]
struct Rename;

impl Admission for Rename {
    fn mutate(&self, attempt: &Attempt<'_>, object: &mut dyn Object) -> Result<(), StatusError> {
        if attempt.key.name() == "a" {
            object.meta_mut().name = Some("b".to_owned());
        }
        Ok(())
    }
}

#[test]
fn a_link_may_not_rename() {
    let (server, _) = door(vec![Arc::new(Rename)]);
    create(&server, NAMESPACE).unwrap();
    let refused = create(&server, POD).unwrap_err();
    assert_eq!(refused.reason.code(), 500, "{refused}");
    server.store().check().unwrap();
}

/// Creates another Service with the same address while the first is on its way.
#[derive(Debug, Default)]
struct Rival {
    server: OnceLock<Weak<Server>>,
}

impl Admission for Rival {
    fn validate(&self, attempt: &Attempt<'_>, _object: Option<&dyn Object>) -> Result<(), StatusError> {
        if attempt.operation == Operation::Create && attempt.key.name() == "first" {
            let server = self.server.get().and_then(Weak::upgrade).expect("the door");
            create(&server, &service("second"))?;
        }
        Ok(())
    }
}

fn service(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, \
         spec: {{type: NodePort, clusterIP: 10.0.0.5, ports: [{{port: 80, nodePort: 30080}}]}}}}"
    )
}

#[test]
fn an_address_is_given_once_even_to_a_rival_that_is_faster() {
    let rival = Arc::new(Rival::default());
    let (server, _) = door(vec![rival.clone()]);
    rival.server.set(Arc::downgrade(&server)).unwrap();
    create(&server, NAMESPACE).unwrap();
    let refused = create(&server, &service("first")).unwrap_err();
    assert!(refused.message.contains("provided IP is already allocated"), "{refused}");
    assert_eq!(server.store().snapshot().list::<Service>(Select::All).count(), 1);
}
