//! Bars as an SVG document that reads on light and dark paper.

use std::fmt::Arguments;

/// Bars of one unit.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// One value, the ends of its sample, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// Beside the value, such as a recall.
    pub(crate) note: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) ours: bool,
}

/// Groups below each other, each with its own scale from zero.
pub(crate) fn bars(title: &str, subtitle: &str, groups: &[Group]) -> String {
    let rows: usize = groups.iter().map(|g| g.bars.len()).sum();
    let height = TOP + groups.len() as f64 * GROUP + rows as f64 * ROW + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\">\n<style>{STYLE}</style>\n",
        escaped(title)
    );
    text(&mut out, "title", MARGIN, 30.0, title);
    text(&mut out, "note", MARGIN, 50.0, subtitle);
    let mut y = TOP;
    for group in groups {
        text(&mut out, "group", MARGIN, y + 18.0, &group.title);
        y += GROUP;
        let ends = group.bars.iter().flat_map(|b| [b.value, b.high]);
        let most = ends.filter(|v| v.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
        for bar in &group.bars {
            draw(&mut out, bar, y, BAR_WIDTH / most);
            y += ROW;
        }
    }
    out + "</svg>\n"
}

fn draw(out: &mut String, bar: &Bar, y: f64, scale: f64) {
    let class = if bar.ours { "ours" } else { "peer" };
    let middle = y + ROW / 2.0;
    text(out, &format!("label {class}-label"), LEFT - 8.0, middle + 4.0, &bar.label);
    let at = |value: f64| if value.is_finite() { (value * scale).max(0.0) } else { 0.0 };
    let (width, low, high) = (at(bar.value), LEFT + at(bar.low), LEFT + at(bar.high));
    let (top, thick) = (y + 3.0, ROW - 6.0);
    put(
        out,
        format_args!(
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"{thick}\" rx=\"2\"/>"
        ),
    );
    put(out, format_args!("<path class=\"range\" d=\"M{low:.1} {middle}H{high:.1}\"/>"));
    let end = high.max(LEFT + width) + 8.0;
    let note = if bar.note.is_empty() { String::new() } else { format!("  ({})", bar.note) };
    text(out, "value", end, middle + 4.0, &format!("{}{note}", grouped(bar.value)));
}

fn text(out: &mut String, class: &str, x: f64, y: f64, words: &str) {
    put(out, format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words)));
}

fn put(out: &mut String, line: Arguments) {
    out.push_str(&line.to_string());
    out.push('\n');
}

/// Three significant digits at least, thousands apart.
fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    if value.abs() < 100.0 {
        return format!("{value:.*}", if value.abs() < 10.0 { 2 } else { 1 });
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 64.0;
const LEFT: f64 = 170.0;
const BAR_WIDTH: f64 = 420.0;
const ROW: f64 = 24.0;
const GROUP: f64 = 36.0;
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:18px;font-weight:600}\
    .group{font-weight:600}.note,.value{font-size:12px;fill:#57606a}.label{text-anchor:end}\
    .ours-label{font-weight:600}.ours{fill:#2f6f9f}.peer{fill:#a8b1bb}\
    .range{stroke:#24292f;stroke-width:1.5;opacity:.55}\
    @media(prefers-color-scheme:dark){text{fill:#d7dde3}.note,.value{fill:#98a2ad}.ours{fill:#5aa2d6}\
    .peer{fill:#5b6672}.range{stroke:#d7dde3}}";

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar {
            label: label.into(),
            note: "recall 0.99".into(),
            value,
            low: value * 0.9,
            high: value,
            ours: value > 1.0,
        }
    }

    #[test]
    fn lengths_are_in_proportion_and_text_is_escaped() {
        let group = Group { title: "a < b".into(), bars: vec![bar("ours", 2000.0), bar("peer", 500.0)] };
        let svg = bars("T & U", "where", &[group]);
        assert!(svg.contains("a &lt; b") && svg.contains("T &amp; U") && !svg.contains("a < b"));
        assert!(svg.contains("width=\"420.0\"") && svg.contains("width=\"105.0\""), "{svg}");
        assert!(svg.contains(">2,000  (recall 0.99)<"), "{svg}");
    }

    #[test]
    fn what_was_not_measured_has_no_length() {
        let svg = bars("t", "", &[Group { title: "g".into(), bars: vec![bar("x", f64::NAN)] }]);
        assert!(svg.contains("width=\"0.0\"") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn numbers_are_readable() {
        let known =
            [(0.5, "0.50"), (12.34, "12.3"), (999.6, "1,000"), (1_234_567.0, "1,234,567"), (100.0, "100")];
        for (value, words) in known {
            assert_eq!(grouped(value), words);
        }
    }
}
