//! HorizontalPodAutoscalers.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::check_defaults;
use super::tables::{check_changes, check_refusals, check_rows, check_statuses};

const SCALER: &str = "
metadata: {name: web, namespace: shop}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
";

#[test]
fn defaults() {
    check_defaults::<HorizontalPodAutoscaler>(
        SCALER,
        "
metadata: {name: web, namespace: shop}
spec:
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
  minReplicas: 1
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
status: {desiredReplicas: 0}
",
    );
    check_defaults::<HorizontalPodAutoscaler>(
        &SCALER.replace("maxReplicas: 3", "maxReplicas: 3, minReplicas: 2, behavior: {scaleDown: {selectPolicy: Min, tolerance: 50m}}, metrics: [{type: Pods, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: 1000m}}}]"),
        "
metadata: {name: web, namespace: shop}
spec:
  behavior:
    scaleDown: {policies: [{periodSeconds: 15, type: Percent, value: 100}], selectPolicy: Min, tolerance: 50m}
    scaleUp:
      policies: [{periodSeconds: 15, type: Pods, value: 4}, {periodSeconds: 15, type: Percent, value: 100}]
      selectPolicy: Max
      stabilizationWindowSeconds: 0
  maxReplicas: 3
  metrics: [{type: Pods, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: '1'}}}]
  minReplicas: 2
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
status: {desiredReplicas: 0}
",
    );
}

#[test]
fn refusals() {
    check_refusals::<HorizontalPodAutoscaler>(
        SCALER,
        r#"
        > {}
        > spec: {minReplicas: 0}
          spec.minReplicas: Invalid value: 0: must be greater than or equal to 1
          spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas
        > spec: {maxReplicas: 0}
          spec.maxReplicas: Required value: must be set and greater than 0
          spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`
        > spec: {maxReplicas: -1}
          spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1
          spec.maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`
        > spec: {minReplicas: 5}
          spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`
        > spec: {scaleTargetRef: {kind: '', name: a/b}}
          spec.scaleTargetRef.kind: Required value
          spec.scaleTargetRef.name: Invalid value: "a/b": may not contain '/'
        > spec: {scaleTargetRef: {apiVersion: v1}}
          spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group
        > spec: {scaleTargetRef: {apiVersion: a/b/c}}
          spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c
        > spec: {scaleTargetRef: {apiVersion: v1, kind: ReplicationController}}
        > spec: {behavior: {scaleUp: {stabilizationWindowSeconds: -1}, scaleDown: {stabilizationWindowSeconds: 3601}}}
          spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero
          spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600
        > spec: {behavior: {scaleUp: {selectPolicy: Odd, policies: []}}}
          spec.behavior.scaleUp.selectPolicy: Unsupported value: "Odd": supported values: "Disabled", "Max", "Min"
          spec.behavior.scaleUp.policies: Required value: must specify at least one Policy
        > spec: {behavior: {scaleDown: {tolerance: -1, policies: [{type: Odd, value: 0, periodSeconds: 1801}]}}}
          spec.behavior.scaleDown.policies[0].type: Unsupported value: "Odd": supported values: "Percent", "Pods"
          spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero
          spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800
          spec.behavior.scaleDown.tolerance: Invalid value: "-1": must be greater than or equal to 0
        > spec: {metrics: [{type: Odd}]}
          spec.metrics[0].type: Unsupported value: "Odd": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"
        > spec: {metrics: [{type: Resource}]}
          spec.metrics[0].resource: Required value: must populate information for the given metric source
        > spec: {metrics: [{type: Pods, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: 1}}, resource: {name: cpu, target: {type: Odd}}}]}
          spec.metrics[0].resource: Forbidden: must populate the given metric source only
        > spec: {metrics: [{type: Resource, resource: {name: '', target: {type: ''}}}]}
          spec.metrics[0].resource.name: Required value: must specify a resource name
          spec.metrics[0].resource.target.type: Required value: must specify a metric target type
          spec.metrics[0].resource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue
          spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization
        > spec: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 0, averageValue: 0}}}]}
          spec.metrics[0].resource.target.averageValue: Invalid value: "0": must be positive
          spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0
          spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization
        > spec: {metrics: [{type: ContainerResource, containerResource: {name: odd, container: a.b, target: {type: Utilization, averageUtilization: 5}}}]}
          spec.metrics[0].containerResource.name: Invalid value: "odd": must be a standard resource type or fully qualified
          spec.metrics[0].containerResource.name: Invalid value: "odd": must be a standard resource for containers
          spec.metrics[0].containerResource.container: Invalid value: "a.b": must not contain dots
        > spec: {metrics: [{type: Object, object: {describedObject: {kind: Ingress, name: a}, metric: {name: ''}, target: {type: Value}}}]}
          spec.metrics[0].object.metric.name: Required value: must specify a metric name
          spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue
        > spec: {metrics: [{type: External, external: {metric: {name: a}, target: {type: Value, value: 1, averageValue: 1}}}]}
          spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target
        > spec: {metrics: [{type: Pods, pods: {metric: {name: a}, target: {type: Value, value: -1}}}]}
          spec.metrics[0].pods.target.value: Invalid value: "-1": must be positive
          spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue
        "#,
    );
}

#[test]
fn changes_statuses_and_rows() {
    check_changes::<HorizontalPodAutoscaler>(
        SCALER,
        "
        > {}
        > spec: {maxReplicas: 5}
        > spec: {scaleTargetRef: {name: other}}
        > status: {desiredReplicas: 3}
        > spec: {maxReplicas: 0}
          spec.maxReplicas: Required value: must be set and greater than 0
          spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`
        ",
    );
    check_statuses::<HorizontalPodAutoscaler>(
        SCALER,
        "
        > status: {desiredReplicas: 3, currentReplicas: 2}
        > status: {desiredReplicas: -1, currentReplicas: -2}
          status.currentReplicas: Invalid value: -2: must be greater than or equal to 0
          status.desiredReplicas: Invalid value: -1: must be greater than or equal to 0
        ",
    );
    // After upstream's own table of printed lines.
    check_rows::<HorizontalPodAutoscaler>(
        SCALER,
        "
        > {}
          Deployment/web | <none> | <unset> | 3 | 0 | <unknown>
        = {spec: {minReplicas: 2}, status: {currentReplicas: 4, desiredReplicas: 5}}
        > spec: {metrics: [{type: External, external: {metric: {name: a}, target: {type: AverageValue, averageValue: 100m}}}]}
          Deployment/web | <unknown>/100m (avg) | 2 | 3 | 4 | <unknown>
        > {spec: {metrics: [{type: External, external: {metric: {name: a}, target: {type: Value, value: 100m}}}]}, status: {currentMetrics: [{type: External, external: {metric: {name: a}, current: {value: 50m}}}]}}
          Deployment/web | 50m/100m | 2 | 3 | 4 | <unknown>
        > {spec: {metrics: [{type: Pods, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: 100m}}}]}, status: {currentMetrics: [{type: Pods, pods: {metric: {name: a}, current: {averageValue: 50m}}}]}}
          Deployment/web | 50m/100m | 2 | 3 | 4 | <unknown>
        > spec: {metrics: [{type: Object, object: {describedObject: {kind: a, name: b}, metric: {name: a}, target: {type: Value, value: 100m}}}]}
          Deployment/web | <unknown>/100m | 2 | 3 | 4 | <unknown>
        > {spec: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}, status: {currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 50, averageValue: 40m}}}]}}
          Deployment/web | cpu: 50%/80% | 2 | 3 | 4 | <unknown>
        > {spec: {metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 100m}}}]}, status: {currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageValue: 40m}}}]}}
          Deployment/web | cpu: 40m/100m | 2 | 3 | 4 | <unknown>
        > {spec: {metrics: [{type: ContainerResource, containerResource: {name: cpu, container: a, target: {type: Utilization}}}, {type: Odd}, {type: Odd}]}}
          Deployment/web | cpu: <unknown>/<auto>, <unknown type> + 1 more... | 2 | 3 | 4 | <unknown>
        ",
    );
}
