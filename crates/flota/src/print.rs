//! What is written to standard output and standard error: nothing else writes there.

use std::{
    borrow::Cow,
    env,
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
};

use console::style;
use serde::Serialize;

/// Standard output takes no more.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(crate) struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whether its reader has gone, as `head` does once it has seen enough.
    pub fn is_closed(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Writes `text` and the end of its line to standard output: control characters are escaped, but for the
/// ends of lines and the tabs between the cells of a table.
pub(crate) fn print(text: impl Display) -> Result<(), OutputError> {
    Ok(write_line(io::stdout().lock(), &without_control(&text.to_string(), &['\n', '\t']))?)
}

/// Writes `value` to standard output as one line of JSON. On a terminal, what would steer it is escaped.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_string(value)?;
    if io::stdout().is_terminal() {
        json = without_steering(&json);
    }
    Ok(write_line(io::stdout().lock(), &json).map_err(OutputError)?)
}

/// JSON that says the same: such characters stand in strings alone, where JSON can escape them, but for the white
/// space between values. All of them are in the basic plane, so that four digits are enough.
fn without_steering(json: &str) -> String {
    let escape = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        '\r' => " ".to_owned(),
        _ if is_steering(c) => format!("\\u{:04x}", u32::from(c)),
        _ => c.to_string(),
    };
    json.chars().map(escape).collect()
}

/// Writes a remark to standard error, escaped as [`print`] does. Where it cannot be written there
/// is nobody to tell.
pub(crate) fn note(text: impl Display) {
    let _ = write_line(io::stderr().lock(), &without_control(&text.to_string(), &['\n']));
}

/// Writes the sentence of an error to standard error, escaped as [`print`] does.
pub(crate) fn error(sentence: &str) {
    let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mark = style("error:").red().bold().force_styling(io::stderr().is_terminal() && !is_plain);
    let line = format!("{mark} {}", without_control(sentence, &['\n']));
    let _ = write_line(io::stderr().lock(), &line);
}

/// The sentence of an error and those of its causes. Some errors repeat their cause in their sentence: that is
/// left out.
pub(crate) fn with_causes(error: &anyhow::Error) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut said = String::new();
    for sentence in error.chain().map(ToString::to_string) {
        if !said.contains(&sentence) {
            sentences.push(sentence.clone());
        }
        said = sentence;
    }
    sentences
}

/// `text` on one line, its control characters escaped: names of files and what servers say may
/// hold some that would steer a terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    without_control(text, &[])
}

fn without_control<'a>(text: &'a str, but: &[char]) -> Cow<'a, str> {
    let is_escaped = |c: char| is_steering(c) && !but.contains(&c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match is_escaped(c) {
            true if c.is_control() => escaped.extend(c.escape_debug()),
            true => escaped.extend(c.escape_unicode()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal obeys `c`: control characters (C0 and C1), and those that turn the direction of text.
fn is_steering(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// One write for a line, so that processes that share an output do not mix theirs.
fn write_line(mut output: impl Write, text: &str) -> io::Result<()> {
    output.write_all(format!("{text}\n").as_bytes())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else_is() {
        assert_eq!(plain("a\u{1b}[2J\nb\t\u{9b}"), r"a\u{1b}[2J\nb\t\u{9b}");
        assert_eq!(plain("Größe 'ab' \\ \"c\""), "Größe 'ab' \\ \"c\"");
        assert_eq!(without_control("a\nb\r", &['\n']), "a\nb\\r");
        assert_eq!(plain("gpj.\u{202e}exe"), r"gpj.\u{202e}exe");
        let value = serde_json::json!({"a": "\u{9b}2J \u{202e}\u{2066} ü"});
        let json = without_steering(&value.to_string());
        assert_eq!(json, r#"{"a":"\u009b2J \u202e\u2066 ü"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        assert_eq!(without_steering("{\r\n\t\"a\": 1}"), "{ \n\t\"a\": 1}", "between values");
    }

    #[test]
    fn only_a_reader_that_has_gone_is_a_closed_output() {
        let full = OutputError(ErrorKind::StorageFull.into());
        assert!(!full.is_closed() && OutputError(ErrorKind::BrokenPipe.into()).is_closed());
        assert!(full.to_string().starts_with("cannot write to standard output: "), "{full}");
    }
}
