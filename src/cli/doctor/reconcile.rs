//! Whether the daily values, the load curve and the registers of the last days say the same.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Finding, Verdict};
use crate::domain::reconcile::{DayThreefold, TOLERANCE_SHARE, TOLERANCE_WH};
use crate::domain::{Dataset, Day, Direction};

/// Days that are looked at.
pub(super) const DAYS: i32 = 30;

/// A line for people names no more days than that; `--json` names all.
const MOST: usize = 10;

/// A line for each meter and dataset that disagrees, or one that all agree; none where nothing can be compared.
pub(super) fn findings(days: &[(String, Direction, DayThreefold)]) -> Vec<Finding> {
    // By how many Wh each day is off.
    let mut odd: BTreeMap<(&str, Dataset), BTreeMap<Day, f64>> = BTreeMap::new();
    for (meter, direction, day) in days {
        if let Some(outlier) = day.outlier(*direction) {
            odd.entry((meter, outlier.dataset)).or_default().insert(day.day, outlier.deviation_wh);
        }
    }
    if odd.is_empty() {
        let compared = days.iter().any(|(_, _, day)| {
            [day.daily_wh, day.curve_wh, day.index_wh].iter().filter(|told| told.is_some()).count() > 1
        });
        let message = format!("daily values, load curves and registers of the last {DAYS} days agree");
        return if compared { vec![Finding::new("energy", Verdict::Well, message)] } else { Vec::new() };
    }
    let line = |((meter, dataset), odd): ((&str, Dataset), BTreeMap<Day, f64>)| {
        let (first, last) = (odd.keys().next().copied(), odd.keys().next_back().copied());
        let range = first.zip(last).map(|(first, last)| format!(" --from {first} --to {last}")).unwrap_or_default();
        let message = format!(
            "{dataset}: {} of the last {DAYS} days differ from what else is known of them by more than {:.0} % and \
             {TOLERANCE_WH:.0} Wh: {}; see v_reconciliation, and ask again with `linkyd sync --refetch --dataset \
             {dataset}{range}`",
            odd.len(),
            TOLERANCE_SHARE * 100.0,
            named(&odd),
        );
        let days: Vec<_> = odd.iter().map(|(day, wh)| json!({"day": day.to_string(), "deviation_wh": wh})).collect();
        Finding::new("energy", Verdict::Warning, message).of(meter).with("days", json!(days))
    };
    odd.into_iter().map(line).collect()
}

/// The newest of some days, and by how much each is off.
fn named(odd: &BTreeMap<Day, f64>) -> String {
    let newest: Vec<String> = odd.iter().rev().take(MOST).map(|(day, wh)| format!("{day} by {wh:+.0} Wh")).collect();
    let more = odd.len().saturating_sub(MOST);
    let more = if more > 0 { format!(", and {more} before") } else { String::new() };
    format!("{}{more}", newest.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_and_dataset_that_disagree_are_named_once() {
        let day = |day: &str, curve: f64| {
            let day =
                DayThreefold { day: day.parse().unwrap(), daily_wh: Some(9e3), curve_wh: Some(curve), index_wh: None };
            ("Maison".to_owned(), Direction::Consumption, day)
        };
        assert_eq!(findings(&[]), []);
        let well = findings(&[day("2026-11-20", 8_990.0)]);
        assert_eq!((well.len(), well[0].verdict), (1, Verdict::Well));
        let odd = findings(&[day("2026-11-20", 8_990.0), day("2026-11-21", 7_000.0), day("2026-11-23", 9_500.0)]);
        assert_eq!((odd.len(), odd[0].verdict, odd[0].subject.as_deref()), (1, Verdict::Warning, Some("Maison")));
        assert_eq!(
            odd[0].message,
            "consumption_load_curve: 2 of the last 30 days differ from what else is known of them by more than 1 % and \
             100 Wh: 2026-11-23 by +500 Wh, 2026-11-21 by -2000 Wh; see v_reconciliation, and ask again with `linkyd \
             sync --refetch --dataset consumption_load_curve --from 2026-11-21 --to 2026-11-23`"
        );
        let days = json!([
            {"day": "2026-11-21", "deviation_wh": -2000.0}, {"day": "2026-11-23", "deviation_wh": 500.0}
        ]);
        assert_eq!(odd[0].more, Some(("days", days)));
        let month: Vec<_> = (1..=20).map(|n| day(&format!("2026-11-{n:02}"), 7_000.0)).collect();
        let odd = findings(&month);
        assert!(odd[0].message.contains("2026-11-11 by -2000 Wh, and 10 before;"), "{}", odd[0].message);
    }
}
