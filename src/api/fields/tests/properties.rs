//! Properties of applies and updates in any order.

use proptest::test_runner::RngSeed;

use super::*;

/// Some object of the shape, small enough that objects meet often.
fn some_object() -> impl Strategy<Value = Value> {
    let number = || prop::option::of(0..3i64);
    let map = prop::option::of(prop::collection::btree_map("[a-c]", "[x-z]", 0..3));
    let whole = prop::option::of(prop::collection::btree_map("[a-c]", "[x-z]", 0..2));
    let set = prop::option::of(prop::collection::btree_set("[a-d]", 0..3));
    let list = prop::option::of(prop::collection::vec("[a-c]", 0..3));
    let inner = prop::option::of((number(), number()));
    let keyed = prop::option::of(prop::collection::btree_map("[x-z]", (number(), number()), 0..3));
    let free = prop::option::of(prop_oneof![
        Just(json!(1)),
        Just(json!([1])),
        Just(json!({"a": 1})),
        Just(json!({"b": {"c": 2}}))
    ]);
    (number(), map, whole, set, list, inner, keyed, free).prop_map(
        |(number, map, whole, set, list, inner, keyed, free)| {
            let mut spec = serde_json::Map::new();
            let mut put = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    spec.insert(name.to_owned(), value);
                }
            };
            let pair = |(a, b): (Option<i64>, Option<i64>)| {
                let fields =
                    [("a", a), ("b", b)].into_iter().filter_map(|(n, v)| Some((n.to_owned(), json!(v?))));
                Value::Object(fields.collect())
            };
            put("number", number.map(Value::from));
            put("map", map.map(|map| json!(map)));
            put("whole", whole.map(|map| json!(map)));
            put("set", set.map(|set| json!(set)));
            put("list", list.map(|list| json!(list)));
            put("inner", inner.map(pair));
            put("free", free);
            let items = keyed.map(|keyed| {
                let item = |(name, (value, a)): (String, (Option<i64>, Option<i64>))| {
                    let mut item = json!({"name": name});
                    if let Some(value) = value {
                        item["value"] = value.into();
                    }
                    if let Some(a) = a {
                        item["more"] = json!({"a": a});
                    }
                    item
                };
                Value::Array(keyed.into_iter().map(item).collect())
            });
            put("keyed", items);
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": spec})
        },
    )
}

#[derive(Clone, Debug)]
struct Request {
    manager: String,
    object: Value,
    verb: u8,
}

fn some_requests() -> impl Strategy<Value = Vec<Request>> {
    let request = ("[mno]", some_object(), 0..3u8).prop_map(|(manager, object, verb)| Request {
        manager,
        object,
        verb,
    });
    prop::collection::vec(request, 1..8)
}

/// Does a request; whether it was an apply that succeeded.
fn perform(live: &mut Value, managed: &mut ManagedFields, request: &Request, now: i64) -> bool {
    let none = Set::default();
    let writer = Writer {
        manager: &request.manager,
        api_version: "example.com/v1",
        subresource: "",
        now,
        reset: &none,
    };
    if request.verb == 0 {
        let difference = compare(shape().root(), live, &request.object).unwrap();
        *managed = update(managed, &difference, &writer);
        *live = request.object.clone();
        return false;
    }
    let force = request.verb == 2;
    match apply(shape(), live, &request.object, managed, &writer, force) {
        Ok(outcome) => {
            *managed = outcome.managed;
            *live = outcome.object.unwrap_or_else(|| live.clone());
            true
        }
        Err(ApplyError::Conflicts(conflicts)) => {
            assert!(!force && !conflicts.is_empty());
            false
        }
        Err(other) => panic!("{other}"),
    }
}

/// The object without what is empty: an empty part has no owner once the last of its fields went with somebody else's write.
fn without_empty(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let fields = fields.iter().map(|(name, value)| (name.clone(), without_empty(value)));
    let is_empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    Value::Object(fields.filter(|(_, value)| !is_empty(value)).collect())
}

/// The fields of an object that have no further fields below them.
fn leaves(set: &Set) -> Vec<Vec<Element>> {
    let mut all: Vec<Vec<Element>> = Vec::new();
    set.each(&mut |path| all.push(path.to_vec()));
    let inner: BTreeSet<Vec<Element>> =
        all.iter().flat_map(|path| (1..path.len()).map(|end| path[..end].to_vec())).collect();
    all.retain(|path| !inner.contains(path));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn an_apply_said_twice_changes_nothing(requests in some_requests(), last in some_object()) {
        let (mut live, mut managed) = (json!({}), ManagedFields::default());
        for (now, request) in requests.iter().enumerate() {
            perform(&mut live, &mut managed, request, now as i64);
        }
        let last = Request { manager: "last".to_owned(), object: last, verb: 2 };
        perform(&mut live, &mut managed, &last, 100);
        let before = (live.clone(), managed.clone());
        // Also without force: it owns what it says.
        let again = Request { verb: 1, ..last };
        prop_assert!(perform(&mut live, &mut managed, &again, 200));
        prop_assert_eq!((live, managed), before);
    }

    #[test]
    fn every_leaf_has_an_owner(requests in some_requests()) {
        let (mut live, mut managed) = (json!({}), ManagedFields::default());
        for (now, request) in requests.iter().enumerate() {
            perform(&mut live, &mut managed, request, now as i64);
            let owned = managed.entries().iter().fold(Set::default(), |all, entry| all.union(&entry.fields));
            for leaf in leaves(&field_set(shape().root(), &without_empty(&live))) {
                let named = leaf[0].name().is_some_and(|name| ["apiVersion", "kind"].contains(&name));
                prop_assert!(named || owned.has(&leaf), "{} is nobody's: {managed:?}", show_path(&leaf));
            }
        }
    }

    #[test]
    fn an_applier_owns_what_it_says_and_the_object_says_it(requests in some_requests()) {
        let (mut live, mut managed) = (json!({}), ManagedFields::default());
        for (now, request) in requests.iter().enumerate() {
            if !perform(&mut live, &mut managed, request, now as i64) {
                continue;
            }
            let said = field_set(shape().root(), &request.object);
            let mut own = said.clone();
            own = own.difference(&Set::of_names(&[&["apiVersion"], &["kind"]]));
            let entry = managed.entries().iter().find(|entry| {
                *entry.manager == *request.manager && entry.operation == Operation::Apply
            });
            prop_assert_eq!(entry.map(|entry| (*entry.fields).clone()).unwrap_or_default(), own);
            let merged = merge(shape().root(), &live, &request.object).unwrap();
            prop_assert_eq!(without_empty(&merged), without_empty(&live));
        }
    }

    #[test]
    fn accounts_are_read_as_they_are_written(requests in some_requests()) {
        let (mut live, mut managed) = (json!({}), ManagedFields::default());
        for (now, request) in requests.iter().enumerate() {
            perform(&mut live, &mut managed, request, now as i64);
        }
        prop_assert_eq!(ManagedFields::decode(&managed.encode()), Ok(managed.clone()));
        let mut json = Vec::new();
        managed.write_json(&mut json);
        let written: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(written, serde_json::to_value(managed.encode()).unwrap());
        prop_assert_eq!(&*Interner::default().managed(managed.clone()), &managed);
    }

    #[test]
    fn bodies_compare_as_their_objects_do(old in some_object(), new in some_object()) {
        let by_value = compare(shape().root(), &old, &new);
        let by_body =
            compare_bodies(shape().root(), old.to_string().as_bytes(), new.to_string().as_bytes());
        prop_assert_eq!(by_body, by_value);
    }

    #[test]
    fn equal_outlines_have_equal_sets(one in some_object(), other in some_object()) {
        let keys = OutlineKeys::new();
        let of = |object: &Value| {
            let set = compare(shape().root(), &json!({}), object).unwrap().added;
            (Outline::of(keys, 7, shape().root(), object), set)
        };
        let ((a, of_a), (b, of_b)) = (of(&one), of(&other));
        prop_assert!(a != b || of_a == of_b, "{one} and {other}");
    }

    #[test]
    fn sets_obey_arithmetic(one in some_object(), other in some_object()) {
        let (a, b) = (field_set(shape().root(), &one), field_set(shape().root(), &other));
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(Set::from_value(&a.to_value()), Ok(a));
    }
}
