//! Deletions: of one object and of many.
//!
//! Owns what is answered: the object where it stays for a while or its kind says so, a Status otherwise.

use http::{Response, StatusCode};

use super::body::Body;
use super::objects;
use super::query::{self, DeleteQuery};
use super::status::{self, Failure};
use super::table::Include;
use super::verbs::Call;
use super::{content, respond};
use crate::api::KindInfo;
use crate::apiserver::{FieldValidation, ListParams};

/// Reads the options of a deletion, from the body or the query.
fn options(call: &Call<'_>) -> Result<DeleteQuery, Failure> {
    if call.body.is_empty() {
        return Ok(query::delete_options(None, &call.query)?);
    }
    let given = content::read(&call.parts.headers, call.body, FieldValidation::Ignore)
        .map_err(content::Unreadable::refusal)?;
    Ok(query::delete_options(Some(&given.value), &call.query)?)
}

/// Deletes the object that the path names.
pub(super) fn one(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let DeleteQuery { options, cascade_asked } = options(call)?;
    let server = &call.wire.server;
    let key = call.key();
    let record = server.delete(call.kind, &key, &options)?;
    let there = server.store().get(call.kind, key.as_str());
    let stays = record.header.deleting && there.is_some_and(|there| there.header.uid == record.header.uid);
    if stays || shows_deleted(call.info()) {
        let code = if stays && cascade_asked { StatusCode::ACCEPTED } else { StatusCode::OK };
        return call.show(code, &record);
    }
    let info = call.info();
    let value = status::deleted(&info.group, &info.plural, key.name(), &record.header.uid);
    Ok(call.show_value(StatusCode::OK, &value))
}

/// Kinds whose deletion answers the object as it was.
fn shows_deleted(info: &KindInfo) -> bool {
    match info.group.as_str() {
        "" => matches!(
            info.plural.as_str(),
            "namespaces"
                | "persistentvolumeclaims"
                | "persistentvolumes"
                | "pods"
                | "podtemplates"
                | "resourcequotas"
                | "serviceaccounts"
                | "services"
        ),
        "storage.k8s.io" => info.plural != "csistoragecapacities",
        "resource.k8s.io" => true,
        _ => false,
    }
}

/// Deletes every object that the options select, and answers the list of them.
pub(super) fn many(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let list = call.list_options()?;
    let DeleteQuery { options, .. } = options(call)?;
    let server = &call.wire.server;
    let params =
        ListParams { limit: None, version: call.version, ..list.params(call.target.namespace.clone()) };
    let page = server.list(call.kind, &params)?;
    for record in &page.items {
        match server.delete(call.kind, &record.header.key, &options) {
            Ok(_) => {}
            Err(gone) if gone.is_not_found() => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    let include = Include::read(&call.query)?;
    let json = objects::list(server, call.shown(), &page, &call.accepted.form, include)?;
    Ok(respond(StatusCode::OK, &call.accepted, json))
}
