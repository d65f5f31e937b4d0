//! Shows the figures.

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};

use crate::measure::Figure;

pub fn show(figures: &[Figure], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(figures)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["figure", "median", "lowest", "highest", "unit", "aim"]);
    for figure in figures {
        let number = |value: f64| match value {
            large if large >= 100.0 => format!("{large:.0}"),
            small => format!("{small:.2}"),
        };
        table.add_row([
            figure.name.as_str(),
            &number(figure.median),
            &number(figure.lowest),
            &number(figure.highest),
            figure.unit,
            figure.aim,
        ]);
    }
    println!("{table}");
    Ok(())
}
