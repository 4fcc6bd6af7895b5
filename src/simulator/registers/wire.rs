//! The answer with registers, of which nobody has published an example: what is not known is a rule of the
//! world.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Memo, RegisterValue, values};
use crate::domain::{Day, Days, Direction, paris};
use crate::simulator::published::AsOf;
use crate::simulator::rules::Ask;
use crate::simulator::world::World;

/// How the moment of a snapshot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexStamp {
    /// Wall time without an offset, as in curves.
    #[default]
    Naive,
    /// With an offset that has no colon.
    Offset,
    /// The bare date.
    Date,
}

/// What is not known about the answers with registers, and is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterRules {
    /// Longest span; none where left out.
    pub span_days: Option<i32>,
    /// Whether the midnight at the end of the span is part of the answer.
    pub with_end: bool,
    /// How a moment is written.
    pub stamp: IndexStamp,
}

/// The body of an answer; `None` where there is no snapshot.
pub(in crate::simulator) fn body(
    world: &World,
    ask: &Ask,
    direction: Direction,
    as_of: AsOf,
    memo: &mut Memo,
) -> Option<Value> {
    let rules = world.rules.registers;
    let end = if rules.with_end { ask.days.end().next() } else { ask.days.end() };
    let values = values(world, &ask.prm, direction, Days::new(ask.days.first(), end)?, as_of, memo);
    if values.is_empty() {
        return None;
    }
    let stamp = |day: Day| match rules.stamp {
        IndexStamp::Naive => format!("{day} 00:00:00"),
        IndexStamp::Offset => format!("{day}T00:00:00+{:02}00", paris::offset_hours(paris::start_of(day))),
        IndexStamp::Date => day.to_string(),
    };
    let entry = |value: &RegisterValue| json!({ "d": stamp(value.midnight), "v": value.wh, "iv": 0 });
    // By calendar, then by class and register.
    let mut calendars: BTreeMap<&str, BTreeMap<(&str, &str), Vec<Value>>> = BTreeMap::new();
    let mut total: Vec<Value> = Vec::new();
    let mut total_code = "";
    for value in &values {
        if let Some((calendar, class)) = &value.counts {
            let classes = calendars.entry(calendar).or_default();
            classes.entry((*class, &value.register)).or_default().push(entry(value));
        } else {
            total_code = &value.register;
            total.push(entry(value));
        }
    }
    let classes = |classes: BTreeMap<(&str, &str), Vec<Value>>| -> Vec<Value> {
        let class = |((class, register), values): ((&str, &str), Vec<Value>)| {
            json!({
                "idClasseTemporelle": class, "libelleClasseTemporelle": class, "codeCadran": register, "valeur": values,
            })
        };
        classes.into_iter().map(class).collect()
    };
    let calendars: Vec<Value> = calendars
        .into_iter()
        .map(|(id, found)| json!({ "idCalendrier": id, "libelleCalendrier": id, "classeTemporelle": classes(found) }))
        .collect();
    let flow = if direction == Direction::Consumption { "CONS" } else { "PROD" };
    Some(json!({
        "idPrm": ask.prm.full(),
        "periode": { "dateDebut": ask.days.first().to_string(), "dateFin": ask.days.end().to_string() },
        "grandeur": [],
        "contexte": [{
            "etapeMetier": "BRUT", "contexteReleve": "COL", "typeReleve": "AQ",
            "grandeur": [{
                "grandeurMetier": flow, "grandeurPhysique": "EA", "unite": "Wh", "points": [],
                "calendrier": calendars,
                "cadranTotalisateur": { "codeCadran": total_code, "valeur": total },
            }],
        }],
    }))
}
