//! An event's leaves at the paths that rules name, found in the one pass that checks the whole text.
//!
//! Text is not copied unless it has escapes. Each leaf knows the array element that it stands in; elements form a tree
//! (an element of an inner array stands in one of the outer), from which the consistency of arrays is told. Of a
//! duplicate key the last counts: what an earlier one left is dead.

use smallvec::SmallVec;

use super::buckets::Buckets;
use super::hash;
use super::packed::{PathId, op};
use super::paths::{Paths, ROOT};
use crate::json::{JsonError, Scanner, Token};
use crate::pattern::Number;

pub const NONE: u32 = u32::MAX;
/// A path with more leaves than this has them sorted by hash too.
const FEW: u32 = 16;
/// A scratch that had to hold more than this for one event gives its memory back after it.
const KEEP: usize = 1 << 16;

/// What a leaf is; its number in [`op`] is that of the alternative that may equal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Null = op::NULL,
    False = op::FALSE,
    True = op::TRUE,
    Text = op::TEXT,
    Number = op::NUMBER,
}

#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    /// A number's key ([`Number::key`]).
    pub key: u128,
    /// Of the value, as [`hash::value`] has it; set only where the index asks for it.
    pub hash: u64,
    /// [`NONE`] of a dead leaf.
    path: PathId,
    /// The next leaf of the same path.
    next: u32,
    /// The array element that it stands in; 0 for none.
    pub element: u32,
    /// Where its text, or a number's tail, begins and how long it is.
    start: u32,
    length: u32,
    /// That text is in the scratch, not in the event.
    copied: bool,
    pub kind: Kind,
}

/// An element of an array.
#[derive(Clone, Copy, Debug, Default)]
pub struct Element {
    pub array: u32,
    /// The element of an outer array that this array stands in; 0 for none.
    pub outer: u32,
    /// How many arrays it stands in.
    pub depth: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    event: u32,
    first: u32,
    count: u32,
    /// Where the path's part of the leaves sorted by hash begins, if it has more than [`FEW`].
    sorted: u32,
}

/// Memory that one event after another is matched in. One per thread; it fits any index.
#[derive(Debug, Default)]
pub struct Scratch {
    leaves: Vec<Leaf>,
    /// Element 0 is no element.
    elements: Vec<Element>,
    copied: Vec<u8>,
    heads: Vec<Head>,
    /// (hash, leaf) of paths with many leaves.
    sorted: Vec<(u64, u32)>,
    /// Paths that have a leaf.
    pub(super) present: Vec<PathId>,
    /// Where in an object a key was seen last: (object, leaves before it, leaves after it), by the key's path.
    seen: Vec<(u32, u32, u32)>,
    event: u32,
    /// Objects so far, over all events; an object's number is not 0.
    objects: u32,
    /// Memory for probing.
    pub(super) hits: Vec<(u64, u64)>,
    pub(super) folded: String,
}

/// One event, flattened.
#[derive(Clone, Copy, Debug)]
pub struct Flat<'e> {
    json: &'e [u8],
    leaves: &'e [Leaf],
    pub elements: &'e [Element],
    copied: &'e [u8],
    heads: &'e [Head],
    sorted: &'e [(u64, u32)],
    event: u32,
}

impl Scratch {
    /// Reads an event. What it offers is then in [`Self::flat`].
    pub fn read(&mut self, paths: &Paths, buckets: &Buckets, json: &[u8]) -> Result<(), JsonError> {
        self.clear(paths.nodes.len());
        let mut scanner = Scanner::new(json, usize::MAX)?;
        let mut reader = Reader { paths, buckets, scratch: self, arrays: 0, base: scanner.text().as_ptr() as usize };
        reader.value(&mut scanner, ROOT, 0)?;
        scanner.end()?;
        self.link(paths);
        self.sort_long(json);
        Ok(())
    }

    pub fn flat<'e>(&'e self, json: &'e [u8]) -> Flat<'e> {
        let Self { leaves, elements, copied, heads, sorted, event, .. } = self;
        Flat { json, leaves, elements, copied, heads, sorted, event: *event }
    }

    fn clear(&mut self, paths: usize) {
        if self.leaves.len() > KEEP || self.elements.len() > KEEP || self.copied.len() > KEEP {
            *self = Self { heads: std::mem::take(&mut self.heads), event: self.event, ..Self::default() };
        }
        self.leaves.clear();
        self.elements.clear();
        self.elements.push(Element::default());
        self.copied.clear();
        self.present.clear();
        if self.event == u32::MAX {
            self.heads.clear();
            self.event = 0;
        }
        self.event += 1;
        if self.heads.len() < paths {
            self.heads.resize(paths, Head::default());
        }
        if self.objects > u32::MAX / 2 {
            self.seen.clear();
            self.objects = 0;
        }
        if self.seen.len() < paths {
            self.seen.resize(paths, (0, 0, 0));
        }
    }

    /// Chains the leaves of each path, in the order of the event.
    fn link(&mut self, paths: &Paths) {
        for i in (0..self.leaves.len()).rev() {
            let leaf = &mut self.leaves[i];
            if leaf.path == NONE {
                continue;
            }
            let head = &mut self.heads[leaf.path as usize];
            if head.event != self.event {
                *head = Head { event: self.event, first: NONE, count: 0, sorted: 0 };
                self.present.push(leaf.path);
            }
            leaf.next = head.first;
            head.first = i as u32;
            head.count += 1;
            if leaf.kind != Kind::Text && paths.nodes[leaf.path as usize].access.hashed() {
                self.leaves[i].hash = self.flat(&[]).hash_of(&self.leaves[i]);
            }
        }
    }

    /// Sorts the leaves of long arrays by hash, so that no rule has to look at each of them for a value.
    fn sort_long(&mut self, json: &[u8]) {
        self.sorted.clear();
        for i in 0..self.present.len() {
            let path = self.present[i];
            if self.heads[path as usize].count <= FEW {
                continue;
            }
            let start = self.sorted.len();
            let mut at = self.heads[path as usize].first;
            while at != NONE {
                let leaf = &self.leaves[at as usize];
                self.sorted.push((self.flat(json).hash_of(leaf), at));
                at = leaf.next;
            }
            self.sorted[start..].sort_unstable();
            self.heads[path as usize].sorted = start as u32;
        }
    }
}

struct Reader<'s, 'p> {
    paths: &'p Paths,
    buckets: &'p Buckets,
    scratch: &'s mut Scratch,
    arrays: u32,
    /// The address of the text, to tell where a string in it lies.
    base: usize,
}

impl Reader<'_, '_> {
    /// Recursion is as deep as the deepest path that a rule names, not as the event.
    #[inline]
    fn value(&mut self, scanner: &mut Scanner<'_>, path: PathId, element: u32) -> Result<(), JsonError> {
        if scanner.peek() == b'{' && !self.paths.has_children(path) {
            return scanner.skip_value();
        }
        match scanner.token()? {
            Token::Object => self.object(scanner, path, element),
            Token::Array => self.array(scanner, path, element),
            scalar => {
                if self.paths.nodes[path as usize].named > 0 {
                    self.leaf(scalar, path, element);
                }
                Ok(())
            }
        }
    }

    fn object(&mut self, scanner: &mut Scanner<'_>, path: PathId, element: u32) -> Result<(), JsonError> {
        self.scratch.objects += 1;
        let object = self.scratch.objects;
        let mut next = scanner.first_key()?;
        while let Some(key) = next {
            let child = match key.escaped() {
                false => self.paths.find(path, key.raw().as_bytes()),
                true => self.paths.find(path, key.text().as_bytes()),
            };
            match child {
                Some(child) => {
                    let (last, start, end) = self.scratch.seen[child as usize];
                    if last == object {
                        self.bury(start, end);
                    }
                    let before = self.scratch.leaves.len() as u32;
                    self.value(scanner, child, element)?;
                    self.scratch.seen[child as usize] = (object, before, self.scratch.leaves.len() as u32);
                }
                None => scanner.skip_value()?,
            }
            next = scanner.next_key()?;
        }
        Ok(())
    }

    /// Leaves of a key that came again.
    #[cold]
    fn bury(&mut self, start: u32, end: u32) {
        for leaf in &mut self.scratch.leaves[start as usize..end as usize] {
            leaf.path = NONE;
        }
    }

    /// An array whose bracket was passed. Arrays that stand directly in arrays are not recursed into.
    fn array(&mut self, scanner: &mut Scanner<'_>, path: PathId, element: u32) -> Result<(), JsonError> {
        // (the array, the element that it stands in)
        let mut open: SmallVec<[(u32, u32); 4]> = SmallVec::new();
        open.push((self.number_array(), element));
        let mut more = scanner.first_item();
        while let Some((array, outer)) = open.last().copied() {
            if more {
                let here = self.scratch.elements.len() as u32;
                let depth = self.scratch.elements[outer as usize].depth + 1;
                self.scratch.elements.push(Element { array, outer, depth });
                if scanner.peek() == b'[' {
                    scanner.token()?;
                    open.push((self.number_array(), here));
                    more = scanner.first_item();
                    continue;
                }
                self.value(scanner, path, here)?;
            } else {
                open.pop();
                if open.is_empty() {
                    break;
                }
            }
            more = scanner.next_item()?;
        }
        Ok(())
    }

    fn number_array(&mut self) -> u32 {
        self.arrays += 1;
        self.arrays
    }

    #[inline]
    fn leaf(&mut self, scalar: Token<'_>, path: PathId, element: u32) {
        let copied_before = self.scratch.copied.len();
        let mut leaf =
            Leaf { key: 0, hash: 0, path, next: NONE, element, start: 0, length: 0, copied: true, kind: Kind::Null };
        match scalar {
            Token::String(text) if !text.escaped() => {
                let raw = text.raw();
                leaf.kind = Kind::Text;
                leaf.copied = false;
                leaf.start = (raw.as_ptr() as usize - self.base) as u32;
                leaf.length = raw.len() as u32;
                let access = &self.paths.nodes[path as usize].access;
                if access.hashed() {
                    leaf.hash = hash::text(raw.as_bytes());
                    if access.equal > 0 {
                        self.buckets.prefetch(hash::part(0, path, leaf.hash));
                    }
                }
            }
            Token::String(text) => {
                let text = text.text();
                leaf.kind = Kind::Text;
                leaf.hash = hash::text(text.as_bytes());
                self.scratch.copied.extend_from_slice(text.as_bytes());
            }
            Token::Number(number) => {
                leaf.kind = Kind::Number;
                leaf.key = Number::key_of(number.raw.as_bytes(), &mut self.scratch.copied);
            }
            Token::Bool(true) => leaf.kind = Kind::True,
            Token::Bool(false) => leaf.kind = Kind::False,
            Token::Null | Token::Object | Token::Array => {}
        }
        if leaf.copied {
            leaf.start = copied_before as u32;
            leaf.length = (self.scratch.copied.len() - copied_before) as u32;
        }
        self.scratch.leaves.push(leaf);
    }
}

impl<'e> Flat<'e> {
    /// The leaves at a path, in the order of the event.
    #[inline(always)]
    pub fn leaves(&self, path: PathId) -> Leaves<'e> {
        let at = match self.heads.get(path as usize) {
            Some(head) if head.event == self.event => head.first,
            _ => NONE,
        };
        Leaves { leaves: self.leaves, at }
    }

    /// The hash of a leaf's value, as [`hash::value`] has it.
    pub fn hash_of(&self, leaf: &Leaf) -> u64 {
        match leaf.kind {
            Kind::Text => hash::text(self.bytes(leaf)),
            Kind::Number => hash::number(leaf.key, self.bytes(leaf)),
            literal => hash::literal(literal as u8),
        }
    }

    /// Has the path so many leaves that [`Self::leaves_of_hash`] knows them?
    #[inline(always)]
    pub fn is_long(&self, path: PathId) -> bool {
        self.count(path) > FEW
    }

    /// Of a path with many leaves those whose value has that hash.
    pub fn leaves_of_hash(&self, path: PathId, hash: u64) -> impl Iterator<Item = &'e Leaf> + use<'e> {
        let head = self.heads[path as usize];
        let all = &self.sorted[head.sorted as usize..][..head.count as usize];
        let from = all.partition_point(|(h, _)| *h < hash);
        let leaves = self.leaves;
        all[from..].iter().take_while(move |(h, _)| *h == hash).map(|(_, leaf)| &leaves[*leaf as usize])
    }

    /// How many leaves a path has.
    #[inline(always)]
    pub fn count(&self, path: PathId) -> u32 {
        self.heads.get(path as usize).filter(|head| head.event == self.event).map_or(0, |head| head.count)
    }

    /// A string's bytes, or the digits of a number's tail.
    #[inline(always)]
    pub fn bytes(&self, leaf: &Leaf) -> &'e [u8] {
        let from = if leaf.copied { self.copied } else { self.json };
        &from[leaf.start as usize..][..leaf.length as usize]
    }

    /// A string's text.
    pub fn text(&self, leaf: &Leaf) -> &'e str {
        std::str::from_utf8(self.bytes(leaf)).expect("the scanner checked the whole event")
    }
}

/// The leaves of one path.
#[derive(Clone, Debug)]
pub struct Leaves<'e> {
    leaves: &'e [Leaf],
    at: u32,
}

impl<'e> Iterator for Leaves<'e> {
    type Item = &'e Leaf;

    #[inline(always)]
    fn next(&mut self) -> Option<&'e Leaf> {
        let leaf = self.leaves.get(self.at as usize)?;
        self.at = leaf.next;
        Some(leaf)
    }
}
