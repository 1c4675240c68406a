//! The graph as text: a line or two for each source, table, step and output, in the order of the data.

use super::{Graph, Kind};

pub fn write(graph: &Graph) -> String {
    let state = if graph.stateful { "keeps state" } else { "keeps no state" };
    let mut out = format!("job {} ({state}, plan {:016x})\n", graph.name, graph.hash);
    let width = graph.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
    let sections: [(&str, &[Kind]); 4] = [
        ("sources", &[Kind::Source]),
        ("tables", &[Kind::Table]),
        ("steps", &[Kind::Shape, Kind::Match, Kind::Aggregate]),
        ("outputs", &[Kind::Output]),
    ];
    for (title, kinds) in sections {
        if !graph.nodes.iter().any(|node| kinds.contains(&node.kind)) {
            continue;
        }
        out.push_str(&format!("\n{title}\n"));
        for (at, node) in graph.nodes.iter().enumerate().filter(|(_, node)| kinds.contains(&node.kind)) {
            out.push_str(&format!("  {:width$}  {}\n", node.name, first_line(graph, at)));
            for line in more_lines(graph, at) {
                out.push_str(&format!("  {:width$}  {line}\n", ""));
            }
        }
    }
    out.push_str(&format!("\ndead letters\n  topic {}\n", graph.dead_letters));
    out
}

fn first_line(graph: &Graph, at: usize) -> String {
    let node = &graph.nodes[at];
    let from: Vec<&str> = flowing(graph, at).map(|from| graph.nodes[from].name.as_str()).collect();
    let head = match node.kind {
        Kind::Source | Kind::Table => format!("topic {}", node.topics.join(", ")),
        Kind::Output => format!("from {} to topic {}", from.join(", "), node.topics.join(", ")),
        kind => format!("{} of {}", kind.name(), from.join(", ")),
    };
    if node.does.is_empty() { head } else { format!("{head}: {}", node.does.join("; ")) }
}

fn flowing(graph: &Graph, at: usize) -> impl Iterator<Item = usize> {
    graph.edges.iter().filter(move |edge| edge.to == at && edge.role.is_none()).map(|edge| edge.from)
}

fn more_lines(graph: &Graph, at: usize) -> Vec<String> {
    let node = &graph.nodes[at];
    let mut lines = Vec::new();
    if !node.reads.is_empty() {
        lines.push(format!("reads {}", node.reads.join(", ")));
    }
    for edge in graph.edges.iter().filter(|edge| edge.to == at) {
        if let Some(role) = edge.role {
            lines.push(format!("{role} in {}", graph.nodes[edge.from].name));
        }
    }
    if let Some(by) = graph.edges.iter().filter(|edge| edge.to == at).find_map(|edge| edge.exchange.as_ref()) {
        let by = if by.is_empty() { "one worker".to_owned() } else { format!("workers by {}", by.join(", ")) };
        lines.push(format!("folded where it is read, then exchanged to {by}"));
    }
    if node.changing && !matches!(node.kind, Kind::Table) {
        lines.push("a changing collection: newest rows, and deletions".to_owned());
    }
    lines
}
