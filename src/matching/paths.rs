//! The paths that live rules name, as a trie of keys; each node counts who uses it and goes when nobody does.
//!
//! A node's number is the number of its path. Nothing else of an event is kept than the leaves at these.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::access::Access;
use super::packed::PathId;

pub const ROOT: PathId = 0;
/// Above this many children a node finds them by hash.
const FEW: usize = 16;

#[derive(Debug, Default)]
pub struct Paths {
    pub nodes: Vec<Node>,
    free: Vec<PathId>,
}

#[derive(Debug, Default)]
pub struct Node {
    parent: PathId,
    name: Box<str>,
    /// Conditions on this path, and on this or one below.
    pub named: u32,
    used: u32,
    children: Vec<Child>,
    /// One bit for each child: most names of an event are of no child, and miss it.
    bits: u64,
    /// All children, where they are many.
    many: HashTable<(u64, PathId)>,
    /// What of the index is filed under this path.
    pub access: Access,
}

#[derive(Debug)]
struct Child {
    prefix: u64,
    length: u32,
    node: PathId,
}

impl Paths {
    pub fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }

    /// Counts one more use of a path, which is made if it is not there.
    pub fn acquire(&mut self, path: &[Box<str>]) -> PathId {
        let mut at = ROOT;
        for name in path {
            self.nodes[at as usize].used += 1;
            at = self.find(at, name.as_bytes()).unwrap_or_else(|| self.add(at, name));
        }
        self.nodes[at as usize].used += 1;
        self.nodes[at as usize].named += 1;
        at
    }

    /// Takes one use back.
    pub fn release(&mut self, path: PathId) {
        self.nodes[path as usize].named -= 1;
        let mut at = path;
        loop {
            let node = &mut self.nodes[at as usize];
            let parent = node.parent;
            node.used -= 1;
            if at == ROOT {
                return;
            }
            if node.used == 0 {
                let name = std::mem::take(&mut node.name);
                *node = Node::default();
                self.unlink(parent, at, &name);
                self.free.push(at);
            }
            at = parent;
        }
    }

    /// The first key of a path.
    pub fn top(&self, mut path: PathId) -> PathId {
        while self.nodes[path as usize].parent != ROOT {
            path = self.nodes[path as usize].parent;
        }
        path
    }

    #[inline(always)]
    pub fn has_children(&self, at: PathId) -> bool {
        !self.nodes[at as usize].children.is_empty()
    }

    /// The child of that name.
    #[inline]
    pub fn find(&self, at: PathId, name: &[u8]) -> Option<PathId> {
        let node = &self.nodes[at as usize];
        let prefix = prefix(name);
        if node.bits & bit(prefix, name.len()) == 0 {
            return None;
        }
        if node.children.len() <= FEW {
            let same = |child: &&Child| {
                child.prefix == prefix
                    && child.length as usize == name.len()
                    && (name.len() <= 8 || self.nodes[child.node as usize].name.as_bytes() == name)
            };
            return node.children.iter().find(same).map(|child| child.node);
        }
        let same = |(_, child): &(u64, PathId)| self.nodes[*child as usize].name.as_bytes() == name;
        node.many.find(xxh3_64(name), same).map(|(_, child)| *child)
    }

    fn add(&mut self, parent: PathId, name: &str) -> PathId {
        let new = Node { parent, name: name.into(), ..Node::default() };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = new;
                at
            }
            None => {
                self.nodes.push(new);
                u32::try_from(self.nodes.len() - 1).expect("fewer paths than memory holds")
            }
        };
        let node = &mut self.nodes[parent as usize];
        let prefix = prefix(name.as_bytes());
        node.bits |= bit(prefix, name.len());
        node.children.push(Child { prefix, length: name.len() as u32, node: at });
        match node.children.len() {
            0..=FEW => {}
            few if few == FEW + 1 => self.index_children(parent),
            _ => {
                let hash = xxh3_64(name.as_bytes());
                node.many.insert_unique(hash, (hash, at), |(hash, _)| *hash);
            }
        }
        at
    }

    fn index_children(&mut self, parent: PathId) {
        let children: Vec<PathId> = self.nodes[parent as usize].children.iter().map(|child| child.node).collect();
        let mut many = HashTable::with_capacity(2 * FEW);
        for child in children {
            let hash = xxh3_64(self.nodes[child as usize].name.as_bytes());
            many.insert_unique(hash, (hash, child), |(hash, _)| *hash);
        }
        self.nodes[parent as usize].many = many;
    }

    fn unlink(&mut self, parent: PathId, child: PathId, name: &str) {
        let node = &mut self.nodes[parent as usize];
        if let Some(at) = node.children.iter().position(|c| c.node == child) {
            node.children.swap_remove(at);
        }
        if node.children.len() <= FEW {
            node.many = HashTable::new();
        } else if let Ok(entry) = node.many.find_entry(xxh3_64(name.as_bytes()), |(_, c)| *c == child) {
            entry.remove();
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let each = |n: &Node| {
            n.name.len() + n.children.capacity() * size_of::<Child>() + n.many.allocation_size() + n.access.bytes()
        };
        self.nodes.capacity() * size_of::<Node>() + self.nodes.iter().map(each).sum::<usize>()
    }
}

/// The first eight bytes of a name, zeros where it is shorter.
#[inline(always)]
fn prefix(name: &[u8]) -> u64 {
    if let Some(word) = name.first_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(low), Some(high)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let shift = 8 * (name.len() - 4);
        return u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << shift;
    }
    name.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[inline(always)]
fn bit(prefix: u64, length: usize) -> u64 {
    1 << ((prefix ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|n| (*n).into()).collect()
    }

    #[test]
    fn a_path_lives_as_long_as_it_is_used() {
        let mut paths = Paths::new();
        let deep = paths.acquire(&path(&["a", "b"]));
        let short = paths.acquire(&path(&["a"]));
        assert_eq!((paths.top(deep), paths.top(short)), (short, short));
        assert_eq!(paths.acquire(&path(&["a", "b"])), deep);
        paths.release(deep);
        assert_eq!(paths.find(short, b"b"), Some(deep));
        paths.release(deep);
        assert_eq!(paths.find(short, b"b"), None);
        paths.release(short);
        assert_eq!(paths.find(ROOT, b"a"), None);
    }

    #[test]
    fn many_children_are_found_and_go() {
        let mut paths = Paths::new();
        let names: Vec<String> = (0..200).map(|i| format!("attribute_{i}")).collect();
        let ids: Vec<PathId> = names.iter().map(|n| paths.acquire(&path(&[n]))).collect();
        for (i, name) in names.iter().enumerate() {
            assert_eq!(paths.find(ROOT, name.as_bytes()), Some(ids[i]));
        }
        for (i, name) in names.iter().enumerate() {
            paths.release(ids[i]);
            assert_eq!(paths.find(ROOT, name.as_bytes()), None);
        }
        assert_eq!(paths.find(ROOT, b"attribute_9"), None);
    }
}
