//! Exact amounts of resources: `100m`, `1536Mi`, `1e3`.
//!
//! Owns reading, comparing, adding and printing of Kubernetes' quantities, without a floating point number.
//! Does not know which resource an amount is of, nor what is allowed for it.
//!
//! Invariant: an [`Amount`] is `mantissa × 10^exponent` with a mantissa that ends in no zero and an exponent
//! of −9 or more, so two amounts are the same number exactly when their fields are equal.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use crate::limits::{QUANTITY_BYTES, QUANTITY_EXPONENT};

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It has not the form of a number and a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The number has more digits than can be held exactly.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// The suffix is none of those known.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// The text is longer than any number of use.
    #[error("a quantity must be no more than {QUANTITY_BYTES} bytes")]
    Long,
}

/// The family of suffixes that an amount was written with and is printed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `n`, `u`, `m`, nothing, `k`, `M`, `G`, `T`, `P`, `E`.
    #[default]
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei`.
    BinarySi,
    /// `e3`, `e-6`.
    DecimalExponent,
}

/// An exact amount, never finer than a billionth.
///
/// Equality and order are those of the number; the format counts for neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    mantissa: i128,
    exponent: i32,
    format: Format,
}

const NANO: i32 = -9;
/// The most decimal digits that every i128 of that many holds.
const DIGITS: usize = 38;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { mantissa: 0, exponent: 0, format: Format::DecimalSi };

    /// A number of whole units.
    pub fn from_units(units: i64, format: Format) -> Amount {
        Amount::normal(units.into(), 0, format)
    }

    /// A number of thousandths.
    pub fn from_millis(millis: i64, format: Format) -> Amount {
        Amount::normal(millis.into(), -3, format)
    }

    /// Reads a quantity. What is finer than a billionth is rounded up, away from zero; a binary amount ends at
    /// 2^63 − 1, as upstream's does.
    pub fn parse(text: &str) -> Result<Amount, QuantityError> {
        Written::split(text)?.amount()
    }

    /// What an API server answers for this text.
    ///
    /// That is the canonical form, but a text that its fast path takes for canonical already stays as it is:
    /// `1.500`, `01` and `12.345k` are such.
    pub fn served(text: &str) -> Result<String, QuantityError> {
        let text = text.trim();
        let written = Written::split(text)?;
        let amount = written.amount()?;
        Ok(if written.is_kept() { text.to_owned() } else { amount.to_string() })
    }

    /// What an API server answers for this value of JSON: a text, a bare number, or null, which is nothing.
    pub fn served_value(value: &Value) -> Result<String, QuantityError> {
        match value {
            Value::Null => Ok("0".to_owned()),
            Value::String(text) => Amount::served(text),
            Value::Number(number) => Amount::served(&number.to_string()),
            _ => Err(QuantityError::Form),
        }
    }

    /// The family of suffixes that it is printed with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The same number, printed in another family of suffixes.
    pub fn with_format(self, format: Format) -> Amount {
        Amount { format, ..self }
    }

    /// Whether this is nothing.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// −1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// Whether it is a number of whole units.
    pub fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    /// Whole units, rounded up (away from zero); the ends of i64 where it does not fit.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// Thousandths, rounded up (away from zero); the ends of i64 where they do not fit.
    pub fn millis(&self) -> i64 {
        self.scaled(-3)
    }

    /// How many `10^scale` it is, rounded up (away from zero); the ends of i64 where that does not fit.
    pub fn scaled(&self, scale: i32) -> i64 {
        let shift = i64::from(self.exponent) - i64::from(scale);
        let exact = if shift >= 0 {
            power_of_ten(shift).and_then(|factor| self.mantissa.checked_mul(factor))
        } else {
            Some(divide_away(self.mantissa, -shift))
        };
        let end = if self.mantissa < 0 { i64::MIN } else { i64::MAX };
        exact.and_then(|number| i64::try_from(number).ok()).unwrap_or(end)
    }

    /// The least multiple of `10^scale` that is no smaller, away from zero.
    pub fn rounded_up(self, scale: i32) -> Amount {
        if self.exponent >= scale {
            return self;
        }
        let shift = i64::from(scale) - i64::from(self.exponent);
        Amount::normal(divide_away(self.mantissa, shift), scale, self.format)
    }

    fn normal(mut mantissa: i128, mut exponent: i32, format: Format) -> Amount {
        if exponent < NANO {
            mantissa = divide_away(mantissa, i64::from(NANO) - i64::from(exponent));
            exponent = NANO;
        }
        if mantissa == 0 {
            return Amount { mantissa, exponent: 0, format };
        }
        // Division of machine words is many times quicker, and most mantissas are such.
        if let Ok(mut short) = i64::try_from(mantissa) {
            while short % 10 == 0 {
                short /= 10;
                exponent += 1;
            }
            return Amount { mantissa: short.into(), exponent, format };
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Amount { mantissa, exponent, format }
    }

    /// The power of ten of the first digit; nonsense for zero.
    fn magnitude(&self) -> i64 {
        i64::from(self.mantissa.unsigned_abs().checked_ilog10().unwrap_or(0)) + i64::from(self.exponent)
    }

    /// The sum, exact wherever it has at most 38 digits and rounded away from zero otherwise.
    fn plus(self, other: Amount) -> Amount {
        if self.is_zero() {
            return other;
        }
        let (mut high, mut low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        while high.exponent > low.exponent {
            let Some(more) = high.mantissa.checked_mul(10) else { break };
            high.mantissa = more;
            high.exponent -= 1;
        }
        low.mantissa = divide_away(low.mantissa, i64::from(high.exponent) - i64::from(low.exponent));
        match high.mantissa.checked_add(low.mantissa) {
            Some(sum) => Amount::normal(sum, high.exponent, self.format),
            None => Amount::normal(
                divide_away(high.mantissa, 1) + divide_away(low.mantissa, 1),
                high.exponent + 1,
                self.format,
            ),
        }
    }

    fn is_below_binary(&self) -> bool {
        self.magnitude() < 4 && self.scaled(0).abs() <= 1024 && {
            let limit = Amount::from_units(1024, Format::DecimalSi);
            *self < limit && *self > -limit
        }
    }

    fn write_binary(&self, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
        if self.is_below_binary() || !self.is_whole() {
            return None;
        }
        let mut number = power_of_ten(self.exponent.into())?.checked_mul(self.mantissa)?;
        let mut step = 0;
        while number % 1024 == 0 && step + 1 < BINARY.len() {
            number /= 1024;
            step += 1;
        }
        Some(write!(f, "{number}{}", BINARY[step]))
    }

    fn write_decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = if self.format == Format::DecimalExponent {
            self.exponent.rem_euclid(3)
        } else {
            // No suffix is larger than `E`: a larger number gets zeros instead.
            self.exponent.rem_euclid(3).max(self.exponent - 18)
        };
        let exponent = self.exponent - lower;
        write!(f, "{}{:0<2$}", self.mantissa, "", lower as usize)?;
        match (self.format, exponent) {
            (_, 0) => Ok(()),
            (Format::DecimalExponent, _) => write!(f, "e{exponent}"),
            _ => f.write_str(DECIMAL[((exponent - NANO) / 3) as usize]),
        }
    }
}

impl fmt::Display for Amount {
    /// Prints the canonical form: no fraction, and the largest suffix that allows that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi
            && let Some(written) = self.write_binary(f)
        {
            return written;
        }
        self.write_decimal(f)
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Amount) -> bool {
        (self.mantissa, self.exponent) == (other.mantissa, other.exponent)
    }
}

impl Eq for Amount {}

impl Hash for Amount {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.mantissa, self.exponent).hash(state);
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Amount) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Amount) -> Ordering {
        let sign = self.signum();
        if sign != other.signum() || sign == 0 {
            return sign.cmp(&other.signum());
        }
        if self.exponent == other.exponent {
            return self.mantissa.cmp(&other.mantissa);
        }
        let larger = if sign > 0 { Ordering::Greater } else { Ordering::Less };
        match self.magnitude().cmp(&other.magnitude()) {
            Ordering::Greater => return larger,
            Ordering::Less => return larger.reverse(),
            Ordering::Equal => {}
        }
        // Equal magnitudes: the exponents lie within the digits of an i128, so one side can be scaled.
        let shift = i64::from(self.exponent) - i64::from(other.exponent);
        let scale =
            |mantissa: i128| power_of_ten(shift.abs()).and_then(|factor| mantissa.checked_mul(factor));
        if shift >= 0 {
            scale(self.mantissa).map_or(larger, |mantissa| mantissa.cmp(&other.mantissa))
        } else {
            scale(other.mantissa).map_or(larger.reverse(), |mantissa| self.mantissa.cmp(&mantissa))
        }
    }
}

impl Neg for Amount {
    type Output = Amount;

    fn neg(self) -> Amount {
        Amount { mantissa: self.mantissa.saturating_neg(), ..self }
    }
}

impl Add for Amount {
    type Output = Amount;

    /// The sum, in the format of the left side, or of the right if the left is nothing.
    fn add(self, other: Amount) -> Amount {
        self.plus(other)
    }
}

impl Sub for Amount {
    type Output = Amount;

    /// The difference, in the format of the left side, or of the right if the left is nothing.
    fn sub(self, other: Amount) -> Amount {
        self.plus(-other)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        *self = *self - other;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::ZERO, Add::add)
    }
}

impl FromStr for Amount {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Amount, QuantityError> {
        Amount::parse(text)
    }
}

impl TryFrom<&Quantity> for Amount {
    type Error = QuantityError;

    fn try_from(quantity: &Quantity) -> Result<Amount, QuantityError> {
        Amount::parse(quantity.0.trim())
    }
}

impl From<Amount> for Quantity {
    fn from(amount: Amount) -> Quantity {
        Quantity(amount.to_string())
    }
}

/// A quantity's text in its parts, before any arithmetic.
struct Written<'a> {
    negative: bool,
    /// The digits before the point, without zeros in front.
    whole: &'a str,
    /// The digits after the point.
    fraction: &'a str,
    base: Base,
    power: i32,
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Two,
    Ten,
}

impl<'a> Written<'a> {
    /// Upstream's grammar, which also takes a sign or a point alone for zero.
    fn split(text: &'a str) -> Result<Written<'a>, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Form);
        }
        if text.len() > QUANTITY_BYTES {
            return Err(QuantityError::Long);
        }
        let negative = text.starts_with('-');
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
        let (whole, rest) = take_while(rest, |byte| byte.is_ascii_digit());
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => take_while(rest, |byte| byte.is_ascii_digit()),
            None => ("", rest),
        };
        let (_, rest) = take_while(suffix, |byte| b"eEinumkKMGTP".contains(&byte));
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(['-', '+']).unwrap_or(rest) };
        if !rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(QuantityError::Form);
        }
        let (base, power, format) = read_suffix(suffix)?;
        Ok(Written { negative, whole, fraction, base, power, format })
    }

    fn amount(&self) -> Result<Amount, QuantityError> {
        self.short().map_or_else(|| self.long(), Ok)
    }

    /// The amount of a whole number that a machine word holds: nearly all are such.
    fn short(&self) -> Option<Amount> {
        if self.negative || !self.fraction.is_empty() || !(1..=9).contains(&self.whole.len()) {
            return None;
        }
        let number = self.whole.bytes().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        match self.base {
            Base::Ten => Some(Amount::normal(number.into(), self.power, self.format)),
            Base::Two => Some(Amount::normal(number.checked_mul(1 << self.power)?.into(), 0, self.format)),
        }
    }

    fn long(&self) -> Result<Amount, QuantityError> {
        let mut digits = format!("{}{}", self.whole, self.fraction);
        let mut exponent = -(self.fraction.len() as i64);
        let mut format = self.format;
        if self.base == Base::Ten {
            exponent += i64::from(self.power);
            cut_at_nano(&mut digits, &mut exponent);
        }
        let kept = digits.trim_end_matches('0').len();
        exponent += (digits.len() - kept) as i64;
        let significant = digits[..kept].trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Amount { format, ..Amount::ZERO });
        }
        let mut mantissa = 0;
        if self.base == Base::Two && significant.len() as i64 + exponent > 19 {
            (mantissa, exponent) = (i64::MAX.into(), 0);
        } else if significant.len() <= DIGITS {
            mantissa = significant.parse::<i128>().map_err(|_| QuantityError::Number)?;
            if self.base == Base::Two {
                mantissa = mantissa.checked_mul(1 << self.power).ok_or(QuantityError::Number)?;
            }
        }
        if mantissa == 0 {
            return Err(QuantityError::Number);
        }
        let exponent = i32::try_from(exponent).map_err(|_| QuantityError::Number)?;
        let mut amount = Amount::normal(mantissa, exponent, format);
        if self.base == Base::Two {
            amount = amount.min(Amount::from_units(i64::MAX, format));
            if amount < Amount::from_units(1, format) {
                format = Format::DecimalSi;
            }
        }
        let amount = amount.with_format(format);
        Ok(if self.negative { -amount } else { amount })
    }

    /// Whether upstream's fast path takes the text for canonical.
    fn is_kept(&self) -> bool {
        let whole = if self.whole.is_empty() { "0" } else { self.whole };
        let count = (whole.len() + self.fraction.len()) as i64;
        let shifted = format!("{whole}{}", self.fraction);
        let Ok(number) = shifted.parse::<i64>() else { return false };
        match self.base {
            Base::Two => {
                // The precision that upstream leaves for the number, in its own integer arithmetic.
                let room = 15 - whole.len() as i64 - i64::from(self.power) * 3 / 10 - 1;
                self.fraction.is_empty()
                    && room >= 0
                    && number.checked_mul(1 << self.power).is_some()
                    && number & 7 != 0
            }
            Base::Ten => {
                let scale = i64::from(self.power) - self.fraction.len() as i64;
                count <= 18
                    && scale >= i64::from(NANO)
                    && scale % 3 == 0
                    && !shifted.ends_with("000")
                    && !shifted.starts_with('0')
            }
        }
    }
}

fn read_suffix(suffix: &str) -> Result<(Base, i32, Format), QuantityError> {
    if let Some(step) = DECIMAL.iter().position(|known| *known == suffix) {
        return Ok((Base::Ten, step as i32 * 3 + NANO, Format::DecimalSi));
    }
    if let Some(step) = BINARY.iter().position(|known| *known == suffix) {
        return Ok((Base::Two, step as i32 * 10, Format::BinarySi));
    }
    let power = suffix.strip_prefix(['e', 'E']).and_then(|power| power.parse::<i64>().ok());
    match power {
        Some(power) if power.abs() <= QUANTITY_EXPONENT.into() => {
            Ok((Base::Ten, power as i32, Format::DecimalExponent))
        }
        _ => Err(QuantityError::Suffix),
    }
}

/// Takes away the digits that are finer than a billionth, and rounds up for them.
fn cut_at_nano(digits: &mut String, exponent: &mut i64) {
    let below = i64::from(NANO) - *exponent;
    if below <= 0 {
        return;
    }
    let kept = digits.len().saturating_sub(below as usize);
    let lost = digits.bytes().skip(kept).any(|digit| digit != b'0');
    digits.truncate(kept);
    *exponent = NANO.into();
    if lost {
        let nines = digits.len() - digits.trim_end_matches('9').len();
        digits.truncate(digits.len() - nines);
        let last = digits.pop().unwrap_or('0');
        digits.push(char::from(last as u8 + 1));
        digits.extend(std::iter::repeat_n('0', nines));
    }
}

fn take_while(text: &str, fits: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !fits(byte)).unwrap_or(text.len()))
}

fn power_of_ten(power: i64) -> Option<i128> {
    u32::try_from(power).ok().and_then(|power| 10i128.checked_pow(power))
}

/// `number / 10^power`, away from zero.
fn divide_away(number: i128, power: i64) -> i128 {
    let Some(divisor) = power_of_ten(power) else { return number.signum() };
    let rest = number % divisor;
    number / divisor + rest.signum()
}

#[cfg(test)]
mod tests;
