use flota_core::Manifest;

/// A manifest with this `output`, and labels where it has some.
pub(super) fn manifest(output: &str) -> Manifest {
    let labels = if output.contains("embedding") { "" } else { "labels: [x, y, z]," };
    let text = format!(
        "{{format: 2, name: a, version: '1', weights: {{file: a}}, {labels} \
         input: {{width: 8, height: 8, resize: {{mode: exact}}}}, output: {{{output}}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap()
}
