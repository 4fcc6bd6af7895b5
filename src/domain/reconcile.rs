//! Whether what is said of one day's energy in several ways agrees.
//!
//! A day can be known from the daily dataset, from the load curve, and from registers. They are never quite
//! equal: the curve is rounded interval by interval, each register shows whole Wh of its own. What differs by
//! more than that is worth an operator's look.

use super::{Dataset, Day, Direction};

/// Wh by which a day may differ whatever it amounts to: half a watt for each half-hour makes 12, a register 1, and
/// meters that are read by other clocks shift some Wh over midnight.
pub const TOLERANCE_WH: f64 = 100.0;

/// The share of the day's energy by which it may differ.
pub const TOLERANCE_SHARE: f64 = 0.01;

/// The energy of a day as each way tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayThreefold {
    /// The Paris day.
    pub day: Day,
    /// Wh of the daily dataset.
    pub daily_wh: Option<f64>,
    /// Wh of the load curve, where it is whole.
    pub curve_wh: Option<f64>,
    /// Wh by registers.
    pub index_wh: Option<f64>,
}

/// What disagrees with the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlier {
    /// The dataset that is furthest off; of two, the one that is made of more pieces.
    pub dataset: Dataset,
    /// By how many Wh, signed.
    pub deviation_wh: f64,
}

impl DayThreefold {
    /// What lies beyond the tolerance, if anything does.
    #[must_use]
    pub fn outlier(&self, direction: Direction) -> Option<Outlier> {
        let [daily, curve, index] = match direction {
            Direction::Consumption => {
                [Dataset::DailyConsumption, Dataset::ConsumptionLoadCurve, Dataset::ConsumptionIndex]
            }
            Direction::Production => [Dataset::DailyProduction, Dataset::ProductionLoadCurve, Dataset::ProductionIndex],
        };
        // In the order in which one is suspected.
        let told: Vec<(Dataset, f64)> = [(curve, self.curve_wh), (index, self.index_wh), (daily, self.daily_wh)]
            .into_iter()
            .filter_map(|(dataset, wh)| Some((dataset, wh?)))
            .collect();
        let most = told.iter().map(|(_, wh)| *wh).fold(f64::MIN, f64::max);
        let least = told.iter().map(|(_, wh)| *wh).fold(f64::MAX, f64::min);
        if told.len() < 2 || most - least <= TOLERANCE_WH.max(TOLERANCE_SHARE * most) {
            return None;
        }
        // How far it is from the nearest of the others.
        let off = |(dataset, wh): &(Dataset, f64)| {
            let others = told.iter().filter(|(other, _)| other != dataset).map(|(_, other)| wh - other);
            others.min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default()
        };
        let furthest = told.iter().map(|one| (one.0, off(one)));
        let furthest = furthest.reduce(|kept, next| if next.1.abs() > kept.1.abs() { next } else { kept })?;
        Some(Outlier { dataset: furthest.0, deviation_wh: furthest.1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlier(daily: Option<i32>, curve: Option<i32>, index: Option<i32>) -> Option<(&'static str, f64)> {
        let [daily_wh, curve_wh, index_wh] = [daily, curve, index].map(|wh| wh.map(f64::from));
        let day = DayThreefold { day: "2026-11-20".parse().unwrap(), daily_wh, curve_wh, index_wh };
        day.outlier(Direction::Consumption).map(|found| (found.dataset.name(), found.deviation_wh))
    }

    #[test]
    fn a_day_is_told_only_beyond_both_tolerances() {
        assert_eq!(outlier(Some(4_810), Some(4_800), Some(4_811)), None);
        assert_eq!(outlier(Some(50), Some(0), None), None, "less than 100 Wh");
        assert_eq!(outlier(Some(50_000), Some(49_501), None), None, "less than 1 %");
        assert_eq!(outlier(Some(50_000), Some(49_499), None), Some(("consumption_load_curve", -501.0)));
        assert_eq!(outlier(Some(9_000), None, None), None);
        assert_eq!(outlier(None, None, None), None);
    }

    #[test]
    fn who_stands_alone_is_named() {
        assert_eq!(outlier(Some(9_000), Some(8_000), None), Some(("consumption_load_curve", -1_000.0)));
        assert_eq!(outlier(Some(9_000), Some(8_000), Some(8_003)), Some(("daily_consumption", 997.0)));
        assert_eq!(outlier(Some(9_000), Some(8_995), Some(18_000)), Some(("consumption_index", 9_000.0)));
        assert_eq!(outlier(None, Some(8_000), Some(9_000)), Some(("consumption_load_curve", -1_000.0)));
    }
}
