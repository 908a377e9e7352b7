//! Tables and properties of `api::quantity`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Rows of `text -> served | canonical | value | millis`; what is left out is not looked at.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (text, expected) = row.split_once("->").expect("a row has an arrow");
        let text = text.trim();
        let mut expected = expected.split('|').map(str::trim);
        assert_eq!(Amount::served(text).as_deref(), Ok(expected.next().unwrap()), "{text} served");
        let amount = Amount::parse(text).unwrap();
        if let Some(canonical) = expected.next() {
            assert_eq!(amount.to_string(), canonical, "{text} canonical");
        }
        if let Some(value) = expected.next() {
            assert_eq!(amount.value().to_string(), value, "{text} value");
        }
        if let Some(millis) = expected.next() {
            assert_eq!(amount.millis().to_string(), millis, "{text} millis");
        }
    }
}

#[test]
fn canonical_forms() {
    check(
        "0        -> 0      | 0      | 0          | 0
         1000m    -> 1      | 1      | 1          | 1000
         0.1      -> 100m   | 100m   | 1          | 100
         1024Mi   -> 1Gi    | 1Gi    | 1073741824 | 1073741824000
         1.5Gi    -> 1536Mi | 1536Mi | 1610612736 | 1610612736000
         1.500Gi  -> 1536Mi
         0.5Ki    -> 512
         1.5Ki    -> 1536
         0.1Ki    -> 102400m
         1.24Ki   -> 1269760m
         1.1Ki    -> 1126400m | 1126400m | 1127 | 1126400
         1Ei      -> 1Ei
         16Ei     -> 9223372036854775807
         9999999999999999999999999999999999999999999Ki -> 9223372036854775807
         99999999999999999999 -> 99999999999999999999 | 99999999999999999999 | 9223372036854775807
         0.1n     -> 1n
         -0.1n    -> -1n    | -1n    | -1         | -1
         1000n    -> 1u
         1000k    -> 1M
         10e1     -> 100
         1e-1     -> 100e-3
         2e3      -> 2e3
         1e100    -> 10e99
         -1500m   -> -1500m | -1500m | -2         | -1500
         1025Mi   -> 1025Mi
         0.9999999999 -> 1
         9.9999999999 -> 10
         1n       -> 1n     | 1n     | 1          | 1
         0Ki      -> 0
         m        -> 0
         +        -> 0
         .        -> 0
         5.       -> 5.     | 5
         1E       -> 1E",
    );
}

#[test]
fn what_upstream_keeps_as_written() {
    check(
        "1.500   -> 1.500   | 1500m
         01      -> 01      | 1
         +5      -> +5      | 5
         12.345k -> 12.345k | 12345
         1E21    -> 1E21    | 1e21
         100E3   -> 100E3   | 100e3
         0.100   -> 100m",
    );
    assert_eq!(Amount::served("  7 ").as_deref(), Ok("7"));
}

#[test]
fn no_suffix_is_lost_above_exa() {
    // Upstream prints `1` here.
    check("1000E -> 1000E | 1000E");
}

#[test]
fn what_is_no_quantity() {
    use QuantityError::*;
    let table = [
        ("", Form),
        ("1..5", Form),
        ("1.5.", Form),
        ("1 Gi", Form),
        (" 1", Form),
        ("1Gi ", Form),
        ("abc", Form),
        ("--1", Suffix),
        ("1KiB", Form),
        ("ä", Form),
        ("1ki", Suffix),
        ("1K", Suffix),
        ("1mm", Suffix),
        ("1e", Suffix),
        ("1e+", Suffix),
        ("1ei", Suffix),
        ("1e99999999999999999999", Suffix),
        ("1e999999999", Suffix),
        ("1234567890123456789012345678901234567891", Number),
    ];
    for (text, expected) in table {
        assert_eq!(Amount::parse(text), Err(expected), "{text:?}");
    }
    assert_eq!(Amount::parse(&"1".repeat(QUANTITY_BYTES + 1)), Err(Long));
    assert_eq!(
        Form.to_string(),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn sums_take_the_format_of_the_left() {
    let amount = |text: &str| Amount::parse(text).unwrap();
    assert_eq!((amount("1Gi") + amount("512Mi")).to_string(), "1536Mi");
    assert_eq!((amount("1") + amount("100m")).to_string(), "1100m");
    assert_eq!((amount("0") + amount("1Ki")).to_string(), "1Ki");
    assert_eq!((amount("1Ki") - amount("1Ki")).to_string(), "0");
    assert_eq!((amount("2Gi") - amount("3Gi")).to_string(), "-1Gi");
    assert_eq!((amount("1e100") + amount("1n")).cmp(&amount("1e100")), Ordering::Greater);
    let all: Amount = ["100m", "200m", "700m"].map(amount).into_iter().sum();
    assert_eq!(all.to_string(), "1");
}

#[test]
fn conversions() {
    let amount = Amount::try_from(&Quantity("1024Mi".to_owned())).unwrap();
    assert_eq!(Quantity::from(amount), Quantity("1Gi".to_owned()));
    assert_eq!(Amount::parse("1500m").unwrap().rounded_up(0).to_string(), "2");
    for (value, served) in [("1", "1"), ("0.5", "500m"), ("1000", "1k"), ("null", "0"), ("\"0.1\"", "100m")] {
        let value: Value = serde_json::from_str(value).unwrap();
        assert_eq!(Amount::served_value(&value).as_deref(), Ok(served), "{value}");
    }
    assert_eq!(Amount::served_value(&Value::Bool(true)), Err(QuantityError::Form));
    assert_eq!(Amount::from_millis(1, Format::BinarySi).to_string(), "1m");
}

fn amounts() -> impl Strategy<Value = Amount> {
    let formats = prop_oneof![Just(Format::DecimalSi), Just(Format::BinarySi), Just(Format::DecimalExponent)];
    (any::<i64>(), NANO..20i32, formats).prop_map(|(number, exponent, format)| {
        Amount::normal((number >> (number & 63)).into(), exponent, format)
    })
}

/// The number as an integer of billionths: a model whose order and sums are plain.
fn billionths(amount: Amount) -> Option<i128> {
    power_of_ten((amount.exponent - NANO).into()).and_then(|factor| amount.mantissa.checked_mul(factor))
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        cases: 1024,
        ..ProptestConfig::default()
    })]

    #[test]
    fn printing_and_reading_is_the_identity(amount in amounts()) {
        // A binary amount that is capped when read is not the number that was printed.
        prop_assume!(amount.format != Format::BinarySi || amount.value().unsigned_abs() < i64::MAX as u64);
        let text = amount.to_string();
        prop_assert_eq!(Amount::parse(&text).unwrap(), amount, "{}", text);
        // A binary amount without a factor of 1024 is read back as a decimal one.
        if amount.format != Format::BinarySi {
            prop_assert_eq!(Amount::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_short_way_is_the_long_way(text in "[1-9][0-9]{0,9}(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e3|e-6)") {
        let written = Written::split(&text).unwrap();
        if let Some(short) = written.short() {
            let long = written.long().unwrap();
            prop_assert_eq!((short, short.format()), (long, long.format()), "{}", text);
        }
    }

    #[test]
    fn order_is_that_of_the_numbers(left in amounts(), right in amounts()) {
        if let (Some(a), Some(b)) = (billionths(left), billionths(right)) {
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            if let Some(sum) = a.checked_add(b) {
                prop_assert_eq!(billionths(left + right), Some(sum));
            }
            if let Some(difference) = a.checked_sub(b) {
                prop_assert_eq!(billionths(left - right), Some(difference));
            }
        }
        prop_assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
    }

    #[test]
    fn rounding_is_away_from_zero(amount in amounts()) {
        if let Some(exact) = billionths(amount) {
            let up = exact / 1_000_000_000 + (exact % 1_000_000_000).signum();
            let fits = i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX });
            prop_assert_eq!(amount.value(), fits);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "[-+]?[0-9.]{0,60}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,6}") {
        for text in [text, near] {
            let _ = Amount::served(&text);
            if let Ok(amount) = Amount::parse(&text) {
                let _ = (amount.to_string(), amount.value(), amount + amount, amount - -amount);
                prop_assert_eq!(amount.cmp(&amount), Ordering::Equal);
            }
        }
    }
}
