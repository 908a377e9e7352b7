//! Which objects are meant: selectors over labels and over fields.
//!
//! Owns what a selector is, when it matches, and its text. Reads no object: labels come through [`LabelSet`],
//! fields through a function. Which fields can be selected by is each kind's own matter.
//!
//! Invariant: a selector's text, parsed again, is a selector that matches the same.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::names::{is_label_value, is_qualified_name};
use crate::limits::SELECTOR_BYTES;

mod fields;
mod parse;

pub use fields::{FieldSelector, FieldTerm};

/// Why a selector cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text is longer than a selector may be.
    #[error("a selector must be no more than {SELECTOR_BYTES} bytes")]
    Long,
    /// Something else was expected at this place.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// A set of values does not open.
    #[error("found '{0}' expected: '('")]
    NoSet(String),
    /// One requirement of the text cannot be.
    #[error("unable to parse requirement: {0}")]
    Requirement(Box<SelectorError>),
    /// A key, its values or their number break a rule; one sentence each.
    #[error("{}", aggregate(.0))]
    Invalid(Vec<String>),
    /// A `matchExpressions` entry has an operator that is none.
    #[error("{} is not a valid label selector operator", quoted(.0))]
    Operator(String),
    /// A term of a field selector has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole text.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash stands before a character that needs none, or at the end.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A value holds a bare `,` or `=`; upstream names it by its number.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

/// A set of labels to look into.
pub trait LabelSet {
    /// The value of the label with this key.
    fn get(&self, key: &str) -> Option<&str>;
}

impl LabelSet for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<&str> {
        BTreeMap::get(self, key).map(String::as_str)
    }
}

impl<K: AsRef<str>, V: AsRef<str>> LabelSet for [(K, V)] {
    fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.as_ref() == key).map(|(_, value)| value.as_ref())
    }
}

impl<K: AsRef<str>, V: AsRef<str>, const N: usize> LabelSet for [(K, V); N] {
    fn get(&self, key: &str) -> Option<&str> {
        LabelSet::get(self.as_slice(), key)
    }
}

impl<K: AsRef<str>, V: AsRef<str>> LabelSet for Vec<(K, V)> {
    fn get(&self, key: &str) -> Option<&str> {
        LabelSet::get(self.as_slice(), key)
    }
}

/// An object without labels has none.
impl<S: LabelSet> LabelSet for Option<S> {
    fn get(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.get(key))
    }
}

impl<S: LabelSet + ?Sized> LabelSet for &S {
    fn get(&self, key: &str) -> Option<&str> {
        (**self).get(key)
    }
}

/// How a label's value is held against those of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// The value is one of these.
    In,
    /// The value is none of these, or there is no such label.
    NotIn,
    /// The value is this: `=`.
    Equals,
    /// The value is this: `==`.
    DoubleEquals,
    /// The value is not this, or there is no such label.
    NotEquals,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
    /// The value is an integer above this one.
    GreaterThan,
    /// The value is an integer below this one.
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A requirement whose key and values keep the rules of labels.
    pub fn new(
        key: impl Into<String>,
        operator: Operator,
        values: Vec<String>,
    ) -> Result<Requirement, SelectorError> {
        let key = key.into();
        let mut wrong = Vec::new();
        let sentences = is_qualified_name(&key);
        if !sentences.is_empty() {
            wrong.push(format!("key: Invalid value: {}: {}", quoted(&key), sentences.join("; ")));
        }
        if let Some(sentence) = wrong_number(operator, values.len()) {
            let listed = serde_json::to_string(&values).unwrap_or_default();
            wrong.push(format!("values: Invalid value: {listed}: {sentence}"));
        }
        for (index, value) in values.iter().enumerate() {
            let compares = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if compares && value.parse::<i64>().is_err() {
                wrong.push(format!(
                    "values[{index}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                    quoted(value)
                ));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let sentences = is_label_value(value);
            if !sentences.is_empty() {
                wrong.push(format!(
                    "values[{index}][{key}]: Invalid value: {}: {}",
                    quoted(value),
                    sentences.join("; ")
                ));
            }
        }
        if wrong.is_empty() {
            Ok(Requirement { key, operator, values })
        } else {
            Err(SelectorError::Invalid(wrong))
        }
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the values are compared.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values, in the order given.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// The one value that the label must have, if there is one.
    pub fn exact(&self) -> Option<&str> {
        match (self.operator, &self.values[..]) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }

    /// Whether these labels meet the requirement.
    pub fn matches(&self, labels: &(impl LabelSet + ?Sized)) -> bool {
        let found = labels.get(&self.key);
        let listed = |value: &str| self.values.iter().any(|known| known == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => found.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !found.is_some_and(listed),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
            Operator::GreaterThan => self.compares(found, |label, bound| label > bound),
            Operator::LessThan => self.compares(found, |label, bound| label < bound),
        }
    }

    fn compares(&self, found: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = self.values.first().and_then(|value| number(value));
        found.and_then(number).zip(bound).is_some_and(|(label, bound)| holds(label, bound))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A label selector: all of its requirements must be met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl Selector {
    /// Selects every object.
    pub fn everything() -> Selector {
        Selector::default()
    }

    /// Selects no object.
    pub fn nothing() -> Selector {
        Selector { nothing: true, ..Selector::default() }
    }

    /// Reads a text such as `app=web,tier in (a,b),!old,env!=prod,count>1`.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        Ok(Selector::of(parse::requirements(text)?))
    }

    /// The selector of an API field: absent it selects nothing, empty it selects everything.
    pub fn from_label_selector(selector: Option<&LabelSelector>) -> Result<Selector, SelectorError> {
        let Some(selector) = selector else { return Ok(Selector::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(SelectorError::Operator(other.to_owned())),
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(Selector::of(requirements))
    }

    /// Selects what has all of these labels, whose rules are not checked: a Service's selector, a
    /// ReplicationController's, a nodeSelector. Without labels it selects everything.
    pub fn from_set(labels: &BTreeMap<String, String>) -> Selector {
        let requirements = labels.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.clone()],
        });
        Selector::of(requirements.collect())
    }

    /// Selects what meets all of these requirements.
    pub fn of(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Selector { requirements, nothing: false }
    }

    /// The same selector with one more requirement.
    pub fn and(self, requirement: Requirement) -> Selector {
        let Selector { mut requirements, nothing } = self;
        requirements.push(requirement);
        Selector { nothing, ..Selector::of(requirements) }
    }

    /// Whether it restricts nothing.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether it is known to select no object.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Its requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The labels that an object must have exactly so: what an index can answer.
    pub fn exact(&self) -> impl Iterator<Item = (&str, &str)> {
        self.requirements
            .iter()
            .filter_map(|requirement| requirement.exact().map(|value| (requirement.key(), value)))
    }

    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &(impl LabelSet + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

/// What is wrong with having so many values.
fn wrong_number(operator: Operator, count: usize) -> Option<&'static str> {
    match operator {
        Operator::In | Operator::NotIn if count == 0 => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if count != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if count != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if count != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    }
}

/// Several sentences as one, as upstream puts them together.
fn aggregate(sentences: &[String]) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for sentence in sentences {
        if !distinct.contains(&sentence.as_str()) {
            distinct.push(sentence);
        }
    }
    match distinct[..] {
        [only] => only.to_owned(),
        _ => format!("[{}]", distinct.join(", ")),
    }
}

/// A text in quotes, with escapes for what cannot be read.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests;
