//! Names that are near to one that does not exist, and lists of those that do, for messages.

/// At most three names near to `name`, the nearest first.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (name.chars().count() / 3).min(3);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 12)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || (name.len() >= 3 && candidate.starts_with(name)))
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Help for an unknown name: what was probably meant, and what there is.
pub fn suggest<'a>(name: &str, what: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> Vec<String> {
    suggest_also(name, &[], what, names)
}

/// The same, where `others` may be meant too, which are not listed.
pub fn suggest_also<'a>(
    name: &str,
    others: &[&'a str],
    what: &str,
    names: impl IntoIterator<Item = &'a str> + Clone,
) -> Vec<String> {
    let mut help = Vec::new();
    let others = others.iter().copied().filter(|other| *other != name);
    let near = nearest(name, names.clone().into_iter().chain(others));
    if !near.is_empty() {
        let near: Vec<String> = near.iter().map(|n| format!("`{n}`")).collect();
        help.push(format!("did you mean {}?", near.join(" or ")));
    }
    let all: Vec<&str> = names.into_iter().collect();
    if all.is_empty() {
        help.push(format!("there are no {what}"));
    } else {
        help.push(format!("{what}: {}", list(&all)));
    }
    help
}

/// Names in one line, not too many of them.
pub fn list(names: &[&str]) -> String {
    const MOST: usize = 24;
    let mut line = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        line.push_str(&format!(" and {} more", names.len() - MOST));
    }
    line
}

/// The line of a byte, from 1.
pub fn line_of(file: &str, at: usize) -> usize {
    1 + file.as_bytes()[..at.min(file.len())].iter().filter(|b| **b == b'\n').count()
}

/// Optimal string alignment distance: insertions, deletions, replacements, swaps of neighbours. Case does not count.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            let mut best = rows[i - 1][j - 1] + usize::from(!same);
            best = best.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_what_was_meant() {
        let names = ["from", "format", "fields", "kafka", "time"];
        assert_eq!(nearest("form", names), ["from", "format"]);
        assert_eq!(nearest("kafak", names), ["kafka"]);
        assert_eq!(nearest("zebra", names), Vec::<&str>::new());
    }
}
