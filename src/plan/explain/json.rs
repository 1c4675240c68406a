//! The graph as JSON: nodes and edges, for other programs.

use serde_json::{Value, json};

use super::Graph;

pub fn write(graph: &Graph) -> String {
    let nodes: Vec<Value> = graph
        .nodes
        .iter()
        .map(|node| {
            json!({
                "name": node.name,
                "kind": node.kind.name(),
                "changing": node.changing,
                "does": node.does,
                "topics": node.topics,
                "reads": node.reads,
            })
        })
        .collect();
    let edges: Vec<Value> = graph
        .edges
        .iter()
        .map(|edge| {
            json!({
                "from": edge.from,
                "to": edge.to,
                "role": edge.role.unwrap_or("flow"),
                "exchange": edge.exchange,
            })
        })
        .collect();
    let whole = json!({
        "name": graph.name,
        "plan": format!("{:016x}", graph.hash),
        "stateful": graph.stateful,
        "nodes": nodes,
        "edges": edges,
        "dead_letters": graph.dead_letters,
    });
    format!("{whole:#}\n")
}
