//! Frames while they grow: slots for paths, layouts for ways, and what payloads must be read for.
//!
//! A plan is built in passes until no pass finds a new path. Slots keep their numbers from pass to pass; layouts and
//! reads begin anew, so that in the last pass every target knows all slots above and below it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::{LayoutId, SlotId};
use crate::expr::Place;
use crate::json::Path;
use crate::plan::scope::{DeclId, Scope};
use crate::plan::{Edit, Frame, Layout, Prune, RowTarget, Target};

/// All frames of a plan, and the reads of its sources and tables.
#[derive(Debug, Default)]
pub struct Wires {
    pub frames: Vec<Growing>,
    pub reads: BTreeMap<DeclId, BTreeSet<Path>>,
    /// A frame became larger than slots or layouts can be counted.
    pub overflow: bool,
}

#[derive(Debug, Default)]
pub struct Growing {
    paths: Vec<Path>,
    index: HashMap<Path, SlotId>,
    /// Paths whose parts have no slots of their own (columns that an aggregate makes): parts are reached through them.
    solid: BTreeSet<Path>,
    layouts: Vec<Layout>,
}

impl Wires {
    pub fn new(frames: usize) -> Self {
        Self { frames: (0..frames).map(|_| Growing::default()).collect(), ..Self::default() }
    }

    /// Begins the next pass.
    pub fn next_pass(&mut self) {
        self.reads.clear();
        for frame in &mut self.frames {
            frame.layouts.clear();
        }
    }

    /// Grows from pass to pass until everything is known.
    pub fn size(&self) -> usize {
        self.frames.iter().map(|frame| frame.paths.len() + frame.solid.len()).sum()
    }

    pub fn slot(&mut self, frame: usize, path: &Path) -> SlotId {
        let growing = &mut self.frames[frame];
        if let Some(slot) = growing.index.get(path) {
            return *slot;
        }
        let Ok(slot) = SlotId::try_from(growing.paths.len()) else {
            self.overflow = true;
            return 0;
        };
        growing.paths.push(path.clone());
        growing.index.insert(path.clone(), slot);
        slot
    }

    pub fn solid(&mut self, frame: usize, path: Path) {
        self.frames[frame].solid.insert(path);
    }

    pub fn solids(&self, frame: usize) -> Vec<Path> {
        self.frames[frame].solid.iter().cloned().collect()
    }

    /// Where the value of a path is for events of this scope; notes that it is read.
    pub fn place(&mut self, scope: &Scope, path: &Path) -> Place {
        let solid = &self.frames[scope.frame].solid;
        let whole = (1..path.0.len()).map(|n| Path(path.0[..n].to_vec())).find(|prefix| solid.contains(prefix));
        match whole {
            Some(whole) => {
                let rest = Path(path.0[whole.0.len()..].to_vec());
                self.read(scope, &whole);
                Place::Below(self.slot(scope.frame, &whole), rest)
            }
            None => {
                self.read(scope, path);
                Place::Slot(self.slot(scope.frame, path))
            }
        }
    }

    /// Notes that payloads must be read for a path, unless steps made it.
    pub fn read(&mut self, scope: &Scope, path: &Path) {
        for (origin, made) in &scope.origins {
            if !made.iter().any(|made| path.below(made).is_some()) {
                self.reads.entry(*origin).or_default().insert(path.clone());
            }
        }
    }

    /// Is this slot's value what events of this scope have at its path?
    pub fn holds(&self, scope: &Scope, path: &Path) -> bool {
        scope.origins.iter().all(|(origin, made)| {
            made.iter().any(|made| path.below(made).is_some())
                || self.reads.get(origin).is_some_and(|reads| reads.contains(path))
        })
    }

    pub fn target(&mut self, frame: usize, path: &Path) -> Target {
        let slot = self.slot(frame, path);
        let mut target = Target { slot, below: Vec::new(), above: Vec::new() };
        for (at, other) in self.frames[frame].paths.iter().enumerate() {
            let at = at as SlotId;
            if at == slot {
                continue;
            }
            if let Some(rest) = other.below(path) {
                target.below.push((at, rest));
            } else if let Some(rest) = path.below(other) {
                target.above.push((at, rest));
            }
        }
        target
    }

    /// A target that is filled from rows of another frame.
    pub fn row_target(&mut self, name: &str, frame: usize, path: &Path, row: &Scope, skip: Option<&Path>) -> RowTarget {
        for solid in self.solids(row.frame) {
            self.solid(frame, path.join(&solid));
        }
        let target = self.target(frame, path);
        let mut fill = Vec::new();
        for (slot, rest) in &target.below {
            if skip.is_none_or(|skip| rest.below(skip).is_none()) {
                self.read(row, rest);
                fill.push((*slot, self.slot(row.frame, rest)));
            }
        }
        RowTarget { name: name.into(), target, fill }
    }

    /// What dropping these paths does to slots.
    pub fn drop_slots(&self, frame: usize, paths: &[Path]) -> Prune {
        let mut prune = Prune::default();
        for (slot, path) in self.frames[frame].paths.iter().enumerate() {
            if paths.iter().any(|gone| path.below(gone).is_some()) {
                prune.clear.push(slot as SlotId);
                continue;
            }
            let parts: Vec<Path> = paths.iter().filter_map(|gone| gone.below(path)).collect();
            if !parts.is_empty() {
                prune.trim.push((slot as SlotId, parts));
            }
        }
        prune
    }

    /// What keeping only these paths does to slots.
    pub fn keep_slots(&self, frame: usize, paths: &[Path]) -> Prune {
        let mut prune = Prune::default();
        for (slot, path) in self.frames[frame].paths.iter().enumerate() {
            if paths.iter().any(|kept| path.below(kept).is_some()) {
                continue;
            }
            let parts: Vec<Path> = paths.iter().filter_map(|kept| kept.below(path)).collect();
            if parts.is_empty() { prune.clear.push(slot as SlotId) } else { prune.trim.push((slot as SlotId, parts)) }
        }
        prune
    }

    /// The number of a layout; equal layouts are one.
    pub fn layout(&mut self, frame: usize, layout: Layout) -> LayoutId {
        let layouts = &mut self.frames[frame].layouts;
        let at = layouts.iter().position(|known| *known == layout).unwrap_or_else(|| {
            layouts.push(layout);
            layouts.len() - 1
        });
        LayoutId::try_from(at).unwrap_or_else(|_| {
            self.overflow = true;
            0
        })
    }

    /// The layout that edits make of another.
    pub fn edited(&mut self, frame: usize, from: LayoutId, edits: &[Edit]) -> LayoutId {
        let mut layout = self.frames[frame].layouts[usize::from(from)].clone();
        for edit in edits {
            if layout.edits.last() != Some(edit) {
                layout.edits.push(edit.clone());
            }
        }
        self.layout(frame, layout)
    }

    pub fn paths(&self, frame: usize) -> &[Path] {
        &self.frames[frame].paths
    }

    pub fn finish(self) -> Vec<Frame> {
        self.frames.into_iter().map(|f| Frame { paths: f.paths, layouts: f.layouts }).collect()
    }
}
