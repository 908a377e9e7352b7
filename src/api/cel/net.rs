//! What Kubernetes adds to expressions: URLs, addresses, networks, quantities, formats and versions.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;

use super::eval::{Fault, Meter, error};
use super::url::Url;
use super::value::{Cidr, FormatName, Semver, Val};
use crate::api::names;
use crate::api::quantity::Amount;
use crate::api::schema::formats;

/// A function that makes one of these of a text: `url(…)`, `isIP(…)`.
pub(super) fn make<'a>(meter: &mut Meter, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    let size = args.first().map_or(1, Val::size);
    meter.text(size, 1)?;
    Ok(match (name, args) {
        ("url", [Val::Text(text)]) => match Url::parse(text) {
            Ok(url) => Val::Url(Rc::new(url)),
            Err(cause) => return error(format!("URL parse error during conversion from string: {cause}")),
        },
        ("isURL", [Val::Text(text)]) => Val::Bool(Url::parse(text).is_ok()),
        ("ip", [Val::Text(text)]) => Val::Ip(parse_ip(text)?),
        ("isIP", [Val::Text(text)]) => Val::Bool(parse_ip(text).is_ok()),
        ("cidr", [Val::Text(text)]) => Val::Cidr(parse_cidr(text)?),
        ("isCIDR", [Val::Text(text)]) => Val::Bool(parse_cidr(text).is_ok()),
        ("quantity", [Val::Text(text)]) => match Amount::parse(text) {
            Ok(amount) => Val::Quantity(amount),
            Err(cause) => return error(cause.to_string()),
        },
        ("isQuantity", [Val::Text(text)]) => Val::Bool(Amount::parse(text).is_ok()),
        ("sign", [Val::Quantity(amount)]) => Val::Int(i64::from(amount.signum())),
        ("semver", [Val::Text(text), rest @ ..]) => match parse_semver(text, rest)? {
            Some(version) => Val::Semver(Rc::new(version)),
            None => return error(format!("Invalid Semantic Version: {text}")),
        },
        ("isSemver", [Val::Text(text), rest @ ..]) => Val::Bool(parse_semver(text, rest)?.is_some()),
        _ => return error(format!("undeclared reference to '{name}'")),
    })
}

/// A function of one of these.
pub(super) fn call<'a>(
    meter: &mut Meter,
    name: &str,
    target: &Val<'a>,
    args: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    meter.charge(1)?;
    match target {
        Val::Url(url) => of_url(url, name),
        Val::Ip(address) => of_ip(*address, name),
        Val::Cidr(cidr) => of_cidr(meter, *cidr, name, args),
        Val::Quantity(amount) => of_quantity(amount, name, args),
        Val::Semver(version) => of_semver(version, name, args),
        Val::Format(format) => match (name, args) {
            ("validate", [Val::Text(text)]) => {
                meter.text(text.len() as u64 * 16, 1)?;
                let wrong = check(format, text);
                let texts = || Val::list(wrong.iter().map(|text| Val::text(text)).collect());
                Ok(if wrong.is_empty() { Val::Optional(None) } else { Val::some(texts()) })
            }
            _ => Err(Fault::Overload),
        },
        _ => Err(Fault::Overload),
    }
}

fn of_url<'a>(url: &Url, name: &str) -> Result<Val<'a>, Fault> {
    Ok(match name {
        "getScheme" => Val::text(&url.scheme),
        "getHost" => Val::text(&url.host),
        "getHostname" => Val::text(url.hostname()),
        "getPort" => Val::text(url.port()),
        "getEscapedPath" => Val::text(&url.path),
        "getQuery" => {
            let pair = |(name, values): &(String, Vec<String>)| {
                (Val::text(name), Val::list(values.iter().map(|value| Val::text(value)).collect()))
            };
            Val::Map(Rc::new(url.query.iter().map(pair).collect()))
        }
        _ => return Err(Fault::Overload),
    })
}

fn parse_ip(text: &str) -> Result<IpAddr, Fault> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            error(format!("IPv4-mapped IPv6 address \"{text}\" is not allowed"))
        }
        Ok(address) => Ok(address),
        Err(_) if text.contains('%') => {
            error(format!("IP address \"{text}\" with zone value is not allowed"))
        }
        Err(_) => error(format!(
            "IP Address \"{text}\" parse error during conversion from string: ParseAddr(\"{text}\"): unable to parse IP"
        )),
    }
}

/// Whether a text is an address in the form in which it is written back.
pub(super) fn is_canonical<'a>(text: &str) -> Result<Val<'a>, Fault> {
    Ok(Val::Bool(parse_ip(text)?.to_string() == text))
}

fn of_ip<'a>(address: IpAddr, name: &str) -> Result<Val<'a>, Fault> {
    let v6 = |test: fn(&std::net::Ipv6Addr) -> bool| matches!(&address, IpAddr::V6(v6) if test(v6));
    let v4 = |test: fn(&std::net::Ipv4Addr) -> bool| matches!(&address, IpAddr::V4(v4) if test(v4));
    let link_local = v4(|a| a.is_link_local()) || v6(|a| a.segments()[0] & 0xffc0 == 0xfe80);
    Ok(Val::Bool(match name {
        "family" => return Ok(Val::Int(if address.is_ipv4() { 4 } else { 6 })),
        "isUnspecified" => address.is_unspecified(),
        "isLoopback" => address.is_loopback(),
        "isLinkLocalMulticast" => {
            v4(|a| a.octets()[..3] == [224, 0, 0]) || v6(|a| a.segments()[0] & 0xff0f == 0xff02)
        }
        "isLinkLocalUnicast" => link_local,
        "isGlobalUnicast" => {
            !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !link_local
                && !v4(|a| a.is_broadcast())
        }
        _ => return Err(Fault::Overload),
    }))
}

fn parse_cidr(text: &str) -> Result<Cidr, Fault> {
    let fail = || {
        error(format!(
            "network address parse error during conversion from string: netip.ParsePrefix(\"{text}\"): bad prefix"
        ))
    };
    let Some((address, prefix)) = text.split_once('/') else { return fail() };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), prefix.parse::<u8>()) else { return fail() };
    let most = if address.is_ipv4() { 32 } else { 128 };
    if bits > most || prefix.len() > 1 && prefix.starts_with('0') || prefix.starts_with('+') {
        return fail();
    }
    Ok(Cidr { address, prefix: bits })
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

fn contains(cidr: Cidr, address: IpAddr) -> bool {
    cidr.address.is_ipv4() == address.is_ipv4()
        && masked(cidr.address, cidr.prefix) == masked(address, cidr.prefix)
}

fn of_cidr<'a>(meter: &mut Meter, cidr: Cidr, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    meter.charge(3)?;
    let inner = match args {
        [Val::Text(text)] => {
            meter.text(text.len() as u64, 1)?;
            Some(text)
        }
        _ => None,
    };
    Ok(match (name, args) {
        ("ip", []) => Val::Ip(cidr.address),
        ("prefixLength", []) => Val::Int(i64::from(cidr.prefix)),
        ("masked", []) => Val::Cidr(Cidr { address: masked(cidr.address, cidr.prefix), ..cidr }),
        ("containsIP", [Val::Ip(address)]) => Val::Bool(contains(cidr, *address)),
        ("containsCIDR", [Val::Cidr(other)]) => {
            Val::Bool(other.prefix >= cidr.prefix && contains(cidr, other.address))
        }
        ("containsIP", _) => match inner {
            Some(text) => Val::Bool(contains(cidr, parse_ip(text)?)),
            None => return Err(Fault::Overload),
        },
        ("containsCIDR", _) => match inner {
            Some(text) => {
                let other = parse_cidr(text)?;
                Val::Bool(other.prefix >= cidr.prefix && contains(cidr, other.address))
            }
            None => return Err(Fault::Overload),
        },
        _ => return Err(Fault::Overload),
    })
}

fn of_quantity<'a>(amount: &Amount, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    let other = match args {
        [Val::Quantity(other)] => Some(*other),
        [Val::Int(other)] => Some(Amount::from_units(*other, amount.format())),
        _ => None,
    };
    let order = |wanted: Ordering| match &other {
        Some(other) => Ok(Val::Bool(amount.cmp(other) == wanted)),
        None => Err(Fault::Overload),
    };
    let whole = || amount.is_whole() && !matches!(amount.value(), i64::MIN | i64::MAX);
    Ok(match (name, args) {
        ("sign", []) => Val::Int(i64::from(amount.signum())),
        ("isInteger", []) => Val::Bool(whole()),
        ("asInteger", []) if whole() => Val::Int(amount.value()),
        ("asInteger", []) => return error("cannot convert value to integer"),
        ("asApproximateFloat", []) => {
            let small = amount.scaled(-9);
            let exact = small != i64::MAX && small != i64::MIN;
            Val::Double(if exact { small as f64 / 1e9 } else { amount.value() as f64 })
        }
        ("isGreaterThan", _) => order(Ordering::Greater)?,
        ("isLessThan", _) => order(Ordering::Less)?,
        ("compareTo", _) => match &other {
            Some(other) => Val::Int(amount.cmp(other) as i64),
            None => return Err(Fault::Overload),
        },
        ("add", _) => match other {
            Some(other) => Val::Quantity(*amount + other),
            None => return Err(Fault::Overload),
        },
        ("sub", _) => match other {
            Some(other) => Val::Quantity(*amount - other),
            None => return Err(Fault::Overload),
        },
        _ => return Err(Fault::Overload),
    })
}

/// The formats that have names.
pub(super) fn format(name: &str) -> Option<FormatName> {
    const FORMATS: [&str; 13] = [
        "dns1123Label",
        "dns1123Subdomain",
        "dns1035Label",
        "qualifiedName",
        "dns1123LabelPrefix",
        "dns1123SubdomainPrefix",
        "dns1035LabelPrefix",
        "labelValue",
        "uri",
        "uuid",
        "byte",
        "date",
        "datetime",
    ];
    FORMATS.iter().find(|known| **known == name).copied()
}

fn check(format: &str, text: &str) -> Vec<String> {
    let one = |holds: bool, why: &str| if holds { Vec::new() } else { vec![why.to_owned()] };
    match format {
        "dns1123Label" => names::is_dns1123_label(text),
        "dns1123Subdomain" => names::is_dns1123_subdomain(text),
        "dns1035Label" => names::is_dns1035_label(text),
        "qualifiedName" => names::is_qualified_name(text),
        "dns1123LabelPrefix" => names::check_name(names::is_dns1123_label, text, true),
        "dns1123SubdomainPrefix" => names::check_name(names::is_dns1123_subdomain, text, true),
        "dns1035LabelPrefix" => names::check_name(names::is_dns1035_label, text, true),
        "labelValue" => names::is_label_value(text),
        "uri" => Url::parse(text).err().into_iter().collect(),
        "uuid" => one(formats::is("uuid", text), "does not match the UUID format"),
        "byte" => one(formats::is("byte", text), "invalid base64"),
        "date" => one(formats::is("date", text), "invalid date"),
        _ => one(formats::is("datetime", text), "invalid datetime"),
    }
}

fn parse_semver(text: &str, rest: &[Val<'_>]) -> Result<Option<Semver>, Fault> {
    let normalise = match rest {
        [] => false,
        [Val::Bool(normalise)] => *normalise,
        _ => return Err(Fault::Overload),
    };
    let text = if normalise { text.strip_prefix('v').unwrap_or(text) } else { text };
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (numbers, pre) = text.split_once('-').map_or((text, None), |(numbers, pre)| (numbers, Some(pre)));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let number = |part: &str| {
        let plain = normalise || part == "0" || !part.starts_with('0');
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (plain && digits).then(|| part.parse::<u64>().ok()).flatten()
    };
    let parts: Option<Vec<u64>> = numbers.split('.').map(number).collect();
    let Some(mut parts) = parts else { return Ok(None) };
    if normalise && parts.len() < 3 {
        parts.resize(3, 0);
    }
    let Ok(numbers) = <[u64; 3]>::try_from(parts) else { return Ok(None) };
    let pre: Vec<String> = pre.iter().flat_map(|pre| pre.split('.')).map(str::to_owned).collect();
    let zeros =
        |part: &String| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
    if pre.iter().any(|part| !word(part) || zeros(part)) || build.is_some_and(|b| !b.split('.').all(word)) {
        return Ok(None);
    }
    Ok(Some(Semver { numbers, pre }))
}

fn compare_versions(a: &Semver, b: &Semver) -> Ordering {
    let part = |a: &String, b: &String| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    };
    a.numbers.cmp(&b.numbers).then_with(|| match (a.pre.is_empty(), b.pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let first = a.pre.iter().zip(&b.pre).map(|(a, b)| part(a, b)).find(|order| order.is_ne());
            first.unwrap_or_else(|| a.pre.len().cmp(&b.pre.len()))
        }
    })
}

fn of_semver<'a>(version: &Semver, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    Ok(match (name, args) {
        ("major", []) => Val::Int(version.numbers[0] as i64),
        ("minor", []) => Val::Int(version.numbers[1] as i64),
        ("patch", []) => Val::Int(version.numbers[2] as i64),
        ("isGreaterThan", [Val::Semver(other)]) => {
            Val::Bool(compare_versions(version, other) == Ordering::Greater)
        }
        ("isLessThan", [Val::Semver(other)]) => Val::Bool(compare_versions(version, other) == Ordering::Less),
        ("compareTo", [Val::Semver(other)]) => Val::Int(compare_versions(version, other) as i64),
        _ => return Err(Fault::Overload),
    })
}
