//! Which steps read each other in a circle.

use std::collections::{BTreeSet, VecDeque};

use crate::plan::scope::DeclId;

/// Circles over what each declaration reads, so many that everything that one reads on a circle is in one of them. Each
/// begins at its first declaration and comes once; there could be far more, which say nothing new.
pub fn circles(reads: &[BTreeSet<DeclId>]) -> Vec<Vec<DeclId>> {
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for (reader, inputs) in reads.iter().enumerate() {
        for input in inputs {
            if told.contains(&(reader, *input)) {
                continue;
            }
            let Some(mut circle) = shortest_way(reads, *input, reader) else { continue };
            let first = (0..circle.len()).min_by_key(|at| circle[*at]).unwrap_or(0);
            circle.rotate_left(first);
            let next = circle.iter().cycle().skip(1);
            told.extend(circle.iter().copied().zip(next.copied()));
            circles.push(circle);
        }
    }
    circles
}

/// From one declaration through what it reads to another, both included.
fn shortest_way(reads: &[BTreeSet<DeclId>], from: DeclId, to: DeclId) -> Option<Vec<DeclId>> {
    let mut reader = vec![None; reads.len()];
    let mut todo = VecDeque::from([from]);
    while let Some(at) = todo.pop_front() {
        if at == to {
            let mut way: Vec<DeclId> =
                std::iter::successors(Some(to), |at| reader[*at].filter(|_| *at != from)).collect();
            way.reverse();
            return Some(way);
        }
        for input in &reads[at] {
            if reader[*input].is_none() {
                reader[*input] = Some(at);
                todo.push_back(*input);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reads: &[&[DeclId]]) -> Vec<Vec<DeclId>> {
        circles(&reads.iter().map(|inputs| inputs.iter().copied().collect()).collect::<Vec<_>>())
    }

    #[test]
    fn circles_that_share_a_step_are_all_told() {
        assert_eq!(of(&[&[1, 2], &[0], &[0]]), [vec![0, 1], vec![0, 2]]);
        assert_eq!(of(&[&[1], &[2], &[0, 1]]), [vec![0, 1, 2], vec![1, 2]]);
    }

    #[test]
    fn a_step_that_reads_itself_is_a_circle_and_one_that_reads_a_circle_is_not() {
        assert_eq!(of(&[&[0, 1], &[0]]), [vec![0], vec![0, 1]]);
        assert_eq!(of(&[&[1], &[2], &[1], &[]]), [vec![1, 2]]);
    }
}
