//! The fold equals its rebuilding.

use super::*;
use crate::api::ObjectKey;

#[test]
fn the_fold_equals_its_rebuilding() {
    for seed in 0..30 {
        let chance = SeededEntropy::from_seed(seed);
        let draw = |most: u64| chance.next() % most;
        let mut folded = ClusterSnapshot::default();
        let mut nodes = Map::new();
        let mut pods: std::collections::BTreeMap<String, Value> = Default::default();
        for _ in 0..30 {
            let name = format!("n{}", draw(4));
            let key = format!("p{}", draw(12));
            match draw(5) {
                0 => {
                    let short = json!({"cpu": 1 + draw(8), "memory": "4Gi", "gpu": draw(2)});
                    folded.set_node(NodeInfo::new(&Arc::new(node(&name, &short))));
                    nodes.insert(name, short);
                }
                1 => {
                    folded.remove_node(&name);
                    nodes.remove(&name);
                }
                2 => {
                    folded.remove(&ObjectKey::new("default", &key));
                    pods.remove(&key);
                }
                _ => {
                    let short = json!({"on": name, "cpu": draw(3), "gpu": draw(2), "ports": [draw(3) + 80]});
                    let info = PodInfo::new(&Arc::new(pod(&key, &short)));
                    folded.place(&info.key, &info.uid, &name, info.usage.clone());
                    pods.insert(key, short);
                }
            }
            let mut rebuilt = cluster(&Value::Object(nodes.clone()), &json!([]));
            for (key, short) in &pods {
                let info = PodInfo::new(&Arc::new(pod(key, short)));
                rebuilt.place(&info.key, &info.uid, info.node_name.as_deref().unwrap(), info.usage.clone());
            }
            assert_eq!(folded, rebuilt, "seed {seed}");
        }
    }
}
