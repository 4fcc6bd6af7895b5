//! A forecast in words and as a document: for the log, for `plan` and for whoever shows how things stand.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::plan::forecast::{Cadence, Forecast};

impl Forecast {
    /// Tells the log of a budget that does not carry what is wanted.
    pub(crate) fn warn(&self, source: &str) {
        if self.is_short() {
            tracing::warn!(source, "{}", self.sentence());
        }
    }

    /// What is short and what to do, where something is.
    #[must_use]
    pub fn sentence(&self) -> String {
        if !self.is_short() {
            return String::new();
        }
        let Self { daily, budget, .. } = self;
        let mut text = if daily > budget {
            format!("the new days of all series take {daily} calls a day, and the budget is {budget}")
        } else {
            format!("the budget of {budget} calls a day does not carry the history of all series in time")
        };
        if !self.expiring.is_empty() {
            let each: Vec<String> = self.expiring.iter().map(|(dataset, days)| format!("{dataset} {days}")).collect();
            let _infallible = write!(
                text,
                "; by this forecast {} days leave before their turn ({})",
                self.expiring_days(),
                each.join(", ")
            );
        }
        if let Some(cadence) = &self.thriftier {
            let _infallible = write!(text, "; {}", cadence.sentence());
        }
        text
    }

    /// The object of `plan --json`.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "calls": self.calls,
            "days": self.days,
            "calls_a_day": self.daily,
            "budget_a_day": self.budget,
            "short": self.is_short(),
            "expiring_days": self.expiring.iter().map(|(dataset, days)| (dataset.name(), *days)).collect::<std::collections::BTreeMap<_, _>>(),
            "thriftier": self.thriftier.as_ref().map(|cadence| json!({
                "calls_a_day": cadence.daily,
                "every": cadence.every.iter().map(|(dataset, days)| (dataset.name(), format!("{days}d"))).collect::<std::collections::BTreeMap<_, _>>(),
            })),
        })
    }
}

impl Cadence {
    /// What to write into the configuration, and what it saves.
    #[must_use]
    pub fn sentence(&self) -> String {
        let every: Vec<String> = self.every.iter().map(|(dataset, days)| format!("{dataset} = \"{days}d\"")).collect();
        format!("with [schedule.every] {} they take {} a day", every.join(", "), self.daily)
    }
}
