//! Expressions and what they give, as cel-go and Kubernetes' libraries give it.

use serde_json::{Value, json};

use super::{Fault, Meter, Program, Scope, Val, View, escape, unescape};
use crate::api::schema::Schema;

/// Runs one expression over `self`; answers its value as text, or its fault.
fn run(source: &str, value: &Value, schema: Option<&Schema>) -> String {
    let program = match Program::parse(source) {
        Ok(program) => program,
        Err(cause) => return format!("parse: {}", cause.lines().next().unwrap_or_default()),
    };
    let self_ = match (value, schema) {
        (Value::Object(fields), Some(schema)) => Val::Fields(fields, View::Root(schema)),
        _ => Val::of(value, schema),
    };
    let scope = Scope::with("self", self_, None);
    let mut meter = Meter::default();
    match program.run(&scope, &mut meter) {
        Ok(value) => show(&value),
        Err(Fault::Budget) => "budget".to_owned(),
        Err(fault) => format!("error: {fault}"),
    }
}

fn show(value: &Val<'_>) -> String {
    match value {
        Val::Text(text) => format!("{text:?}"),
        Val::Null => "null".to_owned(),
        Val::Double(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.1}"),
        Val::Uint(number) => format!("{number}u"),
        Val::Bytes(bytes) => format!("b{:?}", String::from_utf8_lossy(bytes)),
        Val::Optional(None) => "none".to_owned(),
        Val::Optional(Some(inner)) => format!("some({})", show(inner)),
        Val::Quantity(amount) => format!("quantity({amount})"),
        Val::List(_) | Val::Items(..) => {
            let items = value.items().unwrap_or_default();
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Val::Map(_) | Val::Fields(..) => {
            let pair = |key: &Val<'_>| {
                let found = value.keys().into_iter().find(|known| show(known) == show(key));
                let inner = found.and_then(|key| value.at(&key)).map(|inner| show(&inner));
                format!("{}: {}", show(key), inner.unwrap_or_default())
            };
            format!("{{{}}}", value.keys().iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => super::strings::to_text(other).unwrap_or_else(|| format!("{other:?}")),
    }
}

/// `expression => value`, one a line.
fn check(table: &str, value: &Value, schema: Option<&Schema>) {
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (source, expected) = line.rsplit_once(" => ").unwrap();
        let found = run(source, value, schema);
        if found != expected {
            wrong.push(format!("{source}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub(crate) fn schema(yaml: &str) -> Schema {
    let value: Value = serde_yaml::from_str(yaml).unwrap();
    let props = serde_json::from_value(value).unwrap();
    Schema::parse(&props).unwrap()
}

#[test]
fn numbers_and_logic() {
    check(
        r#"
        1 + 2 * 3 => 7
        9223372036854775807 + 1 => error: integer overflow
        -9223372036854775808 - 1 => error: integer overflow
        1 / 0 => error: division by zero
        1 % 0 => error: modulus by zero
        7 / 2 => 3
        -7 % 3 => -1
        7.0 / 2.0 => 3.5
        1u + 2u => 3u
        1u - 2u => error: unsigned integer overflow
        1 < 1.5 => true
        2 > 1.5 => true
        1 == 1.0 => true
        1u == 1 => true
        1 + 1.0 => error: no such overload
        true && false => false
        false && (1 / 0 == 1) => false
        (1 / 0 == 1) && false => false
        (1 / 0 == 1) || true => true
        (1 / 0 == 1) || false => error: division by zero
        true ? 1 : 2 => 1
        1 == 1 ? 'a' : 'b' => "a"
        !true => false
        -(-5) => 5
        1 in [1, 2] => true
        3 in [1, 2] => false
        'a' in {'a': 1} => true
        [1, 2][1] => 2
        [1, 2][2] => error: index out of bounds: 2
        {'a': 1}['a'] => 1
        {'a': 1}['b'] => error: no such key: b
        {'a': 1}.a => 1
        {'a': 1}.b => error: no such key: b
        has({'a': 1}.a) => true
        has({'a': 1}.b) => false
        type(1) == int => true
        type('a') == string => true
        type([]) == list => true
        type(null) == null_type => true
        int('12') => 12
        int(3.9) => 3
        int('x') => error: type conversion error from 'string' to 'int': "x"
        double(3) => 3.0
        string(12) => "12"
        string(1.5) => "1.5"
        string(true) => "true"
        uint(3) => 3u
        bool('true') => true
        dyn(1) == 1 => true
        [1, 2] + [3] => [1, 2, 3]
        size([1, 2]) => 2
        size('abc') => 3
        size({'a': 1}) => 1
        null == null => true
        1 == 'a' => false
        "#,
        &Value::Null,
        None,
    );
}

#[test]
fn loops() {
    check(
        r#"
        [1, 2, 3].all(x, x > 0) => true
        [1, 2, 3].all(x, x > 1) => false
        [1, 2, 3].exists(x, x == 2) => true
        [1, 2, 3].exists(x, x == 5) => false
        [1, 2, 3].exists_one(x, x > 2) => true
        [1, 2, 3].exists_one(x, x > 1) => false
        [1, 2, 3].map(x, x * 2) => [2, 4, 6]
        [1, 2, 3].map(x, x > 1, x * 2) => [4, 6]
        [1, 2, 3].filter(x, x != 2) => [1, 3]
        {'a': 1, 'b': 2}.all(k, k != 'c') => true
        {'a': 1}.map(k, k) => ["a"]
        [0, 1].all(x, 1 / x > 0) => error: division by zero
        [0, 1].exists(x, 1 / x > 0) => true
        [[1, 2], [3]].all(l, l.all(x, x < 4)) => true
        [].all(x, false) => true
        [].exists(x, true) => false
        [1, 2].all(i, v, i < v) => true
        [1, 2].exists(i, v, i == 1 && v == 2) => true
        {'a': 1}.exists(k, v, k == 'a' && v == 1) => true
        [5, 6].transformList(i, v, i + v) => [5, 7]
        [5, 6].transformList(i, v, i > 0, v) => [6]
        {'a': 1}.transformMap(k, v, v + 1) => {"a": 2}
        ['a'].transformMapEntry(i, v, {v: i}) => {"a": 0}
        ['bb', 'a'].sortBy(x, size(x)) => ["a", "bb"]
        "#,
        &Value::Null,
        None,
    );
}

#[test]
fn texts() {
    check(
        r#"
        'tacocat'.charAt(3) => "o"
        'tacocat'.charAt(7) => ""
        'tacocat'.charAt(8) => error: index out of range: 8
        'hello'.indexOf('l') => 2
        'hello'.indexOf('l', 3) => 3
        'hello'.indexOf('x') => -1
        'hello'.lastIndexOf('l') => 3
        'TacoCat'.lowerAscii() => "tacocat"
        'TacoCat'.upperAscii() => "TACOCAT"
        'hello hello'.replace('he', 'we') => "wello wello"
        'hello hello'.replace('he', 'we', 1) => "wello hello"
        'hello'.replace('', '_') => "_h_e_l_l_o_"
        'a,b,c'.split(',') => ["a", "b", "c"]
        'a,b,c'.split(',', 2) => ["a", "b,c"]
        'a,b,c'.split(',', 0) => []
        'abc'.split('') => ["a", "b", "c"]
        'tacocat'.substring(4) => "cat"
        'tacocat'.substring(0, 4) => "taco"
        'tacocat'.substring(5, 4) => error: invalid substring range. start: 5, end: 4
        '  trim '.trim() => "trim"
        ['a', 'b'].join() => "ab"
        ['a', 'b'].join('-') => "a-b"
        'abc'.contains('b') => true
        'abc'.startsWith('ab') => true
        'abc'.endsWith('bc') => true
        'abc'.matches('^a.c$') => true
        'abc'.matches(')') => parse: invalid matches argument: regex parse error:     )     ^ error: unopened group
        'abc 123'.find('[0-9]+') => "123"
        'abc'.find('[0-9]+') => ""
        '1 2 3'.findAll('[0-9]') => ["1", "2", "3"]
        '1 2 3'.findAll('[0-9]', 2) => ["1", "2"]
        '%s is %d'.format(['a', 3]) => "a is 3"
        '%.2f'.format([3.14159]) => "3.14"
        '%x %X %b %o'.format([255, 255, 5, 8]) => "ff FF 101 10"
        '%s'.format([[1, 'a', true]]) => "[1, a, true]"
        '%e'.format([3.14]) => "3.140000×10⁰⁰"
        '%d'.format(['a']) => error: error during formatting: decimal clause can only be used on integers, was given string
        strings.quote('a"b') => "\"a\\\"b\""
        b'ab' == bytes('ab') => true
        size('👑') => 1
        'a' + 'b' => "ab"
        'a' < 'b' => true
        duration('1h30m') == duration('90m') => true
        duration('1h').getMinutes() => 60
        string(duration('1500ms')) => "1.5s"
        timestamp('2023-01-02T03:04:05Z').getFullYear() => 2023
        timestamp('2023-01-02T03:04:05Z').getMonth() => 0
        timestamp('2023-01-02T03:04:05Z').getDayOfWeek() => 1
        timestamp('2023-01-02T23:04:05Z').getHours('+02:00') => 1
        timestamp('2023-01-02T03:04:05Z') - timestamp('2023-01-02T03:04:00Z') == duration('5s') => true
        timestamp('2023-01-02T03:04:05Z') + duration('1s') > timestamp('2023-01-02T03:04:05Z') => true
        duration('x') => error: type conversion error from 'string' to 'duration': "x"
        "#,
        &Value::Null,
        None,
    );
}

#[test]
fn kubernetes_libraries() {
    check(
        r#"
        [1, 2, 3].isSorted() => true
        [2, 1].isSorted() => false
        [1, 2, 3].sum() => 6
        [1.5, 2.5].sum() => 4.0
        [duration('1m'), duration('1s')].sum() == duration('61s') => true
        [3, 1, 2].min() => 1
        [3, 1, 2].max() => 3
        [].min() => error: min called on empty list
        ['a', 'b', 'a'].indexOf('a') => 0
        ['a', 'b', 'a'].lastIndexOf('a') => 2
        ['a'].indexOf('z') => -1
        [1, 2, 2, 1].distinct() => [1, 2]
        [[1], [2, [3]]].flatten() => [1, 2, [3]]
        [1, 2, 3].reverse() => [3, 2, 1]
        [1, 2, 3, 4].slice(1, 3) => [2, 3]
        [3, 1, 2].sort() => [1, 2, 3]
        lists.range(3) => [0, 1, 2]
        sets.contains([1, 2, 3], [2, 3]) => true
        sets.equivalent([1, 2], [2, 1, 1]) => true
        sets.intersects([1, 2], [2, 5]) => true
        sets.intersects([1, 2], [5]) => false
        url('https://example.com:80/a%20b?k=v&k=w').getHost() => "example.com:80"
        url('https://example.com:80/a').getHostname() => "example.com"
        url('https://example.com:80/a').getPort() => "80"
        url('https://example.com:80/').getScheme() => "https"
        url('https://[::1]:80/').getHostname() => "::1"
        url('https://example.com/a%20b').getEscapedPath() => "/a%20b"
        url('https://example.com/?k=v&k=w').getQuery() => {"k": ["v", "w"]}
        isURL('https://example.com') => true
        isURL('/absolute/path') => true
        isURL('../relative') => false
        isURL('https://a:b/') => false
        ip('192.168.0.1').family() => 4
        ip('::1').family() => 6
        ip('127.0.0.1').isLoopback() => true
        ip('0.0.0.0').isUnspecified() => true
        ip('169.254.1.1').isLinkLocalUnicast() => true
        ip('224.0.0.1').isLinkLocalMulticast() => true
        ip('8.8.8.8').isGlobalUnicast() => true
        ip.isCanonical('127.0.0.1') => true
        ip.isCanonical('2001:DB8::1') => false
        isIP('1.2.3.4') => true
        isIP('1.2.3') => false
        isIP('::ffff:1.2.3.4') => false
        cidr('192.168.0.0/24').containsIP('192.168.0.5') => true
        cidr('192.168.0.0/24').containsIP(ip('192.168.1.5')) => false
        cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24') => true
        cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/16')) => false
        cidr('192.168.0.1/24').ip() == ip('192.168.0.1') => true
        cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') => true
        cidr('192.168.0.1/24').prefixLength() => 24
        string(cidr('10.0.0.0/8')) => "10.0.0.0/8"
        isCIDR('10.0.0.0/33') => false
        quantity('1Gi') == quantity('1024Mi') => true
        quantity('50k').isGreaterThan(quantity('50')) => true
        quantity('1').isLessThan(quantity('2')) => true
        quantity('50k').compareTo(quantity('50000')) => 0
        quantity('1').add(quantity('2')).asInteger() => 3
        quantity('5').sub(2).asInteger() => 3
        quantity('1.5').isInteger() => false
        quantity('1.5').asInteger() => error: cannot convert value to integer
        quantity('1.5').asApproximateFloat() => 1.5
        quantity('-1').sign() => -1
        isQuantity('1.3Gi') => true
        isQuantity('x') => false
        format.dns1123Label().validate('abc') => none
        format.dns1123Label().validate('ABC').hasValue() => true
        format.named('dns1123Subdomain').value().validate('a.b').hasValue() => false
        format.named('nothing') => none
        format.uuid().validate('x').value() => ["does not match the UUID format"]
        format.date().validate('2021-01-01') => none
        semver('1.2.3').major() => 1
        semver('1.2.3').isLessThan(semver('1.10.0')) => true
        semver('1.0.0-alpha').isLessThan(semver('1.0.0')) => true
        semver('1.0.0-alpha.2').isLessThan(semver('1.0.0-alpha.10')) => true
        isSemver('1.2') => false
        isSemver('v1.2', true) => true
        isSemver('01.2.3') => false
        optional.of(1).value() => 1
        optional.none().orValue(5) => 5
        optional.none().value() => error: optional.none() dereference
        optional.of(1).or(optional.of(2)).value() => 1
        optional.ofNonZeroValue('') => none
        {'a': 1}.?a => some(1)
        {'a': 1}.?b => none
        {'a': 1}[?'a'].orValue(0) => 1
        {'a': {'b': 2}}.?a.b => some(2)
        {'a': {}}.?a.?b.orValue(7) => 7
        [1][?0] => some(1)
        [1][?5] => none
        optional.of(2).optMap(x, x * 2) => some(4)
        optional.none().optMap(x, x * 2) => none
        optional.of(2).optFlatMap(x, optional.none()) => none
        [?optional.of(1), ?optional.none(), 3] => [1, 3]
        {?'a': optional.of(1), ?'b': optional.none()} => {"a": 1}
        authorizer.path('/').check('get') => error: no such attribute(s): authorizer
        nothing(1) => error: undeclared reference to 'nothing'
        "#,
        &Value::Null,
        None,
    );
}

#[test]
fn objects_as_their_schema_sees_them() {
    let schema = schema(
        "
type: object
properties:
  any: {x-kubernetes-int-or-string: true}
  n: {type: number}
  when: {type: string, format: date-time}
  long: {type: string, format: duration}
  raw: {type: string, format: byte}
  a-b: {type: string}
  a.b: {type: string}
  a__b: {type: string}
  namespace: {type: string}
  labels: {type: object, additionalProperties: {type: string}}
  set: {type: array, x-kubernetes-list-type: set, items: {type: string}}
  set2: {type: array, x-kubernetes-list-type: set, items: {type: string}}
  maps: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}, v: {type: integer}}}}
  maps2: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}, v: {type: integer}}}}
  nothing: {type: string, nullable: true}
  open: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {known: {type: integer}}}
  inner: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
",
    );
    let value = json!({
        "apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n", "labels": {"x": "y"}},
        "any": "50%", "n": 10, "when": "2023-01-02T03:04:05Z", "long": "90s", "raw": "QUI=",
        "a-b": "dash", "a.b": "dot", "a__b": "under", "namespace": "ns", "labels": {"a-b": "c"},
        "set": ["a", "b"], "set2": ["b", "a"], "maps": [{"k": "x", "v": 1}, {"k": "y", "v": 2}],
        "maps2": [{"k": "y", "v": 2}, {"k": "x", "v": 1}], "nothing": null,
        "open": {"known": 1, "other": 2}, "unknown": 1,
        "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}},
    });
    check(
        r#"
        self.metadata.name => "n"
        has(self.metadata.labels) => false
        self.apiVersion => "a/v1"
        self.kind => "K"
        type(self.n) == double => true
        self.n == 10.0 => true
        type(self.any) == string => true
        type(self.any) == int ? self.any > 5 : self.any == '50%' => true
        self.when.getFullYear() => 2023
        type(self.when) == google.protobuf.Timestamp => true
        self.long == duration('1m30s') => true
        self.raw == b'AB' => true
        self.a__dash__b => "dash"
        self.a__dot__b => "dot"
        self.a__underscores__b => "under"
        self.__namespace__ => "ns"
        self.labels['a-b'] => "c"
        'a-b' in self.labels => true
        self.set == self.set2 => true
        self.set == ['b', 'a'] => true
        self.set + ['c', 'a'] => ["a", "b", "c"]
        self.maps == self.maps2 => true
        (self.maps + [{'k': 'z', 'v': 3}]).size() => 3
        has(self.nothing) => true
        self.nothing == null => true
        self.open.known => 1
        has(self.open.other) => false
        has(self.unknown) => false
        self.unknown => error: no such key: unknown
        self.inner.metadata.name => "p"
        has(self.inner.spec) => false
        self.maps.exists(m, m.k == 'y' && m.v == 2) => true
        "#,
        &value,
        Some(&schema),
    );
}

#[test]
fn names_are_escaped_and_back() {
    for (name, written) in [
        ("a", Some("a")),
        ("a-b", Some("a__dash__b")),
        ("a.b/c", Some("a__dot__b__slash__c")),
        ("__", Some("__underscores__")),
        ("in", Some("__in__")),
        ("return", Some("__return__")),
        ("0a", None),
        ("", None),
        ("a@b", None),
        ("self", Some("self")),
    ] {
        assert_eq!(escape(name).as_deref(), written, "{name}");
        if let Some(written) = written {
            assert_eq!(unescape(written).as_deref(), Some(name));
        }
    }
    for wrong in ["a__b", "__what__", "a__in__"] {
        assert_eq!(unescape(wrong), None, "{wrong}");
    }
}

#[test]
fn every_evaluation_ends() {
    let big: Vec<u32> = (0..1000).collect();
    let text = "x".repeat(100_000);
    let value = json!({"l": big, "s": text, "m": (0..2000).map(|i| (i.to_string(), Value::from(i))).collect::<serde_json::Map<_, _>>()});
    for expression in [
        "self.l.all(a, self.l.all(b, self.l.all(c, true)))",
        "self.l.all(a, self.l.map(b, b).size() == 1000 && self.l.map(b, b).size() > 0)",
        "self.l.all(a, (self.s + self.s).size() > 0)",
        "self.s.replace('', self.s).size() > 0",
        "self.l.map(a, self.s.replace('x', 'yyyyyyyy')).size() > 0",
        "self.l.all(a, self.l.all(b, self == self))",
        "self.l.map(a, self.l + self.l).size() > 0",
        "lists.range(9000000000).size() > 0",
        "self.l.all(a, self.l.distinct().size() > 0)",
        "self.l.all(a, !self.m.exists(k, k == 'none'))",
        "self.l.all(a, sets.equivalent(self.l, self.l))",
        "self.l.all(a, self.l.all(b, '%s'.format([self.l]).size() > 0))",
        "self.l.all(a, self.s.split('').size() > 0)",
        "self.l.all(a, !self.s.matches(string(a) + '(a|b|c)*'))",
    ] {
        assert_eq!(run(expression, &value, None), "budget", "{expression}");
    }
}

#[test]
fn expressions_that_blow_up_the_parser_are_refused() {
    let deep = |open: &str, close: &str, many: usize| format!("{}1{}", open.repeat(many), close.repeat(many));
    for source in [
        deep("[", "]", 5000),
        deep("{1: ", "}", 1000),
        deep("-", "", 3000),
        deep("!", "", 90_000),
        vec!["1"; 20_000].join("+"),
        vec!["a"; 50_000].join("."),
        vec!["true"; 9_000].join(" && "),
        format!("self{}", "[0]".repeat(3000)),
        format!("'{}'", "x".repeat(200_000)),
        deep("a ? b : ", "", 1500),
        "\u{0}".to_owned(),
        "".to_owned(),
        "1 +".to_owned(),
        "x.all(1, true)".to_owned(),
        "has(1)".to_owned(),
    ] {
        let shown: String = source.chars().take(20).collect();
        assert!(Program::parse(&source).is_err(), "{shown}");
    }
    // Long, but harmless.
    let long = vec!["true"; 100].join(" && ");
    assert_eq!(run(&long, &Value::Null, None), "true");
    let sum = vec!["1"; 140].join(" + ");
    assert_eq!(run(&sum, &Value::Null, None), "140");
}

#[test]
fn cost_counts_as_upstream_counts() {
    for (source, cost) in [
        ("true", 0),
        ("self.a == 1", 3),
        ("has(self.a)", 1),
        ("[1, 2]", 10),
        ("{'a': 1}", 30),
        ("self.s.startsWith('abc')", 3),
        ("self.s.lowerAscii() == 'x'", 4),
    ] {
        let value = json!({"a": 1, "s": "abcdefghij"});
        let program = Program::parse(source).unwrap();
        let mut meter = Meter::default();
        program.run(&Scope::with("self", Val::of(&value, None), None), &mut meter).unwrap();
        assert_eq!(meter.cost(), cost, "{source}");
    }
}
