//! Schemas and what they do to objects: upstream's errors, pruning and defaults.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::{Value, json};

use super::{Schema, embedded, fill, formats, lists, openapi, prune, validate};
use crate::api::cel::{self, Ratchet, Spent};
use crate::api::error::{FieldErrors, FieldPath};
use crate::limits::{SCHEMA_DEPTH, SCHEMA_NODES};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|cause| panic!("{text}: {cause}"))
}

fn props(text: &str) -> JSONSchemaProps {
    serde_json::from_value(yaml(text)).unwrap_or_else(|cause| panic!("{text}: {cause}"))
}

fn told(errors: FieldErrors) -> String {
    let texts: Vec<String> = errors.into_list().iter().map(ToString::to_string).collect();
    if texts.is_empty() { "ok".to_owned() } else { texts.join(" | ") }
}

/// What is wrong with an object, all rules together.
fn judge(schema: &str, object: &str, old: Option<&str>) -> String {
    let schema = Schema::parse(&props(schema)).unwrap();
    let (value, old) = (yaml(object), old.map(yaml));
    let mut errors = FieldErrors::default();
    validate::validate(&value, old.as_ref(), &schema, "", &mut errors);
    if let Value::Object(fields) = &value {
        embedded::validate(fields, &schema, &mut errors);
        lists::validate(fields, &schema, None, &mut errors);
    }
    if errors.is_empty() {
        let ratchet = Ratchet::of(&value, old.as_ref());
        cel::validate(&value, old.as_ref(), &schema, true, None, ratchet, &mut Spent::default(), &mut errors);
    }
    told(errors)
}

/// The object as it would be stored.
fn shape(schema: &str, object: &str) -> String {
    let schema = Schema::parse(&props(schema)).unwrap();
    let Value::Object(mut fields) = yaml(object) else { panic!("{object}") };
    prune::prune_root(&mut fields, &schema);
    fill::drop_nulls(&mut fields, &schema);
    fill::fill(&mut fields, &schema);
    let once = fields.clone();
    fill::fill(&mut fields, &schema);
    assert_eq!(once, fields, "filling twice is filling once");
    Value::Object(fields).to_string()
}

/// What is wrong with a schema.
fn structural(schema: &str) -> String {
    let mut errors = FieldErrors::default();
    openapi::validate(&props(schema), false, &FieldPath::new("s"), &mut errors);
    told(errors)
}

/// `schema ; object => result`, one a line. A line without a schema takes that of the line before. An object may
/// be followed by `<- old`.
fn check(table: &str, run: impl Fn(&str, &str) -> String) {
    let (mut schema, mut wrong) = (String::new(), Vec::new());
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (given, expected) = line.rsplit_once(" => ").unwrap_or_else(|| panic!("{line}"));
        let object = match given.split_once(" ; ") {
            Some((first, object)) => {
                schema = first.to_owned();
                object
            }
            None => given.trim_start_matches("; "),
        };
        let found = run(&schema, object);
        if found != expected {
            wrong.push(format!("{given}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_objects(table: &str) {
    check(table, |schema, object| match object.split_once(" <- ") {
        Some((new, old)) => judge(schema, new, Some(old)),
        None => judge(schema, object, None),
    });
}

#[test]
fn values_and_their_types() {
    check_objects(
        r#"
        {type: object, properties: {a: {type: integer}}} ; {a: 1} => ok
        ; {a: 1.0} => ok
        ; {a: 1.5} => a: Invalid value: "number": a in body must be of type integer: "number"
        ; {a: x} => a: Invalid value: "string": a in body must be of type integer: "string"
        ; {a: true} => a: Invalid value: "boolean": a in body must be of type integer: "boolean"
        ; {a: null} => a: Invalid value: "null": a in body must be of type integer: "null"
        ; {a: [1]} => a: Invalid value: "array": a in body must be of type integer: "array"
        {type: object, properties: {a: {type: integer, nullable: true}}} ; {a: null} => ok
        {type: object, properties: {a: {type: number}}} ; {a: 1} => ok
        {type: object, properties: {a: {type: string}}} ; {a: 1} => a: Invalid value: "integer": a in body must be of type string: "integer"
        {type: object, properties: {a: {type: boolean}}} ; {a: yes please} => a: Invalid value: "string": a in body must be of type boolean: "string"
        {type: object, properties: {a: {x-kubernetes-int-or-string: true}}} ; {a: 1} => ok
        ; {a: "50%"} => ok
        ; {a: 1.5} => a: Invalid value: "number": a in body must be of type integer,string: "number"
        ; {a: {}} => a: Invalid value: "object": a in body must be of type integer,string: "object"
        {type: object, properties: {a: {type: integer, minimum: 1, maximum: 5}}} ; {a: 0} => a: Invalid value: 0: a in body should be greater than or equal to 1
        ; {a: 6} => a: Invalid value: 6: a in body should be less than or equal to 5
        ; {a: 5} => ok
        {type: object, properties: {a: {type: number, minimum: 1, exclusiveMinimum: true, maximum: 2, exclusiveMaximum: true}}} ; {a: 1} => a: Invalid value: 1: a in body should be greater than 1
        ; {a: 2} => a: Invalid value: 2: a in body should be less than 2
        ; {a: 1.5} => ok
        {type: object, properties: {a: {type: integer, multipleOf: 5}}} ; {a: 7} => a: Invalid value: 7: a in body should be a multiple of 5
        ; {a: 10} => ok
        {type: object, properties: {a: {type: number, multipleOf: 0.1}}} ; {a: 0.3} => ok
        {type: object, properties: {a: {type: integer, format: int32}}} ; {a: 3000000000} => <nil>: Invalid value: "": Checked value must be of type integer with format int32 in a
        {type: object, properties: {a: {type: string, minLength: 2, maxLength: 3}}} ; {a: x} => a: Invalid value: "x": a in body should be at least 2 chars long
        ; {a: xxxx} => a: Too long: may not be more than 3 bytes
        ; {a: 'äöü'} => ok
        {type: object, properties: {a: {type: string, pattern: '^[a-z]+$'}}} ; {a: A1} => a: Invalid value: "A1": a in body should match '^[a-z]+$'
        ; {a: abc} => ok
        {type: object, properties: {a: {type: string, enum: [x, y]}}} ; {a: z} => a: Unsupported value: "z": supported values: "x", "y"
        ; {a: x} => ok
        {type: object, properties: {a: {type: integer, enum: [1, 2]}}} ; {a: 3} => a: Unsupported value: 3: supported values: "1", "2"
        {type: object, required: [a], properties: {a: {type: string}}} ; {} => a: Required value
        {type: object, properties: {b: {type: object, required: [a], properties: {a: {type: string}}}}} ; {b: {}} => b.a: Required value
        {type: object, properties: {a: {type: array, minItems: 1, maxItems: 2, items: {type: integer}}}} ; {a: []} => a: Invalid value: 0: a in body should have at least 1 items
        ; {a: [1, 2, 3]} => a: Too many: 3: must have at most 2 items
        ; {a: [1, x]} => a[1]: Invalid value: "string": a[1] in body must be of type integer: "string"
        {type: object, properties: {a: {type: object, minProperties: 1, maxProperties: 1, additionalProperties: {type: integer}}}} ; {a: {}} => a: Invalid value: 0: a in body should have at least 1 properties
        ; {a: {x: 1, y: 2}} => a: Too many: 2: must have at most 1 items
        ; {a: {x: y}} => a.x: Invalid value: "string": a.x in body must be of type integer: "string"
        {type: object, properties: {a: {type: string, anyOf: [{pattern: ^a}, {pattern: ^b}]}}} ; {a: b} => ok
        ; {a: c} => <nil>: Invalid value: "": "a" must validate at least one schema (anyOf) | a: Invalid value: "c": a in body should match '^a'
        {type: object, properties: {a: {type: string, oneOf: [{pattern: ^a}, {pattern: b$}]}}} ; {a: a} => ok
        ; {a: ab} => <nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives
        ; {a: c} => <nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found none valid | a: Invalid value: "c": a in body should match '^a'
        {type: object, properties: {a: {type: string, allOf: [{pattern: ^a}, {pattern: b$}]}}} ; {a: ab} => ok
        ; {a: a} => a: Invalid value: "a": a in body should match 'b$' | <nil>: Invalid value: "": "a" must validate all the schemas (allOf)
        ; {a: c} => a: Invalid value: "c": a in body should match '^a' | a: Invalid value: "c": a in body should match 'b$' | <nil>: Invalid value: "": "a" must validate all the schemas (allOf). None validated
        {type: object, properties: {a: {type: string, not: {pattern: ^a}}}} ; {a: a} => <nil>: Invalid value: "": "a" must not validate the schema (not)
        ; {a: b} => ok
        {type: object, properties: {a: {type: string, format: ipv4}}} ; {a: x} => a: Invalid value: "x": a in body must be of type ipv4: "x"
        ; {a: 1.2.3.4} => ok
        {type: object, properties: {a: {type: string, format: whatever}}} ; {a: x} => ok
        "#,
    );
}

#[test]
fn what_has_not_changed_is_forgiven() {
    check_objects(
        r#"
        {type: object, properties: {a: {type: string, pattern: ^a}, b: {type: string}}} ; {a: x, b: y} <- {a: x, b: z} => ok
        ; {a: y} <- {a: x} => a: Invalid value: "y": a in body should match '^a'
        {type: object, properties: {l: {type: array, items: {type: string, pattern: ^a}}}} ; {l: [x]} <- {l: [x]} => ok
        ; {l: [x, a]} <- {l: [x]} => l[0]: Invalid value: "x": l[0] in body should match '^a'
        {type: object, properties: {l: {type: array, x-kubernetes-list-type: set, items: {type: string, pattern: ^a}}}} ; {l: [x, a]} <- {l: [x]} => ok
        {type: object, properties: {l: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}, v: {type: string, pattern: ^a}}}}}} ; {l: [{k: b, v: a}, {k: a, v: x}]} <- {l: [{k: a, v: x}]} => ok
        ; {l: [{k: a, v: y}]} <- {l: [{k: a, v: x}]} => l[0].v: Invalid value: "y": l[0].v in body should match '^a'
        {type: object, required: [r], properties: {a: {type: string}, r: {type: string}}} ; {a: x} <- {a: y} => r: Required value
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5}]}, b: {type: string}}} ; {a: 1, b: x} <- {a: 1, b: y} => ok
        ; {a: 2} <- {a: 1} => a: Invalid value: 2: failed rule: self > 5
        "#,
    );
}

#[test]
fn rules() {
    check_objects(
        r#"
        {type: object, x-kubernetes-validations: [{rule: self.a <= self.b}], properties: {a: {type: integer}, b: {type: integer}}} ; {a: 1, b: 2} => ok
        ; {a: 3, b: 2} => <nil>: Invalid value: failed rule: self.a <= self.b
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5, message: too small}]}}} ; {a: 1} => a: Invalid value: 1: too small
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5, messageExpression: '"is " + string(self)'}]}}} ; {a: 1} => a: Invalid value: 1: is 1
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5, messageExpression: 'self / 0', message: plain}]}}} ; {a: 1} => a: Invalid value: 1: plain
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5, reason: FieldValueForbidden}]}}} ; {a: 1} => a: Forbidden: failed rule: self > 5
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5, reason: FieldValueRequired}]}}} ; {a: 1} => a: Required value: failed rule: self > 5
        {type: object, properties: {s: {type: object, x-kubernetes-validations: [{rule: self.a > 5, fieldPath: .a}], properties: {a: {type: integer}}}}} ; {s: {a: 1}} => s.a: Invalid value: failed rule: self.a > 5
        {type: object, properties: {a: {type: string, x-kubernetes-validations: [{rule: self == oldSelf, message: is fixed}]}}} ; {a: x} => ok
        ; {a: y} <- {a: x} => a: Invalid value: "y": is fixed
        ; {a: x} <- {a: x} => ok
        ; {a: x} <- {} => ok
        {type: object, properties: {a: {type: string, x-kubernetes-validations: [{rule: 'oldSelf.hasValue() || self == "new"', optionalOldSelf: true}]}}} ; {a: new} => ok
        ; {a: other} => a: Invalid value: "other": failed rule: oldSelf.hasValue() || self == "new"
        ; {a: other} <- {a: new} => ok
        {type: object, properties: {l: {type: array, items: {type: integer, x-kubernetes-validations: [{rule: self > 0}]}}}} ; {l: [1, -1]} => l[1]: Invalid value: -1: failed rule: self > 0
        {type: object, properties: {m: {type: object, additionalProperties: {type: integer, x-kubernetes-validations: [{rule: self > 0}]}}}} ; {m: {a: -1}} => m[a]: Invalid value: -1: failed rule: self > 0
        {type: object, properties: {l: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, x-kubernetes-validations: [{rule: self.v >= oldSelf.v}], properties: {k: {type: string}, v: {type: integer}}}}}} ; {l: [{k: b, v: 1}, {k: a, v: 1}]} <- {l: [{k: a, v: 2}]} => l[1]: Invalid value: failed rule: self.v >= oldSelf.v
        {type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: 'self / 0 == 1'}]}}} ; {a: 1} => a: Invalid value: "integer": division by zero evaluating rule: self / 0 == 1
        {type: object, properties: {a: {x-kubernetes-int-or-string: true, x-kubernetes-validations: [{rule: 'self + 1 > 0'}]}}} ; {a: x} => a: Invalid value: "": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self + 1 > 0
        {type: object, x-kubernetes-validations: [{rule: self.metadata.name == 'n'}]} ; {metadata: {name: n}} => ok
        "#,
    );
}

#[test]
fn a_rule_that_never_ends_and_thousands_of_rules() {
    let schema = "{type: object, properties: {l: {type: array, items: {type: integer}, x-kubernetes-validations: [{rule: \
                  'self.all(a, self.all(b, self.all(c, true)))'}]}}}";
    let object = json!({"l": (0..500).collect::<Vec<u32>>()}).to_string();
    let found = judge(schema, &object, None);
    assert!(found.contains("operation cancelled: actual cost limit exceeded"), "{found}");
    let rules: Vec<Value> = (0..2000)
        .map(|at| json!({"rule": format!("self.all(x, self.all(y, x + y >= {at} - 5000))")}))
        .collect();
    let schema = json!({"type": "object", "properties": {"l": {"type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": rules}}});
    let object = json!({"l": (0..100).collect::<Vec<u32>>()}).to_string();
    let found = judge(&schema.to_string(), &object, None);
    assert!(found.contains("running out of cost budget"), "{found}");
    let rules: Vec<Value> = (0..20_000).map(|_| json!({"rule": "true"})).collect();
    let schema = json!({"type": "object", "x-kubernetes-validations": rules});
    assert!(Schema::parse(&props(&schema.to_string())).is_err());
}

#[test]
fn lists_and_embedded_objects() {
    check_objects(
        r#"
        {type: object, properties: {l: {type: array, x-kubernetes-list-type: set, items: {type: string}}}} ; {l: [a, b]} => ok
        ; {l: [a, b, a, a]} => l[2]: Duplicate value: "a"
        {type: object, properties: {l: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}}}}}} ; {l: [{k: a}, {k: b}]} => ok
        ; {l: [{k: a}, {k: a}]} => l[1]: Duplicate value: {"k":"a"}
        ; {l: [{}, {}]} => l[1]: Duplicate value: {}
        {type: object, properties: {o: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}}} ; {o: {apiVersion: v1, kind: Pod, metadata: {name: n}}} => ok
        ; {o: {}} => o.apiVersion: Required value | o.kind: Required value
        ; {o: {apiVersion: a/b/c, kind: Pod}} => o.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c
        ; {o: {apiVersion: v1, kind: ''}} => o.kind: Invalid value: "": must not be empty
        "#,
    );
}

#[test]
fn pruning_and_defaults() {
    check(
        r#"
        {type: object, properties: {a: {type: string}}} ; {a: x, b: y} => {"a":"x"}
        {type: object, properties: {a: {type: object, properties: {b: {type: string}}}}} ; {a: {b: x, c: y}} => {"a":{"b":"x"}}
        {type: object, properties: {a: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {b: {type: object, properties: {c: {type: string}}}}}}} ; {a: {b: {c: x, d: y}, e: z}} => {"a":{"b":{"c":"x"},"e":"z"}}
        {type: object, properties: {a: {type: object, additionalProperties: {type: object, properties: {b: {type: string}}}}}} ; {a: {x: {b: y, c: z}}} => {"a":{"x":{"b":"y"}}}
        {type: object, properties: {l: {type: array, items: {type: object, properties: {b: {type: string}}}}}} ; {l: [{b: x, c: y}]} => {"l":[{"b":"x"}]}
        {type: object, x-kubernetes-preserve-unknown-fields: true} ; {a: {b: c}} => {"a":{"b":"c"}}
        {type: object, properties: {o: {type: object, x-kubernetes-embedded-resource: true, properties: {spec: {type: object}}}}} ; {o: {apiVersion: v1, kind: K, metadata: {x: y}, spec: {a: b}, z: 1}} => {"o":{"apiVersion":"v1","kind":"K","metadata":{"x":"y"},"spec":{}}}
        {type: object, properties: {a: {type: string, default: x}}} ; {} => {"a":"x"}
        ; {a: null} => {"a":"x"}
        ; {a: y} => {"a":"y"}
        {type: object, properties: {a: {type: string, nullable: true, default: x}}} ; {a: null} => {"a":null}
        {type: object, properties: {a: {type: string}}} ; {a: null} => {}
        {type: object, properties: {a: {type: object, properties: {b: {type: integer, default: 5}}}}} ; {} => {}
        ; {a: {}} => {"a":{"b":5}}
        {type: object, properties: {a: {type: object, default: {}, properties: {b: {type: integer, default: 5}}}}} ; {} => {"a":{"b":5}}
        {type: object, properties: {l: {type: array, items: {type: object, properties: {b: {type: string, default: x}}}}}} ; {l: [{}, {b: y}]} => {"l":[{"b":"x"},{"b":"y"}]}
        {type: object, properties: {m: {type: object, additionalProperties: {type: object, properties: {b: {type: string, default: x}}}}}} ; {m: {k: {}}} => {"m":{"k":{"b":"x"}}}
        "#,
        shape,
    );
}

#[test]
fn schemas_themselves() {
    check(
        r#"
        x ; {type: object} => ok
        ; {} => s.type: Required value: must not be empty at the root
        ; {type: string} => s.type: Invalid value: "string": must be object at the root
        ; {type: object, properties: {a: {}}} => s.properties[a].type: Required value: must not be empty for specified object fields
        ; {type: object, properties: {a: {type: array}}} => s.properties[a].items: Required value: must be specified
        ; {type: object, properties: {a: {type: array, items: {}}}} => s.properties[a].items.type: Required value: must not be empty for specified array items
        ; {type: object, properties: {a: {type: thing}}} => s.properties[a].type: Unsupported value: "thing": supported values: "array", "boolean", "integer", "number", "object", "string"
        ; {type: object, nullable: true} => s.nullable: Forbidden: nullable cannot be true at the root
        ; {type: object, additionalProperties: {type: string}} => s.additionalProperties: Forbidden: must not be used at the root
        ; {type: object, properties: {a: {type: object, properties: {b: {type: string}}, additionalProperties: {type: string}}}} => s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive
        ; {type: object, properties: {a: {type: string, anyOf: [{type: string}]}}} => s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural
        ; {type: object, properties: {a: {type: string, allOf: [{description: x}]}}} => s.properties[a].allOf[0].description: Forbidden: must be empty to be structural
        ; {type: object, anyOf: [{properties: {b: {minimum: 1}}}]} => s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]
        ; {type: object, properties: {a: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}}} => ok
        ; {type: object, properties: {a: {x-kubernetes-int-or-string: true, allOf: [{anyOf: [{type: integer}, {type: string}]}, {pattern: x}]}}} => ok
        ; {type: object, properties: {metadata: {type: object, properties: {name: {type: string, pattern: ^a}}}}} => ok
        ; {type: object, properties: {metadata: {type: object, properties: {labels: {type: object}}}}} => s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified
        ; {type: object, properties: {a: {type: string, uniqueItems: true}}} => s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic
        ; {type: object, properties: {a: {$ref: x, type: string}}} => s.properties[a].$ref: Forbidden: $ref is not supported
        ; {type: object, definitions: {a: {type: string}}} => s.definitions: Forbidden: definitions is not supported
        ; {type: object, properties: {a: {type: string, pattern: '('}}} => s.properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn't: regex parse error:     (     ^ error: unclosed group
        ; {type: object, properties: {a: {type: string, default: 5}}} => s.properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"
        ; {type: object, properties: {a: {type: object, default: {x: y}}}} => s.properties[a].default: Invalid value: {"x":"y"}: must not have unknown fields
        ; {type: object, properties: {kind: {type: string, default: x}}} => s.properties[kind].default: Forbidden: must not be set in top-level kind
        ; {type: object, properties: {a: {type: array, x-kubernetes-list-type: map, items: {type: object}}}} => s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map
        ; {type: object, properties: {a: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object}}}} => s.properties[a].x-kubernetes-list-map-keys: Invalid value: ["k"]: entries must all be names of item properties
        ; {type: object, properties: {a: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}}}}}} => s.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property
        ; {type: object, properties: {a: {type: array, x-kubernetes-list-type: set, items: {type: string, nullable: true}}}} => s.properties[a].items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set
        ; {type: object, properties: {a: {type: string, x-kubernetes-list-type: set}}} => s.properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified
        ; {type: object, properties: {a: {type: array, x-kubernetes-list-type: bag, items: {type: string}}}} => s.properties[a].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"
        ; {type: object, properties: {a: {type: string, x-kubernetes-map-type: atomic}}} => s.properties[a].type: Invalid value: "string": must be object if x-kubernetes-map-type is specified
        ; {type: object, x-kubernetes-validations: [{rule: ''}]} => s.x-kubernetes-validations[0].rule: Required value: rule is not specified
        ; {type: object, x-kubernetes-validations: [{rule: 'true', reason: No}]} => s.x-kubernetes-validations[0].reason: Unsupported value: "No": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"
        ; {type: object, x-kubernetes-validations: [{rule: 'true', fieldPath: .b}], properties: {a: {type: string}}} => s.x-kubernetes-validations[0].fieldPath: Invalid value: ".b": must be a valid path
        ; {type: object, x-kubernetes-validations: [{rule: 'true', optionalOldSelf: true}]} => s.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule
        ; {type: object, properties: {a: {type: array, items: {type: string, x-kubernetes-validations: [{rule: self == oldSelf}]}}}} => s.properties[a].items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[a]
        ; {type: object, properties: {a: {type: string, anyOf: [{x-kubernetes-validations: [{rule: 'true'}]}]}}} => s.properties[a].anyOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural
        ; {type: object, x-kubernetes-validations: [{rule: other == 1}]} => s.x-kubernetes-validations[0].rule: Invalid value: {"rule":"other == 1"}: compilation failed: undeclared reference to 'other' (in container '')
        "#,
        |_, schema| structural(schema),
    );
}

#[test]
fn schemas_that_blow_up_are_refused_soon() {
    let mut deep = JSONSchemaProps { type_: Some("object".into()), ..Default::default() };
    for _ in 0..SCHEMA_DEPTH + 5 {
        let inner = std::mem::take(&mut deep);
        deep.type_ = Some("object".into());
        deep.properties = Some([("a".to_owned(), inner)].into());
    }
    let mut errors = FieldErrors::default();
    openapi::validate(&deep, true, &FieldPath::new("s"), &mut errors);
    assert!(told(errors).contains("too deep"));
    let leaf = JSONSchemaProps { type_: Some("string".into()), ..Default::default() };
    let wide = JSONSchemaProps {
        type_: Some("object".into()),
        properties: Some((0..SCHEMA_NODES + 1).map(|at| (at.to_string(), leaf.clone())).collect()),
        ..Default::default()
    };
    let mut errors = FieldErrors::default();
    openapi::validate(&wide, false, &FieldPath::new("s"), &mut errors);
    assert!(told(errors).contains("too large"));
    for pattern in ["(((a{100}){100}){100})", "(?:a|b){1000000}"] {
        assert!(super::compile_pattern(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn texts_of_a_format() {
    for (format, good, bad) in [
        ("ipv4", "1.2.3.4", "1.2.3"),
        ("ipv6", "::1", "1.2.3.4"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("uuid", "123E4567-e89b-12d3-a456-426614174000", "123"),
        ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ("email", "a@b.c", "a.b"),
        ("hostname", "example.com", "-a"),
        ("uri", "https://example.com", "a b"),
        ("byte", "QUI=", "QUI"),
        ("date", "2021-02-28", "2021-02-30"),
        ("date-time", "2021-02-28T01:02:03Z", "2021-02-28"),
        ("datetime", "2021-02-28T01:02:03.5+02:00", "x"),
        ("duration", "1h30m", "x"),
        ("duration", "3 days", ""),
        ("isbn", "0321751043", "0321751044"),
        ("isbn13", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("ssn", "123-45-6789", "12-3"),
        ("hexcolor", "#FFF", "#FF"),
        ("rgbcolor", "rgb(1, 2, 3)", "rgb(1,2,300)"),
        ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
        ("k8s-short-name", "a-b", "a.b"),
        ("k8s-long-name", "a.b", "A"),
    ] {
        assert!(formats::is_known(format), "{format}");
        assert!(formats::is(format, good), "{format} {good}");
        assert!(!formats::is(format, bad), "{format} {bad}");
    }
    assert!(!formats::is_known("whatever") && formats::is("whatever", "x") && formats::is("password", ""));
}
