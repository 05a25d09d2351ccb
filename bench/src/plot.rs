//! A chart of the ratios.

use std::path::Path;

use plotters::prelude::*;

const WIDTH: u32 = 860;
const BAR_HEIGHT: u32 = 34;
const MARGINS: u32 = 80;
const LABELS: u32 = 320;
const COLOUR: RGBColor = RGBColor(37, 99, 235);

/// Draws a bar for each ratio, the first one on top.
///
/// # Errors
///
/// When the file cannot be written.
pub fn bars(file: &Path, ratios: &[(String, f64)]) -> anyhow::Result<()> {
    let longest = ratios.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::max);
    let height = MARGINS + BAR_HEIGHT * ratios.len() as u32;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let rows = ratios.len() as i32;
    let mut chart = ChartBuilder::on(&area)
        .caption("By how much Parlor is better than Node", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(24)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..longest * 1.15, (0..rows - 1).into_segmented())?;
    let label = |row: &SegmentValue<i32>| match row {
        SegmentValue::CenterOf(row) => ratios[(rows - 1 - row) as usize].0.clone(),
        _ => String::new(),
    };
    let mesh = &mut chart.configure_mesh();
    mesh.disable_y_mesh()
        .y_labels(ratios.len())
        .y_label_formatter(&label)
        .x_label_formatter(&|x| format!("{x:.0}×"));
    mesh.draw()?;
    for (row, (_, ratio)) in ratios.iter().rev().enumerate() {
        let row = row as i32;
        let (from, to) = (SegmentValue::Exact(row), SegmentValue::Exact(row + 1));
        let mut bar = Rectangle::new([(0.0, from), (*ratio, to)], COLOUR.filled());
        bar.set_margin(6, 6, 0, 0);
        let text = Text::new(
            format!(" {ratio:.1}×"),
            (*ratio, SegmentValue::CenterOf(row)),
            ("sans-serif", 14),
        );
        chart.draw_series([bar])?;
        chart.draw_series([text])?;
    }
    area.present()?;
    Ok(())
}
