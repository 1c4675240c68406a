//! The graph as a drawing: Mermaid, and Graphviz's DOT.

use super::{Edge, Graph, GraphNode, Kind};

pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let label = lines(node).iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br>");
        let (open, close) = match node.kind {
            Kind::Source => ("([", "])"),
            Kind::Table => ("[(", ")]"),
            Kind::Output => ("[[", "]]"),
            _ => ("[", "]"),
        };
        out.push_str(&format!("  n{at}{open}\"{label}\"{close}\n"));
    }
    for edge in &graph.edges {
        let arrow = if edge.role.is_some() { "-.->" } else { "-->" };
        let label = label(edge).map_or(String::new(), |label| format!("|\"{}\"|", escape(&label)));
        out.push_str(&format!("  n{} {arrow}{label} n{}\n", edge.from, edge.to));
    }
    out
}

pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quote(&graph.name));
    for (at, node) in graph.nodes.iter().enumerate() {
        let shape = match node.kind {
            Kind::Source => "oval",
            Kind::Table => "cylinder",
            Kind::Output => "cds",
            _ => "box",
        };
        out.push_str(&format!("  n{at} [shape={shape}, label={}];\n", quote(&lines(node).join("\n"))));
    }
    for edge in &graph.edges {
        let mut style: Vec<String> = label(edge).map(|label| format!("label={}", quote(&label))).into_iter().collect();
        if edge.role.is_some() {
            style.push("style=dashed".to_owned());
        }
        let style = if style.is_empty() { String::new() } else { format!(" [{}]", style.join(", ")) };
        out.push_str(&format!("  n{} -> n{}{style};\n", edge.from, edge.to));
    }
    out.push_str("}\n");
    out
}

fn lines(node: &GraphNode) -> Vec<String> {
    let mut lines = vec![format!("{} {}", node.kind.name(), node.name)];
    lines.extend(node.topics.iter().map(|topic| format!("topic {topic}")));
    lines.extend(node.does.iter().cloned());
    lines
}

fn label(edge: &Edge) -> Option<String> {
    if let Some(role) = edge.role {
        return Some(role.to_owned());
    }
    let by = edge.exchange.as_ref()?;
    Some(if by.is_empty() { "exchange to one worker".to_owned() } else { format!("exchange by {}", by.join(", ")) })
}

/// For Mermaid: entities for what would end a quoted label.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
