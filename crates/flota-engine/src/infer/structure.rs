//! What the nodes of an ONNX file say of the beginning and the end of its graph.
//!
//! Numbers alone do not tell logits that happen to lie between 0 and 1 from probabilities: the nodes do.

use std::collections::BTreeMap;

use super::wire::{self, Value};

/// Longest way from the output to an activation, or from the input to a factor, in nodes.
const MAX_STEPS: usize = 32;
/// Most numbers of a constant that are read: those of a factor for each channel.
const MAX_CONSTANT: usize = 16;

/// How a graph begins and ends, as far as its nodes say it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Structure {
    /// What makes the numbers of the output.
    pub end: End,
    /// What the graph multiplies its input by before it does anything else; 1 where it does not.
    pub input_factor: Option<f32>,
    /// The operator that was exported in training mode.
    pub training: Option<&'static str>,
}

/// What makes the numbers of a graph's output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum End {
    /// Activations, the last one first; there is one at least.
    Activations(Vec<Activation>),
    /// A layer without an activation: the numbers are logits or measured values.
    Linear,
    /// The nodes do not say.
    #[default]
    Unknown,
}

/// A function that makes probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Probabilities that sum to 1.
    Softmax,
    /// Logarithms of such probabilities.
    LogSoftmax,
    /// Probabilities that stand each for itself.
    Sigmoid,
}

impl Structure {
    /// That of the ONNX file `onnx`, with the output `output` or the only one. What cannot be read is unknown.
    pub(crate) fn of(onnx: &[u8], output: Option<&str>) -> Self {
        let Some(graph) = messages(onnx, 7).next().map(Graph::read) else { return Self::default() };
        let output = output.or(match graph.outputs[..] {
            [only] => Some(only),
            _ => None,
        });
        Self {
            end: output.map_or(End::Unknown, |output| graph.end(output)),
            input_factor: graph.input_factor(),
            training: graph.training(),
        }
    }

    /// The activations at the end, the last one first.
    pub fn activations(&self) -> &[Activation] {
        match &self.end {
            End::Activations(activations) => activations,
            End::Linear | End::Unknown => &[],
        }
    }
}

#[derive(Default)]
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
    /// Which node makes a tensor.
    makers: BTreeMap<&'a str, usize>,
    /// Tensors that are the same for every image: their numbers where they are few, else none.
    constants: BTreeMap<&'a str, Vec<f32>>,
}

#[derive(Default)]
struct Node<'a> {
    op: &'a str,
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
    attributes: Vec<&'a [u8]>,
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut graph = Self::default();
        for (number, message) in fields(bytes) {
            match number {
                1 => graph.nodes.push(Node::read(message)),
                5 => {
                    graph.constants.insert(name(message, 8), numbers(message));
                }
                11 => graph.inputs.push(name(message, 1)),
                12 => graph.outputs.push(name(message, 1)),
                _ => {}
            }
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            graph.makers.extend(node.outputs.iter().map(|output| (*output, index)));
            if let ("Constant", [output]) = (node.op, &node.outputs[..]) {
                let tensor = node.attribute("value").and_then(|value| messages(value, 5).next());
                graph.constants.insert(output, tensor.map(numbers).unwrap_or_default());
            }
        }
        graph
    }

    fn maker(&self, tensor: &str) -> Option<&Node<'a>> {
        self.makers.get(tensor).map(|index| &self.nodes[*index])
    }

    fn end(&self, output: &str) -> End {
        let mut found = Vec::new();
        let mut tensor = output;
        for _ in 0..MAX_STEPS {
            let Some(node) = self.maker(tensor) else { break };
            let next = match node.op {
                "Softmax" | "LogSoftmax" | "Sigmoid" | "HardSigmoid" => {
                    found.push(match node.op {
                        "Softmax" => Activation::Softmax,
                        "LogSoftmax" => Activation::LogSoftmax,
                        _ => Activation::Sigmoid,
                    });
                    node.inputs.first().copied()
                }
                "MatMul" | "Gemm" | "Conv" if found.is_empty() => return End::Linear,
                // What is made of probabilities is none; a percentage of a sigmoid is still no logit.
                "Mul" | "Div" | "Add" | "Sub" if found.is_empty() => self.variable(node),
                op if passes(op) => node.inputs.first().copied(),
                _ => None,
            };
            let Some(next) = next else { break };
            tensor = next;
        }
        match found.is_empty() {
            true => End::Unknown,
            false => End::Activations(found),
        }
    }

    /// The one input of a node that is not the same for every image.
    fn variable(&self, node: &Node<'a>) -> Option<&'a str> {
        let mut variable = node.inputs.iter().filter(|input| !self.constants.contains_key(*input));
        variable.next().copied().filter(|_| variable.next().is_none())
    }

    fn input_factor(&self) -> Option<f32> {
        let mut fed = self.inputs.iter().filter(|input| !self.constants.contains_key(*input));
        let mut tensor = fed.next().copied().filter(|_| fed.next().is_none())?;
        let mut factor = 1.0;
        for _ in 0..MAX_STEPS {
            let mut takers = self.nodes.iter().filter(|node| node.inputs.contains(&tensor));
            let Some(node) = takers.next().filter(|_| takers.next().is_none()) else { break };
            match node.op {
                "Mul" | "Div" => {
                    let constant = node.inputs.iter().find_map(|input| self.constants.get(*input));
                    let Some(constant) = constant.and_then(|numbers| only(numbers)) else { break };
                    match node.op {
                        "Mul" => factor *= constant,
                        // A constant that is divided by the image is no scale.
                        _ if node.inputs.first() == Some(&tensor) => factor /= constant,
                        _ => return None,
                    }
                }
                "Add" | "Sub" if self.variable(node).is_some() => {}
                op if passes(op) => {}
                _ => break,
            }
            let Some(next) = node.outputs.first() else { break };
            tensor = next;
        }
        Some(factor)
    }

    fn training(&self) -> Option<&'static str> {
        self.nodes.iter().find_map(|node| match node.op {
            "BatchNormalization" => {
                let mode = node.attribute("training_mode").and_then(|value| integer(value, 3));
                (mode == Some(1)).then_some("BatchNormalization")
            }
            "Dropout" => {
                let constant = |at: usize| self.constants.get(*node.inputs.get(at)?);
                let is_on = constant(2).is_some_and(|mode| mode.first().is_some_and(|m| *m != 0.0));
                // The default ratio is a half.
                let drops = constant(1).is_none_or(|ratio| ratio.first() != Some(&0.0));
                (is_on && drops).then_some("Dropout")
            }
            _ => None,
        })
    }
}

/// Whether an operator leaves numbers as they are, or nearly so, but for their order and type.
fn passes(op: &str) -> bool {
    const PASSING: [&str; 13] = [
        "Identity",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Cast",
        "Dropout",
        "Transpose",
        "Clip",
        "QuantizeLinear",
        "DequantizeLinear",
        "Slice",
        "Gather",
    ];
    PASSING.contains(&op)
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut node = Self::default();
        for (number, message) in fields(bytes) {
            match number {
                1 => node.inputs.push(text(message)),
                2 => node.outputs.push(text(message)),
                4 => node.op = text(message),
                5 => node.attributes.push(message),
                _ => {}
            }
        }
        node
    }

    fn attribute(&self, wanted: &str) -> Option<&'a [u8]> {
        self.attributes.iter().copied().find(|attribute| name(attribute, 1) == wanted)
    }
}

/// The number that all of `numbers` are.
fn only(numbers: &[f32]) -> Option<f32> {
    let first = *numbers.first()?;
    numbers.iter().all(|number| *number == first).then_some(first)
}

/// The numbers of a `TensorProto` of floats or booleans; none where they are many or elsewhere.
fn numbers(tensor: &[u8]) -> Vec<f32> {
    let is_float = integer(tensor, 2) == Some(1);
    let mut numbers: Vec<f32> = Vec::new();
    for field in wire::fields(tensor).map_while(Result::ok) {
        match (field.number, field.value) {
            (4, Value::Bytes(bytes)) | (9, Value::Bytes(bytes)) if is_float => {
                if bytes.len() > MAX_CONSTANT * size_of::<f32>() {
                    return Vec::new();
                }
                let (floats, _) = bytes.as_chunks::<{ size_of::<f32>() }>();
                numbers.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            // A single number that is not packed stands behind its key.
            (4, Value::Fixed) if is_float => {
                let bytes = field.encoded.last_chunk().copied().unwrap_or_default();
                numbers.push(f32::from_le_bytes(bytes));
            }
            (5 | 9, Value::Bytes([byte])) => numbers.push(f32::from(*byte)),
            (5, Value::Varint(number)) => numbers.push(number as f32),
            _ => {}
        }
    }
    numbers
}

fn integer(message: &[u8], wanted: u32) -> Option<u64> {
    wire::fields(message).map_while(Result::ok).find_map(|field| match field.value {
        Value::Varint(number) if field.number == wanted => Some(number),
        _ => None,
    })
}

fn name(message: &[u8], number: u32) -> &str {
    messages(message, number).next().map(text).unwrap_or_default()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter(move |(number, _)| *number == wanted).map(|(_, message)| message)
}

fn fields(message: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    wire::fields(message).map_while(Result::ok).filter_map(|field| match field.value {
        Value::Bytes(bytes) => Some((field.number, bytes)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! structure {
        ($file:literal, $output:expr) => {
            Structure::of(include_bytes!(concat!("../../tests/fixtures/", $file)), $output)
        };
    }

    #[test]
    fn the_end_of_a_graph_is_what_its_nodes_say() {
        let softmax = structure!("softmax.onnx", None);
        assert_eq!(softmax.end, End::Activations(vec![Activation::Softmax]));
        assert_eq!(structure!("external.onnx", None).end, End::Linear);
        assert_eq!(structure!("means.onnx", Some("means")).end, End::Unknown);
        assert_eq!(structure!("means.onnx", None).end, End::Unknown, "it has two outputs");
        let twice = structure!("checked/softmax-twice.onnx", None);
        assert_eq!(twice.activations(), [Activation::Softmax; 2]);
        let percent = structure!("checked/sigmoid-percent.onnx", None);
        assert_eq!(percent.activations(), [Activation::Sigmoid]);
    }

    #[test]
    fn what_a_graph_multiplies_its_input_by_is_known() {
        assert_eq!(structure!("means.onnx", Some("means")).input_factor, Some(1.0));
        let rescaled = structure!("checked/rescaled.onnx", None).input_factor.unwrap();
        assert!((rescaled - 1.0 / 255.0).abs() < 1e-6, "{rescaled}");
    }

    #[test]
    fn training_mode_is_seen() {
        assert_eq!(structure!("checked/dropout-training.onnx", None).training, Some("Dropout"));
        let norm = structure!("checked/norm-training.onnx", None);
        assert_eq!(norm.training, Some("BatchNormalization"));
        assert_eq!(structure!("checked/dropout.onnx", None).training, None);
        assert_eq!(structure!("softmax.onnx", None).training, None);
    }

    #[test]
    fn what_is_no_onnx_file_is_unknown_and_harms_nobody() {
        let whole = include_bytes!("../../tests/fixtures/softmax.onnx");
        for length in 0..whole.len() {
            Structure::of(&whole[..length], None);
        }
        for byte in 0..=255 {
            assert_eq!(Structure::of(&[byte; 40], None).end, End::Unknown);
        }
    }
}
