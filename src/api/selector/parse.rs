//! Reads the text of a label selector.
//!
//! Owns the grammar, which is upstream's to the letter: `in` and `notin` are words only where an operator
//! stands, a missing value is the empty one, and a NUL ends a word.
//!
//! Invariant: the parser never looks back, so its time is linear in the text.

use std::collections::BTreeSet;

use super::{Operator, Requirement, SelectorError, quoted};
use crate::api::names::is_qualified_name;
use crate::limits::SELECTOR_BYTES;

/// The requirements that a text lists, in its order.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    if text.len() > SELECTOR_BYTES {
        return Err(SelectorError::Long);
    }
    let mut parser = Parser { tokens: scan(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            token if token.is_word() || token == Token::Not => {
                let requirement =
                    parser.requirement().map_err(|error| SelectorError::Requirement(Box::new(error)))?;
                requirements.push(requirement);
                match parser.take() {
                    Token::End => return Ok(requirements),
                    Token::Comma => {
                        let next = parser.peek();
                        if !next.is_word() && next != Token::Not {
                            return Err(next.unexpected("identifier after ','"));
                        }
                    }
                    other => return Err(other.unexpected("',' or 'end of string'")),
                }
            }
            Token::End => return Ok(requirements),
            other => return Err(other.unexpected("!, identifier, or 'end of string'")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Open,
    Close,
    Comma,
    Not,
    Operator(Operator, &'a str),
    Word(&'a str),
    Unknown(&'a str),
}

impl<'a> Token<'a> {
    /// Whether it can be a key or a value: `in` and `notin` can.
    fn is_word(self) -> bool {
        matches!(self, Token::Word(_) | Token::Operator(Operator::In | Operator::NotIn, _))
    }

    fn text(self) -> String {
        match self {
            Token::End => String::new(),
            Token::Open => "(".to_owned(),
            Token::Close => ")".to_owned(),
            Token::Comma => ",".to_owned(),
            Token::Not => "!".to_owned(),
            Token::Operator(_, text) | Token::Word(text) => text.to_owned(),
            Token::Unknown(text) => format!("error expected: keyword found '{text}'"),
        }
    }

    fn unexpected(self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected { found: self.text(), expected }
    }
}

fn special(symbols: &str) -> Option<Token<'_>> {
    Some(match symbols {
        "(" => Token::Open,
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "=" => Token::Operator(Operator::Equals, symbols),
        "==" => Token::Operator(Operator::DoubleEquals, symbols),
        "!=" => Token::Operator(Operator::NotEquals, symbols),
        ">" => Token::Operator(Operator::GreaterThan, symbols),
        "<" => Token::Operator(Operator::LessThan, symbols),
        _ => return None,
    })
}

fn scan(text: &str) -> Vec<Token<'_>> {
    let is_symbol = |c: char| "=!(),><".contains(c);
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_space);
        let Some(first) = rest.chars().next().filter(|c| *c != '\0') else { return tokens };
        if is_symbol(first) {
            // Every symbol is a token by itself, and the longest token has two.
            let (token, length) = match rest.get(..2).and_then(special) {
                Some(token) => (token, 2),
                None => (special(&rest[..1]).unwrap_or(Token::Unknown(&rest[..1])), 1),
            };
            tokens.push(token);
            rest = &rest[length..];
        } else {
            let end = rest.find(|c| is_symbol(c) || is_space(c) || c == '\0').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            tokens.push(match word {
                "in" => Token::Operator(Operator::In, word),
                "notin" => Token::Operator(Operator::NotIn, word),
                _ => Token::Word(word),
            });
            rest = after.strip_prefix('\0').unwrap_or(after);
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.position).copied().unwrap_or(Token::End)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.take();
        let negated = token == Token::Not;
        if negated {
            token = self.take();
        }
        if !token.is_word() {
            return Err(token.unexpected("identifier"));
        }
        let key = token.text();
        let sentences = is_qualified_name(&key);
        if !sentences.is_empty() {
            let sentences = sentences.join("; ");
            return Err(SelectorError::Invalid(vec![format!(
                "<nil>: Invalid value: {}: {sentences}",
                quoted(&key)
            )]));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = match self.take() {
            Token::Operator(operator, _) => operator,
            other => return Err(other.unexpected("in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.set()?,
            _ => self.exact_value()?,
        };
        Requirement::new(key, operator, values.into_iter().collect())
    }

    fn exact_value(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        let token = self.take();
        if token.is_word() { Ok(BTreeSet::from([token.text()])) } else { Err(token.unexpected("identifier")) }
    }

    fn set(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let token = self.take();
        if token != Token::Open {
            return Err(SelectorError::NoSet(token.text()));
        }
        match self.peek() {
            Token::Close => {
                self.take();
                Ok(BTreeSet::from([String::new()]))
            }
            token if token == Token::Comma || token.is_word() => {
                let values = self.values()?;
                self.take();
                Ok(values)
            }
            other => Err(other.unexpected("',', ')' or identifier")),
        }
    }

    /// The values of a set, up to the parenthesis that closes it.
    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let mut values = BTreeSet::new();
        loop {
            match self.take() {
                token if token.is_word() => {
                    values.insert(token.text());
                    match self.peek() {
                        Token::Comma => {}
                        Token::Close => return Ok(values),
                        other => return Err(other.unexpected("',' or ')'")),
                    }
                }
                Token::Comma => {
                    let next = self.peek();
                    if values.is_empty() || matches!(next, Token::Close | Token::Comma) {
                        values.insert(String::new());
                    }
                    if next == Token::Close {
                        return Ok(values);
                    }
                }
                other => return Err(other.unexpected("',', or identifier")),
            }
        }
    }
}
