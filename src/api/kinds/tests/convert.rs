//! HorizontalPodAutoscalers between their versions.

use serde_json::{Value, json};

use crate::api::kinds::convert_autoscaler;

fn read(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

/// Holds the object in the other version against YAML.
#[track_caller]
fn check(yaml: &str, to: &str, expected: &str) {
    let found = convert_autoscaler(read(yaml), to).unwrap();
    let print = |value: &Value| serde_yaml::to_string(value).unwrap();
    assert_eq!(print(&found), print(&read(expected)), "{yaml}");
}

#[test]
fn to_the_older() {
    check(
        "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
",
        "autoscaling/v1",
        "
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 3
  targetCPUUtilizationPercentage: 70
status: {currentReplicas: 0, desiredReplicas: 0}
",
    );
    check(
        "
apiVersion: autoscaling/v2
metadata: {annotations: {a: b, autoscaling.alpha.kubernetes.io/metrics: old}}
spec:
  maxReplicas: 3
  behavior: {scaleUp: {stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 4, periodSeconds: 15}]}}
  metrics:
  - {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}
  - {type: Pods, pods: {metric: {name: p}, target: {type: AverageValue, averageValue: '5'}}}
status:
  observedGeneration: 3
  currentReplicas: 2
  desiredReplicas: 3
  lastScaleTime: '2026-05-01T11:00:00Z'
  currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 50, averageValue: 100m}}}]
  conditions: [{type: AbleToScale, status: 'True', reason: R, lastTransitionTime: '2026-05-01T11:00:00Z'}]
",
        "autoscaling/v1",
        r#"
apiVersion: autoscaling/v1
metadata:
  annotations:
    a: b
    autoscaling.alpha.kubernetes.io/behavior: '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":null,"Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":null}'
    autoscaling.alpha.kubernetes.io/conditions: '[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-05-01T11:00:00Z","reason":"R"}]'
    autoscaling.alpha.kubernetes.io/current-metrics: '[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":50,"currentAverageValue":"100m"}}]'
    autoscaling.alpha.kubernetes.io/metrics: '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},{"type":"Pods","pods":{"metricName":"p","targetAverageValue":"5"}}]'
spec: {maxReplicas: 3}
status:
  currentCPUUtilizationPercentage: 50
  currentReplicas: 2
  desiredReplicas: 3
  lastScaleTime: '2026-05-01T11:00:00Z'
  observedGeneration: 3
"#,
    );
}

#[test]
fn to_the_newer() {
    check(
        "{apiVersion: autoscaling/v1, metadata: {name: web}, spec: {maxReplicas: 3}}",
        "autoscaling/v2",
        "
apiVersion: autoscaling/v2
metadata: {name: web}
spec:
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
",
    );
    check(
        r#"
apiVersion: autoscaling/v1
metadata:
  annotations:
    autoscaling.alpha.kubernetes.io/metrics: '[{"type":"External","external":{"metricName":"e","targetValue":"5"}}]'
    autoscaling.alpha.kubernetes.io/behavior: '{"scaleDown":{"SelectPolicy":"Min"}}'
    autoscaling.alpha.kubernetes.io/conditions: 'rubbish'
spec: {maxReplicas: 3, targetCPUUtilizationPercentage: 60}
status: {currentReplicas: 1, desiredReplicas: 2, currentCPUUtilizationPercentage: 30}
"#,
        "autoscaling/v2",
        "
apiVersion: autoscaling/v2
metadata: {}
spec:
  behavior: {scaleDown: {selectPolicy: Min}}
  maxReplicas: 3
  metrics:
  - {type: External, external: {metric: {name: e}, target: {type: Value, value: '5'}}}
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}
status:
  currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 30}}}]
  currentReplicas: 1
  desiredReplicas: 2
",
    );
    // What is wrong is left for those who decode it.
    check(
        "{apiVersion: autoscaling/v1, metadata: {annotations: x}, spec: {maxReplicas: 3}}",
        "autoscaling/v2",
        "{apiVersion: autoscaling/v2, metadata: {annotations: x}, spec: {maxReplicas: 3}}",
    );
    check(
        "{apiVersion: autoscaling/v1, metadata: {}, spec: {maxReplicas: many, targetCPUUtilizationPercentage: x}}",
        "autoscaling/v2",
        "
apiVersion: autoscaling/v2
metadata: {}
spec:
  maxReplicas: many
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: x}}}]
",
    );
}

#[test]
fn there_and_back() {
    let source = |kind: &str, source: &str| format!("{{type: {kind}, {source}}}");
    let metrics = [
        source("Resource", "resource: {name: memory, target: {type: Utilization, averageUtilization: 5}}"),
        source(
            "ContainerResource",
            "containerResource: {name: cpu, container: a, target: {type: AverageValue, averageValue: '5'}}",
        ),
        source(
            "Pods",
            "pods: {metric: {name: p, selector: {matchLabels: {a: b}}}, target: {type: AverageValue, averageValue: '5'}}",
        ),
        source(
            "Object",
            "object: {describedObject: {apiVersion: a/b, kind: c, name: d}, metric: {name: o}, target: {type: Value, value: '5'}}",
        ),
        source(
            "Object",
            "object: {describedObject: {kind: c, name: d}, metric: {name: o}, target: {type: AverageValue, averageValue: '5'}}",
        ),
        source("External", "external: {metric: {name: e}, target: {type: Value, value: '5'}}"),
        source("External", "external: {metric: {name: e}, target: {type: AverageValue, averageValue: '5'}}"),
        source("Resource", "resource: {name: cpu, target: {type: Utilization, averageUtilization: 5}}"),
    ];
    let current = [
        source("Pods", "pods: {metric: {name: p}, current: {averageValue: '1'}}"),
        source(
            "Object",
            "object: {describedObject: {kind: c, name: d}, metric: {name: o}, current: {value: '1', averageValue: '2'}}",
        ),
        source("External", "external: {metric: {name: e}, current: {value: '1'}}"),
        source(
            "ContainerResource",
            "containerResource: {name: cpu, container: a, current: {averageValue: '1', averageUtilization: 3}}",
        ),
    ];
    let yaml = format!(
        "
apiVersion: autoscaling/v2
metadata: {{name: web, annotations: {{a: b}}}}
spec:
  scaleTargetRef: {{kind: a, name: b}}
  maxReplicas: 3
  minReplicas: 2
  behavior: {{scaleUp: {{tolerance: 50m, policies: [{{type: Pods, value: 4, periodSeconds: 15}}]}}, scaleDown: {{selectPolicy: Max}}}}
  metrics: [{}]
status:
  currentReplicas: 1
  desiredReplicas: 2
  currentMetrics: [{}]
  conditions: [{{type: A, status: B, reason: C, message: D, lastTransitionTime: '2026-05-01T11:00:00Z'}}]
",
        metrics.join(", "),
        current.join(", ")
    );
    let object = read(&yaml);
    let older = convert_autoscaler(object.clone(), "autoscaling/v1").unwrap();
    assert_eq!(convert_autoscaler(older.clone(), "autoscaling/v2").unwrap(), object);
    assert_eq!(convert_autoscaler(older.clone(), "autoscaling/v1").unwrap(), older, "to itself");
}

#[test]
fn what_cannot_be_converted() {
    let wrong = |value: Value, to: &str| convert_autoscaler(value, to).unwrap_err().to_string();
    assert_eq!(
        wrong(json!({ "apiVersion": "autoscaling/v2" }), "autoscaling/v3"),
        "no kind \"HorizontalPodAutoscaler\" is registered for version \"autoscaling/v3\""
    );
    assert_eq!(
        wrong(json!({}), "autoscaling/v2"),
        "no kind \"HorizontalPodAutoscaler\" is registered for version \"\""
    );
    let odd = wrong(json!({ "apiVersion": "autoscaling/v2", "spec": { "metrics": 3 } }), "autoscaling/v1");
    assert!(odd.starts_with("spec.metrics: "), "{odd}");
}
