//! What tract does not run: operators that it lacks, and those that it is not known to get right.
//!
//! tract passes by attributes that it does not know, and so gets some operators wrong without a word. It also
//! takes most operators of old files for those of new ones, whatever they meant then.
//! What it gets right is found by onnx's own tests of operators and variants of them, once for each version of
//! tract (see `node_tests.rs`), and stands in `proven.txt`: operators with the version of their meaning, their
//! attributes, and the values of those that are texts. `operators.txt` has the versions of all operators, with
//! the defaults of their attributes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto, attribute_proto::AttributeType};

/// Domains of operators that tract's loader means: it looks at names alone.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];

/// An operator that tract gets wrong with attributes that it gets right in other cases.
struct Rule {
    operator: &'static str,
    /// Of a node and the operator set that it is of.
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

/// Why tract, which has the operators that `has_operator` says, does not run the model, in words that begin with
/// `tract`; `None` where it may.
pub(super) fn find(proto: &ModelProto, has_operator: &dyn Fn(&str) -> bool) -> Option<String> {
    static PROVEN: OnceLock<BTreeSet<&str>> = OnceLock::new();
    let proven = PROVEN.get_or_init(|| include_str!("proven.txt").lines().collect());
    find_unproven(proto, has_operator, &|feature| proven.contains(feature))
}

/// As [`find`], by what `is_proven`.
pub(super) fn find_unproven(
    proto: &ModelProto,
    has_operator: &dyn Fn(&str) -> bool,
    is_proven: &dyn Fn(&str) -> bool,
) -> Option<String> {
    static OPERATORS: OnceLock<Operators> = OnceLock::new();
    let operators = OPERATORS.get_or_init(|| Operators::read(include_str!("operators.txt")));
    find_in_nodes(proto, &mut |node, opset| {
        let operator = &node.op_type;
        if !DOMAINS.contains(&node.domain.as_str()) {
            return Some(format!("tract lacks the operator `{}.{operator}`", node.domain));
        }
        if !has_operator(operator) {
            return Some(format!("tract lacks the operator `{operator}`"));
        }
        let is_wrong = |rule: &Rule| rule.operator == operator && (rule.is_wrong)(node, opset);
        if RULES.iter().any(is_wrong) {
            return Some(format!("tract computes `{operator}` wrongly"));
        }
        if opset > operators.newest {
            let newest = operators.newest;
            return Some(format!(
                "tract is tested up to operator set {newest}, and this is {opset}"
            ));
        }
        let Some(version) = operators.version(operator, opset) else {
            return Some(format!("tract lacks the operator `{operator}` of operator set {opset}"));
        };
        let mut features = features(node, version).into_iter();
        let feature = features.find(|feature| !is_proven(feature))?;
        Some(format!("tract is not known to compute `{feature}` right"))
    })
}

/// The operators of onnx.
struct Operators {
    /// The versions of each, the oldest first.
    versions: BTreeMap<&'static str, Vec<Version>>,
    newest: i64,
}

/// A meaning of an operator.
struct Version {
    /// The operator set that it came with.
    since: i64,
    /// What attributes are that a node leaves out, where that is a text or a whole number.
    defaults: BTreeMap<&'static str, &'static str>,
}

impl Operators {
    /// Reads lines of `Operator VERSION attribute=default …`.
    fn read(lines: &'static str) -> Self {
        let mut operators = Self { versions: BTreeMap::new(), newest: 0 };
        for line in lines.lines() {
            let mut words = line.split(' ');
            let (Some(name), Some(since)) = (words.next(), words.next()) else { continue };
            let since = since.parse().unwrap_or(i64::MAX);
            let defaults = words.filter_map(|word| word.split_once('=')).collect();
            operators.newest = operators.newest.max(since);
            operators.versions.entry(name).or_default().push(Version { since, defaults });
        }
        let all = operators.versions.values_mut();
        all.for_each(|versions| versions.sort_by_key(|version| version.since));
        operators
    }

    /// What an operator means in an operator set.
    fn version(&self, operator: &str, opset: i64) -> Option<&Version> {
        self.versions.get(operator)?.iter().rfind(|version| version.since <= opset)
    }
}

/// What a node asks of an engine: `Operator@VERSION`, `Operator@VERSION.attribute` for each attribute that is
/// not as if it were left out, and `Operator@VERSION.attribute=text` for each text, left out or not.
fn features(node: &NodeProto, version: &Version) -> Vec<String> {
    let operator = format!("{}@{}", node.op_type, version.since);
    let mut features = vec![operator.clone()];
    for attribute in &node.attribute {
        let (kind, name) = (attribute.r#type(), attribute.name.as_str());
        let default = version.defaults.get(name).copied();
        match kind {
            // Any equation is one of the same kind.
            AttributeType::String if name != "equation" => {
                let text = String::from_utf8_lossy(&attribute.s);
                features.push(format!("{operator}.{name}={text}"));
            }
            AttributeType::Int if default == Some(&attribute.i.to_string()) => {}
            _ => features.push(format!("{operator}.{name}")),
        }
    }
    let is_text = |default: &str| default.parse::<i64>().is_err();
    for (name, default) in version.defaults.iter().filter(|(_, default)| is_text(default)) {
        if !has(node, name) {
            features.push(format!("{operator}.{name}={default}"));
        }
    }
    features
}

/// Looks at a node and the operator set that it is of.
type Find<'a> = &'a mut dyn FnMut(&NodeProto, i64) -> Option<String>;

/// The first that `find` finds in the nodes of the graph, of its inner graphs, and of functions.
pub(super) fn find_in_nodes(proto: &ModelProto, find: Find<'_>) -> Option<String> {
    let graphs = proto.graph.iter().map(|graph| (&graph.node, &proto.opset_import));
    let functions = proto.functions.iter().map(|function| (&function.node, &function.opset_import));
    graphs
        .chain(functions)
        .flat_map(|(nodes, imports)| nodes.iter().map(move |node| (node, imports)))
        .find_map(|(node, imports)| find_in_node(node, imports, find))
}

fn find_in_node(
    node: &NodeProto,
    imports: &[OperatorSetIdProto],
    find: Find<'_>,
) -> Option<String> {
    find(node, opset(node, imports)).or_else(|| {
        let graphs = node.attribute.iter().flat_map(|of| of.g.iter().chain(&of.graphs));
        graphs.flat_map(|graph| &graph.node).find_map(|node| find_in_node(node, imports, find))
    })
}

/// The version of the operator set that a node is of; 1 where the model does not say (onnx.proto: files of
/// before the field was there).
fn opset(node: &NodeProto, imports: &[OperatorSetIdProto]) -> i64 {
    let usual = |domain: &str| if domain == "ai.onnx" { String::new() } else { domain.to_owned() };
    let domain = usual(&node.domain);
    imports.iter().find(|set| usual(&set.domain) == domain).map_or(1, |set| set.version)
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
        let proto = ModelProto {
            opset_import: vec![set],
            graph: Some(GraphProto { node: vec![node], ..GraphProto::default() }),
            ..ModelProto::default()
        };
        find(&proto, &|_| true).is_some()
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
