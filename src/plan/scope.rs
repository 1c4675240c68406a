//! What names mean at one place of a dataflow: which fields an event has there, of which types, and who made them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::TextError;
use crate::expr::{Expr, Name, NameError, Names, Place, Pseudo, Type};
use crate::json::{Path, Segment};
use crate::pattern::Pattern;
use crate::plan::frame::Wires;
use crate::plan::near;
use crate::plan::read;

/// The number of a declaration in the file.
pub type DeclId = usize;

/// The fields of a stream's events.
#[derive(Clone, Debug)]
pub struct Scope {
    pub frame: usize,
    /// Fields that are declared, or that steps made.
    pub known: BTreeMap<Path, Known>,
    /// With `fields`, and after an aggregate: no other field may be named.
    pub closed: bool,
    /// The sources and tables that events come from, each with the paths that steps have since overwritten: all
    /// other paths are in the payload.
    pub origins: BTreeMap<DeclId, BTreeSet<Path>>,
    /// Do pseudo-fields mean something? If not, why.
    pub pseudo: Result<(), Arc<str>>,
    /// Did all, some or none of the events come as CloudEvents?
    pub cloud: Cloud,
    /// Something about this stream was reported already: every name is fine.
    pub unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    None,
    Some,
    All,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub ty: Type,
    /// The step that made it; `None`: declared in `fields`.
    pub maker: Option<Arc<str>>,
    /// Its parts are all known: no other may be named.
    pub closed: bool,
}

impl Known {
    pub fn declared(ty: Type) -> Self {
        Self { ty, maker: None, closed: false }
    }

    pub fn made(ty: Type, by: &Arc<str>) -> Self {
        Self { ty, maker: Some(by.clone()), closed: false }
    }
}

impl Scope {
    pub fn new(frame: usize) -> Self {
        Self {
            frame,
            known: BTreeMap::new(),
            closed: false,
            origins: BTreeMap::new(),
            pseudo: Ok(()),
            cloud: Cloud::None,
            unknown: false,
        }
    }

    /// The scope of something that is wrong already.
    pub fn unknown(frame: usize) -> Self {
        Self { unknown: true, ..Self::new(frame) }
    }

    /// What all inputs of a step have in common: a type that is known to all and equal stays.
    pub fn union(mut scopes: impl Iterator<Item = Scope>) -> Option<Scope> {
        let mut all = scopes.next()?;
        for other in scopes {
            all.merge(other);
        }
        Some(all)
    }

    fn merge(&mut self, other: Scope) {
        let mut known = BTreeMap::new();
        for path in self.known.keys().chain(other.known.keys()).cloned().collect::<BTreeSet<_>>() {
            let merged = match (self.known.get(&path), other.known.get(&path)) {
                (Some(a), Some(b)) => Known {
                    ty: if a.ty == b.ty { a.ty } else { Type::Any },
                    maker: a.maker.clone().or_else(|| b.maker.clone()),
                    closed: a.closed && b.closed,
                },
                (Some(one), None) | (None, Some(one)) => Known { ty: Type::Any, closed: false, ..one.clone() },
                (None, None) => continue,
            };
            known.insert(path, merged);
        }
        self.known = known;
        self.closed &= other.closed;
        for (origin, made) in other.origins {
            match self.origins.get_mut(&origin) {
                Some(mine) => *mine = common(mine, &made),
                None => {
                    self.origins.insert(origin, made);
                }
            }
        }
        if self.pseudo.is_ok() {
            self.pseudo = other.pseudo;
        }
        if self.cloud != other.cloud {
            self.cloud = Cloud::Some;
        }
        self.unknown |= other.unknown;
    }

    /// A step writes this field.
    pub fn make(&mut self, path: &Path, known: Known) {
        self.known.retain(|at, _| at == path || at.below(path).is_none());
        for (_, above) in self.known.iter_mut().filter(|(at, _)| path.below(at).is_some()) {
            above.ty = Type::Json;
            above.closed = false;
        }
        self.known.insert(path.clone(), known);
        for made in self.origins.values_mut() {
            made.insert(path.clone());
        }
    }

    /// A step takes these fields away.
    pub fn drop_fields(&mut self, paths: &[Path]) {
        self.known.retain(|at, _| !paths.iter().any(|path| at.below(path).is_some()));
        for path in paths {
            for made in self.origins.values_mut() {
                made.insert(path.clone());
            }
        }
    }

    /// Only these fields are left.
    pub fn keep_fields(&mut self, paths: &[Path]) {
        self.known.retain(|at, _| paths.iter().any(|path| at.below(path).is_some() || path.below(at).is_some()));
    }

    /// The type of a path, or why it may not be named.
    pub fn type_of(&self, path: &Path) -> Result<Type, NameError> {
        if self.unknown {
            return Ok(Type::Any);
        }
        if let Some(known) = self.known.get(path) {
            return Ok(known.ty);
        }
        let above = (1..path.0.len()).rev().find_map(|n| {
            let prefix = Path(path.0[..n].to_vec());
            self.known.get(&prefix).map(|known| (prefix, known))
        });
        match above {
            Some((prefix, known)) if known.closed => Err(self.no_such(path, Some(&prefix))),
            Some((_, known)) if matches!(known.ty, Type::Any | Type::Json | Type::Null) => Ok(Type::Any),
            Some((prefix, known)) => Err(NameError {
                message: format!("`{prefix}` is a {} and has no parts", type_name(known.ty)),
                help: vec![format!("`{path}` would need it to be JSON")],
            }),
            None if self.known.iter().any(|(at, k)| k.maker.is_some() && at.below(path).is_some()) => Ok(Type::Json),
            None if self.closed => Err(self.no_such(path, None)),
            None => Ok(Type::Any),
        }
    }

    /// What a pattern asks about and may not be named. Arrays need no index, so only names count.
    pub fn unknown_in_pattern(&self, json: &str) -> Vec<TextError> {
        let paths = Pattern::paths(json).into_iter();
        let wrong = paths.filter_map(|(path, span)| Some((self.type_of(&path).err()?, span)));
        wrong.map(|(NameError { message, help }, span)| TextError { span, message, help }).collect()
    }

    fn no_such(&self, path: &Path, within: Option<&Path>) -> NameError {
        let names: Vec<String> = self
            .known
            .keys()
            .filter(|at| within.is_none_or(|within| *at != within && at.below(within).is_some()))
            .map(Path::to_string)
            .collect();
        let what = match within {
            Some(within) => format!("fields of `{within}`"),
            None => "fields here".to_owned(),
        };
        let name = path.to_string();
        let pseudo: &[&str] = if within.is_none() && self.pseudo.is_ok() { &read::PSEUDO } else { &[] };
        NameError {
            message: format!("there is no field `{name}`"),
            help: near::suggest_also(&name, pseudo, &what, names.iter().map(String::as_str)),
        }
    }

    /// What there is already at, above or below a path that a step wants to make anew.
    pub fn clash(&self, path: &Path) -> Option<(&Path, &Known)> {
        self.known.iter().find(|(at, _)| at.below(path).is_some() || path.below(at).is_some())
    }

    pub fn pseudo(&self, name: &Name) -> Option<Result<(Place, Type), NameError>> {
        let word = read::pseudo_word(name)?;
        Some(self.pseudo_field(word, &name.path))
    }

    fn pseudo_field(&self, word: &str, path: &Path) -> Result<(Place, Type), NameError> {
        if let Err(why) = &self.pseudo {
            let help = vec![format!("{why}"), format!("a payload's own field of that name is written \"{word}\"")];
            return Err(NameError { message: format!("`{word}` means nothing here"), help });
        }
        let rest = &path.0[1..];
        let (pseudo, ty) = match (word, rest) {
            ("_headers", [Segment::Field(name)]) => (Pseudo::Header(name.to_string()), Type::Varchar),
            ("_headers", _) => {
                let help = vec!["write `_headers.name`, or `_headers.\"content-type\"`".to_owned()];
                return Err(NameError { message: "`_headers` needs the name of one header".to_owned(), help });
            }
            (_, [_, ..]) => {
                let help = vec![format!("a payload's own field of that name is written \"{word}\"")];
                return Err(NameError { message: format!("`{word}` has no parts"), help });
            }
            ("_key", _) => (Pseudo::Key, Type::Varchar),
            ("_topic", _) => (Pseudo::Topic, Type::Varchar),
            ("_partition", _) => (Pseudo::Partition, Type::Bigint),
            ("_offset", _) => (Pseudo::Offset, Type::Bigint),
            ("_timestamp", _) => (Pseudo::Timestamp, Type::Timestamp),
            _ => (Pseudo::Value, Type::Any),
        };
        Ok((Place::Pseudo(pseudo), ty))
    }
}

/// Paths covered by both sets.
fn common(a: &BTreeSet<Path>, b: &BTreeSet<Path>) -> BTreeSet<Path> {
    let covered = |path: &Path, by: &BTreeSet<Path>| by.iter().any(|p| path.below(p).is_some());
    let from_a = a.iter().filter(|path| covered(path, b));
    let from_b = b.iter().filter(|path| covered(path, a));
    from_a.chain(from_b).cloned().collect()
}

/// A type as the file writes it.
pub fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Any => "value of any type",
        known => known.name(),
    }
}

/// May it be a condition? If not, why.
pub fn must_be_boolean(expr: &Expr, what: &str) -> Result<(), String> {
    match expr.ty() {
        Type::Boolean | Type::Any | Type::Null => Ok(()),
        other => Err(format!("{what} must be a BOOLEAN, this is a {}", type_name(other))),
    }
}

/// The names of one place: resolves, gives slots, and notes what must be read from payloads.
pub struct ScopeNames<'a> {
    pub scope: &'a Scope,
    pub wires: &'a mut Wires,
    /// Another name for a field: (`rule`, the path that it has in the frame).
    pub alias: Option<(&'a str, &'a Path)>,
}

impl Names for ScopeNames<'_> {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        if let Some(pseudo) = self.scope.pseudo(name) {
            return pseudo;
        }
        let mut path = name.path.clone();
        if let Some((word, real)) = self.alias
            && path.0.first() == Some(&Segment::Field(word.into()))
        {
            path = real.join(&Path(path.0[1..].to_vec()));
            let ty = self.scope.type_of(&path).map_err(|error| rename(error, real, word))?;
            return Ok((self.wires.place(self.scope, &path), ty));
        }
        let ty = self.scope.type_of(&path)?;
        Ok((self.wires.place(self.scope, &path), ty))
    }
}

/// Puts the name that the file uses into an error about the real one.
fn rename(error: NameError, real: &Path, word: &str) -> NameError {
    let real = real.to_string();
    let fix = |text: String| text.replace(&real, word);
    NameError { message: fix(error.message), help: error.help.into_iter().map(fix).collect() }
}
