//! The history of a contract: a row for each time that something in it changed, with the day from which it holds.

use super::{Contract, Contracts, OffPeakHours, Tariff};
use crate::domain::{Day, Direction};

/// A contract as it was from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The first day on which it held.
    pub valid_from: Day,
    /// `C5` for a household, `P4` for a small roof.
    pub segment: Option<String>,
    /// Subscribed apparent power in VA.
    pub subscribed_va: Option<i64>,
    /// The network tariff: its code, or where there is none Enedis' words.
    pub tariff: Option<String>,
    /// Enedis' own text about off-peak hours.
    pub off_peak: Option<String>,
    /// Day since which there are measures for this holder.
    pub activated_on: Option<Day>,
    /// First day of the contract itself.
    pub starts_on: Option<Day>,
    /// Kind of contract. It and what follows are words that the two APIs choose differently, so that another word
    /// is no change.
    pub kind: Option<String>,
    /// Status of the contract.
    pub status: Option<String>,
    /// The network tariff in Enedis' words.
    pub tariff_label: Option<String>,
    /// Enedis' code for the kind of meter.
    pub meter_type: Option<String>,
    /// Whether the meter reports.
    pub level: Option<String>,
}

impl Term {
    /// The tariff's code and words, told apart: where there is no code, the words stand in its place.
    fn tariff(&self) -> Tariff {
        let label = self.tariff_label.clone();
        Tariff { code: self.tariff.clone().filter(|code| Some(code) != label.as_ref()), label }
    }
}

impl Contracts {
    /// The row to be written for a direction after an answer of `today`, where there is one: the stored row amended,
    /// if the answer only knows more, or a new one. `stored` is the newest row there is.
    ///
    /// What an answer leaves out stays as it was, for it may come from another part of the API that did not answer;
    /// only off-peak hours do not outlive the tariff that they belong to.
    #[must_use]
    pub fn follow(&self, direction: Direction, stored: Option<&Term>, today: Day) -> Option<Term> {
        let said = self.of(direction)?;
        let Some(stored) = stored else { return Some(self.term(said, first_day(said, today))) };
        let mut next = self.term(said, stored.valid_from);
        let known = stored.tariff();
        let other_tariff = said.tariff.is_another_than(&known);
        next.segment = next.segment.or_else(|| stored.segment.clone());
        next.subscribed_va = next.subscribed_va.or(stored.subscribed_va);
        if !other_tariff {
            let code = said.tariff.code.clone().or(known.code);
            next.tariff_label = next.tariff_label.or(known.label);
            next.tariff = code.or_else(|| next.tariff_label.clone());
            next.off_peak = next.off_peak.or_else(|| stored.off_peak.clone());
        }
        if same_hours(stored.off_peak.as_deref(), next.off_peak.as_deref()) {
            next.off_peak.clone_from(&stored.off_peak);
        }
        next.activated_on = next.activated_on.or(stored.activated_on);
        next.starts_on = next.starts_on.or(stored.starts_on);
        next.kind = next.kind.or_else(|| stored.kind.clone());
        next.status = next.status.or_else(|| stored.status.clone());
        next.meter_type = next.meter_type.or_else(|| stored.meter_type.clone());
        next.level = next.level.or_else(|| stored.level.clone());
        let moved = [
            (differs(stored.starts_on.as_ref(), next.starts_on.as_ref()), next.starts_on),
            (differs(stored.activated_on.as_ref(), next.activated_on.as_ref()), next.activated_on),
            (other_tariff, said.tariff_changed_on),
            (differs(stored.subscribed_va.as_ref(), next.subscribed_va.as_ref()), said.power_changed_on),
            (differs(stored.segment.as_ref(), next.segment.as_ref()), None),
            (other_tariff || differs(stored.off_peak.as_ref(), next.off_peak.as_ref()), None),
        ];
        if moved.iter().any(|(moved, _)| *moved) {
            let told = moved.into_iter().filter_map(|(moved, day)| day.filter(|_| moved));
            let told = told.filter(|day| *day > stored.valid_from && *day <= today).max();
            next.valid_from = told.unwrap_or(today).max(stored.valid_from);
        }
        (next != *stored).then_some(next)
    }

    fn term(&self, said: &Contract, valid_from: Day) -> Term {
        Term {
            valid_from,
            segment: said.segment.clone(),
            subscribed_va: said.subscribed_va,
            tariff: said.tariff.code.clone().or_else(|| said.tariff.label.clone()),
            off_peak: said.off_peak.as_ref().map(|hours| hours.text.clone()),
            activated_on: said.activated_on,
            starts_on: said.starts_on,
            kind: said.kind.clone(),
            status: said.status.clone(),
            tariff_label: said.tariff.label.clone(),
            meter_type: self.meter_type.clone(),
            level: self.level.clone(),
        }
    }
}

/// The day from which the first row holds: the contract's own start, or the last change that it tells of since;
/// where neither is told, the day on which it was learnt.
fn first_day(said: &Contract, today: Day) -> Day {
    let start = said.starts_on.or(said.activated_on);
    let changes = [said.tariff_changed_on, said.power_changed_on];
    let last = start.into_iter().chain(changes.into_iter().flatten()).filter(|day| *day <= today).max();
    start.and(last).unwrap_or(today)
}

/// Whether something that was known is another now. What becomes known is no change.
fn differs<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> bool {
    before.is_some() && before != after
}

/// Whether two texts mean the same hours, however each API writes them.
fn same_hours(before: Option<&str>, after: Option<&str>) -> bool {
    let hours = |text: &str| OffPeakHours::of(text.to_owned()).hours.ok();
    match (before, after) {
        (Some(before), Some(after)) => hours(before).is_some_and(|known| Some(known) == hours(after)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn said(va: i64, code: &str, hours: Option<&str>) -> Contracts {
        let contract = Contract {
            segment: Some("C5".to_owned()),
            subscribed_va: Some(va),
            tariff: Tariff::of_code(code.to_owned()),
            off_peak: hours.map(|text| OffPeakHours::of(text.to_owned())),
            activated_on: Some(day("2020-03-01")),
            ..Contract::default()
        };
        Contracts { consumption: Some(contract), ..Contracts::default() }
    }

    const HOURS: Option<&str> = Some("HC (22H30-6H30)");

    fn follow(contracts: &Contracts, stored: Option<&Term>, today: &str) -> Option<Term> {
        contracts.follow(Direction::Consumption, stored, day(today))
    }

    #[test]
    fn the_first_row_holds_from_the_contracts_own_start_where_that_is_known() {
        let mut contracts = said(6000, "BTINFMUDT", HOURS);
        assert_eq!(follow(&contracts, None, "2026-11-26").unwrap().valid_from, day("2020-03-01"));
        contracts.of_mut(Direction::Consumption).power_changed_on = Some(day("2025-09-01"));
        assert_eq!(follow(&contracts, None, "2026-11-26").unwrap().valid_from, day("2025-09-01"));
        contracts.of_mut(Direction::Consumption).starts_on = Some(day("2026-01-01"));
        assert_eq!(follow(&contracts, None, "2026-11-26").unwrap().valid_from, day("2026-01-01"));
        let contract = contracts.of_mut(Direction::Consumption);
        (contract.starts_on, contract.activated_on) = (None, None);
        assert_eq!(follow(&contracts, None, "2026-11-26").unwrap().valid_from, day("2026-11-26"));
        assert_eq!(contracts.follow(Direction::Production, None, day("2026-11-26")), None);
    }

    #[test]
    fn a_change_begins_a_row_on_the_day_that_is_told_or_on_the_day_it_is_learnt() {
        let first = follow(&said(6000, "BTINFMUDT", HOURS), None, "2026-11-26").unwrap();
        assert_eq!(follow(&said(6000, "BTINFMUDT", HOURS), Some(&first), "2026-12-03"), None);
        let more = said(9000, "BTINFMUDT", HOURS);
        let second = follow(&more, Some(&first), "2026-12-03").unwrap();
        assert_eq!((second.valid_from, second.subscribed_va), (day("2026-12-03"), Some(9000)));
        let mut told = more;
        told.of_mut(Direction::Consumption).power_changed_on = Some(day("2026-11-30"));
        assert_eq!(follow(&told, Some(&first), "2026-12-03").unwrap().valid_from, day("2026-11-30"));
        // The change of the power says nothing about that of the tariff.
        let mut tariff = said(6000, "BTINFCUST", None);
        tariff.of_mut(Direction::Consumption).power_changed_on = Some(day("2026-11-30"));
        let third = follow(&tariff, Some(&first), "2026-12-03").unwrap();
        assert_eq!((third.valid_from, third.off_peak), (day("2026-12-03"), None));
    }

    #[test]
    fn what_is_left_out_or_said_otherwise_is_no_change() {
        let first = follow(&said(6000, "BTINFMUDT", HOURS), None, "2026-11-26").unwrap();
        let parts = Contracts {
            consumption: Some(Contract { segment: Some("C5".to_owned()), ..Contract::default() }),
            ..Contracts::default()
        };
        assert_eq!(follow(&parts, Some(&first), "2026-12-03"), None);
        assert_eq!(follow(&said(6000, "BTINFMUDT", Some("hc(22h30-06h30)")), Some(&first), "2026-12-03"), None);
        // What becomes known amends the row.
        let unknown = follow(&said(6000, "BTINFMUDT", None), None, "2026-11-26").unwrap();
        let amended = follow(&said(6000, "BTINFMUDT", HOURS), Some(&unknown), "2026-12-03").unwrap();
        assert_eq!((amended.valid_from, amended.off_peak.as_deref()), (unknown.valid_from, HOURS));
    }

    #[test]
    fn words_beside_a_code_are_not_another_tariff() {
        let first = follow(&said(6000, "BTINFMUDT", HOURS), None, "2026-11-26").unwrap();
        let in_words = |label: &str| {
            let mut contracts = said(6000, "", HOURS);
            contracts.of_mut(Direction::Consumption).tariff = Tariff::of_label(label.to_owned());
            contracts
        };
        // Words without a plain code, from the other API: they stand beside the code.
        let beside = follow(&in_words("Tarif du distributeur"), Some(&first), "2026-12-03").unwrap();
        let told = (beside.tariff.as_deref(), beside.tariff_label.as_deref());
        assert_eq!((beside.valid_from, told), (first.valid_from, (Some("BTINFMUDT"), Some("Tarif du distributeur"))));
        for known in [in_words("Tarif du distributeur"), said(6000, "BTINFMUDT", HOURS)] {
            assert_eq!(follow(&known, Some(&beside), "2026-12-10"), None);
        }
        // Other words, or another code, are another tariff, and nothing of the old one outlives it.
        let words = follow(&in_words("Autre tarif"), Some(&beside), "2026-12-10").unwrap();
        assert_eq!((words.valid_from, words.tariff.as_deref()), (day("2026-12-10"), Some("Autre tarif")));
        let code = follow(&said(6000, "BTINFCUST", None), Some(&beside), "2026-12-10").unwrap();
        assert_eq!((code.valid_from, code.tariff.as_deref()), (day("2026-12-10"), Some("BTINFCUST")));
        assert_eq!((code.tariff_label, code.off_peak), (None, None));
        // The other way round: words first, then the code.
        let words = follow(&in_words("Tarif du distributeur"), None, "2026-11-26").unwrap();
        let amended = follow(&said(6000, "BTINFMUDT", HOURS), Some(&words), "2026-12-03").unwrap();
        assert_eq!(amended, beside);
    }
}
