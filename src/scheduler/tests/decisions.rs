//! Rows of cluster, pod and decision. What is expected is what upstream documents of each plug-in.

use super::*;

/// Rows of `nodes | placed pods | pod | decision`, the first three as compact YAML. The decision is the list of
/// nodes that may be drawn, or the reasons.
fn check(table: &str) {
    for row in rows(table) {
        let columns: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [nodes, placed, pod, expected] = columns[..] else { panic!("{row}: four columns") };
        let cluster = cluster(&yaml(nodes), &yaml(placed));
        let pod = info(&yaml(pod));
        let mut drawn = BTreeSet::new();
        let mut reasons = None;
        for draw in 0..64 {
            match Profile::default().decide(&cluster, &pod, draw) {
                Decision::Node(name) => drop(drawn.insert(name.to_string())),
                Decision::Unschedulable(diagnosis) => reasons = Some(diagnosis.message()),
            }
        }
        let got = match reasons {
            Some(message) => {
                assert!(drawn.is_empty(), "{row}: both {message} and {drawn:?}");
                let message = message.split(" preemption: ").next().unwrap_or_default();
                message.split_once("available: ").map_or(message, |(_, reasons)| reasons).to_owned()
            }
            None => drawn.into_iter().collect::<Vec<_>>().join(" "),
        };
        assert_eq!(got, expected, "{row}");
    }
}

fn rows(table: &str) -> impl Iterator<Item = &str> {
    table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#'))
}

/// Rows of `nodes | placed pods | pod | name=score ...`.
fn check_scores(profile: &Profile, table: &str) {
    for row in rows(table) {
        let columns: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let cluster = cluster(&yaml(columns[0]), &yaml(columns[1]));
        let scores = profile.scores(&cluster, &info(&yaml(columns[2])));
        let scores: Vec<String> = scores.iter().map(|(name, score)| format!("{name}={score}")).collect();
        assert_eq!(scores.join(" "), columns[3], "{row}");
    }
}

/// The default profile with one score alone.
fn only(name: &str) -> Profile {
    let scores = ["TaintToleration", "NodeAffinity", "NodeResourcesFit", "NodeResourcesBalancedAllocation"];
    let mut profile = Profile::default();
    profile.scores.retain(|(score, _)| score.name() == name);
    assert!(scores.contains(&name) && profile.scores.len() == 1);
    profile
}

#[test]
fn resources() {
    check(
        "{a: {cpu: 1, memory: 1Gi}} | [] | {} | a
         {a: {cpu: 1, memory: 1Gi}} | [] | {cpu: 1, memory: 1Gi} | a
         {a: {cpu: 1, memory: 1Gi}} | [] | {cpu: 1001m} | 1 Insufficient cpu.
         {a: {cpu: 1, memory: 1Gi}} | [] | {memory: 2Gi} | 1 Insufficient memory.
         {a: {cpu: 1, memory: 1Gi}} | [] | {cpu: 2, memory: 2Gi} | 1 Insufficient cpu, 1 Insufficient memory.
         {a: {cpu: 1}} | [{on: a, cpu: 600m}] | {cpu: 400m} | a
         {a: {cpu: 1}} | [{on: a, cpu: 600m}] | {cpu: 401m} | 1 Insufficient cpu.
         {a: {cpu: 1}} | [{on: a, cpu: 600m}, {on: b, cpu: 600m}] | {cpu: 400m} | a
         {a: {cpu: 1}, b: {cpu: 4}} | [] | {cpu: 2} | b
         {a: {cpu: 1}, b: {cpu: 1}} | [] | {cpu: 2} | 2 Insufficient cpu.
         {a: {cpu: 1}, b: {memory: 1Gi}} | [] | {cpu: 2, memory: 1Gi} | 1 Insufficient memory, 2 Insufficient cpu.
         {a: {pods: 1}} | [] | {} | a
         {a: {pods: 1}} | [{on: a}] | {} | 1 Too many pods.
         {a: {pods: 1, cpu: 1}} | [{on: a, cpu: 1}] | {cpu: 1} | 1 Insufficient cpu, 1 Too many pods.
         {a: {pods: 0}} | [] | {} | 1 Too many pods.
         # A node that is full already still takes a pod that asks for nothing.
         {a: {cpu: 1}} | [{on: a, cpu: 3}] | {} | a
         {a: {cpu: 1}} | [{on: a, cpu: 3}] | {memory: 0} | a
         {a: {storage: 1Gi}} | [] | {storage: 1Gi} | a
         {a: {storage: 1Gi}} | [{on: a, storage: 1}] | {storage: 1Gi} | 1 Insufficient ephemeral-storage.
         {a: {gpu: 2}, b: {}} | [] | {gpu: 1} | a
         {a: {gpu: 2}} | [{on: a, gpu: 2}] | {gpu: 1} | 1 Insufficient example.com/gpu.
         {a: {}} | [] | {gpu: 1} | 1 Insufficient example.com/gpu.
         {a: {huge: 4Mi}} | [] | {huge: 6Mi} | 1 Insufficient hugepages-2Mi.
         {a: {huge: 4Mi}} | [] | {huge: 4Mi} | a
         {} | [] | {} | no nodes available to schedule pods",
    );
}

#[test]
fn pods_with_many_containers() {
    check(
        "{a: {cpu: 2}} | [] | {cpu: 1, more: [{cpu: 1}]} | a
         {a: {cpu: 2}} | [] | {cpu: 1, more: [{cpu: 1001m}]} | 1 Insufficient cpu.
         # Init containers run one after the other: the largest counts, and only where it is above the sum.
         {a: {cpu: 2}} | [] | {cpu: 1, init: [{cpu: 2}, {cpu: 2}]} | a
         {a: {cpu: 2}} | [] | {cpu: 1, init: [{cpu: 2001m}]} | 1 Insufficient cpu.
         {a: {cpu: 2, memory: 2Gi}} | [] | {cpu: 2, init: [{memory: 2Gi}]} | a
         # Sidecars run beside everything that starts after them.
         {a: {cpu: 2}} | [] | {cpu: 1, sidecars: [{cpu: 1}]} | a
         {a: {cpu: 2}} | [] | {cpu: 1, sidecars: [{cpu: 1}, {cpu: 1}]} | 1 Insufficient cpu.
         {a: {cpu: 2}} | [] | {sidecars: [{cpu: 1}], init: [{cpu: 1}]} | a
         {a: {cpu: 2}} | [] | {sidecars: [{cpu: 1}], init: [{cpu: 1500m}]} | 1 Insufficient cpu.
         {a: {cpu: 2}} | [] | {init: [{cpu: 1500m}], late_sidecars: [{cpu: 1}]} | a
         {a: {cpu: 2}} | [] | {cpu: 1, overhead: {cpu: 1}} | a
         {a: {cpu: 2}} | [] | {cpu: 1, overhead: {cpu: 1100m}} | 1 Insufficient cpu.
         {a: {cpu: 2}} | [] | {cpu: 5, whole: {cpu: 2}} | a
         {a: {cpu: 2}} | [] | {cpu: 1, whole: {cpu: 3}} | 1 Insufficient cpu.
         {a: {cpu: 2}} | [{on: a, init: [{cpu: 2}]}] | {cpu: 1} | 1 Insufficient cpu.",
    );
}

#[test]
fn taints() {
    check(
        "{a: {taints: ['k=v:NoSchedule']}} | [] | {} | 1 node(s) had untolerated taint(s).
         {a: {taints: ['k=v:NoExecute']}} | [] | {} | 1 node(s) had untolerated taint(s).
         {a: {taints: ['k=v:PreferNoSchedule']}} | [] | {} | a
         {a: {taints: ['k=v:PreferNoSchedule']}, b: {}} | [] | {} | b
         {a: {taints: ['k=v:PreferNoSchedule']}, b: {}} | [] | {tolerate: ['k=v:PreferNoSchedule']} | a b
         {a: {taints: ['k=v:NoSchedule']}} | [] | {tolerate: ['k=v:NoSchedule']} | a
         {a: {taints: ['k=v:NoSchedule']}} | [] | {tolerate: ['k=v:']} | a
         {a: {taints: ['k=v:NoSchedule']}} | [] | {tolerate: ['k:NoSchedule']} | a
         {a: {taints: ['k=v:NoSchedule']}} | [] | {tolerate: ['*:']} | a
         {a: {taints: ['k=v:NoSchedule']}} | [] | {tolerate: ['k=w:NoSchedule']} | 1 node(s) had untolerated taint(s).
         {a: {taints: ['k=v:NoSchedule']}} | [] | {tolerate: ['k=v:NoExecute']} | 1 node(s) had untolerated taint(s).
         {a: {taints: ['k:NoSchedule', 'l:NoExecute']}} | [] | {tolerate: ['k:']} | 1 node(s) had untolerated taint(s).
         {a: {taints: ['k:NoSchedule', 'l:NoExecute']}} | [] | {tolerate: ['k:', 'l:']} | a
         {a: {taints: ['k:NoSchedule']}, b: {}} | [] | {} | b
         {a: {off: true}} | [] | {} | 1 node(s) were unschedulable.
         {a: {off: true}} | [] | {tolerate: ['node.kubernetes.io/unschedulable:NoSchedule']} | a
         {a: {off: true, taints: ['node.kubernetes.io/unschedulable:NoSchedule']}} | [] | {} | 1 node(s) were unschedulable.
         {a: {off: true}, b: {taints: ['k:NoSchedule']}, c: {cpu: 1}} | [] | {cpu: 2} | 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.
         {a: {cpu: 1}, b: {taints: ['k:NoSchedule']}, c: {taints: ['k:NoExecute']}} | [] | {cpu: 2} | 1 Insufficient cpu, 2 node(s) had untolerated taint(s).",
    );
}

#[test]
fn selectors_and_affinity() {
    let nodes = "{a: {labels: {zone: x, n: '5'}}, b: {labels: {zone: y}}, c: {}}";
    let none = "3 node(s) didn't match Pod's node affinity/selector.";
    let table = "{} | a b c
        {select: {zone: x}} | a
        {select: {zone: x, n: '5'}} | a
        {select: {zone: x, n: '6'}} | NONE
        {must: [{matchExpressions: [{key: zone, operator: In, values: [x, y]}]}]} | a b
        {must: [{matchExpressions: [{key: zone, operator: NotIn, values: [x]}]}]} | b c
        {must: [{matchExpressions: [{key: zone, operator: Exists}]}]} | a b
        {must: [{matchExpressions: [{key: zone, operator: DoesNotExist}]}]} | c
        {must: [{matchExpressions: [{key: n, operator: Gt, values: ['4']}]}]} | a
        {must: [{matchExpressions: [{key: n, operator: Gt, values: ['5']}]}]} | NONE
        {must: [{matchExpressions: [{key: n, operator: Lt, values: ['6']}]}]} | a
        {must: [{matchExpressions: [{key: zone, operator: Gt, values: ['0']}]}]} | NONE
        {must: [{matchExpressions: [{key: zone, operator: Like, values: [x]}]}]} | NONE
        {must: [{matchExpressions: [{key: zone, operator: In, values: [x]}, {key: n, operator: DoesNotExist}]}]} | NONE
        {must: [{matchExpressions: [{key: zone, operator: In, values: [x]}]}, {matchExpressions: [{key: zone, operator: DoesNotExist}]}]} | a c
        {must: [{}]} | NONE
        {must: []} | NONE
        {must: [{matchFields: [{key: metadata.name, operator: In, values: [b]}]}]} | b
        {must: [{matchFields: [{key: metadata.name, operator: NotIn, values: [b]}]}]} | a c
        {must: [{matchFields: [{key: metadata.name, operator: In, values: [b]}], matchExpressions: [{key: zone, operator: In, values: [y]}]}]} | b
        {must: [{matchFields: [{key: metadata.name, operator: In, values: [b]}]}, {matchFields: [{key: metadata.name, operator: In, values: [c]}]}]} | b c
        {must: [{matchFields: [{key: metadata.name, operator: In, values: [b]}], matchExpressions: [{key: zone, operator: In, values: [x]}]}]} | 1 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].
        {must: [{matchFields: [{key: metadata.name, operator: In, values: [z]}]}]} | 3 node(s) didn't satisfy plugin(s) [NodeAffinity].
        {select: {zone: y}, must: [{matchExpressions: [{key: zone, operator: Exists}]}]} | b
        {like: [{weight: 1, preference: {matchExpressions: [{key: zone, operator: In, values: [y]}]}}]} | b
        {like: [{weight: 1, preference: {matchExpressions: [{key: zone, operator: Exists}]}}]} | a b
        {like: [{weight: 2, preference: {matchExpressions: [{key: n, operator: Exists}]}}, {weight: 3, preference: {matchExpressions: [{key: zone, operator: In, values: [y]}]}}]} | b
        {on: c} | c
        {on: z} | 3 node(s) didn't match the requested node name.";
    for row in rows(table) {
        check(&format!("{nodes} | [] | {}", row.replace("NONE", none)));
    }
}

#[test]
fn ports_of_the_host() {
    let taken = "1 node(s) didn't have free ports for the requested pod ports.";
    let table = "[{on: a, ports: [80]}] | {ports: [80]} | TAKEN
        [{on: a, ports: [80]}] | {ports: [81]} | a
        [{on: a, ports: ['UDP:80']}] | {ports: [80]} | a
        [{on: a, ports: ['80@10.0.0.1']}] | {ports: ['80@10.0.0.2']} | a
        [{on: a, ports: ['80@10.0.0.1']}] | {ports: ['80@10.0.0.1']} | TAKEN
        [{on: a, ports: ['80@10.0.0.1']}] | {ports: [80]} | TAKEN
        [{on: a, ports: [80]}] | {ports: ['80@10.0.0.1']} | TAKEN
        [{on: a, ports: ['80@0.0.0.0']}] | {ports: ['80@10.0.0.1']} | TAKEN
        [{on: a, ports: [80]}, {on: a, ports: [81]}] | {ports: [82, 81]} | TAKEN
        [{on: a, sidecars: [{ports: [80]}]}] | {ports: [80]} | TAKEN
        [{on: a, init: [{ports: [80]}]}] | {ports: [80]} | a
        [{on: b, ports: [80]}] | {ports: [80]} | a
        [] | {ports: [80, 80]} | a";
    for row in rows(table) {
        check(&format!("{{a: {{}}}} | {}", row.replace("TAKEN", taken)));
    }
}

#[test]
fn scores() {
    // What is left, in percent, of cpu and memory, and their mean. A container that asks for nothing is taken
    // for 100m and 200Mi.
    check_scores(
        &only("NodeResourcesFit"),
        "{a: {cpu: 4, memory: 4Gi}} | [] | {cpu: 1, memory: 1Gi} | a=75
         {a: {cpu: 4, memory: 4Gi}} | [{on: a, cpu: 1, memory: 2Gi}] | {cpu: 1, memory: 1Gi} | a=37
         {a: {cpu: 1, memory: 2000Mi}} | [] | {} | a=90
         {a: {cpu: 1, memory: 2000Mi}} | [{on: a}, {on: a}] | {} | a=70
         {a: {cpu: 1, memory: 2000Mi}} | [] | {cpu: 0, memory: 0} | a=100
         {a: {cpu: 1}} | [] | {cpu: 500m} | a=50
         {a: {}} | [] | {} | a=0
         {a: {cpu: 1, memory: 2000Mi}} | [{on: a, cpu: 3}] | {} | a=40",
    );
    check_scores(
        &only("NodeResourcesBalancedAllocation"),
        "{a: {cpu: 4, memory: 4Gi}} | [] | {cpu: 1, memory: 1Gi} | a=75
         {a: {cpu: 4, memory: 4Gi}} | [] | {cpu: 2} | a=62
         {a: {cpu: 4, memory: 4Gi}} | [{on: a, cpu: 2}] | {memory: 2Gi} | a=87
         {a: {cpu: 4, memory: 4Gi}, b: {cpu: 4, memory: 4Gi}} | [{on: a, cpu: 2}] | {} | a=0 b=0
         {a: {cpu: 4}} | [] | {cpu: 2} | a=75",
    );
    check_scores(
        &only("TaintToleration"),
        "{a: {taints: ['k:PreferNoSchedule', 'l:PreferNoSchedule']}, b: {taints: ['k:PreferNoSchedule']}, c: {}} | [] | {} | a=0 b=150 c=300
         {a: {}, b: {}} | [] | {} | a=300 b=300
         {a: {taints: ['k:PreferNoSchedule']}, b: {}} | [] | {tolerate: ['k:']} | a=300 b=300",
    );
    check_scores(
        &only("NodeAffinity"),
        "{a: {labels: {n: x}}, b: {}} | [] | {} | a=0 b=0
         {a: {labels: {n: x}}, b: {labels: {m: x}}, c: {labels: {n: x, m: x}}} | [] | {like: [{weight: 10, preference: {matchExpressions: [{key: n, operator: Exists}]}}, {weight: 30, preference: {matchExpressions: [{key: m, operator: Exists}]}}]} | a=50 b=150 c=200
         {a: {}} | [] | {like: [{weight: 10, preference: {}}]} | a=0",
    );
    check(
        "{a: {cpu: 4, memory: 8Gi}, b: {cpu: 8, memory: 8Gi}} | [] | {cpu: 1, memory: 1Gi} | b
         {a: {cpu: 4, memory: 8Gi}, b: {cpu: 4, memory: 8Gi}} | [{on: a, cpu: 1, memory: 1Gi}] | {cpu: 1, memory: 1Gi} | b
         {a: {cpu: 4, memory: 8Gi}, b: {cpu: 4, memory: 8Gi}} | [] | {cpu: 1, memory: 1Gi} | a b
         {a: {cpu: 4, memory: 8Gi}, b: {cpu: 4, memory: 8Gi}} | [{on: a}] | {} | b",
    );
}

#[test]
fn messages_are_whole() {
    let said = |nodes: &str, placed: &str, pod: &str| {
        let cluster = cluster(&yaml(nodes), &yaml(placed));
        match Profile::default().decide(&cluster, &info(&yaml(pod)), 0) {
            Decision::Unschedulable(diagnosis) => diagnosis.message(),
            Decision::Node(name) => panic!("{name} takes it"),
        }
    };
    assert_eq!(
        said(
            "{a: {cpu: 2}, b: {taints: ['k:NoSchedule']}, c: {taints: ['k:NoSchedule']}}",
            "[{on: a, cpu: 1}]",
            "{cpu: 2}"
        ),
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: 0/3 nodes are \
         available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    );
    assert_eq!(
        said("{a: {cpu: 1}}", "[]", "{cpu: 2}"),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful \
         for scheduling."
    );
    assert_eq!(
        said("{a: {cpu: 1}}", "[]", "{cpu: 2, preempt: Never}"),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    );
    assert_eq!(said("{}", "[]", "{}"), "no nodes available to schedule pods");
}

#[test]
fn large_clusters_are_sampled() {
    let cluster_of = |count: usize| {
        let nodes: Map<String, Value> =
            (0..count).map(|at| (format!("n{at:05}"), json!({"cpu": 4, "memory": "8Gi"}))).collect();
        cluster(&Value::Object(nodes), &json!([]))
    };
    // Upstream: 50 % less one for each 125 nodes, never below 5 % nor below 100 nodes.
    #[derive(Debug, Default)]
    struct Count(std::sync::atomic::AtomicUsize);
    impl Filter for Count {
        fn name(&self) -> &str {
            "Count"
        }
        fn filter(&self, _: &PodInfo, _: &NodeInfo) -> Result<(), Rejection> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }
    }
    for (nodes, percentage, looked_at) in [
        (99, None, 99),
        (100, None, 100),
        (150, None, 100),
        (500, None, 230),
        (2000, None, 680),
        (2000, Some(10), 200),
    ] {
        let count = Arc::new(Count::default());
        let mut profile = Profile::default().with_filter(count.clone());
        if let Some(percentage) = percentage {
            profile = profile.percentage_of_nodes(percentage);
        }
        profile.decide(&cluster_of(nodes), &info(&json!({})), 7 << 40);
        assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), looked_at, "{nodes} nodes");
    }
    let cluster = cluster_of(300);
    let chance = SeededEntropy::from_seed(1);
    let drawn: BTreeSet<_> = (0..400)
        .map(|_| match Profile::default().decide(&cluster, &info(&json!({})), chance.next()) {
            Decision::Node(name) => name,
            Decision::Unschedulable(diagnosis) => panic!("{}", diagnosis.message()),
        })
        .collect();
    assert!(drawn.len() > 200, "equal nodes are drawn alike: {}", drawn.len());
}
