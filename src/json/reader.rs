//! Many paths read from a payload in the one pass that checks it.
//!
//! The paths are a trie; the walk follows it where names match and skips (checking) where they do not. Matching a
//! name costs a word: its first eight bytes and its length are compared before its text is. Objects that stand at the
//! same place mostly have the same members in the same order: a name that stands where it stood last time is known by
//! its bytes, quotes and colon and all, and neither scanned nor looked up.

use std::cell::Cell;

use smallvec::SmallVec;

use super::name::Name;
use super::scan::{Scanner, Token};
use super::string::{self, Range};
use super::{JsonError, Path, Segment};
use crate::event::{SlotId, Value};

/// Reads many paths from a payload in one pass that also checks all of it.
#[derive(Debug)]
pub struct Reader {
    nodes: Vec<Node>,
    depth: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// Where the value at this path goes.
    slots: SmallVec<[SlotId; 1]>,
    fields: Vec<Field>,
    /// One bit for each field by [`bit`]: most names of a payload are of no field here and miss it.
    bits: u64,
    items: Vec<(usize, usize)>,
    /// The names of the last object's members, in order; of a node with fields.
    seen: Vec<Cell<Seen>>,
    /// Slots below: of a duplicate name only the last counts, so a value clears what an earlier one left.
    below: Vec<SlotId>,
}

#[derive(Debug)]
struct Field {
    prefix: u64,
    name: Box<str>,
    node: usize,
}

/// So many members are remembered of the object at a place.
const SEEN: usize = 32;

/// A member that stood at its place in an object: its name, and the node that it leads to.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    name: Name,
    child: Option<u32>,
}

impl Reader {
    /// `paths[i].0` is read into slot `paths[i].1`. More than `depth` open containers are an error.
    pub fn new(paths: &[(Path, SlotId)], depth: usize) -> Self {
        let mut reader = Self { nodes: vec![Node::default()], depth };
        for (path, slot) in paths {
            reader.add(path, *slot);
        }
        reader
    }

    fn add(&mut self, path: &Path, slot: SlotId) {
        let mut at = 0;
        for segment in &path.0 {
            self.nodes[at].below.push(slot);
            at = self.child(at, segment);
        }
        self.nodes[at].slots.push(slot);
    }

    fn child(&mut self, at: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[at];
        match segment {
            Segment::Field(name) => {
                if let Some(field) = node.fields.iter().find(|field| *field.name == **name) {
                    return field.node;
                }
                let prefix = prefix(name.as_bytes(), 0, name.len());
                node.bits |= bit(prefix, name.len());
                node.seen.resize_with(SEEN, Cell::default);
                node.fields.push(Field { prefix, name: name.as_str().into(), node: new });
            }
            Segment::Index(index) => {
                if let Some((_, child)) = node.items.iter().find(|(i, _)| i == index) {
                    return *child;
                }
                node.items.push((*index, new));
            }
        }
        self.nodes.push(Node::default());
        new
    }

    /// `json` must be one JSON object. Slots of paths that it has not become NULL. Of a duplicate key the last counts.
    pub fn read(&self, json: &[u8], slots: &mut [Value]) -> Result<(), JsonError> {
        let mut scanner = Scanner::new(json, self.depth)?;
        if scanner.peek() != b'{' {
            return Err(super::scan::syntax(scanner.at(), "expected a JSON object"));
        }
        self.value(&mut scanner, &self.nodes[0], slots)?;
        scanner.end()
    }

    /// Reads the value that stands here for `node`. Recursion is as deep as the longest path, not as the payload.
    fn value(&self, scanner: &mut Scanner<'_>, node: &Node, slots: &mut [Value]) -> Result<(), JsonError> {
        if let Some(slot) = node.only_slot() {
            return value_into(scanner, &mut slots[slot]);
        }
        node.below.iter().for_each(|slot| clear(&mut slots[usize::from(*slot)]));
        let first = scanner.peek();
        let (start, ahead) = (scanner.at(), *scanner);
        match first {
            b'{' if !node.fields.is_empty() => {
                scanner.token()?;
                self.object(scanner, node, slots)?;
            }
            b'[' if !node.items.is_empty() => {
                scanner.token()?;
                self.array(scanner, node, slots)?;
            }
            _ => scanner.skip_value()?,
        }
        for slot in &node.slots {
            let slot = &mut slots[usize::from(*slot)];
            match first {
                b'{' | b'[' => *slot = Value::Json(scanner.slice(start, scanner.at()).into()),
                _ => value_into(&mut { ahead }, slot)?,
            }
        }
        Ok(())
    }

    /// The scanner is a copy that nobody else sees, so that it stays in registers from member to member; what is not
    /// inlined takes it by value and gives it back.
    fn object(&self, from: &mut Scanner<'_>, node: &Node, slots: &mut [Value]) -> Result<(), JsonError> {
        let mut scanner = *from;
        let mut more = scanner.first_member();
        let mut place = 0;
        while more {
            let child = match node.seen.get(place).map(Cell::get) {
                Some(seen) if scanner.passes(seen.name) => seen.child.map(|child| child as usize),
                _ => {
                    let child;
                    (scanner, child) = node.learn(scanner, place)?;
                    child
                }
            };
            match (scanner.peek(), child) {
                (b'"' | b'-' | b'0'..=b'9', None) => scanner.skip_plain()?,
                (first, Some(child)) => {
                    let child = &self.nodes[child];
                    match (first, child.only_slot()) {
                        (b'"', Some(slot)) => slots[slot] = Value::Text(scanner.string()?.to_compact()),
                        (b'-' | b'0'..=b'9', Some(slot)) => slots[slot] = scanner.num()?.value(),
                        _ => scanner = self.value_of(scanner, child, slots)?,
                    }
                }
                (_, None) => scanner = scanner.skipped()?,
            }
            place += 1;
            more = scanner.next_member()?;
        }
        *from = scanner;
        Ok(())
    }

    #[inline(never)]
    fn value_of<'a>(
        &self,
        mut scanner: Scanner<'a>,
        node: &Node,
        slots: &mut [Value],
    ) -> Result<Scanner<'a>, JsonError> {
        self.value(&mut scanner, node, slots)?;
        Ok(scanner)
    }

    fn array(&self, scanner: &mut Scanner<'_>, node: &Node, slots: &mut [Value]) -> Result<(), JsonError> {
        let mut more = scanner.first_item();
        let mut index = 0;
        while more {
            match node.items.iter().find(|(i, _)| *i == index) {
                Some((_, child)) => self.value(scanner, &self.nodes[*child], slots)?,
                None => scanner.skip_value()?,
            }
            index += 1;
            more = scanner.next_item()?;
        }
        Ok(())
    }
}

impl Node {
    /// The slot of a value of which nothing else is read.
    #[inline(always)]
    fn only_slot(&self) -> Option<usize> {
        match (self.below.is_empty(), self.slots.as_slice()) {
            (true, [slot]) => Some(usize::from(*slot)),
            _ => None,
        }
    }

    /// Passes a name that is not the one that stood at this place before, and remembers it.
    #[inline(never)]
    fn learn<'a>(&self, mut scanner: Scanner<'a>, place: usize) -> Result<(Scanner<'a>, Option<usize>), JsonError> {
        let range = scanner.name()?;
        let child = self.find(&scanner, range);
        if let (Some(seen), Some(name)) = (self.seen.get(place), scanner.passed(range)) {
            seen.set(Seen { name, child: child.map(|child| child as u32) });
        }
        Ok((scanner, child))
    }

    /// The field of that name.
    #[inline(always)]
    fn find(&self, scanner: &Scanner<'_>, name: Range) -> Option<usize> {
        if name.escaped {
            let text = string::unescape(scanner.slice(name.start, name.end));
            return self.fields.iter().find(|field| *field.name == *text).map(|field| field.node);
        }
        let bytes = scanner.text().as_bytes();
        let length = name.end - name.start;
        let prefix = prefix(bytes, name.start, length);
        if self.bits & bit(prefix, length) == 0 {
            return None;
        }
        let same = |field: &&Field| {
            field.prefix == prefix
                && field.name.len() == length
                && (length <= 8 || field.name.as_bytes() == &bytes[name.start..name.end])
        };
        self.fields.iter().find(same).map(|field| field.node)
    }
}

/// The first eight bytes of a name, zeros where it is shorter.
#[inline(always)]
fn prefix(bytes: &[u8], start: usize, length: usize) -> u64 {
    match bytes.get(start..start + 8) {
        Some(word) => {
            let word = u64::from_le_bytes(word.try_into().expect("the slice has 8 bytes"));
            if length >= 8 { word } else { word & ((1 << (8 * length)) - 1) }
        }
        None => bytes[start..start + length].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[inline(always)]
fn bit(prefix: u64, length: usize) -> u64 {
    1 << ((prefix ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
}

/// Makes a slot NULL. Most are: that is seen sooner than written.
#[inline(always)]
fn clear(slot: &mut Value) {
    if !slot.is_null() {
        *slot = Value::Null;
    }
}

/// Reads the value that stands here into a slot. Each kind is made in its place: a value that is moved right after it
/// was made waits for its own bytes.
#[inline]
fn value_into(scanner: &mut Scanner<'_>, slot: &mut Value) -> Result<(), JsonError> {
    match scanner.peek() {
        b'"' => *slot = Value::Text(scanner.string()?.to_compact()),
        b'-' | b'0'..=b'9' => *slot = scanner.num()?.value(),
        b'{' | b'[' => {
            let start = scanner.at();
            scanner.skip_value()?;
            *slot = Value::Json(scanner.slice(start, scanner.at()).into());
        }
        _ => match scanner.token()? {
            Token::Bool(bool) => *slot = Value::Bool(bool),
            _ => clear(slot),
        },
    }
    Ok(())
}

/// Any JSON text (scalars too) as a value; `depth` as in [`Reader::new`].
pub fn parse(json: &[u8], depth: usize) -> Result<Value, JsonError> {
    let mut scanner = Scanner::new(json, depth)?;
    let value = value_at(&mut scanner)?;
    scanner.end()?;
    Ok(value)
}

/// The value that stands here.
pub(super) fn value_at(scanner: &mut Scanner<'_>) -> Result<Value, JsonError> {
    let mut value = Value::Null;
    value_into(scanner, &mut value)?;
    Ok(value)
}
