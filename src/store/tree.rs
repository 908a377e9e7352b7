//! A persistent ordered map from text to values: a B+ tree whose nodes are shared between versions.
//!
//! A clone costs nothing; a change copies the nodes on one path, and none that no other version holds.
//! Invariants: keys ascend; no node is empty but the root's absence; every leaf has the same depth; an inner
//! node's entry carries the smallest key below it.

use std::sync::Arc;

use arrayvec::ArrayVec;

/// The most entries of a node. Small enough that copying a path touches few reference counts.
const WIDTH: usize = 16;

/// A persistent ordered map. `V` is cheap to clone: a handle, or nothing.
#[derive(Clone)]
pub struct Tree<V> {
    root: Option<Arc<Node<V>>>,
    len: usize,
}

/// A node's entries lie in the node itself, with room for the one too many that makes it split.
type Entries<T> = ArrayVec<(Arc<str>, T), { WIDTH + 1 }>;

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "of both there is one allocation, and the difference is small")]
enum Node<V> {
    Leaf(Entries<V>),
    Inner(Entries<Arc<Node<V>>>),
}

/// What adding to a node left: nothing more to do, or a right half for the parent to take in.
enum Grown<V> {
    Fits(Option<V>),
    Split(Arc<str>, Arc<Node<V>>),
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Tree { root: None, len: 0 }
    }
}

impl<V: Clone> Node<V> {
    fn width(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn first_key(&self) -> Option<&Arc<str>> {
        match self {
            Node::Leaf(entries) => entries.first().map(|(key, _)| key),
            Node::Inner(children) => children.first().map(|(key, _)| key),
        }
    }

    /// The child under which `key` lies or would lie.
    fn child_index(children: &[(Arc<str>, Arc<Node<V>>)], key: &str) -> usize {
        children.partition_point(|(first, _)| **first <= *key).saturating_sub(1)
    }

    fn get(&self, key: &str) -> Option<&V> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
                Some(&entries[at].1)
            }
            Node::Inner(children) => children.get(Self::child_index(children, key))?.1.get(key),
        }
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
                Some(&mut entries[at].1)
            }
            Node::Inner(children) => {
                let at = Self::child_index(children, key);
                Arc::make_mut(&mut children.get_mut(at)?.1).get_mut(key)
            }
        }
    }

    fn insert(&mut self, key: Arc<str>, value: V) -> Grown<V> {
        match self {
            Node::Leaf(entries) => match entries.binary_search_by(|(k, _)| k.cmp(&key)) {
                Ok(at) => return Grown::Fits(Some(std::mem::replace(&mut entries[at].1, value))),
                Err(at) => entries.insert(at, (key, value)),
            },
            Node::Inner(children) => {
                let at = Self::child_index(children, &key);
                if key < children[at].0 {
                    children[at].0 = key.clone();
                }
                match Arc::make_mut(&mut children[at].1).insert(key, value) {
                    Grown::Split(first, right) => children.insert(at + 1, (first, right)),
                    fits => return fits,
                }
            }
        }
        if self.width() <= WIDTH { Grown::Fits(None) } else { self.split() }
    }

    /// Splits an overfull node. Appending in order is common, so an append keeps the left half full.
    fn split(&mut self) -> Grown<V> {
        let half = WIDTH / 2 + WIDTH / 4;
        let right = match self {
            Node::Leaf(entries) => Node::Leaf(entries.drain(half..).collect()),
            Node::Inner(children) => Node::Inner(children.drain(half..).collect()),
        };
        match right.first_key().cloned() {
            Some(first) => Grown::Split(first, Arc::new(right)),
            None => Grown::Fits(None),
        }
    }

    fn remove(&mut self, key: &str) -> Option<V> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
                Some(entries.remove(at).1)
            }
            Node::Inner(children) => {
                let at = Self::child_index(children, key);
                let removed = Arc::make_mut(&mut children.get_mut(at)?.1).remove(key)?;
                Self::mend(children, at);
                Some(removed)
            }
        }
    }

    /// After a removal below `at`: drops an emptied child, joins a thin one with a neighbour that has room,
    /// and corrects the smallest key.
    fn mend(children: &mut Entries<Arc<Node<V>>>, at: usize) {
        let width = children[at].1.width();
        if width == 0 {
            children.remove(at);
            return;
        }
        if let Some(first) = children[at].1.first_key() {
            children[at].0 = first.clone();
        }
        if width > WIDTH / 4 {
            return;
        }
        let left = if at > 0 { at - 1 } else { at };
        if left + 1 < children.len()
            && children[left].1.width() + children[left + 1].1.width() <= WIDTH - WIDTH / 4
        {
            let (_, right) = children.remove(left + 1);
            match (Arc::make_mut(&mut children[left].1), &*right) {
                (Node::Leaf(into), Node::Leaf(from)) => into.extend(from.iter().cloned()),
                (Node::Inner(into), Node::Inner(from)) => into.extend(from.iter().cloned()),
                _ => {}
            }
        }
    }
}

impl<V: Clone> Tree<V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.root.as_ref()?.get(key)
    }

    /// The value of a key, for change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        Arc::make_mut(self.root.as_mut()?).get_mut(key)
    }

    /// Sets the value of a key; answers the one that was there.
    pub fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Arc::new(Node::Leaf([(key, value)].into_iter().collect())));
            self.len = 1;
            return None;
        };
        match Arc::make_mut(root).insert(key, value) {
            Grown::Fits(old) => {
                self.len += usize::from(old.is_none());
                old
            }
            Grown::Split(first, right) => {
                let left = root.clone();
                let left_first = left.first_key().cloned().unwrap_or_else(|| first.clone());
                self.root =
                    Some(Arc::new(Node::Inner([(left_first, left), (first, right)].into_iter().collect())));
                self.len += 1;
                None
            }
        }
    }

    /// Takes a key out; answers its value.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let root = self.root.as_mut()?;
        let removed = Arc::make_mut(root).remove(key)?;
        self.len -= 1;
        loop {
            let next = match &**root {
                node if node.width() == 0 => None,
                Node::Inner(children) if children.len() == 1 => Some(children[0].1.clone()),
                _ => break,
            };
            match next {
                Some(child) => *root = child,
                None => {
                    self.root = None;
                    break;
                }
            }
        }
        Some(removed)
    }

    /// The entries from `from` on, in order.
    pub fn from<'a>(&'a self, from: &str) -> Iter<'a, V> {
        let mut iter = Iter { stack: Vec::new() };
        let mut node = self.root.as_deref();
        while let Some(here) = node {
            node = match here {
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(key, _)| **key < *from);
                    iter.stack.push(Level::Leaf(entries[at..].iter()));
                    None
                }
                Node::Inner(children) => {
                    let at = Node::<V>::child_index(children, from);
                    let mut rest = children[at..].iter();
                    let child = rest.next();
                    iter.stack.push(Level::Inner(rest));
                    child.map(|(_, child)| &**child)
                }
            };
        }
        iter
    }

    /// Every entry, in order.
    pub fn iter(&self) -> Iter<'_, V> {
        self.from("")
    }

    /// Whether the tree is as it must be; for tests and the invariant checker.
    pub fn check(&self) -> Result<(), String> {
        let mut last: Option<&Arc<str>> = None;
        let mut count = 0;
        for (key, _) in self.iter() {
            if last.is_some_and(|last| last >= key) {
                return Err(format!("key {key} is out of order"));
            }
            last = Some(key);
            count += 1;
        }
        if count != self.len {
            return Err(format!("{count} entries where {} are counted", self.len));
        }
        match &self.root {
            Some(root) => check_node(root).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Checks a node and answers its depth.
fn check_node<V: Clone>(node: &Node<V>) -> Result<usize, String> {
    if node.width() == 0 || node.width() > WIDTH {
        return Err(format!("a node has {} entries", node.width()));
    }
    let Node::Inner(children) = node else { return Ok(1) };
    let mut depth = None;
    for (first, child) in children {
        if child.first_key() != Some(first) {
            return Err(format!("the smallest key below {first} is another"));
        }
        let below = check_node(child)?;
        if *depth.get_or_insert(below) != below {
            return Err(format!("leaves below {first} lie at different depths"));
        }
    }
    Ok(depth.unwrap_or(0) + 1)
}

enum Level<'a, V> {
    Leaf(std::slice::Iter<'a, (Arc<str>, V)>),
    Inner(std::slice::Iter<'a, (Arc<str>, Arc<Node<V>>)>),
}

/// An ordered walk through a [`Tree`].
pub struct Iter<'a, V> {
    stack: Vec<Level<'a, V>>,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a Arc<str>, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let below = match self.stack.last_mut()? {
                Level::Leaf(entries) => match entries.next() {
                    Some((key, value)) => return Some((key, value)),
                    None => None,
                },
                Level::Inner(children) => children.next().map(|(_, child)| &**child),
            };
            match below {
                Some(Node::Leaf(entries)) => self.stack.push(Level::Leaf(entries.iter())),
                Some(Node::Inner(children)) => self.stack.push(Level::Inner(children.iter())),
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_and_leaves_old_versions_alone(
            steps in prop::collection::vec((any::<bool>(), 0u16..400), 1..1200)
        ) {
            let mut tree = Tree::default();
            let mut model = BTreeMap::new();
            let mut kept = Vec::new();
            for (i, (add, n)) in steps.into_iter().enumerate() {
                let key = format!("{n:03}");
                if add {
                    prop_assert_eq!(tree.insert(Arc::from(&*key), i), model.insert(key, i));
                } else {
                    prop_assert_eq!(tree.remove(&key), model.remove(&key));
                }
                if i % 97 == 0 {
                    kept.push((tree.clone(), model.clone()));
                }
            }
            kept.push((tree, model));
            for (tree, model) in kept {
                tree.check().map_err(TestCaseError::fail)?;
                let seen: Vec<_> = tree.iter().map(|(k, v)| (k.to_string(), *v)).collect();
                prop_assert_eq!(&seen, &model.clone().into_iter().collect::<Vec<_>>());
                let from: Vec<_> = tree.from("2").map(|(k, _)| k.to_string()).collect();
                prop_assert_eq!(from, model.range("2".to_owned()..).map(|(k, _)| k.clone()).collect::<Vec<_>>());
                for (key, value) in &model {
                    prop_assert_eq!(tree.get(key), Some(value));
                }
            }
        }
    }
}
