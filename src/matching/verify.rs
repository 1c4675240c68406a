//! Does an event satisfy a packed conjunction? Asked only of the rules that an event could match.

use memchr::memmem;
use smallvec::SmallVec;

use super::flatten::{Flat, Kind, Leaf};
use super::hash;
use super::packed::{Condition, Cursor, PackedAlternative, Set, conditions, end, op};
use crate::pattern::{Cidr, Number, strip_prefix_ignoring_case, strip_suffix_ignoring_case};

/// Whether each condition of a body holds by itself; those whose bit is set in `known` are known to.
#[inline]
pub fn each_holds(body: &[u8], known: u32, event: &Flat<'_>) -> bool {
    let mut known = known;
    conditions(body).all(|condition| {
        let skip = known & 1 == 1;
        known >>= 1;
        skip || condition_holds(&condition, event)
    })
}

#[inline]
fn condition_holds(condition: &Condition<'_>, event: &Flat<'_>) -> bool {
    match event.count(condition.path) {
        0 => condition.or_absent,
        _ if event.is_long(condition.path) => long_holds(condition, event),
        _ => event.leaves(condition.path).any(|leaf| any_holds(condition.alternatives, leaf, event)),
    }
}

/// A condition on a path with many leaves.
fn long_holds(condition: &Condition<'_>, event: &Flat<'_>) -> bool {
    condition.alternatives().any(|alternative| {
        if alternative.op <= op::LAST_EQUALITY {
            let mut leaves = event.leaves_of_hash(condition.path, hash::value(&alternative));
            leaves.any(|leaf| holds(&alternative, leaf, event))
        } else {
            event.leaves(condition.path).any(|leaf| holds(&alternative, leaf, event))
        }
    })
}

/// Whether one of the alternatives holds for a leaf.
#[inline]
fn any_holds(alternatives: &[u8], leaf: &Leaf, event: &Flat<'_>) -> bool {
    let mut cursor = Cursor::new(alternatives);
    while !cursor.is_empty() {
        if holds(&cursor.alternative(), leaf, event) {
            return true;
        }
    }
    false
}

/// Whether an alternative holds for a leaf.
#[inline]
pub fn holds(alternative: &PackedAlternative<'_>, leaf: &Leaf, event: &Flat<'_>) -> bool {
    let mut operands = alternative.operands;
    match alternative.op {
        op::TEXT => leaf.kind == Kind::Text && event.bytes(leaf) == operands.bytes(),
        op::NUMBER => {
            let (key, tail) = operands.number();
            leaf.kind == Kind::Number && leaf.key == key && event.bytes(leaf) == tail
        }
        op::NULL | op::FALSE | op::TRUE => leaf.kind as u8 == alternative.op,
        op::RANGE => leaf.kind == Kind::Number && in_range(operands, leaf, event),
        op::ANYTHING_BUT => !any_holds(operands.bytes(), leaf, event),
        op::SET => Set::read(operands).of_hash(event.hash_of(leaf)).any(|alternative| holds(&alternative, leaf, event)),
        op::PRESENT => true,
        op::ABSENT => false,
        _ => leaf.kind == Kind::Text && text_holds(alternative.op, operands, leaf, event),
    }
}

fn in_range(mut operands: Cursor<'_>, leaf: &Leaf, event: &Flat<'_>) -> bool {
    let flags = operands.u8();
    let number = (leaf.key, event.bytes(leaf));
    if flags & end::LOWER != 0 {
        let order = Number::compare(number, operands.number());
        if order.is_lt() || (order.is_eq() && flags & end::LOWER_CLOSED == 0) {
            return false;
        }
    }
    if flags & end::UPPER != 0 {
        let order = Number::compare(number, operands.number());
        if order.is_gt() || (order.is_eq() && flags & end::UPPER_CLOSED == 0) {
            return false;
        }
    }
    true
}

fn text_holds(op: u8, mut operands: Cursor<'_>, leaf: &Leaf, event: &Flat<'_>) -> bool {
    let bytes = event.bytes(leaf);
    match op {
        op::PREFIX => bytes.starts_with(operands.bytes()),
        op::SUFFIX => bytes.ends_with(operands.bytes()),
        op::PREFIX_ANY_CASE => strip_prefix_ignoring_case(operands.text(), event.text(leaf)).is_some(),
        op::SUFFIX_ANY_CASE => strip_suffix_ignoring_case(operands.text(), event.text(leaf)).is_some(),
        op::EQUALS_ANY_CASE => strip_prefix_ignoring_case(operands.text(), event.text(leaf)).is_some_and(str::is_empty),
        op::WILDCARD => wildcard_holds(Cursor::new(operands.bytes()), bytes),
        op::CIDR => {
            let [v6, length] = operands.array();
            Cidr { v6: v6 == 1, length, network: operands.u128() }.contains(event.text(leaf))
        }
        other => unreachable!("operator {other}"),
    }
}

/// Each part as early as it comes after the one before; the first at the beginning, the last at the end.
fn wildcard_holds(mut parts: Cursor<'_>, text: &[u8]) -> bool {
    let first = parts.bytes();
    if parts.is_empty() {
        return text == first;
    }
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    loop {
        let part = parts.bytes();
        if parts.is_empty() {
            return rest.ends_with(part);
        }
        match memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
}

/// The leaves that one condition may use: for each the elements that it stands in, from the outermost.
type Choices = Vec<SmallVec<[u32; 4]>>;

/// Whether the conditions of a body, each of which holds by itself, can be satisfied by leaves that never stand in
/// different elements of one array.
pub fn consistent(body: &[u8], event: &Flat<'_>) -> bool {
    let mut all: Vec<Choices> = Vec::new();
    for condition in conditions(body) {
        let good = event.leaves(condition.path).filter(|leaf| any_holds(condition.alternatives, leaf, event));
        let choices: Choices = good.map(|leaf| elements_of(leaf, event)).collect();
        // No leaf: it holds because there is none.
        if !choices.is_empty() {
            all.push(choices);
        }
    }
    let all: Vec<&[_]> = all.iter().map(Vec::as_slice).collect();
    satisfiable(&all, 0, event)
}

fn elements_of(leaf: &Leaf, event: &Flat<'_>) -> SmallVec<[u32; 4]> {
    let mut elements = SmallVec::new();
    let mut at = leaf.element;
    while at != 0 {
        elements.push(at);
        at = event.elements[at as usize].outer;
    }
    elements.reverse();
    elements
}

/// All choices stand in the same elements down to `depth`. A path leads from there to one leaf, or into one array, and
/// conditions in different arrays do not mind each other.
fn satisfiable(all: &[&[SmallVec<[u32; 4]>]], depth: usize, event: &Flat<'_>) -> bool {
    let array = |choices: &[SmallVec<[u32; 4]>]| choices[0].get(depth).map(|e| event.elements[*e as usize].array);
    let mut arrays: SmallVec<[u32; 8]> = all.iter().filter_map(|choices| array(choices)).collect();
    arrays.sort_unstable();
    arrays.dedup();
    arrays.iter().all(|here| {
        let group: SmallVec<[_; 8]> = all.iter().copied().filter(|choices| array(choices) == Some(*here)).collect();
        group.len() == 1 || one_element_satisfies(&group, depth, event)
    })
}

/// Whether one element of the array offers a leaf to every condition. Choices are in the order of the event, and so of
/// the elements' numbers.
fn one_element_satisfies(group: &[&[SmallVec<[u32; 4]>]], depth: usize, event: &Flat<'_>) -> bool {
    let mut rest: SmallVec<[_; 8]> = group.iter().copied().collect();
    while let Some(first) = rest[0].first() {
        let element = first[depth];
        let mut inside: SmallVec<[_; 8]> = SmallVec::new();
        for choices in &mut rest {
            let before = choices.partition_point(|c| c[depth] < element);
            let until = choices.partition_point(|c| c[depth] <= element);
            inside.push(&choices[before..until]);
            *choices = &choices[until..];
        }
        if inside.iter().all(|choices| !choices.is_empty()) && satisfiable(&inside, depth + 1, event) {
            return true;
        }
    }
    false
}
