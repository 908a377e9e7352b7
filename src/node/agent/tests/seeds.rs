//! Random runs: pods come, end, are deleted at any moment; the same seed gives the same history.

use serde_json::{Value, json};

use super::bed::Bed;
use crate::node::runtime::Runtime;

fn spec(draw: u64) -> Value {
    let args = match draw % 8 {
        0 => vec!["exit:3:0"],
        1 => vec!["exit:1:1"],
        2 => vec!["deaf"],
        3 => vec!["missing"],
        4 => vec!["sick"],
        5 => vec!["bad"],
        _ => vec![],
    };
    let policy = ["Always", "OnFailure", "Never"][(draw >> 8) as usize % 3];
    let mut main = json!({"name": "a", "image": "app:1", "args": args});
    if (draw >> 16).is_multiple_of(3) {
        main["livenessProbe"] = json!({"exec": {"command": ["x"]}, "periodSeconds": 3});
        main["readinessProbe"] = json!({"tcpSocket": {"port": 80}, "periodSeconds": 2});
    }
    if (draw >> 24).is_multiple_of(4) {
        main["lifecycle"] =
            json!({"preStop": {"exec": {"command": ["x"]}}, "postStart": {"exec": {"command": ["x"]}}});
    }
    let mut spec = json!({"restartPolicy": policy, "containers": [main]});
    if (draw >> 32).is_multiple_of(3) {
        let mut inits = vec![json!({"name": "i", "image": "app:1", "args": ["exit:1:0"]})];
        if (draw >> 40).is_multiple_of(2) {
            inits.push(json!({"name": "s", "image": "app:1", "restartPolicy": "Always"}));
        }
        spec["initContainers"] = json!(inits);
    }
    if (draw >> 48).is_multiple_of(6) {
        spec["activeDeadlineSeconds"] = json!(20);
    }
    spec
}

fn history(seed: u64) -> String {
    let bed = Bed::new(seed);
    for _ in 0..24 {
        let draw = bed.sim.draw();
        let name = format!("p{}", (draw >> 4) % 5);
        match draw % 16 {
            0..=6 => {
                if bed.get(&name).is_none() {
                    bed.pod(&name, spec(bed.sim.draw()));
                }
            }
            7..=10 => bed.delete(&name, [0, 1, 5, 30][(draw >> 20) as usize % 4]),
            11 => {
                let running = bed.runtime.running();
                if let Some((_, id)) = running.get((draw >> 24) as usize % running.len().max(1)) {
                    bed.runtime.end_container(id, (draw >> 40) as i32 & 1);
                }
            }
            12 => {
                for _ in 0..(draw >> 20) % 40 {
                    bed.sim.step();
                }
            }
            _ => bed.run_for((draw >> 20) % 9),
        }
        bed.trace();
    }
    bed.run_for(90);
    bed.check();
    bed.trace();
    for name in ["p0", "p1", "p2", "p3", "p4"] {
        bed.delete(name, 5);
    }
    bed.run_for(120);
    bed.check();
    assert_eq!(bed.runtime.list().unwrap(), [], "seed {seed}\n{}", bed.trace());
    assert_eq!(bed.network.attached(), [] as [String; 0], "seed {seed}");
    format!("{}\n{:?}", bed.trace(), bed.events())
}

#[test]
fn one_seed() {
    // `SEED=17 cargo test one_seed -- --nocapture` shows one history.
    if let Ok(seed) = std::env::var("SEED") {
        println!("{}", history(seed.parse().unwrap()));
    }
}

fn replay(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
}

/// How many seeds each of the two tests runs; `CORACLE_SEEDS=150` for a long run.
fn count() -> u64 {
    std::env::var("CORACLE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn random_lives_end_well_and_replay() {
    replay(0..count());
}

#[test]
fn more_random_lives_end_well_and_replay() {
    replay(1000..1000 + count());
}
