//! Random JSON, and what paths and edits mean, on `serde_json`'s tree.

use arbtest::arbitrary::{Result, Unstructured};
use serde_json::{Map, Value as Tree};

use super::super::{Path, Segment};
use crate::event::Value;

/// Makes JSON texts: with white space, escapes, duplicate names and few names, so that paths meet.
pub struct Random<'u, 'a>(pub &'u mut Unstructured<'a>);

impl Random<'_, '_> {
    pub fn json(&mut self, depth: usize) -> Result<String> {
        Ok(match self.0.int_in_range(0..=if depth == 0 { 3 } else { 6 })? {
            0 => (*self.0.choose(&["null", "true", "false"])?).into(),
            1 => (*self.0.choose(&["0", "-1", "12345678901", "1.50", "2e-3", "-0", "98765432109876543210"])?).into(),
            2 | 3 => self.string()?,
            4 => {
                let items: Vec<_> =
                    (0..self.0.int_in_range(0..=3)?).map(|_| self.json(depth - 1)).collect::<Result<_>>()?;
                format!("[{}]", items.join(","))
            }
            _ => self.object(depth - 1)?,
        })
    }

    pub fn object(&mut self, depth: usize) -> Result<String> {
        let mut text = String::from("{");
        for i in 0..self.0.int_in_range(0..=4)? {
            let name = *self.0.choose(&[
                "\"a\"",
                "\"b\"",
                "\"c\"",
                "\"\\u0061\"",
                "\"odd \\\"name\\n\"",
                "\"long name b\"",
            ])?;
            let space = *self.0.choose(&["", " ", "\n\t"])?;
            let comma = if i == 0 { "" } else { "," };
            text += &format!("{comma}{space}{name}{space}:{space}{}{space}", self.json(depth)?);
        }
        Ok(text + "}")
    }

    fn string(&mut self) -> Result<String> {
        let parts = [
            "",
            "x",
            "some words of text that are long",
            "ä€😀",
            "\\n",
            "\\\"",
            "\\\\",
            "\\u00e4",
            "\\ud83d\\ude00",
            "\\/",
        ];
        let chosen: Vec<_> = (0..3).map(|_| self.0.choose(&parts).copied()).collect::<Result<_>>()?;
        Ok(format!("\"{}\"", chosen.concat()))
    }

    /// A path of names that occur; with indices if `index`.
    pub fn path(&mut self, index: bool) -> Result<Path> {
        let mut path = Path::default();
        for _ in 0..self.0.int_in_range(1..=3)? {
            let of_array = index && self.0.ratio(1, 4)?;
            path.0.push(if of_array {
                Segment::Index(self.0.int_in_range(0..=2)?)
            } else {
                Segment::Field((*self.0.choose(&["a", "b", "c", "odd \"name\n", "long name b"])?).into())
            });
        }
        Ok(path)
    }
}

pub fn tree(text: &str) -> Tree {
    serde_json::from_str(text).unwrap()
}

pub fn of(value: &Value) -> Tree {
    tree(&super::text(value))
}

fn step<'t>(value: &'t Tree, segment: &Segment) -> Option<&'t Tree> {
    match (value, segment) {
        (Tree::Object(members), Segment::Field(name)) => members.get(name.as_str()),
        (Tree::Array(items), Segment::Index(index)) => items.get(*index),
        _ => None,
    }
}

pub fn get<'t>(value: &'t Tree, path: &Path) -> Option<&'t Tree> {
    path.0.iter().try_fold(value, step)
}

pub fn set(value: &Tree, path: &Path, new: &Tree) -> Tree {
    let Some((first, rest)) = path.0.split_first() else { return new.clone() };
    let old = step(value, first).cloned().unwrap_or_default();
    let inner = set(&old, &Path(rest.to_vec()), new);
    match first {
        Segment::Field(name) => {
            let mut members = value.as_object().cloned().unwrap_or_default();
            members.insert(name.to_string(), inner);
            Tree::Object(members)
        }
        Segment::Index(index) => {
            let mut items = value.as_array().cloned().unwrap_or_default();
            if *index < items.len() {
                items[*index] = inner
            } else {
                items.push(inner)
            }
            Tree::Array(items)
        }
    }
}

pub fn remove(value: &Tree, path: &Path) -> Tree {
    let Some((first, rest)) = path.0.split_first() else { return Tree::Null };
    let Some(old) = step(value, first) else { return value.clone() };
    let inner = (!rest.is_empty()).then(|| remove(old, &Path(rest.to_vec())));
    let mut value = value.clone();
    match (&mut value, first, inner) {
        (Tree::Object(members), Segment::Field(name), None) => drop(members.shift_remove(name.as_str())),
        (Tree::Array(items), Segment::Index(index), None) => drop(items.remove(*index)),
        (Tree::Object(members), Segment::Field(name), Some(inner)) => drop(members.insert(name.to_string(), inner)),
        (Tree::Array(items), Segment::Index(index), Some(inner)) => items[*index] = inner,
        _ => unreachable!("the step was found"),
    }
    value
}

pub fn keep(value: &Tree, paths: &[Path]) -> Option<Tree> {
    if paths.iter().any(|path| path.0.is_empty()) {
        return Some(value.clone());
    }
    let below = |segment: Segment| -> Vec<Path> {
        paths.iter().filter(|path| path.0[0] == segment).map(|path| Path(path.0[1..].to_vec())).collect()
    };
    let kept = |segment: Segment, value: &Tree| match below(segment) {
        paths if paths.is_empty() => None,
        paths => keep(value, &paths),
    };
    let fields = paths.iter().any(|path| matches!(path.0[0], Segment::Field(_)));
    let indices = paths.iter().any(|path| matches!(path.0[0], Segment::Index(_)));
    match value {
        Tree::Object(members) if fields => {
            let members = members.iter().filter_map(|(k, v)| Some((k.clone(), kept(Segment::Field(k.into()), v)?)));
            Some(Tree::Object(members.collect::<Map<_, _>>()))
        }
        Tree::Array(items) if indices => {
            Some(Tree::Array(items.iter().enumerate().filter_map(|(i, v)| kept(Segment::Index(i), v)).collect()))
        }
        _ => None,
    }
}
