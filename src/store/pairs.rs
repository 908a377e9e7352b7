//! Pairs of short texts in two allocations, however many there are: the labels and terms of a header.
//!
//! A cluster holds millions of them, and each text on its own would weigh twice its length. Immutable.

use std::fmt;

/// Names with values, in the order in which they were given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    text: Box<str>,
    /// Where each name and each value ends in the text.
    ends: Box<[u32]>,
}

impl Pairs {
    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        let mut next = move |end: u32| &self.text[std::mem::replace(&mut begin, end as usize)..end as usize];
        self.ends.as_chunks().0.iter().map(move |&[name, value]| (next(name), next(value)))
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Pairs {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for (name, value) in pairs {
            for part in [name.as_ref(), value.as_ref()] {
                text.push_str(part);
                ends.push(text.len() as u32);
            }
        }
        Pairs { text: text.into_boxed_str(), ends: ends.into_boxed_slice() }
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;

    #[test]
    fn what_goes_in_comes_out() {
        for given in [&[][..], &[("a", "")], &[("", "x"), ("app", "web"), ("ä", "ö\0"), ("app", "2")]] {
            let pairs: Pairs = given.iter().copied().collect();
            assert_eq!(pairs.iter().collect::<Vec<_>>(), given);
            assert_eq!(
                pairs.get("app"),
                given.iter().find(|(name, _)| *name == "app").map(|(_, value)| *value)
            );
        }
    }
}
