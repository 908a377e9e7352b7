//! Whether a container that ended runs again.
//!
//! Pure. The container's own rules come first, then its own policy, then the pod's.

use k8s_openapi::api::core::v1::Container;

fn by_policy(policy: &str, exit_code: i32) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

/// Whether a container of a pod with this restart policy runs again after this exit code.
pub fn should_restart(pod_policy: &str, container: &Container, exit_code: i32) -> bool {
    let Some(own) = container.restart_policy.as_deref() else { return by_policy(pod_policy, exit_code) };
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
        let matches = match codes.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        if matches {
            return true;
        }
    }
    by_policy(own, exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_follow_the_policies() {
        let table = [
            ("Always", None, 0, true),
            ("Always", None, 1, true),
            ("OnFailure", None, 0, false),
            ("OnFailure", None, 1, true),
            ("OnFailure", None, 137, true),
            ("Never", None, 0, false),
            ("Never", None, 1, false),
            ("", None, 0, true),
            ("Never", Some("Always"), 0, true),
            ("Always", Some("Never"), 1, false),
            ("Always", Some("OnFailure"), 0, false),
            ("Never", Some("OnFailure"), 3, true),
        ];
        for (pod, own, code, expected) in table {
            let container = Container { restart_policy: own.map(str::to_owned), ..Container::default() };
            assert_eq!(should_restart(pod, &container, code), expected, "{pod} {own:?} {code}");
        }
    }

    #[test]
    fn rules_come_before_the_policy() {
        let rules = |operator: &str| {
            serde_json::json!({
                "name": "a", "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": operator, "values": [42]}}],
            })
        };
        for (operator, code, expected) in
            [("In", 42, true), ("In", 1, false), ("NotIn", 42, false), ("NotIn", 1, true)]
        {
            let container: Container = serde_json::from_value(rules(operator)).unwrap();
            assert_eq!(should_restart("Never", &container, code), expected, "{operator} {code}");
        }
    }
}
