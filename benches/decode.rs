//! How fast bodies become values, against plain parsing of the same bytes.
//!
//! The simulated Enedis answers; each body is then read three ways in turns. Plain parsing into
//! structs that borrow their text is the least that any reader must do, and it checks nothing.
//! Plain parsing into a `serde_json::Value` is what a script would do. [`decode`] parses too, and
//! then turns labels into instants, settles the clock changes, sorts out copies and overlaps and
//! checks meter, period, unit and direction.

#[path = "support/body.rs"]
mod body;
#[path = "support/enedis.rs"]
mod enedis;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/in_memory.rs"]
mod in_memory;

use std::borrow::Cow;
use std::hint::black_box;

use linkyd::decode::{Expected, decode};
use linkyd::domain::{Api, Dataset, Day, Days};
use linkyd::source::Label;
use serde::Deserialize;

use figures::{Outcome, StopWatch, line, median};

const ROUNDS: usize = 15;

/// Bytes that are read in one round.
const VOLUME: usize = 8 << 20;

#[derive(Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct V5<'a> {
    #[serde(borrow)]
    meter_reading: MeterReading<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct MeterReading<'a> {
    #[serde(borrow)]
    usage_point_id: Cow<'a, str>,
    #[serde(borrow)]
    start: Cow<'a, str>,
    #[serde(borrow)]
    end: Cow<'a, str>,
    #[serde(borrow)]
    interval_reading: Vec<IntervalReading<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct IntervalReading<'a> {
    value: &'a str,
    date: &'a str,
    interval_length: Option<&'a str>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct V2026<'a> {
    #[serde(borrow, rename = "idPrm")]
    prm: Cow<'a, str>,
    #[serde(borrow)]
    grandeur: Vec<Grandeur<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct Grandeur<'a> {
    #[serde(borrow, rename = "unite")]
    unit: Cow<'a, str>,
    #[serde(borrow)]
    points: Vec<Point<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct Point<'a> {
    v: &'a str,
    d: &'a str,
    p: Option<&'a str>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    line("Reading answers (MB/s, medians)")?;
    line("answer                         bytes   decode   structs   ratio   Value   ratio")?;
    for api in [Api::V5, Api::V2026] {
        for (what, dataset, step) in [
            ("week of half-hours", Dataset::ConsumptionLoadCurve, 30),
            ("week of ten minutes", Dataset::ConsumptionLoadCurve, 10),
            ("year of days", Dataset::DailyConsumption, 30),
            ("year of maxima", Dataset::DailyMaxPower, 30),
        ] {
            let prm = enedis::prm()?;
            let end: Day = "2026-11-24".parse()?;
            let days = Days::new(end.plus(if dataset.curve() { -7 } else { -365 }), end).ok_or("there are days")?;
            let body = body::body(api, dataset, step, &prm, days).await?;
            let expected = Expected { api, label: Label::End, dataset, prm: &prm, days };
            let found = decode(&body, &expected)?;
            assert!(found.anomalies.is_empty() && !found.values.is_empty(), "{found:?}");
            compare(&format!("{api}, {what}"), &body, &expected)?;
        }
    }
    Ok(())
}

/// Whether a dataset is a curve.
trait Curve {
    fn curve(self) -> bool;
}

impl Curve for Dataset {
    fn curve(self) -> bool {
        self.kind() == linkyd::domain::Kind::LoadCurve
    }
}

fn compare(name: &str, body: &[u8], expected: &Expected<'_>) -> Outcome {
    let times = VOLUME / body.len();
    let (mut ours, mut structs, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(speed(body, times, |body| decode(body, expected).is_ok()));
        structs.push(speed(body, times, |body| match expected.api {
            Api::V5 => parse::<V5<'_>>(body),
            Api::V2026 => parse::<V2026<'_>>(body),
        }));
        values.push(speed(body, times, |body| parse::<serde_json::Value>(body)));
    }
    // Each round is compared with its own neighbours, so that a busy moment concerns them all.
    let ratio = |other: &[f64]| 100.0 * median(ours.iter().zip(other).map(|(a, b)| a / b).collect());
    let (to_structs, to_values) = (ratio(&structs), ratio(&values));
    line(&format!(
        "{name:<27}{:>9}{:>9.0}{:>10.0}{to_structs:>6.0} %{:>8.0}{to_values:>6.0} %",
        body.len(),
        median(ours),
        median(structs),
        median(values),
    ))
}

/// Looks at the bytes as text once, which is faster than to have each string checked.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| black_box(serde_json::from_str::<T>(text)).is_ok())
}

/// MB/s of reading a body that many times.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn speed(body: &[u8], times: usize, read: impl Fn(&[u8]) -> bool) -> f64 {
    let watch = StopWatch::default();
    let read = (0..times).filter(|_| read(black_box(body))).count();
    (read * body.len()) as f64 / 1e6 / watch.elapsed().as_secs_f64()
}
