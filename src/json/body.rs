//! Bodies of events: payload bytes with a layout's edits, written in one walk.
//!
//! A layout's list of edits is merged once into a tree of patches, one node for each path that an edit names; writing
//! walks the payload with it and copies every member that no patch names as it stands. A few layouts depend on the
//! payload in a way that a tree cannot say (edits within arrays; setting a field below what a `keep` cut down): they
//! are written edit by edit.

use std::sync::Arc;

use smallvec::SmallVec;

use super::edit::{self, Kind, List};
use super::patch::{Base, Patch};
use super::{Path, write};
use crate::event::{Event, LayoutId, Record, SlotId, Value, time};
use crate::plan::{Edit, Frame, Layout};

/// Writes bodies of events: payload bytes with a layout's edits. One per frame.
#[derive(Debug)]
pub struct Bodies {
    layouts: Vec<Body>,
}

#[derive(Debug)]
enum Body {
    /// The payload as it came.
    Payload,
    /// These members and no others, each with what stands before its value.
    Members(Vec<(Box<[u8]>, SlotId)>),
    Patched {
        from_payload: bool,
        patch: Patch,
    },
    /// One edit after the other.
    Stepwise {
        from_payload: bool,
        steps: Vec<Step>,
    },
}

#[derive(Debug)]
enum Step {
    Set(SlotId, Path),
    Drop(Path),
    Keep(Vec<Path>),
}

impl Bodies {
    pub fn new(frame: &Frame) -> Self {
        Self { layouts: frame.layouts.iter().map(|layout| Body::new(layout, &frame.paths)).collect() }
    }

    /// What stands for an event among the dead letters: its record, or where it comes from none its body.
    pub fn origin(&self, event: &Event) -> Arc<Record> {
        if !event.record.is_made() {
            return event.record.clone();
        }
        let mut body = Vec::new();
        self.write(event, event.layout, &mut body);
        let timestamp = Some(event.time.div_euclid(time::MILLISECOND));
        Arc::new(Record { value: Some(body.into()), timestamp, ..Record::default() })
    }

    /// Are bodies of this layout the payloads as they came?
    pub fn are_payloads(&self, layout: LayoutId) -> bool {
        matches!(self.layouts[usize::from(layout)], Body::Payload)
    }

    /// Appends the body of an event: byte for byte the payload where no step changed it; else fields in payload
    /// order, then those that steps added in their order.
    pub fn write(&self, event: &Event, layout: LayoutId, to: &mut Vec<u8>) {
        let payload = || event.record.body().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or("{}");
        match &self.layouts[usize::from(layout)] {
            Body::Payload => to.extend(payload().as_bytes()),
            Body::Members(members) => {
                for (before, slot) in members {
                    to.extend(before);
                    write::write(&event.slots[usize::from(*slot)], to);
                }
                to.push(b'}');
            }
            Body::Patched { from_payload, patch } => {
                let base = if *from_payload { payload() } else { "{}" };
                write_object(patch, Some(base), &event.slots, to);
            }
            Body::Stepwise { from_payload, steps } => {
                let base = if *from_payload { payload() } else { "{}" };
                let edited = steps.iter().fold(Value::Json(base.into()), |body, step| step.apply(&body, &event.slots));
                write::write(&edited, to);
            }
        }
    }
}

impl Body {
    fn new(layout: &Layout, paths: &[Path]) -> Self {
        let from_payload = layout.from_payload;
        if layout.edits.is_empty() && from_payload {
            return Body::Payload;
        }
        match Patch::of(&layout.edits, paths) {
            Some(patch) => match members(&patch).filter(|_| !from_payload) {
                Some(members) => Body::Members(members),
                None => Body::Patched { from_payload, patch },
            },
            None => {
                let step = |edit: &Edit| match edit {
                    Edit::Set(slot) => Step::Set(*slot, paths[usize::from(*slot)].clone()),
                    Edit::Drop(path) => Step::Drop(path.clone()),
                    Edit::Keep(paths) => Step::Keep(paths.clone()),
                };
                Body::Stepwise { from_payload, steps: layout.edits.iter().map(step).collect() }
            }
        }
    }
}

/// The members of an object that is made of slots, one each; `None` if it is not, or is empty.
fn members(patch: &Patch) -> Option<Vec<(Box<[u8]>, SlotId)>> {
    let member = |(i, index): (usize, &usize)| {
        let (name, child) = &patch.children[*index];
        let Base::Slot(slot) = child.base else { return None };
        let mut before = vec![if i == 0 { b'{' } else { b',' }];
        write::write_str(name, &mut before);
        before.push(b':');
        child.is_leaf().then(|| (before.into(), slot))
    };
    let members: Option<Vec<_>> = patch.added.iter().enumerate().map(member).collect();
    members.filter(|members| !members.is_empty())
}

impl Step {
    fn apply(&self, body: &Value, slots: &[Value]) -> Value {
        match self {
            Step::Set(slot, path) => edit::set(body, path, &slots[usize::from(*slot)]),
            Step::Drop(path) => edit::remove(body, path),
            Step::Keep(paths) => edit::keep(body, paths),
        }
    }
}

/// Writes an object: `base`'s members with the patches on them, then what is new. A base that is no object counts
/// as an empty one.
fn write_object(patch: &Patch, base: Option<&str>, slots: &[Value], to: &mut Vec<u8>) {
    let members = base.and_then(|text| edit::parts(text, Kind::Object)).unwrap_or_default();
    // Of a duplicate name the last value counts, at the place of the first.
    let mut last: SmallVec<[Option<usize>; 16]> = SmallVec::from_elem(None, patch.children.len());
    let mut which: SmallVec<[Option<usize>; 16]> = SmallVec::new();
    for (i, member) in members.iter().enumerate() {
        let child = member.name.and_then(|name| patch.find(name));
        if let Some(child) = child {
            last[child] = Some(i);
        }
        which.push(child);
    }
    let mut done: SmallVec<[bool; 16]> = SmallVec::from_elem(false, patch.children.len());
    let mut list = List::begin(Kind::Object, to);
    for (member, child) in members.iter().zip(which) {
        let Some(index) = child else {
            if !patch.only {
                list.copy(member, to);
            }
            continue;
        };
        let child = &patch.children[index].1;
        if child.fresh || done[index] {
            continue;
        }
        done[index] = true;
        let base = last[index].map(|last| members[last].value);
        if let Some(shape) = shape(child, base, slots) {
            list.next(member.name, to);
            write_shape(child, shape, slots, to);
        }
    }
    for index in &patch.added {
        let (name, child) = &patch.children[*index];
        if !done[*index]
            && let Some(shape) = shape(child, None, slots)
        {
            list.next(None, to);
            write::write_str(name, to);
            to.push(b':');
            write_shape(child, shape, slots, to);
        }
    }
    list.end(to);
}

/// How a patched value is written.
enum Shape<'a> {
    Text(&'a str),
    Value(&'a Value),
    /// An object with the patch's children on it.
    Object(Option<&'a str>),
}

/// What a patch makes of the value at its place; `None`: nothing stands there.
fn shape<'a>(patch: &Patch, base: Option<&'a str>, slots: &'a [Value]) -> Option<Shape<'a>> {
    let slot = match patch.base {
        Base::Dropped => return None,
        Base::Slot(slot) => Some(&slots[usize::from(slot)]),
        Base::Payload => None,
    };
    let text = match slot {
        Some(Value::Json(text)) => Some(&**text),
        Some(_) => None,
        None => base.filter(|_| !patch.fresh),
    };
    let whole = patch.is_leaf();
    let object = text.filter(|text| text.starts_with('{'));
    match (slot, text) {
        (Some(value), _) if whole => Some(Shape::Value(value)),
        (None, Some(text)) if whole => Some(Shape::Text(text)),
        _ if object.is_some() || patch.object => Some(Shape::Object(object)),
        // Nothing that is kept stands below a scalar.
        _ if patch.only => None,
        // Nothing that could be dropped stands below one.
        (Some(value), _) => Some(Shape::Value(value)),
        (None, text) => text.map(Shape::Text),
    }
}

fn write_shape(patch: &Patch, shape: Shape<'_>, slots: &[Value], to: &mut Vec<u8>) {
    match shape {
        Shape::Text(text) => to.extend(text.as_bytes()),
        Shape::Value(value) => write::write(value, to),
        Shape::Object(base) => write_object(patch, base, slots, to),
    }
}
