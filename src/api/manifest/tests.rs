//! Tables and properties of `api::manifest`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::limits::MANIFEST_DEPTH;

fn values(text: &str) -> Vec<Value> {
    let documents = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().map(|document| document.value).collect()
}

fn value(text: &str) -> Value {
    let [value] = <[Value; 1]>::try_from(values(text)).expect("one document");
    value
}

/// Blocks of YAML, a line `=>`, and the error; parted by blank lines.
fn check_errors(table: &str) {
    for block in table.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let (text, expected) = block.split_once("\n=> ").expect("a block has an arrow");
        let text = text.trim_start_matches('\n').replace("<tab>", "\t");
        let error = read(&text).expect_err(&text).to_string();
        assert_eq!(error, expected.trim_end(), "{text}");
    }
}

#[test]
fn scalars_are_those_of_yaml_1_1() {
    let table = r#"
        0644 -> 420; 0o644 -> 420; 0x1F -> 31; 0b11 -> 3; -0b11 -> -3; 1_000 -> 1000; 08 -> 8; 0_7 -> 7
        +5 -> 5; -0 -> 0; 00 -> 0; 1e3 -> 1000; 12e03 -> 12000; 1.5 -> 1.5; .5 -> 0.5; 1. -> 1; -.5 -> -0.5
        1e400 -> "1e400"; 0x -> "0x"; . -> "."; + -> "+"; 1e-7 -> 1e-7; -0644 -> -420; 0o9 -> "0o9"
        18446744073709551615 -> 18446744073709551615; 18446744073709551616 -> 18446744073709551616.0
        -9223372036854775808 -> -9223372036854775808
        yes -> true; no -> false; on -> true; Off -> false; y -> true; N -> false; TRUE -> true
        tRUE -> "tRUE"; yEs -> "yEs"; ~ -> null; null -> null; NULL -> null; nULL -> "nULL"
        2001-01-01 -> "2001-01-01"; 2001-12-14t21:59:43.10-05:00 -> "2001-12-14t21:59:43.10-05:00"
        12:30:45 -> "12:30:45"; 1.2.3 -> "1.2.3"; 10Mi -> "10Mi"; '5' -> "5"; "yes" -> "yes"
        !!str 5 -> "5"; !!int "5" -> 5; !custom foo -> "foo"; !!float 5 -> 5; ! 5 -> "5"
        !!binary aGVsbG8= -> "hello"; !!bool on -> true; !!null ~ -> null; !!timestamp 2001-01-01 -> "2001-01-01"
    "#;
    for row in table.split(['\n', ';']).map(str::trim).filter(|row| !row.is_empty()) {
        let (text, expected) = row.split_once(" -> ").expect("a row has an arrow");
        let expected: Value = serde_json::from_str(expected).expect(row);
        assert_eq!(value(&format!("a: {text}\n"))["a"], expected, "{text}");
    }
    assert_eq!(value("a: 123456789.12345678\n")["a"].as_f64(), Some(123_456_789.123_456_78));
}

#[test]
fn keys_become_text() {
    let expected = json!({
        "1": "a", "1.1": "b", "1e+07": "c", "1.0000005e+06": "d", "true": "e", "16": "f", "y": "g"
    });
    assert_eq!(value("1: a\n1.10: b\n1e7: c\n1000000.5: d\ntrue: e\n0x10: f\n\"y\": g\n"), expected);
    // Bare, it is the same key as `true`.
    assert_eq!(read("true: a\ny: b\n").unwrap_err().problem, Problem::DuplicateKey("true".to_owned()));
}

#[test]
fn merges_and_aliases() {
    let read = value(
        "base: &b {x: 1, z: 2}
d1: {<<: *b, x: 3}
d2:
  x: 3
  <<: *b
d3:
  <<: [*b, {x: 7, q: 8}]
d4: {\"<<\": 1}
d5: *b
d6: &s text
d7: *s
",
    );
    let base = json!({"x": 1, "z": 2});
    let expected = json!({
        "base": base, "d1": {"x": 3, "z": 2}, "d2": {"x": 3, "z": 2}, "d3": {"x": 1, "z": 2, "q": 8},
        "d4": {"<<": 1}, "d5": base, "d6": "text", "d7": "text",
    });
    assert_eq!(read, expected);
}

#[test]
fn documents_are_counted_and_placed() {
    let text = "\u{feff}# a comment\r\n---\r\n# nothing\r\n--- # the first\r\na: 1\r\n---\r\n---\r\nb:\r\n  - c: 2\r\n    d: 3\r\n...\r\ne: 4\r\n";
    let documents = read(text).unwrap();
    let places: Vec<_> = documents.iter().map(|document| (document.index, document.line)).collect();
    assert_eq!(places, [(1, 5), (2, 8), (3, 12)]);
    assert_eq!(documents[1].line_of("/b/0/d"), 10);
    assert_eq!(documents[1].line_of("b[0].c"), 9);
    assert_eq!(documents[1].line_of("b[0].missing"), 9);
    assert_eq!(documents[1].line_of("b[7]"), 8);
    assert_eq!(documents[1].line_of("nothing.at.all"), 8);
    for empty in ["", "\n", "# only\n", "---\n---\n", "null\n", "---\n~"] {
        assert_eq!(values(empty), Vec::<Value>::new(), "{empty:?}");
    }
}

#[test]
fn lists_are_replaced_by_their_items() {
    let text = "apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: A
- apiVersion: v1
  kind: PodList
  items:
  - metadata: {name: p}
---
apiVersion: v1
kind: List
items: []
";
    let documents = read(text).unwrap();
    let types: Vec<_> = documents.iter().map(|document| document.type_meta().unwrap().kind).collect();
    assert_eq!(types, ["A", "Pod"]);
    assert_eq!((documents[1].index, documents[1].line), (1, 9));
    assert_eq!(documents[1].line_of("metadata.name"), 9);
}

#[test]
fn json_is_read_too() {
    let text =
        "{\"a\": [1, 1.0, 1e2, -2.5, true, null, \"\\ud83d\\ude00\\/\"],\n\"b\": {}}\n {\n \"c\":\n 5 }";
    let documents = read(text).unwrap();
    assert_eq!(documents[0].value, json!({"a": [1, 1, 100, -2.5, true, null, "😀/"], "b": {}}));
    assert_eq!((documents[1].index, documents[1].line, documents[1].line_of("/c")), (2, 3, 4));
    assert_eq!(value("{a: b, c: [d]}"), json!({"a": "b", "c": ["d"]}));
    assert_eq!(values("{\"a\": 1}\n---\n{\"b\": 2}\n"), [json!({"a": 1}), json!({"b": 2})]);
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error("{\"a\": 1,\n\"a\": 2}"), "document 1, line 2: field a: key \"a\" already set in map");
    assert_eq!(error("{\"a\": 1}\n{\"a\": \n]"), "document 2, line 3: expected a value, found ']'");
}

#[test]
fn errors_name_document_line_and_field() {
    check_errors(
        "
a: 1
b: c: d
=> document 1, line 2: mapping values are not allowed in this context

a: 1
---
metadata:
  name: a
  labels: {x: z}
  name: b
=> document 2, line 6: field metadata.name: key \"name\" already set in map

a:
- b: 1
- <<: 5
=> document 1, line 3: field a[1]: map merge requires map or sequence of maps as the value

a: 1
null: 2
=> document 1, line 2: invalid map key: null

? [a]
: b
=> document 1, line 1: invalid map key: a list

a:
  b: .inf
=> document 1, line 2: field a.b: unsupported value: +Inf

a: !!int foo
=> document 1, line 1: field a: cannot decode `foo` as a !!int

a: &x [*x]
=> document 1, line 1: field a[0]: anchor value contains itself

a: 1
--- b
c: 1
=> document 2, line 2: invalid Yaml document separator: b
",
    );
    for text in
        ["a: 1\nb:\n\tc: 2\n", "a: [1\n", "a: 'b\n", "a: *nowhere\n", "%YAML 1.1\n", "a: \"\\q\"\n", "}"]
    {
        let error = read(text).expect_err(text);
        assert!(matches!(error.problem, Problem::Syntax(_)), "{text:?}: {error}");
    }
    let error = read(b"a: 1\nb: \xff\n").unwrap_err();
    assert_eq!(error.to_string(), "document 1, line 2: the text is not valid UTF-8");
}

#[test]
fn objects_say_what_they_are() {
    let error = |text: &str| read(text).unwrap()[0].type_meta().unwrap_err().to_string();
    assert_eq!(error("# c\nkind: A\n"), "document 1, line 2: apiVersion not set");
    assert_eq!(error("apiVersion: v1\nkind: ''\n"), "document 1, line 1: kind not set");
    assert_eq!(error("a: 1\n"), "document 1, line 1: apiVersion not set, kind not set");
    assert_eq!(error("just text\n"), "document 1, line 1: an object is expected here, not a string");
    assert_eq!(error("- a\n"), "document 1, line 1: an object is expected here, not a list");
    let document = &read("spec:\n  replicas: x\n").unwrap()[0];
    let error = document.error_at("spec.replicas", Problem::Field("Invalid value: \"x\"".to_owned()));
    assert_eq!(error.to_string(), "document 1, line 2: field spec.replicas: Invalid value: \"x\"");
}

#[test]
fn what_blows_up_is_refused() {
    let laughs = (1..12).fold("a0: &a0 [lol, lol]\n".to_owned(), |text, n| {
        let repeated = vec![format!("*a{}", n - 1); 10].join(", ");
        text + &format!("a{n}: &a{n} [{repeated}]\n")
    });
    assert_eq!(read(&laughs).unwrap_err().problem, Problem::Aliasing);
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100));
    assert_eq!(read(&text).unwrap_err().problem, Problem::Aliasing);
    let bomb = laughs.lines().take(6).fold(String::new(), |text, line| text + line + "\n") + "---\n";
    assert!(read(&bomb).is_ok());
    assert_eq!(read(bomb.repeat(40)).unwrap_err().problem, Problem::Aliasing);
    let merged: String = (0..2000).map(|n| format!("k{n}: 1, ")).collect();
    let text = format!("a: &a {{{merged}}}\nb: {{<<: [{}]}}\n", "*a, ".repeat(2000));
    assert_eq!(read(&text).unwrap_err().problem, Problem::Aliasing);
    for (open, close) in [("[", "]"), ("{\"a\": ", "}"), ("{a: ", "}")] {
        let nested = |depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        assert!(read(nested(MANIFEST_DEPTH)).is_ok());
        assert_eq!(read(nested(MANIFEST_DEPTH + 1)).unwrap_err().problem, Problem::Deep);
    }
    assert!(read("[".repeat(1_000_000)).is_err());
    assert!(read("{".repeat(1_000_000)).is_err());
    assert!(read("- ".repeat(100_000)).is_err());
    let chain =
        (1..200).fold("a0: &a0 [1]\n".to_owned(), |text, n| text + &format!("a{n}: &a{n} [*a{}]\n", n - 1));
    assert_eq!(read(&chain).unwrap_err().problem, Problem::Deep);
    assert_eq!(read("---\na: 1\n".repeat(10_001)).unwrap_err().problem, Problem::ManyDocuments);
    assert_eq!(read(vec![b' '; MANIFEST_BYTES + 1]).unwrap_err().problem, Problem::Large);
}

#[test]
fn values_are_printed_as_kubectl_prints_them() {
    let value = json!({
        "b": ["x", ["y", {"k": 1, "j": []}], {}],
        "a": {"yes": "yes", "n": "0644", "t": "2001-01-01", "time": "1:30", "null": "", "s": "a b", "c": "a: b",
              "h": "x #y", "q": "it's", "dash": "- a", "tab": "a\tb", "f": 0.5, "big": 1e21, "bool": true,
              "none": null, "star": "*x", "smile": "😀", "umlaut": "ä", "v": "1.2.3", "o": "on"},
        "text": "one\n two\n\nthree\n", "cut": "a\nb", "keep": "a\n\n", "lead": "\n a\n", "odd": "a \nb\n",
        "list": ["a\nb\n"],
    });
    let expected = r#"a:
  big: 1e+21
  bool: true
  c: 'a: b'
  dash: '- a'
  f: 0.5
  h: 'x #y'
  "n": "0644"
  none: null
  "null": ""
  o: "on"
  q: it's
  s: a b
  smile: "\U0001F600"
  star: '*x'
  t: "2001-01-01"
  tab: "a\tb"
  time: "1:30"
  umlaut: ä
  v: 1.2.3
  "yes": "yes"
b:
- x
- - "y"
  - j: []
    k: 1
- {}
cut: |-
  a
  b
keep: |+
  a

lead: |2

   a
list:
- |
  a
  b
odd: "a \nb\n"
text: |
  one
   two

  three
"#;
    assert_eq!(to_yaml(&value), expected);
    assert_eq!(super::read(expected).unwrap()[0].value, value);
}

#[test]
fn long_lines_are_folded_and_keys_sorted_by_their_numbers() {
    let value = json!({"zz": [{
        "k10": "word ".repeat(20) + "end", "k9": "x: ".repeat(30) + "end", "k1": "a\tb  ".repeat(20),
        "-": 1, "01": 2, "1": 3, "k".repeat(130): [],
    }]});
    let expected = r#"zz:
- '-': 1
  "1": 3
  "01": 2
  k1: "a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb
    \ a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  a\tb  "
  k9: 'x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x: x:
    x: x: x: x: x: end'
  k10: word word word word word word word word word word word word word word word
    word word word word word end
  ? kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
  : []
"#;
    assert_eq!(to_yaml(&value), expected);
    assert_eq!(read(expected).unwrap()[0].value, value);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ \t\n:#'\"a-c0-9.,&*!|>%@`{}?~<=ä\u{85}\u{2028}\u{feff}\\\\-]{0,12}",
        Just("yes".to_owned()),
        Just("0644".to_owned()),
        Just("a".repeat(200)),
        "[a-c \t:\"]{80,200}",
    ]
}

fn trees() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e6..1e6f64)
            .prop_filter("whole numbers lose their point", |float| float.fract() != 0.0)
            .prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(texts(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        cases: 512,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_reads_back(tree in trees()) {
        let value = json!({ "a": tree });
        let text = to_yaml(&value);
        let read = read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&read[0].value, &value, "{}", text);
    }

    #[test]
    fn json_reads_back(tree in trees()) {
        let value = json!({ "a": tree });
        prop_assert_eq!(&read(value.to_string()).unwrap()[0].value, &value);
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[ \t\r\n:#'\"a-c0-9.,&*!|>%@`{}\\[\\]?~<\\\\-]{0,60}",
        json in "\\{[ \n:\"a-c0-9.,{}\\[\\]e+\\\\-]{0,40}",
    ) {
        let _ = read(&bytes);
        let _ = read(&json);
        if let Ok(documents) = read(&text) {
            for document in documents {
                let _ = (document.line_of(&text), document.type_meta().is_ok());
            }
        }
    }
}
