//! What tract does not run: operators that it lacks, and those that it is not known to get right.
//!
//! tract passes by attributes that it does not know, and so gets some operators wrong without a word.
//! What it gets right is found by onnx's own tests of operators, once for each version of tract (see
//! `node_tests.rs`), and stands in `proven.txt`: operators, their attributes, the values of those that are
//! texts, and with a colon the values that attributes have where a node does not give them.

use std::{borrow::Cow, collections::BTreeSet, sync::OnceLock};

use tract_onnx::pb::{ModelProto, NodeProto, attribute_proto::AttributeType};

use super::optimize::loader;

/// Domains of operators that tract's loader means: it looks at names alone.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];

/// An operator that tract gets wrong with attributes that it gets right in other cases.
struct Rule {
    operator: &'static str,
    /// Of a node and the operator set of its file.
    is_wrong: fn(&NodeProto, i64) -> bool,
}

impl Rule {
    const fn always(operator: &'static str) -> Self {
        Self { operator, is_wrong: |_, _| true }
    }
}

const RULES: &[Rule] = &[
    // Windows are passed by, and so is where a causal mask begins.
    Rule {
        operator: "Attention",
        is_wrong: |node, _| has(node, "left_window_size") || has(node, "right_window_size"),
    },
    Rule {
        operator: "Attention",
        is_wrong: |node, _| has(node, "is_causal") && !input(node, 4).is_empty(),
    },
    // Shifts by more bits than there are, or by fewer than none.
    Rule::always("BitShift"),
    Rule { operator: "Swish", is_wrong: |node, _| has(node, "alpha") },
    // Numbers below zero are divided by alpha and not multiplied by it.
    Rule { operator: "Celu", is_wrong: |node, _| has(node, "alpha") },
    // Of whole numbers below zero the remainder has the sign of the dividend instead of the divisor's.
    Rule::always("Mod"),
    // Before operator set 11 the nearest pixel was the one before the place, counted from the corner.
    Rule {
        operator: "Resize",
        is_wrong: |node, opset| opset < 11 && text(node, "mode") != "linear",
    },
    // Corners are aligned by the whole size where the scale says one with a fraction.
    Rule {
        operator: "Resize",
        is_wrong: |node, _| {
            text(node, "coordinate_transformation_mode") == "align_corners"
                && !input(node, 2).is_empty()
        },
    },
    // Numbers of eight bits are rounded otherwise than the file says: outputs of whole networks are off
    // by as much as the rounding itself takes from them.
    Rule::always("QuantizeLinear"),
    Rule::always("DynamicQuantizeLinear"),
    Rule::always("QLinearConv"),
    Rule::always("QLinearMatMul"),
    Rule::always("ConvInteger"),
    Rule::always("MatMulInteger"),
];

fn has(node: &NodeProto, attribute: &str) -> bool {
    node.attribute.iter().any(|known| known.name == attribute)
}

/// A text that the node gives; empty where it leaves it out.
fn text<'a>(node: &'a NodeProto, attribute: &str) -> Cow<'a, str> {
    let found = node.attribute.iter().find(|known| known.name == attribute);
    found.map_or(Cow::Borrowed(""), |found| String::from_utf8_lossy(&found.s))
}

fn input(node: &NodeProto, place: usize) -> &str {
    node.input.get(place).map_or("", String::as_str)
}

/// Why tract does not run the model, in words that begin with `tract`; `None` where it may.
pub(super) fn find(proto: &ModelProto) -> Option<String> {
    static PROVEN: OnceLock<BTreeSet<&str>> = OnceLock::new();
    let proven = PROVEN.get_or_init(|| include_str!("proven.txt").lines().collect());
    let known = loader().op_register.0;
    let sets = proto.opset_import.iter().filter(|set| DOMAINS[..2].contains(&set.domain.as_str()));
    let opset = sets.map(|set| set.version).max().unwrap_or(1);
    find_in_nodes(proto, &mut |node| {
        let operator = &node.op_type;
        if !DOMAINS.contains(&node.domain.as_str()) {
            return Some(format!("tract lacks the operator `{}.{operator}`", node.domain));
        }
        if !known.contains_key(operator) {
            return Some(format!("tract lacks the operator `{operator}`"));
        }
        let is_wrong = |rule: &Rule| rule.operator == operator && (rule.is_wrong)(node, opset);
        if RULES.iter().any(is_wrong) {
            return Some(format!("tract computes `{operator}` wrongly"));
        }
        let mut features = features(node).into_iter();
        let is_proven = |feature: &Feature| {
            proven.contains(feature.name.as_str())
                && feature.text.as_deref().is_none_or(|text| proven.contains(text))
                || feature.value.as_deref().is_some_and(|value| proven.contains(value))
        };
        let feature = features.find(|feature| !is_proven(feature))?;
        let feature = feature.text.unwrap_or(feature.name);
        Some(format!("tract is not known to compute `{feature}` right"))
    })
}

/// What a node asks of an engine.
pub(super) struct Feature {
    /// `Operator`, or `Operator.attribute`.
    pub(super) name: String,
    /// `Operator.attribute=text`: of a text each value is a feature of its own.
    pub(super) text: Option<String>,
    /// `Operator.attribute:value` of a text or an integer, which is proven where it is the default.
    value: Option<String>,
}

/// The operator of a node, and its attributes.
pub(super) fn features(node: &NodeProto) -> Vec<Feature> {
    let operator = &node.op_type;
    let mut features = vec![Feature { name: operator.clone(), text: None, value: None }];
    for attribute in &node.attribute {
        let name = format!("{operator}.{}", attribute.name);
        let (text, value) = match attribute.r#type() {
            // Any equation is one of the same kind.
            AttributeType::String if name == "Einsum.equation" => (None, None),
            AttributeType::String => {
                let text = String::from_utf8_lossy(&attribute.s);
                (Some(format!("{name}={text}")), Some(format!("{name}:{text}")))
            }
            AttributeType::Int => (None, Some(format!("{name}:{}", attribute.i))),
            _ => (None, None),
        };
        features.push(Feature { name, text, value });
    }
    features
}

/// The first that `find` finds in the nodes of the graph, of its inner graphs, and of functions.
pub(super) fn find_in_nodes(
    proto: &ModelProto,
    find: &mut dyn FnMut(&NodeProto) -> Option<String>,
) -> Option<String> {
    let graphs = proto.graph.iter().flat_map(|graph| &graph.node);
    let functions = proto.functions.iter().flat_map(|function| &function.node);
    graphs.chain(functions).find_map(|node| find_in_node(node, find))
}

fn find_in_node(
    node: &NodeProto,
    find: &mut dyn FnMut(&NodeProto) -> Option<String>,
) -> Option<String> {
    find(node).or_else(|| {
        let graphs = node.attribute.iter().flat_map(|of| of.g.iter().chain(&of.graphs));
        graphs.flat_map(|graph| &graph.node).find_map(|node| find_in_node(node, find))
    })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, GraphProto, OperatorSetIdProto};

    use super::*;

    /// Whether a network of one node is denied. `attributes` are texts, a number where they parse as one.
    fn is_denied(opset: i64, operator: &str, inputs: &[&str], attributes: &[(&str, &str)]) -> bool {
        let attribute = |(name, text): &(&str, &str)| {
            let kind = match text.parse::<f32>() {
                Ok(_) => AttributeType::Float,
                Err(_) => AttributeType::String,
            };
            AttributeProto {
                name: (*name).to_owned(),
                r#type: kind as i32,
                f: text.parse().unwrap_or_default(),
                s: text.as_bytes().to_vec(),
                ..AttributeProto::default()
            }
        };
        let node = NodeProto {
            op_type: operator.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        };
        let set = OperatorSetIdProto { version: opset, ..OperatorSetIdProto::default() };
        find(&ModelProto {
            opset_import: vec![set],
            graph: Some(GraphProto { node: vec![node], ..GraphProto::default() }),
            ..ModelProto::default()
        })
        .is_some()
    }

    #[test]
    fn what_node_tests_do_not_show_is_denied_too() {
        assert!(is_denied(12, "Celu", &["x"], &[("alpha", "0.5")]));
        assert!(!is_denied(12, "Celu", &["x"], &[]));
        assert!(is_denied(13, "Mod", &["x", "two"], &[]));
        let sizes = ["x", "", "", "sizes"];
        let scales = ["x", "", "scales"];
        let corners = [("mode", "linear"), ("coordinate_transformation_mode", "align_corners")];
        assert!(is_denied(10, "Resize", &["x", "scales"], &[("mode", "nearest")]));
        assert!(is_denied(10, "Resize", &["x", "scales"], &[]), "nearest is the default");
        assert!(!is_denied(13, "Resize", &scales, &[("mode", "nearest")]));
        assert!(is_denied(13, "Resize", &scales, &corners));
        assert!(!is_denied(13, "Resize", &sizes, &corners));
    }
}
