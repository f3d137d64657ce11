//! The results as plots.

use crate::report::groups;
use crate::results::{Ratio, Row};
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const COLOURS: [RGBColor; 9] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(127, 127, 127),
    RGBColor(188, 189, 34),
];

/// A mark in a row: its place, and the ratio with its range.
type Mark = (f64, Ratio);

/// A row for each output, a mark for each system: how many times lisle's cost it took, on a logarithmic scale. Marks
/// left of the line are ahead of lisle.
pub fn ratios(rows: &[Row], file: &Path) -> Result<(), Box<dyn Error>> {
    let (names, systems) = marks(rows);
    let root = SVGBackend::new(file, (1000, 120 + 26 * names.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let all = || systems.iter().flat_map(|(_, marks)| marks);
    let least = all().fold(0.5_f64, |least, (_, ratio)| least.min(ratio.low)) * 0.8;
    let most = all().fold(2.0_f64, |most, (_, ratio)| most.max(ratio.high)) * 1.25;
    let top = names.len() as f64 + 1.0;
    let mut chart = ChartBuilder::on(&root)
        .caption("times lisle's cost (right of the line: slower than lisle)", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(200)
        .build_cartesian_2d((least..most).log_scale(), 0.0..top)?;
    let label = |y: &f64| {
        let is_row = y.fract() == 0.0 && *y >= 1.0 && *y < top;
        if is_row { names[names.len() - *y as usize].to_owned() } else { String::new() }
    };
    let mut mesh = chart.configure_mesh();
    mesh.y_labels(names.len() + 2).y_label_formatter(&label).x_label_formatter(&|x| format!("{x}"));
    mesh.disable_y_mesh().light_line_style(TRANSPARENT).draw()?;
    chart.draw_series(std::iter::once(PathElement::new([(1.0, 0.0), (1.0, top)], BLACK)))?;
    for (index, (name, marks)) in systems.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        // Beside each other, not upon each other.
        let shift = 0.3 - 0.6 * (index as f64 + 0.5) / systems.len() as f64;
        let range = |(y, ratio): &Mark| PathElement::new([(ratio.low, y + shift), (ratio.high, y + shift)], colour);
        chart.draw_series(marks.iter().map(range))?;
        let point = |(y, ratio): &Mark| Circle::new((ratio.median, y + shift), 4, colour.filled());
        let series = chart.draw_series(marks.iter().map(point))?;
        series.label(*name).legend(move |at| Circle::new(at, 4, colour.filled()));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}

/// The outputs in which lisle and another have figures, and each system's marks; the first output is topmost.
fn marks(rows: &[Row]) -> (Vec<&str>, Vec<(&str, Vec<Mark>)>) {
    let measured = |group: &&[Row]| {
        let has = |row: &Row| !row.values.is_empty();
        group.iter().any(|row| row.system == "lisle" && has(row)) && group.iter().filter(|row| has(row)).count() > 1
    };
    let outputs: Vec<&[Row]> = groups(rows).filter(measured).collect();
    let mut systems: Vec<(&str, Vec<Mark>)> = Vec::new();
    for (index, group) in outputs.iter().enumerate() {
        let lisle = group.iter().find(|row| row.system == "lisle").expect("filtered");
        for row in group.iter().filter(|row| row.system != "lisle") {
            let Some(ratio) = Ratio::of(lisle, row) else { continue };
            let mark = ((outputs.len() - index) as f64, ratio);
            match systems.iter_mut().find(|(name, _)| *name == row.system) {
                Some((_, marks)) => marks.push(mark),
                None => systems.push((row.system, vec![mark])),
            }
        }
    }
    (outputs.iter().map(|group| group[0].job).collect(), systems)
}

/// One curve of a plot of growth: a system, and for each size the cost of one operation.
pub type Curve = (&'static str, Vec<(f64, f64)>);

/// The cost of an operation against the size, both logarithmic: what is flat here grows linearly as a whole.
pub fn growth(title: &str, size: &str, unit: &str, curves: &[Curve], file: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, (800, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || curves.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d((left..right * 1.1).log_scale(), (low / 3.0..high * 3.0).log_scale())?;
    chart.configure_mesh().x_desc(size).y_desc(unit).light_line_style(TRANSPARENT).draw()?;
    for (index, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let series =
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?;
        series.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
