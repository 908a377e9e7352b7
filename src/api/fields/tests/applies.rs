//! Applies and updates over plain values: who owns what, step by step.

use super::*;

/// One object and its account, changed by scripted requests.
struct Bench {
    live: Value,
    managed: ManagedFields,
    now: i64,
}

/// How the account is shown: one line a manager.
pub(super) fn account(managed: &ManagedFields) -> Vec<String> {
    let line = |entry: &Entry| {
        let time = entry.time.map_or("never".to_owned(), |time| time.to_string());
        let operation = entry.operation.as_str().to_lowercase();
        format!("{} {operation} at {time}: {}", entry.manager, show(&entry.fields))
    };
    managed.entries().iter().map(line).collect()
}

impl Bench {
    fn request(&mut self, line: &str) -> String {
        let [verb, manager, text] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut object = yaml(text);
        object["apiVersion"] = "example.com/v1".into();
        object["kind"] = "Thing".into();
        self.now += 1;
        let none = Set::default();
        let writer =
            Writer { manager, api_version: "example.com/v1", subresource: "", now: self.now, reset: &none };
        match verb {
            "update" => {
                let difference = compare(shape().root(), &self.live, &object).unwrap();
                self.managed = update(&self.managed, &difference, &writer);
                self.live = object;
            }
            "apply" | "force" => {
                let force = verb == "force";
                match apply(shape(), &self.live, &object, &self.managed, &writer, force) {
                    Ok(outcome) => {
                        self.managed = outcome.managed;
                        self.live = outcome.object.unwrap_or_else(|| self.live.clone());
                    }
                    Err(refused) => return format!("! {refused}"),
                }
            }
            other => panic!("{other}"),
        }
        let mut shown = self.live.clone();
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        let lines: Vec<String> = [shown.to_string()].into_iter().chain(account(&self.managed)).collect();
        lines.join("\n")
    }
}

/// Scripts: `== title`, then requests (`> verb manager object`), below each what becomes of the object and the account.
#[test]
fn scripts() {
    let text = include_str!("applies.txt");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for script in text.split("\n== ").skip(1) {
        let title = script.lines().next().unwrap_or_default();
        let mut bench = Bench { live: json!({}), managed: ManagedFields::default(), now: 0 };
        for step in script.split("\n> ").skip(1) {
            let (request, expected) = step.split_once('\n').unwrap_or((step, ""));
            let got = bench.request(request);
            count += 1;
            if got.trim_end() != expected.trim_end() {
                wrong.push(format!(
                    "{title}: {request}\n--- got\n{got}\n--- expected\n{}",
                    expected.trim_end()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= 60, "{count} steps");
}
