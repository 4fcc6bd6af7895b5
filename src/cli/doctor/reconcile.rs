//! Whether the daily values, the load curve and the registers of the last days say the same.

use std::collections::BTreeMap;

use super::{Finding, Verdict};
use crate::domain::reconcile::{DayThreefold, TOLERANCE_SHARE, TOLERANCE_WH};
use crate::domain::{Dataset, Day, Direction};

/// Days that are looked at.
pub(super) const DAYS: i32 = 30;

/// The days of one dataset that disagree with what else is known of them.
#[derive(Debug, Clone, Copy)]
struct Odd {
    first: Day,
    last: Day,
    days: i64,
    /// The largest deviation, and its day.
    worst: (f64, Day),
}

/// A line for each meter and dataset that disagrees, or one that all agree; none where nothing can be compared.
pub(super) fn findings(days: &[(String, Direction, DayThreefold)]) -> Vec<Finding> {
    let mut odd: BTreeMap<(&str, Dataset), Odd> = BTreeMap::new();
    for (meter, direction, day) in days {
        let Some(outlier) = day.outlier(*direction) else { continue };
        let (wh, day) = (outlier.deviation_wh, day.day);
        let fresh = Odd { first: day, last: day, days: 0, worst: (wh, day) };
        let one = odd.entry((meter, outlier.dataset)).or_insert(fresh);
        (one.first, one.last, one.days) = (one.first.min(day), one.last.max(day), one.days + 1);
        if wh.abs() > one.worst.0.abs() {
            one.worst = (wh, day);
        }
    }
    if odd.is_empty() {
        let compared = days.iter().any(|(_, _, day)| {
            [day.daily_wh, day.curve_wh, day.index_wh].iter().filter(|told| told.is_some()).count() > 1
        });
        let message = format!("daily values, load curves and registers of the last {DAYS} days agree");
        return if compared { vec![Finding::new("energy", Verdict::Well, message)] } else { Vec::new() };
    }
    let line = |((meter, dataset), odd): ((&str, Dataset), Odd)| {
        let Odd { first, last, days, worst } = odd;
        let message = format!(
            "{dataset}: {days} of the last {DAYS} days differ from what else is known of them by more than {:.0} % and \
             {TOLERANCE_WH:.0} Wh, most by {:+.0} Wh on {}; see v_reconciliation, and ask again with `linkyd sync \
             --refetch --dataset {dataset} --from {first} --to {last}`",
            TOLERANCE_SHARE * 100.0,
            worst.0,
            worst.1
        );
        Finding::new("energy", Verdict::Warning, message).of(meter)
    };
    odd.into_iter().map(line).collect()
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
            "consumption_load_curve: 2 of the last 30 days differ from what else is known of them by more than 2 % and \
             100 Wh, most by -2000 Wh on 2026-11-21; see v_reconciliation, and ask again with `linkyd sync --refetch \
             --dataset consumption_load_curve --from 2026-11-21 --to 2026-11-23`"
        );
    }
}
