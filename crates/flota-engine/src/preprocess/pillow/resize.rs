//! An image resized: which pass comes first, and which code runs it.

use std::ops::Range;

use flota_core::Filter;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::{
    portable,
    rows::{Picture, Rows},
    weights::{Axis, Weights},
};
use crate::decode::RGB_BYTES;

/// `pixels` of three bytes, as many a row as `columns` has lines, resized by an antialiased `filter`.
pub(in crate::preprocess) fn resize(
    pixels: &[u8],
    columns: &Axis,
    rows: &Axis,
    filter: Filter,
) -> Vec<u8> {
    let picture = Picture { pixels, stride: columns.line_count as usize * RGB_BYTES };
    let weights = (Weights::of(columns, filter), Weights::of(rows, filter));
    if weights.0.is_copy() && weights.1.is_copy() {
        return picture.part(&weights.0, &weights.1);
    }
    if is_upright_first(columns, rows) {
        let between = along_columns(picture, 0, &weights.1);
        along_rows(between.picture(), 0..weights.1.len(), &weights.0).tight(weights.0.len())
    } else {
        let lines = weights.1.lines();
        let between = along_rows(picture, lines.clone(), &weights.0);
        along_columns(between.picture(), lines.start, &weights.1).tight(weights.0.len())
    }
}

/// Whether Pillow resizes along the columns first. Pillow 13.0 does where that loses more than twice as many lines as
/// the rows lose; earlier versions never do. Found by comparing both orders with Pillow 13.0 on 8,000
/// pictures, all of which follow the rule.
fn is_upright_first(columns: &Axis, rows: &Axis) -> bool {
    let lost = |axis: &Axis| i64::from(axis.line_count) - i64::from(axis.scaled);
    lost(rows) > 0 && lost(rows) > 2 * lost(columns)
}

/// The rows `lines` of a picture, each resized.
fn along_rows(picture: Picture<'_>, lines: Range<usize>, columns: &Weights) -> Rows {
    #[cfg(target_arch = "x86_64")]
    if let Some(rows) = avx2::along_rows(picture, &lines, columns) {
        return rows;
    }
    portable::along_rows(picture, &lines, columns)
}

/// All columns of a picture resized, whose first row is the one that `rows` call `first`.
fn along_columns(picture: Picture<'_>, first: usize, rows: &Weights) -> Rows {
    #[cfg(target_arch = "x86_64")]
    if let Some(rows) = avx2::along_columns(picture, first, rows) {
        return rows;
    }
    portable::along_columns(picture, first, rows)
}
