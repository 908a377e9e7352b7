//! What a builder was given, before anything is started: what can be seen to be wrong is said at once, in a sentence.

use super::{ClusterBuilder, StartError};
use crate::api::names::{is_dns1123_subdomain, is_label_value, is_qualified_name};
use crate::limits::POD_RANGE_LONGEST;

/// Refuses what cannot lead to a cluster.
pub(super) fn check(builder: &ClusterBuilder) -> Result<(), StartError> {
    let Some(spec) = &builder.node else { return Ok(()) };
    let wrong = |what: String| Err(StartError::Builder(what));
    match spec.names.as_slice() {
        [] => return wrong("something is set for the real node, but `node` was not called".to_owned()),
        [_] => {}
        names => return wrong(format!("a cluster has one real node, and {} are named", names.join(", "))),
    }
    if let Some(why) = is_dns1123_subdomain(spec.name()).first() {
        return wrong(format!("{:?} cannot be a node's name: {why}", spec.name()));
    }
    let hollow = spec.name().strip_prefix("hollow-").and_then(|number| number.parse::<usize>().ok());
    if hollow.is_some_and(|number| number < builder.hollow_nodes) {
        return wrong(format!("the real node {} has the name of a hollow one", spec.name()));
    }
    for (key, value) in &spec.labels {
        let mut why = is_qualified_name(key);
        why.extend(is_label_value(value));
        if let Some(why) = why.first() {
            return wrong(format!("{key}={value} cannot be a node's label: {why}"));
        }
    }
    let services = builder.services.map(|range| ("service_range", range.addresses));
    let ranges: Vec<_> =
        spec.pod_range.map(|range| ("pod_range", range)).into_iter().chain(services).collect();
    for (name, range) in &ranges {
        let first = range.network();
        if range.prefix() == 0 || first.is_loopback() || first.is_multicast() || first.is_unspecified() {
            return wrong(format!("{name} {range} holds addresses that cannot be given to anything"));
        }
        if range.prefix() > POD_RANGE_LONGEST {
            return wrong(format!("{name} {range} is too small: /{POD_RANGE_LONGEST} is the smallest"));
        }
    }
    if let [(_, pods), (_, services)] = ranges.as_slice()
        && (pods.contains(services.network()) || services.contains(pods.network()))
    {
        return wrong(format!("pod_range {pods} and service_range {services} overlap"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cluster::{Cluster, ClusterBuilder};

    fn check(builder: ClusterBuilder, expected: &str) {
        let found = super::check(&builder).map_or_else(|error| error.to_string(), |()| "fine".to_owned());
        assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    }

    #[test]
    fn builders() {
        let new = Cluster::builder;
        let range = |text: &str| text.parse().unwrap();
        check(new(), "fine");
        check(new().node("a").node_label("x.io/y", "z").hollow_nodes(2), "fine");
        check(new().node("Bad Name"), "\"Bad Name\" cannot be a node's name: a lowercase RFC 1123 subdomain");
        check(new().node(""), "\"\" cannot be a node's name");
        check(new().node("a").node("b"), "a cluster has one real node, and a, b are named");
        check(new().node_label("x", "y"), "something is set for the real node, but `node` was not called");
        check(new().image("/x").hollow_nodes(1), "something is set for the real node");
        check(new().node("a").node_label("a b", "c"), "a b=c cannot be a node's label: name part");
        check(new().node("hollow-0").hollow_nodes(1), "the real node hollow-0 has the name of a hollow one");
        check(new().node("hollow-1").hollow_nodes(1), "fine");
        check(new().node("a").pod_range(range("127.0.0.0/8")), "pod_range 127.0.0.0/8 holds addresses");
        check(new().node("a").pod_range(range("0.0.0.0/0")), "pod_range 0.0.0.0/0 holds addresses");
        check(new().node("a").service_range(range("224.0.0.0/8")), "service_range 224.0.0.0/8 holds");
        check(new().node("a").pod_range(range("10.0.0.0/31")), "pod_range 10.0.0.0/31 is too small");
        check(
            new().node("a").pod_range(range("10.0.0.0/8")).service_range(range("10.96.0.0/12")),
            "pod_range 10.0.0.0/8 and service_range 10.96.0.0/12 overlap",
        );
    }
}
