//! What labels look like that were read from the wrong place.

use flota_core::LabelSource;

use super::finding::Finding;

/// What a heading of a table calls its columns.
const HEADINGS: [&str; 8] =
    ["label", "labels", "class", "classes", "class_name", "name", "category", "id"];

/// What is likely wrong with `labels`, which come from `source`.
pub(super) fn mistakes(labels: &[String], source: Option<&LabelSource>) -> Option<Finding> {
    let first = labels.first()?;
    let all = |is: fn(&str) -> bool| labels.iter().all(|label| is(label));
    let rest = |is: fn(&str) -> bool| labels.len() > 1 && labels[1..].iter().all(|label| is(label));
    let skip = match source {
        Some(LabelSource::Lines(lines)) => format!("write `skip_words: {}`", lines.skip_words + 1),
        _ => "leave it out".to_owned(),
    };
    let (code, message) = match () {
        () if all(is_word_net) => {
            ("LABEL_IDS", format!("each label begins with a WordNet id, such as `{first}`: {skip}"))
        }
        () if all(is_unnamed) => (
            "LABELS_UNNAMED",
            format!(
                "the labels are `{first}` and so on, which a configuration has where nobody named them: list \
                 the names that the model was trained with"
            ),
        ),
        () if is_heading(first) && (rest(is_row) || !rest(is_heading)) => (
            "LABELS_CSV",
            format!("the first label is `{first}`, a heading: keep the names of the labels alone"),
        ),
        () if all(is_row) => (
            "LABELS_CSV",
            format!(
                "the labels are rows of a table, such as `{first}`: keep the names of the labels alone, in \
                 the order of their indices"
            ),
        ),
        () => return None,
    };
    Some(Finding::warning(code, message))
}

/// `n01440764 tench`.
fn is_word_net(label: &str) -> bool {
    let id = label.split([' ', '\t', ',', ':']).next().unwrap_or_default();
    let digits = id.strip_prefix('n').unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit()) && label.len() > id.len()
}

/// `LABEL_0`.
fn is_unnamed(label: &str) -> bool {
    let number = label.strip_prefix("LABEL_").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `id,name`, and no label of one column, which may be a name like any other.
fn is_heading(label: &str) -> bool {
    let mut cells = label.split([',', ';', '\t']).map(|cell| cell.trim().to_ascii_lowercase());
    label.contains([',', ';', '\t']) && cells.any(|cell| HEADINGS.contains(&cell.as_str()))
}

/// `3,cat` or `3: cat`.
fn is_row(label: &str) -> bool {
    let Some((number, name)) = label.split_once([',', ';', '\t', ':']) else { return false };
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !name.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(labels: &[&str]) -> Option<&'static str> {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        mistakes(&labels, None).map(|finding| finding.code)
    }

    #[test]
    fn labels_from_the_wrong_place_are_found() {
        assert_eq!(code(&["n01440764 tench", "n01443537 goldfish"]), Some("LABEL_IDS"));
        assert_eq!(code(&["LABEL_0", "LABEL_1"]), Some("LABELS_UNNAMED"));
        assert_eq!(code(&["id,name", "0,cat", "1,dog"]), Some("LABELS_CSV"));
        assert_eq!(code(&["index\tlabel", "cat", "dog"]), Some("LABELS_CSV"));
        assert_eq!(code(&["0,cat", "1,dog"]), Some("LABELS_CSV"));
    }

    #[test]
    fn names_are_no_mistake() {
        for labels in [
            &["cat", "dog"][..],
            &["tench, Tinca tinca", "goldfish, Carassius auratus"],
            &["0", "1", "2", "3"],
            &["label", "no label"],
            &["class", "LABEL_1"],
            &["n01440764", "n01443537"],
            &[],
        ] {
            assert_eq!(code(labels), None, "{labels:?}");
        }
    }
}
