//! Reads answers about contracts, addresses and people.
//!
//! They are decoded as far as they can be understood: of what is there but cannot be read an [`Oddity`]
//! tells the field's name, never its content, and the rest is kept. API v5 has an answer for each kind
//! of thing; in 2026 contracts lie in several answers, whose [`Contracts`] are put together by
//! [`Contracts::and`], and people in the one about contracts.

#[cfg(test)]
mod tests;
mod v2026;
mod v5;

use std::fmt;

use crate::domain::contract::{Contracts, OffPeakHours, Tariff};
use crate::domain::offpeak::NotUnderstood;
use crate::domain::personal::{Address, Contact, Identity, Personal};
use crate::domain::{Day, Direction};

pub use v5::{address, contact, contract, identity};
pub use v2026::{Installation, Situation, bundle, general_data, metering, situation, supply, synthesis};

use super::DecodeError;
use super::node::Node;

/// What an answer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// What could be understood.
    pub value: T,
    /// What could not, each once.
    pub oddities: Vec<Oddity>,
}

/// Something in an answer that could not be understood. It names the field and never repeats what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Oddity {
    /// A field that has a content of another kind than expected.
    Unreadable(&'static str),
    /// A text about off-peak hours whose meaning is not certain.
    OffPeak(NotUnderstood),
    /// A contract that is neither of consumption nor of production.
    NoDirection,
    /// A second contract of the same direction; the first one was taken.
    Twice(Direction),
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(field) => write!(f, "the field {field} cannot be read"),
            Self::OffPeak(why) => write!(f, "the off-peak hours are not understood: {why}"),
            Self::NoDirection => f.write_str("a contract is neither of consumption nor of production"),
            Self::Twice(direction) => write!(f, "there is more than one contract of {}", direction.name()),
        }
    }
}

/// Reads fields and notes the ones that cannot be read.
#[derive(Debug, Default)]
struct Reader {
    oddities: Vec<Oddity>,
}

impl Reader {
    fn note(&mut self, oddity: Oddity) {
        if !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }

    /// What `read` makes of a field; noted where there is something of which it makes nothing.
    fn field<'a, T>(
        &mut self,
        name: &'static str,
        node: Node<'a>,
        read: impl FnOnce(Node<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = read(node);
        let blank = !node.is_there() || node.scalar().is_missing();
        if value.is_none() && !blank {
            self.note(Oddity::Unreadable(name));
        }
        value
    }

    fn text(&mut self, parent: Node<'_>, name: &'static str) -> Option<String> {
        self.field(name, parent.get(name), |node| node.inner(&["value", "code", "name", "libelle", name]).text())
    }

    fn personal(&mut self, parent: Node<'_>, name: &'static str) -> Option<Personal> {
        self.field(name, parent.get(name), |node| node.inner(&["value"]).text()).as_deref().and_then(Personal::new)
    }

    fn date(&mut self, parent: Node<'_>, name: &'static str) -> Option<Day> {
        self.field(name, parent.get(name), Node::date)
    }

    fn power(&mut self, parent: Node<'_>, name: &'static str) -> Option<i64> {
        self.field(name, parent.get(name), power)
    }

    fn off_peak(&mut self, node: Node<'_>, name: &'static str) -> Option<OffPeakHours> {
        let hours = self.field(name, node, |node| node.inner(&["value", "libelle"]).text()).map(OffPeakHours::of)?;
        if let Err(why) = hours.hours {
            self.note(Oddity::OffPeak(why));
        }
        Some(hours)
    }

    fn done<T>(self, value: T) -> Read<T> {
        Read { value, oddities: self.oddities }
    }
}

/// The most that a contract can be for, in VA: a million kVA. More is no power.
const MOST_VA: i64 = 1_000_000_000;

/// Apparent power in VA: `9 kVA`, `12kVA`, `12`, 12, or value and unit of an object. Without a unit it is kVA.
fn power(node: Node<'_>) -> Option<i64> {
    let first = node.items().next()?;
    let text = first.text().or_else(|| first.any(&["value", "valeur"]).text())?;
    let beside = first.any(&["unit", "unite"]).text();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    let unit = Some(rest.trim().to_owned()).filter(|unit| !unit.is_empty()).or(beside);
    let thousand = match unit.as_deref() {
        None => 1000,
        Some(unit) if unit.eq_ignore_ascii_case("kVA") => 1000,
        Some(unit) if unit.eq_ignore_ascii_case("VA") => 1,
        Some(_) => return None,
    };
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok().filter(|whole| *whole <= MOST_VA)?;
    let thousandths: i64 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole * thousand + thousandths * thousand / 1000).filter(|va| *va <= MOST_VA)
}

/// The direction of a contract by its segment, `C…` or `P…`; where that says nothing, by its kind: the
/// ones with a supplier are of consumption.
fn direction(segment: Option<&str>, kind: Option<&str>) -> Option<Direction> {
    match segment.and_then(|segment| segment.chars().next()) {
        Some('C' | 'c') => return Some(Direction::Consumption),
        Some('P' | 'p') => return Some(Direction::Production),
        _ => {}
    }
    let kind = kind.unwrap_or_default().to_ascii_uppercase();
    match () {
        () if kind.ends_with("GRD-F") => Some(Direction::Consumption),
        () if kind.ends_with("GRD-A") => Some(Direction::Production),
        () => None,
    }
}

/// Postal code and town of `59000 TOWN`; all of it is the town where it does not begin with a code.
fn postal(line: &str) -> (Option<Personal>, Option<Personal>) {
    let line = line.trim();
    match line.split_once(' ') {
        Some((code, city)) if code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit()) => {
            (Personal::new(code), Personal::new(city))
        }
        _ => (None, Personal::new(line)),
    }
}
