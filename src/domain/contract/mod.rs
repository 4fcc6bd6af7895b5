//! What a meter's contracts say: subscribed power, tariff, off-peak hours, since when.
//!
//! A meter has a contract for what is drawn and may have another one for what is fed in. API v5 tells
//! of the first in one answer; in 2026 the same is spread over several answers, each with a part of it.
//! A decoder therefore yields [`Contracts`] that know little, and [`Contracts::and`] puts them together.

mod history;

use super::offpeak::{NotUnderstood, OffPeak};
use super::{Day, Direction};

pub use history::Term;

/// What is known of a meter's contracts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contracts {
    /// Of what is drawn from the grid; `None` where nothing is known of one.
    pub consumption: Option<Contract>,
    /// Of what is fed into it.
    pub production: Option<Contract>,
    /// Enedis' code for the kind of meter; a Linky is `AMM`.
    pub meter_type: Option<String>,
    /// Whether the meter reports, in Enedis' own words or code.
    pub level: Option<String>,
}

/// What is known of one contract.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contract {
    /// `C5` for a household, `P4` for a small roof.
    pub segment: Option<String>,
    /// Kind of contract, as `Contrat GRD-F`.
    pub kind: Option<String>,
    /// `SERVC` where power is on, `RESIL` where the contract has ended, and others.
    pub status: Option<String>,
    /// Subscribed apparent power in VA.
    pub subscribed_va: Option<i64>,
    /// The network tariff.
    pub tariff: Tariff,
    /// When off-peak hours are.
    pub off_peak: Option<OffPeakHours>,
    /// First day of this contract.
    pub starts_on: Option<Day>,
    /// Day since which there are measures for this holder.
    pub activated_on: Option<Day>,
    /// Day on which the network tariff last changed.
    pub tariff_changed_on: Option<Day>,
    /// Day on which the subscribed power last changed.
    pub power_changed_on: Option<Day>,
}

/// The network tariff of a contract, which is the tariff of the distributor, not of the supplier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tariff {
    /// Enedis' code, as `BTINFMUDT`. Where an answer has a label only, the code that it describes.
    pub code: Option<String>,
    /// Enedis' words, where an answer has words.
    pub label: Option<String>,
}

impl Tariff {
    /// The tariff of a code.
    #[must_use]
    pub fn of_code(code: String) -> Self {
        Self { code: Some(code), label: None }
    }

    /// The tariff of a label; its code by the words that the label uses, where these are plain.
    #[must_use]
    pub fn of_label(label: String) -> Self {
        let words = label.to_lowercase().replace(['-', '/'], " ");
        let has = |word: &str| words.contains(word);
        let use_of = [("courte", "CU"), ("moyenne", "MU"), ("longue", "LU")];
        let mut named = use_of.into_iter().filter(|(word, _)| has(word));
        let classes = if has("deux saisons") || has("quatre") || has("4 plages") || has("4 classes") {
            "4"
        } else if has("heures pleines") || has("heures creuses") || has("hp hc") || has("double tarif") {
            "DT"
        } else {
            "ST"
        };
        // The codes are those of low voltage up to 36 kVA; above that other ones apply.
        let low = has("bt<=36") || has("bt <= 36") || has("bt≤36") || has("bt ≤ 36");
        let code = match (low, named.next(), named.next()) {
            (true, Some((_, length)), None) => Some(format!("BTINF{length}{classes}")),
            _ => None,
        };
        Self { code, label: Some(label) }
    }

    /// Whether this is another tariff than one that is known. A code and words cannot be compared: each API has one
    /// of the two.
    #[must_use]
    pub fn is_another_than(&self, known: &Self) -> bool {
        match (&self.code, &known.code, &self.label, &known.label) {
            (Some(code), Some(known), ..) => code != known,
            (.., Some(label), Some(known)) => label != known,
            _ => false,
        }
    }

    /// Whether this is certainly, or may be, a tariff with off-peak hours; of one that is not told nothing is known.
    #[must_use]
    pub fn may_have_hours(&self) -> bool {
        match (&self.code, &self.label) {
            (None, None) => false,
            (Some(code), _) => !(code.starts_with("BTINF") && code.ends_with("ST")),
            (None, Some(_)) => true,
        }
    }
}

/// The off-peak hours of a contract: the text, and what it means where that is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffPeakHours {
    /// Enedis' own text.
    pub text: String,
    /// The hours; none where the text says that there are none.
    pub hours: Result<Option<OffPeak>, NotUnderstood>,
}

impl OffPeakHours {
    /// Reads Enedis' text.
    #[must_use]
    pub fn of(text: String) -> Self {
        let hours = OffPeak::parse(&text);
        Self { text, hours }
    }
}

impl Contracts {
    /// The contract of a direction.
    #[must_use]
    pub fn of(&self, direction: Direction) -> Option<&Contract> {
        match direction {
            Direction::Consumption => self.consumption.as_ref(),
            Direction::Production => self.production.as_ref(),
        }
    }

    /// The same, to be written into; made where there is none yet.
    pub fn of_mut(&mut self, direction: Direction) -> &mut Contract {
        let contract = match direction {
            Direction::Consumption => &mut self.consumption,
            Direction::Production => &mut self.production,
        };
        contract.get_or_insert_default()
    }

    /// Whether it is not known when off-peak hours are although there may be some: see [`Contract::lacks_hours`].
    #[must_use]
    pub fn lack_hours(&self) -> bool {
        self.consumption.as_ref().is_some_and(Contract::lacks_hours)
    }

    /// What both know; where they disagree, this one's word.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = |one: Option<Contract>, other: Option<Contract>| match (one, other) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Self {
            consumption: both(self.consumption, other.consumption),
            production: both(self.production, other.production),
            meter_type: self.meter_type.or(other.meter_type),
            level: self.level.or(other.level),
        }
    }
}

impl Contract {
    /// Whether the text about off-peak hours is empty although the tariff is one that has them: then it is not known
    /// when they are.
    #[must_use]
    pub fn lacks_hours(&self) -> bool {
        let empty = self.off_peak.as_ref().is_some_and(|text| text.hours == Ok(None));
        empty && self.tariff.may_have_hours()
    }

    fn and(self, other: Self) -> Self {
        Self {
            segment: self.segment.or(other.segment),
            kind: self.kind.or(other.kind),
            status: self.status.or(other.status),
            subscribed_va: self.subscribed_va.or(other.subscribed_va),
            tariff: Tariff {
                code: self.tariff.code.or(other.tariff.code),
                label: self.tariff.label.or(other.tariff.label),
            },
            off_peak: self.off_peak.or(other.off_peak),
            starts_on: self.starts_on.or(other.starts_on),
            activated_on: self.activated_on.or(other.activated_on),
            tariff_changed_on: self.tariff_changed_on.or(other.tariff_changed_on),
            power_changed_on: self.power_changed_on.or(other.power_changed_on),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_plain_have_a_code() {
        for (label, code) in [
            ("Tarif BT<=36kVA Moyenne Utilisation Heures Pleines Heures Creuses", Some("BTINFMUDT")),
            ("Tarif BT<=36kVA Courte Utilisation Deux saisons heures pleines / heures creuses", Some("BTINFCU4")),
            ("Tarif BT<=36kVA Courte Utilisation", Some("BTINFCUST")),
            ("TARIF BT<=36KVA LONGUE UTILISATION", Some("BTINFLUST")),
            ("Tarif BT>36kVA Longue Utilisation", None),
            ("Moyenne Utilisation", None),
            ("Tarif BT<=36kVA courte ou moyenne utilisation", None),
            ("", None),
        ] {
            let tariff = Tariff::of_label(label.to_owned());
            assert_eq!(tariff.code.as_deref(), code, "{label}");
            assert_eq!(tariff.label.as_deref(), Some(label));
        }
    }

    #[test]
    fn an_empty_text_is_no_answer_where_the_tariff_has_hours() {
        let lacks = |tariff: Tariff, text: &str| {
            let off_peak = Some(OffPeakHours::of(text.to_owned()));
            Contract { tariff, off_peak, ..Contract::default() }.lacks_hours()
        };
        let code = |code: &str| Tariff::of_code(code.to_owned());
        for tariff in [code("BTINFMUDT"), code("BTINFCU4"), code("BTSUPCU4"), Tariff::of_label("HP HC".to_owned())] {
            assert!(lacks(tariff.clone(), " ") && !lacks(tariff, "HC (22H30-6H30)"));
        }
        assert!(!lacks(code("BTINFCUST"), "") && !lacks(Tariff::default(), ""));
        assert!(!Contract { tariff: code("BTINFMUDT"), ..Contract::default() }.lacks_hours());
    }

    #[test]
    fn parts_are_put_together_and_the_first_word_stands() {
        let mut one = Contracts { meter_type: Some("AMM".to_owned()), ..Contracts::default() };
        one.of_mut(Direction::Consumption).subscribed_va = Some(9000);
        let mut other = Contracts { meter_type: Some("CBE".to_owned()), ..Contracts::default() };
        *other.of_mut(Direction::Consumption) =
            Contract { subscribed_va: Some(6000), segment: Some("C5".to_owned()), ..Contract::default() };
        other.of_mut(Direction::Production).segment = Some("P4".to_owned());
        let both = one.and(other);
        let consumption = both.of(Direction::Consumption).unwrap();
        assert_eq!((consumption.subscribed_va, consumption.segment.as_deref()), (Some(9000), Some("C5")));
        assert_eq!(both.of(Direction::Production).unwrap().segment.as_deref(), Some("P4"));
        assert_eq!(both.meter_type.as_deref(), Some("AMM"));
    }
}
