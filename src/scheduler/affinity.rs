//! Node affinity: terms over a node's labels and name, compiled once a pod.
//!
//! Owns what a term is and when it matches. Invariant: an empty term matches no node, and neither does one
//! that breaks a rule of selectors (the door refuses those anyway).

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PreferredSchedulingTerm};

use super::node::NodeInfo;
use crate::api::selector::{Operator, Requirement};

const NAME_FIELD: &str = "metadata.name";

/// One term: all of its requirements must be met.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    labels: Vec<Requirement>,
    /// The names that the node must have (`true`) or not have (`false`).
    names: Vec<(bool, String)>,
}

impl Term {
    /// `None` if it can match nothing.
    fn new(term: &NodeSelectorTerm) -> Option<Term> {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        if expressions.is_empty() && fields.is_empty() {
            return None;
        }
        let labels = expressions.iter().map(requirement).collect::<Option<Vec<_>>>()?;
        let names = fields.iter().map(name_requirement).collect::<Option<Vec<_>>>()?;
        Some(Term { labels, names })
    }

    fn matches(&self, node: &NodeInfo) -> bool {
        self.names.iter().all(|(equal, name)| (**name == *node.name) == *equal)
            && self.labels.iter().all(|requirement| requirement.matches(&node.labels))
    }
}

fn requirement(expression: &NodeSelectorRequirement) -> Option<Requirement> {
    let operator = match expression.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    };
    Requirement::new(&expression.key, operator, expression.values.clone().unwrap_or_default()).ok()
}

fn name_requirement(field: &NodeSelectorRequirement) -> Option<(bool, String)> {
    let equal = match field.operator.as_str() {
        "In" => true,
        "NotIn" => false,
        _ => return None,
    };
    match field.values.as_deref() {
        Some([name]) if field.key == NAME_FIELD => Some((equal, name.clone())),
        _ => None,
    }
}

/// The affinity that must hold: one of the terms must match.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeTerms {
    terms: Vec<Term>,
    dropped: bool,
}

impl NodeTerms {
    /// Compiles the terms.
    pub fn new(terms: &[NodeSelectorTerm]) -> NodeTerms {
        let compiled: Vec<Term> = terms.iter().filter_map(Term::new).collect();
        NodeTerms { dropped: compiled.len() != terms.len(), terms: compiled }
    }

    /// Whether a node meets one of them.
    pub fn matches(&self, node: &NodeInfo) -> bool {
        self.terms.iter().any(|term| term.matches(node))
    }

    /// The only nodes that can meet them, where every term names one: how daemons ask for their node.
    pub fn names(&self) -> Option<Vec<&str>> {
        if self.terms.is_empty() || self.dropped {
            return None;
        }
        let name_of = |term: &'_ Term| term.names.iter().position(|(equal, _)| *equal);
        let names = self.terms.iter().map(|term| name_of(term).map(|at| &*term.names[at].1));
        names.collect()
    }
}

/// An affinity that is liked, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct PreferredTerm {
    term: Term,
    /// From 1 to 100.
    pub weight: i64,
}

impl PreferredTerm {
    /// Compiles a term; `None` where it can add nothing.
    pub fn new(preferred: &PreferredSchedulingTerm) -> Option<PreferredTerm> {
        let weight = i64::from(preferred.weight);
        (weight != 0).then_some(())?;
        Some(PreferredTerm { term: Term::new(&preferred.preference)?, weight })
    }

    /// Whether a node meets it.
    pub fn matches(&self, node: &NodeInfo) -> bool {
        self.term.matches(node)
    }
}
