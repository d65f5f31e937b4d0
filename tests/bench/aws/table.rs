//! Shows what was counted.

use anyhow::Result;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use serde::Serialize;

/// Counts in rows and columns.
#[derive(Debug, Serialize)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub counts: Vec<f64>,
}

pub fn show(tables: &[Table], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(tables)?);
        return Ok(());
    }
    for table in tables {
        let mut shown = comfy_table::Table::new();
        shown.load_style(UTF8_BORDERS_ONLY);
        shown.set_header([&[table.name], table.columns.as_slice()].concat());
        for row in &table.rows {
            let counts = row.counts.iter().map(|count| format!("{count:.0}"));
            shown.add_row([row.name.clone()].into_iter().chain(counts));
        }
        println!("{shown}");
    }
    Ok(())
}
