//! The position of a field in a manifest.

/// The field that `reason` names in backticks at its beginning, alone or with a value.
pub(super) fn named_key(reason: &str) -> Option<&str> {
    let (quoted, _) = reason.strip_prefix('`')?.split_once('`')?;
    let key = quoted.split(':').next().unwrap_or_default();
    let is_key =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then_some(key)
}

/// The line of the field `key` in the mapping that begins at `line` of `text`, or in a mapping
/// inside it.
pub(super) fn line_of(text: &str, line: u64, key: &str) -> Option<u64> {
    let mut lines = (1..).zip(text.lines()).skip_while(|(number, _)| *number < line);
    let (_, first) = lines.clone().next()?;
    // The line is the mapping's own key, or the first key inside it.
    let margin = indentation(first);
    let block = lines.by_ref().enumerate().take_while(|(index, (_, text))| {
        *index == 0 || text.trim().is_empty() || is_comment(text) || !ends(text, margin)
    });
    let found =
        block.map(|(_, line)| line).find(|(_, text)| !is_comment(text) && has_key(text, key));
    found.map(|(number, _)| number)
}

/// Whether a line is outside of the mapping with indentation `margin`. A line at the margin itself
/// may be the next field of the mapping, unless the mapping is the whole document.
fn ends(line: &str, margin: usize) -> bool {
    let is_closing = line.trim_start().starts_with(['}', ']']);
    !is_closing && (indentation(line) < margin || (margin == 0 && indentation(line) == 0))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Whether `line` sets `key`, in block or flow style.
fn has_key(line: &str, key: &str) -> bool {
    line.match_indices(key).any(|(start, _)| {
        let before = line[..start].trim_end_matches(['"', '\'', ' ', '-']);
        let is_begun = before.is_empty() || before.ends_with(['{', ',']);
        let is_whole =
            start == 0 || !line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let after = line[start + key.len()..].trim_start_matches(['"', '\'', ' ']);
        is_begun && is_whole && after.starts_with(':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
name: a
# std: of nothing
input:
  width: 8

  resize:
    mode: exact
  std: [0, 0, 0] # std: 1
output: {kind: softmax,
  top_k: 0}
std: 1
";

    #[test]
    fn a_field_is_found_in_its_mapping_alone() {
        assert_eq!(line_of(TEXT, 3, "std"), Some(8));
        assert_eq!(line_of(TEXT, 4, "std"), Some(8), "from the first field of the mapping on");
        assert_eq!(line_of(TEXT, 4, "mode"), Some(7));
        assert_eq!(line_of(TEXT, 3, "kind"), None);
        assert_eq!(line_of(TEXT, 9, "kind"), Some(9));
        assert_eq!(line_of(TEXT, 9, "top_k"), Some(10));
        assert_eq!(line_of(TEXT, 9, "std"), None);
        assert_eq!(line_of(TEXT, 99, "std"), None);
    }

    #[test]
    fn a_reason_names_its_field_first() {
        assert_eq!(named_key("`interpolation: BICUBIC` is not known"), Some("interpolation"));
        assert_eq!(named_key("`std` must be greater than 0"), Some("std"));
        assert_eq!(named_key("`1 0` is not a version"), None);
        assert_eq!(named_key("the threshold of `cat`"), None);
    }
}
