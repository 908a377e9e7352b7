//! Tables and properties of `api::selector`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use proptest::prelude::*;

use super::*;

/// Rows of `text -> canonical text`, or `text -> ! error`.
fn check(parse: impl Fn(&str) -> Result<String, SelectorError>, table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (text, expected) = row.split_once("->").expect("a row has an arrow");
        let (text, expected) = (text.trim(), expected.trim());
        match expected.strip_prefix("! ") {
            Some(sentence) => {
                let error = parse(text).expect_err(text).to_string();
                assert!(error.starts_with(sentence), "{text:?}: {error}");
            }
            None => {
                let canonical = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
                assert_eq!(canonical, expected, "{text:?}");
                assert_eq!(parse(&canonical).as_deref(), Ok(expected), "{text:?} again");
            }
        }
    }
}

fn canonical(text: &str) -> Result<String, SelectorError> {
    Selector::parse(text).map(|selector| selector.to_string())
}

#[test]
fn label_selectors_print_canonically() {
    check(
        canonical,
        "->
         app=web -> app=web
         app = web, tier in (b, a) -> app=web,tier in (a,b)
         z,a,!m -> a,!m,z
         a==b -> a==b
         a!=b -> a!=b
         a notin (x,,y) -> a notin (,x,y)
         a in () -> a in ()
         a in (,) -> a in ()
         a in (x,) -> a in (,x)
         a= -> a=
         a=,b -> a=,b
         a>1,b<2 -> a>1,b<2
         in in (in,notin) -> in in (in,notin)
         x=notin -> x=notin
         example.com/a=b -> example.com/a=b",
    );
}

#[test]
fn broken_label_selectors_say_why() {
    check(
        canonical,
        ", -> ! found ',', expected: !, identifier, or 'end of string'
         a, -> ! found '', expected: identifier after ','
         a=b,, -> ! found ',', expected: identifier after ','
         a b -> ! unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt
         a=b c -> ! found 'c', expected: ',' or 'end of string'
         !a=b -> ! found '=', expected: ',' or 'end of string'
         ! -> ! unable to parse requirement: found '', expected: identifier
         a in b -> ! unable to parse requirement: found 'b' expected: '('
         a in (b -> ! unable to parse requirement: found '', expected: ',' or ')'
         a in (b, -> ! unable to parse requirement: found '', expected: ',', or identifier
         a in (= -> ! unable to parse requirement: found '=', expected: ',', ')' or identifier
         a=(b) -> ! unable to parse requirement: found '(', expected: identifier
         a=!b -> ! unable to parse requirement: found '!', expected: identifier
         -a=b -> ! unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of
         a=-b -> ! unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be
         a>b -> ! unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value
         a in (-b,-c) -> ! unable to parse requirement: [values[0][a]: Invalid value: \"-b\"",
    );
    assert_eq!(Selector::parse(&"a".repeat(SELECTOR_BYTES + 1)), Err(SelectorError::Long));
    assert_eq!(canonical("a\0,b"), Ok("a,b".to_owned()));
}

#[test]
fn labels_match() {
    let labels = [("app", "web"), ("count", "5"), ("empty", "")];
    let table = [
        ("", true),
        ("app=web", true),
        ("app=db", false),
        ("app in (web,db)", true),
        ("app notin (web)", false),
        ("other notin (web)", true),
        ("other!=web", true),
        ("app!=web", false),
        ("app", true),
        ("!app", false),
        ("!other", true),
        ("count>4,count<6", true),
        ("count>5", false),
        ("app>1", false),
        ("other<1", false),
        ("empty=", true),
        ("other=", false),
    ];
    for (text, expected) in table {
        assert_eq!(Selector::parse(text).unwrap().matches(&labels), expected, "{text}");
    }
    assert!(!Selector::nothing().matches(&labels));
    let none: Option<BTreeMap<String, String>> = None;
    assert!(Selector::parse("!app").unwrap().matches(&none));
}

#[test]
fn api_selectors() {
    assert!(Selector::from_label_selector(None).unwrap().is_nothing());
    assert!(Selector::from_label_selector(Some(&LabelSelector::default())).unwrap().is_everything());
    let expression = |operator: &str, values: &[&str]| LabelSelectorRequirement {
        key: "tier".to_owned(),
        operator: operator.to_owned(),
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
    };
    let of = |operator: &str, values: &[&str]| {
        Selector::from_label_selector(Some(&LabelSelector {
            match_labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
            match_expressions: Some(vec![expression(operator, values)]),
        }))
        .map(|selector| selector.to_string())
    };
    assert_eq!(of("In", &["b", "a"]).as_deref(), Ok("app=web,tier in (a,b)"));
    assert_eq!(of("Exists", &[]).as_deref(), Ok("app=web,tier"));
    assert_eq!(of("Gt", &["1"]).unwrap_err().to_string(), "\"Gt\" is not a valid label selector operator");
    assert_eq!(
        of("In", &[]).unwrap_err().to_string(),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    );
}

#[test]
fn exact_requirements_are_named() {
    let selector = Selector::parse("a=1,b==2,c in (3),d in (4,5),e!=6,f").unwrap();
    assert_eq!(selector.exact().collect::<Vec<_>>(), [("a", "1"), ("b", "2"), ("c", "3")]);
}

#[test]
fn field_selectors() {
    check(
        |text| FieldSelector::parse(text).map(|selector| selector.to_string()),
        r"->
         a=b -> a=b
         a==b,c!=d -> a=b,c!=d
         c=d,a=b -> a=b,c=d
         ,, ->
         = ->
         a= -> a=
         metadata.name=a\,b\=c\\ -> metadata.name=a\,b\=c\\
         a -> ! invalid selector: 'a'; can't understand 'a'
         a=b,c -> ! invalid selector: 'a=b,c'; can't understand 'c'
         a=b=c -> ! invalid field selector: unescaped character in value: 61
         a=\b -> ! invalid field selector: invalid escape sequence: \b
         a=\ -> ! invalid field selector: invalid escape sequence: \",
    );
    let fields = |field: &str| match field {
        "metadata.name" => Some("web"),
        _ => None,
    };
    for (text, expected) in [
        ("metadata.name=web", true),
        ("metadata.name!=web", false),
        ("other=", true),
        ("other!=", false),
        ("metadata.name=web,other!=x", true),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(fields), expected, "{text}");
    }
    let selector = FieldSelector::parse("a=1,b!=2").unwrap();
    assert_eq!(selector.exact_value("a"), Some("1"));
    assert_eq!(selector.exact_value("b"), None);
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_panics_and_what_parses_prints(any in any::<String>(), near in r"[a-c0-9=!(),<> \\./\x00ä]{0,20}( in | notin )?[a-c(),]{0,9}") {
        for text in [any, near] {
            if let Ok(selector) = Selector::parse(&text) {
                prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
            }
            if let Ok(selector) = FieldSelector::parse(&text) {
                let again = FieldSelector::parse(&selector.to_string()).unwrap();
                prop_assert_eq!(again.terms().len(), selector.terms().len());
            }
        }
    }
}
