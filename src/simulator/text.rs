//! How the values of a world file are written: days, instants and names as text.
//!
//! TOML has dates of its own; both `2026-03-04` and `"2026-03-04"` are understood.

use std::fmt::Display;
use std::str::FromStr;

use chrono::NaiveTime;
use serde::{Deserialize, Deserializer, de::Error};

use crate::domain::{Api, Step};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Moment(toml::value::Datetime),
}

impl Written {
    fn read<T: FromStr<Err: Display>, E: Error>(&self) -> Result<T, E> {
        match self {
            Self::Text(text) => text.parse().map_err(E::custom),
            Self::Moment(moment) => moment.to_string().parse().map_err(E::custom),
        }
    }
}

pub(super) fn one<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<T, D::Error> {
    Written::deserialize(deserializer)?.read()
}

pub(super) fn some<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    one(deserializer).map(Some)
}

pub(super) fn list<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::<Written>::deserialize(deserializer)?.iter().map(Written::read).collect()
}

pub(super) fn apis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Api>, D::Error> {
    Vec::<String>::deserialize(deserializer)?.iter().map(|name| named(name)).collect()
}

pub(super) fn api<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Api>, D::Error> {
    named(&String::deserialize(deserializer)?).map(Some)
}

pub(super) fn one_api<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Api, D::Error> {
    named(&String::deserialize(deserializer)?)
}

fn named<E: Error>(name: &str) -> Result<Api, E> {
    Api::from_name(name).ok_or_else(|| E::custom(format!("there is no API {name:?}; there are v5 and 2026")))
}

pub(super) fn step<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
    let minutes = i64::deserialize(deserializer)?;
    Step::from_minutes(minutes).ok_or_else(|| {
        D::Error::custom(format!("no meter has a step of {minutes} minutes; there are 5, 10, 15, 20, 30, 60"))
    })
}

fn clock(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text: String = one(deserializer)?;
    clock(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no time of the day; write it as HH:MM")))
}

pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveTime>, D::Error> {
    time(deserializer).map(Some)
}
