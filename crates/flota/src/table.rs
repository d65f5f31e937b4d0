//! Tables that people read, whatever the width of their terminal, and that programs cut at tabs.

use std::io::{self, IsTerminal};

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};

use crate::print::plain;

/// What a column needs beside its content: a border and a space on both sides.
const COLUMN_MARGIN: usize = 3;
/// What the spaces of a column take, which the bounds of its width include.
const PADDING: u16 = 2;

/// Headings and rows.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The width of a terminal that does not know its own.
const USUAL_WIDTH: u16 = 80;

/// The width of the terminal in characters; `None` where standard output is no terminal.
pub(crate) fn terminal_width() -> Option<u16> {
    let width = comfy_table::Table::new().width().filter(|width| *width > 0);
    io::stdout().is_terminal().then(|| width.unwrap_or(USUAL_WIDTH))
}

impl Table {
    /// An empty one.
    pub fn new<H: ToString>(headings: &[H]) -> Self {
        Self { headings: headings.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    /// Adds a row; control characters are escaped.
    pub fn add<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(|cell| plain(cell.as_ref()).into_owned()).collect());
    }

    /// Whether it can be drawn in `width` characters with its first column unbroken and no word
    /// of the others broken.
    pub fn fits(&self, width: Option<u16>) -> bool {
        let widths = self.least_widths();
        let needed: usize = widths.iter().map(|width| usize::from(*width) + COLUMN_MARGIN).sum();
        // The last border.
        width.is_none_or(|width| needed < usize::from(width))
    }

    /// Draws it as a table where that [fits](Self::fits), else row by row with a line for each
    /// cell. Numbers are not broken. Without a terminal it is the headings and the rows, a line each,
    /// with a tab between cells.
    pub fn draw(&self, width: Option<u16>) -> String {
        match width {
            None => self.as_lines(),
            Some(width) if self.fits(Some(width)) => self.as_table(width),
            Some(width) => self.as_records(width),
        }
    }

    /// Cells hold no tab and no end of a line: both are escaped in them.
    fn as_lines(&self) -> String {
        let rows = [&self.headings].into_iter().chain(&self.rows);
        rows.map(|row| row.join("\t")).collect::<Vec<_>>().join("\n")
    }

    fn as_table(&self, width: u16) -> String {
        let mut table = drawing(width);
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(&self.headings).add_rows(&self.rows);
        for (column, least) in table.column_iter_mut().zip(self.least_widths()) {
            let least = Width::Fixed(least.saturating_add(PADDING));
            column.set_constraint(ColumnConstraint::LowerBoundary(least));
        }
        table.to_string()
    }

    fn as_records(&self, width: u16) -> String {
        let record = |row: &Vec<String>| {
            let mut record = drawing(width);
            record.load_style(presets::NOTHING);
            let lines = self.headings.iter().zip(row);
            record.add_rows(lines.map(|(heading, cell)| [heading, cell]));
            // Aligned alike in every record.
            let heading = self.headings.iter().map(|heading| heading.chars().count()).max();
            let heading = u16::try_from(heading.unwrap_or_default()).unwrap_or(u16::MAX);
            if let Some(column) = record.column_mut(0) {
                let fixed = Width::Fixed(heading.saturating_add(PADDING));
                column.set_constraint(ColumnConstraint::Absolute(fixed));
            }
            record.trim_fmt()
        };
        self.rows.iter().map(record).collect::<Vec<_>>().join("\n\n")
    }

    /// What each column needs: the first is never broken, the others at spaces.
    fn least_widths(&self) -> Vec<u16> {
        let word_a_line = |(place, cell): (usize, &String)| match place {
            0 => cell.clone(),
            _ => cell.replace(' ', "\n"),
        };
        let lines = |row: &Vec<String>| -> Vec<String> {
            row.iter().enumerate().map(word_a_line).collect()
        };
        let mut narrowest = comfy_table::Table::new();
        narrowest.set_header(lines(&self.headings)).add_rows(self.rows.iter().map(lines));
        narrowest.column_max_content_widths()
    }
}

fn drawing(width: u16) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = Table::new(&["image", "noise level", "outcome"]);
        table.add(["a picture.png", "0.79!", "cat 0.91  dog 0.05  cow 0.02"]);
        table.add(["b\u{1b}[2J.png", "12.25", "DECODE_UNSUPPORTED: not an image"]);
        table
    }

    #[test]
    fn no_number_is_broken_at_any_width() {
        for width in (30..120).map(Some).chain([None]) {
            let drawn = example().draw(width);
            for number in ["0.79!", "12.25", "0.91", "0.05", "0.02"] {
                assert!(drawn.contains(number), "{width:?}:\n{drawn}");
            }
            let longest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(width.is_none_or(|width| longest <= width.into()), "{width:?}:\n{drawn}");
        }
    }

    #[test]
    fn too_narrow_a_terminal_is_given_a_line_for_each_cell() {
        let drawn = example().draw(Some(45));
        assert!(drawn.contains("\n noise level  0.79!\n"), "{drawn}");
        assert!(drawn.contains("\n\n image        b\\u{1b}[2J.png\n"), "{drawn}");
        assert!(example().draw(Some(120)).starts_with('┌'));
    }

    #[test]
    fn without_a_terminal_a_table_is_lines_of_cells_with_tabs_between() {
        let drawn = example().draw(None);
        let lines: Vec<Vec<&str>> = drawn.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0], ["image", "noise level", "outcome"]);
        assert_eq!(lines[2], [r"b\u{1b}[2J.png", "12.25", "DECODE_UNSUPPORTED: not an image"]);
        assert_eq!(lines.len(), 3);
        let mut table = Table::new(&["a"]);
        table.add(["1\t2\n3"]);
        assert_eq!(table.draw(None), "a\n1\\t2\\n3", "a cell stays one cell");
    }
}
