//! Draws candles as an SVG chart. May use the domain.

use std::{error::Error, fmt::Write as _};

use plotters::{
    coord::{
        Shift,
        ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
        types::RangedCoordf64,
    },
    prelude::*,
};

use super::axes::{TimeAxis, price_label};
use crate::domain::{Candle, Zone};

/// The data and options of a chart.
pub(super) struct Drawing<'a> {
    pub(super) candles: &'a [Candle],
    /// The Unix second of the left edge.
    pub(super) since: i64,
    /// The Unix second of the right edge.
    pub(super) until: i64,
    /// The Unix seconds between which each slot should have a price.
    pub(super) expected: (i64, i64),
    /// The length of a candle in seconds.
    pub(super) length: i64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) as_candles: bool,
    pub(super) is_dark: bool,
    pub(super) zone: Zone,
}

/// The colours of a chart.
struct Palette {
    background: RGBColor,
    text: RGBColor,
    grid: RGBColor,
    line: RGBColor,
    gap: RGBColor,
    rise: RGBColor,
    fall: RGBColor,
}

const LIGHT: Palette = Palette {
    background: RGBColor(255, 255, 255),
    text: RGBColor(71, 79, 92),
    grid: RGBColor(226, 230, 236),
    line: RGBColor(11, 97, 184),
    gap: RGBColor(190, 60, 40),
    rise: RGBColor(18, 128, 92),
    fall: RGBColor(196, 52, 44),
};
const DARK: Palette = Palette {
    background: RGBColor(22, 27, 34),
    text: RGBColor(170, 180, 192),
    grid: RGBColor(45, 52, 62),
    line: RGBColor(98, 174, 255),
    gap: RGBColor(255, 128, 104),
    rise: RGBColor(70, 200, 150),
    fall: RGBColor(255, 120, 112),
};

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Times, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

/// The width of a time label, the font size, and the width of the price labels, in pixels.
const TIME_LABEL: u32 = 72;
const TEXT_SIZE: i32 = 12;
const PRICE_LABELS: u32 = 74;

impl Drawing<'_> {
    /// Returns the SVG document. Attributes of its root give the position of the plot: `data-since` and
    /// `data-until` are the Unix seconds at `data-left` and `data-right`.
    ///
    /// # Errors
    /// Returns an error if the chart cannot be drawn.
    pub(super) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        let area = {
            let root = SVGBackend::with_string(&mut text, (self.width, self.height));
            let root = root.into_drawing_area();
            let area = self.draw(&root)?;
            root.present()?;
            area
        };
        let ((left, right), (top, bottom)) = area;
        let Self { since, until, .. } = self;
        let mut attributes = String::new();
        write!(
            attributes,
            "<svg role=\"img\" aria-label=\"BTC/ARS\" data-since=\"{since}\" data-until=\"{until}\" \
             data-left=\"{left}\" data-right=\"{right}\" data-top=\"{top}\" data-bottom=\"{bottom}\" \
             font-family=\"system-ui, sans-serif\" "
        )?;
        // The font is set once, on the root element.
        Ok(text.replacen("<svg ", &attributes, 1).replace(" font-family=\"sans-serif\"", ""))
    }

    fn palette(&self) -> &'static Palette {
        if self.is_dark { &DARK } else { &LIGHT }
    }

    /// Returns the lowest and the highest price on the price axis, in pesos.
    fn prices(&self) -> (f64, f64) {
        let all = self.candles.iter().filter_map(pesos);
        let bounds = all.fold(None, |bounds: Option<(f64, f64)>, [_, high, low, _]| {
            Some(bounds.map_or((low, high), |(least, most)| (least.min(low), most.max(high))))
        });
        let (low, high) = bounds.unwrap_or((0.0, 1e6));
        let margin = ((high - low) * 0.05).max(high * 1e-6);
        (low - margin, high + margin)
    }

    #[allow(clippy::type_complexity, reason = "the caller destructures it at once")]
    fn draw(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
    ) -> Result<((i32, i32), (i32, i32)), Box<dyn Error>> {
        let palette = self.palette();
        root.fill(&palette.background)?;
        let axis = TimeAxis::new(
            self.since,
            self.until,
            i64::from(self.width.saturating_sub(PRICE_LABELS) / TIME_LABEL),
            self.zone,
        );
        let times = Times {
            seconds: RangedCoordf64::from(float(self.since)..float(self.until)),
            marks: axis.marks.iter().map(|mark| float(*mark)).collect(),
        };
        let (low, high) = self.prices();
        let mut plot = ChartBuilder::on(root)
            .margin_top(8)
            .margin_right(12)
            .x_label_area_size(24)
            .y_label_area_size(PRICE_LABELS)
            .build_cartesian_2d(times, low..high)?;
        let rows = usize::try_from(self.height / 45).unwrap_or_default().max(2);
        #[allow(clippy::cast_precision_loss, reason = "a few rows")]
        let apart = (high - low) / rows as f64;
        let style = TextStyle::from(("sans-serif", TEXT_SIZE).into_font()).color(&palette.text);
        #[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
        plot.configure_mesh()
            .axis_style(palette.grid)
            .bold_line_style(palette.grid)
            .light_line_style(TRANSPARENT)
            .label_style(style)
            .x_labels(axis.marks.len().max(1))
            .y_labels(rows)
            .x_label_formatter(&|second| axis.label(*second as i64))
            .y_label_formatter(&|pesos| price_label(*pesos, apart))
            .draw()?;
        self.gaps(&mut plot, (low, high))?;
        if self.as_candles {
            self.bodies(&mut plot)?;
        } else {
            self.line(&mut plot)?;
        }
        let (x, y) = plot.plotting_area().get_pixel_range();
        Ok(((x.start, x.end), (y.start, y.end)))
    }

    /// Shades the expected time without prices.
    fn gaps(&self, plot: &mut Plot<'_, '_>, (low, high): (f64, f64)) -> Drawn {
        let style = self.palette().gap.mix(0.10).filled();
        let (first, last) = self.expected;
        let starts = self.candles.iter().map(|candle| candle.start).chain([last]);
        let ends = [first].into_iter().chain(self.candles.iter().map(|candle| candle.end));
        let edges =
            ends.zip(starts).map(|(end, start)| (end.max(self.since), start.min(self.until)));
        plot.draw_series(edges.filter(|(from, until)| from < until).map(|(from, until)| {
            Rectangle::new([(float(from), low), (float(until), high)], style)
        }))?;
        Ok(())
    }

    /// Draws a line through the prices. A candle with several prices adds its lowest and its highest.
    fn line(&self, plot: &mut Plot<'_, '_>) -> Drawn {
        let style = ShapeStyle::from(&self.palette().line).stroke_width(2);
        let is_next = |one: &Candle, next: &Candle| next.start <= one.end;
        for part in self.candles.chunk_by(is_next) {
            let points: Vec<(f64, f64)> = part.iter().flat_map(points).collect();
            match points.as_slice() {
                [point] => {
                    plot.draw_series([Circle::new(*point, 2, style.filled())])?;
                }
                _ => {
                    plot.draw_series([PathElement::new(points, style)])?;
                }
            }
        }
        Ok(())
    }

    /// Draws candlesticks.
    fn bodies(&self, plot: &mut Plot<'_, '_>) -> Drawn {
        let palette = self.palette();
        let span = u32::try_from((self.until - self.since).max(1) / self.length.max(1) + 1);
        let space = self.width.saturating_sub(PRICE_LABELS + 12) / span.unwrap_or(u32::MAX).max(1);
        let width = (space * 7 / 10).clamp(1, 40);
        plot.draw_series(self.candles.iter().filter_map(|candle| {
            let [open, high, low, close] = pesos(candle)?;
            let middle = float(candle.start) + float(candle.end - candle.start) / 2.0;
            let (rise, fall) = (palette.rise.filled(), palette.fall.filled());
            Some(CandleStick::new(middle, open, high, low, close, rise, fall, width))
        }))?;
        Ok(())
    }
}

/// The time axis in Unix seconds, with predefined marks.
struct Times {
    seconds: RangedCoordf64,
    marks: Vec<f64>,
}

impl Ranged for Times {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, second: &f64, limit: (i32, i32)) -> i32 {
        self.seconds.map(second, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.seconds.range()
    }
}

/// Returns the points that a candle adds to a line.
fn points(candle: &Candle) -> Vec<(f64, f64)> {
    let Some([open, high, low, close]) = pesos(candle) else { return Vec::new() };
    let start = float(candle.start);
    if candle.summary.count == 1 {
        let at = candle.summary.extremes.map_or(candle.start, |all| all.last.0.second());
        return vec![(float(at), close)];
    }
    let length = float(candle.end - candle.start);
    let (one, other) = if open <= close { (low, high) } else { (high, low) };
    vec![(start + length * 0.3, one), (start + length * 0.7, other)]
}

/// Returns open, high, low and close in pesos; `None` if the candle has no prices.
fn pesos(candle: &Candle) -> Option<[f64; 4]> {
    candle.prices().map(|prices| prices.map(crate::api::numbers::ten_thousandths_to_pesos))
}

#[allow(clippy::cast_precision_loss, reason = "unix seconds are far below 2^53")]
fn float(second: i64) -> f64 {
    second as f64
}
