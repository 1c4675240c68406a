//! A layout's edits, merged into a tree: one node for each field that an edit names.
//!
//! The tree says the same as the edits one after the other. What decides the place of a field is whether the payload
//! still shows it: a field that was set keeps its place, one that was dropped (or not kept) and set again is *fresh*
//! and stands at the end.

use compact_str::CompactString;

use super::string::Str;
use super::{Path, Segment};
use crate::event::SlotId;
use crate::plan::Edit;

/// What the edits make of one field.
#[derive(Debug, Default)]
pub(super) struct Patch {
    pub base: Base,
    /// The payload's own member of this name is gone: what stands here now came later.
    pub fresh: bool,
    /// A field below was set, so this is an object whatever stood here.
    pub object: bool,
    /// Only the members that have a patch are left.
    pub only: bool,
    pub children: Vec<(CompactString, Patch)>,
    /// The children that stand after the payload's members if they are not among them, in order.
    pub added: Vec<usize>,
}

/// What the edits below are made on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    /// The payload's value.
    #[default]
    Payload,
    /// This slot's value.
    Slot(SlotId),
    /// None: the field was removed.
    Dropped,
}

impl Patch {
    /// The tree of these edits; `paths` are the slots'. `None` if a tree cannot say it.
    pub(super) fn of(edits: &[Edit], paths: &[Path]) -> Option<Self> {
        let mut root = Self::default();
        for edit in edits {
            match edit {
                Edit::Set(slot) => root.set(&fields(&paths[usize::from(*slot)])?, *slot)?,
                Edit::Drop(path) => root.remove(&fields(path)?)?,
                Edit::Keep(paths) => {
                    let paths = paths.iter().map(fields).collect::<Option<Vec<_>>>()?;
                    root.keep(paths.iter().map(Vec::as_slice).collect());
                }
            }
        }
        Some(root)
    }

    /// Is nothing below changed?
    pub(super) fn is_leaf(&self) -> bool {
        self.children.is_empty() && !self.only && !self.object
    }

    /// The child of that name.
    pub(super) fn find(&self, name: Str<'_>) -> Option<usize> {
        self.children.iter().position(|(child, _)| name.is(child))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.children.iter().position(|(child, _)| child == name)
    }

    /// The child of that name, made if need be. What `only` has cut off is dropped.
    fn child(&mut self, name: &str) -> usize {
        self.index(name).unwrap_or_else(|| {
            let base = if self.only { Base::Dropped } else { Base::Payload };
            self.children.push((name.into(), Patch { base, ..Patch::default() }));
            self.children.len() - 1
        })
    }

    fn set(&mut self, path: &[&str], slot: SlotId) -> Option<()> {
        let (name, rest) = path.split_first()?;
        let index = self.child(name);
        let child = &mut self.children[index].1;
        let dropped = child.base == Base::Dropped;
        if child.only {
            // Whether the `keep` left something here, to be set in its place, is the payload's affair.
            return None;
        }
        if rest.is_empty() {
            *child = Patch { base: Base::Slot(slot), fresh: child.fresh || dropped, ..Patch::default() };
        } else {
            if dropped {
                *child = Patch { fresh: true, ..Patch::default() };
            }
            child.object = true;
            child.set(rest, slot)?;
        }
        if dropped {
            self.added.retain(|other| *other != index);
        }
        if !self.added.contains(&index) {
            self.added.push(index);
        }
        Some(())
    }

    fn remove(&mut self, path: &[&str]) -> Option<()> {
        let (name, rest) = path.split_first()?;
        if self.only && self.index(name).is_none() {
            return Some(());
        }
        let index = self.child(name);
        let child = &mut self.children[index].1;
        if child.base == Base::Dropped {
            return Some(());
        }
        if rest.is_empty() {
            *child = Patch { base: Base::Dropped, ..Patch::default() };
            self.added.retain(|other| *other != index);
            Some(())
        } else {
            child.remove(rest)
        }
    }

    fn keep(&mut self, paths: Vec<&[&str]>) {
        if paths.iter().any(|path| path.is_empty()) {
            return;
        }
        for path in &paths {
            self.child(path[0]);
        }
        for (name, child) in &mut self.children {
            let rests: Vec<_> = paths.iter().filter(|path| path[0] == *name).map(|path| &path[1..]).collect();
            if rests.is_empty() {
                *child = Patch { base: Base::Dropped, ..Patch::default() };
            } else if child.base != Base::Dropped {
                child.keep(rests);
            }
        }
        self.added.retain(|index| self.children[*index].1.base != Base::Dropped);
        self.only = true;
    }
}

/// The names of a path that goes through objects only.
fn fields(path: &Path) -> Option<Vec<&str>> {
    fn name(segment: &Segment) -> Option<&str> {
        match segment {
            Segment::Field(name) => Some(name),
            Segment::Index(_) => None,
        }
    }
    path.0.iter().map(name).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}
